//! See `ktstr_fuzz::page_tables`.
#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| ktstr_fuzz::page_tables(input));
