//! Forgetting a consumer: what is asked for, and how far it is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which consumer is to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForgetInput {
    /// Its name; it need not be configured any more.
    pub consumer: String,
}

/// How far a consumer is forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Forgetting {
    /// The consumer.
    pub consumer: String,
    /// Whether all of it is done.
    pub state: ForgetState,
    /// When it was asked for, in UTC.
    pub begun: String,
    /// When it ended, in UTC; absent while it runs.
    pub ended: Option<String>,
    /// What is done, in this order.
    pub steps: Vec<ForgetStep>,
}

/// One place in which a consumer is forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ForgetStep {
    /// The place: `journal` (payloads of events, whose key is destroyed), `lake` (rows and bodies, whose
    /// files are written anew without them), `gateways` (the others of the environment, for what each
    /// keeps itself), `records` (this gateway's recent records and the firewall's matches), `answers`
    /// (of caches that keep some for a consumer), `files` (callers' files and batches) or `jobs` (with
    /// their inputs and results).
    pub place: String,
    /// How far it is.
    pub state: ForgetState,
    /// Events whose payload nobody can read any more, gateways that did the same, or how many things
    /// were deleted.
    pub count: u64,
    /// What else is to be said, in a sentence: why it failed, or what remains to be done.
    pub note: String,
}

/// How far forgetting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ForgetState {
    /// Its turn has not come.
    #[default]
    Waiting,
    /// It is under way.
    Running,
    /// It is done.
    Done,
    /// It is not known to be done; it may be asked for again.
    Failed,
    /// There is nothing to forget in: the gateway keeps no such place.
    Absent,
}

impl ForgetState {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ForgetState::Waiting => "waiting",
            ForgetState::Running => "running",
            ForgetState::Done => "done",
            ForgetState::Failed => "failed",
            ForgetState::Absent => "absent",
        }
    }
}
