//! Services with their upstreams, as upstreams.

use crate::draft::Draft;
use crate::nginx::period;
use crate::note::Outcome;
use crate::read::{Said, items, text};
use gate_model::document::Node;
use serde_json::{Map, Value, json};

/// Where a service is.
pub(super) struct Place {
    pub(super) tls: bool,
    pub(super) grpc: bool,
    pub(super) host: String,
    pub(super) port: u64,
    /// Path in front of every request's; empty for none.
    pub(super) path: String,
}

/// Reads `url`, or protocol, host, port and path.
pub(super) fn place(service: &Node) -> Option<Place> {
    let (protocol, host, port, path) = match text(service, "url") {
        Some(url) => {
            let (protocol, rest) = url.split_once("://")?;
            let at = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at(at);
            let (host, port) = match authority.rsplit_once(':') {
                Some((host, port)) if !authority.ends_with(']') => (host, port.parse().ok()),
                _ => (authority, None),
            };
            (protocol.to_owned(), host.to_owned(), port, path.to_owned())
        }
        None => (
            text(service, "protocol").unwrap_or_else(|| "http".to_owned()),
            text(service, "host")?,
            Some(service.get("port").and_then(Said::count).unwrap_or(80)),
            text(service, "path").unwrap_or_default(),
        ),
    };
    let tls = match &*protocol {
        "https" | "grpcs" => true,
        "http" | "grpc" => false,
        _ => return None,
    };
    (!host.is_empty()).then(|| Place {
        tls,
        grpc: protocol.starts_with("grpc"),
        host,
        port: port.unwrap_or(if tls { 443 } else { 80 }),
        path: path.trim_end_matches('/').to_owned(),
    })
}

/// The name of the upstream of a service, made if need be.
pub(super) fn upstream(
    draft: &mut Draft,
    root: &Node,
    service: &Node,
    place: &Place,
    preserve_host: bool,
) -> String {
    let group = items(root, "upstreams")
        .into_iter()
        .find(|group| text(group, "name").as_deref() == Some(&*place.host));
    let mut resource = match group {
        Some(group) => balanced(draft, group),
        None => {
            let mut resource = Map::new();
            resource.insert(
                "endpoints".into(),
                json!([format!("{}:{}", place.host, place.port)]),
            );
            resource
        }
    };
    if !preserve_host
        && group.is_none_or(|group| group.get("host_header").is_none_or(Said::is_nothing))
    {
        resource.insert("host_header".into(), json!("endpoint"));
    }
    if place.grpc {
        resource.insert("protocol".into(), json!("http2"));
    }
    if place.tls {
        resource.insert("tls".into(), json!({}));
        if !service.get("tls_verify").is_some_and(Said::is_true) {
            let why = "the upstream's certificate is verified, which Kong was not told to do";
            draft
                .notes
                .add(service.line(), "tls_verify", Outcome::Changed, why);
        }
    }
    resource.insert("timeouts".into(), timeouts(service));
    let retries = service.get("retries").and_then(Said::count).unwrap_or(5);
    resource.insert("retry".into(), json!({ "attempts": retries.min(100) }));
    let wanted = text(service, "name").unwrap_or_else(|| place.host.clone());
    draft.share("upstreams", &wanted, Value::Object(resource))
}

/// The Host that an upstream's own setting asks for.
pub(super) fn host_header(root: &Node, place: &Place) -> Option<String> {
    let mut groups = items(root, "upstreams").into_iter();
    let group = groups.find(|group| text(group, "name").as_deref() == Some(&*place.host))?;
    text(group, "host_header").filter(|host| !host.is_empty())
}

fn timeouts(service: &Node) -> Value {
    let ms = |key: &str| {
        service
            .get(key)
            .and_then(Said::count)
            .unwrap_or(60_000)
            .max(1)
    };
    let read = period(ms("read_timeout"));
    json!({ "connect": period(ms("connect_timeout")), "first_byte": read, "idle": read })
}

