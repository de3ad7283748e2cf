//! OpenAI, and any server that speaks Chat Completions at another `base_url`.
//!
//! ```yaml
//! providers:
//!   gpt: { openai: { credentials: [{ env: OPENAI_API_KEY }] } }
//!   local: { openai: { base_url: "http://127.0.0.1:8000/v1" } }
//! ```
//!
//! Servers other than OpenAI's get `max_tokens` instead of `max_completion_tokens` in translated
//! requests, because most of them know only that.

use crate::provider::{CredentialPlace, ProviderConfig, ProviderKind};
use crate::{Dialect, TranslateOptions};

/// What sets OpenAI apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "openai",
    telemetry_name: "openai",
    dialect: Dialect::ChatCompletions,
    base_url: "https://api.openai.com/v1",
    path: "/chat/completions",
    credential: CredentialPlace::Bearer,
    required_headers: &[],
    forwarded_headers: &["openai-beta", "idempotency-key"],
    example: "{ openai: { credentials: [{ env: OPENAI_API_KEY }] } }",
};

/// Configuration of an `openai` provider.
pub type Config = ProviderConfig;

/// Options for requests that are translated for this provider.
#[must_use]
pub fn translate_options(config: &Config) -> TranslateOptions {
    TranslateOptions {
        legacy_max_tokens: !KIND.is_own_service(config),
        ..TranslateOptions::default()
    }
}
