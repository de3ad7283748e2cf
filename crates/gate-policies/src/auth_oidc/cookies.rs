//! The cookies of a session and of a sign-in that was begun: sealed, split, set, read and removed.

use super::config::{OidcCookie, SameSite};
use super::sessions::Session;
use crate::places;
use gate_flow::{Exchange, Fault};
use gate_identity::oidc::SIGN_IN_S;
use gate_identity::seal::{PARTS_MAX, Seal, join, split};
use gate_kit::http::{HeaderId, Headers, Scheme};
use gate_model::fault::FaultCode;
use gate_model::units::Period;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// What a browser keeps of a sign-in that it began.
#[derive(Serialize, Deserialize)]
pub(super) struct Login {
    /// What state, nonce and verifier are derived from.
    pub(super) cookie: String,
    /// Where it wanted to go.
    pub(super) to: String,
}

pub(super) struct Cookies {
    name: String,
    /// The attributes that never change, from `Path` on.
    attributes: String,
    always_secure: bool,
    seal: Seal,
    lasting_s: u64,
}

impl Cookies {
    pub(super) fn new(settings: &OidcCookie, seal: Seal, lasting: Period) -> Self {
        let mut attributes = "; Path=/; HttpOnly".to_owned();
        attributes.push_str(match settings.same_site {
            SameSite::Lax => "; SameSite=Lax",
            SameSite::Strict => "; SameSite=Strict",
            SameSite::None => "; SameSite=None",
        });
        if let Some(domain) = &settings.domain {
            // Writing to a String cannot fail.
            let _ = write!(attributes, "; Domain={domain}");
        }
        let prefixed =
            settings.name.starts_with("__Host-") || settings.name.starts_with("__Secure-");
        Self {
            name: settings.name.clone(),
            attributes,
            always_secure: prefixed || settings.same_site == SameSite::None,
            seal,
            lasting_s: lasting.duration().as_secs(),
        }
    }

    /// The session that a request carries.
    pub(super) fn session(&self, headers: &Headers) -> Option<Session> {
        let find = |name: &str| text_of(headers, name);
        let sealed = join(&self.name, find)?;
        let opened = self.seal.open("session", &sealed)?;
        serde_json::from_slice(&opened).ok()
    }

    /// The sign-in that a browser with this state began.
    pub(super) fn login(&self, headers: &Headers, state: &str) -> Option<Login> {
        let sealed = text_of(headers, &self.login_name(state)?)?;
        let opened = self.seal.open("login", sealed)?;
        serde_json::from_slice(&opened).ok()
    }

    /// Several sign-ins may be under way in one browser, each in a tab: each has a cookie.
    fn login_name(&self, state: &str) -> Option<String> {
        let mark = state.get(..8)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        mark.bytes()
            .all(plain)
            .then(|| format!("{}-{mark}", self.name))
    }

    /// Sets the session's cookies on the answer, and ends those of parts that are not used: an older,
    /// larger session may have had them, and the whole one would hide the parts.
    pub(super) fn set(&self, exchange: &mut Exchange, session: &Session) -> Result<(), Fault> {
        let failed = |why: String| Fault::new(FaultCode::PolicyFailed).detail(why);
        let text = serde_json::to_vec(session).map_err(|error| failed(error.to_string()))?;
        let sealed = self.seal.seal("session", &text).map_err(failed)?;
        let parts = split(&self.name, &sealed).map_err(failed)?;
        let now_s = exchange.services.clock().unix().as_secs();
        let left_s = session.until_s.saturating_sub(now_s).min(self.lasting_s);
        for name in self.names() {
            if !parts.iter().any(|(used, _)| *used == name) {
                self.append(exchange, &name, "", 0);
            }
        }
        for (name, value) in &parts {
            self.append(exchange, name, value, left_s);
        }
        Ok(())
    }

    /// Sets the cookie of a sign-in.
    pub(super) fn set_login(
        &self,
        exchange: &mut Exchange,
        state: &str,
        login: &Login,
    ) -> Result<(), Fault> {
        let failed = |why: String| Fault::new(FaultCode::PolicyFailed).detail(why);
        let text = serde_json::to_vec(login).map_err(|error| failed(error.to_string()))?;
        let sealed = self.seal.seal("login", &text).map_err(failed)?;
        let name = self.login_name(state);
        let name = name.ok_or_else(|| failed("no state".to_owned()))?;
        self.append(exchange, &name, &sealed, SIGN_IN_S);
        Ok(())
    }

    /// Ends the cookie of a sign-in.
    pub(super) fn clear_login(&self, exchange: &mut Exchange, state: &str) {
        if let Some(name) = self.login_name(state) {
            self.append(exchange, &name, "", 0);
        }
    }

    /// Ends the session's cookies.
    pub(super) fn clear(&self, exchange: &mut Exchange) {
        for name in self.names() {
            self.append(exchange, &name, "", 0);
        }
    }

    /// Keeps the session's cookies from the upstream.
    pub(super) fn remove(&self, headers: &mut Headers) {
        let mark = format!("{}-", self.name);
        let cookies = headers.all(HeaderId::Cookie);
        let pairs = cookies.flat_map(|field| field.split(|byte| *byte == b';'));
        let names = pairs.filter_map(|pair| {
            let name = std::str::from_utf8(pair).ok()?.trim().split('=').next()?;
            let parts = name.strip_prefix(&*self.name)?;
            (parts.is_empty() || parts.starts_with('.') || name.starts_with(&mark))
                .then(|| name.to_owned())
        });
        // Those of sign-ins that were begun, too: they are nobody else's.
        for name in names.collect::<Vec<_>>() {
            places::remove_cookie(headers, &name);
        }
    }

    fn names(&self) -> impl Iterator<Item = String> + '_ {
        let parts = (0..PARTS_MAX).map(|part| format!("{}.{part}", self.name));
        std::iter::once(self.name.clone()).chain(parts)
    }

    fn append(&self, exchange: &mut Exchange, name: &str, value: &str, seconds: u64) {
        let secure = self.always_secure || exchange.client.scheme == Scheme::Https;
        let secure = if secure { "; Secure" } else { "" };
        let attributes = &self.attributes;
        let cookie = format!("{name}={value}{attributes}; Max-Age={seconds}{secure}");
        exchange
            .response_headers
            .append_known(HeaderId::SetCookie, cookie.as_bytes());
    }
}

fn text_of<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    // Two of one name could be read as either.
    let mut values = headers
        .all(HeaderId::Cookie)
        .flat_map(|field| field.split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let text = std::str::from_utf8(pair).ok()?;
            text.trim().strip_prefix(name)?.strip_prefix('=')
        });
    let value = values.next()?;
    values.next().is_none().then_some(value)
}
