//! What an on-call engineer would look at first, collected.

use super::RecordSummary;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where it fails as seen from this gateway, and what may have to do with it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Diagnosis {
    /// When this was taken.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
    /// The answer, in a sentence.
    pub answer: String,
    /// From when exchanges are looked at: since it began, or the last minutes.
    #[schemars(extend("format" = "date-time"))]
    pub from: String,
    /// Until when.
    #[schemars(extend("format" = "date-time"))]
    pub until: String,
    /// Whether a beginning was found in the counts; else nothing speaks for one.
    pub has_onset: bool,
    /// Exchanges in this time, of those that are kept.
    pub total: u64,
    /// Those that failed through no fault of their caller.
    pub bad: u64,
    /// Where they are: the likeliest answer first, then the runners-up.
    pub answers: Vec<DiagnosisAnswer>,
    /// The same by one dimension at a time.
    pub dimensions: Vec<DiagnosisDimension>,
    /// What was looked at besides, what is bad first.
    pub findings: Vec<DiagnosisFinding>,
    /// What failed of late, the newest first.
    pub samples: Vec<RecordSummary>,
    /// What depends on what.
    pub dependencies: Vec<Dependency>,
}

/// An explanation of where it fails.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct DiagnosisAnswer {
    /// In the operator's words, with its evidence.
    pub text: String,
    /// Any of these places.
    pub cell: Vec<BTreeMap<String, String>>,
    /// Exchanges there.
    pub total: u64,
    /// Those that failed.
    pub bad: u64,
    /// How many were to be expected.
    pub expected: f64,
    /// Share of the excess that is there, from 0 to 1.
    pub explained: f64,
}

/// Exchanges by the values of one dimension.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct DiagnosisDimension {
    /// Its name, such as `route`.
    pub name: String,
    /// Its values, what failed most first; at most 20.
    pub values: Vec<DiagnosisValue>,
    /// Values that are left out.
    pub more: u64,
}

/// Exchanges of one value of a dimension.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct DiagnosisValue {
    /// The value; empty where an exchange has none.
    pub value: String,
    /// Exchanges.
    pub total: u64,
    /// Those that failed.
    pub bad: u64,
    /// Exchanges in the time before.
    pub total_before: u64,
    /// Those that failed then.
    pub bad_before: u64,
}

/// How something is that was looked at.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DiagnosisState {
    /// It is bad.
    Bad,
    /// It may have to do with it.
    Doubtful,
    /// It could not be looked at.
    #[default]
    Unknown,
    /// It is well.
    Well,
}

impl DiagnosisState {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bad => "bad",
            Self::Doubtful => "doubtful",
            Self::Unknown => "unknown",
            Self::Well => "well",
        }
    }
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct DiagnosisFinding {
    /// What kind of thing: `revision`, `upstream`, `provider`, `name`, `certificate`, `saturation`,
    /// `headroom`, `store`.
    pub kind: String,
    /// Which.
    pub subject: String,
    /// How it is.
    pub state: DiagnosisState,
    /// In a sentence.
    pub text: String,
    /// The path, below `/api`, of what shows it; empty where nothing does.
    pub link: String,
}

/// Something that depends on something else.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Dependency {
    /// What depends, as `routes/NAME` or `models/NAME`.
    pub from: String,
    /// On what, as `upstreams/NAME`, `models/NAME` or `providers/NAME`.
    pub to: String,
    /// Whether that is down, itself or by what it needs.
    pub is_down: bool,
}
