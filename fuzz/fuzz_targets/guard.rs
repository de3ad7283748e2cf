//! See [`tidegate_fuzz::guard`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::guard(bytes));
