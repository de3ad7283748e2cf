//! Terraform states: immutable versions, a lock, and the checks that keep two writers apart. They are
//! read in [`read`] and written in [`write`].

pub(super) mod read;
pub(super) mod write;

use super::{NewAudit, Sealed};
use serde::{Deserialize, Serialize};

/// Largest sealed state, in bytes.
pub const STATE_MAX: usize = 32 << 20;

/// A state's next version.
#[derive(Debug, Clone, Copy)]
pub struct NewState<'a> {
    /// The state's name.
    pub name: &'a str,
    /// The lock that the writer holds; `None` when it did not lock.
    pub lock_id: Option<&'a str>,
    /// The lineage in the content.
    pub lineage: &'a str,
    /// The serial in the content.
    pub serial: u64,
    /// SHA-256 of the content, in hexadecimal.
    pub digest: &'a str,
    /// Size of the content, in bytes.
    pub size: u64,
    /// The content, sealed for `state/NAME`.
    pub sealed: &'a Sealed,
    /// Whether it may replace a state of another lineage or of a higher serial: `terraform state
    /// push -force`.
    pub force: bool,
    /// The line in the audit log; its actor is the version's author.
    pub audit: NewAudit<'a>,
    /// Now, in UNIX milliseconds.
    pub now_ms: i64,
}

/// Who holds a state's lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateLock {
    /// The lock's id, as Terraform made it.
    pub id: String,
    /// Who, in words.
    pub holder: String,
    /// What Terraform said about it: its own JSON, given back as it came; at most 64 KiB.
    pub info: String,
    /// Since when, in UNIX milliseconds.
    pub since_ms: i64,
}

/// A state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateRow {
    /// Its name.
    pub name: String,
    /// Its newest version; `None` when it has none or was emptied.
    pub version: Option<StateVersionRow>,
    /// Its lock.
    pub lock: Option<StateLock>,
}

/// A version of a state, without its content; it never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateVersionRow {
    /// From 1, without gaps.
    pub version: u64,
    /// The lineage in the content.
    pub lineage: String,
    /// The serial in the content.
    pub serial: u64,
    /// SHA-256 of the content, in hexadecimal.
    pub digest: String,
    /// Size of the content, in bytes.
    pub size: u64,
    /// Who wrote it.
    pub author: String,
    /// When, in UNIX milliseconds.
    pub created_ms: i64,
    /// Which key-encryption key wraps its data key.
    pub key_id: String,
}
