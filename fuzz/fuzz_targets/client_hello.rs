//! See [`tidegate_fuzz::client_hello`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::client_hello(bytes));
