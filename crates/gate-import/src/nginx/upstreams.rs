//! `upstream` blocks and the addresses of `proxy_pass` as upstreams.

use super::scope::Scope;
use super::syntax::Directive;
use super::value::{period, time_ms};
use crate::draft::Draft;
use crate::note::Outcome;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The `upstream` blocks of a file, by name.
pub(super) type Groups<'a> = BTreeMap<&'a str, &'a Directive>;

/// What `proxy_pass` or `grpc_pass` says.
pub(super) struct Passed<'a> {
    /// `http`, `https`, `grpc` or `grpcs`.
    pub(super) scheme: &'a str,
    /// Name of a group, or an address.
    pub(super) authority: &'a str,
    /// Path behind it, where one stands.
    pub(super) path: Option<&'a str>,
}

/// Reads the address of `proxy_pass`.
pub(super) fn passed(text: &str) -> Option<Passed<'_>> {
    let (scheme, rest) = match text.split_once("://") {
        Some(split) => split,
        None => ("grpc", text),
    };
    if let Some(socket) = rest.strip_prefix("unix:") {
        let (socket, path) = match socket.split_once(':') {
            Some((socket, path)) => (socket, Some(path)),
            None => (socket, None),
        };
        let authority = &rest[..socket.len() + 5];
        return Some(Passed {
            scheme,
            authority,
            path,
        });
    }
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let known = ["http", "https", "grpc", "grpcs"].contains(&scheme);
    (known && !authority.is_empty()).then_some(Passed {
        scheme,
        authority,
        path: (!path.is_empty()).then_some(path),
    })
}

/// The name of the upstream for a target, made if need be.
pub(super) fn upstream(
    draft: &mut Draft,
    groups: &Groups<'_>,
    to: &Passed<'_>,
    scope: &Scope<'_>,
) -> String {
    let tls = matches!(to.scheme, "https" | "grpcs");
    let mut resource = match groups.get(to.authority) {
        Some(group) => group_of(draft, group, tls),
        None => {
            let mut resource = Map::new();
            let endpoint = endpoint(to.authority, tls);
            resource.insert("endpoints".into(), json!([endpoint]));
            resource
        }
    };
    if to.scheme.starts_with("grpc") {
        resource.insert("protocol".into(), json!("http2"));
    }
    if tls {
        resource.insert("tls".into(), tls_of(draft, scope));
    }
    if let Some((text, _)) = scope.word("proxy_connect_timeout")
        && let Some(ms) = time_ms(text)
    {
        resource.insert("timeouts".into(), json!({ "connect": period(ms) }));
    }
    if let Some(retry) = retry(draft, scope) {
        resource.insert("retry".into(), retry);
    }
    draft.share("upstreams", to.authority, Value::Object(resource))
}

/// An address with its port; a scheme has one of its own.
fn endpoint(authority: &str, tls: bool) -> String {
    if authority.starts_with("unix:") {
        return authority.to_owned();
    }
    let behind = authority
        .rfind(']')
        .map_or(authority, |at| &authority[at..]);
    match behind.contains(':') {
        true => authority.to_owned(),
        false => format!("{authority}:{}", if tls { 443 } else { 80 }),
    }
}

/// An `upstream` block as an upstream.
pub(super) fn group_of(draft: &mut Draft, group: &Directive, tls: bool) -> Map<String, Value> {
    let mut group_reader = Group::default();
    for directive in group.inside() {
        match &*directive.name {
            "server" => group_reader.server(draft, directive, tls),
            "keepalive" => group_reader.idle = directive.word(0).parse().ok(),
            "keepalive_timeout" => group_reader.idle_time = time_ms(directive.word(0)),
            "zone" | "keepalive_requests" | "keepalive_time" | "queue" => {
                let why = "workers share the state of upstreams by themselves";
                draft
                    .notes
                    .add(directive.line, directive.shown(), Outcome::Needless, why);
            }
            "least_conn" | "random" => group_reader.balance = Some(json!({ "least_request": {} })),
            "ip_hash" => group_reader.balance = Some(ring(json!({ "address": {} }))),
            "hash" => group_reader.hash(draft, directive),
            _ => {
                let why = "this import does not know it";
                draft
                    .notes
                    .add(directive.line, directive.shown(), Outcome::Dropped, why);
            }
        }
    }
    group_reader.finish(draft, group)
}

fn ring(by: Value) -> Value {
    json!({ "ring_hash": { "by": by } })
}

#[derive(Default)]
struct Group {
    endpoints: Vec<String>,
    weights: Map<String, Value>,
    balance: Option<Value>,
    outlier: Option<(u64, u64)>,
    idle: Option<u64>,
    idle_time: Option<u64>,
}

