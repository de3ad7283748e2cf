//! Vertex AI: Gemini, and Claude and open models beside it, in a project of Google Cloud.
//!
//! ```yaml
//! providers:
//!   cloud:
//!     vertex:
//!       project: my-project
//!       location: europe-west1
//!       credentials: [{ file: /etc/tidegate/service-account.json }]
//! ```
//!
//! A credential is the JSON key of a service account, which is exchanged for access tokens as they
//! are needed, or an access token itself. Models whose name begins with `claude` are called through
//! `rawPredict` in Anthropic's dialect, without the model in the body and with the version of
//! Anthropic's interface that Vertex wants there. Open models (`meta/llama-...`) speak Chat
//! Completions. Vendor's description: <https://cloud.google.com/vertex-ai/docs/reference/rest>.

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

/// Beginnings of the names of Google's own models.
const GOOGLE: &[&str] = &["gemini", "gemma", "text-", "multimodalembedding"];
/// Publishers of models that speak Chat Completions.
const OPEN: &[&str] = &[
    "meta/",
    "mistralai/",
    "deepseek-ai/",
    "qwen/",
    "openai/",
    "moonshotai/",
    "minimaxai/",
    "zai-org/",
    "google/",
];

/// What sets Vertex AI apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "vertex",
    telemetry_name: "gcp.vertex_ai",
    dialect: Dialect::GenerateContent,
    base_url: "https://{host}",
    serves: &[
        Served::at(
            Operation::Conversation(Dialect::Messages),
            "/v1/projects/{project}/locations/{location}/publishers/anthropic/models/{model}:rawPredict",
        )
        .streamed_at(
            "/v1/projects/{project}/locations/{location}/publishers/anthropic/models/{model}:streamRawPredict",
        )
        .model_in_path()
        .only(&["claude"]),
        Served::at(
            Operation::Conversation(Dialect::ChatCompletions),
            "/v1/projects/{project}/locations/{location}/endpoints/openapi/chat/completions",
        )
        .only(OPEN),
        Served::at(
            Operation::Conversation(Dialect::GenerateContent),
            "/v1beta1/projects/{project}/locations/{location}/publishers/google/models/{model}:generateContent",
        )
        .streamed_at(
            "/v1beta1/projects/{project}/locations/{location}/publishers/google/models/{model}:streamGenerateContent?alt=sse",
        )
        .model_in_path()
        .only(GOOGLE),
        Served::at(
            Operation::CountTokens(Dialect::GenerateContent),
            "/v1beta1/projects/{project}/locations/{location}/publishers/google/models/{model}:countTokens",
        )
        .model_in_path()
        .only(GOOGLE),
        Served::at(
            Operation::Embeddings(EmbeddingDialect::GeminiOne),
            "/v1beta1/projects/{project}/locations/{location}/publishers/google/models/{model}:embedContent",
        )
        .model_in_path()
        .only(GOOGLE),
    ],
    batches: None,
    credential: CredentialPlace::ServiceAccount("https://www.googleapis.com/auth/cloud-platform"),
    required_headers: &[],
    forwarded_headers: &["x-goog-api-client", "anthropic-beta"],
    quirks: Quirks {
        stream_usage: StreamUsage::Always,
        version_in_body: Some("vertex-2023-10-16"),
        ..Quirks::COMPATIBLE
    },
    documentation: "https://cloud.google.com/vertex-ai/docs/reference/rest",
    example: "{ vertex: { project: my-project, credentials: [{ env: VERTEX_ACCESS_TOKEN }] } }",
};

/// Configuration of a `vertex` provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VertexConfig {
    /// The project that pays.
    pub project: String,
    /// Where models run: a region such as `europe-west1`, `eu`, `us`, or `global`.
    #[serde(default = "global")]
    pub location: String,
    /// Address of the service, without a version in the path. That of the location when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// JSON keys of service accounts, or access tokens; used in turn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<SecretRef>,
    /// Header fields added to every request, replacing the caller's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How much it is asked for per time, on this gateway: calls, tries and copies included. When this
    /// is spent, other targets are asked.
    #[serde(default, skip_serializing_if = "is_unlimited")]
    pub limits: CallLimits,
}

fn global() -> String {
    "global".to_owned()
}

/// The host of a location:
/// <https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations>.
fn host(location: &str) -> String {
    match location {
        "global" => "aiplatform.googleapis.com".to_owned(),
        "us" | "eu" => format!("aiplatform.{location}.rep.googleapis.com"),
        region => format!("{region}-aiplatform.googleapis.com"),
    }
}

/// The type that the registry asks for.
pub type Config = VertexConfig;

impl From<VertexConfig> for ProviderConfig {
    fn from(config: VertexConfig) -> Self {
        Self {
            base_url: config.base_url,
            credentials: config.credentials,
            headers: config.headers,
            limits: config.limits,
            settings: Settings::of([
                ("host", Some(host(&config.location))),
                ("project", Some(config.project)),
                ("location", Some(config.location)),
            ]),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(location: &str) -> ProviderConfig {
        let json = format!(r#"{{"project":"p","location":"{location}"}}"#);
        serde_json::from_str::<Config>(&json).unwrap().into()
    }

    #[test]
    fn each_family_of_models_has_its_address() {
        let google = "https://eu-aiplatform.googleapis.com/v1beta1/projects/p/locations/eu";
        let google = google.replace("eu", "europe-west1");
        let other = google.replace("v1beta1", "v1");
        for (caller, model, dialect, streams, path) in [
            (
                Dialect::Messages,
                "gemini-3-pro",
                Dialect::GenerateContent,
                true,
                format!(
                    "{google}/publishers/google/models/gemini-3-pro:streamGenerateContent?alt=sse"
                ),
            ),
            (
                Dialect::GenerateContent,
                "claude-opus-4-1@20250805",
                Dialect::Messages,
                false,
                format!("{other}/publishers/anthropic/models/claude-opus-4-1@20250805:rawPredict"),
            ),
            (
                Dialect::Messages,
                "meta/llama-4",
                Dialect::ChatCompletions,
                false,
                format!("{other}/endpoints/openapi/chat/completions"),
            ),
        ] {
            let config = config("europe-west1");
            let asked = Operation::Conversation(caller);
            let row = KIND.serving(asked, model, &config).unwrap();
            assert_eq!(row.operation, Operation::Conversation(dialect), "{model}");
            assert_eq!(KIND.url(&config, row, model, streams).unwrap(), path);
        }
        assert_eq!(
            KIND.base(&config("global")).unwrap(),
            "https://aiplatform.googleapis.com"
        );
        assert_eq!(
            KIND.base(&config("eu")).unwrap(),
            "https://aiplatform.eu.rep.googleapis.com"
        );
    }

    #[test]
    fn a_project_is_required_and_unknown_fields_are_refused() {
        assert!(serde_json::from_str::<Config>("{}").is_err());
        assert!(serde_json::from_str::<Config>(r#"{"project":"p","x":1}"#).is_err());
    }
}
