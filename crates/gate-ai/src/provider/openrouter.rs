//! OpenRouter.
//!
//! ```yaml
//! providers:
//!   openrouter: { openrouter: { credentials: [{ env: OPENROUTER_API_KEY }] } }
//! ```
//!
//! Speaks Messages besides Chat Completions. Thinking comes as `reasoning` and, with signatures, as
//! `reasoning_details`. Usage comes with its price in credits. The caller's `http-referer` and
//! `x-title`, which name an application in its rankings, go through. An error inside a stream is a
//! chunk with `error`.
//! Vendor's description: <https://openrouter.ai/docs/api-reference/overview>.

use crate::endpoint::{EmbeddingDialect, RerankDialect};
use crate::provider::{CredentialPlace, ProviderConfig, ProviderKind, Quirks, Served};
use crate::{Dialect, Operation};

/// What sets it apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "openrouter",
    telemetry_name: "openrouter",
    dialect: Dialect::ChatCompletions,
    base_url: "https://openrouter.ai/api/v1",
    serves: &[
        Served::at(
            Operation::Conversation(Dialect::ChatCompletions),
            "/chat/completions",
        ),
        Served::at(Operation::Conversation(Dialect::Messages), "/messages"),
        Served::at(Operation::Conversation(Dialect::Responses), "/responses"),
        Served::at(Operation::Completions, "/completions"),
        Served::at(
            Operation::Embeddings(EmbeddingDialect::OpenAi),
            "/embeddings",
        ),
        Served::at(Operation::Rerank(RerankDialect::Cohere), "/rerank"),
        Served::at(Operation::Speech, "/audio/speech"),
        Served::at(Operation::Transcriptions, "/audio/transcriptions"),
    ],
    batches: None,
    credential: CredentialPlace::Bearer,
    required_headers: &[],
    forwarded_headers: &["http-referer", "x-title"],
    quirks: Quirks {
        reasoning: "reasoning",
        hides_errors: true,
        ..Quirks::COMPATIBLE
    },
    documentation: "https://openrouter.ai/docs/api-reference/overview",
    example: "{ openrouter: { credentials: [{ env: OPENROUTER_API_KEY }] } }",
};

/// Configuration of an `openrouter` provider.
pub type Config = ProviderConfig;
