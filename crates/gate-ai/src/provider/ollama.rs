//! Ollama.
//!
//! ```yaml
//! providers:
//!   local: { ollama: {} }
//!   hosted: { ollama: { base_url: "https://ollama.com/v1", credentials: [{ env: OLLAMA_API_KEY }] } }
//! ```
//!
//! Asks for no credential on one's own machine; on ollama.com it does. Speaks Messages since
//! version 0.14. Thinking comes as `reasoning`.
//! Vendor's description: <https://docs.ollama.com/api/openai-compatibility>.

use crate::endpoint::EmbeddingDialect;
use crate::provider::{CredentialPlace, ProviderConfig, ProviderKind, Quirks, Served};
use crate::{Dialect, Operation};

/// What sets it apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "ollama",
    telemetry_name: "ollama",
    dialect: Dialect::ChatCompletions,
    base_url: "http://127.0.0.1:11434/v1",
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
    ],
    batches: None,
    credential: CredentialPlace::Bearer,
    required_headers: &[],
    forwarded_headers: &[],
    quirks: Quirks {
        reasoning: "reasoning",
        ..Quirks::COMPATIBLE
    },
    documentation: "https://docs.ollama.com/api/openai-compatibility",
    example: "{ ollama: {} }",
};

/// Configuration of an `ollama` provider.
pub type Config = ProviderConfig;
