//! Versions of an API: how callers name one, where each is in its life, and how an old one lives on
//! a new service.

use super::api::ApiDocument;
use super::shape::Shape;
use crate::units::{Period, TimeZone, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Versions of an API.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiVersions {
    /// Where a request may name its version, the first place that holds something counts.
    pub by: Vec<VersionPlace>,
    /// Which version requests get that name none.
    #[serde(default)]
    pub unnamed: Unnamed,
    /// What stands for `unnamed` for some consumers: a range by the name of the consumer.
    #[serde(default)]
    pub pinned: BTreeMap<String, String>,
    /// Response header that says which version answered; none when left out.
    #[serde(default)]
    pub answer: Option<String>,
    /// Every version, by its full number, such as `1.4.0`.
    pub list: BTreeMap<String, ApiVersion>,
}

/// Where a request may name its version: `2` (any 2.x), `2.1` (any 2.1.x), `2.1.0`, or a range such
/// as `^2` or `>=2.1 <3`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum VersionPlace {
    /// A request header, by name.
    Header(String),
    /// A parameter of the query, by name.
    Query(String),
    /// A segment of the path, such as `v2`.
    Path(VersionSegment),
    /// The media type of `Accept`, or else of `Content-Type`.
    MediaType(VersionMediaType),
}

/// A segment of the path that names a version.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionSegment {
    /// Which one; the first is 1.
    #[serde(default = "first")]
    pub segment: u32,
    /// Whether it is taken out of the path that the service sees.
    #[serde(default)]
    pub strip: bool,
}

const fn first() -> u32 {
    1
}

/// A media type that names a version; exactly one of the two ways.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VersionMediaType {
    /// A parameter, by name: `version` reads `application/json;version=2`.
    pub parameter: Option<String>,
    /// What stands in front of the version: `vnd.acme.orders.v` reads
    /// `application/vnd.acme.orders.v2+json`.
    pub vendor: Option<String>,
}

/// Which version requests get that name none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Unnamed {
    /// The highest that is active, or else deprecated.
    #[default]
    Newest,
    /// The lowest that is not retired, so that who never named one keeps what they began with.
    Oldest,
    /// None: the request is refused.
    Refuse,
    /// The highest within this range.
    Range(String),
}

/// One version of an API.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApiVersion {
    /// Its OpenAPI document, where that is not the API's own. Plans hold documents of compatible versions against each
    /// other, and refuse what breaks callers.
    pub document: Option<ApiDocument>,
    /// Rules of `tidegate api diff` whose breaking changes are accepted in this version, though its
    /// number says that it is compatible with the one before.
    pub accepts: Vec<String>,
    /// Where it is in its life. Dates below carry it on by themselves.
    pub stage: Stage,
    /// Since when it is deprecated, or from when on it will be; sent as Deprecation (RFC 9745).
    pub deprecated_at: Option<Timestamp>,
    /// When it is retired; sent as Sunset (RFC 8594) before.
    pub sunset_at: Option<Timestamp>,
    /// Pages for people, sent as Link.
    pub links: VersionLinks,
    /// Windows in which it refuses, so that who still calls it notices before it is retired.
    pub brownouts: Vec<Brownout>,
    /// The upstream that it lives on, for routes whose target is `api`; that of `shape.onto` when
    /// left out.
    pub upstream: Option<String>,
    /// How its requests and answers are turned into those of a newer version and back.
    pub shape: Option<Shape>,
}

/// Where a version is in its life.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// For who names it in full; ranges pass it over.
    Preview,
    /// For everybody.
    #[default]
    Active,
    /// It works, and says that it will end. From `deprecated_at` on.
    Deprecated,
    /// It answers 410. From `sunset_at` on.
    Retired,
}

/// Pages for people about the end of a version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VersionLinks {
    /// What to do about the deprecation (relation `deprecation` of RFC 9745).
    pub deprecation: Option<String>,
    /// The policy of retirement (relation `sunset` of RFC 8594).
    pub sunset: Option<String>,
    /// The version to go to (relation `successor-version` of RFC 5829).
    pub successor: Option<String>,
}

/// A window in which a version refuses, once or again and again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Brownout {
    /// When it begins.
    pub from: Timestamp,
    /// When it ends; with `every`, when no further window begins.
    pub until: Timestamp,
    /// How often a window begins, counted from `from`; once when left out.
    #[serde(default)]
    pub every: Option<Period>,
    /// How long each window is, with `every`.
    #[serde(default)]
    pub lasts: Option<Period>,
    /// The time zone in which further windows keep their time of day, with `every`: one at ten
    /// o'clock stays at ten when clocks are changed.
    #[serde(default)]
    pub time_zone: TimeZone,
}
