//! Questions to the lake in SQL.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A question.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QueryInput {
    /// A `SELECT` over the tables `records` and `bodies`.
    pub sql: String,
    /// Most rows of the answer, at most 10,000; what is beyond is left out.
    #[serde(default)]
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
