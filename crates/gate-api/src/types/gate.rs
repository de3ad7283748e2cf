//! What stands in the way of changes while an error budget is spent.

use gate_model::units::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an environment's gate of changes holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct GateState {
    /// What is frozen.
    pub freezes: Vec<FreezeState>,
    /// Revisions that may pass all the same.
    pub overrides: Vec<OverrideState>,
}

/// No changes for a while.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct FreezeState {
    /// Of this route; of everything when absent.
    pub route: Option<String>,
    /// Why.
    pub reason: String,
    /// Until when, in UNIX seconds.
    pub until_s: u64,
}

/// Somebody's signed word that one revision may pass.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct OverrideState {
    /// Digest of what may pass, as a plan shows it.
    pub digest: String,
    /// Name of the key that signed.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Until when, in UNIX seconds.
    pub until_s: u64,
}

/// Freezes a route, or everything.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeInput {
    /// The route; everything when left out.
    #[serde(default)]
    pub route: Option<String>,
    /// Why; shown to whoever is refused.
    pub reason: String,
    /// For how long.
    pub lasts: Period,
}

/// A signed word that one revision may pass in spite of the gate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OverrideInput {
    /// Digest of what may pass, as a plan shows it.
    pub digest: String,
    /// Name of the key that signed, in `gateway.admin.override_keys`.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Until when, in UNIX seconds.
    pub until_s: u64,
    /// Ed25519 signature in base64, as `tidegate objectives override` makes it.
    pub signature: String,
}
