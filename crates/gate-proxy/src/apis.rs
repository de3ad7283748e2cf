//! Routes that follow from contracts: one for each operation of an API's document.
//!
//! What is made here are resources as somebody might have written them; they are compiled like any
//! other. Reading the document is `gate-contract`'s, holding requests against it the policy
//! `contract`'s.

use crate::compile::Compiler;
use gate_contract::check::Template;
use gate_contract::openapi::{Api as Contract, Operation};
use gate_flow::read_api_document;
use gate_model::document::{Document, Key, Node, NodeKind, Path, Span};
use gate_model::finding::Finding;
use gate_model::resources::{Api, Component, FixedReply, Match, Resources, Route, Target};
use std::collections::BTreeMap;

/// What came of the APIs.
pub(crate) struct Expanded {
    /// What is wrong with them.
    pub(crate) findings: Vec<Finding>,
    /// Every route that was made, with its API.
    pub(crate) routes: BTreeMap<String, String>,
}

/// Adds the routes of every API to the resources.
pub(crate) fn expand(
    compiler: &Compiler<'_>,
    document: &Document,
    resources: &mut Resources,
) -> Expanded {
    let mut expanded = Expanded {
        findings: Vec::new(),
        routes: BTreeMap::new(),
    };
    for (name, api) in resources.apis.clone() {
        let path = Path::root().key("apis").key(&name);
        let read = read_api_document(
            compiler.secrets,
            compiler.folder,
            &document.file,
            &api.openapi,
        );
        let contract = match read.and_then(Contract::from_document) {
            Ok(contract) => contract,
            Err(findings) => {
                for finding in findings {
                    expanded.findings.push(match finding.line > 0 {
                        true => finding,
                        false => Finding {
                            path: path.key("openapi"),
                            ..finding
                        }
                        .locate(document),
                    });
                }
                continue;
            }
        };
        let base = base_of(&api, &contract);
        if !base.is_empty() && (!base.starts_with('/') || base.contains(['{', '?', '#'])) {
            let message = format!("`{base}` is no path");
            let finding = Finding::error("invalid_path", path.key("base"), message);
            expanded
                .findings
                .push(finding.expected("a path such as `/v1`").locate(document));
            continue;
        }
        let mut made = Vec::new();
        for operation in &contract.operations {
            made.push((word(operation), route(&name, &api, &base, operation)));
        }
        if api
            .policies
            .iter()
            .any(|policy| policy.0.get("cors").is_some())
        {
            made.push(("preflight".to_owned(), preflight(&api, &base)));
        }
        for (word, route) in made {
            let full = format!("{name}.{word}");
            if resources.routes.insert(full.clone(), route).is_some() {
                let message = format!("there is a route `{full}` already");
                let finding = Finding::error("conflicting_routes", path.clone(), message);
                expanded.findings.push(finding.locate(document));
            }
            expanded.routes.insert(full, name.clone());
        }
        if resources.routes.contains_key(&name) {
            let message = format!("an API and a route are both named `{name}`");
            let finding = Finding::error("conflicting_routes", path.clone(), message);
            expanded.findings.push(finding.locate(document));
        }
    }
    expanded
}

/// The path in front of a document's paths, without a slash at its end.
fn base_of(api: &Api, contract: &Contract) -> String {
    match &api.base {
        Some(base) => base.trim_end_matches('/').to_owned(),
        None => contract.base_path().to_owned(),
    }
}

/// An operation's part of its route's name.
fn word(operation: &Operation) -> String {
    if let Some(id) = &operation.id {
        return id.clone();
    }
    let mut word = operation.method.to_ascii_lowercase();
    let pieces = operation.path.split(|c: char| !c.is_ascii_alphanumeric());
    for piece in pieces.filter(|piece| !piece.is_empty()) {
        word.push('_');
        word.push_str(piece);
    }
    word
}

fn route(name: &str, api: &Api, base: &str, operation: &Operation) -> Route {
    let mut policies = api.policies.clone();
    policies.push(contract(name, operation));
    let mut matches = matching(api);
    matches.methods = vec![operation.method.clone()];
    match Template::new(&operation.path).has_whole_segments() {
        true => matches.path = Some(format!("{base}{}", plain(&operation.path))),
        false => matches.path_regex = Some(pattern(base, &operation.path)),
    }
    Route {
        matches,
        policies,
        target: api.target.clone(),
    }
}

/// Preflights of browsers ask for methods that no operation describes; the policy `cors` answers
/// them.
fn preflight(api: &Api, base: &str) -> Route {
    let mut matches = matching(api);
    matches.methods = vec!["OPTIONS".to_owned()];
    matches.path = Some(format!("{base}/{{*rest}}"));
    Route {
        matches,
        policies: api.policies.clone(),
        target: Target::Fixed(FixedReply {
            status: 204,
            headers: BTreeMap::new(),
            body: String::new(),
        }),
    }
}

fn matching(api: &Api) -> Match {
    Match {
        listeners: api.matches.listeners.clone(),
        host: api.matches.host.clone(),
        headers: api.matches.headers.clone(),
        query: api.matches.query.clone(),
        ..Match::default()
    }
}

/// A template whose parameters have names that routes take: letters, digits and `_`.
fn plain(path: &str) -> String {
    let mut out = String::new();
    let mut seen: Vec<String> = Vec::new();
    for segment in path.split('/').skip(1) {
        out.push('/');
        match segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        {
            Some(name) => {
                let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let mut name = name.replace(|c: char| !fits(c), "_");
                while seen.contains(&name) {
                    name.push('_');
                }
                out.push('{');
                out.push_str(&name);
                out.push('}');
                seen.push(name);
            }
            None => out.push_str(segment),
        }
    }
    out
}

/// A template with parameters inside segments, as an expression over whole paths.
fn pattern(base: &str, path: &str) -> String {
    let mut out = format!("^{}", regex::escape(base));
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(&regex::escape(before));
        out.push_str("[^/]+");
        rest = after.split_once('}').map_or("", |(_, behind)| behind);
    }
    out.push_str(&regex::escape(rest));
    out.push('$');
    out
}

/// `{ contract: { api: NAME, operation: OPERATION } }`.
fn contract(name: &str, operation: &Operation) -> Component {
    let entry = |key: &str, kind: NodeKind| {
        let span = Span::default();
        (
            Key {
                text: key.to_owned(),
                span,
            },
            Node { span, kind },
        )
    };
    let settings = NodeKind::Mapping(vec![
        entry("api", NodeKind::String(name.to_owned())),
        entry("operation", NodeKind::String(operation.name())),
    ]);
    Component(Node::new(NodeKind::Mapping(vec![entry(
        "contract", settings,
    )])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_become_paths_and_patterns() {
        assert_eq!(
            plain("/a/{order-id}/b/{order_id}"),
            "/a/{order_id}/b/{order_id_}"
        );
        assert_eq!(plain("/"), "/");
        assert_eq!(pattern("/v1", "/a/{id}.json"), r"^/v1/a/[^/]+\.json$");
    }
}
