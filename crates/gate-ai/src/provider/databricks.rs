//! Databricks model serving.
//!
//! ```yaml
//! providers:
//!   lakehouse: { databricks: { workspace: dbc-1234.cloud.databricks.com, credentials: [{ env: DATABRICKS_TOKEN }] } }
//! ```
//!
//! A target's `model` is the name of the serving endpoint. `stream_options` is refused for several
//! model families, so that it is never added; streams carry usage where the model's vendor gives
//! it. Claude models also speak Messages.
//! Vendor's description: <https://docs.databricks.com/aws/en/machine-learning/model-serving/query-chat-models>.

use crate::endpoint::EmbeddingDialect;
use crate::provider::config::is_unlimited;
use crate::provider::{
    CredentialPlace, ProviderConfig, ProviderKind, Quirks, SecretRef, Served, Settings, StreamUsage,
};
use crate::{Dialect, Operation};
use gate_model::resources::CallLimits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What sets it apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "databricks",
    telemetry_name: "databricks",
    dialect: Dialect::ChatCompletions,
    base_url: "https://{workspace}/serving-endpoints",
    serves: &[
        Served::at(
            Operation::Conversation(Dialect::ChatCompletions),
            "/chat/completions",
        ),
        Served::at(
            Operation::Conversation(Dialect::Messages),
            "/anthropic/v1/messages",
        )
        .only(&["databricks-claude-"]),
        Served::at(Operation::Conversation(Dialect::Responses), "/responses"),
        Served::at(Operation::Completions, "/completions"),
        Served::at(
            Operation::Embeddings(EmbeddingDialect::OpenAi),
            "/embeddings",
        ),
    ],
    batches: None,
    credential: CredentialPlace::Bearer,
    required_headers: &[],
    forwarded_headers: &[],
    quirks: Quirks {
        stream_usage: StreamUsage::Always,
        reasoning: "",
        ..Quirks::COMPATIBLE
    },
    documentation: "https://docs.databricks.com/aws/en/machine-learning/model-serving/query-chat-models",
    example: "{ databricks: { workspace: dbc-1234.cloud.databricks.com, credentials: [{ env: DATABRICKS_TOKEN }] } }",
};

/// Configuration of a `databricks` provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DatabricksConfig {
    /// Host of the workspace (`dbc-1234.cloud.databricks.com`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Address instead of `https://WORKSPACE/serving-endpoints`.
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
pub type Config = DatabricksConfig;

impl From<DatabricksConfig> for ProviderConfig {
    fn from(own: DatabricksConfig) -> Self {
        Self {
            base_url: own.base_url,
            credentials: own.credentials,
            headers: own.headers,
            limits: own.limits,
            settings: Settings::of([("workspace", own.workspace)]),
            ..Self::default()
        }
    }
}
