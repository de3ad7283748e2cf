//! What kind of value a parameter's text is meant to be.
//!
//! Texts in URLs have no type. A schema tells which types it admits, so that `7` becomes a number where
//! a number is admitted and stays a text elsewhere. Hints look a few levels deep, which is as deep as
//! parameters can be written.

use crate::openapi::{Api, reference_target};
use gate_model::document::{Node, NodeKind, Path};
use serde_json::Value;

/// How deep hints look.
const DEPTH_MAX: usize = 12;

/// The types that a schema admits, as far as it says so.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Hint {
    pub(super) text: bool,
    pub(super) number: bool,
    pub(super) boolean: bool,
    pub(super) null: bool,
    pub(super) array: bool,
    pub(super) object: bool,
    pub(super) items: Option<Box<Hint>>,
    pub(super) properties: Vec<(String, Hint)>,
    pub(super) others: Option<Box<Hint>>,
}

impl Hint {
    /// The hint of the schema at `path`.
    pub(super) fn of(api: &Api, path: &Path) -> Hint {
        let mut hint = Hint::default();
        if let Some(node) = api.node(path) {
            hint.add(api, node, DEPTH_MAX);
        }
        hint
    }

    fn below(api: &Api, node: &Node, depth: usize) -> Option<Box<Hint>> {
        let mut hint = Hint::default();
        hint.add(api, node, depth.checked_sub(1)?);
        Some(Box::new(hint))
    }

    fn add(&mut self, api: &Api, node: &Node, depth: usize) {
        if depth == 0 {
            return;
        }
        if let Some(NodeKind::String(reference)) = node.get("$ref").map(|one| &one.kind)
            && let Ok(target) = reference_target(&api.root, reference)
            && let Some(node) = api.node(&target)
        {
            self.add(api, node, depth - 1);
        }
        match node.get("type").map(|one| &one.kind) {
            Some(NodeKind::String(name)) => self.admit(name),
            Some(NodeKind::Sequence(names)) => {
                for name in names {
                    if let NodeKind::String(name) = &name.kind {
                        self.admit(name);
                    }
                }
            }
            _ => {}
        }
        self.null |= matches!(
            node.get("nullable").map(|one| &one.kind),
            Some(NodeKind::Bool(true))
        );
        if let Some(items) = node.get("items") {
            self.array |= node.get("type").is_none();
            self.items = Self::below(api, items, depth);
        }
        if let Some(others) = node.get("additionalProperties")
            && !matches!(others.kind, NodeKind::Bool(false))
        {
            self.others = Self::below(api, others, depth);
        }
        for (key, property) in node.get("properties").map_or(&[][..], Node::entries) {
            self.object |= node.get("type").is_none();
            if let Some(hint) = Self::below(api, property, depth) {
                self.properties.push((key.text.clone(), *hint));
            }
        }
        for keyword in ["allOf", "anyOf", "oneOf"] {
            if let Some(NodeKind::Sequence(parts)) = node.get(keyword).map(|one| &one.kind) {
                parts.iter().for_each(|part| self.add(api, part, depth - 1));
            }
        }
        // An enumeration or constant without a type tells by its values.
        if node.get("type").is_none() {
            let values = match node.get("enum").map(|one| &one.kind) {
                Some(NodeKind::Sequence(values)) => values.as_slice(),
                _ => node.get("const").map_or(&[][..], std::slice::from_ref),
            };
            values.iter().for_each(|value| self.admit(kind_of(value)));
        }
    }

    fn admit(&mut self, name: &str) {
        match name {
            "string" => self.text = true,
            "integer" | "number" => self.number = true,
            "boolean" => self.boolean = true,
            "null" => self.null = true,
            "array" => self.array = true,
            "object" => self.object = true,
            _ => {}
        }
    }

    /// The hint of a member.
    pub(super) fn member(&self, name: &str) -> &Hint {
        static ANY: Hint = Hint {
            text: true,
            number: false,
            boolean: false,
            null: false,
            array: false,
            object: false,
            items: None,
            properties: Vec::new(),
            others: None,
        };
        let known = self.properties.iter().find(|(key, _)| key == name);
        let known = known.map(|(_, hint)| hint).or(self.others.as_deref());
        known.unwrap_or(&ANY)
    }

    /// A text as the value that it is meant to be.
    pub(super) fn value(&self, text: &str) -> Value {
        if self.number
            && let Ok(number) = serde_json::from_str::<serde_json::Number>(text)
        {
            return Value::Number(number);
        }
        match text {
            "true" | "false" if self.boolean => Value::Bool(text == "true"),
            "" | "null" if self.null && !self.text => Value::Null,
            _ => Value::String(text.to_owned()),
        }
    }
}

fn kind_of(node: &Node) -> &'static str {
    match node.kind {
        NodeKind::Null => "null",
        NodeKind::Bool(_) => "boolean",
        NodeKind::Integer(_) | NodeKind::Float(_) => "number",
        NodeKind::String(_) => "string",
        NodeKind::Sequence(_) => "array",
        NodeKind::Mapping(_) => "object",
    }
}
