//! Answers browsers that ask whether another origin may call (CORS, the Fetch standard).
//!
//! Preflights (OPTIONS with Origin and Access-Control-Request-Method) are answered with 204 and
//! never reach the target. A request from an origin that is not allowed is served as any other, but
//! its answer says nothing about CORS, so that the browser keeps it from the page; the gateway does
//! not refuse it, because anything but a browser could claim any origin (authenticate instead).
//! Whatever the target says about CORS is replaced. Answers vary by Origin unless every origin is
//! allowed. Put this policy before those that may refuse, so that their answers can be read too,
//! and let the route match OPTIONS.
//!
//! An origin is written as a browser sends it: `https://app.example.com`, with a port if it is not
//! the scheme's own. `https://*.example.com` allows every host below `example.com` (not itself),
//! `http://localhost:*` every port, and `*` everybody.
//!
//! ```yaml
//! - cors:
//!     origins: ["https://app.example.com", "https://*.preview.example.com"]
//!     methods: [GET, POST, PUT, DELETE]
//!     headers: [Authorization, Content-Type]
//!     credentials: true
//!     max_age: 10m
//! ```

use gate_flow::{CompileContext, Exchange, Policy, PolicyKind, Reads, Replay, Verdict};
use gate_kit::http::{HeaderId, Headers, Method, RequestHead, Response};
use gate_model::units::Period;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Longest origin that is compared; no real one comes near.
const ORIGIN_BYTES_MAX: usize = 512;
/// Most bytes of requested header names that are sent back.
const REFLECTED_BYTES_MAX: usize = 4096;

/// Answers browsers that ask whether another origin may call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CorsConfig {
    /// Origins that may call.
    pub origins: Vec<String>,
    /// Methods they may use; `*` allows any.
    #[serde(default = "methods")]
    pub methods: Vec<String>,
    /// Request headers they may send beyond the harmless ones; `*` allows whatever is asked for.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Response headers that pages may read beyond the harmless ones.
    #[serde(default)]
    pub expose: Vec<String>,
    /// Whether cookies and other credentials are sent along. Cannot be combined with the origin `*`.
    #[serde(default)]
    pub credentials: bool,
    /// How long browsers may remember the answer to a preflight; their own default (5 seconds) when
    /// left out.
    #[serde(default)]
    pub max_age: Option<Period>,
    /// Whether public pages may call this route in a private network (Access-Control-Request-
    /// Private-Network).
    #[serde(default)]
    pub private_network: bool,
}

fn methods() -> Vec<String> {
    ["GET", "HEAD", "POST"].map(str::to_owned).into()
}

/// The policy.
pub struct Cors {
    /// `None`: everybody.
    origins: Option<Vec<Pattern>>,
    /// `None`: whatever is asked for.
    methods: Option<String>,
    headers: Option<String>,
    expose: String,
    credentials: bool,
    max_age: Option<String>,
    private_network: bool,
}

type Refused = (Option<&'static str>, String);

impl PolicyKind for Cors {
    const NAME: &'static str = "cors";
    type Config = CorsConfig;

    fn compile(config: CorsConfig, _: &CompileContext<'_>) -> Result<Arc<dyn Policy>, Refused> {
        let origins = compile_origins(&config)?;
        if config.credentials && config.expose.iter().any(|name| name == "*") {
            let message = "browsers take `*` literally when `credentials` is on; list the headers";
            return Err((Some("expose"), message.into()));
        }
        if config.methods.is_empty() {
            return Err((Some("methods"), "no method is allowed".into()));
        }
        let methods = tokens(&config.methods).map_err(|e| (Some("methods"), e))?;
        let headers = tokens(&config.headers).map_err(|e| (Some("headers"), e))?;
        let expose = tokens(&config.expose).map_err(|e| (Some("expose"), e))?;
        Ok(Arc::new(Cors {
            origins,
            methods,
            headers,
            expose: expose.unwrap_or_else(|| "*".into()),
            credentials: config.credentials,
            max_age: config
                .max_age
                .map(|period| period.duration().as_secs().to_string()),
            private_network: config.private_network,
        }))
    }
}

impl Policy for Cors {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let head = &exchange.request.head;
        let is_preflight = head.method == Method::Options
            && head.headers.contains(HeaderId::Origin)
            && head.headers.contains(HeaderId::AccessControlRequestMethod);
        let fields = &mut exchange.response_headers;
        remove_cors(fields);
        if self.origins.is_some() {
            fields.append_known(HeaderId::Vary, b"Origin");
        }
        let Some(allowed) = self.allowed_origin(head) else {
            return if is_preflight {
                answer()
            } else {
                Verdict::Next
            };
        };
        fields.append(b"Access-Control-Allow-Origin", allowed);
        if self.credentials {
            fields.append(b"Access-Control-Allow-Credentials", b"true");
        }
        if is_preflight {
            self.permit(head, fields);
            return answer();
        }
        if !self.expose.is_empty() {
            fields.append(b"Access-Control-Expose-Headers", self.expose.as_bytes());
        }
        Verdict::Next
    }

    fn response(&self, _: &mut Exchange, response: &mut Response) {
        // This policy's word is the only one; its own fields are added behind all policies.
        remove_cors(&mut response.head.headers);
    }

    fn replay(&self) -> Replay {
        Replay::again(Reads::of_headers([
            "origin",
            "access-control-request-method",
        ]))
    }
}

