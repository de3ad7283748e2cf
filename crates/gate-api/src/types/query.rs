//! Questions to the lake in SQL, saved ones among them, and the data products that they may read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// A question.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryInput {
    /// A `SELECT` over the tables `records` and `bodies` and over data products.
    pub sql: String,
    /// Most rows of the answer, at most 10,000; what is beyond is left out.
    #[serde(default)]
    pub rows_max: Option<u32>,
}

/// Values for a saved query.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SavedQueryInput {
    /// Values of its parameters, by name; those that are left out have their default.
    pub parameters: BTreeMap<String, String>,
    /// Most rows of the answer; at most what the query allows.
    pub rows_max: Option<u32>,
}

/// What the lake holds of it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct QueryAnswer {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows, each with a value per column: a number, a text or null; bytes that are no text as
    /// hexadecimal digits.
    pub rows: Vec<Vec<Value>>,
    /// Whether there are more rows.
    pub truncated: bool,
    /// How many rows of the lake were looked at.
    pub rows_read: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
}

/// A saved query.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct SavedQueryState {
    /// Its name.
    pub name: String,
    /// What it tells.
    pub description: Option<String>,
    /// What it asks.
    pub sql: String,
    /// Its parameters by name.
    pub parameters: Vec<SavedQueryParameter>,
    /// Most rows of its answer.
    pub rows_max: u32,
    /// How long it may take, in milliseconds.
    pub time_max_ms: u64,
    /// How its answer is drawn: `line`, `bar`, or not at all.
    pub plot: Option<String>,
}

/// A parameter of a saved query.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct SavedQueryParameter {
    /// Its name.
    pub name: String,
    /// `text` or `integer`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its value where none is given.
    pub default: Option<String>,
    /// What it means.
    pub description: Option<String>,
}

/// A data product, as far as the caller may read it.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct DataProductState {
    /// Its name.
    pub name: String,
    /// The table that queries read it as.
    pub table: String,
    /// The team that answers for it.
    pub owner: String,
    /// What it is.
    pub description: Option<String>,
    /// The data set that it is a part of.
    pub from: String,
    /// Its columns, in order.
    pub columns: Vec<DataProductColumn>,
    /// Teams that read it beside its owner.
    pub readers: Vec<String>,
    /// How long its rows can be read, in milliseconds; as long as the lake keeps them when absent.
    pub keep_ms: Option<u64>,
    /// How soon its rows are promised to be there, in milliseconds.
    pub fresh_within_ms: Option<u64>,
    /// How long rows of this gateway take, in milliseconds: the last ones, or the oldest that waits,
    /// whichever is more; absent before the first.
    pub delay_ms: Option<u64>,
    /// Whether that is longer than promised.
    pub late: bool,
    /// Times that rows of this gateway came later than promised, or not at all.
    pub breaches: u64,
    /// When the exchange of a row that came last had ended.
    pub newest: Option<String>,
    /// What the configuration in force breaks of its contract.
    pub broken: Vec<String>,
}

/// A column of a data product.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct DataProductColumn {
    /// Its name.
    pub name: String,
    /// What its values are: `time`, `integer`, `id`, `text`, `content` or `flag`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it means.
    pub meaning: String,
    /// Whether every row is promised to have a value.
    pub required: bool,
}
