//! See [`tidegate_fuzz::http1_response`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::http1_response(bytes));
