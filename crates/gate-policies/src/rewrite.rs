//! Changes a request's path, query or host before its target sees it.
//!
//! At most one of `prefix`, `path` and `regex` changes the path. A changed path is checked as
//! strictly as one that arrives: a caller's parameter cannot lead out of the folder written here
//! (such a request is refused with `invalid_path`). The query stays unless `query` changes it; its
//! other parameters keep their spelling and order. Routing is over when a policy runs, so that a
//! rewrite never changes the route; the access record keeps the target as the caller sent it.
//! `path`, the values of `query` and `host` may hold variables, such as `${params.id}` or
//! `${consumer.name}`; the page on templates lists them.
//!
//! ```yaml
//! - rewrite:
//!     prefix: { from: /api, to: / }
//!     query: { set: { tenant: "${route.name}" }, remove: [debug] }
//! ```

use crate::path_change::{PathChange, PrefixChange, RegexChange};
use crate::template::{Place, Template, escape};
use gate_flow::{CompileContext, Exchange, Fault, Policy, PolicyKind, Verdict};
use gate_model::fault::FaultCode;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Changes a request's path, query or host; at least one of them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RewriteConfig {
    /// Replaces the beginning of the path.
    pub prefix: Option<PrefixChange>,
    /// The whole new path, such as `/v2/orders/${params.id}`.
    pub path: Option<String>,
    /// Replaces what a regular expression matches in the path.
    pub regex: Option<RegexChange>,
    /// Changes the query.
    pub query: QueryConfig,
    /// The new host, with a port where one is meant. The endpoint sees it when the upstream's
    /// `host_header` is `preserve`.
    pub host: Option<String>,
}

/// Changes to the query: first `remove`, then `set`, then `add`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueryConfig {
    /// Parameters to take out, by name.
    pub remove: Vec<String>,
    /// Parameters to put in, instead of all of that name. Written plainly; escaped as needed. When
    /// a variable in it has no value, the parameter is only taken out.
    pub set: BTreeMap<String, String>,
    /// Parameters to put in beside those of that name.
    pub add: BTreeMap<String, String>,
}

/// The policy.
pub struct Rewrite {
    path: PathChange,
    query: Option<QueryChange>,
    host: Option<Template>,
}

struct QueryChange {
    /// Names that go, those of `set` included.
    remove: Vec<String>,
    append: Vec<(String, Template)>,
}

impl PolicyKind for Rewrite {
    const NAME: &'static str = "rewrite";
    type Config = RewriteConfig;

    fn compile(
        config: RewriteConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        let path = PathChange::compile(config.prefix, config.path, config.regex, context)?;
        let query = QueryChange::compile(config.query, context).map_err(|e| (Some("query"), e))?;
        let host = config.host.map(|host| compile_host(&host, context)).transpose();
        let host = host.map_err(|e| (Some("host"), e))?;
        if path.is_keep() && query.is_none() && host.is_none() {
            return Err((None, "nothing is rewritten: none of `prefix`, `path`, `regex`, `query` \
                               and `host` is given".into()));
        }
        Ok(Arc::new(Rewrite { path, query, host }))
    }
}

impl Policy for Rewrite {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        match self.rewrite(exchange) {
            Ok(()) => Verdict::Next,
            Err(fault) => Verdict::refuse(fault),
        }
    }
}

impl Rewrite {
    fn rewrite(&self, exchange: &mut Exchange) -> Result<(), Fault> {
        let host = self.host.as_ref().map(|host| {
            let host = host.text(exchange, Place::Host).filter(|host| is_authority(host));
            host.ok_or_else(|| Fault::new(FaultCode::PolicyFailed).detail("the new host is no host"))
        });
        let host = host.transpose()?;
        // `*` (OPTIONS) and the empty target (CONNECT) have no path to rewrite.
        if exchange.request.head.target.starts_with('/') {
            let path = self.path.apply(exchange)?;
            let query = self.query.as_ref().map(|change| change.apply(exchange)).transpose()?;
            if path.is_some() || query.is_some() {
                set_target(exchange, path, query);
            }
        }
        if let Some(host) = host {
            exchange.request.head.authority = host;
        }
        Ok(())
    }
}