fn answer() -> Verdict<'static> {
    Verdict::Reply(Box::new(Response::empty(204)))
}

fn remove_cors(headers: &mut Headers) {
    const PREFIX: &[u8] = b"access-control-allow-";
    headers.retain(|_, name, _| {
        let allow = name
            .get(..PREFIX.len())
            .is_some_and(|p| p.eq_ignore_ascii_case(PREFIX));
        !allow
            && !name.eq_ignore_ascii_case(b"access-control-expose-headers")
            && !name.eq_ignore_ascii_case(b"access-control-max-age")
    });
}

impl Cors {
    /// What Access-Control-Allow-Origin says to this request.
    fn allowed_origin<'h>(&self, head: &'h RequestHead) -> Option<&'h [u8]> {
        // For everybody the answer is the same with or without Origin, so that caches can share it.
        let Some(patterns) = &self.origins else {
            return Some(b"*");
        };
        let mut origins = head.headers.all(HeaderId::Origin);
        let (origin, None) = (origins.next()?, origins.next()) else {
            return None;
        };
        let text = std::str::from_utf8(origin)
            .ok()
            .filter(|o| o.len() <= ORIGIN_BYTES_MAX)?;
        patterns
            .iter()
            .any(|pattern| pattern.matches(text))
            .then_some(origin)
    }

    /// What a preflight from an allowed origin is told.
    fn permit(&self, head: &RequestHead, fields: &mut Headers) {
        let asked_method = head.headers.get(HeaderId::AccessControlRequestMethod);
        let method = match (&self.methods, asked_method) {
            (Some(methods), _) => Some(methods.as_bytes()),
            (None, asked) => asked.filter(|method| Method::from_bytes(method).is_some()),
        };
        if let Some(method) = method {
            fields.append(b"Access-Control-Allow-Methods", method);
        }
        match &self.headers {
            Some(headers) if headers.is_empty() => {}
            Some(headers) => fields.append(b"Access-Control-Allow-Headers", headers.as_bytes()),
            None => {
                if let Some(asked) = asked_headers(&head.headers) {
                    fields.append(b"Access-Control-Allow-Headers", asked.as_bytes());
                }
            }
        }
        if let Some(seconds) = &self.max_age {
            fields.append(b"Access-Control-Max-Age", seconds.as_bytes());
        }
        let private = head
            .headers
            .get_named("access-control-request-private-network");
        if self.private_network && private == Some(b"true") {
            fields.append(b"Access-Control-Allow-Private-Network", b"true");
        }
    }
}

/// The header names that a preflight asks for, when all are tokens and not too many.
fn asked_headers(headers: &Headers) -> Option<String> {
    let mut asked = String::new();
    for list in headers.all(HeaderId::AccessControlRequestHeaders) {
        for name in list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if name.is_empty() {
                continue;
            }
            Headers::new().try_append(name, b"").ok()?;
            if !asked.is_empty() {
                asked.push_str(", ");
            }
            asked.push_str(std::str::from_utf8(name).ok()?);
            if asked.len() > REFLECTED_BYTES_MAX {
                return None;
            }
        }
    }
    (!asked.is_empty()).then_some(asked)
}

