//! See [`tidegate_fuzz::cloud_event`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::cloud_event(bytes));