/// Puts the new path and query in and keeps the original for the record.
fn set_target(exchange: &mut Exchange, path: Option<String>, query: Option<Option<String>>) {
    let head = &exchange.request.head;
    let mut target = path.unwrap_or_else(|| head.path().to_owned());
    let query = query.unwrap_or_else(|| head.query().map(str::to_owned));
    if let Some(query) = query {
        target.push('?');
        target.push_str(&query);
    }
    if target == head.target {
        return;
    }
    let original = std::mem::replace(&mut exchange.request.head.target, target);
    exchange.record.original_target.get_or_insert_with(|| original.into());
}

impl QueryChange {
    fn compile(config: QueryConfig, context: &CompileContext<'_>) -> Result<Option<Self>, String> {
        let mut remove = config.remove;
        remove.extend(config.set.keys().cloned());
        let mut append = Vec::new();
        for (name, value) in config.set.into_iter().chain(config.add) {
            append.push((name, Template::parse(&value, context)?));
        }
        if remove.is_empty() && append.is_empty() {
            return Ok(None);
        }
        if remove.iter().chain(append.iter().map(|(name, _)| name)).any(String::is_empty) {
            return Err("a parameter has an empty name".into());
        }
        Ok(Some(Self { remove, append }))
    }

    /// The new query; `None` when none is left.
    fn apply(&self, exchange: &Exchange) -> Result<Option<String>, Fault> {
        let old = exchange.request.head.query().unwrap_or_default();
        let mut query = String::with_capacity(old.len() + 32);
        for pair in old.split('&').filter(|pair| !pair.is_empty()) {
            let name = decoded(pair.split('=').next().unwrap_or_default());
            if !self.remove.iter().any(|gone| gone.as_bytes() == name) {
                separate(&mut query);
                query.push_str(pair);
            }
        }
        let before_values = query.len();
        for (name, value) in &self.append {
            let Some(value) = value.text(exchange, Place::Query) else { continue };
            separate(&mut query);
            escape(name, Place::Query, false, &mut query);
            query.push('=');
            query.push_str(&value);
        }
        if query.len() - before_values > crate::template::EXPANDED_BYTES_MAX {
            return Err(FaultCode::TargetTooLong.into());
        }
        Ok((!query.is_empty()).then_some(query))
    }
}

fn separate(query: &mut String) {
    if !query.is_empty() {
        query.push('&');
    }
}

/// A parameter's name as its reader sees it: `%XX` and `+` decoded.
fn decoded(name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        out.push(match (byte, after) {
            (b'+', _) => b' ',
            (b'%', [high, low, behind @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    rest = behind;
                    high << 4 | low
                }
                _ => b'%',
            },
            _ => *byte,
        });
    }
    out
}

fn compile_host(host: &str, context: &CompileContext<'_>) -> Result<Template, String> {
    let template = Template::parse(host, context)?;
    match template.literal() {
        Some(text) if !is_authority(text) => Err(format!("`{text}` is no host")),
        _ => Ok(template),
    }
}

/// Whether a text is `host`, `host:port`, `[ipv6]` or `[ipv6]:port`, without a user (RFC 3986
/// section 3.2, less the characters that no real host has).
pub(crate) fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, after)) = rest.split_once(']') else { return false };
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            match after.strip_prefix(':') {
                Some(port) => ("v6", Some(port)),
                None if after.is_empty() => ("v6", None),
                None => return false,
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    (1..=255).contains(&host.len())
        && host.bytes().all(named)
        && port.is_none_or(|port| digits(port) && port.parse::<u16>().is_ok_and(|port| port > 0))
}
