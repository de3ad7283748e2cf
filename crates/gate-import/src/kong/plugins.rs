//! Plugins as policies, in the order in which Kong runs them.
//!
//! A plugin that lets callers in or keeps them out and cannot be expressed closes its route.

use super::browsers::cors;
use super::rates::rate_limiting;
use super::transform::{redirect, termination, transformed};
use super::{File, jwt, reference};
use crate::draft::Draft;
use crate::note::Outcome;
use crate::read::{Said, items, text};
use gate_kit::order::Order;
use gate_model::document::Node;
use serde_json::{Map, Value, json};

/// Kong's plugins that become policies, in the order of their priorities.
const ORDER: [&str; 12] = [
    "correlation-id",
    "cors",
    "jwt",
    "key-auth",
    "ip-restriction",
    "rate-limiting",
    "response-transformer",
    "request-transformer",
    "redirect",
    "proxy-cache",
    "request-size-limiting",
    "request-termination",
];
/// Plugins of the process, which are read once.
const PROCESS: [&str; 3] = ["prometheus", "file-log", "opentelemetry"];
/// Plugins that keep callers out.
const CLOSING: [&str; 14] = [
    "acl",
    "basic-auth",
    "bot-detection",
    "hmac-auth",
    "ldap-auth",
    "ldap-auth-advanced",
    "mtls-auth",
    "oauth2",
    "oauth2-introspection",
    "openid-connect",
    "opa",
    "session",
    "vault-auth",
    "rate-limiting-advanced",
];

/// What the plugins of a route come to.
#[derive(Default)]
pub(super) struct Plugins {
    pub(super) policies: Vec<Value>,
    /// The target instead of the service.
    pub(super) target: Option<Value>,
}

/// The plugins that hold for a route.
pub(super) fn of(
    draft: &mut Draft,
    file: &File<'_>,
    service: Option<&Node>,
    route: &Node,
) -> Plugins {
    let named = |plugin: &&&Node, key: &str, of: Option<&Node>| {
        let name = of.and_then(|of| text(of, "name"));
        name.is_some() && reference(plugin, key) == name
    };
    let free = |plugin: &&&Node| {
        !["route", "service", "consumer", "consumer_group"]
            .iter()
            .any(|key| plugin.get(key).is_some())
    };
    let mut all: Vec<&Node> = items(route, "plugins");
    all.extend(
        file.plugins
            .iter()
            .filter(|p| named(p, "route", Some(route))),
    );
    all.extend(service.map(|s| items(s, "plugins")).unwrap_or_default());
    all.extend(file.plugins.iter().filter(|p| named(p, "service", service)));
    all.extend(file.plugins.iter().filter(free));
    let mut found: Vec<(String, &Node)> = Vec::new();
    for plugin in all {
        let on = plugin.get("enabled").is_none_or(Said::is_true);
        match text(plugin, "name") {
            Some(name) if on && !found.iter().any(|(known, _)| *known == name) => {
                found.push((name, plugin));
            }
            _ => {}
        }
    }
    found.order_by_key(|(name, _)| {
        ORDER
            .iter()
            .position(|known| known == name)
            .unwrap_or(ORDER.len())
    });
    let mut plugins = Plugins::default();
    for (name, plugin) in &found {
        one(draft, file, name, plugin, &mut plugins);
    }
    plugins
}

/// Tells about plugins that hold for consumers.
pub(super) fn of_the_process(draft: &mut Draft, file: &File<'_>) {
    for plugin in &file.plugins {
        let name = text(plugin, "name").unwrap_or_default();
        if plugin.get("consumer").is_some() || plugin.get("consumer_group").is_some() {
            let why = "policies belong to routes, not to consumers";
            draft
                .notes
                .add(plugin.line(), name.clone(), Outcome::Dropped, why);
        }
        let setting = |key: &str| plugin.get("config").and_then(|config| text(config, key));
        let gateway = draft.kind("gateway");
        match &*name {
            "prometheus" => {
                drop(gateway.insert("admin".into(), json!({ "address": "127.0.0.1:9090" })))
            }
            "file-log" => {
                let path = setting("path").unwrap_or_else(|| "/dev/stdout".to_owned());
                gateway.insert(
                    "access_log".into(),
                    json!({ "to": { "file": { "path": path } } }),
                );
            }
            "opentelemetry" => {
                let endpoint = setting("traces_endpoint").or_else(|| setting("endpoint"));
                if let Some(endpoint) = endpoint {
                    let base = endpoint.trim_end_matches("/v1/traces");
                    gateway.insert("tracing".into(), json!({ "endpoint": base }));
                }
            }
            _ => {}
        }
    }
}

