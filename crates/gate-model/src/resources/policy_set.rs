//! Policy sets: who may do what, written in Cedar.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Policies in Cedar. Routes are held to them by the policy `authorize`; where a set is attached,
/// everything that no policy permits is refused.
///
/// Policies speak about `Consumer::"NAME"` (or `Visitor::"anonymous"` for callers without a name),
/// which is `in` its `Team`, its `Role`s and `Group`s; about actions, which are methods
/// (`Action::"GET"`, `in Action::"read"` or `Action::"write"`) or what the route's `authorize`
/// names; and about `Route::"NAME"` or `Tool::"NAME"`, which is `in` its route.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySet {
    /// The policies. `@id("name")` in front of one names it.
    pub policies: CedarSource,
    /// The claim of a verified token that lists the caller's groups, by name or JSON pointer.
    #[serde(default)]
    pub groups_claim: Option<String>,
    /// The claim that lists the caller's roles.
    #[serde(default)]
    pub roles_claim: Option<String>,
    /// Roles by name, with the consumers that have them.
    #[serde(default)]
    pub roles: BTreeMap<String, Vec<String>>,
    /// Claims that policies read as attributes of the principal (`principal.department`), with
    /// their types. A claim that is absent or of another type is an absent attribute.
    #[serde(default)]
    pub claims: BTreeMap<String, CedarType>,
    /// Attributes of routes that policies read (`resource.tier`), with their types; a route's
    /// `authorize` gives their values.
    #[serde(default)]
    pub attributes: BTreeMap<String, CedarType>,
    /// Request headers that policies read, as `context.headers["x-tenant"]`.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Path parameters that policies read, as `context.params["id"]`.
    #[serde(default)]
    pub params: Vec<String>,
    /// Further actions that policies name and routes ask for, such as operations of an API, with
    /// the groups of actions that each is in.
    #[serde(default)]
    pub actions: BTreeMap<String, Vec<String>>,
}

/// Where policies are written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CedarSource {
    /// Here.
    Inline(String),
    /// In a file.
    File(PathBuf),
}

/// The type of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CedarType {
    /// Text.
    String,
    /// A whole number.
    Long,
    /// True or false.
    Bool,
    /// A list of texts; a text with blanks in it (as `scope` is) counts as the list of its words.
    Strings,
}
