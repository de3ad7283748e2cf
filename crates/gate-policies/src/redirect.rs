//! Sends callers elsewhere, without calling the target.
//!
//! What is left out of `scheme`, `host`, `port`, `path` and `prefix` is taken from the request. A
//! port is kept only while scheme and host are. A request that is already where it would be sent
//! goes on to the target instead of circling: `redirect: { https: true }` passes what came over
//! HTTPS, also through a trusted proxy that says so in X-Forwarded-Proto, and
//! `redirect: { host: www.example.com }` passes requests for that host. `path` may hold variables
//! such as `${params.id}`.
//!
//! ```yaml
//! - redirect: { https: true }
//! - redirect: { host: www.example.com, path: /moved, status: 303, keep_query: false }
//! ```

use crate::checks::is_authority;
use crate::path_change::{PathChange, PrefixChange};
use crate::template::{Place, Template, escape, scheme, scheme_reads};
use gate_flow::{CompileContext, Exchange, Fault, Policy, PolicyKind, Reads, Replay, Verdict};
use gate_kit::http::{Response, Scheme};
use gate_model::fault::FaultCode;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Sends callers elsewhere; at least one part of the URL must change.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RedirectConfig {
    /// The same as `scheme: https`.
    pub https: bool,
    /// The new scheme.
    pub scheme: Option<RedirectScheme>,
    /// The new host, without a port; may hold variables.
    pub host: Option<String>,
    /// The new port.
    pub port: Option<u16>,
    /// The whole new path; may hold variables.
    pub path: Option<String>,
    /// Replaces the beginning of the path; other paths are left as they are.
    pub prefix: Option<PrefixChange>,
    /// 301 or 308 for good, 302 or 307 for now, 303 to continue with GET. 307 and 308 keep the
    /// method and the body; after 301 and 302, many callers turn POST into GET.
    pub status: u16,
    /// Whether the query is kept.
    pub keep_query: bool,
}

impl Default for RedirectConfig {
    fn default() -> Self {
        Self {
            https: false,
            scheme: None,
            host: None,
            port: None,
            path: None,
            prefix: None,
            status: 308,
            keep_query: true,
        }
    }
}

/// The scheme of a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RedirectScheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

/// The policy.
pub struct Redirect {
    scheme: Option<Scheme>,
    host: Option<Template>,
    port: Option<u16>,
    path: PathChange,
    status: u16,
    keep_query: bool,
    scheme_reads: Reads,
}

impl PolicyKind for Redirect {
    const NAME: &'static str = "redirect";
    type Config = RedirectConfig;

    fn compile(
        config: RedirectConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        if !matches!(config.status, 301 | 302 | 303 | 307 | 308) {
            let message = format!("{} is not one of 301, 302, 303, 307 and 308", config.status);
            return Err((Some("status"), message));
        }
        if config.https && config.scheme == Some(RedirectScheme::Http) {
            return Err((
                Some("scheme"),
                "`https: true` and `scheme: http` contradict".into(),
            ));
        }
        if config.port == Some(0) {
            return Err((Some("port"), "0 is no port".into()));
        }
        let host = config
            .host
            .map(|host| compile_host(&host, context))
            .transpose();
        let host = host.map_err(|e| (Some("host"), e))?;
        let path = PathChange::compile(config.prefix, config.path, None, context)?;
        let scheme = match config.scheme {
            _ if config.https => Some(Scheme::Https),
            Some(RedirectScheme::Https) => Some(Scheme::Https),
            Some(RedirectScheme::Http) => Some(Scheme::Http),
            None => None,
        };
        if scheme.is_none() && host.is_none() && config.port.is_none() && path.is_keep() {
            let message = "nothing would change: give `https`, `scheme`, `host`, `port`, `path` or \
                           `prefix`";
            return Err((None, message.into()));
        }
        let Self::Config {
            port,
            status,
            keep_query,
            ..
        } = config;
        Ok(Arc::new(Redirect {
            scheme,
            host,
            port,
            path,
            status,
            keep_query,
            scheme_reads: scheme_reads(context),
        }))
    }
}

