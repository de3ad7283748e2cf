//! One of the two documents: references, and schemas seen through them.

use gate_model::document::{Node, NodeKind};
use std::cell::RefCell;
use std::collections::HashMap;

/// Most references in a row that are followed.
const HOPS_MAX: usize = 32;

/// A document and what its references point to.
pub(super) struct Spec<'a> {
    pub(super) root: &'a Node,
    /// Since 3.1, what stands beside a `$ref` counts.
    beside: bool,
    targets: RefCell<HashMap<&'a str, Option<&'a Node>>>,
}

impl<'a> Spec<'a> {
    pub(super) fn new(root: &'a Node) -> Self {
        let version = root.get("openapi").and_then(text).unwrap_or_default();
        Self {
            root,
            beside: !version.starts_with("3.0"),
            targets: RefCell::default(),
        }
    }

    /// What stands at the end of a chain of references; the node itself where it is none, or where
    /// the chain leads nowhere.
    pub(super) fn follow(&self, node: &'a Node) -> &'a Node {
        let mut at = node;
        for _ in 0..HOPS_MAX {
            let Some(reference) = reference(at) else {
                return at;
            };
            match self.target(reference) {
                Some(next) => at = next,
                None => return at,
            }
        }
        node
    }

    /// A schema with what its references add.
    pub(super) fn schema(&self, node: &'a Node) -> Schema<'a> {
        let mut schema = self.layers(node);
        if let Some(inner) = schema.wrapped() {
            let mut inside = self.layers(inner);
            inside.null = true;
            inside.given = schema.given;
            schema = inside;
        }
        schema
    }

    fn layers(&self, node: &'a Node) -> Schema<'a> {
        let mut layers = Vec::with_capacity(1);
        let mut at = node;
        let mut dangling = None;
        for _ in 0..HOPS_MAX {
            let Some(name) = reference(at) else {
                layers.push(at);
                break;
            };
            if self.beside && at.entries().len() > 1 {
                layers.push(at);
            }
            match self.target(name) {
                Some(next) => at = next,
                None => {
                    dangling = Some(name);
                    break;
                }
            }
        }
        Schema {
            given: node,
            layers,
            null: false,
            dangling,
        }
    }

    fn target(&self, reference: &'a str) -> Option<&'a Node> {
        if let Some(known) = self.targets.borrow().get(reference) {
            return *known;
        }
        let found = self.find(reference);
        self.targets.borrow_mut().insert(reference, found);
        found
    }

    fn find(&self, reference: &str) -> Option<&'a Node> {
        let pointer = reference.strip_prefix('#')?;
        let mut at = self.root;
        for step in pointer.split('/').skip(1) {
            let step = decode(step);
            at = match &at.kind {
                NodeKind::Mapping(_) => at.get(&step)?,
                NodeKind::Sequence(items) => items.get(step.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        // `#name` is an anchor, which is not looked for.
        (pointer.is_empty() || pointer.starts_with('/')).then_some(at)
    }
}

/// A schema, seen through its references.
pub(super) struct Schema<'a> {
    /// As it was given.
    pub(super) given: &'a Node,
    /// What counts, the nearest first.
    layers: Vec<&'a Node>,
    /// Whether a union around it adds null.
    pub(super) null: bool,
    /// A reference that leads nowhere.
    pub(super) dangling: Option<&'a str>,
}

impl<'a> Schema<'a> {
    /// The value of a keyword.
    pub(super) fn get(&self, keyword: &str) -> Option<&'a Node> {
        self.layers.iter().find_map(|layer| layer.get(keyword))
    }

    /// The values of a keyword that lists schemas.
    pub(super) fn list(&self, keyword: &str) -> &'a [Node] {
        self.get(keyword).map_or(&[], items)
    }

    /// The types of an `anyOf` or `oneOf` that lists nothing but types.
    pub(super) fn union(&self) -> Vec<&'a str> {
        let branches = match (self.list("oneOf"), self.list("anyOf")) {
            (branches, []) | ([], branches) => branches,
            _ => return Vec::new(),
        };
        if self.get("type").is_some() {
            return Vec::new();
        }
        let plain = |node: &'a Node| match node.entries() {
            [(key, kind)] if key.text == "type" => text(kind),
            _ => None,
        };
        let types: Option<Vec<&str>> = branches.iter().map(plain).collect();
        types.unwrap_or_default()
    }

    /// Where it stands.
    pub(super) fn node(&self) -> &'a Node {
        self.layers.last().copied().unwrap_or(self.given)
    }

    /// Whether nothing can be valid.
    pub(super) fn is_never(&self) -> bool {
        self.layers
            .iter()
            .any(|layer| matches!(layer.kind, NodeKind::Bool(false)))
    }

    /// Whether it says so of a value, as in `readOnly: true`.
    pub(super) fn is(&self, keyword: &str) -> bool {
        self.get(keyword).is_some_and(truth)
    }

    /// The schema of a union with nothing but null, which says no more than `nullable`.
    fn wrapped(&self) -> Option<&'a Node> {
        if self.get("type").is_some() {
            return None;
        }
        let branches = match (self.list("oneOf"), self.list("anyOf")) {
            (branches @ [_, _], []) | ([], branches @ [_, _]) => branches,
            _ => return None,
        };
        let is_null = |node: &Node| {
            let is_it = node.get("type").and_then(text) == Some("null");
            is_it && node.entries().len() == 1
        };
        match (is_null(&branches[0]), is_null(&branches[1])) {
            (true, false) => Some(&branches[1]),
            (false, true) => Some(&branches[0]),
            _ => None,
        }
    }
}

/// The text of a `$ref`.
pub(super) fn reference(node: &Node) -> Option<&str> {
    node.get("$ref").and_then(text)
}

/// Text, or nothing.
pub(super) fn text(node: &Node) -> Option<&str> {
    match &node.kind {
        NodeKind::String(text) => Some(text),
        _ => None,
    }
}

/// Whether a value is `true`.
pub(super) fn truth(node: &Node) -> bool {
    matches!(node.kind, NodeKind::Bool(true))
}

/// A number, as near as floating point comes to it.
#[allow(clippy::cast_precision_loss)] // bounds beyond 2^53 are compared approximately
pub(super) fn number(node: &Node) -> Option<f64> {
    match node.kind {
        NodeKind::Integer(number) => Some(number as f64),
        NodeKind::Float(number) => Some(number),
        _ => None,
    }
}

/// The items of a list.
pub(super) fn items(node: &Node) -> &[Node] {
    match &node.kind {
        NodeKind::Sequence(items) => items,
        _ => &[],
    }
}

/// Texts of a list.
pub(super) fn texts(node: Option<&Node>) -> Vec<&str> {
    node.map_or(&[][..], items)
        .iter()
        .filter_map(text)
        .collect()
}

/// One step of a pointer in a URI fragment (RFC 6901 section 6).
fn decode(step: &str) -> String {
    let mut bytes = Vec::with_capacity(step.len());
    let mut rest = step.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let hex = |byte: u8| (byte as char).to_digit(16);
        if let (b'%', [high, low, ..]) = (byte, after)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
            rest = &after[2..];
            continue;
        }
        bytes.push(byte);
        rest = after;
    }
    let text = String::from_utf8_lossy(&bytes);
    text.replace("~1", "/").replace("~0", "~")
}
