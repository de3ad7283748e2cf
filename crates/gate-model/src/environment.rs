//! The two sources of a configuration: one file, or a file of the process and an environment's
//! revision.
//!
//! A file whose `gateway` names an environment holds nothing else, and a revision never holds
//! `gateway`, so that no setting can come from two places. What a process runs on is both put
//! together ([`compose`]). Nothing here knows where revisions are kept.

use crate::document::{Document, Node, NodeKind, Path, substitute};
use crate::finding::Finding;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The kind that belongs to the process and never to a revision.
pub const PROCESS_KIND: &str = "gateway";

/// The longest name of an environment, in bytes.
pub const ENVIRONMENT_NAME_BYTES_MAX: usize = 64;

/// Whether an environment may have this name: lower-case letters, digits, `-` and `_`, beginning
/// with a letter or digit, at most [`ENVIRONMENT_NAME_BYTES_MAX`] bytes.
#[must_use]
pub fn is_environment_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= ENVIRONMENT_NAME_BYTES_MAX
        && name.bytes().next().is_some_and(fits)
        && name
            .bytes()
            .all(|byte| fits(byte) || matches!(byte, b'-' | b'_'))
}

/// The environment that a file's process follows; `None` where the file is the whole configuration.
#[must_use]
pub fn followed(file: &Document) -> Option<&str> {
    match &file.root.get(PROCESS_KIND)?.get("environment")?.kind {
        NodeKind::String(name) => Some(name),
        _ => None,
    }
}

/// What is wrong with a file as a source: resources beside an environment (`two_sources`), an
/// environment without a store (`store_missing`) or whose last good revision has no place
/// (`last_good_missing`), a name that none can have (`invalid_environment`). Located.
#[must_use]
pub fn check_file(file: &Document) -> Vec<Finding> {
    let Some(name) = followed(file) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let gateway = Path::root().key(PROCESS_KIND);
    if !is_environment_name(name) {
        let message = "this cannot be the name of an environment";
        let finding = Finding::error("invalid_environment", gateway.key("environment"), message);
        let expected = "lower-case letters, digits, `-` and `_`, at most 64 of them";
        findings.push(finding.expected(expected).locate(file));
    }
    for (key, _) in file.root.entries() {
        if key.text != PROCESS_KIND {
            let message = format!(
                "`{}` stands here, but resources come from the environment `{name}`",
                key.text
            );
            let path = Path::root().key(&*key.text);
            let finding = Finding::error("two_sources", path, message)
                .help("apply it with `tidegate apply`, or leave `gateway.environment` out");
            findings.push(finding.locate_key(file));
        }
    }
    let settings = file.root.get(PROCESS_KIND);
    findings.extend(
        settings
            .and_then(exposed)
            .map(|finding| finding.locate(file)),
    );
    let store = settings.and_then(|gateway| gateway.get("store"));
    match store {
        None => {
            let message = "an environment is kept in a store, and there is none";
            let finding = Finding::error("store_missing", gateway.key("store"), message);
            findings.push(finding.expected("`gateway.store`").locate(file));
        }
        Some(store) => {
            let sqlite = store
                .at(&Path::root().key("engine").key("sqlite"))
                .is_some();
            let placed = settings.is_some_and(|gateway| gateway.get("last_good").is_some());
            if !sqlite && !placed {
                let message = "the last good revision has no place to be kept on this machine";
                let finding =
                    Finding::error("last_good_missing", gateway.key("last_good"), message);
                findings.push(finding.expected("the path of a file").locate(file));
            }
        }
    }
    findings
}

/// An admin address that others can reach where nobody has to prove anything: whoever can change an
/// environment must be known.
fn exposed(settings: &Node) -> Option<Finding> {
    let admin = settings.get("admin")?;
    let text = match &admin.get("address")?.kind {
        NodeKind::String(text) => text,
        _ => return None,
    };
    let proven = ["keys", "oidc"]
        .iter()
        .any(|name| match admin.get(name).map(|node| &node.kind) {
            Some(NodeKind::Mapping(entries)) => !entries.is_empty(),
            _ => false,
        });
    let inside = match text.parse::<SocketAddr>() {
        Ok(address) => address.ip().to_canonical().is_loopback(),
        Err(_) => text.starts_with("unix:") || text.starts_with("localhost:"),
    };
    if inside || proven {
        return None;
    }
    let path = Path::root().key(PROCESS_KIND).key("admin").key("address");
    let message = "others can reach the admin API here, and nobody has to prove anything";
    let finding = Finding::error("admin_unauthenticated", path, message);
    Some(finding.help("add `gateway.admin.keys` or `gateway.admin.oidc`, or use 127.0.0.1"))
}

/// What is wrong with a revision as a source: settings of the process in it (`process_scoped`).
/// Located.
#[must_use]
pub fn check_revision(revision: &Document) -> Vec<Finding> {
    let path = Path::root().key(PROCESS_KIND);
    let message = "`gateway` belongs to each process's own file, never to a revision";
    revision
        .root
        .get(PROCESS_KIND)
        .map(|_| {
            Finding::error("process_scoped", path, message)
                .help("move it to the file that `tidegate run` is given")
                .locate_key(revision)
        })
        .into_iter()
        .collect()
}

