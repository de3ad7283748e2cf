//! Hardens the cookies that targets set, and bounds those that callers send.
//!
//! Every `Set-Cookie` gets `HttpOnly` and `SameSite`, and over TLS `Secure`, unless the target has
//! said otherwise or `except` names the cookie (a script that reads a token needs it). What breaks
//! the rules of its own name is not sent: `__Secure-` asks for `Secure`, `__Host-` also for
//! `Path=/` and no `Domain` (RFC 6265bis section 4.1.3), and so does `SameSite=None` for `Secure`.
//! Callers whose `Cookie` fields exceed the bounds are refused (`head_too_large`), and one that
//! names a cookie twice is refused where `refuse_duplicates` says so, because two servers may each
//! believe another one.
//!
//! ```yaml
//! - cookies: { same_site: strict, except: [csrf_token], refuse_duplicates: true }
//! ```

use crate::template::scheme;
use gate_flow::{CompileContext, Exchange, Fault, Policy, PolicyKind, Reads, Replay, Verdict};
use gate_kit::http::{HeaderId, Headers, Response, Scheme};
use gate_model::fault::FaultCode;
use gate_model::units::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// What becomes of cookies.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CookiesConfig {
    /// Whether `HttpOnly` is added: no script reads the cookie.
    pub http_only: bool,
    /// Whether `Secure` is added over TLS: the cookie never leaves over plain HTTP.
    pub secure: bool,
    /// The `SameSite` of cookies that have none.
    pub same_site: SameSite,
    /// Cookies whose attributes are left alone, by name.
    pub except: Vec<String>,
    /// Most bytes of all `Cookie` fields of a request.
    pub bytes_max: ByteSize,
    /// Most cookies of a request.
    pub count_max: u16,
    /// Whether a request that names a cookie twice is refused.
    pub refuse_duplicates: bool,
}

impl Default for CookiesConfig {
    fn default() -> Self {
        Self {
            http_only: true,
            secure: true,
            same_site: SameSite::Lax,
            except: Vec::new(),
            bytes_max: ByteSize::from_kibibytes(16),
            count_max: 64,
            refuse_duplicates: false,
        }
    }
}

/// The `SameSite` attribute (RFC 6265bis section 4.1.2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SameSite {
    /// None is added.
    Off,
    /// Sent when somebody follows a link to here.
    Lax,
    /// Never sent from other sites.
    Strict,
}

/// The policy.
pub struct Cookies {
    config: CookiesConfig,
}

impl PolicyKind for Cookies {
    const NAME: &'static str = "cookies";
    type Config = CookiesConfig;

    fn compile(
        config: CookiesConfig,
        _: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        for name in &config.except {
            let token = Headers::new().try_append(name.as_bytes(), b"").is_ok();
            if !token {
                return Err((Some("except"), format!("`{name}` is no name of a cookie")));
            }
        }
        Ok(Arc::new(Cookies { config }))
    }
}

impl Policy for Cookies {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        match self.check(&exchange.request.head.headers) {
            Ok(()) => Verdict::Next,
            Err(fault) => Verdict::refuse(fault),
        }
    }

    fn response(&self, exchange: &mut Exchange, response: &mut Response) {
        let over_tls = scheme(exchange) == Scheme::Https;
        for headers in [&mut response.head.headers, &mut exchange.response_headers] {
            self.harden(headers, over_tls);
        }
    }

    fn replay(&self) -> Replay {
        Replay::again(Reads::of_headers(["cookie"]))
    }
}

