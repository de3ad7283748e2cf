//! See [`tidegate_fuzz::shape`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::shape(bytes));
