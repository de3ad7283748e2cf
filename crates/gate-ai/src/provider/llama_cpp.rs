//! The server of llama.cpp.
//!
//! ```yaml
//! providers:
//!   local: { llama_cpp: {} }
//! ```
//!
//! Asks for a credential only when started with `--api-key`. Embeddings and rerank need
//! `--embeddings` or `--reranking`. Speaks Messages and counts its tokens. Thinking comes as
//! `reasoning_content`.
//! Vendor's description: <https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md>.

use crate::endpoint::{EmbeddingDialect, RerankDialect};
use crate::provider::{CredentialPlace, ProviderConfig, ProviderKind, Quirks, Served};
use crate::{Dialect, Operation};

/// What sets it apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "llama_cpp",
    telemetry_name: "llama_cpp",
    dialect: Dialect::ChatCompletions,
    base_url: "http://127.0.0.1:8080/v1",
    serves: &[
        Served::at(
            Operation::Conversation(Dialect::ChatCompletions),
            "/chat/completions",
        ),
        Served::at(Operation::Conversation(Dialect::Messages), "/messages"),
        Served::at(Operation::Conversation(Dialect::Responses), "/responses"),
        Served::at(
            Operation::CountTokens(Dialect::Messages),
            "/messages/count_tokens",
        ),
        Served::at(Operation::Completions, "/completions"),
        Served::at(
            Operation::Embeddings(EmbeddingDialect::OpenAi),
            "/embeddings",
        ),
        Served::at(Operation::Rerank(RerankDialect::Cohere), "/rerank"),
    ],
    batches: None,
    credential: CredentialPlace::Bearer,
    required_headers: &[],
    forwarded_headers: &[],
    quirks: Quirks::COMPATIBLE,
    documentation: "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
    example: "{ llama_cpp: {} }",
};

/// Configuration of a `llama_cpp` provider.
pub type Config = ProviderConfig;
