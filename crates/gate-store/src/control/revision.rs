//! Revisions and the documents they point to.
//!
//! A document is kept once for each digest, compressed; revisions only ever point to it, so that a
//! rollback or a promotion copies nothing.

use serde::{Deserialize, Serialize};

/// Largest document, in bytes before compression.
pub const DOCUMENT_MAX: usize = 16 << 20;

/// Why a revision was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A document was applied.
    Apply,
    /// One resource was changed.
    Edit,
    /// A person went back.
    Rollback,
    /// It was taken over from another environment.
    Promote,
    /// A rollout's verdict went back.
    AutoRollback,
    /// Nobody confirmed it in time.
    Revert,
    /// A secret was rotated.
    Rotate,
}

/// A revision to write.
#[derive(Debug, Clone, Copy)]
pub struct NewRevision<'a> {
    /// The resources as canonical JSON; its SHA-256 is the digest. At most [`DOCUMENT_MAX`] bytes.
    pub document: &'a str,
    /// Who owns which resource, as canonical JSON; at most [`DOCUMENT_MAX`] bytes.
    pub managers: &'a str,
    /// Which revision it was derived from.
    pub parent: Option<u64>,
    /// Whose words it is.
    pub author: &'a str,
    /// Why it was made.
    pub cause: Cause,
    /// What its author says about it; at most 64 KiB.
    pub message: &'a str,
    /// The commit of the sources it was made from.
    pub source_commit: Option<&'a str>,
    /// A summary of the plan as JSON; at most 64 KiB.
    pub plan: Option<&'a str>,
    /// What was checked and found, as JSON; at most 64 KiB.
    pub checks: &'a str,
}

/// A revision as it is kept; it never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RevisionRow {
    /// Its number: from 1, without gaps, over all environments, in the order of their commits.
    pub number: u64,
    /// The environment it was made for.
    pub environment: String,
    /// SHA-256 of its document, in hexadecimal.
    pub digest: String,
    /// SHA-256 of who owns which resource, in hexadecimal; a document like any other.
    pub managers: String,
    /// Which revision it was derived from.
    pub parent: Option<u64>,
    /// Whose words it is.
    pub author: String,
    /// Why it was made.
    pub cause: Cause,
    /// What its author says about it.
    pub message: String,
    /// The commit of the sources it was made from.
    pub source_commit: Option<String>,
    /// A summary of the plan, as JSON.
    pub plan: Option<String>,
    /// What was checked and found, as JSON.
    pub checks: String,
    /// When, in UNIX milliseconds.
    pub created_ms: i64,
}

/// Which revisions to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct RevisionQuery<'a> {
    /// Of this environment; of all when empty.
    pub environment: &'a str,
    /// With a smaller number than this; `None`: from the newest.
    pub before: Option<u64>,
    /// How many, at most [`PAGE_MAX`](super::PAGE_MAX).
    pub limit: usize,
}
