//! See [`tidegate_fuzz::json_grpc`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::json_grpc(bytes));
