//! The admin address: where it listens and who may use its API.

use super::{ListenerTls, SecretPlace};
use crate::units::{Period, Sha256Text, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where `/healthz`, `/readyz`, `/metrics`, the admin API and the console are served.
///
/// Without `keys` and `oidc` the API answers only callers on this machine, and only on a loopback
/// address; health and metrics are open wherever the address is.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Address and port; loopback unless something else must reach it.
    pub address: String,
    /// TLS, with certificates as a listener has them; plain text when left out.
    #[serde(default)]
    pub tls: Option<ListenerTls>,
    /// Keys of the API, by the name that revisions and the audit log show.
    #[serde(default)]
    pub keys: BTreeMap<String, AdminKey>,
    /// Tokens of an identity provider (OpenID Connect).
    #[serde(default)]
    pub oidc: Option<AdminOidc>,
    /// Ed25519 public keys in base64, by name, of those who may sign that a change passes in spite of
    /// a spent error budget or a freeze (`tidegate objectives new-key` prints a pair).
    #[serde(default)]
    pub override_keys: BTreeMap<String, String>,
    /// Requests a second that one caller may make to the API; a burst may be ten times that.
    #[serde(default = "rate")]
    pub rate: u32,
    /// How long a console's session lasts.
    #[serde(default = "session")]
    pub session: Period,
}

fn rate() -> u32 {
    100
}

fn session() -> Period {
    Period::from_seconds(12 * 60 * 60)
}

impl Admin {
    /// The address alone, everything else by default.
    #[must_use]
    pub fn at(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            tls: None,
            keys: BTreeMap::new(),
            oidc: None,
            override_keys: BTreeMap::new(),
            rate: rate(),
            session: session(),
        }
    }
}

/// What a caller of the API may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdminRole {
    /// Reads everything but the contents of Terraform states.
    Viewer,
    /// Changes environments, and reads and writes Terraform states.
    Operator,
    /// Also takes away locks that others hold.
    Admin,
}

/// A key of the API, kept as its hash, with what it may be used for.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminKey {
    /// SHA-256 of the key, as 64 hexadecimal digits (`tidegate keys new` prints both).
    pub sha256: Sha256Text,
    /// What it may do.
    pub role: AdminRole,
    /// Environments that it may see and change; all when left out.
    #[serde(default)]
    pub environments: Option<Vec<String>>,
    /// Teams whose usage, budgets and records it may see; all when left out.
    #[serde(default)]
    pub teams: Option<Vec<String>>,
    /// Terraform states that it may use, with `*` at an end for any rest; all when left out.
    #[serde(default)]
    pub states: Option<Vec<String>>,
    /// Until when it is valid; for ever when left out.
    #[serde(default)]
    pub expires: Option<Timestamp>,
}

/// Whose tokens the API accepts, and what their holders may do.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminOidc {
    /// The issuer, exactly as `iss` says it.
    pub issuer: String,
    /// Audiences of which `aud` must name one.
    pub audiences: Vec<String>,
    /// Where the issuer's keys are; where the issuer says it (OpenID Connect Discovery 1.0) when left
    /// out.
    #[serde(default)]
    pub keys: Option<AdminOidcKeys>,
    /// PEM file of certificate authorities to trust for the issuer instead of the public ones.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
    /// Signing in to the console at the issuer; only tokens are accepted when left out.
    #[serde(default)]
    pub sign_in: Option<AdminSignIn>,
    /// The claim that names the caller in revisions and in the audit log.
    #[serde(default = "subject")]
    pub name_claim: String,
    /// The claim that lists the caller's groups; a JSON pointer when it begins with a slash.
    #[serde(default = "groups")]
    pub groups_claim: String,
    /// What members of a group may do, by the group; a caller in several has the highest role of
    /// them with that group's limits.
    pub grants: BTreeMap<String, AdminGrant>,
}

fn subject() -> String {
    "sub".to_owned()
}

fn groups() -> String {
    "groups".to_owned()
}

/// How people sign in to the console at the issuer: OpenID Connect's authorization code flow with
/// PKCE. The issuer must know `/api/v1/session/oidc/callback` below this address.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminSignIn {
    /// The name under which the issuer knows this gateway.
    pub client_id: String,
    /// What proves that name: an environment variable or a file; nothing where PKCE alone is enough.
    #[serde(default)]
    pub client_secret: Option<SecretPlace>,
    /// What is asked for beside `openid`.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// The URL that browsers know this address by, such as `https://gateway.example:9901`; what the
    /// browser says when left out.
    #[serde(default)]
    pub address: Option<String>,
    /// How long a session lasts until the issuer is asked again; at most `gateway.admin.session`.
    /// What the issuer takes away counts from then on.
    #[serde(default = "sign_in_session")]
    pub session: Period,
}

fn scopes() -> Vec<String> {
    vec!["profile".to_owned()]
}

fn sign_in_session() -> Period {
    Period::from_seconds(60 * 60)
}

/// Where an issuer's keys (a JWK Set, RFC 7517) are.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AdminOidcKeys {
    /// A URL, fetched when a token names an unknown key, at most every 30 seconds.
    Url(String),
    /// A file, read at start.
    File(PathBuf),
}

/// What members of a group may do.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminGrant {
    /// What they may do.
    pub role: AdminRole,
    /// Environments that they may see and change; all when left out.
    #[serde(default)]
    pub environments: Option<Vec<String>>,
    /// Teams whose usage, budgets and records they may see; all when left out.
    #[serde(default)]
    pub teams: Option<Vec<String>>,
    /// Terraform states that they may use, with `*` at an end for any rest; all when left out.
    #[serde(default)]
    pub states: Option<Vec<String>>,
}
