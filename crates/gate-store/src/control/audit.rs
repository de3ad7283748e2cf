//! The audit log: who did what to what, and with which outcome, as a chain of hashes.

use serde::Serialize;

/// A line to write.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewAudit<'a> {
    /// Who: a key's name, a person's subject, `instance/ID` for what a gateway does by itself.
    pub actor: &'a str,
    /// In which role: `viewer`, `operator`, `admin`, `system`.
    pub role: &'a str,
    /// What: `apply`, `rollback`, `lock`, `state.write`.
    pub action: &'a str,
    /// To what: `environments/prod`, `states/network`.
    pub subject: &'a str,
    /// How it ended: `done`, `refused`, `failed`.
    pub outcome: &'a str,
    /// More, as JSON or words; at most 64 KiB are kept. Never a secret.
    pub detail: &'a str,
}

/// A line as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditRow {
    /// Its number, from 1, without gaps.
    pub sequence: u64,
    /// When, in UNIX milliseconds.
    pub at_ms: i64,
    /// Who.
    pub actor: String,
    /// In which role.
    pub role: String,
    /// What.
    pub action: String,
    /// To what.
    pub subject: String,
    /// How it ended.
    pub outcome: String,
    /// More.
    pub detail: String,
    /// The hash of the line before it; 64 zeros for the first.
    pub previous_hash: String,
    /// SHA-256, in hexadecimal, of `previous_hash` and every field above, each preceded by its
    /// length.
    pub hash: String,
}

/// What a walk over the whole log found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditCheck {
    /// Lines that were looked at.
    pub lines: u64,
    /// The hash of the newest line: written down elsewhere, it proves that no line before it
    /// changed, even to somebody who could rewrite the whole table.
    pub head: String,
    /// Where the chain breaks first, if it does.
    pub broken: Option<AuditBreak>,
}

/// Where the chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditBreak {
    /// The number of the line that is not as it was written, or not there.
    pub sequence: u64,
    /// What is wrong with it.
    pub problem: &'static str,
}
