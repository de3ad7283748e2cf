//! Who calls, and how a caller proves it.

use crate::units::Sha256Text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Somebody (or something) that may call.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Consumer {
    /// The team that pays for this consumer's calls.
    pub team: Option<String>,
    /// Keys that prove this consumer; only their SHA-256 is stored (`tidegate keys new` prints both).
    pub keys: Vec<Key>,
    /// Models this consumer may use; all of the route's models when left out.
    pub models: Option<Vec<String>>,
}

/// A key, kept as its hash.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// SHA-256 of the key, as 64 hexadecimal digits.
    pub sha256: Sha256Text,
}
