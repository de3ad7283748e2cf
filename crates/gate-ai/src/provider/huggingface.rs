//! Hugging Face's router of inference providers.
//!
//! ```yaml
//! providers:
//!   hub: { huggingface: { credentials: [{ env: HF_TOKEN }] } }
//! ```
//!
//! A suffix of the model's name chooses the provider behind it (`deepseek-
//! ai/DeepSeek-V3:together`). What a reply looks like beyond Chat Completions, such as the name of
//! thinking, depends on that provider.
//! Vendor's description: <https://huggingface.co/docs/inference-providers/tasks/chat-completion>.

use crate::provider::{CredentialPlace, ProviderConfig, ProviderKind, Quirks, Served};
use crate::{Dialect, Operation};

/// What sets it apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "huggingface",
    telemetry_name: "huggingface",
    dialect: Dialect::ChatCompletions,
    base_url: "https://router.huggingface.co/v1",
    serves: &[
        Served::at(
            Operation::Conversation(Dialect::ChatCompletions),
            "/chat/completions",
        ),
        Served::at(Operation::Conversation(Dialect::Responses), "/responses"),
    ],
    batches: None,
    credential: CredentialPlace::Bearer,
    required_headers: &[],
    forwarded_headers: &[],
    quirks: Quirks::COMPATIBLE,
    documentation: "https://huggingface.co/docs/inference-providers/tasks/chat-completion",
    example: "{ huggingface: { credentials: [{ env: HF_TOKEN }] } }",
};

/// Configuration of a `huggingface` provider.
pub type Config = ProviderConfig;
