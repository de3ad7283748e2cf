//! Perplexity.
//!
//! ```yaml
//! providers:
//!   perplexity: { perplexity: { credentials: [{ env: PERPLEXITY_API_KEY }] } }
//! ```
//!
//! Every chunk of a stream carries usage; nothing needs to ask for it. Answers have `citations` and
//! `search_results`, and usage has a price. Conversations have no version in their path, embeddings
//! do.
//! Vendor's description: <https://docs.perplexity.ai/api-reference>.

use crate::endpoint::EmbeddingDialect;
use crate::provider::{CredentialPlace, ProviderConfig, ProviderKind, Quirks, Served, StreamUsage};
use crate::{Dialect, Operation};

/// What sets it apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "perplexity",
    telemetry_name: "perplexity",
    dialect: Dialect::ChatCompletions,
    base_url: "https://api.perplexity.ai",
    serves: &[
        Served::at(
            Operation::Conversation(Dialect::ChatCompletions),
            "/chat/completions",
        ),
        Served::at(
            Operation::Embeddings(EmbeddingDialect::OpenAi),
            "/v1/embeddings",
        ),
    ],
    batches: None,
    credential: CredentialPlace::Bearer,
    required_headers: &[],
    forwarded_headers: &[],
    quirks: Quirks {
        stream_usage: StreamUsage::Always,
        reasoning: "",
        ..Quirks::COMPATIBLE
    },
    documentation: "https://docs.perplexity.ai/api-reference",
    example: "{ perplexity: { credentials: [{ env: PERPLEXITY_API_KEY }] } }",
};

/// Configuration of a `perplexity` provider.
pub type Config = ProviderConfig;
