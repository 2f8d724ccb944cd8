//! See `ktstr_fuzz::planted`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| ktstr_fuzz::planted(input));
