//! How what a gateway calls is doing, as the gateway that is asked sees it.

use super::Rates;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a provider or an upstream is doing.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct ProviderHealth {
    /// Its name.
    pub name: String,
    /// `provider` or `upstream`.
    pub kind: String,
    /// The vendor's kind, such as `anthropic`; empty for an upstream.
    pub vendor: String,
    /// How it is.
    pub state: ProviderState,
    /// Addresses that may be called: neither unhealthy nor ejected.
    pub available: u32,
    /// All of its addresses.
    pub endpoints: u32,
    /// Calls in flight.
    pub in_flight: u32,
    /// What went wrong last, such as `rate_limited (429)` or `connect_failed`.
    pub last_error: Option<String>,
    /// When that was.
    #[schemars(extend("format" = "date-time"))]
    pub last_failure: Option<String>,
    /// When something worked last, to the second.
    #[schemars(extend("format" = "date-time"))]
    pub last_success: Option<String>,
    /// The last minutes; nothing until somebody has looked.
    pub rates: Rates,
    /// Its addresses.
    pub addresses: Vec<AddressHealth>,
    /// A provider's credentials.
    pub credentials: Vec<CredentialHealth>,
    /// What models call at a provider.
    pub targets: Vec<TargetHealth>,
}

/// How a provider or an upstream is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ProviderState {
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// All of it can be used.
    Healthy,
    /// Some of it cannot be used, or what was called last has failed.
    Degraded,
    /// None of it can be used.
    Down,
}

/// How one address is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct AddressHealth {
    /// As configured.
    pub address: String,
    /// What its health check says; true where there is none.
    pub healthy: bool,
    /// Until when it is left out for failing.
    #[schemars(extend("format" = "date-time"))]
    pub ejected_until: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// Calls in flight.
    pub in_flight: u32,
    /// What went wrong last; not told apart by address for a provider.
    pub last_error: Option<String>,
    /// When that was.
    #[schemars(extend("format" = "date-time"))]
    pub last_failure: Option<String>,
    /// When it worked last, to the second; not told apart by address for a provider.
    #[schemars(extend("format" = "date-time"))]
    pub last_success: Option<String>,
}

/// How a credential is. Its secret is nowhere in this.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct CredentialHealth {
    /// Where its secret comes from, such as `env:OPENAI_API_KEY`.
    pub name: String,
    /// Until when it is passed over.
    #[schemars(extend("format" = "date-time"))]
    pub resting_until: Option<String>,
    /// What it was refused with last, where it has not worked since.
    pub last_error: Option<String>,
    /// When that was.
    #[schemars(extend("format" = "date-time"))]
    pub last_failure: Option<String>,
}

/// How one of a provider's models is.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct TargetHealth {
    /// The provider's name for it.
    pub model: String,
    /// Models of the configuration that call it.
    pub used_by: Vec<String>,
    /// Until when it is passed over.
    #[schemars(extend("format" = "date-time"))]
    pub resting_until: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When that was.
    #[schemars(extend("format" = "date-time"))]
    pub last_failure: Option<String>,
    /// When it worked last, to the second.
    #[schemars(extend("format" = "date-time"))]
    pub last_success: Option<String>,
    /// Calls in flight, for models that have a choice or a limit.
    pub in_flight: u32,
    /// How many calls it takes at a time now, for models that limit them.
    pub limit: Option<u32>,
    /// Calls that wait for a place, for models that limit them.
    pub waiting: Option<u32>,
    /// Milliseconds that a first token takes of late, where that is measured to decide by it.
    pub first_token_ms: Option<f64>,
    /// Milliseconds that a whole answer takes of late, where that is measured to decide by it.
    pub whole_ms: Option<f64>,
    /// What the provider says that it still takes, by credential.
    pub headroom: Vec<Headroom>,
}

/// What a provider still takes from a credential at one of its models, as its answers say. Read where
/// a model has something to choose from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Headroom {
    /// The credential.
    pub credential: String,
    /// Until when it is passed over here.
    #[schemars(extend("format" = "date-time"))]
    pub resting_until: Option<String>,
    /// Requests left.
    pub requests_left: Option<u64>,
    /// Tokens left.
    pub tokens_left: Option<u64>,
    /// Until when `tokens_left` counts.
    #[schemars(extend("format" = "date-time"))]
    pub tokens_until: Option<String>,
    /// What it was refused with last, where it has not worked since.
    pub last_error: Option<String>,
}
