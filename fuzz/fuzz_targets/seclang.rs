//! See [`tidegate_fuzz::seclang`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tidegate_fuzz::seclang(bytes));
