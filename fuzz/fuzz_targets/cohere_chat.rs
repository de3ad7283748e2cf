//! See [`tidegate_fuzz::cohere_chat`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::cohere_chat(bytes));
