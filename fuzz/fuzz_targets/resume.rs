//! See [`tidegate_fuzz::resume`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::resume(bytes));
