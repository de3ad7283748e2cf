//! Cloudflare Workers AI.
//!
//! ```yaml
//! providers:
//!   workers: { cloudflare: { account: 0123456789abcdef, credentials: [{ env: CLOUDFLARE_API_TOKEN }] } }
//! ```
//!
//! Names of models begin with `@cf/`. The address names the account. Its own errors are
//! `{"success": false, "errors": [{"code": ..., "message": ...}]}`.
//! Vendor's description: <https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility/>.

use crate::endpoint::EmbeddingDialect;
use crate::provider::config::is_unlimited;
use crate::provider::{
    CredentialPlace, ProviderConfig, ProviderKind, Quirks, SecretRef, Served, Settings,
};
use crate::{Dialect, Operation};
use gate_model::resources::CallLimits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What sets it apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "cloudflare",
    telemetry_name: "cloudflare",
    dialect: Dialect::ChatCompletions,
    base_url: "https://api.cloudflare.com/client/v4/accounts/{account}/ai/v1",
    serves: &[
        Served::at(
            Operation::Conversation(Dialect::ChatCompletions),
            "/chat/completions",
        ),
        Served::at(
            Operation::Embeddings(EmbeddingDialect::OpenAi),
            "/embeddings",
        ),
    ],
    batches: None,
    credential: CredentialPlace::Bearer,
    required_headers: &[],
    forwarded_headers: &[],
    quirks: Quirks::COMPATIBLE,
    documentation: "https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility/",
    example: "{ cloudflare: { account: 0123456789abcdef, credentials: [{ env: CLOUDFLARE_API_TOKEN }] } }",
};

/// Configuration of a `cloudflare` provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CloudflareConfig {
    /// Id of the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Address instead of the one that `account` makes, such as an AI Gateway's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Credentials, used in turn.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<SecretRef>,
    /// Header fields added to every request, replacing the caller's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How much it is asked for per time, on this gateway: calls, tries and copies included. When this
    /// is spent, other targets are asked.
    #[serde(skip_serializing_if = "is_unlimited")]
    pub limits: CallLimits,
}

/// The type that the registry asks for.
pub type Config = CloudflareConfig;

impl From<CloudflareConfig> for ProviderConfig {
    fn from(own: CloudflareConfig) -> Self {
        Self {
            base_url: own.base_url,
            credentials: own.credentials,
            headers: own.headers,
            limits: own.limits,
            settings: Settings::of([("account", own.account)]),
            ..Self::default()
        }
    }
}
