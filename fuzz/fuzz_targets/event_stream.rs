//! See [`tidegate_fuzz::event_stream`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::event_stream(bytes));
