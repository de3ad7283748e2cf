//! Who calls: keys, tokens of an identity provider, sessions, and callers on this machine.
//!
//! What a caller proves becomes an [`Identity`]; nothing else in this crate looks at credentials.
//! Keys are compared by their SHA-256 in constant time. Without keys and without an identity
//! provider only callers on this machine are let in, on a loopback address, and only where neither
//! `Host` nor `Origin` betrays a browser that was led here under another name.

mod identity;
mod oidc;
mod origin;
mod rate;
mod session;

pub(crate) use identity::Identity;
pub use origin::Peer;
pub(crate) use origin::check as check_origin;
pub(crate) use rate::Rates;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gate_api::problem::{Code, Problem};
use gate_api::types::Authentication;
use gate_kit::clock::Clock;
use gate_kit::http::{HeaderId, Headers};
use gate_model::resources::Admin;
use oidc::Issuer;
use session::Sessions;
use std::time::Duration;

/// The name of the console's cookie.
pub(crate) const COOKIE: &str = "tidegate_session";

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
    clock: Clock,
}

impl Access {
    /// As configured. Reads the issuer's keys when they are a file.
    ///
    /// # Errors
    /// One sentence that names the file.
    pub(crate) fn new(settings: Admin, clock: Clock) -> Result<Self, String> {
        let issuer = settings.oidc.clone().map(Issuer::new).transpose()?;
        let sessions = Sessions::new(settings.session.duration());
        Ok(Self {
            settings,
            issuer,
            sessions,
            clock,
        })
    }

    /// Whether anybody must prove anything.
    pub(crate) fn is_open(&self) -> bool {
        self.settings.keys.is_empty() && self.issuer.is_none()
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
                Some(identity) if self.stands(&identity) => Ok(Identity {
                    authentication: Authentication::Session,
                    ..identity
                }),
                _ => refused("the session has ended"),
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
                .map_err(|detail| Problem::new(Code::Unauthenticated, detail)),
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

    /// Whether what an identity was made from is still so: its key is listed and has not expired.
    pub(crate) fn stands(&self, identity: &Identity) -> bool {
        if identity
            .expires_s
            .is_some_and(|until| until <= self.now().as_secs())
        {
            return false;
        }
        match &identity.key {
            None => identity.authentication != Authentication::None || self.is_open(),
            Some((name, hash)) => self
                .settings
                .keys
                .get(name)
                .is_some_and(|key| key.sha256.bytes() == hash),
        }
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
    pub(crate) fn inherit(&self, before: &Access) {
        self.sessions.inherit(&before.sessions);
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
    let cookies = headers.all(HeaderId::Cookie);
    let mut pairs = cookies
        .filter_map(|line| std::str::from_utf8(line).ok())
        .flat_map(|line| line.split(';'));
    let cookie = pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='));
    cookie.map_or(Presented::Nothing, |value| {
        Presented::Session(value.to_owned())
    })
}

#[cfg(test)]
mod tests;
