//! Rollouts and their evidence. What a state means is the engine's business; here it is kept.

use super::{Lease, Target};
use serde::Serialize;

/// A rollout to start, or to save together with a change of its environment.
#[derive(Debug, Clone, Copy)]
pub struct NewRollout<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its version that the caller has seen; 0 to start it.
    pub expected: u64,
    /// The revision that is tried.
    pub candidate: Target,
    /// The revision that it is compared with.
    pub control: Option<u64>,
    /// `running`, `held`, `promoted`, `rolled_back`.
    pub state: &'a str,
    /// All else, as JSON: share, step, strategy, reason; at most 1 MiB.
    pub data: &'a str,
}

/// A rollout as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RolloutRow {
    /// Its id.
    pub id: String,
    /// Its place in the order of starting, from 1; for pages.
    pub number: u64,
    /// Its environment.
    pub environment: String,
    /// The revision that is tried.
    pub candidate: u64,
    /// The revision that it is compared with.
    pub control: Option<u64>,
    /// `running`, `held`, `promoted`, `rolled_back`.
    pub state: String,
    /// All else, as JSON.
    pub data: String,
    /// Grows with each write.
    pub version: u64,
    /// When it was started, in UNIX milliseconds.
    pub started_ms: i64,
    /// When it was last written, in UNIX milliseconds.
    pub changed_ms: i64,
}

/// A rollout's state to save.
#[derive(Debug, Clone, Copy)]
pub struct RolloutSave<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its version that the caller has seen.
    pub expected: u64,
    /// `running`, `held`, `promoted`, `rolled_back`.
    pub state: &'a str,
    /// All else, as JSON; at most 1 MiB.
    pub data: &'a str,
    /// The lease that the caller acts under, when only its holder may.
    pub lease: Option<&'a Lease>,
    /// Now, in UNIX milliseconds.
    pub now_ms: i64,
}

/// What one instance has counted in one step of a rollout, since that step began. All numbers are
/// totals.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EvidenceRow {
    /// The rollout.
    pub rollout: String,
    /// The instance.
    pub instance: String,
    /// The step, in which the candidate's weight stays the same.
    pub step: u64,
    /// What part of the traffic: a route's name; empty for all.
    pub slice: String,
    /// `errors`, `latency`, `time_to_first_token`, `cost`, or the name of an expression.
    pub signal: String,
    /// Exchanges on the control.
    pub control_total: u64,
    /// Bad ones of them.
    pub control_bad: u64,
    /// Exchanges on the candidate.
    pub candidate_total: u64,
    /// Bad ones of them.
    pub candidate_bad: u64,
    /// More of the engine's own, as JSON; at most 64 KiB.
    pub data: String,
    /// When, in UNIX milliseconds.
    pub at_ms: i64,
}
