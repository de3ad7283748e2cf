//! See [`tidegate_fuzz::schedule`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::schedule(bytes));
