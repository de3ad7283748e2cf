//! See [`tidegate_fuzz::rpc`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::rpc(bytes));
