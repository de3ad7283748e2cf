//! Voyage AI: embeddings and rerank.
//!
//! ```yaml
//! providers:
//!   voyage: { voyage: { credentials: [{ env: VOYAGE_API_KEY }] } }
//! ```
//!
//! Has no conversations. Embeddings have OpenAI's shape with `output_dimension` for `dimensions`;
//! rerank has a shape of its own. Usage is `total_tokens` alone.
//! Vendor's description: <https://docs.voyageai.com/reference/embeddings-api>.

use crate::endpoint::{EmbeddingDialect, RerankDialect};
use crate::provider::{CredentialPlace, ProviderConfig, ProviderKind, Quirks, Served};
use crate::{Dialect, Operation};

/// What sets it apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "voyage",
    telemetry_name: "voyage",
    dialect: Dialect::ChatCompletions,
    base_url: "https://api.voyageai.com/v1",
    serves: &[
        Served::at(
            Operation::Embeddings(EmbeddingDialect::OpenAi),
            "/embeddings",
        ),
        Served::at(Operation::Rerank(RerankDialect::Voyage), "/rerank"),
    ],
    batches: None,
    credential: CredentialPlace::Bearer,
    required_headers: &[],
    forwarded_headers: &[],
    quirks: Quirks::COMPATIBLE,
    documentation: "https://docs.voyageai.com/reference/embeddings-api",
    example: "{ voyage: { credentials: [{ env: VOYAGE_API_KEY }] } }",
};

/// Configuration of a `voyage` provider.
pub type Config = ProviderConfig;
