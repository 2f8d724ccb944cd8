//! See `ktstr_fuzz::symbols`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| ktstr_fuzz::symbols(input));