/// Names joined for a field; `None` when `*` stands among them.
fn tokens(names: &[String]) -> Result<Option<String>, String> {
    for name in names {
        if Method::from_bytes(name.as_bytes()).is_none() {
            return Err(format!(
                "`{}` is no name (RFC 9110 token)",
                name.escape_debug()
            ));
        }
    }
    Ok((!names.iter().any(|name| name == "*")).then(|| names.join(", ")))
}

fn compile_origins(config: &CorsConfig) -> Result<Option<Vec<Pattern>>, Refused> {
    let refused = |message: String| (Some("origins"), message);
    if config.origins.is_empty() {
        return Err(refused("no origin is allowed".into()));
    }
    let everybody = config.origins.iter().any(|origin| origin == "*");
    if everybody && config.origins.len() > 1 {
        return Err(refused(
            "`*` allows everybody, so that the others are without effect".into(),
        ));
    }
    if config.credentials && (everybody || config.origins.iter().any(|origin| origin == "null")) {
        return Err(refused(
            "`credentials` with the origin `*` or `null` would let every site act as your users; \
             list the origins"
                .into(),
        ));
    }
    if everybody {
        return Ok(None);
    }
    let patterns = config.origins.iter().map(|origin| Pattern::parse(origin));
    patterns
        .collect::<Result<_, _>>()
        .map(Some)
        .map_err(refused)
}

/// An origin, or a pattern for origins; in lower case.
#[derive(Debug)]
struct Pattern {
    /// `https://`, or the whole origin `null`.
    scheme: String,
    /// The host, or what follows `*` in it, dot included.
    host: String,
    is_wildcard: bool,
    port: Port,
}

#[derive(Debug, PartialEq, Eq)]
enum Port {
    Own,
    Any,
    Number(String),
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        if lower == "null" {
            let (scheme, host) = (lower, String::new());
            return Ok(Self {
                scheme,
                host,
                is_wildcard: false,
                port: Port::Own,
            });
        }
        let Some((scheme, authority)) = lower.split_once("://") else {
            return Err(format!("`{text}` has no scheme; write `https://{text}`"));
        };
        if authority.contains(['/', '?', '#', '@']) {
            return Err(format!(
                "`{text}` is more than an origin: leave out what follows the host"
            ));
        }
        let (host, port) = split_port(authority);
        let port = match (port, scheme) {
            (None, _) | (Some("80"), "http") | (Some("443"), "https") => Port::Own,
            (Some("*"), _) => Port::Any,
            (Some(number), _) if number.parse::<u16>().is_ok() => Port::Number(number.into()),
            (Some(number), _) => return Err(format!("`{text}`: `{number}` is no port")),
        };
        let bare = host.strip_prefix("*.");
        let rest = bare.unwrap_or(host);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte);
        if rest.is_empty() || scheme.is_empty() || !rest.bytes().all(allowed) {
            return Err(format!(
                "`{text}` is no origin; a `*` may only stand for the first labels"
            ));
        }
        if bare.is_some() && !rest.contains('.') {
            return Err(format!("`{text}` would allow a whole top-level domain"));
        }
        let host = if bare.is_some() {
            format!(".{rest}")
        } else {
            rest.to_owned()
        };
        let scheme = format!("{scheme}://");
        Ok(Self {
            scheme,
            host,
            is_wildcard: bare.is_some(),
            port,
        })
    }

    fn matches(&self, origin: &str) -> bool {
        let lower = origin.to_ascii_lowercase();
        let Some(authority) = lower.strip_prefix(self.scheme.as_str()) else {
            return false;
        };
        let (host, port) = split_port(authority);
        let port_fits = match (&self.port, port) {
            (Port::Any, port) => port.is_none_or(|port| port.parse::<u16>().is_ok()),
            (Port::Own, port) => port.is_none(),
            (Port::Number(number), port) => port == Some(number.as_str()),
        };
        let host_fits = match self.is_wildcard {
            false => host == self.host,
            true => host.strip_suffix(self.host.as_str()).is_some_and(is_labels),
        };
        port_fits && host_fits
    }
}

fn is_labels(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !text.is_empty() && text.bytes().all(allowed) && text.split('.').all(|label| !label.is_empty())
}

