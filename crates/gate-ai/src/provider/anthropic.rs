//! Anthropic.
//!
//! ```yaml
//! providers:
//!   claude: { anthropic: { credentials: [{ env: ANTHROPIC_API_KEY }] } }
//! ```
//!
//! The caller's `anthropic-version` and `anthropic-beta` go through; where it names no version,
//! the only one in use is set. Vendor's description: <https://docs.claude.com/en/api/overview>.

use crate::endpoint::BatchDialect;
use crate::provider::{
    BatchApi, CredentialPlace, ProviderConfig, ProviderKind, Quirks, Served, StreamUsage,
};
use crate::{Dialect, Operation};

/// What sets Anthropic apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "anthropic",
    telemetry_name: "anthropic",
    dialect: Dialect::Messages,
    base_url: "https://api.anthropic.com/v1",
    serves: &[
        Served::at(Operation::Conversation(Dialect::Messages), "/messages"),
        Served::at(
            Operation::CountTokens(Dialect::Messages),
            "/messages/count_tokens",
        ),
        Served::at(Operation::Files, "/files"),
        Served::at(
            Operation::Batches(BatchDialect::Anthropic),
            "/messages/batches",
        ),
    ],
    batches: Some(BatchApi::ANTHROPIC),
    credential: CredentialPlace::Header(std::borrow::Cow::Borrowed("x-api-key")),
    required_headers: &[("anthropic-version", "2023-06-01")],
    forwarded_headers: &["anthropic-version", "anthropic-beta"],
    quirks: Quirks {
        stream_usage: StreamUsage::Always,
        ..Quirks::OPENAI
    },
    documentation: "https://docs.claude.com/en/api/overview",
    example: "{ anthropic: { credentials: [{ env: ANTHROPIC_API_KEY }] } }",
};

/// Configuration of an `anthropic` provider.
pub type Config = ProviderConfig;
