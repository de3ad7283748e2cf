//! See [`tidegate_fuzz::generate_content`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::generate_content(bytes));
