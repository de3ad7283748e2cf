//! Credentials that stand in a file instead of being referred to.

use crate::lint::subject::{Entry, UNTOLD};
use crate::lint::{Found, View};
use gate_model::document::{Node, NodeKind, Path};

/// Beginnings of credentials of well-known kinds (OpenAI and Anthropic, Stripe, ours, GitHub, Slack,
/// AWS, Google, JSON web tokens, PEM).
const PREFIXES: [&str; 12] = [
    "sk-",
    "pk_live_",
    "sk_live_",
    "tg_",
    "ghp_",
    "github_pat_",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "AIza",
    "eyJhbGci",
    "-----BEGIN",
];

/// Names of settings whose literal value is a credential.
const NAMES: [&str; 8] = [
    "password",
    "secret",
    "token",
    "api_key",
    "access_key",
    "secret_key",
    "client_secret",
    "private_key",
];

/// Names of settings below which a text is a name of something, or a hash.
const REFERENCES: [&str; 6] = ["env", "file", "sha256", "header", "query", "claim"];

pub(crate) fn in_clear(view: &View<'_>, found: &mut Found<'_>) {
    for gateway in view.gateway() {
        walk(&gateway, &gateway.path, "", gateway.node, found);
    }
    for kind in crate::lint::KINDS {
        for entry in view.each(kind) {
            walk(&entry, &entry.path, "", entry.node, found);
        }
    }
}

fn walk(entry: &Entry<'_>, path: &Path, name: &str, node: &Node, found: &mut Found<'_>) {
    match &node.kind {
        NodeKind::String(text) if is_secret(name, text) => {
            // What it is stays out of the report.
            let message = match name {
                "" => "a text looks like a credential".to_owned(),
                name => format!("`{name}` looks like a credential in clear"),
            };
            found.at(entry, path.clone(), node, message);
        }
        NodeKind::Sequence(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(entry, &path.index(index), name, item, found);
            }
        }
        NodeKind::Mapping(entries) => {
            for (key, value) in entries {
                walk(entry, &path.key(key.text.as_str()), &key.text, value, found);
            }
        }
        _ => {}
    }
}

fn is_secret(name: &str, text: &str) -> bool {
    if text.is_empty() || text.starts_with(UNTOLD) || REFERENCES.contains(&name) {
        return false;
    }
    // The rest of a name such as `tg_` or `sk-` alone is no credential.
    let begins = |prefix: &str| text.starts_with(prefix) && text.len() >= prefix.len() + 8;
    let in_url = text.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?']).next().unwrap_or(rest);
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        user.is_some_and(|user| user.contains(':') && !user.contains("${"))
    });
    let bearer = ["Bearer ", "Basic "].iter().any(|scheme| {
        text.strip_prefix(scheme)
            .is_some_and(|rest| rest.len() >= 8)
    });
    PREFIXES.iter().any(|prefix| begins(prefix))
        || in_url
        || (bearer && !text.contains("${"))
        || NAMES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_told_from_names_of_them() {
        for (name, text) in [
            ("value", "sk-proj-0123456789"),
            ("x", "AKIAIOSFODNN7EXAMPLE"),
            ("password", "hunter2"),
            ("address", "postgres://gate:hunter2@db/gate"),
            ("authorization", "Bearer abcdefghijkl"),
            ("key", "-----BEGIN PRIVATE KEY-----"),
        ] {
            assert!(is_secret(name, text), "{name}: {text}");
        }
        for (name, text) in [
            ("env", "sk-proj-0123456789"),
            ("password", "${var.password}"),
            ("authorization", "Bearer ${token}"),
            ("address", "postgres://db/gate"),
            ("path", "/orders/{id}"),
            ("name", "tg_"),
            ("sha256", "5f2c00aa11bb22cc"),
        ] {
            assert!(!is_secret(name, text), "{name}: {text}");
        }
    }
}
