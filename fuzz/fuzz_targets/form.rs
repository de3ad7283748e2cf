//! See [`tidegate_fuzz::form`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::form(bytes));
