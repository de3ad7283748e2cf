//! `@detectSQLi` and `@detectXSS`, by a port of libinjection.

use super::Found;
use crate::prefilter::Needs;
use smallvec::SmallVec;

/// Most bytes that are looked at; libinjection is linear, but not free.
const VALUE_MAX: usize = 1024 * 1024;

/// Whether libinjection takes `value` for SQL; its fingerprint is what is captured.
pub(super) fn sqli(value: &[u8]) -> Found {
    let value = &value[..value.len().min(VALUE_MAX)];
    let result = libinjectionrs::detect_sqli(value);
    if !result.is_injection() {
        return Found::No;
    }
    let print = result
        .fingerprint
        .map(|print| SmallVec::from_slice(print.as_str().as_bytes()));
    Found::Text(print.unwrap_or_default())
}

/// A word alone, without any blank or mark, is one token, and none alone is an attack.
pub(super) fn sqli_needs() -> Needs {
    Needs::one_of((0..=255_u8).filter(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_'))
}

/// Whether libinjection takes `value` for markup that runs.
pub(super) fn xss(value: &[u8]) -> Found {
    let cut = &value[..value.len().min(VALUE_MAX)];
    if libinjectionrs::detect_xss(cut).is_injection() {
        Found::Text(SmallVec::from_slice(value))
    } else {
        Found::No
    }
}

/// Markup opens with `<`; within a tag, an attribute needs `=` to have a value.
pub(super) fn xss_needs() -> Needs {
    Needs::one_of(*b"<=")
}
