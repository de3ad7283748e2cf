//! Every provider, one a line, in the folder's order. `cargo xtask gen` lists the folder here.

use super::{ProviderConfig, ProviderKind, anthropic, openai};
use crate::TranslateOptions;

/// Every kind of provider.
pub const PROVIDERS: &[ProviderKind] = &[anthropic::KIND, openai::KIND];

/// The kind with this name in configuration.
#[must_use]
pub fn find(name: &str) -> Option<&'static ProviderKind> {
    PROVIDERS.iter().find(|kind| kind.name == name)
}

/// Options for requests that are translated for a provider of this kind.
#[must_use]
pub fn translate_options(kind: &ProviderKind, config: &ProviderConfig) -> TranslateOptions {
    match kind.name {
        "anthropic" => anthropic::translate_options(config),
        "openai" => openai::translate_options(config),
        _ => TranslateOptions::default(),
    }
}
