//! Signing in with a browser: OpenID Connect's authorization code flow (Core 1.0, section 3.1) with
//! PKCE (RFC 7636), as RFC 9700 wants it.
//!
//! Nothing is kept between the two requests: the browser holds a random text in a cookie, and state,
//! nonce and verifier are this process's HMACs of it. So strangers can fill no memory, an answer is
//! only taken from the browser that asked, and the code is worth nothing without the cookie.

use super::oidc::{Claims, Issuer, Refusal, get};
use super::{Access, Identity};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use form_urlencoded::Serializer;
use gate_api::problem::{Code, Problem};
use gate_model::resources::{AdminSignIn, SecretPlace};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// How long a sign-in may take, in seconds.
pub(crate) const SIGN_IN_S: u64 = 600;
/// Where the provider leads the browser back to.
pub(crate) const CALLBACK: &str = "/api/v1/session/oidc/callback";

/// Reads the secrets that settings refer to.
pub type ReadSecret = Arc<dyn Fn(&SecretPlace) -> Result<String, String> + Send + Sync>;

/// Where a browser is led, with what.
pub(crate) struct Begun {
    /// The provider's page.
    pub(crate) location: String,
    /// The cookie that it comes back with.
    pub(crate) cookie: String,
}

/// What a browser comes back with.
pub(crate) struct Returned<'a> {
    /// The cookie.
    pub(crate) cookie: Option<&'a str>,
    /// Query parameters.
    pub(crate) state: Option<&'a str>,
    pub(crate) code: Option<&'a str>,
    pub(crate) error: Option<&'a str>,
    pub(crate) iss: Option<&'a str>,
}

/// What a process derives a sign-in's secrets with.
#[derive(Clone)]
pub(super) struct Seal(hmac::Key);

impl Seal {
    pub(super) fn new() -> Result<Self, String> {
        let secret = gate_kit::random::secret::<32>();
        let secret = secret.map_err(|_| "the system gives no randomness".to_owned())?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &secret)))
    }

    /// A text of 43 characters that only this process finds for a cookie.
    fn derive(&self, what: &str, cookie: &str) -> String {
        let tag = hmac::sign(&self.0, format!("{what} {cookie}").as_bytes());
        URL_SAFE_NO_PAD.encode(tag)
    }

    /// A new cookie: randomness, and when it ends (UNIX seconds).
    fn cookie(now_s: u64) -> Result<String, Problem> {
        let secret = gate_kit::random::secret::<32>()
            .map_err(|_| Problem::new(Code::Internal, "the system gives no randomness"))?;
        let until_s = now_s + SIGN_IN_S;
        Ok(format!("{}.{until_s}", URL_SAFE_NO_PAD.encode(secret)))
    }

    /// Whether `state` belongs to a cookie that has not ended. The state vouches for the cookie's
    /// end, too.
    fn fits(&self, cookie: &str, state: &str, now_s: u64) -> bool {
        let derived = self.derive("state", cookie);
        let until_s = cookie.split_once('.').and_then(|(_, end)| end.parse().ok());
        verify_slices_are_equal(derived.as_bytes(), state.as_bytes()).is_ok()
            && until_s.is_some_and(|until_s: u64| now_s < until_s)
    }
}

fn unavailable(why: &str) -> Problem {
    tracing::warn!(why, "the identity provider cannot be asked");
    let text = "the identity provider cannot be asked now; the gateway's log says why";
    Problem::new(Code::StoreUnavailable, text)
}

fn unproven(text: &str) -> Problem {
    Problem::new(Code::Unauthenticated, text)
}

impl Access {
    fn at_issuer(&self) -> Result<(&Issuer, &AdminSignIn), Problem> {
        let found = self.issuer.as_ref();
        let found = found.and_then(|issuer| Some((issuer, issuer.sign_in()?)));
        found.ok_or_else(|| {
            let text = "nobody signs in here with a browser (`gateway.admin.oidc.sign_in`)";
            Problem::new(Code::NotFound, text)
        })
    }

