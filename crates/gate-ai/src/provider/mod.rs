//! The AI vendors, one file each: a table of what sets a vendor apart.
//!
//! A provider says which dialect it speaks, where it lives, and how a credential is shown to it.
//! Sending is not its business. To add one, add a file that defines `KIND` and
//! `translate_options`; `cargo xtask gen` lists the folder into [`registry`].

pub mod registry;

pub use registry::*;

use crate::Dialect;
use gate_kit::http::{HeaderId, Headers};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where a secret is kept. The secret itself never stands in configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretRef {
    /// Name of an environment variable.
    Env(String),
    /// Path of a file; white space at its end is not part of the secret.
    File(PathBuf),
}

/// Configuration that every provider has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderConfig {
    /// Address of the service, with its scheme and, where the vendor's addresses have one, the
    /// version in the path (`https://api.openai.com/v1`). The vendor's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// Credentials, used in turn; none for servers that ask for none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<SecretRef>,
    /// Header fields added to every request, replacing the caller's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// Whether a field could carry a caller's credential.
fn is_credential(id: HeaderId, name: &[u8]) -> bool {
    match id {
        HeaderId::Authorization
        | HeaderId::ProxyAuthorization
        | HeaderId::Cookie
        | HeaderId::XApiKey => true,
        HeaderId::Other => name.eq_ignore_ascii_case(b"api-key"),
        _ => false,
    }
}

/// What sets a vendor apart.
#[derive(Debug, Clone, Copy)]
pub struct ProviderKind {
    /// Its name in configuration.
    pub name: &'static str,
    /// The name that OpenTelemetry's `gen_ai.provider.name` has for it.
    pub telemetry_name: &'static str,
    /// The dialect it speaks.
    pub dialect: Dialect,
    /// Its address when the configuration gives none.
    pub base_url: &'static str,
    /// Path of conversations below the base address.
    pub path: &'static str,
    /// How a credential is shown.
    pub credential: CredentialPlace,
    /// Header fields it requires, set where the caller did not.
    pub required_headers: &'static [(&'static str, &'static str)],
    /// Header fields of the caller that are handed on to it; all other fields that could hold
    /// secrets or identify the caller stay here.
    pub forwarded_headers: &'static [&'static str],
    /// Configuration that shows its use.
    pub example: &'static str,
}

/// How a credential is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialPlace {
    /// `authorization: Bearer SECRET`.
    Bearer,
    /// The secret alone in this field.
    Header(&'static str),
}

/// A secret that no header field can hold; the secret itself is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the credential holds characters that no header field can carry")]
pub struct UnusableCredential;

impl ProviderKind {
    /// Takes every credential of the caller out of `headers` and puts the provider's in.
    ///
    /// # Errors
    /// [`UnusableCredential`] when the secret has control characters; nothing of it is sent.
    pub fn authorize(
        &self,
        headers: &mut Headers,
        secret: Option<&str>,
    ) -> Result<(), UnusableCredential> {
        headers.retain(|id, name, _| !is_credential(id, name));
        for (name, value) in self.required_headers {
            if headers.get_named(name).is_none() {
                headers.append(name.as_bytes(), value.as_bytes());
            }
        }
        let Some(secret) = secret else { return Ok(()) };
        let placed = match self.credential {
            CredentialPlace::Bearer => {
                headers.try_append(b"authorization", &[b"Bearer ", secret.as_bytes()].concat())
            }
            CredentialPlace::Header(name) => headers.try_append(name.as_bytes(), secret.as_bytes()),
        };
        placed.map_err(|_| UnusableCredential)
    }

    /// The address to post conversations to.
    #[must_use]
    pub fn url(&self, config: &ProviderConfig) -> String {
        let base = config.base_url.as_deref().unwrap_or(self.base_url);
        format!("{}{}", base.trim_end_matches('/'), self.path)
    }

    /// Whether the configuration points at the vendor itself and not at a compatible server.
    #[must_use]
    pub fn is_own_service(&self, config: &ProviderConfig) -> bool {
        config
            .base_url
            .as_deref()
            .is_none_or(|base| base.trim_end_matches('/') == self.base_url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_kit::http::HeaderId;

    fn config(json: &str) -> Result<ProviderConfig, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn configuration_reads_and_refuses_unknown_fields() {
        let read =
            config(r#"{"base_url":"http://h/v1/","credentials":[{"env":"K"},{"file":"/k"}]}"#);
        let read = read.unwrap();
        assert_eq!(read.credentials[0], SecretRef::Env("K".into()));
        assert_eq!(openai::KIND.url(&read), "http://h/v1/chat/completions");
        assert!(!openai::KIND.is_own_service(&read));
        assert!(config(r#"{"credential":[]}"#).is_err());
        assert!(config(r#"{"credentials":["secret"]}"#).is_err());
    }

    #[test]
    fn the_callers_credentials_never_reach_the_provider() {
        for kind in registry::PROVIDERS {
            let mut headers = Headers::new();
            for name in ["Authorization", "X-Api-Key", "api-key", "Cookie"] {
                headers.append(name.as_bytes(), b"callers");
            }
            kind.authorize(&mut headers, Some("ours")).unwrap();
            let values: Vec<_> = headers.iter().map(|(_, _, value)| value.to_vec()).collect();
            assert!(!values.contains(&b"callers".to_vec()), "{}", kind.name);
            assert!(
                values.iter().any(|value| value.ends_with(b"ours")),
                "{}",
                kind.name
            );
            let broken = kind.authorize(&mut headers, Some("a\r\nb"));
            assert_eq!(broken, Err(UnusableCredential));
        }
    }

    #[test]
    fn the_callers_version_of_anthropics_interface_is_kept() {
        let mut headers = Headers::new();
        anthropic::KIND.authorize(&mut headers, Some("k")).unwrap();
        assert_eq!(
            headers.get(HeaderId::AnthropicVersion),
            Some(&b"2023-06-01"[..])
        );
        let mut headers = Headers::new();
        headers.append(b"anthropic-version", b"2030-01-01");
        anthropic::KIND.authorize(&mut headers, Some("k")).unwrap();
        assert_eq!(
            headers.get(HeaderId::AnthropicVersion),
            Some(&b"2030-01-01"[..])
        );
        assert_eq!(headers.get(HeaderId::XApiKey), Some(&b"k"[..]));
    }
}
