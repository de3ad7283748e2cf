//! See [`tidegate_fuzz::identity`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::identity(bytes));
