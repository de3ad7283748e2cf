//! DeepSeek.
//!
//! ```yaml
//! providers:
//!   deepseek: { deepseek: { credentials: [{ env: DEEPSEEK_API_KEY }] } }
//! ```
//!
//! Speaks Messages below `/anthropic` besides Chat Completions; text completion lives below
//! `/beta`. Thinking comes as `reasoning_content` and is taken back, which a turn with tool calls
//! needs. Cached input is `prompt_cache_hit_tokens`.
//! Vendor's description: <https://api-docs.deepseek.com/>.

use crate::provider::{CredentialPlace, ProviderConfig, ProviderKind, Quirks, Served};
use crate::{Dialect, Operation};

/// What sets it apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "deepseek",
    telemetry_name: "deepseek",
    dialect: Dialect::ChatCompletions,
    base_url: "https://api.deepseek.com",
    serves: &[
        Served::at(
            Operation::Conversation(Dialect::ChatCompletions),
            "/chat/completions",
        ),
        Served::at(
            Operation::Conversation(Dialect::Messages),
            "/anthropic/v1/messages",
        ),
        Served::at(Operation::Conversation(Dialect::Responses), "/responses"),
        Served::at(Operation::Completions, "/beta/completions"),
    ],
    batches: None,
    credential: CredentialPlace::Bearer,
    required_headers: &[],
    forwarded_headers: &[],
    quirks: Quirks {
        keep_reasoning: true,
        ..Quirks::COMPATIBLE
    },
    documentation: "https://api-docs.deepseek.com/",
    example: "{ deepseek: { credentials: [{ env: DEEPSEEK_API_KEY }] } }",
};

/// Configuration of a `deepseek` provider.
pub type Config = ProviderConfig;
