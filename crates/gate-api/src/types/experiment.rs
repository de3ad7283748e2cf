//! Failures that are brought about on purpose, as a gateway sees them.

use gate_model::units::Period;
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
    /// It was stopped because an objective's error budget ran low.
    StoppedByBudget,
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

/// What was noticed of an experiment's run, read from its incident. Times are seconds.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct GameDay {
    /// The run's incident.
    pub incident: String,
    /// The plan that it was a part of; empty for an experiment without one.
    pub plan: String,
    /// The experiment.
    pub experiment: String,
    /// What went wrong, in a word such as `delay`.
    pub inject: String,
    /// Where, as its resource said.
    pub scope: BTreeMap<String, String>,
    /// When the first gateway began it.
    #[schemars(extend("format" = "date-time"))]
    pub began: String,
    /// When it ended on the last gateway; absent while it runs.
    #[schemars(extend("format" = "date-time"))]
    pub ended: Option<String>,
    /// From its beginning until the fast signal; absent where there was none.
    pub suspected_s: Option<f64>,
    /// From its beginning until a page; absent where there was none.
    pub paged_s: Option<f64>,
    /// What the alert said first of where it is; empty where it said nothing.
    pub said: String,
    /// Which answer to where it is was the first right one, from 1; absent where none was.
    pub rank: Option<u32>,
    /// From its beginning until exchanges failed no more than usual, by what was done or by its end;
    /// absent where nothing failed, or still does.
    pub mitigated_s: Option<f64>,
    /// From its end until exchanges failed no more than usual, 0 where that was so before; absent as
    /// `mitigated_s` is.
    pub recovered_s: Option<f64>,
    /// Whether all was as its plan hoped; absent without a plan.
    pub passed: Option<bool>,
}

/// What a game day hopes for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GameDayInput {
    /// The plan's name.
    pub plan: String,
    /// The objective that has to notice; any when empty.
    pub objective: String,
    /// Values of dimensions such as a route's name, one of which has to be named as the place; what the
    /// experiment's scope names when empty.
    pub names: Vec<String>,
    /// How soon an alert or a suspicion has to be on.
    pub detect_within: Period,
    /// How soon after its end all has to be well again.
    pub recover_within: Period,
}