impl Policy for Redirect {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let location = match self.location(exchange) {
            Ok(None) => return Verdict::Next,
            Ok(Some(location)) => location,
            Err(fault) => return Verdict::refuse(fault),
        };
        let mut response = Response::empty(self.status);
        match response
            .head
            .headers
            .try_append(b"location", location.as_bytes())
        {
            Ok(()) => Verdict::Reply(Box::new(response)),
            Err(_) => Verdict::refuse(FaultCode::InvalidPath),
        }
    }

    fn replay(&self) -> Replay {
        Replay::again(self.scheme_reads.clone())
    }
}

impl Redirect {
    /// Where to; `None` when the request is there already.
    fn location(&self, exchange: &Exchange) -> Result<Option<String>, Fault> {
        let head = &exchange.request.head;
        let here = Origin::of(exchange);
        let there = self.origin(exchange, here.as_ref())?;
        let mut target = String::new();
        if head.target.starts_with('/') {
            let path = self.path.apply(exchange)?;
            escape(
                path.as_deref().unwrap_or_else(|| head.path()),
                Place::Path,
                true,
                &mut target,
            );
            if let Some(query) = head.query().filter(|_| self.keep_query) {
                target.push('?');
                target.push_str(query);
            }
        } else {
            target.push('/');
        }
        let is_there = here.as_ref() == Some(&there) && target == head.target;
        Ok((!is_there).then(|| format!("{there}{target}")))
    }

    fn origin(&self, exchange: &Exchange, here: Option<&Origin>) -> Result<Origin, Fault> {
        let nowhere =
            || Fault::new(FaultCode::MalformedRequest).message("The request names no valid host.");
        let scheme = self.scheme.unwrap_or_else(|| scheme(exchange));
        let host = match &self.host {
            Some(host) => {
                let host = host
                    .text(exchange, Place::Host)
                    .filter(|host| is_bare_host(host));
                host.map(|host| host.to_ascii_lowercase()).ok_or_else(|| {
                    Fault::new(FaultCode::PolicyFailed).detail("the new host is no host")
                })?
            }
            None => here.ok_or_else(nowhere)?.host.clone(),
        };
        let port = match self.port {
            Some(port) => Some(port),
            None if self.host.is_some() => None,
            None => here
                .filter(|here| here.scheme == scheme)
                .and_then(|here| here.port),
        };
        Ok(Origin {
            scheme,
            host,
            port: port.filter(|&port| port != default_port(scheme)),
        })
    }
}

/// Scheme, host in lower case, and the port unless it is the scheme's own.
#[derive(Debug, PartialEq, Eq)]
struct Origin {
    scheme: Scheme,
    host: String,
    port: Option<u16>,
}

