//! Texts with variables, as `headers`, `rewrite` and `redirect` share them.
//!
//! A text is parsed once, when the configuration is compiled; an unknown variable is refused then,
//! with the nearest name. What a variable brings is a caller's text, so that it is escaped for the
//! place where it lands: it can never end a header field, add a path segment that climbs, or start
//! a query. There are deliberately no functions and no conditions here; `when` has CEL for those.
//!
//! | Variable | Value |
//! |---|---|
//! | `${client.address}` | the caller's address, as trusted proxies vouch for it |
//! | `${consumer.name}` | the authenticated consumer |
//! | `${params.NAME}` | what the route's path parameter matched, percent-encoded as in the path |
//! | `${request.host}` | the host without its port |
//! | `${request.id}` | the id that `request_id` gave |
//! | `${request.method}` | the method |
//! | `${request.path}` | the path without the query |
//! | `${request.scheme}` | `http` or `https`, as trusted proxies vouch for it |
//! | `${route.name}` | the route |
//!
//! `$${` stands for the two characters `${`.

use gate_flow::{CompileContext, Exchange, Reads};
use gate_kit::http::{HeaderId, Scheme};
use gate_model::suggest::nearest;
use std::fmt::Write as _;

/// The most bytes that an expanded text may have; a head could not carry more.
pub(crate) const EXPANDED_BYTES_MAX: usize = 16 * 1024;

/// A compiled text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Box<str>),
    Variable(Variable),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Variable {
    ClientAddress,
    ConsumerName,
    RequestHost,
    RequestId,
    RequestMethod,
    RequestPath,
    RequestScheme,
    Parameter(Box<str>),
}

const VARIABLES: [(&str, Variable); 7] = [
    ("client.address", Variable::ClientAddress),
    ("consumer.name", Variable::ConsumerName),
    ("request.host", Variable::RequestHost),
    ("request.id", Variable::RequestId),
    ("request.method", Variable::RequestMethod),
    ("request.path", Variable::RequestPath),
    ("request.scheme", Variable::RequestScheme),
];

/// Where a text lands, which decides what is escaped in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A field's value: bytes that may not stand there become `%XX`.
    Field,
    /// A path: what may not stand there becomes `%XX`; escapes stay.
    Path,
    /// A query parameter's value: everything but unreserved characters becomes `%XX`.
    Query,
    /// A host: nothing is escaped; whoever uses it validates the whole.
    Host,
}

impl Template {
    /// Compiles a text.
    ///
    /// # Errors
    /// A sentence on the variable that does not exist or does not end.
    pub(crate) fn parse(text: &str, context: &CompileContext<'_>) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            if let Some(before) = rest[..start].strip_suffix('$') {
                literal.push_str(before);
                literal.push_str("${");
                rest = &rest[start + 2..];
                continue;
            }
            literal.push_str(&rest[..start]);
            let inner = &rest[start + 2..];
            let end = inner
                .find('}')
                .ok_or_else(|| format!("`{text}`: `${{` has no `}}`"))?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal).into()));
            }
            match &inner[..end] {
                // Known already: a policy belongs to one route.
                "route.name" => parts.push(Part::Literal(context.route.into())),
                name => parts.push(Part::Variable(variable(name, context)?)),
            }
            rest = &inner[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into()));
        }
        Ok(Self(parts))
    }

    /// The whole text, when it holds no variable.
    pub(crate) fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The text's literal parts, for checks that concern every one of them.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Literal(text) => Some(&**text),
            Part::Variable(_) => None,
        })
    }

    /// Appends the text as it is for this exchange.
    ///
    /// Returns `false`, with something unfinished appended, when a variable has no value (nobody is
    /// authenticated, no id was given) or the text would exceed [`EXPANDED_BYTES_MAX`].
    #[must_use]
    pub(crate) fn expand(&self, exchange: &Exchange, place: Place, out: &mut String) -> bool {
        for part in &self.0 {
            let whole = match part {
                Part::Literal(text) => {
                    escape(text, place, place == Place::Path, out);
                    true
                }
                Part::Variable(variable) => append(variable, exchange, place, out),
            };
            if !whole || out.len() > EXPANDED_BYTES_MAX {
                return false;
            }
        }
        true
    }

    /// The text for this exchange; `None` as [`Self::expand`] says `false`.
    pub(crate) fn text(&self, exchange: &Exchange, place: Place) -> Option<String> {
        let mut out = String::new();
        self.expand(exchange, place, &mut out).then_some(out)
    }
}

