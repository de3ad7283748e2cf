//! The AI vendors, one file each: a table of what sets a vendor apart.
//!
//! A provider says which operations it serves and in which dialects, where each of them lives, and
//! how a credential is shown to it. Sending is not its business. To add one, add a file that defines
//! `KIND` and `Config`; `cargo xtask gen` lists the folder into [`registry`].

mod aws;
mod batch_api;
mod config;
mod credential;
pub mod registry;

pub use batch_api::{BatchApi, BatchFormat};
pub(crate) use config::escaped;
pub use config::{ProviderConfig, ReadConfig, SecretRef, Settings};
pub use credential::{CredentialPlace, UnusableCredential};
pub use registry::*;

use crate::{Dialect, Operation, TranslateOptions};

/// What sets a vendor apart.
#[derive(Debug, Clone)]
pub struct ProviderKind {
    /// Its name in configuration.
    pub name: &'static str,
    /// The name that OpenTelemetry's `gen_ai.provider.name` has for it.
    pub telemetry_name: &'static str,
    /// The dialect that conversations are translated into when it does not serve the caller's own.
    pub dialect: Dialect,
    /// Its address when the configuration gives none; `{name}` stands for a setting. Empty when
    /// there is none and the configuration must give it.
    pub base_url: &'static str,
    /// What it serves. Of several rows for one operation the first that applies counts.
    pub serves: &'static [Served],
    /// Its own API for batches of requests, where they may be relayed to it.
    pub batches: Option<BatchApi>,
    /// How a credential is shown.
    pub credential: CredentialPlace,
    /// Header fields it requires, set where the caller did not.
    pub required_headers: &'static [(&'static str, &'static str)],
    /// Header fields of the caller that are handed on to it; all other fields that could hold
    /// secrets or identify the caller stay here.
    pub forwarded_headers: &'static [&'static str],
    /// How it departs from its dialects.
    pub quirks: Quirks,
    /// The vendor's description of its interface.
    pub documentation: &'static str,
    /// Configuration that shows its use.
    pub example: &'static str,
}

/// One operation of a vendor and where it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// The operation, in the vendor's own wire format.
    pub operation: Operation,
    /// Its path below the base address, with a query where it needs one. `{model}` stands for the
    /// model's name, any other `{name}` for a setting.
    pub path: &'static str,
    /// The path for streamed answers, where that is another.
    pub stream_path: Option<&'static str>,
    /// Whether the body may name the model; otherwise only the path does.
    pub model_in_body: bool,
    /// Beginnings of the names of the models that it serves so; all models when empty.
    pub models: &'static [&'static str],
    /// A setting without which this row does not apply.
    pub needs: Option<&'static str>,
}

impl Served {
    /// An operation at this path for every model, which the body names.
    #[must_use]
    pub const fn at(operation: Operation, path: &'static str) -> Self {
        Self {
            operation,
            path,
            stream_path: None,
            model_in_body: true,
            models: &[],
            needs: None,
        }
    }

    /// Streamed answers live elsewhere.
    #[must_use]
    pub const fn streamed_at(mut self, path: &'static str) -> Self {
        self.stream_path = Some(path);
        self
    }

    /// The body has no place for the model's name.
    #[must_use]
    pub const fn model_in_path(mut self) -> Self {
        self.model_in_body = false;
        self
    }

    /// Only for models whose name begins so.
    #[must_use]
    pub const fn only(mut self, models: &'static [&'static str]) -> Self {
        self.models = models;
        self
    }

    /// Only where this setting is given.
    #[must_use]
    pub const fn when_set(mut self, setting: &'static str) -> Self {
        self.needs = Some(setting);
        self
    }

    fn applies(&self, model: &str, config: &ProviderConfig) -> bool {
        let named = self.models.is_empty() || self.models.iter().any(|m| model.starts_with(m));
        named
            && self
                .needs
                .is_none_or(|name| config.settings.get(name).is_some())
    }
}

/// How a vendor departs from its dialects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// Whether streams end with usage.
    pub stream_usage: StreamUsage,
    /// What the limit of output tokens is called in Chat Completions.
    pub max_tokens: MaxTokens,
    /// The member of a Chat Completions message that holds thinking; empty when there is none.
    pub reasoning: &'static str,
    /// Whether that member of earlier turns may be sent back.
    pub keep_reasoning: bool,
    /// The version of Anthropic's interface that a Messages body has in the model's place, which
    /// only the path names then.
    pub version_in_body: Option<&'static str>,
    /// Whether an error inside a stream may stand behind other members of a chunk of Chat
    /// Completions, so that every chunk is searched for one.
    pub hides_errors: bool,
}

impl Quirks {
    /// OpenAI's own ways.
    pub const OPENAI: Self = Self {
        stream_usage: StreamUsage::OnRequest,
        max_tokens: MaxTokens::Completion,
        reasoning: "",
        keep_reasoning: false,
        version_in_body: None,
        hides_errors: false,
    };

