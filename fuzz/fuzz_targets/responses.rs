//! See [`tidegate_fuzz::responses`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::responses(bytes));
