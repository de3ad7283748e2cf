//! Secrets that are kept here, sealed. Their values are known only to those who have the key.

use super::{NewAudit, Sealed};
use serde::Serialize;

/// Largest sealed value, in bytes.
pub const SECRET_MAX: usize = 64 << 10;

/// A secret's next version.
#[derive(Debug, Clone, Copy)]
pub struct NewSecret<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version that the caller has seen; 0 when it is new; `None` writes over whatever is there.
    pub expected: Option<u64>,
    /// Its value, sealed for `secret/NAME`.
    pub sealed: &'a Sealed,
    /// The line in the audit log.
    pub audit: NewAudit<'a>,
    /// Now, in UNIX milliseconds.
    pub now_ms: i64,
}

/// A secret as it is kept, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretRow {
    /// Its name.
    pub name: String,
    /// Grows by one with each write.
    pub version: u64,
    /// Which key-encryption key wraps its data key.
    pub key_id: String,
    /// When it was first written, in UNIX milliseconds.
    pub created_ms: i64,
    /// When it was last written, in UNIX milliseconds.
    pub changed_ms: i64,
}
