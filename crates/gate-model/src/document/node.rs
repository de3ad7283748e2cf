//! A value of a document together with its place in the file.
//!
//! A [`Node`] is what YAML and JSON can both say: no tags, no anchors, no merge keys; the parser
//! has resolved those. Nodes serialise as plain data, and a field of type `Node` inside a typed
//! struct receives its raw subtree with the places kept (see the last part of this file). Trees are
//! at most [`super::DEPTH_MAX`] deep when they come from the parser, so recursion here is bounded.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::path::{Path, Segment};

/// A range in a file. Lines and columns count from 1, columns in characters; the end is exclusive.
/// All zeros mean "no place": the value came from elsewhere than a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Line of the first character.
    pub line: u32,
    /// Column of the first character.
    pub column: u32,
    /// Line of the first character behind the range.
    pub end_line: u32,
    /// Column of the first character behind the range.
    pub end_column: u32,
}

/// The key of a mapping's entry: always text; integers as keys keep the digits of the source.
#[derive(Debug, Clone)]
pub struct Key {
    /// The key as it is looked up.
    pub text: String,
    /// Where the key stands.
    pub span: Span,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub enum NodeKind {
    /// Nothing: `null`, `~`, or no value at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number from `i64::MIN` to `u64::MAX`.
    Integer(i128),
    /// A finite number with a fraction or exponent.
    Float(f64),
    /// Text.
    String(String),
    /// A list in order.
    Sequence(Vec<Node>),
    /// Entries in the file's order; keys are unique.
    Mapping(Vec<(Key, Node)>),
}

/// One value and its place. Equality compares data only: neither places nor the order of a
/// mapping's entries count.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where the value stands; values copied by an alias keep the place of their anchor.
    pub span: Span,
    /// What it holds.
    pub kind: NodeKind,
}

impl Node {
    /// A node that has no place in a file.
    pub fn new(kind: NodeKind) -> Node {
        Node {
            span: Span::default(),
            kind,
        }
    }

    /// The value at `path` below this node.
    pub fn at(&self, path: &Path) -> Option<&Node> {
        path.segments()
            .iter()
            .try_fold(self, |node, segment| Some(node.step(segment)?.1))
    }

    /// The key that names the value at `path`; list elements and the root have none.
    pub fn key_at(&self, path: &Path) -> Option<&Key> {
        let (last, above) = path.segments().split_last()?;
        let parent = above
            .iter()
            .try_fold(self, |node, segment| Some(node.step(segment)?.1))?;
        parent.step(last)?.0
    }

    /// The value of the entry `key` when this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries()
            .iter()
            .find(|(k, _)| k.text == key)
            .map(|(_, value)| value)
    }

    /// The entries when this is a mapping, else none.
    pub fn entries(&self) -> &[(Key, Node)] {
        match &self.kind {
            NodeKind::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// One step down, with the key that led there.
    pub(crate) fn step(&self, segment: &Segment) -> Option<(Option<&Key>, &Node)> {
        match (&self.kind, segment) {
            (NodeKind::Mapping(entries), Segment::Key(name)) => entries
                .iter()
                .find(|(k, _)| k.text == *name)
                .map(|(k, node)| (Some(k), node)),
            (NodeKind::Sequence(items), Segment::Index(index)) => {
                items.get(*index).map(|node| (None, node))
            }
            _ => None,
        }
    }
}

/// The node as JSON without blanks, keys sorted by their bytes, numbers in their shortest form:
/// equal data gives equal text, so it may be hashed. It is not RFC 8785, which sorts by UTF-16 and
/// has no integers.
pub fn canonical_json(node: &Node) -> String {
    let mut out = String::new();
    write_canonical(node, &mut out);
    out
}

fn write_canonical(node: &Node, out: &mut String) {
    match &node.kind {
        NodeKind::Null => out.push_str("null"),
        NodeKind::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        NodeKind::Integer(value) => out.push_str(&value.to_string()),
        NodeKind::Float(value) => out.push_str(&serde_json::Value::from(*value).to_string()),
        NodeKind::String(text) => write_text(text, out),
        NodeKind::Sequence(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        NodeKind::Mapping(entries) => {
            out.push('{');
            for (position, (key, value)) in sorted(entries).into_iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write_text(&key.text, out);
                out.push(':');
                write_canonical(value, out);
            }
            out.push('}');
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

fn sorted(entries: &[(Key, Node)]) -> Vec<&(Key, Node)> {
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by(|(a, _), (b, _)| a.text.cmp(&b.text));
    sorted
}

impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        match (&self.kind, &other.kind) {
            (NodeKind::Null, NodeKind::Null) => true,
            (NodeKind::Bool(a), NodeKind::Bool(b)) => a == b,
            (NodeKind::Integer(a), NodeKind::Integer(b)) => a == b,
            (NodeKind::Float(a), NodeKind::Float(b)) => a == b,
            (NodeKind::String(a), NodeKind::String(b)) => a == b,
            (NodeKind::Sequence(a), NodeKind::Sequence(b)) => a == b,
            (NodeKind::Mapping(a), NodeKind::Mapping(b)) => {
                a.len() == b.len()
                    && sorted(a)
                        .into_iter()
                        .zip(sorted(b))
                        .all(|((ka, va), (kb, vb))| ka.text == kb.text && va == vb)
            }
            _ => false,
        }
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.kind {
            NodeKind::Null => serializer.serialize_unit(),
            NodeKind::Bool(value) => serializer.serialize_bool(*value),
            NodeKind::Integer(value) => match (i64::try_from(*value), u64::try_from(*value)) {
                (Ok(small), _) => serializer.serialize_i64(small),
                (_, Ok(large)) => serializer.serialize_u64(large),
                _ => serializer.serialize_i128(*value),
            },
            NodeKind::Float(value) => serializer.serialize_f64(*value),
            NodeKind::String(text) => serializer.serialize_str(text),
            NodeKind::Sequence(items) => serializer.collect_seq(items),
            NodeKind::Mapping(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(&key.text, value)?;
                }
                map.end()
            }
        }
    }
}

impl JsonSchema for Node {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Any".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Schema::from(true)
    }
}

