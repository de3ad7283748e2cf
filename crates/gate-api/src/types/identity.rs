//! Who calls the admin API and what they may do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a caller may do; each role may do what those before it may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Changes environments within its scopes.
    Operator,
    /// Does everything, also force another's lock.
    Admin,
}

impl Role {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }
}

/// What a caller is limited to; an absent list means no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(default)]
pub struct Scopes {
    /// Environments, by name.
    pub environments: Option<Vec<String>>,
    /// Teams whose consumers, budgets and records it sees.
    pub teams: Option<Vec<String>>,
    /// Terraform states, by name; a trailing `*` stands for any rest.
    pub states: Option<Vec<String>>,
}

/// Who the caller is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Me {
    /// The name that appears in revisions and in the audit log.
    pub actor: String,
    /// Its role.
    pub role: Role,
    /// How it proved itself.
    pub by: SignIn,
    /// What it is limited to.
    #[serde(default)]
    pub scopes: Scopes,
    /// Until when.
    #[schemars(extend("format" = "date-time"))]
    pub expires: Option<String>,
    /// What a session sends as `Tidegate-Csrf` with every write.
    pub csrf: Option<String>,
    /// The environment that this gateway follows; none when a file rules.
    pub environment: Option<String>,
}

/// How a caller proved itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignIn {
    /// No keys are configured, and it came over loopback.
    Loopback,
    /// By a key.
    Key,
    /// By a token of an identity provider.
    Oidc,
    /// By a session's cookie.
    Session,
}

/// Begins a session of the console.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionInput {
    /// A key, or a token of the identity provider.
    #[schemars(extend("writeOnly" = true))]
    pub key: String,
}

impl std::fmt::Debug for SessionInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionInput { key: (hidden) }")
    }
}
