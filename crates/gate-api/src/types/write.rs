//! Requests that change an environment, and what they answer.

use super::{Document, Environment, Plan, Revision};
use gate_model::units::{Period, Timestamp};
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// A document to plan or to apply.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DocumentInput {
    /// The resources, by kind and name.
    pub document: Document,
    /// Who writes: `file:NAME`, `terraform:WORKSPACE`, `console` or `api`.
    #[serde(default = "api")]
    pub manager: String,
    /// What happens to resources that the document does not name.
    #[serde(default)]
    pub mode: Mode,
    /// Whether resources that others own are taken over.
    #[serde(default)]
    pub take_over: bool,
    /// What the author says about it.
    #[serde(default)]
    pub message: String,
    /// The commit of the source that it was made from.
    #[serde(default)]
    pub source_commit: Option<String>,
    /// When that commit was made, such as `2026-11-22T10:30:00Z`: lead time counts from it.
    #[serde(default)]
    pub committed_at: Option<Timestamp>,
    /// Tries it on a share of requests first.
    #[serde(default)]
    pub canary: Option<Canary>,
    /// Name of the open incident that it mends: then a spent error budget does not hold it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixes: Option<String>,
    /// Reverts by itself unless confirmed within this time.
    #[serde(default, deserialize_with = "period")]
    pub confirm_within: Option<Period>,
}

/// A period as its schema says: text, never a bare number.
fn period<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Period>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let period = text.parse::<Period>().ok().filter(|it| !it.is_zero());
    let expected = || D::Error::custom("a period above zero is expected, such as 10m");
    period.map(Some).ok_or_else(expected)
}

fn api() -> String {
    "api".to_owned()
}

impl DocumentInput {
    /// A document that replaces all that `manager` owns.
    #[must_use]
    pub fn sync(document: Document, manager: impl Into<String>) -> Self {
        Self {
            document,
            manager: manager.into(),
            mode: Mode::Sync,
            take_over: false,
            message: String::new(),
            source_commit: None,
            committed_at: None,
            canary: None,
            fixes: None,
            confirm_within: None,
        }
    }
}

/// What happens to resources that a document does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Those that its manager owns are removed; others stay.
    #[default]
    Sync,
    /// All stay.
    Merge,
}

/// How a document is tried before it serves everything.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Canary {
    /// By a `rollouts` resource, by name.
    Rollout(String),
    /// By the settings of a `rollouts` resource.
    Settings(Value),
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Applied {
    /// The new revision; none when nothing changed, or on a dry run.
    pub revision: Option<Revision>,
    /// What changed.
    pub plan: Plan,
    /// The environment as it is now.
    pub environment: Environment,
    /// The rollout that was begun.
    pub rollout: Option<String>,
}

/// Goes back to an earlier revision.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RollbackInput {
    /// The revision; the one before the current when left out.
    pub to: Option<u64>,
    /// Why.
    pub message: String,
}

/// Takes an environment's revision over into another.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PromoteInput {
    /// The environment to promote to; the one that `promotes_to` names when left out.
    pub to: Option<String>,
    /// What the author says about it.
    pub message: String,
    /// Tries it on a share of requests first.
    pub canary: Option<Canary>,
    /// Reverts by itself unless confirmed within this time.
    #[serde(deserialize_with = "period")]
    pub confirm_within: Option<Period>,
}

/// An action with its reason: confirm, hold, resume, promote or roll back a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReasonInput {
    /// Why; kept in the audit log.
    pub reason: String,
}
