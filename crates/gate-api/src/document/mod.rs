//! Pure functions over configuration documents: reading, digest, difference, ownership.
//!
//! A document here is plain JSON by kind and name; what the settings mean is known to whoever
//! compiles it. Nothing in this module does I/O or knows a clock.

mod diff;
mod merge;
mod redact;
mod strict;

pub use diff::{add, diff};
pub use merge::{Managed, Owned, merge};
pub use redact::{HIDDEN, redact};
pub use strict::value as strict_value;

use aws_lc_rs::digest::{SHA256, digest as sha256};
use gate_kit::order::Order;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Resources by kind and name: `{ "routes": { "orders": { … } } }`.
///
/// Reading one from JSON refuses names that stand twice at any depth, where `serde_json` alone would
/// silently keep the last.
#[derive(Debug, Clone, PartialEq, Default, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Document(pub BTreeMap<String, BTreeMap<String, Value>>);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        strict::document(deserializer).map(Self)
    }
}

impl Document {
    /// The resource of this kind and name.
    #[must_use]
    pub fn get(&self, kind: &str, name: &str) -> Option<&Value> {
        self.0.get(kind)?.get(name)
    }

    /// Sets a resource.
    pub fn set(&mut self, kind: &str, name: &str, value: Value) {
        let of_kind = self.0.entry(kind.to_owned()).or_default();
        of_kind.insert(name.to_owned(), value);
    }

    /// Takes a resource out, and its kind with the last one.
    pub fn remove(&mut self, kind: &str, name: &str) -> Option<Value> {
        let of_kind = self.0.get_mut(kind)?;
        let value = of_kind.remove(name);
        if of_kind.is_empty() {
            self.0.remove(kind);
        }
        value
    }

    /// Every resource: kind, name and settings, in order.
    pub fn resources(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        self.0.iter().flat_map(|(kind, resources)| {
            resources
                .iter()
                .map(move |(name, value)| (kind.as_str(), name.as_str(), value))
        })
    }

    /// Canonical JSON: keys sorted at every depth, no white space. Kinds without resources are left
    /// out, so that an empty kind and an absent one are the same content.
    #[must_use]
    pub fn canonical(&self) -> String {
        let mut out = String::from("{");
        let kinds = self.0.iter().filter(|(_, resources)| !resources.is_empty());
        for (position, (kind, resources)) in kinds.enumerate() {
            comma(position, &mut out);
            text(kind, &mut out);
            out.push_str(":{");
            for (position, (name, value)) in resources.iter().enumerate() {
                comma(position, &mut out);
                text(name, &mut out);
                out.push(':');
                canonical(value, &mut out);
            }
            out.push('}');
        }
        out.push('}');
        out
    }

    /// SHA-256 of the canonical JSON, in hex.
    #[must_use]
    pub fn digest(&self) -> String {
        hex_sha256(self.canonical().as_bytes())
    }
}

/// SHA-256 in lower-case hex.
#[must_use]
pub fn hex_sha256(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(64);
    for byte in sha256(&SHA256, bytes).as_ref() {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn comma(position: usize, out: &mut String) {
    if position > 0 {
        out.push(',');
    }
}

fn text(text: &str, out: &mut String) {
    // A string is always representable as JSON.
    out.push_str(&Value::from(text).to_string());
}

fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                comma(position, out);
                canonical(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.order_by_key(|(name, _)| *name);
            out.push('{');
            for (position, (name, value)) in fields.into_iter().enumerate() {
                comma(position, out);
                text(name, out);
                out.push(':');
                canonical(value, out);
            }
            out.push('}');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Result<Document, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn the_order_of_keys_and_empty_kinds_leave_the_digest_alone() {
        let a = read(r#"{"routes":{"a":{"x":1,"y":[{"b":2,"a":null}]}},"models":{}}"#).unwrap();
        let b = read(r#"{"routes":{"a":{"y":[{"a":null,"b":2}],"x":1}}}"#).unwrap();
        let expected = r#"{"routes":{"a":{"x":1,"y":[{"a":null,"b":2}]}}}"#;
        assert_eq!(a.canonical(), expected);
        assert_eq!(a.digest(), b.digest());
        assert_ne!(a.digest(), Document::default().digest());
        // RFC 6234's digest of "{}" by another implementation (sha256sum).
        let empty = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(Document::default().digest(), empty);
    }

    #[test]
    fn names_that_stand_twice_are_refused_at_every_depth() {
        for twice in [
            r#"{"routes":{},"routes":{}}"#,
            r#"{"routes":{"a":{},"a":{}}}"#,
            r#"{"routes":{"a":{"x":1,"x":2}}}"#,
            r#"{"routes":{"a":[{"x":{"y":1,"y":1}}]}}"#,
        ] {
            let error = read(twice).unwrap_err().to_string();
            assert!(error.contains("stands twice"), "{error}");
        }
        for wrong in ["[]", r#"{"routes":[]}"#, "null", r#""text""#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn resources_are_set_and_removed() {
        let mut document = Document::default();
        document.set("routes", "a", json!({}));
        assert_eq!(document.resources().count(), 1);
        assert_eq!(document.remove("routes", "a"), Some(json!({})));
        assert_eq!(document.remove("routes", "a"), None);
        assert_eq!(document, Document::default());
    }
}