impl Group {
    fn server(&mut self, draft: &mut Draft, directive: &Directive, tls: bool) {
        let endpoint = endpoint(directive.word(0), tls);
        let (mut fails, mut period_ms) = (None, None);
        for word in directive.words.iter().skip(1) {
            match word.split_once('=') {
                Some(("weight", weight)) => {
                    if let Ok(weight) = weight.parse::<u32>()
                        && weight != 1
                    {
                        self.weights.insert(endpoint.clone(), json!(weight));
                    }
                }
                Some(("max_fails", count)) => fails = count.parse().ok(),
                Some(("fail_timeout", time)) => period_ms = time_ms(time),
                None if word == "down" => return,
                None if word == "backup" => {
                    let why = "an upstream has no endpoints that wait for the others to fail";
                    draft
                        .notes
                        .add(directive.line, directive.shown(), Outcome::Dropped, why);
                    return;
                }
                _ => {
                    let why = format!("`{word}` has no counterpart");
                    draft
                        .notes
                        .add(directive.line, directive.shown(), Outcome::Changed, why);
                }
            }
        }
        if fails.is_some() || period_ms.is_some() {
            let outlier = (fails.unwrap_or(1), period_ms.unwrap_or(10_000));
            if self.outlier.is_some_and(|known| known != outlier) {
                let why = "`outlier` is one for the whole upstream; the first server's is taken";
                draft
                    .notes
                    .add(directive.line, directive.shown(), Outcome::Changed, why);
            }
            self.outlier.get_or_insert(outlier);
        }
        if !self.endpoints.contains(&endpoint) {
            self.endpoints.push(endpoint);
        }
    }

    fn hash(&mut self, draft: &mut Draft, directive: &Directive) {
        let key = directive.word(0).trim_start_matches('$');
        let by = match key.split_once('_') {
            _ if ["remote_addr", "binary_remote_addr"].contains(&key) => json!({ "address": {} }),
            Some(("http", name)) => json!({ "header": name.replace('_', "-") }),
            Some(("cookie", name)) => json!({ "cookie": name }),
            _ => {
                let why = "a ring hash looks at a header, a cookie, the consumer or the address";
                draft
                    .notes
                    .add(directive.line, directive.shown(), Outcome::Dropped, why);
                return;
            }
        };
        self.balance = Some(ring(by));
    }

    fn finish(self, draft: &mut Draft, group: &Directive) -> Map<String, Value> {
        let mut resource = Map::new();
        let mut endpoints = self.endpoints;
        if endpoints.is_empty() {
            let why = "no server of it is left; its only endpoint is one that refuses";
            draft
                .notes
                .add(group.line, group.shown(), Outcome::Closed, why);
            endpoints.push("127.0.0.1:1".to_owned());
        }
        resource.insert("endpoints".into(), json!(endpoints));
        if !self.weights.is_empty() {
            resource.insert("weights".into(), Value::Object(self.weights));
        }
        let balance = self.balance.unwrap_or_else(|| json!({ "round_robin": {} }));
        resource.insert("balance".into(), balance);
        if let Some((failures, ms)) = self.outlier {
            let ejection = period(ms.max(1_000));
            resource.insert(
                "outlier".into(),
                json!({ "failures": failures, "ejection": ejection }),
            );
        }
        let mut pool = Map::new();
        if let Some(idle) = self.idle {
            pool.insert("idle".into(), json!(idle.min(100_000)));
        }
        if let Some(ms) = self.idle_time {
            pool.insert("idle_time".into(), json!(period(ms)));
        }
        if !pool.is_empty() {
            resource.insert("pool".into(), Value::Object(pool));
        }
        resource
    }
}

/// How an upstream that speaks TLS is called.
pub(super) fn tls_of(draft: &mut Draft, scope: &Scope<'_>) -> Value {
    let mut tls = Map::new();
    if let Some((name, directive)) = scope.word("proxy_ssl_name") {
        match name.contains('$') {
            true => {
                let why = "the server name cannot be taken from a request";
                draft
                    .notes
                    .add(directive.line, directive.shown(), Outcome::Dropped, why);
            }
            false => drop(tls.insert("server_name".into(), json!(name))),
        }
    }
    if let Some((file, _)) = scope.word("proxy_ssl_trusted_certificate") {
        tls.insert("authorities".into(), json!(file));
    }
    let certificate = scope.word("proxy_ssl_certificate");
    if let (Some((chain, _)), Some((key, _))) =
        (certificate, scope.word("proxy_ssl_certificate_key"))
    {
        tls.insert("certificate".into(), json!({ "chain": chain, "key": key }));
    }
    if !scope.is_on("proxy_ssl_verify") {
        let line = scope
            .last("proxy_pass")
            .map_or(0, |directive| directive.line);
        let why = "the upstream's certificate is verified, which nginx was not told to do";
        draft
            .notes
            .add(line, "proxy_ssl_verify off", Outcome::Changed, why);
    }
    Value::Object(tls)
}

fn retry(draft: &mut Draft, scope: &Scope<'_>) -> Option<Value> {
    let directive = scope.last("proxy_next_upstream")?;
    let mut on: Vec<&str> = Vec::new();
    for word in &directive.words {
        let kinds: &[&str] = match &**word {
            "off" => return Some(json!({ "attempts": 0 })),
            "error" => &["connect", "reset"],
            "timeout" => &["timeout"],
            "http_502" | "http_503" | "http_504" => &["unavailable"],
            "http_429" => &["too_many"],
            other => {
                let why = format!("`{other}` is no reason to try again here");
                draft
                    .notes
                    .add(directive.line, directive.shown(), Outcome::Changed, why);
                &[]
            }
        };
        for kind in kinds {
            if !on.contains(kind) {
                on.push(kind);
            }
        }
    }
    let mut retry = Map::new();
    let tries = scope.word("proxy_next_upstream_tries");
    if let Some(tries) = tries.and_then(|(word, _)| word.parse::<u32>().ok())
        && tries > 0
    {
        retry.insert("attempts".into(), json!(tries - 1));
    }
    retry.insert("on".into(), json!(on));
    Some(Value::Object(retry))
}
