//! See [`tidegate_fuzz::converse`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::converse(bytes));
