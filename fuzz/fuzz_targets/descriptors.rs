//! See [`tidegate_fuzz::descriptors`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::descriptors(bytes));
