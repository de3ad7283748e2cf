//! Groq.
//!
//! ```yaml
//! providers:
//!   groq: { groq: { credentials: [{ env: GROQ_API_KEY }] } }
//! ```
//!
//! Thinking comes as `reasoning`. The limit of output tokens is `max_completion_tokens`. Streams
//! carry usage under `x_groq` besides.
//! Vendor's description: <https://console.groq.com/docs/api-reference>.

use crate::endpoint::BatchDialect;
use crate::provider::{
    BatchApi, CredentialPlace, MaxTokens, ProviderConfig, ProviderKind, Quirks, Served,
};
use crate::{Dialect, Operation};

/// What sets it apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "groq",
    telemetry_name: "groq",
    dialect: Dialect::ChatCompletions,
    base_url: "https://api.groq.com/openai/v1",
    serves: &[
        Served::at(
            Operation::Conversation(Dialect::ChatCompletions),
            "/chat/completions",
        ),
        Served::at(Operation::Conversation(Dialect::Responses), "/responses"),
        Served::at(Operation::Speech, "/audio/speech"),
        Served::at(Operation::Transcriptions, "/audio/transcriptions"),
        Served::at(Operation::Translations, "/audio/translations"),
        Served::at(Operation::Files, "/files"),
        Served::at(Operation::Batches(BatchDialect::OpenAi), "/batches"),
    ],
    batches: Some(BatchApi::GROQ),
    credential: CredentialPlace::Bearer,
    required_headers: &[],
    forwarded_headers: &[],
    quirks: Quirks {
        max_tokens: MaxTokens::Completion,
        reasoning: "reasoning",
        ..Quirks::COMPATIBLE
    },
    documentation: "https://console.groq.com/docs/api-reference",
    example: "{ groq: { credentials: [{ env: GROQ_API_KEY }] } }",
};

/// Configuration of a `groq` provider.
pub type Config = ProviderConfig;
