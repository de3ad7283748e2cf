//! vLLM.
//!
//! ```yaml
//! providers:
//!   local: { vllm: { base_url: "http://10.0.0.5:8000/v1" } }
//! ```
//!
//! Asks for a credential only when started with `--api-key`. Which operations answer depends on the
//! model that it was started with. Thinking comes as `reasoning_content`, in newer versions as
//! `reasoning`. Speaks Messages since version 0.11.
//! Vendor's description: <https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html>.

use crate::endpoint::{EmbeddingDialect, RerankDialect};
use crate::provider::{CredentialPlace, ProviderConfig, ProviderKind, Quirks, Served};
use crate::{Dialect, Operation};

/// What sets it apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "vllm",
    telemetry_name: "vllm",
    dialect: Dialect::ChatCompletions,
    base_url: "http://127.0.0.1:8000/v1",
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
        Served::at(Operation::Transcriptions, "/audio/transcriptions"),
        Served::at(Operation::Translations, "/audio/translations"),
    ],
    batches: None,
    credential: CredentialPlace::Bearer,
    required_headers: &[],
    forwarded_headers: &[],
    quirks: Quirks::COMPATIBLE,
    documentation: "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
    example: r#"{ vllm: { base_url: "http://10.0.0.5:8000/v1" } }"#,
};

/// Configuration of a `vllm` provider.
pub type Config = ProviderConfig;
