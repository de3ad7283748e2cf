//! Environments: named pointers to revisions, and what their gateways say about them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A named pointer to a revision.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// Grows by one with each change of anything below; the entity tag is this number in quotes.
    pub generation: u64,
    /// The revision in force; none before the first one.
    pub revision: Option<u64>,
    /// The last revision that was confirmed.
    pub stable: Option<u64>,
    /// Until when the current revision must be confirmed; it reverts by itself then.
    #[schemars(extend("format" = "date-time"))]
    pub confirm_until: Option<String>,
    /// The revision being rolled out beside the current one.
    pub candidate: Option<Candidate>,
    /// What `${vars.NAME}` stands for in this environment's documents.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Who has locked it against changes.
    pub lock: Option<Lock>,
    /// The environment that this one's revisions are promoted to.
    pub promotes_to: Option<String>,
}

impl Environment {
    /// Its entity tag (RFC 9110 section 8.8.3), as in `If-Match`.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.generation)
    }
}

/// A revision being rolled out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Candidate {
    /// The revision.
    pub revision: u64,
    /// Its rollout.
    pub rollout: String,
}

/// Who has locked an environment, and why.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Lock {
    /// Who holds it.
    pub holder: String,
    /// Why.
    pub reason: String,
    /// Since when.
    #[schemars(extend("format" = "date-time"))]
    pub since: String,
}

/// Makes or changes an environment; what is left out is emptied.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnvironmentInput {
    /// What `${vars.NAME}` stands for.
    pub variables: BTreeMap<String, String>,
    /// The environment that revisions are promoted to.
    pub promotes_to: Option<String>,
}

/// Locks an environment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockInput {
    /// Why; shown to whoever is refused.
    pub reason: String,
}

/// What one gateway made of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Ack {
    /// The gateway.
    pub instance: String,
    /// The environment that it follows.
    pub environment: String,
    /// The revision.
    pub revision: u64,
    /// The revision's digest.
    pub digest: String,
    /// Whether it serves it.
    pub state: AckState,
    /// Why it was refused.
    pub reason: Option<String>,
    /// When.
    #[schemars(extend("format" = "date-time"))]
    pub at: String,
}

/// What a gateway did with a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AckState {
    /// It serves it.
    Applied,
    /// It goes on with what it served before.
    Refused,
}

/// One event of the watch: the new state of an environment. Its id is the generation.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Event {
    /// The id, to resume after.
    pub id: String,
    /// The environment as it is now.
    pub environment: Environment,
}
