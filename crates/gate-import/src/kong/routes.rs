//! Routes: what a request must look like, and how its path reaches the service.
//!
//! A route of Kong's with several hosts and paths becomes one route for each pair. Kong's prefixes
//! of paths match any longer name; here they match whole segments.

use super::{File, plugins, upstreams};
use crate::draft::Draft;
use crate::note::Outcome;
use crate::read::{Said, text};
use gate_model::document::Node;
use serde_json::{Map, Value, json};

/// Most pairs of hosts and paths of one route.
const PAIRS_MAX: usize = 1_000;

/// Reads a route.
pub(super) fn read(draft: &mut Draft, file: &File<'_>, service: Option<&Node>, route: &Node) {
    unread(draft, service, route);
    if let Some((what, outcome, why)) = passed_over(service, route) {
        return draft.notes.add(route.line(), what, outcome, why);
    }
    let place = service.and_then(upstreams::place);
    let plugins = plugins::of(draft, file, service, route);
    let methods = route.get("methods").map(Said::texts).unwrap_or_default();
    let all = |key: &str| match route.get(key).map(Said::texts).unwrap_or_default() {
        list if list.is_empty() => vec![None],
        list => list.into_iter().map(Some).collect(),
    };
    let (hosts, paths) = (all("hosts"), all("paths"));
    let name = text(route, "name").or_else(|| service.and_then(|s| text(s, "name")));
    let name = name.unwrap_or_else(|| "route".to_owned());
    let pairs = hosts
        .iter()
        .flat_map(|host| paths.iter().map(move |path| (host, path)));
    for (host, path) in pairs.take(PAIRS_MAX) {
        let mut matches = Map::new();
        if !host_of(draft, route, host.as_deref(), &mut matches) {
            continue;
        }
        let Ok(prefix) = path_of(draft, route, path.as_deref(), &mut matches) else {
            continue;
        };
        if !methods.is_empty() {
            matches.insert("methods".into(), json!(methods));
        }
        headers(route, &mut matches);
        let mut policies = plugins.policies.clone();
        let target = match (&plugins.target, service, &place) {
            (Some(target), _, _) => target.clone(),
            (None, Some(service), Some(place)) => {
                policies.extend(changed_path(route, prefix.as_deref(), &place.path));
                called(draft, file, (service, place), route, &mut policies)
            }
            _ => {
                let why = "it has no service that can be called over HTTP";
                let line = route.line();
                draft
                    .notes
                    .add(line, "routes.service", Outcome::Closed, why);
                json!({ "fixed": { "status": 501 } })
            }
        };
        let mut resource = Map::new();
        resource.insert("match".into(), Value::Object(matches));
        if !policies.is_empty() {
            resource.insert("policies".into(), json!(policies));
        }
        resource.insert("target".into(), target);
        draft.add("routes", &name, Value::Object(resource));
    }
    if hosts.len().saturating_mul(paths.len()) > PAIRS_MAX {
        let why = format!("only the first {PAIRS_MAX} pairs of hosts and paths are there");
        draft
            .notes
            .add(route.line(), "routes", Outcome::Dropped, why);
    }
}

/// Why a route does not become one.
fn passed_over(
    service: Option<&Node>,
    route: &Node,
) -> Option<(&'static str, Outcome, &'static str)> {
    let protocols = route.get("protocols").map(Said::texts).unwrap_or_default();
    let is_http = |p: &String| ["http", "https", "grpc", "grpcs"].contains(&&**p);
    if !protocols.is_empty() && !protocols.iter().any(is_http) {
        let why = "only HTTP and gRPC are read; TCP is a listener with `protocol: tcp`";
        return Some(("routes.protocols", Outcome::Dropped, why));
    }
    let enabled = service.and_then(|service| service.get("enabled")?.text());
    let off = enabled.as_deref() == Some("false");
    off.then_some(("routes", Outcome::Needless, "its service is not enabled"))
}

/// The service's upstream as a target, with the host that it is to see.
fn called(
    draft: &mut Draft,
    file: &File<'_>,
    (service, place): (&Node, &upstreams::Place),
    route: &Node,
    policies: &mut Vec<Value>,
) -> Value {
    let preserve = route.get("preserve_host").is_some_and(Said::is_true);
    if !preserve && let Some(host) = upstreams::host_header(file.root, place) {
        policies.push(json!({ "rewrite": { "host": host } }));
    }
    let name = upstreams::upstream(draft, file.root, service, place, preserve);
    json!({ "upstream": name })
}

/// Puts the host into `matches`; whether the route can be.
fn host_of(
    draft: &mut Draft,
    route: &Node,
    host: Option<&str>,
    matches: &mut Map<String, Value>,
) -> bool {
    let Some(host) = host else { return true };
    if let Some(host) = usable_host(host) {
        matches.insert("host".into(), json!(host));
        return true;
    }
    let (what, why) = (
        format!("hosts: {host}"),
        "a host is a name, or a name behind `*.`",
    );
    draft.notes.add(route.line(), what, Outcome::Dropped, why);
    false
}

fn usable_host(host: &str) -> Option<String> {
    let host = host.split(':').next().unwrap_or(host).to_ascii_lowercase();
    let name = host.strip_prefix("*.").unwrap_or(&host);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    (!name.is_empty() && !name.starts_with('.') && name.chars().all(fits)).then_some(host)
}

