//! Kong's declarative files (formats 1.1 to 3): services, routes, plugins, upstreams, consumers.
//!
//! A plugin counts at its route, else at its service, else everywhere; the nearest one of a name
//! holds. Where Kong listens stands in `kong.conf`, which is not read: the listener has Kong's own
//! address. Credentials that Kong keeps as text become hashes.

mod browsers;
mod consumers;
mod jwt;
mod plugins;
mod rates;
mod routes;
mod transform;
mod upstreams;

use crate::ImportError;
use crate::draft::Draft;
use crate::note::Outcome;
use crate::read::{self, Said, items};
use gate_model::document::Node;
use serde_json::json;

/// What is known of a whole file while its routes are read.
pub(super) struct File<'a> {
    root: &'a Node,
    /// Plugins that count everywhere or name what they are for.
    plugins: Vec<&'a Node>,
}

/// Reads a file into a draft.
///
/// # Errors
/// Where it is no declarative file of Kong's.
pub(crate) fn import(bytes: &[u8]) -> Result<Draft, ImportError> {
    let root = read::yaml(bytes)?;
    if root.get("_format_version").is_none() {
        let message = "`_format_version` is missing: this is no declarative file of Kong";
        return Err(ImportError::new(1, message));
    }
    let mut draft = Draft::default();
    unread(&mut draft, &root);
    let file = File {
        plugins: items(&root, "plugins"),
        root: &root,
    };
    listener(&mut draft, &root);
    consumers::read(&mut draft, &file);
    upstreams::check(&mut draft, &root);
    for service in items(&root, "services") {
        for route in items(service, "routes") {
            routes::read(&mut draft, &file, Some(service), route);
        }
    }
    for route in items(&root, "routes") {
        let named = reference(route, "service");
        let mut services = items(&root, "services").into_iter();
        let service = services.find(|s| named.is_some() && named == read::text(s, "name"));
        routes::read(&mut draft, &file, service, route);
    }
    plugins::of_the_process(&mut draft, &file);
    match draft.is_full() {
        true => Err(ImportError::new(1, "it leads to too many routes")),
        false => Ok(draft),
    }
}

/// The name that a field refers to: `service: orders` or `service: { name: orders }`.
pub(super) fn reference(node: &Node, key: &str) -> Option<String> {
    let node = node.get(key)?;
    match node.get("name").or_else(|| node.get("id")) {
        Some(name) => name.text(),
        None => node.text(),
    }
}

fn listener(draft: &mut Draft, root: &Node) {
    draft.add("listeners", "proxy", json!({ "address": "0.0.0.0:8000" }));
    let why = "the listener is Kong's own, 0.0.0.0:8000; `proxy_listen` stands in kong.conf";
    draft.notes.add(0, "listeners.proxy", Outcome::Todo, why);
    for certificate in items(root, "certificates") {
        let why = "certificates are files: write chain and key into two, and name them in `listeners.NAME.tls`";
        draft
            .notes
            .add(certificate.line(), "certificates", Outcome::Todo, why);
    }
}

/// Kinds of entities that are not read.
fn unread(draft: &mut Draft, root: &Node) {
    const READ: [&str; 8] = [
        "_format_version",
        "_transform",
        "certificates",
        "consumers",
        "plugins",
        "routes",
        "services",
        "upstreams",
    ];
    for (key, node) in root.entries() {
        let (outcome, why) = match &*key.text {
            name if READ.contains(&name) || node.is_nothing() => continue,
            "_info" | "_comment" | "_workspace" | "tags" | "snis" => (
                Outcome::Needless,
                "it says something about the file, not about requests",
            ),
            "ca_certificates" => (
                Outcome::Todo,
                "authorities are files, named in `upstreams.NAME.tls.authorities`",
            ),
            "vaults" => (Outcome::Todo, "secrets are referred to where they are used"),
            _ => (Outcome::Dropped, "this import does not know this kind"),
        };
        draft
            .notes
            .add(key.span.line, key.text.clone(), outcome, why);
    }
}
