//! See `ktstr_fuzz::btf`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| ktstr_fuzz::btf(input));
