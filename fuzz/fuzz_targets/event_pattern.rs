//! See [`tidegate_fuzz::event_pattern`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::event_pattern(bytes));
