//! See [`tidegate_fuzz::openapi`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::openapi(bytes));
