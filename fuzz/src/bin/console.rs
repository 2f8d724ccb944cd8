//! See `ktstr_fuzz::console`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| ktstr_fuzz::console(input));
