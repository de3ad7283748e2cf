//! Sets, adds and removes headers of requests and responses.
//!
//! Per side, the order is `only`, `remove`, `set`, `default`, `add`. `only` is an allow-list: of
//! what came, fields that it does not name are taken out. Values may hold variables:
//! `${client.address}`, `${consumer.name}`, `${params.NAME}` (from the route's path),
//! `${request.host}`, `${request.id}` (from `request_id`), `${request.method}`,
//! `${request.path}`, `${request.scheme}` and `${route.name}`; `$${` stands for `${` itself. Bytes that a field cannot hold are percent-encoded, so that no value ever becomes two
//! fields. A `set` whose variable has no value (nobody is authenticated) removes the field, so that
//! a caller's own never passes for the gateway's; `default` and `add` then do nothing. Framing and
//! hop-by-hop fields (Content-Length, Connection, Transfer-Encoding ...) are the gateway's and are
//! refused; the host is changed by `rewrite`. Response headers are changed on faults too.
//!
//! ```yaml
//! - headers:
//!     request:
//!       remove: [X-Debug, X-Internal-*]
//!       set: { X-Consumer: "${consumer.name}" }
//!     response:
//!       only: [Content-*, Cache-Control, ETag, Last-Modified, Location, Set-Cookie, Vary]
//!       default: { Cache-Control: no-store }
//! ```

use crate::checks::{check_name, check_token};
use crate::template::{Place, Template};
use gate_flow::{CompileContext, Exchange, Policy, PolicyKind, Reads, Replay, Verdict};
use gate_kit::http::{HeaderId, Headers, Response};
use schemars::JsonSchema;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Sets, adds and removes headers; at least one change on one side.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HeadersConfig {
    /// Changes to the request that the target sees.
    pub request: HeaderChanges,
    /// Changes to the response that the caller sees.
    pub response: HeaderChanges,
}

/// Changes to one side's headers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderChanges {
    /// The only fields that are let through, by name in any case; `Content-*` means every name that
    /// starts so. Framing and hop-by-hop fields are the gateway's and stay, and so do fields that
    /// policies add. Everything passes when empty.
    pub only: Vec<String>,
    /// Fields to take out, by name in any case; `X-Internal-*` means every name that starts so.
    pub remove: Vec<String>,
    /// Fields to put in, instead of all of that name.
    pub set: BTreeMap<String, String>,
    /// Fields to put in where there is none of that name.
    pub default: BTreeMap<String, String>,
    /// Fields to put in beside those of that name.
    pub add: BTreeMap<String, String>,
}

/// The policy. (`Headers` is the list of fields itself.)
pub struct ChangeHeaders {
    request: Changes,
    response: Changes,
}

#[derive(Default)]
struct Changes {
    only: Option<Names>,
    remove: Names,
    fields: Vec<Field>,
}

/// Names of fields, whole or by how they start.
#[derive(Default)]
struct Names {
    whole: Vec<String>,
    /// In lower case.
    prefixes: Vec<String>,
}

struct Field {
    how: How,
    name: String,
    value: Template,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Set,
    Default,
    Add,
}

impl PolicyKind for ChangeHeaders {
    const NAME: &'static str = "headers";
    type Config = HeadersConfig;

    fn compile(
        config: HeadersConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        let request = Changes::compile(config.request, context);
        let request = request.map_err(|e| (Some("request"), e))?;
        let response = Changes::compile(config.response, context);
        let response = response.map_err(|e| (Some("response"), e))?;
        if request.is_empty() && response.is_empty() {
            return Err((
                None,
                "nothing is changed: neither `request` nor `response` holds a \
                               change"
                    .into(),
            ));
        }
        Ok(Arc::new(ChangeHeaders { request, response }))
    }
}

impl Policy for ChangeHeaders {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        self.request.keep_only(&mut exchange.request.head.headers);
        self.request.remove(&mut exchange.request.head.headers);
        for field in &self.request.fields {
            let value = field.value(exchange);
            field.put(value, &mut exchange.request.head.headers);
        }
        Verdict::Next
    }

    fn response(&self, exchange: &mut Exchange, response: &mut Response) {
        self.response.keep_only(&mut response.head.headers);
        // What other policies leave for the end is part of the answer, and is removed like it.
        self.response.remove(&mut response.head.headers);
        self.response.remove(&mut exchange.response_headers);
        for field in &self.response.fields {
            let value = field.value(exchange);
            match field.how {
                How::Set => exchange.response_headers.remove_named(&field.name),
                How::Default if exchange.response_headers.get_named(&field.name).is_some() => {
                    continue;
                }
                How::Default | How::Add => {}
            }
            field.put(value, &mut response.head.headers);
        }
    }

    fn replay(&self) -> Replay {
        let fields = self.request.fields.iter();
        let defaults = fields.filter(|field| field.how == How::Default);
        Replay::again(Reads::of_headers(defaults.map(|field| field.name.as_str())))
    }
}

