//! Together AI.
//!
//! ```yaml
//! providers:
//!   together: { together: { credentials: [{ env: TOGETHER_API_KEY }] } }
//! ```
//!
//! Streams end with usage without being asked. Thinking comes as `reasoning`. Rerank has Cohere's
//! shape with OpenAI's usage.
//! Vendor's description: <https://docs.together.ai/reference>.

use crate::endpoint::{BatchDialect, EmbeddingDialect, RerankDialect};
use crate::provider::{BatchApi, CredentialPlace, ProviderConfig, ProviderKind, Quirks, Served};
use crate::{Dialect, Operation};

/// What sets it apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "together",
    telemetry_name: "together",
    dialect: Dialect::ChatCompletions,
    base_url: "https://api.together.xyz/v1",
    serves: &[
        Served::at(
            Operation::Conversation(Dialect::ChatCompletions),
            "/chat/completions",
        ),
        Served::at(Operation::Completions, "/completions"),
        Served::at(
            Operation::Embeddings(EmbeddingDialect::OpenAi),
            "/embeddings",
        ),
        Served::at(Operation::Rerank(RerankDialect::Cohere), "/rerank"),
        Served::at(Operation::ImageGenerations, "/images/generations"),
        Served::at(Operation::Speech, "/audio/speech"),
        Served::at(Operation::Transcriptions, "/audio/transcriptions"),
        Served::at(Operation::Translations, "/audio/translations"),
        Served::at(Operation::Batches(BatchDialect::OpenAi), "/batches"),
    ],
    batches: Some(BatchApi::TOGETHER),
    credential: CredentialPlace::Bearer,
    required_headers: &[],
    forwarded_headers: &[],
    quirks: Quirks {
        reasoning: "reasoning",
        ..Quirks::COMPATIBLE
    },
    documentation: "https://docs.together.ai/reference",
    example: "{ together: { credentials: [{ env: TOGETHER_API_KEY }] } }",
};

/// Configuration of a `together` provider.
pub type Config = ProviderConfig;
