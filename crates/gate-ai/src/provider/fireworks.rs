//! Fireworks AI.
//!
//! ```yaml
//! providers:
//!   fireworks: { fireworks: { credentials: [{ env: FIREWORKS_API_KEY }] } }
//! ```
//!
//! Names of models are paths (`accounts/fireworks/models/NAME`). Speaks Messages besides Chat
//! Completions. Thinking comes as `reasoning_content`. Audio lives on other hosts: give those a
//! provider of kind `compatible`.
//! Vendor's description: <https://docs.fireworks.ai/api-reference/introduction>.

use crate::endpoint::{EmbeddingDialect, RerankDialect};
use crate::provider::{CredentialPlace, ProviderConfig, ProviderKind, Quirks, Served};
use crate::{Dialect, Operation};

/// What sets it apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "fireworks",
    telemetry_name: "fireworks",
    dialect: Dialect::ChatCompletions,
    base_url: "https://api.fireworks.ai/inference/v1",
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
    ],
    batches: None,
    credential: CredentialPlace::Bearer,
    required_headers: &[],
    forwarded_headers: &[],
    quirks: Quirks::COMPATIBLE,
    documentation: "https://docs.fireworks.ai/api-reference/introduction",
    example: "{ fireworks: { credentials: [{ env: FIREWORKS_API_KEY }] } }",
};

/// Configuration of a `fireworks` provider.
pub type Config = ProviderConfig;
