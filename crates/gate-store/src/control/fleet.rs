//! Gateways that follow environments: what they make of revisions, and which of them leads.

use serde::Serialize;

/// What an instance makes of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AckRow {
    /// The instance's id.
    pub instance: String,
    /// The environment it follows.
    pub environment: String,
    /// The revision it last looked at.
    pub revision: u64,
    /// The digest it found there.
    pub digest: String,
    /// Whether it serves it; if not, it goes on with what it had.
    pub applied: bool,
    /// Why it refused; empty when it did not.
    pub reason: String,
    /// The generation of the environment that it has followed up to.
    pub generation: u64,
    /// When it last said so, in UNIX milliseconds.
    pub at_ms: i64,
}

/// Who leads, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lease {
    /// What it is for.
    pub name: String,
    /// The instance that holds it.
    pub holder: String,
    /// Grows each time that the holder changes; writes under an older one are refused.
    pub token: u64,
    /// When it ends unless it is renewed, in UNIX milliseconds.
    pub expires_ms: i64,
}

impl Lease {
    /// Whether this holder may act at this time.
    #[must_use]
    pub fn is_held_by(&self, holder: &str, now_ms: i64) -> bool {
        self.holder == holder && self.expires_ms > now_ms
    }
}
