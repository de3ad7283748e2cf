//! Versions of APIs, and who calls them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A version of an API, and who called it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct VersionState {
    /// The API.
    pub api: String,
    /// The version; empty for calls that named none that there is.
    pub version: String,
    /// Where it is in its life now: `preview`, `active`, `deprecated` or `retired`; `unknown` where
    /// the configuration has it no longer.
    pub stage: String,
    /// Since when it is deprecated, or from when on it will be.
    #[schemars(extend("format" = "date-time"))]
    pub deprecated_at: Option<String>,
    /// When it is retired.
    #[schemars(extend("format" = "date-time"))]
    pub sunset_at: Option<String>,
    /// Until when it refuses, where it is in a window of its brown-outs.
    #[schemars(extend("format" = "date-time"))]
    pub paused_until: Option<String>,
    /// Calls of all callers.
    pub calls: u64,
    /// Who called it, the most calls first.
    pub callers: Vec<VersionCaller>,
}

/// Calls of one consumer to one version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct VersionCaller {
    /// Who called; absent where nobody was authenticated.
    pub consumer: Option<String>,
    /// The routes they came through.
    pub routes: Vec<String>,
    /// Calls.
    pub calls: u64,
    /// Those of them that failed by the service's or the gateway's fault.
    pub failed: u64,
    /// Those of them that were refused, because the version is retired or refuses for a while.
    pub refused: u64,
    /// The latest one.
    #[schemars(extend("format" = "date-time"))]
    pub last: String,
}
