//! See `ktstr_fuzz::recording`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| ktstr_fuzz::recording(input));
