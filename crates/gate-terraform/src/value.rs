//! A value of Terraform's, and its bytes.
//!
//! Terraform sends values as MessagePack by the schema of what they belong to
//! (docs/plugin-protocol/object-wire-format.md of its sources). A value here does not know its
//! schema: objects and maps are both [`Value::Map`], lists, sets and tuples are [`Value::List`].
//! What a value means in a document is in [`crate::convert`].

mod msgpack;

pub use msgpack::{BYTES_MAX, DEPTH_MAX, MalformedValue};

use serde_json::Number;
use std::collections::BTreeMap;

/// One value of Terraform's.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// Nothing was given.
    #[default]
    Null,
    /// Not known before something is applied.
    Unknown,
    /// A truth value.
    Bool(bool),
    /// A number, whole where it can be.
    Number(Number),
    /// Text.
    Text(String),
    /// Elements in order.
    List(Vec<Value>),
    /// Attributes of an object or entries of a map.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// Reads MessagePack as Terraform writes it.
    ///
    /// # Errors
    /// [`MalformedValue`] for anything else, and beyond [`BYTES_MAX`] or [`DEPTH_MAX`].
    pub fn from_msgpack(bytes: &[u8]) -> Result<Self, MalformedValue> {
        msgpack::read(bytes)
    }

    /// Writes MessagePack.
    #[must_use]
    pub fn to_msgpack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        msgpack::write(self, &mut out);
        out
    }

    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Value::Text(text.into())
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An attribute or entry; null where there is none, or where this is no map.
    #[must_use]
    pub fn get(&self, name: &str) -> &Value {
        const NULL: &Value = &Value::Null;
        match self {
            Value::Map(entries) => entries.get(name).unwrap_or(NULL),
            _ => NULL,
        }
    }

    /// Sets an attribute; only maps have some.
    pub fn set(&mut self, name: &str, value: Value) {
        if let Value::Map(entries) = self {
            entries.insert(name.to_owned(), value);
        }
    }

    /// Whether nothing was given.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// Whether nothing in it is unknown.
    #[must_use]
    pub fn is_known(&self) -> bool {
        match self {
            Value::Unknown => false,
            Value::List(items) => items.iter().all(Value::is_known),
            Value::Map(entries) => entries.values().all(Value::is_known),
            _ => true,
        }
    }
}
