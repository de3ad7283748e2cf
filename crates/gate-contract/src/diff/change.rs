//! A change, and where it stands in both documents.

use super::semantic::{Proposal, Verdict, propose};
use gate_kit::order::Order;
use gate_model::document::{Node, NodeKind};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

/// How bad a change is for those who call by the older document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nobody has to do anything.
    Info,
    /// Some callers may break; the documents cannot tell.
    Warning,
    /// A caller that keeps to the older document can fail.
    Breaking,
}

impl Severity {
    /// The word in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Breaking => "breaking",
        }
    }
}

/// The operation that a change is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Operation {
    /// The method in capitals, or `WEBHOOK`/`CALLBACK` in front of it.
    pub method: String,
    /// The path as the older document writes it, or the newer one for new operations.
    pub path: String,
}

/// Where something stands in a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// JSON pointer (RFC 6901).
    pub pointer: String,
    /// Line from 1.
    pub line: u32,
    /// Column from 1, in characters.
    pub column: u32,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Name of the rule, in kebab case.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// The operation; none for what is about the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// What changed, in a sentence without a full stop.
    pub message: String,
    /// Where it is in the older document, or where it would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Place>,
    /// Where it is in the newer document, or where it would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Place>,
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    /// `info.version` of the older document.
    pub old_version: Option<String>,
    /// `info.version` of the newer document.
    pub new_version: Option<String>,
    /// Whether the documents differ at all, words included.
    pub differs: bool,
    /// Whether everything was compared; else the last change says that it was not.
    pub complete: bool,
    /// Every change, the worst first, then by path.
    pub changes: Vec<Change>,
}

impl Diff {
    /// How many changes are of this severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        let is_it = |change: &&Change| change.severity == severity;
        self.changes.iter().filter(is_it).count()
    }

    /// The worst severity; none without changes.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.changes.iter().map(|change| change.severity).max()
    }

    /// The next version after the older document's.
    #[must_use]
    pub fn proposal(&self) -> Option<Proposal> {
        propose(self, self.old_version.as_deref()?)
    }

    /// Whether calling the newer document `version` is honest, coming from `from`.
    #[must_use]
    pub fn verdict(&self, from: &semver::Version, version: &semver::Version) -> Verdict {
        super::semantic::verdict(self, from, version)
    }

    /// Puts the changes in order and adds what follows from all of them.
    pub(super) fn settle(&mut self) {
        if !self.complete {
            self.changes.push(Change {
                rule: "comparison-incomplete".to_owned(),
                severity: Severity::Breaking,
                operation: None,
                message: "the documents differ in more than can be compared, so that breaking \
                          changes cannot be ruled out"
                    .to_owned(),
                old: None,
                new: None,
            });
        }
        self.changes.extend(super::semantic::of_versions(self));
        self.changes.order_by(|one, other| {
            let key =
                |change: &Change| (std::cmp::Reverse(change.severity), change.operation.clone());
            let by_place = |change: &Change| (change.rule.clone(), change.message.clone());
            (key(one), by_place(one)).cmp(&(key(other), by_place(other)))
        });
        self.changes.dedup();
    }
}

/// A change whose places are still nodes.
pub(super) struct Draft<'a> {
    pub(super) rule: String,
    pub(super) severity: Severity,
    pub(super) operation: Option<Arc<Operation>>,
    pub(super) message: String,
    pub(super) old: Option<&'a Node>,
    pub(super) new: Option<&'a Node>,
}

/// Finds the pointers of all drafts by one walk through each document.
pub(super) fn places(old: &Node, new: &Node, drafts: Vec<Draft<'_>>) -> Vec<Change> {
    let pointers = |root: &Node, nodes: Vec<&Node>| -> HashMap<usize, String> {
        let mut wanted: HashMap<usize, String> = nodes
            .into_iter()
            .map(|node| (address(node), String::new()))
            .collect();
        if !wanted.is_empty() {
            walk(root, &mut String::new(), &mut wanted);
        }
        wanted
    };
    let in_old = pointers(old, drafts.iter().filter_map(|draft| draft.old).collect());
    let in_new = pointers(new, drafts.iter().filter_map(|draft| draft.new).collect());
    let place = |node: &Node, known: &HashMap<usize, String>| Place {
        pointer: known.get(&address(node)).cloned().unwrap_or_default(),
        line: node.span.line,
        column: node.span.column,
    };
    let change = |draft: Draft<'_>| Change {
        rule: draft.rule,
        severity: draft.severity,
        operation: draft.operation.map(|operation| (*operation).clone()),
        message: draft.message,
        old: draft.old.map(|node| place(node, &in_old)),
        new: draft.new.map(|node| place(node, &in_new)),
    };
    drafts.into_iter().map(change).collect()
}

/// What tells a node from others of its document.
pub(super) fn address(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

/// The parser bounds the depth of documents, and so the recursion.
fn walk(node: &Node, pointer: &mut String, wanted: &mut HashMap<usize, String>) {
    if let Some(found) = wanted.get_mut(&address(node)) {
        found.clone_from(pointer);
    }
    let length = pointer.len();
    match &node.kind {
        NodeKind::Mapping(entries) => {
            for (key, child) in entries {
                pointer.push('/');
                for letter in key.text.chars() {
                    match letter {
                        '~' => pointer.push_str("~0"),
                        '/' => pointer.push_str("~1"),
                        plain => pointer.push(plain),
                    }
                }
                walk(child, pointer, wanted);
                pointer.truncate(length);
            }
        }
        NodeKind::Sequence(items) => {
            for (index, child) in items.iter().enumerate() {
                pointer.push('/');
                pointer.push_str(&index.to_string());
                walk(child, pointer, wanted);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}
