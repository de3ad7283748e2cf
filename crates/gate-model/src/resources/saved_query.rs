//! Saved queries: questions to the lake that are asked again and again, by name.

use crate::units::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A question to the lake with a name. Whoever may look at the gateway may run it, and sees the rows
/// that it may see: its parameters stand for values and can say nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SavedQuery {
    /// What it tells, for people.
    #[serde(default)]
    pub description: Option<String>,
    /// A `SELECT` over `records`, `bodies` and data products; `:name` stands for a parameter's value.
    pub sql: String,
    /// Its parameters, by name.
    #[serde(default)]
    pub parameters: BTreeMap<String, QueryParameter>,
    /// Most rows of its answer, from 1 to 10,000.
    #[serde(default = "rows_max")]
    pub rows_max: u32,
    /// How long it may take, at most 15 seconds.
    #[serde(default = "time_max")]
    pub time_max: Period,
    /// How the console draws the answer: the first column along the bottom, the numbers of the others
    /// above. A table alone when left out.
    #[serde(default)]
    pub plot: Option<QueryPlot>,
}

fn rows_max() -> u32 {
    10_000
}

fn time_max() -> Period {
    Period::from_seconds(15)
}

/// A parameter of a saved query.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueryParameter {
    /// What its values are.
    #[serde(rename = "type")]
    pub kind: QueryParameterType,
    /// Its value where none is given; one must be given when left out.
    pub default: Option<String>,
    /// What it means, for people.
    pub description: Option<String>,
}

/// What values a parameter takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueryParameterType {
    /// Text, such as a name or a span (`24h`).
    #[default]
    Text,
    /// A whole number.
    Integer,
}

/// How an answer is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QueryPlot {
    /// A line per column.
    Line,
    /// Bars.
    Bar,
}
