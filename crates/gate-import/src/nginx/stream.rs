//! `stream`: TCP servers as listeners of protocol `tcp`, with a route for each server name where TLS
//! is looked into (`ssl_preread`) or ended.
//!
//! What protects a server and cannot be expressed (`allow`, `deny`, client certificates) leaves the
//! whole server out: nothing is listened on then.

use super::listeners::{address, any6};
use super::scope::Scope;
use super::syntax::Directive;
use super::upstreams::{Groups, group_of, tls_of};
use super::value::{period, time_ms};
use crate::ImportError;
use crate::draft::Draft;
use crate::note::Outcome;
use gate_kit::order::Gather;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Read here.
const UNDERSTOOD: &[&str] = &[
    "allow",
    "deny",
    "listen",
    "map",
    "proxy_connect_timeout",
    "proxy_pass",
    "proxy_ssl",
    "proxy_ssl_certificate",
    "proxy_ssl_certificate_key",
    "proxy_ssl_name",
    "proxy_ssl_trusted_certificate",
    "proxy_ssl_verify",
    "proxy_timeout",
    "server",
    "server_name",
    "ssl_certificate",
    "ssl_certificate_key",
    "ssl_preread",
    "upstream",
];
/// Needs no counterpart.
const NEEDLESS: &[&str] = &[
    "error_log",
    "preread_buffer_size",
    "preread_timeout",
    "proxy_buffer_size",
    "tcp_nodelay",
    "variables_hash_bucket_size",
    "variables_hash_max_size",
];
/// Protects, and has no counterpart for TCP.
const CLOSING: &[&str] = &["deny", "js_access", "limit_conn", "ssl_verify_client"];

/// One address, and where its connections go.
#[derive(Default)]
struct Listener {
    certificates: Vec<Value>,
    proxy_protocol: bool,
    /// Server name, none for any, and the upstream.
    routes: Vec<(Option<String>, String)>,
}

/// Writes the servers of all `stream` blocks.
///
/// # Errors
/// They lead to too many resources.
pub(super) fn servers(draft: &mut Draft, stream: &[Directive]) -> Result<(), ImportError> {
    let outer = Scope::of(stream);
    tell(draft, stream);
    let of = |name: &'static str| stream.iter().filter(move |d| d.name == name);
    let streams = Streams {
        groups: of("upstream").map(|d| (d.word(0), d)).into_map(),
        maps: of("map").map(|d| (d.word(1), d)).into_map(),
    };
    let listens: Vec<&str> = of("server")
        .flat_map(|server| server.inside())
        .filter(|d| d.name == "listen")
        .map(|d| d.word(0))
        .collect();
    let any6 = any6(&listens);
    let mut listeners: BTreeMap<String, Listener> = BTreeMap::new();
    for server in of("server") {
        tell(draft, server.inside());
        streams.server(draft, &outer.inside(server.inside()), &any6, &mut listeners);
        if draft.is_full() {
            return Err(ImportError::new(server.line, "it leads to too many routes"));
        }
    }
    for (address, listener) in listeners {
        write(draft, &address, listener);
    }
    Ok(())
}

fn tell(draft: &mut Draft, block: &[Directive]) {
    for directive in block {
        let name = &*directive.name;
        if UNDERSTOOD.contains(&name) || CLOSING.contains(&name) {
            continue;
        }
        let (outcome, why) = match NEEDLESS.contains(&name) {
            true => (Outcome::Needless, "the gateway sees to that"),
            false => (Outcome::Dropped, "this import does not know it for TCP"),
        };
        note(draft, directive, outcome, why);
    }
}

fn note(draft: &mut Draft, directive: &Directive, outcome: Outcome, why: &str) {
    let notes = &mut draft.notes;
    notes.add(directive.line, directive.shown(), outcome, why);
}

/// A listener with its routes. One without routes would refuse everything.
fn write(draft: &mut Draft, address: &str, listener: Listener) {
    if listener.routes.is_empty() {
        return;
    }
    let mut resource = Map::new();
    resource.insert("address".into(), json!(address));
    resource.insert("protocol".into(), json!("tcp"));
    if !listener.certificates.is_empty() {
        let tls = json!({ "certificates": listener.certificates });
        resource.insert("tls".into(), tls);
    }
    if listener.proxy_protocol {
        resource.insert("proxy_protocol".into(), json!("required"));
    }
    let port = address.rsplit(':').next().unwrap_or("socket");
    let wanted = match address.starts_with("unix:") {
        true => "tcp-socket".to_owned(),
        false => format!("tcp-{port}"),
    };
    let name = draft.add("listeners", &wanted, Value::Object(resource));
    for (server_name, upstream) in listener.routes {
        let shown = server_name.as_deref().unwrap_or("any").replace('*', "all");
        let mut matches = json!({ "listeners": [name] });
        if let Some(server_name) = server_name {
            matches["server_name"] = json!(server_name);
        }
        let route = json!({ "match": matches, "target": { "upstream": upstream } });
        draft.add("routes", &format!("{name}-{shown}"), route);
    }
}

/// What servers refer to by name.
struct Streams<'a> {
    groups: Groups<'a>,
    maps: BTreeMap<&'a str, &'a Directive>,
}