impl Changes {
    fn compile(config: HeaderChanges, context: &CompileContext<'_>) -> Result<Self, String> {
        let mut changes = Changes {
            remove: Names::compile(config.remove)?,
            ..Changes::default()
        };
        if !config.only.is_empty() {
            changes.only = Some(Names::compile(config.only)?);
        }
        let ways = [
            (How::Set, config.set),
            (How::Default, config.default),
            (How::Add, config.add),
        ];
        for (how, fields) in ways {
            let mut seen = BTreeSet::new();
            for (name, value) in fields {
                check_name(&name)?;
                if !seen.insert(name.to_ascii_lowercase()) {
                    return Err(format!("`{name}` stands here twice, in different case"));
                }
                let value = compile_value(&name, &value, context)?;
                changes.fields.push(Field { how, name, value });
            }
        }
        Ok(changes)
    }

    fn is_empty(&self) -> bool {
        let remove = self.remove.whole.is_empty() && self.remove.prefixes.is_empty();
        self.only.is_none() && remove && self.fields.is_empty()
    }

    /// Takes out what no list lets through, of what came.
    fn keep_only(&self, headers: &mut Headers) {
        if let Some(only) = &self.only {
            headers.retain(|id, name, _| is_framing(id) || only.has(name));
        }
    }

    fn remove(&self, headers: &mut Headers) {
        for name in &self.remove.whole {
            headers.remove_named(name);
        }
        if !self.remove.prefixes.is_empty() {
            headers.retain(|id, name, _| id.is_hop_by_hop() || !self.remove.starts(name));
        }
    }
}

/// Fields that say where a message goes and where it ends: the gateway's own.
fn is_framing(id: HeaderId) -> bool {
    let own = matches!(
        id,
        HeaderId::Host | HeaderId::ContentLength | HeaderId::Expect
    );
    own || id.is_hop_by_hop()
}

impl Names {
    fn compile(names: Vec<String>) -> Result<Self, String> {
        let mut compiled = Self::default();
        for name in names {
            match name.strip_suffix('*') {
                Some("") => return Err("`*` would be every field".into()),
                Some(prefix) => {
                    check_token(prefix)?;
                    compiled.prefixes.push(prefix.to_ascii_lowercase());
                }
                None => {
                    check_name(&name)?;
                    compiled.whole.push(name);
                }
            }
        }
        Ok(compiled)
    }

    fn has(&self, name: &[u8]) -> bool {
        let is = |known: &String| name.eq_ignore_ascii_case(known.as_bytes());
        self.whole.iter().any(is) || self.starts(name)
    }

    fn starts(&self, name: &[u8]) -> bool {
        let starts = |prefix: &String| {
            let start = name.get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        self.prefixes.iter().any(starts)
    }
}

impl Field {
    fn value(&self, exchange: &Exchange) -> Option<Cow<'_, str>> {
        match self.value.literal() {
            Some(text) => Some(Cow::Borrowed(text)),
            None => self.value.text(exchange, Place::Field).map(Cow::Owned),
        }
    }

    fn put(&self, value: Option<Cow<'_, str>>, headers: &mut Headers) {
        // Names and literals were checked when compiling and variables are escaped, so that no
        // field is ever invalid; should one be, leaving it out is the safe side.
        match (self.how, value) {
            (How::Set, Some(value)) => {
                if headers.try_set(&self.name, value.as_bytes()).is_err() {
                    headers.remove_named(&self.name);
                }
            }
            (How::Set, None) => headers.remove_named(&self.name),
            (How::Default, Some(_)) if headers.get_named(&self.name).is_some() => {}
            (How::Default | How::Add, Some(value)) => {
                let _ = headers.try_append(self.name.as_bytes(), value.as_bytes());
            }
            (How::Default | How::Add, None) => {}
        }
    }
}