fn one(draft: &mut Draft, file: &File<'_>, name: &str, plugin: &Node, to: &mut Plugins) {
    let nothing = Node::new(gate_model::document::NodeKind::Null);
    let config = plugin.get("config").unwrap_or(&nothing);
    let line = plugin.line();
    let policy = match name {
        "correlation-id" => Some(correlation_id(config)),
        "cors" => Some(cors(draft, config)),
        "jwt" => match token(file, config) {
            Ok(policy) => Some(policy),
            Err(why) => {
                to.target = Some(json!({ "fixed": { "status": 501 } }));
                return draft.notes.add(line, name, Outcome::Closed, why);
            }
        },
        "key-auth" => Some(key_auth(draft, config)),
        "ip-restriction" => Some(restriction(config)),
        "rate-limiting" => rate_limiting(draft, config),
        "request-transformer" => {
            to.policies.extend(transformed(draft, config, "request"));
            None
        }
        "response-transformer" => {
            to.policies.extend(transformed(draft, config, "response"));
            None
        }
        "redirect" => redirect(draft, config, to),
        "request-termination" => {
            to.target.get_or_insert_with(|| termination(config));
            None
        }
        name if PROCESS.contains(&name) => None,
        name => {
            let closing = CLOSING.contains(&name) || name.starts_with("ai-");
            let (outcome, why) = match name {
                _ if closing => (
                    Outcome::Closed,
                    "no policy does this, and its route answers 501",
                ),
                "proxy-cache" => (Outcome::Dropped, "answers of HTTP services are not cached"),
                "request-size-limiting" => (
                    Outcome::Dropped,
                    "the size of bodies belongs to the listener (`limits.body`)",
                ),
                _ => (Outcome::Dropped, "this import does not know the plugin"),
            };
            if closing {
                to.target = Some(json!({ "fixed": { "status": 501 } }));
            }
            return draft.notes.add(line, name, outcome, why);
        }
    };
    to.policies.extend(policy);
}

fn key_auth(draft: &mut Draft, config: &Node) -> Value {
    let names = config
        .get("key_names")
        .map(Said::texts)
        .filter(|names| !names.is_empty());
    let names = names.unwrap_or_else(|| vec!["apikey".to_owned()]);
    let mut policy = Map::new();
    let off = |key: &str| config.get(key).and_then(Said::text).as_deref() == Some("false");
    let headers: Vec<&String> = names.iter().filter(|_| !off("key_in_header")).collect();
    policy.insert("headers".into(), json!(headers));
    if !off("key_in_query") {
        policy.insert("query".into(), json!(names[0]));
    }
    if !config.get("hide_credentials").is_some_and(Said::is_true) {
        policy.insert("forward".into(), json!(true));
    }
    if config
        .get("anonymous")
        .is_some_and(|node| !node.is_nothing())
    {
        policy.insert("optional".into(), json!(true));
        let why = "callers without a key pass unnamed, not as a consumer";
        draft
            .notes
            .add(config.line(), "key-auth.anonymous", Outcome::Changed, why);
    }
    if config.get("key_in_body").is_some_and(Said::is_true) {
        let why = "keys are not looked for in bodies";
        draft
            .notes
            .add(config.line(), "key-auth.key_in_body", Outcome::Dropped, why);
    }
    json!({ "auth_key": policy })
}

/// Kong names the issuer by the credential's key; one issuer can be told from others here.
fn token(file: &File<'_>, config: &Node) -> Result<Value, String> {
    let consumers = items(file.root, "consumers");
    let secrets: Vec<&Node> = consumers
        .iter()
        .flat_map(|c| items(c, "jwt_secrets"))
        .collect();
    let [secret] = &secrets[..] else {
        return Err(
            "it can be written for one credential of one issuer; write `auth_jwt` for each"
                .to_owned(),
        );
    };
    let algorithm = text(secret, "algorithm").unwrap_or_else(|| "HS256".to_owned());
    let pem = text(secret, "rsa_public_key").filter(|_| !algorithm.starts_with("HS"));
    let Some(key) = pem.and_then(|pem| jwt::jwk(&pem, &algorithm)) else {
        return Err(
            "its key is a shared secret, which does not go into a document, or is not understood"
                .to_owned(),
        );
    };
    if config
        .get("anonymous")
        .is_some_and(|node| !node.is_nothing())
    {
        return Err("an anonymous consumer cannot be told from others".to_owned());
    }
    let issuer = text(secret, "key").ok_or("the credential names no issuer")?;
    let mut policy = json!({
        "keys": { "inline": { "keys": [key] } }, "issuer": issuer, "algorithms": [algorithm],
        "forward": true,
    });
    let expires = config
        .get("claims_to_verify")
        .map(Said::texts)
        .unwrap_or_default();
    policy["require_expiry"] = json!(expires.iter().any(|claim| claim == "exp"));
    Ok(json!({ "auth_jwt": policy }))
}

fn correlation_id(config: &Node) -> Value {
    let header = text(config, "header_name").unwrap_or_else(|| "Kong-Request-ID".to_owned());
    let echo = config.get("echo_downstream").is_some_and(Said::is_true);
    json!({ "request_id": { "header": header, "trust": true, "respond": echo } })
}

fn restriction(config: &Node) -> Value {
    let mut policy = Map::new();
    for (theirs, old, ours) in [
        ("allow", "whitelist", "allow"),
        ("deny", "blacklist", "deny"),
    ] {
        let list = config
            .get(theirs)
            .or_else(|| config.get(old))
            .map(Said::texts)
            .unwrap_or_default();
        if !list.is_empty() {
            policy.insert(ours.into(), json!(list));
        }
    }
    json!({ "access": policy })
}
