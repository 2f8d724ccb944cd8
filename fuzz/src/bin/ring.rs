//! See `ktstr_fuzz::ring`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| ktstr_fuzz::ring(input));