impl Origin {
    /// Where the request was sent; `None` when it names no valid host.
    fn of(exchange: &Exchange) -> Option<Self> {
        let authority = &exchange.request.head.authority;
        let scheme = scheme(exchange);
        if !is_authority(authority) {
            return None;
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
            _ => (authority.as_str(), None),
        };
        let port = port.filter(|&port| port != default_port(scheme));
        Some(Self {
            scheme,
            host: host.to_ascii_lowercase(),
            port,
        })
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

const fn default_port(scheme: Scheme) -> u16 {
    match scheme {
        Scheme::Http => 80,
        Scheme::Https => 443,
    }
}

fn compile_host(host: &str, context: &CompileContext<'_>) -> Result<Template, String> {
    let template = Template::parse(host, context)?;
    match template.literal() {
        Some(text) if is_authority(text) && !is_bare_host(text) => {
            Err(format!("`{text}` holds a port; use `port`"))
        }
        Some(text) if !is_bare_host(text) => Err(format!("`{text}` is no host")),
        _ => Ok(template),
    }
}

fn is_bare_host(text: &str) -> bool {
    is_authority(text) && (text.ends_with(']') || !text.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Harness, VerdictExt};
    use gate_kit::http::HeaderId;

    const RESOURCES: &str = "{ gateway: { trusted_proxies: [192.0.2.0/24] }, routes: { r: { \
         match: { path: '/o/{id}' }, target: { fixed: { status: 200 } } } } }";

    /// Where a request over plain text is sent; `next` when it is not, or the fault.
    fn sent(settings: &str, head: &str) -> String {
        let harness = Harness::new().resources(RESOURCES);
        let policy = harness.policy::<Redirect>(settings);
        let mut exchange = harness.exchange(head);
        exchange.parameters.0.push(("id".into(), "7".into()));
        let plain = gate_flow::Client {
            scheme: Scheme::Http,
            ..(*exchange.client).clone()
        };
        exchange.client = plain.into();
        match harness.request(&policy, &mut exchange) {
            Verdict::Next => "next".into(),
            Verdict::Refuse(fault) => fault.code.to_string(),
            verdict => {
                let reply = verdict.reply();
                let location = reply
                    .head
                    .headers
                    .get_str(HeaderId::Location)
                    .expect("a location");
                format!("{} {location}", reply.head.status)
            }
        }
    }

    #[test]
    fn settings_that_cannot_act_are_refused() {
        for (settings, expected) in [
            ("{}", "nothing would change"),
            ("{ https: false }", "nothing would change"),
            ("{ https: true, status: 304 }", "304 is not one of"),
            ("{ https: true, scheme: http }", "contradict"),
            ("{ scheme: ftp }", "ftp"),
            ("{ port: 0 }", "0 is no port"),
            ("{ host: 'a:80' }", "use `port`"),
            ("{ host: 'a/b' }", "is no host"),
            ("{ path: '/a#b' }", "which no path can"),
            ("{ path: /a, prefix: { from: /a, to: /b } }", "at most one"),
        ] {
            let error = Harness::new().compile::<Redirect>(settings).err();
            let error = error
                .unwrap_or_else(|| panic!("accepted {settings}"))
                .to_string();
            assert!(error.contains(expected), "{settings}: {error}");
        }
    }

    #[test]
    fn requests_without_a_usable_host_are_refused() {
        assert_eq!(sent("https: true", "GET /\nhost: a b"), "malformed_request");
        assert_eq!(sent("https: true", "GET /\nhost:"), "malformed_request");
        assert_eq!(sent("host: a.b", "GET /x\nhost:"), "308 http://a.b/x");
    }

    #[test]
    fn https_keeps_everything_but_the_scheme_and_port() {
        let https = "https: true";
        for (head, expected) in [
            ("GET /a?b=c", "308 https://example.com/a?b=c"),
            (
                "GET /a\nhost: EXAMPLE.com:8080",
                "308 https://example.com/a",
            ),
            ("GET //evil.com/", "308 https://example.com//evil.com/"),
            ("GET /\nhost: [::1]:80", "308 https://[::1]/"),
            ("OPTIONS *", "308 https://example.com/"),
            ("GET /a\nX-Forwarded-Proto: https", "next"),
        ] {
            assert_eq!(sent(https, head), expected, "{head}");
        }
        let mine = sent("{ https: true, port: 8443, status: 301 }", "GET /");
        assert_eq!(mine, "301 https://example.com:8443/");
    }

    #[test]
    fn who_is_there_already_goes_on() {
        assert_eq!(
            sent("host: www.example.com", "GET /x\nhost: WWW.example.com:80"),
            "next"
        );
        assert_eq!(
            sent("host: www.example.com", "GET /x"),
            "308 http://www.example.com/x"
        );
        assert_eq!(sent("path: /x", "GET /x"), "next");
        assert_eq!(
            sent("{ path: /x, keep_query: false }", "GET /x?a"),
            "308 http://example.com/x"
        );
        assert_eq!(
            sent("prefix: { from: /old, to: /new }", "GET /other"),
            "next"
        );
    }

    #[test]
    fn parts_are_replaced_one_by_one() {
        for (settings, expected) in [
            (
                "path: '/orders/${params.id}'",
                "308 http://example.com:81/orders/7?q=1",
            ),
            (
                "{ path: /x, keep_query: false, status: 303 }",
                "303 http://example.com:81/x",
            ),
            (
                "{ prefix: { from: /o, to: /p }, status: 307 }",
                "307 http://example.com:81/p/7?q=1",
            ),
            (
                "{ host: '${params.id}.a.b', status: 302 }",
                "302 http://7.a.b/o/7?q=1",
            ),
            ("{ port: 80 }", "308 http://example.com/o/7?q=1"),
            (
                "{ scheme: http, port: 82 }",
                "308 http://example.com:82/o/7?q=1",
            ),
        ] {
            assert_eq!(
                sent(settings, "GET /o/7?q=1\nhost: example.com:81"),
                expected
            );
        }
    }
}
