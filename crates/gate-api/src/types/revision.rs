//! Revisions: immutable, numbered sets of resources.

use super::{Change, Document};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An immutable, numbered set of resources, without its content.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Revision {
    /// Its number, from 1; one sequence over all environments, never used twice.
    pub number: u64,
    /// SHA-256 of the canonical JSON of its resources, in hex.
    pub digest: String,
    /// The revision that was current when this one was made.
    pub parent: Option<u64>,
    /// The environment that it was made for.
    pub environment: String,
    /// Who made it: a key's name, the subject of a token, or `loopback`.
    pub author: String,
    /// What made it.
    pub cause: Cause,
    /// What its author said about it; may be empty.
    pub message: String,
    /// The commit of the source that it was made from.
    pub source_commit: Option<String>,
    /// When it was made.
    #[schemars(extend("format" = "date-time"))]
    pub created: String,
    /// How much it changed.
    pub plan: Option<PlanSummary>,
    /// What was checked before it was accepted, and how that ended.
    #[serde(default)]
    pub checks: BTreeMap<String, String>,
}

/// What made a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A document was applied.
    Apply,
    /// One resource was changed.
    Edit,
    /// A person went back.
    Rollback,
    /// It was taken over from another environment.
    Promote,
    /// Statistics took a rollout back.
    AutoRollback,
    /// A change was not confirmed in time.
    Revert,
    /// A secret was renewed.
    Rotate,
}

/// How much a revision changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PlanSummary {
    /// Resources made.
    pub created: u64,
    /// Resources changed.
    pub updated: u64,
    /// Resources removed.
    pub deleted: u64,
    /// Findings that stand in the plan.
    pub findings: u64,
}

/// A revision with its content.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct RevisionDocument {
    /// The revision.
    pub revision: Revision,
    /// Its resources, as written: defaults are not filled in.
    pub document: Document,
    /// Who owns which resource, by `KIND/NAME`.
    pub managers: BTreeMap<String, String>,
}

/// One resource of an environment.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Resource {
    /// Its kind, such as `routes`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Who owns it.
    pub manager: String,
    /// Its settings, as written.
    pub resource: serde_json::Value,
}

/// The difference between two revisions.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Diff {
    /// The earlier revision.
    pub from: u64,
    /// The later revision.
    pub to: u64,
    /// What changed, by resource.
    pub changes: Vec<Change>,
}
