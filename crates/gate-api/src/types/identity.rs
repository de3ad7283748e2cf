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

/// Who the caller is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Me {
    /// The name that appears in revisions and in the audit log.
    pub actor: String,
    /// Its role.
    pub role: Role,
    /// How it proved itself.
    pub authentication: Authentication,
    /// The environments that it may see and change; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environments: Option<Vec<String>>,
    /// The teams whose usage, budgets and records it sees; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teams: Option<Vec<String>>,
    /// The Terraform states that it may use, with `*` at an end for any rest; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub states: Option<Vec<String>>,
    /// Until when.
    #[serde(default)]
    #[schemars(extend("format" = "date-time"))]
    pub expires: Option<String>,
    /// The environment that this gateway follows; none when a file rules.
    #[serde(default)]
    pub environment: Option<String>,
    /// Whether tokens of an identity provider are accepted.
    pub oidc: bool,
    /// The gateway's version.
    pub version: String,
}

/// How a caller proved itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Authentication {
    /// Nothing is configured, and it came over loopback.
    None,
    /// By a key.
    Key,
    /// By a token of an identity provider.
    Oidc,
    /// By a session's cookie.
    Session,
}

/// How a session can be begun here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct SignInMeans {
    /// By a key.
    pub keys: bool,
    /// By a token of an identity provider.
    pub tokens: bool,
    /// At the identity provider, which a browser is led to by `GET /api/v1/session/oidc`.
    pub oidc: bool,
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
