//! Tokens, money and budgets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was used, summed by what was asked for: for one day, consumer and model of a provider unless
/// `by` says otherwise. What it was not summed by is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct UsageRow {
    /// The day, in UTC; empty where it was not summed by days.
    pub day: String,
    /// Who called.
    pub consumer: Option<String>,
    /// Who pays.
    pub team: Option<String>,
    /// The provider.
    pub provider: Option<String>,
    /// The provider's model.
    pub model: Option<String>,
    /// The consumer's key, as `storefront/main`.
    pub key: Option<String>,
    /// The model that was asked for.
    pub asked: Option<String>,
    /// The route.
    pub route: Option<String>,
    /// The caller's tag (`gateway.store.tag_header`).
    pub tag: Option<String>,
    /// The revision that served it.
    pub revision: Option<u64>,
    /// Calls.
    pub calls: u64,
    /// Those of them that are charged at what was reserved, because their gateway died.
    pub unsettled: u64,
    /// Those of them that have no price.
    pub unpriced: u64,
    /// Tokens of prompts.
    pub tokens_in: u64,
    /// Tokens of answers.
    pub tokens_out: u64,
    /// What it cost, in US dollars as decimal text.
    pub cost: String,
}

/// Spend that is out of the usual for its hour and weekday. It pages nobody.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct SpendSuspicion {
    /// What spends: `consumer`, `team`, `model` (that callers ask for), or `all` of them together.
    pub of: String,
    /// Its name; empty for all.
    pub name: String,
    /// The hour in which it began, in UTC.
    pub since: String,
    /// The same in UNIX milliseconds.
    pub since_ms: u64,
    /// The first hour that was usual again; absent while it is open.
    pub until: Option<String>,
    /// The hour with the greatest difference, which the figures are of; it may not be over.
    pub hour: String,
    /// What the hour cost, in US dollars.
    pub spent: f64,
    /// What was to be expected.
    pub expected: f64,
    /// Up to which it would have been usual.
    pub high: f64,
    /// All of it in words.
    pub text: String,
    /// What made the difference, what is new first.
    pub parts: Vec<SpendPart>,
}

/// What made a difference in spend: one name that bears at least half of it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct SpendPart {
    /// What it is a name of: `team`, `consumer`, `key`, `model`, `route`, `tag`, `revision`.
    pub column: String,
    /// The name.
    pub name: String,
    /// What it cost in the hour, in US dollars.
    pub spent: f64,
    /// What was to be expected, by its share of the day before.
    pub expected: f64,
    /// Its share of the difference, at most 1.
    pub share: f64,
    /// It cost nothing the day before.
    pub is_new: bool,
}

/// How a budget stands.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct BudgetState {
    /// Its name.
    pub name: String,
    /// Whose share of it, for budgets that each of several has.
    pub of: Option<String>,
    /// The period that runs now, such as `2026-11`.
    pub period: String,
    /// What is limited: `dollars` or `tokens`.
    pub unit: String,
    /// The limit, as decimal text.
    pub limit: String,
    /// What is spent.
    pub spent: String,
    /// What is reserved by exchanges in flight.
    pub reserved: String,
    /// The spent share of the limit.
    pub share: f64,
}
