//! See `ktstr_fuzz::memory`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| ktstr_fuzz::memory(input));
