//! See [`tidegate_fuzz::chat_completions`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::chat_completions(bytes));