/// Puts the path into `matches`; the prefix that may be stripped is handed back.
fn path_of(
    draft: &mut Draft,
    route: &Node,
    path: Option<&str>,
    matches: &mut Map<String, Value>,
) -> Result<Option<String>, ()> {
    let Some(path) = path else { return Ok(None) };
    let line = route.get("paths").map_or(route.line(), Said::line);
    if let Some(pattern) = path.strip_prefix('~') {
        let text = format!("(?s){pattern}.*");
        if regex_syntax::parse(&text).is_err() {
            let why = "the expression needs look-around or back-references";
            draft
                .notes
                .add(line, format!("paths: {path}"), Outcome::Dropped, why);
            return Err(());
        }
        let why = "paths without expressions are looked for first";
        draft
            .notes
            .add(line, format!("paths: {path}"), Outcome::Changed, why);
        if route.get("strip_path").is_none_or(Said::is_true) {
            let why = "what an expression matched is not stripped from the path";
            draft.notes.add(
                line,
                format!("strip_path with {path}"),
                Outcome::Changed,
                why,
            );
        }
        matches.insert("path_regex".into(), json!(text));
        return Ok(None);
    }
    let folder = path.trim_end_matches('/');
    if !path.starts_with('/') || path.contains(['{', '}']) {
        let why = "it is no path";
        draft
            .notes
            .add(line, format!("paths: {path}"), Outcome::Dropped, why);
        return Err(());
    }
    if folder.is_empty() {
        return Ok(None);
    }
    if folder == path {
        let why = "it matches whole segments of the path, not any longer name";
        draft
            .notes
            .add(line, format!("paths: {path}"), Outcome::Changed, why);
    }
    matches.insert("path".into(), json!(format!("{folder}/{{*rest}}")));
    Ok(Some(folder.to_owned()))
}

fn headers(route: &Node, matches: &mut Map<String, Value>) {
    let mut conditions = Map::new();
    for (name, values) in route.get("headers").map(Node::entries).unwrap_or_default() {
        let values = values.texts();
        let condition = match &values[..] {
            [one] => match one.strip_prefix("~*") {
                Some(pattern) => json!({ "regex": format!("(?i){pattern}") }),
                None => json!({ "regex": format!("(?i)^{}$", regex_syntax::escape(one)) }),
            },
            several => {
                let all: Vec<String> = several.iter().map(|v| regex_syntax::escape(v)).collect();
                json!({ "regex": format!("(?i)^(?:{})$", all.join("|")) })
            }
        };
        conditions.insert(name.text.clone(), condition);
    }
    if !conditions.is_empty() {
        matches.insert("headers".into(), Value::Object(conditions));
    }
}

/// The policy that strips the route's prefix and puts the service's path in front.
fn changed_path(route: &Node, prefix: Option<&str>, path: &str) -> Option<Value> {
    let strips = route.get("strip_path").is_none_or(Said::is_true);
    match (prefix.filter(|_| strips), path) {
        (Some(prefix), path) => {
            let to = if path.is_empty() { "/" } else { path };
            Some(json!({ "rewrite": { "prefix": { "from": prefix, "to": to } } }))
        }
        (None, "") => None,
        (None, path) => {
            let replacement = format!("{}/", path.replace('$', "$$"));
            Some(json!({ "rewrite": { "regex": { "pattern": "^/", "replacement": replacement } } }))
        }
    }
}

/// Fields of routes that are read.
const ROUTE: [&str; 10] = [
    "name",
    "service",
    "hosts",
    "paths",
    "methods",
    "headers",
    "protocols",
    "strip_path",
    "preserve_host",
    "plugins",
];
/// Fields of services that are read.
const SERVICE: [&str; 14] = [
    "name",
    "url",
    "protocol",
    "host",
    "port",
    "path",
    "connect_timeout",
    "read_timeout",
    "retries",
    "tls_verify",
    "enabled",
    "routes",
    "plugins",
    "write_timeout",
];

/// What of services and routes is not read.
fn unread(draft: &mut Draft, service: Option<&Node>, route: &Node) {
    let of_service = service.map(Node::entries).unwrap_or_default().iter();
    let of_service = of_service.filter(|(key, _)| !SERVICE.contains(&&*key.text));
    let of_route = route
        .entries()
        .iter()
        .filter(|(key, _)| !ROUTE.contains(&&*key.text));
    let named = of_service
        .map(|e| ("services", e))
        .chain(of_route.map(|e| ("routes", e)));
    for (kind, (key, node)) in named {
        let (outcome, why) = match &*key.text {
            _ if node.is_nothing() => continue,
            "id" | "tags" | "created_at" | "updated_at" | "request_buffering"
            | "response_buffering" | "ws_id" => {
                (Outcome::Needless, "it has no counterpart and needs none")
            }
            "path_handling" if node.text().as_deref() == Some("v0") => {
                (Outcome::Needless, "paths are joined that way")
            }
            "https_redirect_status_code" => (
                Outcome::Needless,
                "write `redirect: { https: true }` where plain HTTP is to be redirected",
            ),
            "regex_priority" | "priority" => (
                Outcome::Dropped,
                "routes are looked for by how specific they are; expressions by route name",
            ),
            "snis" => (
                Outcome::Dropped,
                "TLS server names are matched on TCP listeners only",
            ),
            "client_certificate" | "ca_certificates" => (
                Outcome::Todo,
                "certificates are files, named in `upstreams.NAME.tls`",
            ),
            _ => (Outcome::Dropped, "this import does not know it"),
        };
        draft
            .notes
            .add(key.span.line, format!("{kind}.{}", key.text), outcome, why);
    }
}
