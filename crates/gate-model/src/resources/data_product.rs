//! Data products: parts of the lake that a team answers for, with what it promises of them.

use crate::units::Period;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A part of the lake that a team answers for: which rows, which columns, what is promised of them,
/// and who else may read how much of it.
///
/// Queries read it as a table of its name, with `_` for `-`. Members of the owning team and callers
/// whose role is not scoped to teams read all of it; members of `readers` what is said there; to
/// everybody else there is no such table. A revision that breaks what is promised, by what the lake
/// leaves out or hashes, by how long it keeps rows, or by routes that are gone or record no more, is
/// refused by `plan`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataProduct {
    /// The team that answers for it.
    pub owner: String,
    /// What it is, for people.
    #[serde(default)]
    pub description: Option<String>,
    /// The data set that it is a part of.
    #[serde(default)]
    pub from: ProductSource,
    /// Which rows belong to it: columns with the values of which they must have one. All rows when
    /// left out.
    #[serde(default)]
    pub rows: BTreeMap<String, Vec<String>>,
    /// Its columns, with what is promised of each: the contract. Others are not part of it.
    pub columns: BTreeMap<String, ProductColumn>,
    /// How soon after its exchange ended a row can be read, at the latest.
    #[serde(default)]
    pub fresh_within: Option<Period>,
    /// How long rows can be read. The lake must keep them as long; older ones are not shown.
    #[serde(default)]
    pub keep: Option<Period>,
    /// Teams that read it beside its owner, and what of it. A caller of several teams reads as the
    /// first of its teams that may.
    #[serde(default)]
    pub readers: BTreeMap<String, ProductReader>,
}

/// A data set of the lake.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProductSource {
    /// One row per exchange, without content.
    #[default]
    Records,
    /// What was sent and answered.
    Bodies,
}

/// What is promised of a column: that it is recorded, and as what.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProductColumn {
    /// What its values are.
    #[serde(rename = "type")]
    pub kind: ProductColumnType,
    /// Whether every row has a value. Besides columns that all rows have, those can be promised by
    /// which `rows` tells rows apart, and `consumer` where all routes of `rows` authenticate.
    #[serde(default)]
    pub required: bool,
    /// Whether its text may be replaced by a keyed hash.
    #[serde(default)]
    pub hashed: bool,
}

/// What values a column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProductColumnType {
    /// Microseconds since 1970 in UTC.
    Time,
    /// A whole number.
    Integer,
    /// 32 hexadecimal digits.
    Id,
    /// Text.
    Text,
    /// A body.
    Content,
    /// 1 or 0.
    Flag,
}

/// What of a data product a team may read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProductReader {
    /// Rows that it may read: columns with the values of which they must have one. All rows of the
    /// product when left out.
    pub rows: BTreeMap<String, Vec<String>>,
    /// Whether it may read the rows of its own callers alone.
    pub own_rows: bool,
    /// Columns that it may read; all of the product's when left out.
    pub columns: Option<Vec<String>>,
}
