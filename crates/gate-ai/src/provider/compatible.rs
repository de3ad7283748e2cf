//! Any other server that speaks a dialect we know.
//!
//! ```yaml
//! providers:
//!   local: { compatible: { base_url: "http://127.0.0.1:8000/v1" } }
//!   other:
//!     compatible:
//!       base_url: "https://llm.example.com/v1"
//!       dialects: [messages, chat_completions]
//!       credentials: [{ env: LLM_KEY }]
//!       credential: { header: x-key }
//! ```
//!
//! Operations other than conversations are sent to OpenAI's paths; what the server lacks, it
//! refuses itself. Vendor's description: <https://platform.openai.com/docs/api-reference>.

use crate::endpoint::{BatchDialect, EmbeddingDialect, RerankDialect};
use crate::provider::config::is_unlimited;
use crate::provider::{
    BatchApi, CredentialPlace, MaxTokens, ProviderConfig, ProviderKind, Quirks, SecretRef, Served,
    Settings, StreamUsage,
};
use crate::{Dialect, Operation};
use gate_model::resources::CallLimits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What sets it apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "compatible",
    telemetry_name: "compatible",
    dialect: Dialect::ChatCompletions,
    base_url: "",
    serves: &[
        Served::at(
            Operation::Conversation(Dialect::ChatCompletions),
            "/chat/completions",
        )
        .when_set("chat_completions"),
        Served::at(Operation::Conversation(Dialect::Messages), "/messages").when_set("messages"),
        Served::at(Operation::Conversation(Dialect::Responses), "/responses").when_set("responses"),
        Served::at(Operation::Conversation(Dialect::CohereChat), "/chat").when_set("cohere_chat"),
        Served::at(
            Operation::CountTokens(Dialect::Messages),
            "/messages/count_tokens",
        )
        .when_set("messages"),
        Served::at(Operation::Completions, "/completions"),
        Served::at(
            Operation::Embeddings(EmbeddingDialect::OpenAi),
            "/embeddings",
        ),
        Served::at(Operation::Rerank(RerankDialect::Cohere), "/rerank"),
        Served::at(Operation::ImageGenerations, "/images/generations"),
        Served::at(Operation::ImageEdits, "/images/edits"),
        Served::at(Operation::ImageVariations, "/images/variations"),
        Served::at(Operation::Speech, "/audio/speech"),
        Served::at(Operation::Transcriptions, "/audio/transcriptions"),
        Served::at(Operation::Translations, "/audio/translations"),
        Served::at(Operation::Moderations, "/moderations"),
        Served::at(Operation::Files, "/files"),
        Served::at(Operation::Batches(BatchDialect::OpenAi), "/batches"),
        Served::at(Operation::Realtime, "/realtime?model={model}"),
    ],
    batches: Some(BatchApi::OPENAI),
    credential: CredentialPlace::Bearer,
    required_headers: &[],
    forwarded_headers: &["anthropic-version", "anthropic-beta", "openai-beta"],
    quirks: Quirks::COMPATIBLE,
    documentation: "https://platform.openai.com/docs/api-reference",
    example: r#"{ compatible: { base_url: "http://127.0.0.1:8000/v1" } }"#,
};

/// Configuration of a `compatible` provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompatibleConfig {
    /// Address of the service, with its scheme and, where the server's addresses have one, the
    /// version in the path.
    pub base_url: String,
    /// Credentials, used in turn; none for servers that ask for none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<SecretRef>,
    /// Header fields added to every request, replacing the caller's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How much it is asked for per time, on this gateway: calls, tries and copies included. When this
    /// is spent, other targets are asked.
    #[serde(default, skip_serializing_if = "is_unlimited")]
    pub limits: CallLimits,
    /// How a credential is shown.
    #[serde(default)]
    pub credential: Shown,
    /// The dialects of conversations that it speaks. A caller's own is never translated.
    #[serde(default = "chat_completions")]
    pub dialects: Vec<Spoken>,
    /// What the limit of output tokens is called in translated requests.
    #[serde(default)]
    pub max_tokens: TokenLimit,
    /// Whether it understands `stream_options`. Where it does not, usage of streams is known only
    /// if it comes by itself.
    #[serde(default = "yes")]
    pub stream_options: bool,
}

/// The type that the registry asks for.
pub type Config = CompatibleConfig;

/// How a credential is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Shown {
    /// `authorization: Bearer SECRET`.
    #[default]
    Bearer,
    /// `authorization: Basic`, of a secret that is `user:password`.
    Basic,
    /// The secret alone in the field of this name.
    Header(String),
    /// The secret as the parameter of this name in the query.
    Query(String),
}

/// A dialect that the server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Spoken {
    /// OpenAI Chat Completions, at `/chat/completions`.
    ChatCompletions,
    /// Anthropic Messages, at `/messages`.
    Messages,
    /// OpenAI Responses, at `/responses`.
    Responses,
    /// Cohere Chat, at `/chat`.
    CohereChat,
}

/// What the limit of output tokens is called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenLimit {
    /// `max_tokens`.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`.
    MaxCompletionTokens,
}

fn chat_completions() -> Vec<Spoken> {
    vec![Spoken::ChatCompletions]
}

const fn yes() -> bool {
    true
}

impl From<CompatibleConfig> for ProviderConfig {
    fn from(own: CompatibleConfig) -> Self {
        let speaks = |wanted| own.dialects.contains(&wanted).then(String::new);
        Self {
            base_url: Some(own.base_url),
            credentials: own.credentials,
            headers: own.headers,
            limits: own.limits,
            settings: Settings::of([
                ("chat_completions", speaks(Spoken::ChatCompletions)),
                ("messages", speaks(Spoken::Messages)),
                ("responses", speaks(Spoken::Responses)),
                ("cohere_chat", speaks(Spoken::CohereChat)),
            ]),
            credential: Some(match own.credential {
                Shown::Bearer => CredentialPlace::Bearer,
                Shown::Basic => CredentialPlace::Basic,
                Shown::Header(name) => CredentialPlace::Header(name.into()),
                Shown::Query(name) => CredentialPlace::Query(name.into()),
            }),
            quirks: Some(Quirks {
                max_tokens: match own.max_tokens {
                    TokenLimit::MaxTokens => MaxTokens::Legacy,
                    TokenLimit::MaxCompletionTokens => MaxTokens::Completion,
                },
                stream_usage: match own.stream_options {
                    true => StreamUsage::OnRequest,
                    false => StreamUsage::Always,
                },
                ..Quirks::COMPATIBLE
            }),
        }
    }
}
