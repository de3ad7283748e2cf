//! OpenAI, and any server that speaks Chat Completions at another `base_url`.
//!
//! ```yaml
//! providers:
//!   gpt: { openai: { credentials: [{ env: OPENAI_API_KEY }] } }
//!   local: { openai: { base_url: "http://127.0.0.1:8000/v1" } }
//! ```
//!
//! Servers other than OpenAI's get `max_tokens` instead of `max_completion_tokens` in translated
//! requests, because most of them know only that. Vendor's description:
//! <https://platform.openai.com/docs/api-reference>.

use crate::endpoint::{BatchDialect, EmbeddingDialect};
use crate::provider::{
    BatchApi, CredentialPlace, MaxTokens, ProviderConfig, ProviderKind, Quirks, Served,
};
use crate::{Dialect, Operation};

/// What sets OpenAI apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "openai",
    telemetry_name: "openai",
    dialect: Dialect::ChatCompletions,
    base_url: "https://api.openai.com/v1",
    serves: &[
        Served::at(
            Operation::Conversation(Dialect::ChatCompletions),
            "/chat/completions",
        ),
        Served::at(Operation::Conversation(Dialect::Responses), "/responses"),
        Served::at(
            Operation::CountTokens(Dialect::Responses),
            "/responses/input_tokens",
        ),
        Served::at(Operation::Completions, "/completions"),
        Served::at(
            Operation::Embeddings(EmbeddingDialect::OpenAi),
            "/embeddings",
        ),
        Served::at(Operation::ImageGenerations, "/images/generations"),
        Served::at(Operation::ImageEdits, "/images/edits"),
        Served::at(Operation::ImageVariations, "/images/variations"),
        Served::at(Operation::Speech, "/audio/speech"),
        Served::at(Operation::Transcriptions, "/audio/transcriptions"),
        Served::at(Operation::Translations, "/audio/translations"),
        Served::at(Operation::Moderations, "/moderations"),
        Served::at(Operation::Files, "/files"),
        Served::at(Operation::Batches(BatchDialect::OpenAi), "/batches"),
        Served::at(Operation::StoredResponses, "/responses"),
        Served::at(Operation::Realtime, "/realtime?model={model}"),
    ],
    batches: Some(BatchApi::OPENAI),
    credential: CredentialPlace::Bearer,
    required_headers: &[],
    forwarded_headers: &["openai-beta", "idempotency-key"],
    quirks: Quirks {
        max_tokens: MaxTokens::CompletionAtVendor,
        ..Quirks::OPENAI
    },
    documentation: "https://platform.openai.com/docs/api-reference",
    example: "{ openai: { credentials: [{ env: OPENAI_API_KEY }] } }",
};

/// Configuration of an `openai` provider.
pub type Config = ProviderConfig;
