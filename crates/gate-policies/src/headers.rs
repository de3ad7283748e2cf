//! Sets, adds and removes headers of requests and responses.
//!
//! Per side, the order is `remove`, `set`, `default`, `add`. Values may hold variables such as
//! `${client.address}`, `${consumer.name}`, `${params.id}`, `${request.id}` or `${route.name}`;
//! bytes of theirs that a field cannot hold are percent-encoded, so that no value ever becomes two
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
//!       set: { Strict-Transport-Security: max-age=31536000 }
//!       default: { Cache-Control: no-store }
//! ```

use crate::template::{Place, Template};
use gate_flow::{CompileContext, Exchange, Policy, PolicyKind, Verdict};
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
    names: Vec<String>,
    /// In lower case.
    prefixes: Vec<String>,
    fields: Vec<Field>,
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
            return Err((None, "nothing is changed: neither `request` nor `response` holds a \
                               change".into()));
        }
        Ok(Arc::new(ChangeHeaders { request, response }))
    }
}

impl Policy for ChangeHeaders {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        self.request.remove(&mut exchange.request.head.headers);
        for field in &self.request.fields {
            let value = field.value(exchange);
            field.put(value, &mut exchange.request.head.headers);
        }
        Verdict::Next
    }

    fn response(&self, exchange: &mut Exchange, response: &mut Response) {
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
}

impl Changes {
    fn compile(config: HeaderChanges, context: &CompileContext<'_>) -> Result<Self, String> {
        let mut changes = Changes::default();
        for name in config.remove {
            match name.strip_suffix('*') {
                Some("") => return Err("`*` would remove every field".into()),
                Some(prefix) => {
                    check_token(prefix)?;
                    changes.prefixes.push(prefix.to_ascii_lowercase());
                }
                None => {
                    check_name(&name)?;
                    changes.names.push(name);
                }
            }
        }
        let ways = [(How::Set, config.set), (How::Default, config.default), (How::Add, config.add)];
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
        self.names.is_empty() && self.prefixes.is_empty() && self.fields.is_empty()
    }

    fn remove(&self, headers: &mut Headers) {
        for name in &self.names {
            headers.remove_named(name);
        }
        if !self.prefixes.is_empty() {
            headers.retain(|id, name, _| {
                let starts = |prefix: &String| {
                    let start = name.get(..prefix.len());
                    start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
                };
                id.is_hop_by_hop() || !self.prefixes.iter().any(starts)
            });
        }
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

fn compile_value(
    name: &str,
    text: &str,
    context: &CompileContext<'_>,
) -> Result<Template, String> {
    let template = Template::parse(text, context)?;
    let visible = |byte: u8| byte == b'\t' || (0x20..0x7f).contains(&byte);
    if !template.literals().all(|literal| literal.bytes().all(visible)) {
        return Err(format!("the value of `{name}` holds a control character or non-ASCII text"));
    }
    Ok(template)
}

fn check_token(name: &str) -> Result<(), String> {
    let valid = name.len() <= 256 && Headers::new().try_append(name.as_bytes(), b"").is_ok();
    valid.then_some(()).ok_or_else(|| format!("`{}` is no header name", name.escape_debug()))
}

/// Whether configuration may write or remove this field.
///
/// # Errors
/// A sentence, when the name is no token or the field belongs to the codecs.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    check_token(name)?;
    match HeaderId::of(name.as_bytes()) {
        HeaderId::Host => Err("the host is changed by `rewrite: { host: ... }`".into()),
        HeaderId::ContentLength | HeaderId::Expect => {
            Err(format!("`{name}` is part of the framing, which is the gateway's own"))
        }
        id if id.is_hop_by_hop() => {
            Err(format!("`{name}` concerns one hop only (RFC 9110 section 7.6.1)"))
        }
        _ => Ok(()),
    }
}
