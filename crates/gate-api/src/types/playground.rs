//! One request sent through the gateway from the console.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A request to send through the gateway's own listener.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlaygroundInput {
    /// The listener, by name; the first one when left out.
    #[serde(default)]
    pub listener: Option<String>,
    /// The method.
    #[serde(default = "get")]
    pub method: String,
    /// The host to ask for; the listener's address when left out.
    #[serde(default)]
    pub host: Option<String>,
    /// Path and query, beginning with a slash.
    pub path: String,
    /// Header fields.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body, as text.
    #[serde(default)]
    pub body: String,
}

fn get() -> String {
    "GET".to_owned()
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct PlaygroundReply {
    /// The status.
    pub status: u16,
    /// Header fields.
    pub headers: BTreeMap<String, String>,
    /// The body as text, cut after one mebibyte.
    pub body: String,
    /// Whether the body was cut.
    pub cut: bool,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
}
