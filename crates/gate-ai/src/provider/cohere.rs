//! Cohere.
//!
//! ```yaml
//! providers:
//!   cohere: { cohere: { credentials: [{ env: CO_API_KEY }] } }
//! ```
//!
//! Conversations in Chat Completions go to its compatibility interface, those in other dialects to its
//! own Chat, which can say more; embeddings are served both there and in Cohere's own shape. The address has no version, because each operation
//! has another. Its own errors are `{"id": ..., "message": ...}`.
//! Vendor's description: <https://docs.cohere.com/reference/about>.

use crate::endpoint::{EmbeddingDialect, RerankDialect};
use crate::provider::{CredentialPlace, ProviderConfig, ProviderKind, Quirks, Served};
use crate::{Dialect, Operation};

/// What sets it apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "cohere",
    telemetry_name: "cohere",
    dialect: Dialect::CohereChat,
    base_url: "https://api.cohere.com",
    serves: &[
        Served::at(Operation::Conversation(Dialect::CohereChat), "/v2/chat"),
        Served::at(
            Operation::Conversation(Dialect::ChatCompletions),
            "/compatibility/v1/chat/completions",
        ),
        Served::at(
            Operation::Embeddings(EmbeddingDialect::OpenAi),
            "/compatibility/v1/embeddings",
        ),
        Served::at(Operation::Embeddings(EmbeddingDialect::Cohere), "/v2/embed"),
        Served::at(Operation::Rerank(RerankDialect::Cohere), "/v2/rerank"),
        Served::at(Operation::Transcriptions, "/v2/audio/transcriptions"),
    ],
    batches: None,
    credential: CredentialPlace::Bearer,
    required_headers: &[],
    forwarded_headers: &[],
    quirks: Quirks {
        reasoning: "",
        ..Quirks::COMPATIBLE
    },
    documentation: "https://docs.cohere.com/reference/about",
    example: "{ cohere: { credentials: [{ env: CO_API_KEY }] } }",
};

/// Configuration of a `cohere` provider.
pub type Config = ProviderConfig;
