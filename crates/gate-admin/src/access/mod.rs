//! Who calls: keys, tokens of an identity provider, sessions, and callers on this machine.
//!
//! What a caller proves becomes an [`Identity`]; nothing else in this crate looks at credentials.
//! Keys are compared by their SHA-256 in constant time. Without keys and without an identity
//! provider only callers on this machine are let in, on a loopback address, and only where neither
//! `Host` nor `Origin` betrays a browser that was led here under another name.

mod ask;
mod discovery;
mod identity;
mod key_set;
mod oidc;
mod origin;
mod rate;
mod session;
mod sign_in;

pub(crate) use gate_identity::oidc::{Returned, SIGN_IN_S};
pub(crate) use identity::Identity;
pub use origin::Peer;
pub(crate) use origin::check as check_origin;
pub(crate) use rate::Rates;
pub use sign_in::ReadSecret;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gate_api::problem::{Code, Problem};
use gate_api::types::Authentication;
use gate_identity::oidc::SignInSeal;
use gate_kit::clock::Clock;
use gate_kit::http::{HeaderId, Headers};
use gate_model::resources::Admin;
use identity::Proof;
use oidc::{Issuer, Refusal};
use session::Sessions;
use std::time::Duration;

/// The name of the console's cookie.
pub(crate) const COOKIE: &str = "tidegate_session";
/// The name of the cookie of a sign-in that was begun.
pub(crate) const SIGN_IN_COOKIE: &str = "tidegate_sign_in";

/// What a request presents.
#[derive(Default)]
pub(crate) enum Presented {
    /// Nothing.
    #[default]
    Nothing,
    /// A key or a token.
    Credential(String),
    /// A session's cookie.
    Session(String),
}

/// Everything that decides who a caller is, as configured.
pub(crate) struct Access {
    settings: Admin,
    issuer: Option<Issuer>,
    sessions: Sessions,
    seal: SignInSeal,
    secrets: ReadSecret,
    clock: Clock,
}

impl Access {
    /// As configured. Reads the issuer's keys when they are a file.
    ///
    /// # Errors
    /// One sentence that names the file.
    pub(crate) fn new(settings: Admin, secrets: ReadSecret, clock: Clock) -> Result<Self, String> {
        let issuer = settings.oidc.clone().map(Issuer::new).transpose()?;
        let sessions = Sessions::new(settings.session.duration());
        Ok(Self {
            settings,
            issuer,
            sessions,
            seal: SignInSeal::random()?,
            secrets,
            clock,
        })
    }

    /// Whether anybody must prove anything.
    pub(crate) fn is_open(&self) -> bool {
        self.settings.keys.is_empty() && self.issuer.is_none()
    }

    /// Whether there are keys.
    pub(crate) fn has_keys(&self) -> bool {
        !self.settings.keys.is_empty()
    }

    /// Whether tokens of an identity provider are accepted.
    pub(crate) fn has_issuer(&self) -> bool {
        self.issuer.is_some()
    }

    /// Requests a second that one caller may make.
    pub(crate) fn rate(&self) -> u32 {
        self.settings.rate
    }

    /// Who a request is from. May wait for the issuer's keys.
    pub(crate) fn identify(&self, presented: &Presented) -> Result<Identity, Problem> {
        let refused = |detail: &str| Err(Problem::new(Code::Unauthenticated, detail));
        match presented {
            Presented::Nothing if self.is_open() => Ok(Identity::loopback()),
            Presented::Nothing => refused("send a key as `Authorization: Bearer KEY`"),
            // An old cookie must not lock a caller out where nobody needs one.
            Presented::Session(_) if self.is_open() => Ok(Identity::loopback()),
            Presented::Session(cookie) => match self.sessions.find(cookie, self.now()) {
                Some(identity) => match self.renewed(&identity) {
                    Some(identity) => Ok(Identity {
                        authentication: Authentication::Session,
                        ..identity
                    }),
                    None => refused("the session has ended"),
                },
                None => refused("the session has ended"),
            },
            Presented::Credential(credential) => self.credential(credential),
        }
    }

