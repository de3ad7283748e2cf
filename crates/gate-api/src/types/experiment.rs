//! Failures that are brought about on purpose, as a gateway sees them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An experiment of this gateway. Each gateway counts and bounds its own part of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Experiment {
    /// Its name.
    pub name: String,
    /// What goes wrong, in a word such as `delay`.
    pub inject: String,
    /// Where, as its resource says.
    pub scope: BTreeMap<String, String>,
    /// Whether it strikes.
    pub state: ExperimentState,
    /// When it began.
    pub began: Option<String>,
    /// When it ends, or would have ended.
    pub ends: Option<String>,
    /// Tries that it is active on now.
    pub active: u32,
    /// Tries that it struck.
    pub strikes: u64,
    /// Tries that were drawn and spared, because it was active on as many as it may.
    pub spared: u64,
    /// Exchanges that reached its scope while it ran, and have ended.
    pub seen: u64,
    /// Bad ones of them.
    pub bad: u64,
    /// SHA-256 of its resource in hexadecimal: a stop is for what has the same.
    pub digest: String,
}

/// Where an experiment is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExperimentState {
    /// Its revision is not in force yet.
    #[default]
    Awaited,
    /// It strikes.
    Running,
    /// Its time is over.
    Ended,
    /// Somebody stopped it.
    Stopped,
    /// Its guard stopped it.
    StoppedByGuard,
}

/// What a line of the audit log says of a stop.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct ExperimentStop {
    /// The experiment.
    pub name: String,
    /// SHA-256 of its resource in hexadecimal.
    pub digest: String,
    /// Why.
    pub reason: String,
}
