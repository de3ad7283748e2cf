//! What whoever leads remembers in the store about what it told.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far an environment's events are told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// The generation of the environment up to which its history is told.
    pub(super) generation: u64,
    /// The revision that was in force then.
    pub(super) revision: Option<u64>,
    /// The newest rollouts and the state of each that was told.
    pub(super) rollouts: BTreeMap<String, String>,
    /// Incidents that were told to be open.
    pub(super) incidents: BTreeMap<String, bool>,
    /// Alerts that were told to be on, by the hash of their labels, and since when.
    pub(super) alerts: BTreeMap<String, u64>,
    /// Schedules by name.
    pub(super) schedules: BTreeMap<String, Seen>,
}

/// How far a schedule is looked after.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Up to when, in UNIX milliseconds.
    pub(super) until_ms: i64,
    /// When it is due, as it was written: another one begins anew.
    pub(super) at: String,
}
