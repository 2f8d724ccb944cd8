//! See `ktstr_fuzz::devices`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| ktstr_fuzz::devices(input));
