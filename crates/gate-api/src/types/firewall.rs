//! What the firewall matched, and what to leave out of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A rule of the firewall that matched a part of a request or an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct WafMatch {
    /// When the exchange began.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// The route that it took.
    pub route: Option<String>,
    /// The rule's id.
    pub rule: u32,
    /// The rule's message, without what it quotes.
    pub message: String,
    /// How grave the rule calls it, such as `CRITICAL`; empty where it does not say.
    pub severity: String,
    /// The phase in which it matched: 1 and 2 for the request, 3 and 4 for the answer.
    pub phase: u8,
    /// What it looked at, such as `ARGS:q`.
    pub variable: String,
    /// The shape of the value: letters as `a`, digits as `9`, marks as they are. The value itself is
    /// kept nowhere.
    pub shape: String,
    /// What became of the exchange: `blocked`, `detected` (it would have been), or `passed` (the sum
    /// of scores did not reach the threshold).
    pub action: String,
    /// Anomaly score of the request.
    pub inbound_score: i64,
    /// Anomaly score of the answer.
    pub outbound_score: i64,
    /// The status that the caller got.
    pub status: u16,
    /// Who called.
    pub consumer: Option<String>,
    /// The caller's address.
    pub client: String,
    /// The trace's identity.
    pub trace: Option<String>,
}

/// The narrowest exclusion that would have prevented some matches, and what speaks for it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct WafSuggestion {
    /// The route that it is for.
    pub route: String,
    /// The rule's id.
    pub rule: u32,
    /// The rule's message.
    pub message: String,
    /// What is left out, such as `ARGS:comment`.
    pub target: String,
    /// Matches that it would have prevented.
    pub matches: u64,
    /// How many of their exchanges were refused, or would have been.
    pub refused: u64,
    /// Different callers among them.
    pub callers: u64,
    /// Shapes of values that were seen, the most frequent first, three at most.
    pub shapes: Vec<String>,
    /// Whether it leaves out more than one member, because none can be told apart: look closer.
    pub broad: bool,
    /// The entry for the policy's list `exclude`, in YAML.
    pub yaml: String,
}