    /// Whether people sign in at an identity provider.
    pub(crate) fn signs_in(&self) -> bool {
        self.at_issuer().is_ok()
    }

    /// Leads a browser to the provider; `origin` is how it knows this address. May wait for the
    /// provider.
    pub(crate) fn begin_sign_in(&self, origin: &str) -> Result<Begun, Problem> {
        let (issuer, settings) = self.at_issuer()?;
        let provider = issuer
            .provider(&self.clock)
            .map_err(|why| unavailable(&why))?;
        let cookie = Seal::cookie(self.now().as_secs())?;
        let verifier = self.seal.derive("verifier", &cookie);
        let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
        let mut scope = "openid".to_owned();
        for more in &settings.scopes {
            scope.push(' ');
            scope.push_str(more);
        }
        let query = Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &settings.client_id)
            .append_pair("redirect_uri", &callback(settings, origin))
            .append_pair("scope", &scope)
            .append_pair("state", &self.seal.derive("state", &cookie))
            .append_pair("nonce", &self.seal.derive("nonce", &cookie))
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .finish();
        let door = &provider.authorization_endpoint;
        let joint = if door.contains('?') { '&' } else { '?' };
        Ok(Begun {
            location: format!("{door}{joint}{query}"),
            cookie,
        })
    }

    /// Who a browser's user is that comes back from the provider. Waits for the provider.
    pub(crate) fn finish_sign_in(
        &self,
        origin: &str,
        returned: &Returned<'_>,
    ) -> Result<Identity, Problem> {
        let (issuer, settings) = self.at_issuer()?;
        let ended = || {
            Problem::new(
                Code::BadOrigin,
                "this browser began no sign-in, or too long ago",
            )
        };
        let (cookie, state) = returned.cookie.zip(returned.state).ok_or_else(ended)?;
        if !self.seal.fits(cookie, state, self.now().as_secs()) {
            return Err(ended());
        }
        // RFC 9207: another provider's answer, mixed up with this one's.
        if returned
            .iss
            .is_some_and(|iss| iss != issuer.settings.issuer)
        {
            return Err(unproven("another issuer answered"));
        }
        if returned.error.is_some() {
            return Err(unproven("the identity provider lets nobody in"));
        }
        let code = returned.code.ok_or_else(|| unproven("there is no code"))?;
        let form = Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &callback(settings, origin))
            .append_pair("code_verifier", &self.seal.derive("verifier", cookie))
            .finish();
        let tokens = self.redeem(issuer, settings, form)?;
        let nonce = self.seal.derive("nonce", cookie);
        let claims = self.claims(issuer, settings, &tokens, &nonce)?;
        let expires_s = (self.now() + settings.session.duration()).as_secs();
        issuer
            .holder(&claims, expires_s)
            .map_err(|refusal| match refusal {
                Refusal::Unproven(text) => unproven(&text),
                Refusal::Forbidden(text) => Problem::new(Code::Forbidden, text),
            })
    }

    /// Tokens for a code.
    fn redeem(
        &self,
        issuer: &Issuer,
        settings: &AdminSignIn,
        mut form: String,
    ) -> Result<Tokens, Problem> {
        let provider = issuer
            .provider(&self.clock)
            .map_err(|why| unavailable(&why))?;
        let place = settings.client_secret.as_ref();
        let secret = place.map(|place| (self.secrets)(place)).transpose();
        let secret = secret.map_err(|why| unavailable(&why))?;
        let encode =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let mut authorization = None;
        match &secret {
            // RFC 6749 section 2.3.1: both are encoded as in a form first.
            Some(secret) if !provider.takes_secret_in_form() => {
                let pair = format!("{}:{}", encode(&settings.client_id), encode(secret));
                authorization = Some(format!("Basic {}", STANDARD.encode(pair)));
            }
            _ => {
                form.push_str(&format!("&client_id={}", encode(&settings.client_id)));
                if let Some(secret) = &secret {
                    form.push_str(&format!("&client_secret={}", encode(secret)));
                }
            }
        }
        let asked = issuer
            .asker
            .post(&provider.token_endpoint, authorization.as_deref(), &form);
        let (status, body) = asked.map_err(|why| unavailable(&why))?;
        match status {
            200 => serde_json::from_slice(&body)
                .map_err(|_| unavailable("the token endpoint gives no ID token")),
            400..500 => {
                let said: Value = serde_json::from_slice(&body).unwrap_or_default();
                let error = said["error"].as_str().unwrap_or_default();
                tracing::warn!(status, error, "the identity provider refuses a code");
                Err(unproven("the identity provider does not accept the code"))
            }
            status => Err(unavailable(&format!("the token endpoint answers {status}"))),
        }
    }

    /// What the tokens say of their holder: the ID token's claims, and the provider's other ones
    /// where it alone names no groups.
    fn claims(
        &self,
        issuer: &Issuer,
        settings: &AdminSignIn,
        tokens: &Tokens,
        nonce: &str,
    ) -> Result<Claims, Problem> {
        let client = &settings.client_id;
        let verified = issuer.verify(&tokens.id_token, &[client], &self.clock);
        let (mut claims, _) = verified.map_err(|text| unproven(&text))?;
        let text = |claims: &Claims, name: &str| {
            let value = get(claims, name).and_then(Value::as_str);
            value.map(str::to_owned)
        };
        let given = text(&claims, "nonce").unwrap_or_default();
        if verify_slices_are_equal(given.as_bytes(), nonce.as_bytes()).is_err() {
            return Err(unproven("the token was made for another sign-in"));
        }
        if text(&claims, "azp").is_some_and(|party| party != *client) {
            return Err(unproven("the token was made for another client"));
        }
        let subject = text(&claims, "sub").ok_or_else(|| unproven("the token names nobody"))?;
        let provider = issuer
            .provider(&self.clock)
            .map_err(|why| unavailable(&why))?;
        if let (false, Some(url), Some(token)) = (
            issuer.names_groups(&claims),
            &provider.userinfo_endpoint,
            &tokens.access_token,
        ) {
            let bearer = format!("Bearer {token}");
            let said = issuer.asker.get(url, Some(&bearer));
            let said = said.map_err(|why| unavailable(&why))?;
            let more: Claims = serde_json::from_slice(&said)
                .map_err(|_| unavailable("the userinfo endpoint answers no JSON object"))?;
            // Section 5.3.2: another's claims must not be taken for this one's.
            if text(&more, "sub").as_deref() != Some(&*subject) {
                return Err(unproven("the provider speaks of somebody else"));
            }
            for (name, value) in more {
                claims.entry(name).or_insert(value);
            }
        }
        Ok(claims)
    }
}