fn variable(name: &str, context: &CompileContext<'_>) -> Result<Variable, String> {
    if let Some((_, variable)) = VARIABLES.iter().find(|(known, _)| *known == name) {
        return Ok(variable.clone());
    }
    let Some(parameter) = name.strip_prefix("params.") else {
        let known = VARIABLES
            .iter()
            .map(|(known, _)| *known)
            .chain(["route.name", "params.NAME"]);
        let hint = nearest(name, known.clone()).map_or_else(
            || format!("known are {}", known.collect::<Vec<_>>().join(", ")),
            |near| format!("did you mean `${{{near}}}`?"),
        );
        return Err(format!("there is no variable `${{{name}}}`; {hint}"));
    };
    let names = parameters(context);
    if names.iter().any(|known| known == parameter) {
        return Ok(Variable::Parameter(parameter.into()));
    }
    let hint = match nearest(parameter, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `${{params.{near}}}`?"),
        None if names.is_empty() => "its `match` has none".into(),
        None => format!("it has {}", names.join(", ")),
    };
    Err(format!(
        "the path of route `{}` has no parameter `{parameter}`; {hint}",
        context.route
    ))
}

/// Names of the parameters in the route's path: `{name}`, `{*name}` and named groups of a regex.
fn parameters(context: &CompileContext<'_>) -> Vec<String> {
    let Some(route) = context.resources.routes.get(context.route) else {
        return Vec::new();
    };
    let mut names = Vec::new();
    let mut rest = route.matches.path.as_deref().unwrap_or_default();
    while let Some((_, inner)) = rest.split_once('{') {
        let Some((name, after)) = inner.split_once('}') else {
            break;
        };
        names.push(name.trim_start_matches('*').to_owned());
        rest = after;
    }
    if let Some(regex) = route
        .matches
        .path_regex
        .as_deref()
        .and_then(|r| regex::Regex::new(r).ok())
    {
        names.extend(regex.capture_names().flatten().map(str::to_owned));
    }
    names
}

fn append(variable: &Variable, exchange: &Exchange, place: Place, out: &mut String) -> bool {
    let head = &exchange.request.head;
    // Paths and their parameters carry their escapes already (see `gate_flow::Parameters`).
    let (text, escaped) = match variable {
        Variable::ClientAddress => {
            let start = out.len();
            let _ = write!(out, "{}", exchange.address.to_canonical());
            if place == Place::Query {
                let address = out.split_off(start);
                escape(&address, place, false, out);
            }
            return true;
        }
        Variable::ConsumerName => match &exchange.caller {
            Some(caller) => (&*caller.name, false),
            None => return false,
        },
        Variable::RequestHost => (head.host(), false),
        Variable::RequestId => match &exchange.record.request_id {
            Some(id) => (&**id, false),
            None => return false,
        },
        Variable::RequestMethod => (head.method.as_str(), false),
        Variable::RequestPath => (head.path(), true),
        Variable::RequestScheme => (scheme(exchange).as_str(), false),
        Variable::Parameter(name) => match exchange.parameters.get(name) {
            Some(value) => (value, true),
            None => return false,
        },
    };
    escape(text, place, escaped, out);
    true
}