/// A revision's resources with the environment's variables in place, as findings about it are
/// named by `origin` (such as `revision 12 of staging`).
///
/// # Errors
/// What [`check_revision`] and [`substitute`] find.
pub fn resolve(
    mut resources: Node,
    variables: &BTreeMap<String, String>,
    origin: &str,
) -> Result<Document, Vec<Finding>> {
    let file = origin.into();
    let missing = substitute(&mut resources, variables);
    let document = Document {
        file,
        root: resources,
    };
    let mut findings = check_revision(&document);
    let missing = missing.into_iter();
    findings.extend(missing.map(|finding| finding.locate(&document)));
    match findings.is_empty() {
        true => Ok(document),
        false => Err(findings),
    }
}

/// What a process runs on: the `gateway` of its file and the resources of a revision.
#[must_use]
pub fn compose(file: &Document, resources: Document) -> Document {
    let gateway = file.root.entries().iter();
    let gateway = gateway.filter(|(key, _)| key.text == PROCESS_KIND).cloned();
    let mut entries: Vec<_> = gateway.collect();
    if let NodeKind::Mapping(kinds) = resources.root.kind {
        entries.extend(
            kinds
                .into_iter()
                .filter(|(key, _)| key.text != PROCESS_KIND),
        );
    }
    Document {
        file: resources.file,
        root: Node {
            span: file.root.span,
            kind: NodeKind::Mapping(entries),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::canonical_json;

    fn document(text: &str) -> Document {
        Document::parse(text.as_bytes(), "gate.yaml").expect("test data parses")
    }

    #[test]
    fn a_file_that_follows_an_environment_holds_only_the_process() {
        let cases = [
            ("routes: {}\n", ""),
            ("gateway: { workers: 1 }\nroutes: {}\n", ""),
            (
                "gateway:\n  environment: main\n  store: { engine: { sqlite: { path: a.db } } }\n",
                "",
            ),
            (
                "gateway:\n  environment: main\n  store: { engine: { sqlite: { path: a.db } } }\nroutes: {}\n",
                "4:1 two_sources routes",
            ),
            (
                "gateway:\n  environment: main\n",
                "2:3 store_missing gateway.store",
            ),
            (
                "gateway:\n  environment: main\n  store: { engine: { postgres: { address: { env: DB } } } }\n",
                "2:3 last_good_missing gateway.last_good",
            ),
            (
                "gateway:\n  environment: main\n  last_good: l.json\n  store: { engine: { postgres: { address: { env: DB } } } }\n",
                "",
            ),
            (
                "gateway:\n  environment: ../x\n  store: { engine: { sqlite: { path: a.db } } }\n",
                "2:16 invalid_environment gateway.environment",
            ),
        ];
        for (text, expected) in cases {
            let found: Vec<_> = check_file(&document(text))
                .iter()
                .map(|f| format!("{}:{} {} {}", f.line, f.column, f.code, f.path))
                .collect();
            assert_eq!(found.join("; "), expected, "{text}");
        }
    }

    #[test]
    fn an_environment_is_not_changed_by_whoever_can_reach_it() {
        let refused = "2:40 admin_unauthenticated gateway.admin.address";
        let key = "ops: { sha256: x, role: admin }";
        for (admin, expected) in [
            ("address: '0.0.0.0:9901'", refused),
            ("address: '*:9901'", refused),
            ("address: 'gateway.example:9901'", refused),
            ("address: '0.0.0.0:9901', keys: {}", refused),
            ("address: '127.0.0.1:9901'", ""),
            ("address: '[::1]:9901'", ""),
            ("address: 'unix:/run/admin.sock'", ""),
            (&format!("address: '0.0.0.0:9901', keys: {{ {key} }}"), ""),
            ("address: '0.0.0.0:9901', oidc: { issuer: x }", ""),
        ] {
            let store = "store: { engine: { sqlite: { path: a.db } } }";
            let text = format!(
                "gateway: {{ environment: main, {store},\n          admin:            {{ {admin} }} }}\n"
            );
            let found: Vec<_> = check_file(&document(&text))
                .iter()
                .map(|f| format!("{}:{} {} {}", f.line, f.column, f.code, f.path))
                .collect();
            assert_eq!(found.join("; "), expected, "{text}");
        }
    }

    #[test]
    fn a_revision_never_holds_settings_of_the_process() {
        let resources = serde_json::from_str(r#"{"gateway":{},"routes":{}}"#).unwrap();
        let refused = resolve(resources, &BTreeMap::new(), "revision 3 of main").unwrap_err();
        assert_eq!(
            refused[0].to_string().lines().next(),
            Some(
                "revision 3 of main: error[process_scoped]: `gateway` belongs to each process's own file, never to a revision"
            )
        );
    }

    #[test]
    fn a_process_runs_on_its_file_and_the_revision_together() {
        let file = document("gateway: { workers: 2 }\n");
        let resources = serde_json::from_str(r#"{"routes":{"a":{"x":"${vars.A}"}}}"#).unwrap();
        let variables = [("A".to_owned(), "b".to_owned())].into();
        let revision = resolve(resources, &variables, "revision 3 of main").unwrap();
        assert_eq!(
            canonical_json(&compose(&file, revision).root),
            r#"{"gateway":{"workers":2},"routes":{"a":{"x":"b"}}}"#
        );
    }
}
