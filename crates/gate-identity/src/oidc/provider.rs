//! What an identity provider says about itself (OpenID Connect Discovery 1.0, section 4; RFC 8414).

use serde::Deserialize;
use std::net::IpAddr;

/// Where a provider's doors are. Fields that are not used here are passed over.
#[derive(Debug, Clone, Deserialize)]
pub struct Provider {
    issuer: String,
    /// Where browsers are led.
    pub authorization_endpoint: String,
    /// Where codes and refresh tokens are redeemed.
    pub token_endpoint: String,
    /// The keys that it signs with.
    pub jwks_uri: String,
    /// Where it tells more of a token's holder.
    pub userinfo_endpoint: Option<String>,
    /// Where browsers are led to sign out.
    pub end_session_endpoint: Option<String>,
    /// Where it says whether a token is good (RFC 7662).
    pub introspection_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// Where an issuer describes itself.
#[must_use]
pub fn discovery_url(issuer: &str) -> String {
    let base = issuer.trim_end_matches('/');
    format!("{base}/.well-known/openid-configuration")
}

impl Provider {
    /// Reads the description that `issuer` gives.
    ///
    /// # Errors
    /// Why it cannot be used, for the operator.
    pub fn read(issuer: &str, text: &[u8]) -> Result<Self, String> {
        let url = discovery_url(issuer);
        let provider: Self =
            serde_json::from_slice(text).map_err(|error| format!("{url}: {error}"))?;
        // Section 4.3: another issuer's description must not be taken for this one's.
        if provider.issuer != issuer {
            return Err(format!("{url} describes another issuer"));
        }
        if let Some(door) = provider.doors().find(|door| !is_safe(door)) {
            return Err(format!("{door} is neither https nor on this machine"));
        }
        Ok(provider)
    }

    fn doors(&self) -> impl Iterator<Item = &str> {
        let needed = [
            &self.authorization_endpoint,
            &self.token_endpoint,
            &self.jwks_uri,
        ];
        let further = [
            &self.userinfo_endpoint,
            &self.end_session_endpoint,
            &self.introspection_endpoint,
        ];
        let further = further.into_iter().flatten();
        needed.into_iter().chain(further).map(String::as_str)
    }

    /// Whether a client's secret goes into the form, because the provider takes it nowhere else.
    #[must_use]
    pub fn takes_secret_in_form(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_deref();
        let takes = |method: &str| methods.is_some_and(|all| all.iter().any(|one| one == method));
        takes("client_secret_post") && !takes("client_secret_basic")
    }
}

/// Whether codes and secrets may travel there: over TLS, or without leaving this machine.
#[must_use]
pub fn is_safe(url: &str) -> bool {
    if url.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return false;
    }
    let Some(rest) = url.strip_prefix("http://") else {
        return url.starts_with("https://");
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let authority = &rest[..end];
    let host = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_travel_over_tls_or_stay_on_this_machine() {
        for (url, right) in [
            ("https://id.example/token", true),
            ("http://127.0.0.1:1/token", true),
            ("http://[::1]:1/token", true),
            ("http://localhost/token", true),
            ("http://id.example/token", false),
            ("http://127.0.0.1.id.example/token", false),
            ("http://127.0.0.1@id.example/", false),
            ("http://id.example?127.0.0.1", false),
            ("javascript:alert(1)", false),
            ("https://id.example/\r\nX: y", false),
        ] {
            assert_eq!(is_safe(url), right, "{url}");
        }
    }

    #[test]
    fn only_the_issuers_own_description_counts() {
        let text = |issuer: &str, token: &str| {
            format!(
                r#"{{"issuer":"{issuer}","authorization_endpoint":"https://a/b","token_endpoint":"{token}","jwks_uri":"https://a/k","token_endpoint_auth_methods_supported":["client_secret_post"]}}"#
            )
        };
        let read = |text: &str| Provider::read("https://a", text.as_bytes());
        let good = read(&text("https://a", "https://a/t")).unwrap();
        assert!(good.takes_secret_in_form());
        for (text, reason) in [
            (text("https://b", "https://a/t"), "another issuer"),
            (text("https://a", "http://a/t"), "neither https"),
            ("{}".to_owned(), "missing field"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