/// Appends a text for its place. `escaped`: it carries `%XX` already, which then stay.
pub(crate) fn escape(text: &str, place: Place, escaped: bool, out: &mut String) {
    let bytes = text.as_bytes();
    for (index, &byte) in bytes.iter().enumerate() {
        let keep = match place {
            Place::Host => {
                // Hosts are validated whole; a byte beyond ASCII must not be split in two here.
                out.push(if byte.is_ascii() {
                    char::from(byte)
                } else {
                    '\u{fffd}'
                });
                continue;
            }
            Place::Field => byte == b'\t' || (0x20..0x7f).contains(&byte),
            Place::Path if byte == b'%' => escaped && is_escape(&bytes[index..]),
            Place::Path => is_path(byte),
            Place::Query if byte == b'%' => escaped && is_escape(&bytes[index..]),
            Place::Query => is_unreserved(byte),
        };
        if keep {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

fn is_escape(bytes: &[u8]) -> bool {
    matches!(bytes, [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

/// RFC 3986 section 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986 section 3.3: `pchar` and the slash; the percent sign is the caller's question.
const fn is_path(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'/' | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
        )
}

/// What [`scheme`] reads of requests, for replays.
pub(crate) fn scheme_reads(context: &CompileContext<'_>) -> Reads {
    match context.resources.gateway.trusted_proxies.is_empty() {
        true => Reads::default(),
        false => Reads::of_headers(["x-forwarded-proto"]),
    }
}

/// The scheme that the caller used: the connection's, or what a trusted proxy says about its own.
pub(crate) fn scheme(exchange: &Exchange) -> Scheme {
    if exchange.client.scheme == Scheme::Https {
        return Scheme::Https;
    }
    let peer = exchange.client.peer.ip().to_canonical();
    let trusted = &exchange.snapshot.resources.gateway.trusted_proxies;
    if !trusted.iter().any(|block| block.contains(&peer)) {
        return Scheme::Http;
    }
    // The last proxy is the one we trust; what stands before its word may be the caller's.
    let last = exchange
        .request
        .head
        .headers
        .all(HeaderId::XForwardedProto)
        .last();
    let word = last.and_then(|value| value.rsplit(|&byte| byte == b',').next());
    match word.map(<[u8]>::trim_ascii) {
        Some(word) if word.eq_ignore_ascii_case(b"https") => Scheme::Https,
        _ => Scheme::Http,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Harness;

    const ROUTE: &str =
        "routes: { r: { match: { path: '/o/{id}/{*rest}' }, target: { fixed: { status: 200 } } } }";

    #[test]
    fn mistyped_variables_are_refused_with_the_nearest_name() {
        let harness = Harness::new().resources(ROUTE);
        for (text, expected) in [
            ("${client.adress}", "did you mean `${client.address}`?"),
            ("${xyz}", "known are client.address, "),
            (
                "${params.idd}",
                "has no parameter `idd`; did you mean `${params.id}`?",
            ),
            ("${params.something}", "it has id, rest"),
            ("a${client.address", "has no `}`"),
            ("${}", "there is no variable `${}`"),
        ] {
            let error = harness.context(|context| Template::parse(text, context));
            let error = error.expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
        let harness = Harness::new();
        let error = harness.context(|context| Template::parse("${params.id}", context));
        assert!(
            error
                .expect_err("no route")
                .ends_with("its `match` has none")
        );
    }

    #[test]
    fn variables_are_escaped_for_their_place() {
        let harness = Harness::new().resources(ROUTE);
        let mut exchange = harness.exchange("GET /o/a%20b&c/d/e?q=1");
        exchange.address = "::ffff:192.0.2.9".parse().unwrap();
        exchange.parameters.0.push(("id".into(), "a%20b&c".into()));
        exchange
            .parameters
            .0
            .push(("rest".into(), "d/\r\nX: e é?#".into()));
        exchange.record.request_id = Some("id-1".into());
        for (text, place, expected) in [
            ("", Place::Field, Some("")),
            ("a$b $${x} ${route.name}", Place::Field, Some("a$b ${x} r")),
            ("${client.address}", Place::Field, Some("192.0.2.9")),
            ("${request.id}", Place::Field, Some("id-1")),
            (
                "${request.method} ${request.scheme}",
                Place::Field,
                Some("GET https"),
            ),
            ("${request.host}", Place::Host, Some("example.com")),
            ("${consumer.name}", Place::Field, None),
            ("${params.id}", Place::Field, Some("a%20b&c")),
            ("/x/${params.id}", Place::Path, Some("/x/a%20b&c")),
            ("${params.id}", Place::Query, Some("a%20b%26c")),
            (
                "100% ${request.path}",
                Place::Query,
                Some("100%25%20%2Fo%2Fa%20b%26c%2Fd%2Fe"),
            ),
            (
                "${params.rest}",
                Place::Field,
                Some("d/%0D%0AX: e %C3%A9?#"),
            ),
            (
                "/${params.rest}",
                Place::Path,
                Some("/d/%0D%0AX:%20e%20%C3%A9%3F%23"),
            ),
        ] {
            let template = harness
                .context(|context| Template::parse(text, context))
                .unwrap();
            assert_eq!(
                template.text(&exchange, place).as_deref(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn expansion_is_bounded() {
        let harness = Harness::new().resources(ROUTE);
        let mut exchange = harness.exchange("GET /");
        exchange
            .parameters
            .0
            .push(("id".into(), "x".repeat(EXPANDED_BYTES_MAX)));
        let parse = |text| {
            harness
                .context(|context| Template::parse(text, context))
                .unwrap()
        };
        assert!(parse("${params.id}").text(&exchange, Place::Path).is_some());
        assert!(
            parse("/${params.id}")
                .text(&exchange, Place::Path)
                .is_none()
        );
    }

    #[test]
    fn only_trusted_proxies_say_what_the_scheme_is() {
        for (trusted, field, expected) in [
            ("[]", "https", Scheme::Http),
            ("[192.0.2.0/24]", "https", Scheme::Https),
            ("[192.0.2.0/24]", "http, HTTPS", Scheme::Https),
            ("[192.0.2.0/24]", "https, http", Scheme::Http),
            ("[10.0.0.0/8]", "https", Scheme::Http),
        ] {
            let harness =
                Harness::new().resources(&format!("gateway: {{ trusted_proxies: {trusted} }}"));
            let mut exchange = harness.exchange(&format!("GET /\nX-Forwarded-Proto: {field}"));
            assert_eq!(scheme(&exchange), Scheme::Https, "TLS is TLS");
            let plain = gate_flow::Client {
                scheme: Scheme::Http,
                ..(*exchange.client).clone()
            };
            exchange.client = plain.into();
            assert_eq!(scheme(&exchange), expected, "{trusted} {field}");
        }
    }
}
