//! See [`tidegate_fuzz::graphql`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::graphql(bytes));
