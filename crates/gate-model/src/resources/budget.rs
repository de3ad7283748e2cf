//! What may be spent, by whom, for how long; and the prices that say what a call costs.

use super::CallLimits;
use crate::units::{Money, Percent, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How much calls to models may cost. A call falls under every budget of its key, its consumer, its
/// team and the provider that answers, and is refused when one of them has not enough left.
///
/// The most that a call can cost is reserved before it is sent, from the length of the request and
/// from its own limit of output tokens (else the model's), and what it did cost is settled after.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Whose calls count.
    pub of: BudgetOf,
    /// How much they may cost together.
    pub limit: BudgetLimit,
    /// For how long, in UTC: weeks begin on Monday, `total` never ends.
    pub per: BudgetPeriod,
    /// Shares of the limit at which it is told that so much is spent, once per period: an event
    /// `tidegate.budget.threshold`, a line in the log and `tidegate_budget_thresholds_total`.
    #[serde(default)]
    pub warn: Vec<Percent>,
}

/// Whose calls count for a budget.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BudgetOf {
    /// Those with one key, as `CONSUMER/ID`.
    Key(String),
    /// Those of one consumer.
    Consumer(String),
    /// Those of every consumer of one team.
    Team(String),
    /// Those that one provider answers, whoever makes them.
    Provider(String),
}

/// How much a budget allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BudgetLimit {
    /// US dollars.
    Usd(Money),
    /// Tokens, input and output together.
    Tokens(u64),
}

/// For how long a budget's limit holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BudgetPeriod {
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday.
    Week,
    /// From the first of a month to its last day.
    Month,
    /// For ever.
    Total,
}

/// A team, which pays for consumers.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Team {
    /// What it does, for people.
    pub description: Option<String>,
    /// Models its consumers may use; what a consumer itself may use when left out.
    pub models: Option<Vec<String>>,
    /// How much all its consumers together may ask for per time, on this gateway.
    pub limits: CallLimits,
}

/// What a provider's model costs, instead of what the built-in catalogue says. Of several entries
/// each changes what it names from its date on: what a later one leaves out, in its tier and above
/// its length, stays as the earlier ones have it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Price {
    /// From when these prices hold; always when left out. The latest that has begun counts, the
    /// first one also before it begins.
    pub from: Option<Timestamp>,
    /// Only for requests with more input tokens than this.
    pub above_input_tokens: u64,
    /// Only for calls that the provider serves in this tier: batches, or what a request's
    /// `service_tier` asked for and the answer grants. What a tier has no price for costs what it
    /// does in the standard one.
    pub tier: ServiceTier,
    /// US dollars per million tokens, by kind. Kinds that are left out cost what `input` or
    /// `output` does.
    pub per_million: BTreeMap<TokenKind, Money>,
    /// US dollars per request, whatever is in it.
    pub per_request: Option<Money>,
    /// US dollars per image made. This and the prices below it hold for calls whose tokens have none.
    pub per_image: Option<Money>,
    /// US dollars per second of audio heard.
    pub per_second: Option<Money>,
    /// US dollars per character to speak.
    pub per_character: Option<Money>,
    /// US dollars per query of rerank.
    pub per_query: Option<Money>,
    /// US dollars per search of the web by the provider, beside what its tokens cost.
    pub per_search: Option<Money>,
}

/// The price list that a provider bills a call by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceTier {
    /// The usual one.
    #[default]
    Standard,
    /// Batches: within a day, for less.
    Batch,
    /// `flex`: slower, for less.
    Flex,
    /// `priority`: sooner, for more.
    Priority,
}

impl ServiceTier {
    /// The tier that a vendor's word names: OpenAI's `service_tier`, Anthropic's, Gemini's
    /// `serviceTier`, Vertex's `trafficType`. The usual one for any other word.
    #[must_use]
    pub fn of(word: &str) -> Self {
        const WORDS: [(&str, ServiceTier); 6] = [
            ("batch", ServiceTier::Batch),
            ("flex", ServiceTier::Flex),
            ("on_demand_flex", ServiceTier::Flex),
            ("priority", ServiceTier::Priority),
            ("fast", ServiceTier::Priority),
            ("on_demand_priority", ServiceTier::Priority),
        ];
        let known = WORDS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(word));
        known.map_or(Self::Standard, |(_, tier)| *tier)
    }

    /// The word used in configuration and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Batch => "batch",
            Self::Flex => "flex",
            Self::Priority => "priority",
        }
    }
}

/// Kinds of tokens with a price of their own.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// Read.
    Input,
    /// Written.
    Output,
    /// Read from the provider's prompt cache.
    Cached,
    /// Written to it, for five minutes.
    CacheWrite,
    /// Written to it, for an hour.
    CacheWriteHour,
    /// Spent on thinking.
    Reasoning,
    /// Audio that is read.
    AudioInput,
    /// Audio that is written.
    AudioOutput,
    /// Audio that is read from the cache.
    AudioCached,
    /// Images that are read.
    ImageInput,
    /// Images that are drawn.
    ImageOutput,
}
