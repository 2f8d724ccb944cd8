//! See `ktstr_fuzz::walkers`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| ktstr_fuzz::walkers(input));
