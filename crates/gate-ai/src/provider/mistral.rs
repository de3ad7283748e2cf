//! Mistral.
//!
//! ```yaml
//! providers:
//!   mistral: { mistral: { credentials: [{ env: MISTRAL_API_KEY }] } }
//! ```
//!
//! Streams end with usage without being asked; `stream_options` is refused with status 422, so that
//! it is never added. The limit of output tokens is `max_tokens`. Thinking comes as parts of the
//! content, not as a member of its own. Errors are `{"detail": ...}` or `{"object": "error",
//! "message": ...}` beside OpenAI's shape.
//! Vendor's description: <https://docs.mistral.ai/api/>.

use crate::endpoint::{BatchDialect, EmbeddingDialect};
use crate::provider::{
    BatchApi, CredentialPlace, ProviderConfig, ProviderKind, Quirks, Served, StreamUsage,
};
use crate::{Dialect, Operation};

/// What sets it apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "mistral",
    telemetry_name: "mistral_ai",
    dialect: Dialect::ChatCompletions,
    base_url: "https://api.mistral.ai/v1",
    serves: &[
        Served::at(
            Operation::Conversation(Dialect::ChatCompletions),
            "/chat/completions",
        ),
        Served::at(
            Operation::Embeddings(EmbeddingDialect::OpenAi),
            "/embeddings",
        ),
        Served::at(Operation::Moderations, "/moderations"),
        Served::at(Operation::Transcriptions, "/audio/transcriptions"),
        Served::at(Operation::Speech, "/audio/speech"),
        Served::at(Operation::Files, "/files"),
        Served::at(Operation::Batches(BatchDialect::Mistral), "/batch/jobs"),
    ],
    batches: Some(BatchApi::MISTRAL),
    credential: CredentialPlace::Bearer,
    required_headers: &[],
    forwarded_headers: &[],
    quirks: Quirks {
        stream_usage: StreamUsage::Always,
        reasoning: "",
        ..Quirks::COMPATIBLE
    },
    documentation: "https://docs.mistral.ai/api/",
    example: "{ mistral: { credentials: [{ env: MISTRAL_API_KEY }] } }",
};

/// Configuration of a `mistral` provider.
pub type Config = ProviderConfig;