// Capturing a subtree with its places. serde's data model has no room for line and column, so a
// `Node` asks for a newtype struct of a name that nobody else uses. Our own deserializer knows the
// name, leaves a copy of the subtree in the slot of this thread and calls `visit_unit`, which takes
// it out again at once: nothing else can run between the two. Any other deserializer (serde_json on
// the admin API) treats the request as an ordinary newtype, and the node is built without places.

/// The newtype name that asks for a raw subtree.
pub(super) const CAPTURE: &str = "$gate_model::document::Node";

thread_local! {
    static HANDED_OVER: Cell<Option<Node>> = const { Cell::new(None) };
}

/// Hands `node` to the visitor that asked for [`CAPTURE`].
pub(super) fn hand_over<'de, V: Visitor<'de>, E: serde::de::Error>(
    node: &Node,
    visitor: V,
) -> Result<V::Value, E> {
    HANDED_OVER.set(Some(node.clone()));
    let result = visitor.visit_unit();
    HANDED_OVER.set(None);
    result
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_newtype_struct(CAPTURE, Capture)
    }
}

struct Capture;

impl<'de> Visitor<'de> for Capture {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(HANDED_OVER
            .take()
            .unwrap_or_else(|| Node::new(NodeKind::Null)))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(Build)
    }
}

/// Builds a node without places from a foreign deserializer.
struct Build;

impl<'de> Visitor<'de> for Build {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::new(NodeKind::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::new(NodeKind::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(Build)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::new(NodeKind::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::new(NodeKind::Integer(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::new(NodeKind::Integer(value.into())))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        if !value.is_finite() {
            return Err(E::custom("the number is not finite"));
        }
        Ok(Node::new(NodeKind::Float(value)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::new(NodeKind::String(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        items.shrink_to_fit();
        Ok(Node::new(NodeKind::Sequence(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        while let Some((text, value)) = access.next_entry::<String, Node>()? {
            let span = Span::default();
            entries.push((Key { text, span }, value));
        }
        if let Some(text) = repeated(&entries) {
            let message = format_args!("the key `{text}` stands twice");
            return Err(A::Error::custom(message));
        }
        entries.shrink_to_fit();
        Ok(Node::new(NodeKind::Mapping(entries)))
    }
}

/// A key that stands twice; few are compared, many are sorted.
pub(super) fn repeated(entries: &[(Key, Node)]) -> Option<&str> {
    let keys = entries.iter().map(|(key, _)| &*key.text);
    if entries.len() <= 8 {
        let is_repeated =
            |&(index, key): &(usize, &str)| keys.clone().take(index).any(|one| one == key);
        return keys
            .clone()
            .enumerate()
            .find(is_repeated)
            .map(|(_, key)| key);
    }
    let mut sorted: Vec<&str> = keys.collect();
    sorted.sort_unstable();
    let pair = sorted.windows(2).find(|pair| pair[0] == pair[1]);
    pair.map(|pair| pair[0])
}
