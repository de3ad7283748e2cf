//! Azure OpenAI and Azure AI Foundry.
//!
//! ```yaml
//! providers:
//!   azure: { azure: { resource: my-resource, credentials: [{ env: AZURE_OPENAI_API_KEY }] } }
//!   older: { azure: { resource: my-resource, api_version: "2024-10-21", credentials: [{ env: AZURE_OPENAI_API_KEY }] } }
//! ```
//!
//! A target's `model` is the name of the deployment. Without `api_version` the interface of version
//! 1 is called, which needs none; with it the older one, whose paths name the deployment. The first
//! chunk of a stream may hold filter results and no choice. A refusal by the filter is status 400
//! with the code `content_filter`.
//! Vendor's description: <https://learn.microsoft.com/azure/ai-foundry/openai/reference>.

use crate::endpoint::{BatchDialect, EmbeddingDialect};
use crate::provider::config::is_unlimited;
use crate::provider::{
    BatchApi, CredentialPlace, ProviderConfig, ProviderKind, Quirks, SecretRef, Served, Settings,
};
use crate::{Dialect, Operation};
use gate_model::resources::CallLimits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What sets it apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "azure",
    telemetry_name: "azure.ai.openai",
    dialect: Dialect::ChatCompletions,
    base_url: "https://{resource}.openai.azure.com",
    serves: &[
        Served::at(
            Operation::Conversation(Dialect::ChatCompletions),
            "/openai/deployments/{model}/chat/completions?api-version={api_version}",
        )
        .when_set("api_version"),
        Served::at(
            Operation::Embeddings(EmbeddingDialect::OpenAi),
            "/openai/deployments/{model}/embeddings?api-version={api_version}",
        )
        .when_set("api_version"),
        Served::at(
            Operation::Completions,
            "/openai/deployments/{model}/completions?api-version={api_version}",
        )
        .when_set("api_version"),
        Served::at(
            Operation::ImageGenerations,
            "/openai/deployments/{model}/images/generations?api-version={api_version}",
        )
        .when_set("api_version"),
        Served::at(
            Operation::ImageEdits,
            "/openai/deployments/{model}/images/edits?api-version={api_version}",
        )
        .when_set("api_version"),
        Served::at(
            Operation::Speech,
            "/openai/deployments/{model}/audio/speech?api-version={api_version}",
        )
        .when_set("api_version"),
        Served::at(
            Operation::Transcriptions,
            "/openai/deployments/{model}/audio/transcriptions?api-version={api_version}",
        )
        .when_set("api_version"),
        Served::at(
            Operation::Translations,
            "/openai/deployments/{model}/audio/translations?api-version={api_version}",
        )
        .when_set("api_version"),
        Served::at(
            Operation::Conversation(Dialect::ChatCompletions),
            "/openai/v1/chat/completions",
        ),
        Served::at(
            Operation::Conversation(Dialect::Responses),
            "/openai/v1/responses",
        ),
        Served::at(Operation::Completions, "/openai/v1/completions"),
        Served::at(
            Operation::Embeddings(EmbeddingDialect::OpenAi),
            "/openai/v1/embeddings",
        ),
        Served::at(Operation::ImageGenerations, "/openai/v1/images/generations"),
        Served::at(Operation::ImageEdits, "/openai/v1/images/edits"),
        Served::at(Operation::Speech, "/openai/v1/audio/speech"),
        Served::at(Operation::Transcriptions, "/openai/v1/audio/transcriptions"),
        Served::at(Operation::Translations, "/openai/v1/audio/translations"),
        Served::at(Operation::Files, "/openai/v1/files"),
        Served::at(
            Operation::Batches(BatchDialect::OpenAi),
            "/openai/v1/batches",
        ),
        Served::at(Operation::StoredResponses, "/openai/v1/responses"),
        Served::at(Operation::Realtime, "/openai/v1/realtime?model={model}"),
    ],
    batches: Some(BatchApi::AZURE),
    credential: CredentialPlace::Header(std::borrow::Cow::Borrowed("api-key")),
    required_headers: &[],
    forwarded_headers: &[],
    quirks: Quirks::OPENAI,
    documentation: "https://learn.microsoft.com/azure/ai-foundry/openai/reference",
    example: "{ azure: { resource: my-resource, credentials: [{ env: AZURE_OPENAI_API_KEY }] } }",
};

/// Configuration of an `azure` provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AzureConfig {
    /// Name of the Azure resource, the first part of its host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Version of the older interface (`2024-10-21`); the interface of version 1 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Whether the credentials are tokens of Entra ID, shown as `authorization: Bearer`, and not
    /// keys of the resource.
    pub entra: bool,
    /// Address instead of `https://RESOURCE.openai.azure.com`, without the path (`/openai/...`).
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
pub type Config = AzureConfig;

impl From<AzureConfig> for ProviderConfig {
    fn from(own: AzureConfig) -> Self {
        Self {
            base_url: own.base_url,
            credentials: own.credentials,
            headers: own.headers,
            limits: own.limits,
            settings: Settings::of([("resource", own.resource), ("api_version", own.api_version)]),
            credential: own.entra.then_some(CredentialPlace::Bearer),
            ..Self::default()
        }
    }
}
