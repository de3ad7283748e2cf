//! What an identity provider says about itself (OpenID Connect Discovery 1.0, section 4).

use super::ask::Asker;
use gate_kit::clock::{Clock, Moment};
use serde::Deserialize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long an answer is used without asking again.
const FRESH: Duration = Duration::from_secs(600);
/// Between two questions while the provider does not answer.
const AGAIN: Duration = Duration::from_secs(5);

/// Where a provider's doors are. Fields that are not used here are passed over.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Provider {
    issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    pub(super) jwks_uri: String,
    pub(super) userinfo_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Provider {
    /// Whether a client's secret goes into the form, because the provider takes it nowhere else.
    pub(super) fn takes_secret_in_form(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_deref();
        let takes = |method: &str| methods.is_some_and(|all| all.iter().any(|one| one == method));
        takes("client_secret_post") && !takes("client_secret_basic")
    }
}

/// The provider's own description, asked for when it is needed.
#[derive(Default)]
pub(super) struct Discovery {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    provider: Option<(Provider, Moment)>,
    failed: Option<(String, Moment)>,
}

impl Discovery {
    /// The description of `issuer`.
    ///
    /// # Errors
    /// Why it cannot be had, for the operator.
    pub(super) fn of(
        &self,
        issuer: &str,
        asker: &Asker,
        clock: &Clock,
    ) -> Result<Provider, String> {
        let now = clock.now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((provider, read)) = &known.provider
            && now.since(*read) < FRESH
        {
            return Ok(provider.clone());
        }
        if let Some((why, at)) = &known.failed
            && now.since(*at) < AGAIN
        {
            return Err(why.clone());
        }
        match fetch(issuer, asker) {
            Ok(provider) => {
                known.failed = None;
                known.provider = Some((provider.clone(), now));
                Ok(provider)
            }
            // One that is known goes on counting: endpoints hardly ever move.
            Err(why) => match known.provider.take() {
                Some((provider, _)) => {
                    tracing::warn!(why, "the issuer does not describe itself");
                    known.provider = Some((provider.clone(), now));
                    Ok(provider)
                }
                None => {
                    known.failed = Some((why.clone(), now));
                    Err(why)
                }
            },
        }
    }
}

fn fetch(issuer: &str, asker: &Asker) -> Result<Provider, String> {
    let base = issuer.trim_end_matches('/');
    let url = format!("{base}/.well-known/openid-configuration");
    let text = asker.get(&url, None)?;
    let provider: Provider =
        serde_json::from_slice(&text).map_err(|error| format!("{url}: {error}"))?;
    // Section 4.3: another issuer's description must not be taken for this one's.
    if provider.issuer != issuer {
        return Err(format!("{url} describes another issuer"));
    }
    let mut doors = vec![
        &provider.authorization_endpoint,
        &provider.token_endpoint,
        &provider.jwks_uri,
    ];
    doors.extend(&provider.userinfo_endpoint);
    match doors.into_iter().find(|door| !is_safe(door)) {
        Some(door) => Err(format!("{door} is neither https nor on this machine")),
        None => Ok(provider),
    }
}

/// Whether codes and secrets may travel there: over TLS, or without leaving this machine.
pub(super) fn is_safe(url: &str) -> bool {
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
    super::origin::is_loopback_name(host)
}

#[cfg(test)]
mod tests {
    use super::is_safe;

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
}
