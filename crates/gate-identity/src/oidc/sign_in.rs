//! The authorization code flow (Core 1.0, section 3.1) with PKCE (RFC 7636), as RFC 9700 wants it.
//!
//! Nothing is kept between the two requests: the browser holds a random text in a cookie, and state,
//! nonce and verifier are HMACs of it. So strangers can fill no memory, an answer is only taken from
//! the browser that asked, and the code is worth nothing without the cookie.

use super::Provider;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use form_urlencoded::Serializer;

/// How long a sign-in may take, in seconds.
pub const SIGN_IN_S: u64 = 600;

/// What derives a sign-in's secrets.
#[derive(Clone)]
pub struct SignInSeal(hmac::Key);

/// A sign-in that begins.
pub struct Begun {
    /// Where the browser is led.
    pub location: String,
    /// The cookie that it comes back with.
    pub cookie: String,
}

/// What a browser comes back with.
#[derive(Default, Clone, Copy)]
pub struct Returned<'a> {
    /// The cookie.
    pub cookie: Option<&'a str>,
    /// Query parameter: what was derived when it left.
    pub state: Option<&'a str>,
    /// Query parameter: what tokens are given for.
    pub code: Option<&'a str>,
    /// Query parameter: why there is no code.
    pub error: Option<&'a str>,
    /// Query parameter: who answers (RFC 9207).
    pub iss: Option<&'a str>,
}

/// Why what a browser comes back with does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInError {
    /// No sign-in of this browser awaits an answer, or too long ago.
    NotBegun,
    /// Another issuer's answer, mixed up with this one's.
    OtherIssuer,
    /// The provider lets nobody in.
    Denied,
    /// There is no code.
    NoCode,
}

impl SignInError {
    /// In words, for whoever looks at the browser.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotBegun => "this browser began no sign-in, or too long ago",
            Self::OtherIssuer => "another issuer answered",
            Self::Denied => "the identity provider lets nobody in",
            Self::NoCode => "there is no code",
        }
    }
}

impl SignInSeal {
    /// One that only this process knows.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn random() -> Result<Self, String> {
        let secret = gate_kit::random::secret::<32>();
        let secret = secret.map_err(|_| "the system gives no randomness".to_owned())?;
        Ok(Self::of(&secret))
    }

    /// One that everybody has who knows the secret.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// A text of 43 characters that only this seal finds for a cookie.
    #[must_use]
    pub fn derive(&self, what: &str, cookie: &str) -> String {
        let tag = hmac::sign(&self.0, format!("{what} {cookie}").as_bytes());
        URL_SAFE_NO_PAD.encode(tag)
    }

    /// A new cookie: randomness, and when it ends (UNIX seconds).
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn cookie(now_s: u64) -> Result<String, String> {
        let secret = gate_kit::random::secret::<32>()
            .map_err(|_| "the system gives no randomness".to_owned())?;
        let until_s = now_s + SIGN_IN_S;
        Ok(format!("{}.{until_s}", URL_SAFE_NO_PAD.encode(secret)))
    }

    /// Whether `state` belongs to a cookie that has not ended. The state vouches for the cookie's
    /// end, too.
    #[must_use]
    pub fn fits(&self, cookie: &str, state: &str, now_s: u64) -> bool {
        let derived = self.derive("state", cookie);
        let until_s = cookie.split_once('.').and_then(|(_, end)| end.parse().ok());
        verify_slices_are_equal(derived.as_bytes(), state.as_bytes()).is_ok()
            && until_s.is_some_and(|until_s: u64| now_s < until_s)
    }

    /// The code that a browser brings back, and the cookie that it belongs to.
    ///
    /// # Errors
    /// Why its answer does not count.
    pub fn accept<'a>(
        &self,
        returned: &Returned<'a>,
        issuer: &str,
        now_s: u64,
    ) -> Result<(&'a str, &'a str), SignInError> {
        let pair = returned.cookie.zip(returned.state);
        let (cookie, state) = pair.ok_or(SignInError::NotBegun)?;
        if !self.fits(cookie, state, now_s) {
            return Err(SignInError::NotBegun);
        }
        if returned.iss.is_some_and(|iss| iss != issuer) {
            return Err(SignInError::OtherIssuer);
        }
        if returned.error.is_some() {
            return Err(SignInError::Denied);
        }
        let code = returned.code.ok_or(SignInError::NoCode)?;
        Ok((code, cookie))
    }
}

