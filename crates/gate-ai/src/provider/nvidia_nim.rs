//! NVIDIA NIM.
//!
//! ```yaml
//! providers:
//!   nim: { nvidia_nim: { credentials: [{ env: NVIDIA_API_KEY }] } }
//! ```
//!
//! The address is the hosted catalogue's; a container of one's own is a `base_url`. Embeddings of
//! retrieval models need the caller's `input_type`. Rerank (`/ranking`) has a shape of its own and
//! is not served. Thinking comes as `reasoning_content`.
//! Vendor's description: <https://docs.api.nvidia.com/nim/reference/llm-apis>.

use crate::endpoint::EmbeddingDialect;
use crate::provider::{CredentialPlace, ProviderConfig, ProviderKind, Quirks, Served};
use crate::{Dialect, Operation};

/// What sets it apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "nvidia_nim",
    telemetry_name: "nvidia_nim",
    dialect: Dialect::ChatCompletions,
    base_url: "https://integrate.api.nvidia.com/v1",
    serves: &[
        Served::at(
            Operation::Conversation(Dialect::ChatCompletions),
            "/chat/completions",
        ),
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
    quirks: Quirks::COMPATIBLE,
    documentation: "https://docs.api.nvidia.com/nim/reference/llm-apis",
    example: "{ nvidia_nim: { credentials: [{ env: NVIDIA_API_KEY }] } }",
};

/// Configuration of a `nvidia_nim` provider.
pub type Config = ProviderConfig;
