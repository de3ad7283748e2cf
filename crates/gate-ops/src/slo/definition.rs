//! What an objective counts: which exchanges, and which of them are good.
//!
//! The data plane decides about each exchange by these words; the monitor (`mod.rs`) only sees the
//! counts.

use super::{Objective, Unfit};
use serde::{Deserialize, Serialize};

/// When an exchange is good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Good {
    /// The caller got an answer that is no failure of ours or of what is behind us.
    Available {},
    /// The answer was complete within so many microseconds.
    Latency {
        /// Microseconds, at most.
        most_us: u64,
    },
    /// The first token was there within so many microseconds.
    TimeToFirstToken {
        /// Microseconds, at most.
        most_us: u64,
    },
    /// It cost at most so much.
    Cost {
        /// Millionths of a dollar, at most.
        most_micros: u64,
    },
    /// A detector had nothing to object to.
    Quality {
        /// The detector's name.
        detector: String,
    },
    /// An expression over its record holds.
    Holds {
        /// The expression, in CEL.
        expression: String,
    },
}

impl Good {
    /// The word used in metrics and other formats.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Good::Available {} => "available",
            Good::Latency { .. } => "latency",
            Good::TimeToFirstToken { .. } => "time_to_first_token",
            Good::Cost { .. } => "cost",
            Good::Quality { .. } => "quality",
            Good::Holds { .. } => "expression",
        }
    }
}

/// Which exchanges count; a field that is none does not restrict them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scope {
    /// By the name of the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// By the name of the model that callers use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// By the name of the provider that was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// By the consumer that called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// By the team that pays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
}

/// An objective and what it counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    /// The promise.
    pub objective: Objective,
    /// When an exchange is good.
    pub good: Good,
    /// Which exchanges count.
    pub scope: Scope,
    /// What it belongs to.
    pub service: String,
    /// What it is for, in a sentence or a few.
    pub description: String,
    /// Address of what is to be done when it burns; empty without one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub runbook: String,
    /// Share of the budget that must be left for changes, from 0 to 1; none where they are not held
    /// up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes_need: Option<f64>,
}

impl Definition {
    /// What is wrong with it.
    ///
    /// # Errors
    /// The first thing that is, in a sentence.
    pub fn check(&self) -> Result<(), Unfit> {
        if self.objective.name.is_empty() {
            return Err(Unfit("an objective needs a name".into()));
        }
        super::Monitor::new(&self.objective).map(drop)
    }
}
