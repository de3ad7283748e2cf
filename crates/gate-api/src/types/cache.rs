//! Caches of answers and what they are to forget.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What caches are to forget: exactly one of `key`, `prefix`, `tag` and `all`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PurgeInput {
    /// The answers of this place: host, path and query, such as `shop.example/items?page=2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Those of all places that begin so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Those that carry this tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// All.
    pub all: bool,
    /// Of this route only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Whether they may still be given while they are asked for again, or instead of an error.
    pub soft: bool,
}

/// What a purge did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Purged {
    /// Entries that this gateway forgot; other gateways of its environment forget theirs within a
    /// second.
    pub entries: u64,
}

/// A cache of answers of this gateway.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct CacheState {
    /// Its route, its position there and its kind, such as `shop/1/cache`.
    pub name: String,
    /// Entries in memory.
    pub entries: u64,
    /// Bytes in memory.
    pub bytes: u64,
    /// Requests that were answered with what was kept, since the start.
    pub hits: u64,
    /// Requests for which the target was asked, since the start.
    pub misses: u64,
    /// `hits` of both, between 0 and 1.
    pub hit_ratio: f64,
    /// Answers that were given though they are too old, since the start.
    pub stale: u64,
    /// Hits that waited for the answer to the same request, since the start.
    pub collapsed: u64,
    /// Entries on disk.
    pub disk_entries: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Answers that were kept, since the start.
    pub stored: u64,
    /// Answers that went to make room, since the start.
    pub evicted: u64,
    /// Answers that were too large, since the start.
    pub oversized: u64,
    /// Answers that were purged, since the start.
    pub purged: u64,
}
