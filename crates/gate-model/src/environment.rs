//! The two sources of a configuration: one file, or a file of the process and an environment's
//! revision.
//!
//! A file whose `gateway` names an environment holds nothing else, and a revision never holds
//! `gateway`, so that no setting can come from two places. What a process runs on is both put
//! together ([`compose`]). Nothing here knows where revisions are kept.

use crate::document::{Document, Node, NodeKind, Path, references, substitute};
use crate::finding::Finding;
use std::collections::BTreeMap;

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

/// What is wrong with a file as a source: references to variables, which only environments have
/// (`missing_variable`), resources beside an environment (`two_sources`), an
/// environment without a store (`store_missing`), an admin address that others can reach and nobody
/// has to prove anything at (`admin_unauthenticated`), an environment whose last good revision has no place
/// (`last_good_missing`), a name that none can have (`invalid_environment`). Located.
#[must_use]
pub fn check_file(file: &Document) -> Vec<Finding> {
    let Some(name) = followed(file) else {
        return unheld(file);
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
    findings.extend(unproven(file, &gateway));
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

/// References in a file that is served as it stands, where they would be served as text.
fn unheld(file: &Document) -> Vec<Finding> {
    let found = references(&file.root).into_iter();
    let finding = |(path, name): (Path, String)| {
        let message = format!("a file has no variables: `${{vars.{name}}}` would stay as it is");
        let help = "write the value, or `tidegate apply` the document to an environment that has \
                    the variable; `tidegate plan` checks it there";
        Finding::error("missing_variable", path, message)
            .help(help)
            .locate(file)
    };
    found.map(finding).collect()
}

/// An admin address beyond this machine, where everybody might change what is served.
fn unproven(file: &Document, gateway: &Path) -> Option<Finding> {
    let admin = file.root.get(PROCESS_KIND)?.get("admin")?;
    let NodeKind::String(address) = &admin.get("address")?.kind else {
        return None;
    };
    let keys = admin
        .get("keys")
        .is_some_and(|keys| !keys.entries().is_empty());
    let oidc = admin
        .get("oidc")
        .is_some_and(|oidc| !matches!(oidc.kind, NodeKind::Null));
    if keys || oidc || is_local(address) {
        return None;
    }
    let path = gateway.key("admin").key("address");
    let message = "others can reach this address, and nobody has to prove who they are";
    let finding = Finding::error("admin_unauthenticated", path, message)
        .expected("`gateway.admin.keys` or `gateway.admin.oidc`, or a loopback address");
    Some(finding.locate(file))
}

/// Whether an address is reached from this machine only.
fn is_local(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ip = host.parse::<std::net::IpAddr>();
    address.starts_with("unix:")
        || host == "localhost"
        || ip.is_ok_and(|ip| ip.to_canonical().is_loopback())
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
            (
                "routes:\n  a: { match: { host: \"${vars.HOST}\" } }\n",
                "2:23 missing_variable routes.a.match.host",
            ),
            ("routes: { a: { match: { path: \"/$${vars.X}\" } } }\n", ""),
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
                "gateway:\n  environment: main\n  admin: { address: \"0.0.0.0:9\" }\n  store: { engine: { sqlite: { path: a.db } } }\n",
                "3:21 admin_unauthenticated gateway.admin.address",
            ),
            (
                "gateway:\n  environment: main\n  admin: { address: \"[::1]:9\" }\n  store: { engine: { sqlite: { path: a.db } } }\n",
                "",
            ),
            (
                "gateway:\n  environment: main\n  admin: { address: \"0.0.0.0:9\", keys: { a: {} } }\n  store: { engine: { sqlite: { path: a.db } } }\n",
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
