//! Promises about exchanges, and how they are kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How an objective stands, as all gateways of the environment together have counted it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ObjectiveState {
    /// Its name.
    pub name: String,
    /// The service that it belongs to; may be empty.
    pub service: String,
    /// What it is for; may be empty.
    pub description: String,
    /// Address of what is to be done when it burns.
    pub runbook: Option<String>,
    /// What it is about: `route`, `model`, `provider`, `consumer` and `team` by name; everything
    /// when empty.
    pub scope: BTreeMap<String, String>,
    /// What makes an exchange good: `available`, `latency`, `time_to_first_token`, `cost`, `quality`
    /// or `expression`.
    pub indicator: String,
    /// Share of exchanges that are to be good, from 0 to 1.
    pub target: f64,
    /// The window: `30d`, or `month` and a time zone.
    pub window: String,
    /// Exchanges in the window.
    pub total: u64,
    /// Bad ones among them.
    pub bad: u64,
    /// Share of the error budget that is left: 1 untouched, 0 spent, below 0 overspent; absent
    /// without exchanges.
    pub budget_left: Option<f64>,
    /// How many times as fast as allowed it burnt in the last hour.
    pub burn: Option<f64>,
    /// The same in every window that an alert reads, the shortest first.
    pub burns: Vec<BurnState>,
    /// What is on.
    pub alerts: Vec<AlertState>,
    /// When the budget will be spent, where it burns faster than allowed.
    pub forecast: Option<BudgetForecast>,
    /// Share of the budget that must be left for changes.
    pub changes_need: Option<f64>,
    /// Where the excess of bad exchanges was when it was last asked, the best answer first.
    pub places: Vec<PlaceState>,
    /// How long what it is about took. Only where one objective is asked for, its indicator is `latency`
    /// of a route or of all, or `time_to_first_token` of a model or of all, and there is anything.
    pub durations: Option<DurationsState>,
    /// Whether counts outlive this process: it has a store.
    pub is_stored: bool,
}

/// How long exchanges of a route took, or first tokens of a model, since they began to be kept: of all
/// gateways of the store and of their earlier lives, good or bad, whatever the objective's window is.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct DurationsState {
    /// How many there were.
    pub count: u64,
    /// Quantiles, the least first: 0.5, 0.9 and 0.99.
    pub quantiles: Vec<QuantileState>,
    /// Largest relative error of a quantile: 0.010831.
    pub error: f64,
    /// Whether those of other gateways and of earlier lives are among them: there is a store, and it
    /// answered. What other gateways saw in the last minute may be missing.
    pub is_stored: bool,
}

/// A quantile of durations.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct QuantileState {
    /// Share of durations that are no longer, from 0 to 1.
    pub quantile: f64,
    /// The duration.
    pub seconds: f64,
}

/// Burn over one window.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct BurnState {
    /// The window (`1h`).
    pub window: String,
    /// How many times as fast as allowed.
    pub burn: f64,
}

/// An alert that is on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct AlertState {
    /// `page`, `ticket`, `vanished`, or `suspicion`, which never pages.
    pub alert: String,
    /// Since when, in UNIX milliseconds.
    pub since_ms: u64,
}

/// When an error budget will be spent, if it goes on burning as it does and nothing is given back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct BudgetForecast {
    /// In so many seconds, at the faster of the paces of the last hour and the last six; 0 when it is
    /// spent.
    pub soonest_s: u64,
    /// At the slower of the two; absent when that spends nothing.
    pub latest_s: Option<u64>,
}

/// Where exchanges are bad.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct PlaceState {
    /// In words.
    pub text: String,
    /// Share of the excess that it explains, from 0 to 1.
    pub explained: f64,
}