/// Where a browser is led to sign in. `scopes` come after `openid`; `extra` are further parameters
/// of the operator's, such as `prompt`.
pub fn authorization_url<'a>(
    provider: &Provider,
    seal: &SignInSeal,
    cookie: &str,
    (client_id, callback): (&str, &str),
    scopes: impl IntoIterator<Item = &'a String>,
    extra: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> String {
    let verifier = seal.derive("verifier", cookie);
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    let mut scope = "openid".to_owned();
    for more in scopes {
        scope.push(' ');
        scope.push_str(more);
    }
    let mut query = Serializer::new(String::new());
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", client_id)
        .append_pair("redirect_uri", callback)
        .append_pair("scope", &scope)
        .append_pair("state", &seal.derive("state", cookie))
        .append_pair("nonce", &seal.derive("nonce", cookie))
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    for (name, value) in extra {
        query.append_pair(name, value);
    }
    let door = &provider.authorization_endpoint;
    let joint = if door.contains('?') { '&' } else { '?' };
    format!("{door}{joint}{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_fits_the_cookie_that_it_was_made_for_until_that_ends() {
        let seal = SignInSeal::random().expect("randomness");
        let cookie = SignInSeal::cookie(1_000).expect("randomness");
        let state = seal.derive("state", &cookie);
        assert!(seal.fits(&cookie, &state, 1_000 + SIGN_IN_S - 1));
        assert!(!seal.fits(&cookie, &state, 1_000 + SIGN_IN_S));
        let later = cookie.replace(&(1_000 + SIGN_IN_S).to_string(), "99999999999");
        assert!(!seal.fits(&later, &state, 1_000));
        let other = SignInSeal::cookie(1_000).expect("randomness");
        assert!(!seal.fits(&other, &state, 1_000) && !seal.fits("", "", 1_000));
        let stranger = SignInSeal::random().expect("randomness");
        assert!(!stranger.fits(&cookie, &state, 1_000));
        assert_ne!(
            seal.derive("nonce", &cookie),
            seal.derive("verifier", &cookie)
        );
        // RFC 7636 section 4.1: 43 to 128 unreserved characters.
        assert_eq!(seal.derive("verifier", &cookie).len(), 43);
    }

    #[test]
    fn an_answer_counts_from_the_issuer_that_was_asked() {
        let seal = SignInSeal::of(&[7; 32]);
        let cookie = SignInSeal::cookie(1_000).expect("randomness");
        let state = seal.derive("state", &cookie);
        let good = Returned {
            cookie: Some(&cookie),
            state: Some(&state),
            code: Some("c"),
            error: None,
            iss: Some("me"),
        };
        let accept = |returned: Returned<'_>| seal.accept(&returned, "me", 1_001).map(|_| ());
        assert_eq!(accept(good), Ok(()));
        let wrong = [
            (
                Returned {
                    cookie: None,
                    ..good
                },
                SignInError::NotBegun,
            ),
            (
                Returned {
                    state: Some("x"),
                    ..good
                },
                SignInError::NotBegun,
            ),
            (
                Returned {
                    iss: Some("you"),
                    ..good
                },
                SignInError::OtherIssuer,
            ),
            (
                Returned {
                    error: Some("access_denied"),
                    ..good
                },
                SignInError::Denied,
            ),
            (Returned { code: None, ..good }, SignInError::NoCode),
        ];
        for (returned, error) in wrong {
            assert_eq!(accept(returned), Err(error));
            assert!(!error.text().is_empty());
        }
    }
}