impl Cookies {
    /// Holds a request's cookies to the bounds.
    fn check(&self, headers: &Headers) -> Result<(), Fault> {
        let mut bytes = 0;
        let mut names: Vec<&[u8]> = Vec::new();
        for field in headers.all(HeaderId::Cookie) {
            bytes += field.len() as u64;
            let pairs = field.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
            for pair in pairs.filter(|pair| !pair.is_empty()) {
                if names.len() >= usize::from(self.config.count_max) {
                    return Err(Fault::new(FaultCode::HeadTooLarge).detail("too many cookies"));
                }
                names.push(
                    pair.split(|&byte| byte == b'=')
                        .next()
                        .unwrap_or(pair)
                        .trim_ascii(),
                );
            }
        }
        if bytes > self.config.bytes_max.bytes() {
            return Err(Fault::new(FaultCode::HeadTooLarge).detail("too many bytes of cookies"));
        }
        names.sort_unstable();
        if self.config.refuse_duplicates && names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Fault::new(FaultCode::MalformedRequest).detail("a cookie came twice"));
        }
        Ok(())
    }

    fn harden(&self, headers: &mut Headers, over_tls: bool) {
        if !headers.contains(HeaderId::SetCookie) {
            return;
        }
        let hardened = headers
            .all(HeaderId::SetCookie)
            .filter_map(|c| self.hardened(c, over_tls));
        let hardened: Vec<Vec<u8>> = hardened.collect();
        headers.remove(HeaderId::SetCookie);
        for cookie in hardened {
            // A valid value with words of ours behind it.
            headers.append_known(HeaderId::SetCookie, &cookie);
        }
    }

    /// The cookie with what it lacks; none where it breaks the rules of its own name.
    fn hardened(&self, cookie: &[u8], over_tls: bool) -> Option<Vec<u8>> {
        let mut said = Said::of(cookie);
        let mut out = cookie.to_vec();
        let name = said.name;
        let excepted = self
            .config
            .except
            .iter()
            .any(|known| known.as_bytes() == name);
        if !excepted {
            let mut add = |is_there: bool, wanted: bool, text: &[u8]| {
                if wanted && !is_there {
                    out.extend_from_slice(text);
                }
            };
            add(said.secure, self.config.secure && over_tls, b"; Secure");
            add(said.http_only, self.config.http_only, b"; HttpOnly");
            match self.config.same_site {
                SameSite::Off => {}
                SameSite::Lax => add(said.same_site, true, b"; SameSite=Lax"),
                SameSite::Strict => add(said.same_site, true, b"; SameSite=Strict"),
            }
            said.secure |= self.config.secure && over_tls;
        }
        said.keeps_its_rules().then_some(out)
    }
}

/// What a `Set-Cookie` field says.
struct Said<'a> {
    name: &'a [u8],
    secure: bool,
    http_only: bool,
    same_site: bool,
    same_site_none: bool,
    root: bool,
    domain: bool,
}

impl<'a> Said<'a> {
    fn of(cookie: &'a [u8]) -> Self {
        let mut parts = cookie.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let pair = parts.next().unwrap_or_default();
        let mut said = Self {
            name: pair
                .split(|&byte| byte == b'=')
                .next()
                .unwrap_or_default()
                .trim_ascii(),
            secure: false,
            http_only: false,
            same_site: false,
            same_site_none: false,
            root: false,
            domain: false,
        };
        for part in parts {
            let mut halves = part.splitn(2, |&byte| byte == b'=').map(<[u8]>::trim_ascii);
            let (key, value) = (
                halves.next().unwrap_or_default(),
                halves.next().unwrap_or_default(),
            );
            let is = |name: &str| key.eq_ignore_ascii_case(name.as_bytes());
            if is("secure") {
                said.secure = true;
            } else if is("httponly") {
                said.http_only = true;
            } else if is("samesite") {
                said.same_site = true;
                // The last one counts, as for every attribute (RFC 6265bis section 5.6).
                said.same_site_none = value.eq_ignore_ascii_case(b"none");
            } else if is("path") {
                said.root = value == b"/";
            } else if is("domain") {
                said.domain = !value.is_empty();
            }
        }
        said
    }

