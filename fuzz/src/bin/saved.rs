//! See `ktstr_fuzz::saved`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| ktstr_fuzz::saved(input));
