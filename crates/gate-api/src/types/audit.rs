//! The audit log: who did what, in a chain of hashes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One entry of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct AuditEntry {
    /// Its place in the chain, from 1.
    pub sequence: u64,
    /// When.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// Who.
    pub actor: String,
    /// In which role.
    pub role: String,
    /// What, such as `revision.apply`.
    pub action: String,
    /// On what, such as `environments/production`.
    pub subject: String,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// More about it; never a secret.
    pub detail: String,
    /// The hash of the entry before it, in hex.
    pub previous_hash: String,
    /// SHA-256 over this entry and the hash before it, in hex.
    pub hash: String,
}

/// How an audited action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditOutcome {
    /// It was done.
    Done,
    /// It was refused.
    Refused,
    /// It failed.
    Failed,
}

/// Whether the chain of the audit log is whole.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct AuditVerification {
    /// Whether every hash is right.
    pub intact: bool,
    /// How many entries were checked.
    pub entries: u64,
    /// How many entries before those retention has taken away: the chain is checked from the hash
    /// of the last of them, which an entry `retention.audit` confirms.
    #[serde(default)]
    pub pruned: u64,
    /// The first entry that is not what it was.
    pub broken_at: Option<u64>,
    /// The last hash of the chain, to be kept elsewhere.
    pub head: Option<String>,
}