impl Streams<'_> {
    fn server(
        &self,
        draft: &mut Draft,
        scope: &Scope<'_>,
        any6: &BTreeSet<String>,
        listeners: &mut BTreeMap<String, Listener>,
    ) {
        if let Some(closing) = scope.any(CLOSING).first() {
            let why = "TCP has no policies; nothing is listened on for this server";
            return note(draft, closing, Outcome::Closed, why);
        }
        let Some((to, passing)) = scope.word("proxy_pass") else {
            return;
        };
        let names = names(draft, scope);
        let targets: Vec<(Option<String>, String)> = match to.strip_prefix('$') {
            None => match self.upstream(draft, to, passing, scope) {
                Some(upstream) if names.is_empty() => vec![(None, upstream)],
                Some(upstream) => {
                    let named = names.into_iter();
                    named.map(|name| (Some(name), upstream.clone())).collect()
                }
                None => return,
            },
            Some(_) => match self.maps.get(to) {
                Some(map) => self.mapped(draft, map, scope),
                None => {
                    let why = "a target is written out, or chosen by the server name in a `map`";
                    return note(draft, passing, Outcome::Dropped, why);
                }
            },
        };
        for listen in scope.own().iter().filter(|d| d.name == "listen") {
            let words = &listen.words;
            if words.iter().any(|word| word == "udp") {
                note(draft, listen, Outcome::Dropped, "UDP is not forwarded");
                continue;
            }
            let listener = listeners.entry(address(listen.word(0), any6)).or_default();
            listener.proxy_protocol |= words.iter().any(|word| word == "proxy_protocol");
            if words.iter().any(|word| word == "ssl") {
                certificates(scope, &mut listener.certificates);
            }
            for (name, upstream) in &targets {
                match listener.routes.iter().any(|(known, _)| known == name) {
                    false => listener.routes.push((name.clone(), upstream.clone())),
                    true => {
                        let why = "another server has this address and name";
                        note(draft, listen, Outcome::Dropped, why);
                    }
                }
            }
        }
    }

    /// The targets of a `map` of server names.
    fn mapped(
        &self,
        draft: &mut Draft,
        map: &Directive,
        scope: &Scope<'_>,
    ) -> Vec<(Option<String>, String)> {
        if map.word(0) != "$ssl_preread_server_name" && map.word(0) != "$ssl_server_name" {
            let why = "connections are told apart by the server name only";
            note(draft, map, Outcome::Dropped, why);
            return Vec::new();
        }
        let mut targets = Vec::new();
        for entry in map.inside() {
            let names = match &*entry.name {
                "hostnames" | "volatile" if entry.words.is_empty() => continue,
                "default" => vec![None],
                name => match server_name(draft, entry, name) {
                    Some(names) => names.into_iter().map(Some).collect(),
                    None => continue,
                },
            };
            if let Some(upstream) = self.upstream(draft, entry.word(0), entry, scope) {
                targets.extend(names.into_iter().map(|name| (name, upstream.clone())));
            }
        }
        targets
    }

    /// The upstream for a name of a group or an address.
    fn upstream(
        &self,
        draft: &mut Draft,
        to: &str,
        at: &Directive,
        scope: &Scope<'_>,
    ) -> Option<String> {
        let mut resource = match self.groups.get(to) {
            Some(group) => group_of(draft, group, false),
            None if to.contains('$') || !(to.contains(':') || to.starts_with("unix:")) => {
                let why = "it is no group and no address with a port";
                note(draft, at, Outcome::Dropped, why);
                return None;
            }
            None => Map::from_iter([("endpoints".to_owned(), json!([to]))]),
        };
        if let Some((text, _)) = scope.word("proxy_connect_timeout")
            && let Some(ms) = time_ms(text)
        {
            resource.insert("timeouts".into(), json!({ "connect": period(ms) }));
        }
        if let Some(timeout) = scope.last("proxy_timeout") {
            let why = "connections may be silent for as long as both ends keep them open";
            note(draft, timeout, Outcome::Dropped, why);
        }
        if scope.is_on("proxy_ssl") {
            resource.insert("tls".into(), tls_of(draft, scope));
        }
        Some(draft.share("upstreams", to, Value::Object(resource)))
    }
}

fn certificates(scope: &Scope<'_>, to: &mut Vec<Value>) {
    let chains = scope.all("ssl_certificate");
    let keys = scope.all("ssl_certificate_key");
    for (chain, key) in chains.iter().zip(&keys) {
        let certificate = json!({ "chain": chain.word(0), "key": key.word(0) });
        if !to.contains(&certificate) {
            to.push(certificate);
        }
    }
}

/// What `server_name` says.
fn names(draft: &mut Draft, scope: &Scope<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for directive in scope.own().iter().filter(|d| d.name == "server_name") {
        for word in &directive.words {
            names.extend(server_name(draft, directive, word).unwrap_or_default());
        }
    }
    names
}

/// A server name as a route has it.
fn server_name(draft: &mut Draft, at: &Directive, name: &str) -> Option<Vec<String>> {
    let name = name.to_ascii_lowercase();
    let is_host = |text: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        !text.is_empty() && text.chars().all(plain)
    };
    if let Some(domain) = name.strip_prefix("*.").or_else(|| name.strip_prefix('.'))
        && is_host(domain)
    {
        let why = "`*.` stands for one label, not for any number of them";
        note(draft, at, Outcome::Changed, why);
        let wild = format!("*.{domain}");
        return Some(match name.starts_with('.') {
            true => vec![domain.to_owned(), wild],
            false => vec![wild],
        });
    }
    if is_host(&name) {
        return Some(vec![name]);
    }
    let why = "a server name is a name, or a name behind `*.`";
    note(draft, at, Outcome::Dropped, why);
    None
}
