//! Who calls, and how a caller proves it.

use crate::units::{Rate, Sha256Text, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Somebody (or something) that may call.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Consumer {
    /// The team that pays for this consumer's calls.
    pub team: Option<String>,
    /// What this consumer may ask for; held to it by the policy `plan`.
    pub plan: Option<String>,
    /// Keys that prove this consumer; only their SHA-256 is stored (`tidegate keys new` prints both).
    /// To change a key, add the new one, let the old one expire, and remove it later.
    pub keys: Vec<Key>,
    /// Models this consumer may use; all of the route's models when left out.
    pub models: Option<Vec<String>>,
    /// Tools this consumer may call, as callers see their names (`files__read`), with `*` at an end
    /// for any rest; all of the route's when left out. Prompts and resources are open to it of
    /// servers of which it may call a tool.
    pub tools: Option<Vec<String>>,
    /// How much this consumer may ask for per time with all its keys together, on this gateway.
    pub limits: CallLimits,
}

/// A key, kept as its hash.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// SHA-256 of the key, as 64 hexadecimal digits.
    pub sha256: Sha256Text,
    /// A name for the key, unique within the consumer, for records, usage and budgets; the first
    /// eight digits of the hash when left out.
    #[serde(default)]
    pub id: Option<String>,
    /// Until when the key is valid; for ever when left out.
    #[serde(default)]
    pub expires: Option<Timestamp>,
    /// Models this key may be used for; all of the consumer's when left out.
    #[serde(default)]
    pub models: Option<Vec<String>>,
    /// Tools this key may be used for, written as for a consumer; all of the consumer's when left
    /// out.
    #[serde(default)]
    pub tools: Option<Vec<String>>,
    /// Routes this key may be used on; all when left out.
    #[serde(default)]
    pub routes: Option<Vec<String>>,
    /// How much may be asked with this key per time, on this gateway.
    #[serde(default)]
    pub limits: CallLimits,
}

/// How much may be asked of models per time: with a key, by a consumer, by a team, of a provider. A
/// call passes only where all that it falls under have room. Each rate is granted at once and then
/// comes back evenly, so that no stretch of time sees more than twice the rate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CallLimits {
    /// Calls to models.
    pub requests: Option<Rate>,
    /// Tokens, input and output together: what a request has at least is taken before it is sent,
    /// the rest when it has ended.
    pub tokens: Option<Rate>,
}

impl Key {
    /// The key's name.
    #[must_use]
    pub fn name(&self) -> String {
        let digits = || self.sha256.to_string().chars().take(8).collect();
        self.id.clone().unwrap_or_else(digits)
    }
}
