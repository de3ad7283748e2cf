//! APIs: services that are described by a contract, which says what is served and what passes.

use super::version::ApiVersions;
use super::{Component, Target, ValueMatch};
use crate::document::Node;
use crate::units::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A service with a contract. Every operation of its OpenAPI document becomes a route named
/// `API.OPERATION`, where OPERATION is the `operationId`, or method and path in words such as
/// `get_orders_id`. What no operation describes is not served.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// The contract: an OpenAPI document, 3.0 or 3.1, in JSON or YAML.
    pub openapi: ApiDocument,
    /// Where it is served.
    #[serde(default, rename = "match")]
    pub matches: ApiMatch,
    /// Path in front of the document's paths, such as `/v1`, or `/` for none; the path of the
    /// document's first server when left out.
    #[serde(default)]
    pub base: Option<String>,
    /// Steps on the way of every request, in order, in front of the contract.
    #[serde(default)]
    pub policies: Vec<Component>,
    /// Where requests go.
    pub target: Target,
    /// What happens with requests that break the contract.
    #[serde(default = "enforce")]
    pub requests: Holding,
    /// What happens with answers that break the contract.
    #[serde(default)]
    pub responses: Holding,
    /// Largest body that is read for the contract; a larger request is refused where requests are
    /// enforced.
    #[serde(default = "body")]
    pub body: ByteSize,
    /// Most failures that are told of one message.
    #[serde(default = "failures")]
    pub failures: u32,
    /// What happens with query parameters that an operation does not describe.
    #[serde(default)]
    pub unknown_query: UnknownQuery,
    /// Its versions, for routes with the policy `version`.
    #[serde(default)]
    pub versions: Option<ApiVersions>,
}

/// Where an API's document is.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ApiDocument {
    /// In this file, of 16 MiB at most. One that changes is put into force by itself; where it
    /// cannot be, the one in force stays.
    File(PathBuf),
    /// Here.
    Inline(Node),
}

/// Where an API is served; whatever is left out matches anything.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApiMatch {
    /// Listeners; all HTTP listeners when empty.
    pub listeners: Vec<String>,
    /// Host: exact (`api.example.com`) or one wildcard label in front (`*.example.com`).
    pub host: Option<String>,
    /// Conditions on request headers, by name.
    pub headers: BTreeMap<String, ValueMatch>,
    /// Conditions on query parameters, by name.
    pub query: BTreeMap<String, ValueMatch>,
}

/// What happens with messages that break a contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Holding {
    /// They are refused.
    Enforce,
    /// They pass and are counted.
    #[default]
    Observe,
    /// Nobody looks.
    Off,
}

/// What happens with query parameters that an operation does not describe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownQuery {
    /// They pass.
    #[default]
    Pass,
    /// They break the contract.
    Refuse,
}

fn enforce() -> Holding {
    Holding::Enforce
}

fn body() -> ByteSize {
    ByteSize::from_kibibytes(1024)
}

const fn failures() -> u32 {
    20
}
