//! Rollouts: a candidate revision beside the current one, and the evidence about it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The guarded promotion of a revision.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Rollout {
    /// Its identity.
    pub id: String,
    /// Where it runs.
    pub environment: String,
    /// The revision being tried.
    pub candidate: u64,
    /// The revision that it is compared with.
    pub control: u64,
    /// How it stands.
    pub state: RolloutState,
    /// The share of exchanges that the candidate serves.
    pub share: f64,
    /// Which step of its ramp it is at, from 0.
    pub step: u32,
    /// When it began.
    #[schemars(extend("format" = "date-time"))]
    pub started: String,
    /// When it last changed.
    #[serde(default)]
    #[schemars(extend("format" = "date-time"))]
    pub updated: Option<String>,
    /// What is known so far, by slice and signal.
    pub evidence: Vec<Evidence>,
    /// Why it stands as it does.
    pub reason: String,
    /// The name of its `rollouts` resource, or `inline`.
    pub strategy: String,
    /// The settings that it runs with.
    pub settings: Value,
}

/// How a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// It goes on by itself.
    Running,
    /// A person or a rule has stopped it where it is.
    Held,
    /// The candidate has become the current revision.
    Promoted,
    /// The candidate is out of service.
    RolledBack,
}

/// What is known about one signal of one slice.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Evidence {
    /// The route, or `*` for all.
    pub slice: String,
    /// What was counted, such as `errors` or `latency`.
    pub signal: String,
    /// The current revision's exchanges.
    pub control: Counts,
    /// The candidate's.
    pub candidate: Counts,
    /// How many times likelier the counts are if the candidate is worse; taken back at 1/alpha.
    pub e_value: f64,
}

/// Exchanges that were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
pub struct Counts {
    /// All.
    pub total: u64,
    /// The bad ones.
    pub bad: u64,
}
