//! See [`tidegate_fuzz::batch`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::batch(bytes));