/// Host and port; the colons of an IPv6 literal stay with the host.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Harness, VerdictExt, response};
    use gate_kit::http::Body;

    const CORS: &str = "{ origins: ['https://app.example.com', 'https://*.p.example.com', \
         'http://localhost:*'], methods: [GET, PUT], headers: [Authorization], expose: [ETag], \
         credentials: true, max_age: 10m, private_network: true }";

    fn refusal(settings: &str) -> String {
        let finding = Harness::new().compile::<Cors>(settings).err();
        finding
            .unwrap_or_else(|| panic!("accepted {settings}"))
            .to_string()
    }

    /// The answer to a request: status and fields but Content-Type, in order.
    fn answer(settings: &str, head: &str, target: &[(&str, &str)]) -> (u16, Vec<String>) {
        let harness = Harness::new();
        let policy = harness.policy::<Cors>(settings);
        let mut exchange = harness.exchange(head);
        let from = match harness.request(&policy, &mut exchange) {
            Verdict::Next => response(200, target, Body::Empty),
            verdict => verdict.reply(),
        };
        let response = harness.respond(&policy, &mut exchange, from);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = response.head.headers.iter();
        let fields = fields.map(|(_, name, value)| format!("{}: {}", text(name), text(value)));
        (response.head.status, fields.collect())
    }

    fn preflight(origin: &str, more: &str) -> String {
        format!("OPTIONS /\nOrigin: {origin}\nAccess-Control-Request-Method: PUT\n{more}")
    }

    #[test]
    fn settings_that_open_too_much_or_nothing_are_refused() {
        for (settings, expected) in [
            ("{}", "origins"),
            ("origins: []", "no origin is allowed"),
            (
                "{ origins: ['*'], credentials: true }",
                "let every site act as your users",
            ),
            (
                "{ origins: ['null'], credentials: true }",
                "let every site act as your users",
            ),
            ("origins: ['*', 'https://a.example']", "without effect"),
            ("origins: [a.example.com]", "write `https://a.example.com`"),
            ("origins: ['https://a.example.com/']", "more than an origin"),
            (
                "origins: ['https://a.example.com/x']",
                "more than an origin",
            ),
            (
                "origins: ['https://a.*.com']",
                "only stand for the first labels",
            ),
            (
                "origins: ['https://*example.com']",
                "only stand for the first labels",
            ),
            ("origins: ['https://*.com']", "top-level domain"),
            ("origins: ['https://a.example.com:99999']", "is no port"),
            ("{ origins: ['https://a.b'], methods: [] }", "no method"),
            (
                "{ origins: ['https://a.b'], methods: ['G T'] }",
                "`G T` is no name",
            ),
            (
                "{ origins: ['https://a.b'], headers: [\"a\\r\\nb\"] }",
                "is no name",
            ),
            (
                "{ origins: ['https://a.b'], credentials: true, expose: ['*'] }",
                "list the headers",
            ),
        ] {
            assert!(
                refusal(settings).contains(expected),
                "{}",
                refusal(settings)
            );
        }
    }

    #[test]
    fn other_origins_are_told_nothing_but_vary() {
        for origin in [
            "https://evil.com",
            "http://app.example.com",
            "https://app.example.com.evil.com",
            "https://app.example.com:8443",
            "https://p.example.com",
            "https://.p.example.com",
            "https://evilp.example.com",
            "https://a..p.example.com",
            "https://a/.p.example.com",
            "https://a@b.p.example.com",
            "http://localhost:99999",
            "http://localhost:8080x",
            "http://localhost:",
            "http://localhost.evil.com:80",
            "null",
            "*",
            "https://",
        ] {
            let (status, fields) = answer(CORS, &preflight(origin, ""), &[]);
            assert_eq!(
                (status, fields),
                (204, vec!["vary: Origin".into()]),
                "{origin}"
            );
            let simple = format!("GET /\nOrigin: {origin}");
            let upstreams = [("Access-Control-Allow-Origin", "*")];
            let (status, fields) = answer(CORS, &simple, &upstreams);
            assert_eq!(
                (status, fields),
                (200, vec!["vary: Origin".into()]),
                "{origin}"
            );
        }
        let twice = preflight("https://app.example.com", "Origin: https://app.example.com");
        assert_eq!(answer(CORS, &twice, &[]).1, ["vary: Origin"]);
    }

    #[test]
    fn preflights_are_answered_without_the_target() {
        let more = "Access-Control-Request-Headers: x-whatever\n\
                    Access-Control-Request-Private-Network: true";
        let (status, fields) = answer(CORS, &preflight("https://app.example.com", more), &[]);
        assert_eq!(status, 204);
        assert_eq!(
            fields,
            [
                "vary: Origin",
                "Access-Control-Allow-Origin: https://app.example.com",
                "Access-Control-Allow-Credentials: true",
                "Access-Control-Allow-Methods: GET, PUT",
                "Access-Control-Allow-Headers: Authorization",
                "Access-Control-Max-Age: 600",
                "Access-Control-Allow-Private-Network: true",
            ]
        );
    }

    #[test]
    fn ordinary_requests_pass_and_the_targets_word_is_replaced() {
        for origin in [
            "https://app.example.com",
            "https://a.b.p.example.com",
            "http://localhost",
            "http://localhost:5173",
        ] {
            let upstreams = [
                ("access-control-allow-origin", "*"),
                ("Access-Control-Expose-Headers", "X-Secret"),
                ("Access-Control-Allow-Methods", "TRACE"),
                ("Vary", "Accept"),
            ];
            let (status, fields) = answer(CORS, &format!("GET /\nOrigin: {origin}"), &upstreams);
            assert_eq!(status, 200);
            assert_eq!(
                fields,
                [
                    "Vary: Accept",
                    "vary: Origin",
                    &format!("Access-Control-Allow-Origin: {origin}"),
                    "Access-Control-Allow-Credentials: true",
                    "Access-Control-Expose-Headers: ETag",
                ]
            );
        }
        // OPTIONS that asks for no method is the target's.
        let options = "OPTIONS /\nOrigin: https://app.example.com";
        assert_eq!(answer(CORS, options, &[]).0, 200);
        assert_eq!(answer(CORS, "GET /", &[]).1, ["vary: Origin"]);
    }

    #[test]
    fn a_star_allows_everybody_and_reflects_what_is_asked() {
        let open = "{ origins: ['*'], methods: ['*'], headers: ['*'] }";
        let more = "Access-Control-Request-Headers: x-a,,X-B\nAccess-Control-Request-Headers: c";
        let (_, fields) = answer(open, &preflight("https://any.where", more), &[]);
        assert_eq!(
            fields,
            [
                "Access-Control-Allow-Origin: *",
                "Access-Control-Allow-Methods: PUT",
                "Access-Control-Allow-Headers: x-a, X-B, c",
            ]
        );
        let odd = preflight("https://any.where", "Access-Control-Request-Headers: x y");
        let (_, fields) = answer(open, &odd, &[]);
        assert!(
            !fields.iter().any(|field| field.contains("Allow-Headers")),
            "{fields:?}"
        );
        let many = format!("Access-Control-Request-Headers: {}", "x,".repeat(3000));
        let (_, fields) = answer(open, &preflight("https://any.where", &many), &[]);
        assert!(
            !fields.iter().any(|field| field.contains("Allow-Headers")),
            "bounded"
        );
        assert_eq!(
            answer(open, "GET /", &[]).1,
            ["Access-Control-Allow-Origin: *"]
        );
    }

    #[test]
    fn default_ports_and_the_null_origin_match_as_browsers_send_them() {
        let named = "{ origins: ['HTTPS://A.example.com:443', 'null', 'http://[::1]:81'] }";
        for (origin, allowed) in [
            ("https://a.example.com", true),
            ("null", true),
            ("http://[::1]:81", true),
            ("http://[::1]", false),
            ("nullx", false),
        ] {
            let (_, fields) = answer(named, &format!("GET /\nOrigin: {origin}"), &[]);
            assert_eq!(fields.len() > 1, allowed, "{origin}: {fields:?}");
        }
    }

    #[test]
    fn the_later_of_two_policies_has_the_word() {
        let harness = Harness::new();
        let open = harness.policy::<Cors>("{ origins: ['*'] }");
        let strict = harness.policy::<Cors>("{ origins: ['https://a.b'] }");
        let mut exchange = harness.exchange("GET /\nOrigin: https://evil.com");
        assert!(harness.request(&open, &mut exchange).is_next());
        assert!(harness.request(&strict, &mut exchange).is_next());
        assert!(
            exchange
                .response_headers
                .get_named("access-control-allow-origin")
                .is_none()
        );
    }
}
