//! The settings of `access`, as they are written.

use super::agent::Agent;
use gate_model::units::{ByteSize, Rate};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Who may call, by lists of addresses and by rules; at least one of them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccessConfig {
    /// Blocks (CIDR) or addresses that may call; everybody when empty. Outside of them nobody is
    /// let in, whatever the rules say.
    pub allow: Vec<String>,
    /// Blocks (CIDR) or addresses that may not call, even if they are allowed above or by a rule.
    pub deny: Vec<String>,
    /// Files in MaxMind's format for countries and networks, relative to the document; the first
    /// that knows decides. Read again when they change.
    pub databases: Vec<PathBuf>,
    /// Rules, at most 256; the first that fits and does not only count decides.
    pub rules: Vec<AccessRule>,
    /// What becomes of requests that no rule decides about.
    pub otherwise: Otherwise,
    /// Fields that tell the target what is known about the caller.
    pub hints: Hints,
}

/// What becomes of requests that no rule decides about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// They go on.
    #[default]
    Allow,
    /// They are refused.
    Block,
}

/// One rule: what it looks at, all of which must fit, and what follows. Within a list, one entry
/// that fits is enough.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccessRule {
    /// Its name in metrics and logs.
    pub name: String,
    /// Blocks (CIDR) or addresses of the caller.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Countries of the caller (ISO 3166-1 alpha-2); `ZZ` stands for an unknown one.
    #[serde(default)]
    pub countries: Vec<String>,
    /// Networks of the caller, as `AS64496`.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Methods.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Paths without the query, after normalising; `*` stands for any text.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Fields and a pattern for one of their values, in any case; `*` stands for any text. All
    /// must fit.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Fields that are not there, all of them.
    #[serde(default)]
    pub without: Vec<String>,
    /// What the request says to come from; hints, never proof.
    #[serde(default)]
    pub agents: Vec<Agent>,
    /// A body of more bytes. Where a body's length is not known beforehand, a rule that blocks
    /// ends it when it grows beyond (`body_too_large`); other rules do not fit then.
    #[serde(default)]
    pub larger_than: Option<ByteSize>,
    /// Labels that rules before this one have given.
    #[serde(default)]
    pub labelled: Vec<String>,
    /// Requests that fit all of the above and may pass per time; the rule fits those beyond it.
    #[serde(default)]
    pub rate: Option<Rate>,
    /// Whose requests `rate` counts together.
    #[serde(default)]
    pub by: CountBy,
    /// What follows.
    pub then: Then,
    /// A label that requests get which fit, for rules behind this one.
    #[serde(default)]
    pub label: Option<String>,
}

/// What follows when a rule fits. Every rule that fits is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// The request goes on; no rule behind this one is asked.
    Allow,
    /// The request is refused: `access_blocked`, or `rate_limited` for a rule with a rate.
    Block,
    /// It is only recorded and labelled; the next rule is asked.
    Count,
}

/// Whose requests a rate counts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CountBy {
    /// One address; IPv6 callers by their /64, which is what one of them controls.
    #[default]
    Address,
    /// One country.
    Country,
    /// One network (autonomous system).
    Network,
    /// All requests that fit.
    Everybody,
}

/// Fields that tell the target what is known about the caller. The caller's own fields of these
/// names are always removed, so that they can be believed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hints {
    /// The field for the country (ISO 3166-1 alpha-2).
    pub country: Option<String>,
    /// The field for the continent (`AF`, `AN`, `AS`, `EU`, `NA`, `OC`, `SA`).
    pub continent: Option<String>,
    /// The field for the network, as `AS64496`.
    pub network: Option<String>,
    /// The field for the kind of program: `browser`, `disguised`, `crawler`, `tool`, `absent` or
    /// `other`.
    pub agent: Option<String>,
    /// The field for the labels that rules gave, joined with `, `.
    pub labels: Option<String>,
}
