//! A file as rules see it: resources by kind and name, whatever language they are written in.

use gate_model::document::{Document, Node, NodeKind, Path};
use std::sync::Arc;

/// Kinds of resources in the order of the reference; `gateway` is none of them.
pub const KINDS: [&str; 31] = [
    "listeners",
    "teams",
    "secret_stores",
    "consumers",
    "plans",
    "policy_sets",
    "budgets",
    "prices",
    "upstreams",
    "providers",
    "models",
    "mcp_servers",
    "agents",
    "prompts",
    "apis",
    "rollouts",
    "rules",
    "receivers",
    "rotations",
    "notifications",
    "deployment_sources",
    "objectives",
    "experiments",
    "runbooks",
    "subscribers",
    "event_types",
    "schedules",
    "queues",
    "data_products",
    "queries",
    "routes",
];

/// What stands in for a value that a file does not tell, such as a variable of Terraform.
pub(super) const UNTOLD: &str = "${";

/// A file with its resources.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its name in reports.
    pub file: Arc<str>,
    root: Node,
}

impl Subject {
    /// A configuration.
    #[must_use]
    pub fn of_document(document: Document) -> Self {
        Self {
            file: document.file,
            root: document.root,
        }
    }

    /// Resources by kind and name.
    #[must_use]
    pub fn of_node(file: Arc<str>, root: Node) -> Self {
        Self { file, root }
    }

    /// Every resource of a kind.
    pub(super) fn each(&self, kind: &'static str) -> impl Iterator<Item = Entry<'_>> {
        let entries = self.root.get(kind).map_or(&[][..], Node::entries);
        entries.iter().map(move |(key, node)| Entry {
            file: &self.file,
            name: &key.text,
            path: Path::root().key(kind).key(key.text.as_str()),
            node,
        })
    }

    /// The settings of the process.
    pub(super) fn gateway(&self) -> Option<Entry<'_>> {
        Some(Entry {
            file: &self.file,
            name: "gateway",
            path: Path::root().key("gateway"),
            node: self.root.get("gateway")?,
        })
    }
}

/// A resource.
pub(crate) struct Entry<'a> {
    pub(crate) file: &'a Arc<str>,
    pub(crate) name: &'a str,
    pub(crate) path: Path,
    pub(crate) node: &'a Node,
}

/// A policy of a route.
pub(crate) struct Step<'a> {
    pub(crate) kind: &'a str,
    pub(crate) settings: &'a Node,
    pub(crate) when: Option<&'a Node>,
    pub(crate) path: Path,
}

impl<'a> Entry<'a> {
    /// A field below, with its path.
    pub(crate) fn field(&self, names: &[&str]) -> Option<(Path, &'a Node)> {
        let mut path = self.path.clone();
        let mut node = self.node;
        for name in names {
            path = path.key(*name);
            node = node.get(name)?;
        }
        (!matches!(node.kind, NodeKind::Null)).then_some((path, node))
    }

    /// The route's policies, in order.
    pub(crate) fn policies(&self) -> Vec<Step<'a>> {
        let list = self.field(&["policies"]);
        let Some((path, node)) = list else {
            return Vec::new();
        };
        let NodeKind::Sequence(items) = &node.kind else {
            return Vec::new();
        };
        let mut steps = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let mut kinds = item.entries().iter().filter(|(key, settings)| {
                key.text != "when" && !matches!(settings.kind, NodeKind::Null)
            });
            if let (Some((key, settings)), None) = (kinds.next(), kinds.next()) {
                steps.push(Step {
                    kind: &key.text,
                    settings,
                    when: item.get("when"),
                    path: path.index(index).key(key.text.as_str()),
                });
            }
        }
        steps
    }

    /// Whether a file does not tell this route's policies.
    pub(crate) fn hides_policies(&self) -> bool {
        let is_hidden = |node: &Node| is_untold(node) || has_untold_item(node);
        self.field(&["policies"])
            .is_some_and(|(_, node)| is_hidden(node))
    }
}

fn has_untold_item(node: &Node) -> bool {
    match &node.kind {
        NodeKind::Sequence(items) => items.iter().any(is_untold),
        _ => false,
    }
}

/// Whether a value is not told by its file.
pub(crate) fn is_untold(node: &Node) -> bool {
    matches!(&node.kind, NodeKind::String(text) if text.starts_with(UNTOLD))
}

/// A text.
pub(crate) fn text(node: &Node) -> Option<&str> {
    match &node.kind {
        NodeKind::String(text) if !text.starts_with(UNTOLD) => Some(text),
        _ => None,
    }
}

/// Whether a field of a value is `true`.
pub(crate) fn is_true(node: &Node, field: &str) -> bool {
    node.get(field)
        .is_some_and(|node| matches!(node.kind, NodeKind::Bool(true)))
}

/// The texts of a list.
pub(crate) fn texts(node: &Node) -> Vec<(usize, &Node, &str)> {
    match &node.kind {
        NodeKind::Sequence(items) => items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| Some((index, item, text(item)?)))
            .collect(),
        _ => Vec::new(),
    }
}