    /// Whether a browser would keep it.
    fn keeps_its_rules(&self) -> bool {
        let starts = |prefix: &[u8]| {
            let start = self.name.get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix))
        };
        let secure = !(starts(b"__Secure-") || starts(b"__Host-") || self.same_site_none);
        (secure || self.secure) && (!starts(b"__Host-") || (self.root && !self.domain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Harness, VerdictExt, response};
    use std::rc::Rc;

    fn set(settings: &str, https: bool, cookie: &str) -> String {
        let harness = Harness::new();
        let policy = harness.policy::<Cookies>(settings);
        let mut exchange = harness.exchange("GET /");
        if !https {
            Rc::make_mut(&mut exchange.client).scheme = Scheme::Http;
        }
        let answer = response(200, &[("Set-Cookie", cookie)], gate_kit::http::Body::Empty);
        let answer = harness.respond(&policy, &mut exchange, answer);
        let all = answer.head.headers.all(HeaderId::SetCookie);
        all.map(String::from_utf8_lossy)
            .collect::<Vec<_>>()
            .join(" | ")
    }

    #[test]
    fn cookies_get_what_they_lack() {
        for (settings, https, cookie, expected) in [
            ("{}", true, "a=1", "a=1; Secure; HttpOnly; SameSite=Lax"),
            ("{}", false, "a=1", "a=1; HttpOnly; SameSite=Lax"),
            (
                "{}",
                true,
                "a=1; secure; HTTPONLY; samesite=strict",
                "a=1; secure; HTTPONLY; samesite=strict",
            ),
            (
                "same_site: strict",
                true,
                "a=1; Path=/",
                "a=1; Path=/; Secure; HttpOnly; SameSite=Strict",
            ),
            ("same_site: off", true, "a=1", "a=1; Secure; HttpOnly"),
            (
                "{ http_only: false, secure: false }",
                true,
                "a=1",
                "a=1; SameSite=Lax",
            ),
            ("except: [a]", true, "a=1", "a=1"),
            (
                "except: [a]",
                true,
                "b=a=1",
                "b=a=1; Secure; HttpOnly; SameSite=Lax",
            ),
        ] {
            assert_eq!(
                set(settings, https, cookie),
                expected,
                "{settings} {cookie}"
            );
        }
    }

    #[test]
    fn cookies_that_browsers_would_refuse_are_not_sent() {
        for (https, cookie, is_sent) in [
            (true, "__Host-a=1; Path=/", true),
            (false, "__Host-a=1; Path=/", false),
            (true, "__Host-a=1", false),
            (true, "__Host-a=1; Path=/; Domain=example.com", false),
            (true, "__host-a=1; Path=/x", false),
            (true, "__Secure-a=1", true),
            (false, "__Secure-a=1", false),
            (false, "a=1; SameSite=None", false),
            (true, "a=1; SameSite=None", true),
        ] {
            assert_eq!(
                !set("{}", https, cookie).is_empty(),
                is_sent,
                "{https} {cookie}"
            );
        }
    }

    #[test]
    fn requests_are_held_to_the_bounds() {
        let harness = Harness::new();
        let check = |settings: &str, cookie: &str| {
            let policy = harness.policy::<Cookies>(settings);
            let mut exchange = harness.exchange(&format!("GET /\ncookie: {cookie}"));
            harness
                .request(&policy, &mut exchange)
                .refused()
                .map(|fault| fault.code)
        };
        assert_eq!(check("{}", "a=1; b=2"), None);
        assert_eq!(check("count_max: 2", "a=1; b=2"), None);
        assert_eq!(
            check("count_max: 2", "a=1; b=2; c=3"),
            Some(FaultCode::HeadTooLarge)
        );
        assert_eq!(check("bytes_max: 8B", "a=1; b=2"), None);
        assert_eq!(
            check("bytes_max: 8B", "a=1; b=22"),
            Some(FaultCode::HeadTooLarge)
        );
        assert_eq!(check("{}", "a=1; a=2"), None);
        let twice = check("refuse_duplicates: true", "a=1; b=1; a=2");
        assert_eq!(twice, Some(FaultCode::MalformedRequest));
    }
}
