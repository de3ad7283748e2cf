//! Records: one row about each finished exchange.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The row of a finished exchange, as a list shows it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct RecordSummary {
    /// Its identity.
    pub id: String,
    /// When the exchange began.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// The method.
    pub method: String,
    /// The host that was asked for.
    pub host: String,
    /// The path, without the query.
    pub path: String,
    /// The route that served it.
    pub route: Option<String>,
    /// Who called.
    pub consumer: Option<String>,
    /// The caller's team.
    pub team: Option<String>,
    /// The model that was asked for.
    pub model: Option<String>,
    /// The provider that answered.
    pub provider: Option<String>,
    /// The status that the caller got.
    pub status: u16,
    /// The fault's code, when it failed.
    pub fault: Option<String>,
    /// Milliseconds from its head to the answer's end.
    pub duration_ms: f64,
    /// The revision that served it.
    pub revision: Option<u64>,
    /// `control` or `candidate`, during a rollout.
    pub arm: Option<String>,
    /// The trace's identity.
    pub trace: Option<String>,
    /// Tokens of the prompt.
    pub tokens_in: Option<u64>,
    /// Tokens of the answer.
    pub tokens_out: Option<u64>,
    /// What it cost, in US dollars as decimal text.
    pub cost: Option<String>,
}

/// All that is kept about a finished exchange.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct RecordDetail {
    /// The row.
    pub record: RecordSummary,
    /// What happened when, in order.
    pub timeline: Vec<Moment>,
    /// Each attempt at a target, in order.
    pub attempts: Vec<Attempt>,
    /// What else is kept, by name; never a secret.
    pub more: serde_json::Map<String, serde_json::Value>,
}

/// One moment of an exchange.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Moment {
    /// Milliseconds from the exchange's beginning.
    pub at_ms: f64,
    /// What, such as `route`, `policy limit`, `first_byte`.
    pub what: String,
    /// More about it.
    pub detail: String,
}

/// One attempt at a target.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Attempt {
    /// The endpoint, or `PROVIDER/MODEL`.
    pub target: String,
    /// Milliseconds from the exchange's beginning.
    pub at_ms: f64,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// The status that came back.
    pub status: Option<u16>,
    /// The fault's code, when it failed.
    pub fault: Option<String>,
}