fn balanced(draft: &mut Draft, group: &Node) -> Map<String, Value> {
    let (mut endpoints, mut weights) = (Vec::new(), Map::new());
    for target in items(group, "targets") {
        let Some(address) = text(target, "target") else {
            continue;
        };
        let behind = address.rfind(']').map_or(&*address, |at| &address[at..]);
        let address = match behind.contains(':') {
            true => address,
            false => format!("{address}:8000"),
        };
        let weight = target.get("weight").and_then(Said::count).unwrap_or(100);
        if weight == 0 || endpoints.contains(&address) {
            continue;
        }
        weights.insert(address.clone(), json!(weight.min(65_535)));
        endpoints.push(address);
    }
    let mut values = weights.values();
    let first = values.next().cloned();
    if values.all(|weight| Some(weight) == first.as_ref()) {
        weights.clear();
    }
    if endpoints.is_empty() {
        let why = "it has no targets; its only endpoint is one that refuses";
        draft
            .notes
            .add(group.line(), "upstreams.targets", Outcome::Closed, why);
        endpoints.push("127.0.0.1:1".to_owned());
    }
    let mut resource = Map::new();
    resource.insert("endpoints".into(), json!(endpoints));
    if !weights.is_empty() {
        resource.insert("weights".into(), Value::Object(weights));
    }
    resource.insert("balance".into(), balance(draft, group));
    if let Some(health) = health(group) {
        resource.insert("health".into(), health);
    }
    resource
}

fn balance(draft: &mut Draft, group: &Node) -> Value {
    let hash_on = text(group, "hash_on").unwrap_or_else(|| "none".to_owned());
    let algorithm = text(group, "algorithm");
    let default = if hash_on == "none" {
        "round-robin"
    } else {
        "consistent-hashing"
    };
    match algorithm.as_deref().unwrap_or(default) {
        "least-connections" | "latency" => json!({ "least_request": {} }),
        "consistent-hashing" => {
            let by = match &*hash_on {
                "consumer" => json!({ "consumer": {} }),
                "header" => json!({ "header": text(group, "hash_on_header").unwrap_or_default() }),
                "cookie" => json!({ "cookie": text(group, "hash_on_cookie").unwrap_or_default() }),
                "ip" => json!({ "address": {} }),
                _ => {
                    let why =
                        "a ring hash looks at a header, a cookie, the consumer or the address";
                    draft.notes.add(
                        group.line(),
                        format!("hash_on: {hash_on}"),
                        Outcome::Dropped,
                        why,
                    );
                    return json!({ "round_robin": {} });
                }
            };
            json!({ "ring_hash": { "by": by } })
        }
        _ => json!({ "round_robin": {} }),
    }
}

/// Active checks; a period of 0 turns them off in Kong.
fn health(group: &Node) -> Option<Value> {
    let active = group.get("healthchecks")?.get("active")?;
    let number = |side: &str, key: &str| active.get(side).and_then(|side| side.get(key)?.count());
    let every = number("healthy", "interval")
        .or_else(|| number("unhealthy", "interval"))
        .unwrap_or(0);
    if every == 0 {
        return None;
    }
    let mut check = Map::new();
    let kind = text(active, "type").unwrap_or_else(|| "http".to_owned());
    if kind != "tcp" {
        let path = text(active, "http_path").unwrap_or_else(|| "/".to_owned());
        check.insert("path".into(), json!(path));
    }
    check.insert(
        "interval".into(),
        json!(period(every.saturating_mul(1_000))),
    );
    let timeout = active
        .get("timeout")
        .and_then(Said::count)
        .unwrap_or(1)
        .max(1);
    check.insert(
        "timeout".into(),
        json!(period(timeout.saturating_mul(1_000))),
    );
    let rise = number("healthy", "successes").unwrap_or(2).clamp(1, 255);
    let fall = number("unhealthy", "http_failures").or_else(|| number("unhealthy", "tcp_failures"));
    check.insert("rise".into(), json!(rise));
    check.insert("fall".into(), json!(fall.unwrap_or(3).clamp(1, 255)));
    let kind = if kind == "tcp" { "tcp" } else { "http" };
    Some(json!({ kind: check }))
}

/// Tells what of upstreams is not read.
pub(super) fn check(draft: &mut Draft, root: &Node) {
    const READ: [&str; 9] = [
        "name",
        "targets",
        "algorithm",
        "hash_on",
        "hash_on_header",
        "hash_on_cookie",
        "host_header",
        "healthchecks",
        "hash_on_cookie_path",
    ];
    for group in items(root, "upstreams") {
        for (key, node) in group.entries() {
            if READ.contains(&&*key.text) || node.is_nothing() {
                continue;
            }
            let (outcome, why) = match &*key.text {
                "id" | "tags" | "slots" | "use_srv_name" | "created_at" => {
                    (Outcome::Needless, "it has no counterpart and needs none")
                }
                _ => (Outcome::Dropped, "this import does not know it"),
            };
            draft.notes.add(
                key.span.line,
                format!("upstreams.{}", key.text),
                outcome,
                why,
            );
        }
        if group
            .get("healthchecks")
            .is_some_and(|checks| checks.get("passive").is_some())
        {
            let why = "endpoints that keep failing are always left out for a while (`outlier`)";
            draft
                .notes
                .add(group.line(), "healthchecks.passive", Outcome::Changed, why);
        }
    }
}
