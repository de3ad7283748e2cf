//! Usage plans: what a consumer may ask for, per time and per calendar period.

use super::BudgetPeriod;
use crate::units::{Rate, TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a consumer may ask for. Consumers name their plan; routes hold them to it by the policy
/// `plan`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What it is for, for people.
    #[serde(default)]
    pub description: Option<String>,
    /// The time zone in which the days, weeks and months of quotas begin.
    #[serde(default)]
    pub time_zone: TimeZone,
    /// Limits by name, at most 8. A request counts in every limit that it falls under, and passes
    /// only where all of them have room. Every consumer of the plan has each of them for itself.
    pub limits: BTreeMap<String, PlanLimit>,
}

/// One limit of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlanLimit {
    /// Routes whose requests count, together; all that hold callers to their plan when empty.
    pub routes: Vec<String>,
    /// Methods of requests that count, such as `POST`; all when empty.
    pub methods: Vec<String>,
    /// How many requests per time, on each gateway.
    pub rate: Option<Rate>,
    /// Requests that may come at once; the rate's own count when left out.
    pub burst: Option<u32>,
    /// How many requests in a calendar period, on all gateways of the store together. Needs
    /// `gateway.store`.
    pub quota: BTreeMap<QuotaPeriod, u64>,
}

/// A calendar period.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum QuotaPeriod {
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday.
    Week,
    /// From the first of a month to its last day.
    Month,
}

impl QuotaPeriod {
    /// The word used in configuration and in names of quotas.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

impl From<QuotaPeriod> for BudgetPeriod {
    fn from(period: QuotaPeriod) -> Self {
        match period {
            QuotaPeriod::Day => Self::Day,
            QuotaPeriod::Week => Self::Week,
            QuotaPeriod::Month => Self::Month,
        }
    }
}