    /// The ways of most others that speak Chat Completions.
    pub const COMPATIBLE: Self = Self {
        max_tokens: MaxTokens::Legacy,
        reasoning: "reasoning_content",
        ..Self::OPENAI
    };
}

/// Whether streams of Chat Completions end with usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamUsage {
    /// Where `stream_options.include_usage` asks for it.
    OnRequest,
    /// Always; the option is unknown there or refused, so that it is never added.
    Always,
}

/// What the limit of output tokens is called in Chat Completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxTokens {
    /// `max_completion_tokens`.
    Completion,
    /// `max_tokens`.
    Legacy,
    /// `max_completion_tokens` at the vendor's own address, `max_tokens` at any other.
    CompletionAtVendor,
}

/// A setting that an address needs is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the address needs the setting `{name}`")]
pub struct MissingSetting {
    /// The setting's name; `base_url` where the kind has no address of its own.
    pub name: String,
}

impl ProviderKind {
    /// The row that serves an operation, in exactly this wire format, with this model.
    #[must_use]
    pub fn serves(
        &self,
        operation: Operation,
        model: &str,
        config: &ProviderConfig,
    ) -> Option<&'static Served> {
        let same = |row: &&Served| row.operation == operation && row.applies(model, config);
        self.serves.iter().find(same)
    }

    /// The row for a caller who asks for `asked`: in the caller's own wire format where the vendor
    /// serves it, else in one that it can be translated to, the vendor's preferred one first. The
    /// row's operation is what has to be sent.
    #[must_use]
    pub fn serving(
        &self,
        asked: Operation,
        model: &str,
        config: &ProviderConfig,
    ) -> Option<&'static Served> {
        let any = |fits: fn(Operation) -> bool| {
            let applies = |row: &&Served| fits(row.operation) && row.applies(model, config);
            self.serves.iter().find(applies)
        };
        let own = self.serves(asked, model, config);
        own.or_else(|| match asked {
            Operation::Conversation(_) => self
                .serves(Operation::Conversation(self.dialect), model, config)
                .or_else(|| any(|other| matches!(other, Operation::Conversation(_)))),
            Operation::Embeddings(_) => any(|other| matches!(other, Operation::Embeddings(_))),
            Operation::Rerank(_) => any(|other| matches!(other, Operation::Rerank(_))),
            _ => None,
        })
    }

    /// The address of the service, without a slash at its end.
    ///
    /// # Errors
    /// [`MissingSetting`] when it cannot be made from this configuration.
    pub fn base(&self, config: &ProviderConfig) -> Result<String, MissingSetting> {
        let missing = |name: String| MissingSetting { name };
        if let Some(base) = &config.base_url {
            return Ok(base.trim_end_matches('/').to_owned());
        }
        if self.base_url.is_empty() {
            return Err(missing("base_url".into()));
        }
        config::fill(self.base_url, |name| config.settings.get(name)).map_err(missing)
    }

    /// The path of the service, without a slash at its end: what stands before the paths of its own
    /// API for batches.
    ///
    /// # Errors
    /// [`MissingSetting`] when it cannot be made from this configuration.
    pub fn base_path(&self, config: &ProviderConfig) -> Result<String, MissingSetting> {
        let base = self.base(config)?;
        let host = base.split_once("://").map_or(&*base, |(_, host)| host);
        let path = host.split_once('/').map_or("", |(_, path)| path);
        let slash = if path.is_empty() { "" } else { "/" };
        Ok(format!("{slash}{path}"))
    }

    /// The address of an operation for one model.
    ///
    /// # Errors
    /// [`MissingSetting`] when it cannot be made from this configuration.
    pub fn url(
        &self,
        config: &ProviderConfig,
        served: &Served,
        model: &str,
        streams: bool,
    ) -> Result<String, MissingSetting> {
        let path = served
            .stream_path
            .filter(|_| streams)
            .unwrap_or(served.path);
        let value = |name: &str| match name {
            "model" => Some(model),
            _ => config.settings.get(name),
        };
        let path = config::fill(path, value).map_err(|name| MissingSetting { name })?;
        Ok(self.base(config)? + &path)
    }

    /// Whether the configuration points at the vendor itself and not at a compatible server.
    #[must_use]
    pub fn is_own_service(&self, config: &ProviderConfig) -> bool {
        config
            .base_url
            .as_deref()
            .is_none_or(|base| base.trim_end_matches('/') == self.base_url)
    }

    /// Options for requests that are translated for an account of this kind.
    #[must_use]
    pub fn translate_options(&self, config: &ProviderConfig) -> TranslateOptions {
        let quirks = config.quirks.unwrap_or(self.quirks);
        TranslateOptions {
            legacy_max_tokens: match quirks.max_tokens {
                MaxTokens::Completion => false,
                MaxTokens::Legacy => true,
                MaxTokens::CompletionAtVendor => !self.is_own_service(config),
            },
            keep_reasoning: quirks.keep_reasoning,
            ..TranslateOptions::default()
        }
    }
}

#[cfg(test)]
mod tests;
