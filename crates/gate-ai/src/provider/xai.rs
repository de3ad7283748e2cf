//! xAI.
//!
//! ```yaml
//! providers:
//!   grok: { xai: { credentials: [{ env: XAI_API_KEY }] } }
//! ```
//!
//! Thinking comes as `reasoning_content`, and output tokens do not count it. Image edits are JSON
//! here, not a form. Its speech interfaces (`/stt`, `/tts`) have shapes of their own and are not
//! served.
//! Vendor's description: <https://docs.x.ai/docs/api-reference>.

use crate::endpoint::BatchDialect;
use crate::provider::{CredentialPlace, MaxTokens, ProviderConfig, ProviderKind, Quirks, Served};
use crate::{Dialect, Operation};

/// What sets it apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "xai",
    telemetry_name: "x_ai",
    dialect: Dialect::ChatCompletions,
    base_url: "https://api.x.ai/v1",
    serves: &[
        Served::at(
            Operation::Conversation(Dialect::ChatCompletions),
            "/chat/completions",
        ),
        Served::at(Operation::Conversation(Dialect::Responses), "/responses"),
        Served::at(Operation::Completions, "/completions"),
        Served::at(Operation::ImageGenerations, "/images/generations"),
        Served::at(Operation::ImageEdits, "/images/edits"),
        Served::at(Operation::StoredResponses, "/responses"),
        Served::at(Operation::Files, "/files"),
        Served::at(Operation::Batches(BatchDialect::OpenAi), "/batches"),
        Served::at(Operation::Realtime, "/realtime?model={model}"),
    ],
    batches: None,
    credential: CredentialPlace::Bearer,
    required_headers: &[],
    forwarded_headers: &[],
    quirks: Quirks {
        max_tokens: MaxTokens::Completion,
        ..Quirks::COMPATIBLE
    },
    documentation: "https://docs.x.ai/docs/api-reference",
    example: "{ xai: { credentials: [{ env: XAI_API_KEY }] } }",
};

/// Configuration of an `xai` provider.
pub type Config = ProviderConfig;
