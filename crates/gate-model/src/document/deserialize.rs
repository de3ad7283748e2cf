//! Nodes into typed values, with findings that name the exact field.
//!
//! A serde deserializer over [`Node`]s. Whatever goes wrong, in serde's derived code or in a type's
//! own conversion, becomes a [`Finding`] located at the innermost value (for unknown names: at the
//! key) that was being read. Enums are externally tagged: a unit variant is a string, any other
//! variant a mapping with one key. Structs are mappings only, never positional lists. Recursion is
//! bounded by the depth of the tree. The wording lives in `complaint.rs`.

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::complaint::Complaint;
use super::node::{CAPTURE, Key, Node, NodeKind, hand_over};
use super::path::{Path, Segment};
use crate::finding::Finding;

/// Reads `node`, which stands at `base` in its document, as a `T`. The finding carries place and
/// path but no file; see [`Finding::in_file`].
pub fn from_node<T: DeserializeOwned>(node: &Node, base: &Path) -> Result<T, Finding> {
    let trail = Trail::Root(base);
    T::deserialize(NodeDeserializer {
        node,
        trail: &trail,
    })
    .map_err(|complaint| complaint.locate(node.span, &|| trail.path()).finding())
}

/// The way from the root to the value being read, on the call stack: a path costs nothing until
/// something is wrong.
enum Trail<'t> {
    Root(&'t Path),
    Key(&'t Trail<'t>, &'t str),
    Index(&'t Trail<'t>, usize),
}

impl Trail<'_> {
    fn path(&self) -> Path {
        let mut steps = Vec::new();
        let mut trail = self;
        let base = loop {
            match trail {
                Trail::Root(base) => break base,
                Trail::Key(above, key) => {
                    steps.push(Segment::Key((*key).to_owned()));
                    trail = above;
                }
                Trail::Index(above, index) => {
                    steps.push(Segment::Index(*index));
                    trail = above;
                }
            }
        };
        base.segments()
            .iter()
            .cloned()
            .chain(steps.into_iter().rev())
            .collect()
    }
}

#[derive(Clone, Copy)]
struct NodeDeserializer<'de, 't> {
    node: &'de Node,
    trail: &'t Trail<'t>,
}

impl<'de> NodeDeserializer<'de, '_> {
    /// What serde calls the thing that was found.
    fn unexpected(&self) -> Unexpected<'de> {
        match &self.node.kind {
            NodeKind::Null => Unexpected::Unit,
            NodeKind::Bool(value) => Unexpected::Bool(*value),
            NodeKind::Integer(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => Unexpected::Unsigned(value),
                (_, Ok(value)) => Unexpected::Signed(value),
                _ => Unexpected::Other("a whole number beyond 64 bits"),
            },
            NodeKind::Float(value) => Unexpected::Float(*value),
            NodeKind::String(text) => Unexpected::Str(text),
            NodeKind::Sequence(_) => Unexpected::Seq,
            NodeKind::Mapping(_) => Unexpected::Map,
        }
    }

    fn wrong_type(&self, expected: &str) -> Complaint {
        Complaint::invalid_type(self.unexpected(), &expected)
            .locate(self.node.span, &|| self.trail.path())
    }

    fn read_sequence<V: Visitor<'de>>(
        self,
        items: &'de [Node],
        visitor: V,
    ) -> Result<V::Value, Complaint> {
        let mut access = Items {
            items,
            next: 0,
            trail: self.trail,
        };
        let value = visitor.visit_seq(&mut access)?;
        if access.next < items.len() {
            return Err(Complaint::invalid_length(items.len(), &Count(access.next)));
        }
        Ok(value)
    }

    fn read_mapping<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Complaint> {
        match &self.node.kind {
            NodeKind::Mapping(entries) => visitor.visit_map(Entries {
                entries,
                value: None,
                trail: self.trail,
            }),
            _ => Err(self.wrong_type("a mapping")),
        }
    }
}

struct Count(usize);

impl serde::de::Expected for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} items", self.0)
    }
}

