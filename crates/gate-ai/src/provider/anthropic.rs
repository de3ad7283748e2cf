//! Anthropic.
//!
//! ```yaml
//! providers:
//!   claude: { anthropic: { credentials: [{ env: ANTHROPIC_API_KEY }] } }
//! ```
//!
//! The caller's `anthropic-version` and `anthropic-beta` go through; where it names no version,
//! the only one in use is set.

use crate::provider::{CredentialPlace, ProviderConfig, ProviderKind};
use crate::{Dialect, TranslateOptions};

/// What sets Anthropic apart.
pub const KIND: ProviderKind = ProviderKind {
    name: "anthropic",
    telemetry_name: "anthropic",
    dialect: Dialect::Messages,
    base_url: "https://api.anthropic.com/v1",
    path: "/messages",
    credential: CredentialPlace::Header("x-api-key"),
    required_headers: &[("anthropic-version", "2023-06-01")],
    forwarded_headers: &["anthropic-version", "anthropic-beta"],
    example: "{ anthropic: { credentials: [{ env: ANTHROPIC_API_KEY }] } }",
};

/// Configuration of an `anthropic` provider.
pub type Config = ProviderConfig;

/// Options for requests that are translated for this provider.
#[must_use]
pub fn translate_options(_config: &Config) -> TranslateOptions {
    TranslateOptions::default()
}