    /// Who holds a key or a token.
    pub(crate) fn credential(&self, credential: &str) -> Result<Identity, Problem> {
        if self.is_open() {
            return Ok(Identity::loopback());
        }
        if let Some(identity) = self.key(credential) {
            return Ok(identity);
        }
        let unknown = "the key or token is not known here, or has expired";
        match &self.issuer {
            Some(issuer) if credential.bytes().filter(|byte| *byte == b'.').count() == 2 => issuer
                .identify(credential, &self.clock)
                .map_err(|refusal: Refusal| Problem::new(Code::Unauthenticated, refusal.text())),
            _ => Err(Problem::new(Code::Unauthenticated, unknown)),
        }
    }

    /// Every configured key is compared, so that the time says nothing about which one came close.
    fn key(&self, credential: &str) -> Option<Identity> {
        let given = digest(&SHA256, credential.as_bytes());
        let mut found = None;
        for (name, key) in &self.settings.keys {
            let same = verify_slices_are_equal(given.as_ref(), key.sha256.bytes()).is_ok();
            let valid = key
                .expires
                .is_none_or(|until| until.unix_s() > self.now().as_secs());
            if same && valid {
                found = Some(Identity::of_key(name, key));
            }
        }
        found
    }

    /// An identity as it is by the settings of now: with the role and the limits that its key or its
    /// groups have today, and none when they have gone or expired.
    pub(crate) fn renewed(&self, identity: &Identity) -> Option<Identity> {
        let valid = |identity: &Identity| {
            let until = identity.expires_s;
            until.is_none_or(|until| until > self.now().as_secs())
        };
        let renewed = match &identity.proof {
            Proof::Nothing => self.is_open().then(|| identity.clone())?,
            Proof::Key(name, hash) => {
                let key = self.settings.keys.get(name);
                let key = key.filter(|key| key.sha256.bytes() == hash)?;
                Identity::of_key(name, key)
            }
            Proof::Token { issuer, groups } => {
                let known = self.issuer.as_ref();
                let known = known.filter(|known| known.settings.issuer == *issuer)?;
                known.granted(&identity.actor, groups.clone(), identity.expires_s?)?
            }
        };
        valid(&renewed).then_some(renewed)
    }

    /// Begins a session; gives back the cookie's value and how long it lasts.
    pub(crate) fn begin(&self, identity: Identity) -> Result<(String, Duration), Problem> {
        self.sessions.begin(identity, self.now())
    }

    /// Ends a session.
    pub(crate) fn end(&self, cookie: &str) {
        self.sessions.end(cookie);
    }

    /// Takes over what the access before it knew of sessions; those whose key has gone end.
    pub(crate) fn inherit(&mut self, before: &Access) {
        self.sessions.inherit(&before.sessions);
        self.seal = before.seal.clone();
    }

    fn now(&self) -> Duration {
        self.clock.unix()
    }
}

/// What a request presents: `Authorization` before the cookie.
pub(crate) fn presented(headers: &Headers) -> Presented {
    if let Some(authorization) = headers.get_str(HeaderId::Authorization) {
        let (scheme, rest) = authorization.split_once(' ').unwrap_or((authorization, ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            return Presented::Credential(rest.trim().to_owned());
        }
        if scheme.eq_ignore_ascii_case("basic") {
            // RFC 7617: the password is what follows the first colon.
            let decoded = STANDARD.decode(rest.trim()).unwrap_or_default();
            let text = String::from_utf8(decoded).unwrap_or_default();
            let password = text.split_once(':').map_or("", |(_, password)| password);
            return Presented::Credential(password.to_owned());
        }
        return Presented::Credential(String::new());
    }
    cookie(headers, COOKIE).map_or(Presented::Nothing, |value| {
        Presented::Session(value.to_owned())
    })
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    let mut pairs = headers
        .all(HeaderId::Cookie)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .flat_map(|line| line.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests;
