//! How a credential is shown to a provider, and how the caller's never gets there.

use super::{ProviderConfig, ProviderKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gate_kit::http::{HeaderId, Headers};
use std::borrow::Cow;

/// How a credential is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialPlace {
    /// `authorization: Bearer SECRET`.
    Bearer,
    /// The secret alone in this field.
    Header(Cow<'static, str>),
    /// The secret as this parameter of the query.
    Query(Cow<'static, str>),
    /// `authorization: Basic`, of a secret that is `user:password` (RFC 7617).
    Basic,
    /// Not at all.
    Nowhere,
    /// The request is signed with the secret (AWS Signature Version 4) for this service, by whoever
    /// knows the whole request; nothing is placed here.
    SigV4(&'static str),
    /// A token that is exchanged for the secret, a Google service account's key, for this scope; as
    /// `authorization: Bearer TOKEN`.
    ServiceAccount(&'static str),
}

/// A secret that no header field can hold; the secret itself is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the credential holds characters that no header field can carry")]
pub struct UnusableCredential;

/// Whether a field could carry a caller's credential.
fn is_credential(id: HeaderId, name: &[u8]) -> bool {
    match id {
        HeaderId::Authorization
        | HeaderId::ProxyAuthorization
        | HeaderId::Cookie
        | HeaderId::XApiKey => true,
        HeaderId::Other => [&b"api-key"[..], b"x-goog-api-key", b"x-amz-security-token"]
            .iter()
            .any(|credential| name.eq_ignore_ascii_case(credential)),
        _ => false,
    }
}

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
        self.authorize_at(&self.credential, headers, secret)
    }

    /// The same with the credential shown as `place` says.
    ///
    /// # Errors
    /// As [`Self::authorize`].
    pub fn authorize_at(
        &self,
        place: &CredentialPlace,
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
        let authorization = |scheme: &str, value: &str| [scheme, value].concat();
        let (name, value): (&str, Cow<'_, str>) = match place {
            CredentialPlace::Bearer | CredentialPlace::ServiceAccount(_) => {
                ("authorization", authorization("Bearer ", secret).into())
            }
            CredentialPlace::Header(name) => (name, secret.into()),
            CredentialPlace::Basic => {
                let encoded = BASE64.encode(secret);
                ("authorization", authorization("Basic ", &encoded).into())
            }
            CredentialPlace::Query(_) | CredentialPlace::Nowhere | CredentialPlace::SigV4(_) => {
                return Ok(());
            }
        };
        headers
            .try_append(name.as_bytes(), value.as_bytes())
            .map_err(|_| UnusableCredential)
    }
}

impl CredentialPlace {
    /// The target with the secret in its query, where that is its place.
    #[must_use]
    pub fn in_target(&self, target: &str, secret: &str) -> Option<String> {
        let Self::Query(name) = self else { return None };
        let joint = if target.contains('?') { '&' } else { '?' };
        let secret = super::config::fill("{secret}", |_| Some(secret)).ok()?;
        Some(format!("{target}{joint}{name}={secret}"))
    }
}

impl ProviderConfig {
    /// How this account's credential is shown.
    #[must_use]
    pub fn place<'a>(&'a self, kind: &'a ProviderKind) -> &'a CredentialPlace {
        self.credential.as_ref().unwrap_or(&kind.credential)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{anthropic, openai};

    fn shown(place: &CredentialPlace) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut headers = Headers::new();
        headers.append(b"Authorization", b"callers");
        let done = openai::KIND.authorize_at(place, &mut headers, Some("user:p w"));
        done.unwrap();
        let pairs = headers
            .iter()
            .map(|(_, name, value)| (name.to_vec(), value.to_vec()));
        pairs.collect()
    }

    #[test]
    fn every_place_shows_the_secret_its_own_way() {
        let one = |name: &str, value: &str| vec![(name.into(), value.into())];
        let bearer = one("authorization", "Bearer user:p w");
        assert_eq!(shown(&CredentialPlace::Bearer), bearer);
        assert_eq!(shown(&CredentialPlace::ServiceAccount("s")), bearer);
        let basic = one("authorization", "Basic dXNlcjpwIHc=");
        assert_eq!(shown(&CredentialPlace::Basic), basic);
        let named = one("x-key", "user:p w");
        assert_eq!(shown(&CredentialPlace::Header("x-key".into())), named);
        let query = CredentialPlace::Query("key".into());
        assert!(shown(&query).is_empty());
        assert_eq!(
            query.in_target("/a", "x&y").as_deref(),
            Some("/a?key=x%26y")
        );
        assert_eq!(
            query.in_target("/a?b=1", "k").as_deref(),
            Some("/a?b=1&key=k")
        );
        assert_eq!(CredentialPlace::Bearer.in_target("/a", "k"), None);
        assert!(shown(&CredentialPlace::Nowhere).is_empty());
        assert!(shown(&CredentialPlace::SigV4("bedrock")).is_empty());
    }

    #[test]
    fn the_callers_version_of_anthropics_interface_is_kept() {
        for (sent, expected) in [(None, "2023-06-01"), (Some("2030-01-01"), "2030-01-01")] {
            let mut headers = Headers::new();
            if let Some(version) = sent {
                headers.append(b"anthropic-version", version.as_bytes());
            }
            anthropic::KIND.authorize(&mut headers, Some("k")).unwrap();
            let version = headers.get(HeaderId::AnthropicVersion);
            assert_eq!(version, Some(expected.as_bytes()));
            assert_eq!(headers.get(HeaderId::XApiKey), Some(&b"k"[..]));
        }
    }
}
