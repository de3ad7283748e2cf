//! What is served where: what a request must look like, what happens on its way, where it goes.

use super::{Component, EventIntake, McpUse};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is served where.
///
/// When several routes match, the most specific wins: exact host before wildcard (the longer one
/// first) before any host; exact path before parameters before `{*rest}` (segment by segment, from
/// the left) before `path_regex`; then more conditions (method, headers, query) before fewer. Two
/// routes that would tie are refused by `tidegate check`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// What a request must look like.
    #[serde(default, rename = "match")]
    pub matches: Match,
    /// Steps on the request's way, in order; the response passes them in reverse.
    #[serde(default)]
    pub policies: Vec<Component>,
    /// Where the request goes.
    pub target: Target,
}

/// What a request must look like; whatever is left out matches anything.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// Listeners this route is served on; all HTTP listeners when empty.
    pub listeners: Vec<String>,
    /// Host: exact (`api.example.com`) or one wildcard label in front (`*.example.com`).
    pub host: Option<String>,
    /// Path: `/exact`, `/with/{parameter}`, or `/below/{*rest}` for a prefix.
    pub path: Option<String>,
    /// Regular expression over the whole path, instead of `path`.
    pub path_regex: Option<String>,
    /// Methods, such as `GET`; `HEAD` is served wherever `GET` is.
    pub methods: Vec<String>,
    /// Conditions on request headers, by name.
    pub headers: BTreeMap<String, ValueMatch>,
    /// Conditions on query parameters, by name.
    pub query: BTreeMap<String, ValueMatch>,
    /// TLS server name, exact or with one wildcard label; only on listeners of protocol `tcp`.
    pub server_name: Option<String>,
}

/// A condition on one value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ValueMatch {
    /// The value is exactly this.
    Equals(String),
    /// The value matches this regular expression somewhere.
    Regex(String),
    /// The value is there (`true`) or missing (`false`).
    Present(bool),
}

/// Where a request goes.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    /// A balanced service, by name.
    Upstream(String),
    /// Models that may be asked for on this route, by name; every AI path is served.
    Models(Vec<String>),
    /// Servers of tools behind one MCP endpoint, in this order.
    Mcp(Vec<McpUse>),
    /// An agent, by name. The route's path ends in a parameter for any rest, as in
    /// `/agents/travel/{*rest}`.
    Agent(String),
    /// The upstream of the version that the policy `version` has chosen, of this API.
    Api(String),
    /// The journal of events, into which callers publish theirs. Needs `gateway.store`.
    Events(EventIntake),
    /// An answer given here.
    Fixed(FixedReply),
    /// The developer portal of these APIs, by name, which the gateway serves itself: a page with
    /// their operations, a form to try them, and the caller's own keys and usage. The route's path
    /// ends in a parameter for any rest, as in `/developers/{*rest}`.
    Portal(Vec<String>),
    /// The public status page, which the gateway serves itself: what was published about incidents,
    /// as HTML, or as JSON where that is asked for. It needs neither upstreams nor the store once it
    /// was made.
    StatusPage(StatusPage),
}

/// The public status page.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusPage {
    /// Its heading: whose status this is.
    #[serde(default = "default_status_title")]
    pub title: String,
}

fn default_status_title() -> String {
    "Status".to_owned()
}

/// An answer that needs nobody else.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FixedReply {
    /// Status code.
    pub status: u16,
    /// Response headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default)]
    pub body: String,
}