fn compile_value(name: &str, text: &str, context: &CompileContext<'_>) -> Result<Template, String> {
    let template = Template::parse(text, context)?;
    let visible = |byte: u8| byte == b'\t' || (0x20..0x7f).contains(&byte);
    if !template
        .literals()
        .all(|literal| literal.bytes().all(visible))
    {
        return Err(format!(
            "the value of `{name}` holds a control character or non-ASCII text"
        ));
    }
    Ok(template)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Harness, VerdictExt, response};

    fn refusal(settings: &str) -> String {
        let finding = Harness::new().compile::<ChangeHeaders>(settings).err();
        finding
            .unwrap_or_else(|| panic!("accepted {settings}"))
            .to_string()
    }

    fn shown(headers: &Headers) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        headers
            .iter()
            .map(|(_, name, value)| format!("{}: {}", text(name), text(value)))
            .collect()
    }

    #[test]
    fn settings_that_cannot_act_or_break_messages_are_refused() {
        for (settings, expected) in [
            ("{}", "nothing is changed"),
            ("request: {}", "nothing is changed"),
            ("request: { remove: ['*'] }", "`*` would be every field"),
            ("request: { remove: ['a b'] }", "`a b` is no header name"),
            ("request: { remove: ['a b*'] }", "`a b` is no header name"),
            ("request: { set: { Host: x } }", "changed by `rewrite"),
            (
                "request: { set: { Content-Length: '1' } }",
                "part of the framing",
            ),
            ("response: { remove: [Transfer-Encoding] }", "one hop only"),
            (
                "response: { add: { X-A: \"a\\r\\nb: c\" } }",
                "holds a control character",
            ),
            ("response: { set: { X-A: é } }", "non-ASCII"),
            (
                "response: { set: { X-A: a, x-a: b } }",
                "twice, in different case",
            ),
            (
                "response: { set: { X-A: '${client.adress}' } }",
                "did you mean",
            ),
        ] {
            assert!(
                refusal(settings).contains(expected),
                "{}",
                refusal(settings)
            );
        }
        assert!(refusal("response: { set: { Host: x } }").contains("at response"));
    }

    #[test]
    fn request_fields_are_removed_set_defaulted_and_added() {
        let harness = Harness::new();
        let policy = harness.policy::<ChangeHeaders>(
            "request: { remove: [x-a, X-Internal-*], set: { X-B: new, X-C: '${route.name}' }, \
             default: { X-D: d, X-E: e }, add: { X-D: more } }",
        );
        let mut exchange = harness.exchange(
            "GET /\nX-A: 1\nx-a: 2\nX-b: old\nx-b: older\nX-D: mine\nx-internal-1: a\n\
             X-INTERNAL-: b\nX-Internal: stays",
        );
        assert!(harness.request(&policy, &mut exchange).is_next());
        assert_eq!(
            shown(&exchange.request.head.headers),
            [
                "X-D: mine",
                "X-Internal: stays",
                "X-B: new",
                "X-C: r",
                "X-E: e",
                "X-D: more"
            ]
        );
    }

    #[test]
    fn a_variable_without_value_removes_what_the_caller_claims() {
        let harness = Harness::new().callers(&[("storefront", None, &["k"])]);
        let policy = harness.policy::<ChangeHeaders>(
            "request: { set: { X-Consumer: '${consumer.name}' }, \
             default: { X-Y: '${consumer.name}' }, add: { X-Z: '${consumer.name}' } }",
        );
        let mut exchange = harness.exchange("GET /\nX-Consumer: admin");
        assert!(harness.request(&policy, &mut exchange).is_next());
        assert!(exchange.request.head.headers.is_empty());
        let mut exchange = harness.exchange("GET /\nX-Consumer: admin");
        exchange.caller = exchange.snapshot.callers.by_name("storefront").cloned();
        assert!(harness.request(&policy, &mut exchange).is_next());
        let expected = [
            "X-Consumer: storefront",
            "X-Y: storefront",
            "X-Z: storefront",
        ];
        assert_eq!(shown(&exchange.request.head.headers), expected);
    }

    #[test]
    fn no_value_becomes_two_fields() {
        let harness = Harness::new().resources(
            "routes: { r: { match: { path: '/{id}' }, target: { fixed: { status: 200 } } } }",
        );
        let policy =
            harness.policy::<ChangeHeaders>("request: { set: { X-Id: 'id ${params.id}' } }");
        let mut exchange = harness.exchange("GET /x");
        exchange
            .parameters
            .0
            .push(("id".into(), "a\r\nX-Admin: 1\0".into()));
        assert!(harness.request(&policy, &mut exchange).is_next());
        let expected = ["X-Id: id a%0D%0AX-Admin: 1%00"];
        assert_eq!(shown(&exchange.request.head.headers), expected);
    }

    #[test]
    fn response_fields_of_target_and_policies_are_changed() {
        let harness = Harness::new();
        let policy = harness.policy::<ChangeHeaders>(
            "response: { remove: [Server, X-Limit], set: { X-Frame-Options: DENY, X-Id: ours }, \
             default: { Cache-Control: no-store, X-Given: z }, add: { Link: </a> } }",
        );
        let mut exchange = harness.exchange("GET /");
        assert!(harness.request(&policy, &mut exchange).is_next());
        for name in ["X-Limit", "X-Id", "X-Given"] {
            exchange
                .response_headers
                .try_append(name.as_bytes(), b"policy")
                .unwrap();
        }
        let fields = [
            ("Server", "x"),
            ("Cache-Control", "max-age=1"),
            ("x-frame-options", "a"),
        ];
        let answer = harness.respond(
            &policy,
            &mut exchange,
            response(200, &fields, gate_kit::http::Body::Empty),
        );
        assert_eq!(
            shown(&answer.head.headers),
            [
                "Cache-Control: max-age=1",
                "X-Frame-Options: DENY",
                "X-Id: ours",
                "Link: </a>",
                "X-Given: policy"
            ]
        );
    }
}