impl<'de> Deserializer<'de> for NodeDeserializer<'de, '_> {
    type Error = Complaint;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Complaint> {
        match &self.node.kind {
            NodeKind::Null => visitor.visit_unit(),
            NodeKind::Bool(value) => visitor.visit_bool(*value),
            NodeKind::Integer(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => visitor.visit_i128(*value),
            },
            NodeKind::Float(value) => visitor.visit_f64(*value),
            NodeKind::String(text) => visitor.visit_borrowed_str(text),
            NodeKind::Sequence(items) => self.read_sequence(items, visitor),
            NodeKind::Mapping(_) => self.read_mapping(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Complaint> {
        match self.node.kind {
            NodeKind::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Complaint> {
        if name == CAPTURE {
            return hand_over(self.node, visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Complaint> {
        self.read_mapping(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Complaint> {
        self.read_mapping(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Complaint> {
        match &self.node.kind {
            NodeKind::String(name) => visitor.visit_enum(Choice {
                choice: self,
                name,
                key: None,
                trail: self.trail,
            }),
            NodeKind::Mapping(entries) => match entries.as_slice() {
                [(key, node)] => {
                    let trail = Trail::Key(self.trail, &key.text);
                    let choice = NodeDeserializer {
                        node,
                        trail: &trail,
                    };
                    // The value's error is located here, while its trail is alive.
                    visitor
                        .visit_enum(Choice {
                            choice,
                            name: &key.text,
                            key: Some(key),
                            trail: &trail,
                        })
                        .map_err(|complaint| complaint.locate(node.span, &|| trail.path()))
                }
                [] => Err(Complaint::choices("an empty mapping", variants)),
                [_, (second, _), ..] => {
                    let found = format!("a mapping with {} keys", entries.len());
                    Err(Complaint::choices(&found, variants)
                        .locate(second.span, &|| self.trail.path()))
                }
            },
            _ => Err(Complaint::choices(
                &Complaint::describe(self.unexpected()),
                variants,
            )),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Complaint> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct identifier
    }
}

struct Items<'de, 't> {
    items: &'de [Node],
    next: usize,
    trail: &'t Trail<'t>,
}

impl<'de> SeqAccess<'de> for &mut Items<'de, '_> {
    type Error = Complaint;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Complaint> {
        let Some(node) = self.items.get(self.next) else {
            return Ok(None);
        };
        let trail = Trail::Index(self.trail, self.next);
        self.next += 1;
        read(seed, node, &trail).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len() - self.next)
    }
}

/// Reads one value below the current one and locates what goes wrong there.
fn read<'de, T: DeserializeSeed<'de>>(
    seed: T,
    node: &'de Node,
    trail: &Trail<'_>,
) -> Result<T::Value, Complaint> {
    seed.deserialize(NodeDeserializer { node, trail })
        .map_err(|complaint| complaint.locate(node.span, &|| trail.path()))
}

struct Entries<'de, 't> {
    entries: &'de [(Key, Node)],
    value: Option<&'de (Key, Node)>,
    trail: &'t Trail<'t>,
}

impl<'de> MapAccess<'de> for Entries<'de, '_> {
    type Error = Complaint;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Complaint> {
        let Some((entry, rest)) = self.entries.split_first() else {
            return Ok(None);
        };
        self.entries = rest;
        self.value = Some(entry);
        let (key, _) = entry;
        seed.deserialize(KeyDeserializer { text: &key.text })
            .map(Some)
            .map_err(|complaint| {
                complaint.locate(key.span, &|| Trail::Key(self.trail, &key.text).path())
            })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Complaint> {
        let (key, node) = self
            .value
            .take()
            .expect("serde asks for a value only behind its key");
        read(seed, node, &Trail::Key(self.trail, &key.text))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// A key is text; a type that wants a number gets the number that the text says.
struct KeyDeserializer<'de> {
    text: &'de str,
}

macro_rules! number_from_key {
    ($($method:ident $visit:ident $kind:ty,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Complaint> {
            match self.text.parse::<$kind>() {
                Ok(number) => visitor.$visit(number),
                Err(_) => visitor.visit_borrowed_str(self.text),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for KeyDeserializer<'de> {
    type Error = Complaint;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Complaint> {
        visitor.visit_borrowed_str(self.text)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Complaint> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Complaint> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Complaint> {
        visitor.visit_enum(self.text.into_deserializer())
    }

    number_from_key! {
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64,
    }

    forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// An enum's variant: `key` is there when it was written as a mapping, and `choice` is its value.
struct Choice<'de, 't> {
    choice: NodeDeserializer<'de, 't>,
    name: &'de str,
    key: Option<&'de Key>,
    trail: &'t Trail<'t>,
}

impl<'de, 't> EnumAccess<'de> for Choice<'de, 't> {
    type Error = Complaint;
    type Variant = Choice<'de, 't>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Choice<'de, 't>), Complaint> {
        let span = self.key.map_or(self.choice.node.span, |key| key.span);
        let variant = seed
            .deserialize(KeyDeserializer { text: self.name })
            .map_err(|complaint| complaint.locate(span, &|| self.trail.path()))?;
        Ok((variant, self))
    }
}

impl<'de, 't> Choice<'de, 't> {
    /// The variant's settings, or why there are none.
    fn settings(self) -> Result<NodeDeserializer<'de, 't>, Complaint> {
        if self.key.is_some() {
            return Ok(self.choice);
        }
        Err(Complaint::needs_settings(self.name)
            .locate(self.choice.node.span, &|| self.trail.path()))
    }
}

impl<'de> VariantAccess<'de> for Choice<'de, '_> {
    type Error = Complaint;

    fn unit_variant(self) -> Result<(), Complaint> {
        let empty = match &self.choice.node.kind {
            NodeKind::Null => true,
            NodeKind::Mapping(entries) => entries.is_empty(),
            _ => false,
        };
        if self.key.is_none() || empty {
            return Ok(());
        }
        Err(Complaint::takes_no_settings(self.name)
            .locate(self.choice.node.span, &|| self.trail.path()))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Complaint> {
        let choice = self.settings()?;
        read(seed, choice.node, choice.trail)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Complaint> {
        self.settings()?.deserialize_seq(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Complaint> {
        self.settings()?.read_mapping(visitor)
    }
}

#[cfg(test)]
#[path = "deserialize_tests.rs"]
mod tests;
