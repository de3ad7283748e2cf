//! What a gateway is doing now.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What this gateway did in the last minutes.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Live {
    /// When this was taken.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// The length of the window, in seconds: between four and five minutes, or since `since`.
    pub window_s: u64,
    /// Since when exchanges are counted: with the first look, or from the start where records are
    /// kept.
    #[schemars(extend("format" = "date-time"))]
    pub since: String,
    /// Exchanges of the window that are in no figure, because too many ended at once.
    pub missed: u64,
    /// Everything.
    pub total: Rates,
    /// The window in slices, oldest first.
    pub series: Vec<LivePoint>,
    /// By route.
    pub routes: BTreeMap<String, Rates>,
    /// By model.
    pub models: BTreeMap<String, Rates>,
    /// By provider.
    pub providers: BTreeMap<String, Rates>,
    /// By upstream.
    pub upstreams: BTreeMap<String, Rates>,
    /// By consumer.
    pub consumers: BTreeMap<String, Rates>,
    /// By revision.
    pub revisions: BTreeMap<String, Rates>,
}

/// What happened in a slice of the window.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct LivePoint {
    /// When the slice began.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// How long it is, in seconds.
    pub seconds: u64,
    /// What happened in it.
    pub rates: Rates,
}

/// Counts and rates of finished exchanges.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Rates {
    /// Exchanges.
    pub requests: u64,
    /// Exchanges per second.
    pub per_second: f64,
    /// Those that failed: answered with 5xx, or with a fault that is not the caller's.
    pub errors: u64,
    /// Their share.
    pub error_share: f64,
    /// Milliseconds from the request's head to the answer's end.
    pub latency_ms: Quantiles,
    /// Milliseconds to a model's first token.
    pub first_token_ms: Quantiles,
    /// Tokens of prompts.
    pub tokens_in: u64,
    /// Tokens of answers.
    pub tokens_out: u64,
    /// What it cost, in US dollars as decimal text.
    pub cost: String,
}

/// Quantiles; zero where nothing was measured.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Quantiles {
    /// The median.
    pub p50: f64,
    /// Nine of ten are below.
    pub p90: f64,
    /// 99 of 100 are below.
    pub p99: f64,
}
