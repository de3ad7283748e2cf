//! Terraform states: versions and locks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Terraform state that is kept here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct State {
    /// Its name.
    pub name: String,
    /// The current version; none after it was deleted or before its first write.
    pub version: Option<u64>,
    /// Terraform's serial of the current version.
    pub serial: Option<u64>,
    /// Terraform's lineage of the current version.
    pub lineage: Option<String>,
    /// When it was last written.
    #[schemars(extend("format" = "date-time"))]
    pub updated: Option<String>,
    /// Who holds it.
    pub lock: Option<StateLock>,
}

/// One version of a state, without its content.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct StateVersion {
    /// Its number, from 1.
    pub version: u64,
    /// Terraform's serial.
    pub serial: u64,
    /// Terraform's lineage.
    pub lineage: String,
    /// SHA-256 of its bytes, in hex.
    pub digest: String,
    /// How many bytes.
    pub bytes: u64,
    /// When it was written.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// Who wrote it.
    pub author: String,
}

/// A lock as Terraform writes it (its `statemgr.LockInfo`); what it leaves out is empty.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase", default)]
pub struct StateLock {
    /// The lock's identity.
    #[serde(rename = "ID")]
    pub id: String,
    /// What for, such as `OperationTypeApply`.
    pub operation: String,
    /// What the holder said.
    pub info: String,
    /// The holder, as `user@host`.
    pub who: String,
    /// The holder's version of Terraform.
    pub version: String,
    /// When it was taken.
    pub created: String,
    /// Unused by the HTTP backend.
    pub path: String,
}

/// Restores an older version as a new one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateRestore {
    /// The version to restore.
    pub version: u64,
}

/// Takes a lock from whoever holds it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateUnlock {
    /// The lock's identity, so that no other lock is taken by mistake.
    pub id: String,
}