/// What the token endpoint gives; other fields are passed over.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

/// Where the provider leads the browser back to.
fn callback(settings: &AdminSignIn, origin: &str) -> String {
    let base = settings.address.as_deref().unwrap_or(origin);
    format!("{}{CALLBACK}", base.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_fits_the_cookie_that_it_was_made_for_until_that_ends() {
        let seal = Seal::new().expect("randomness");
        let cookie = Seal::cookie(1_000).expect("randomness");
        let state = seal.derive("state", &cookie);
        assert!(seal.fits(&cookie, &state, 1_000 + SIGN_IN_S - 1));
        assert!(!seal.fits(&cookie, &state, 1_000 + SIGN_IN_S));
        let later = cookie.replace(&(1_000 + SIGN_IN_S).to_string(), "99999999999");
        assert!(!seal.fits(&later, &state, 1_000));
        let other = Seal::cookie(1_000).expect("randomness");
        assert!(!seal.fits(&other, &state, 1_000) && !seal.fits("", "", 1_000));
        let stranger = Seal::new().expect("randomness");
        assert!(!stranger.fits(&cookie, &state, 1_000));
        assert_ne!(
            seal.derive("nonce", &cookie),
            seal.derive("verifier", &cookie)
        );
        // RFC 7636 section 4.1: 43 to 128 unreserved characters.
        assert_eq!(seal.derive("verifier", &cookie).len(), 43);
    }
}
