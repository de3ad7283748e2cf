//! Values of Terraform's to documents, and back.
//!
//! What was left out stays left out on both sides: a document holds no defaults that nobody wrote,
//! so that what is read equals what was sent. `same` knows when two spellings mean the same,
//! `check` what is wrong with a value before a server sees it.

pub mod check;
pub mod same;

use crate::schema::{Attribute, Kind, Object, Origin, Shape};
use crate::value::Value;
use aws_lc_rs::digest;
use gate_kit::order::Gather;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// A resource as its document says it, without name and environment. Unknown values are left out:
/// ask [`Value::is_known`] first.
#[must_use]
pub fn to_document(kind: &Kind, value: &Value) -> Json {
    let document = object_out(&kind.object, value);
    match kind.wrapped {
        None => document,
        Some(only) => document
            .get(only)
            .cloned()
            .unwrap_or(Json::Array(Vec::new())),
    }
}

/// A resource's own attributes from its document; a field without a schema is left out.
#[must_use]
pub fn from_document(kind: &Kind, document: &Json) -> BTreeMap<String, Value> {
    match kind.wrapped {
        None => object_in(&kind.object, document),
        Some(only) => {
            let shape = &kind.object.attributes[0].shape;
            BTreeMap::from([(only.to_owned(), shape_in(shape, document))])
        }
    }
}

fn out(shape: &Shape, value: &Value) -> Option<Json> {
    Some(match (shape, value) {
        (_, Value::Null | Value::Unknown) => return None,
        (Shape::Json, Value::Text(text)) => serde_json::from_str(text).ok()?,
        (_, Value::Text(text)) => Json::String(text.clone()),
        (_, Value::Bool(truth)) => Json::Bool(*truth),
        (_, Value::Number(number)) => Json::Number(number.clone()),
        (Shape::List(inner), Value::List(items)) => {
            let items = items
                .iter()
                .map(|item| out(inner, item).unwrap_or_default());
            Json::Array(items.collect())
        }
        (Shape::Map(inner), Value::Map(entries)) => {
            let entries = entries.iter();
            let entries =
                entries.filter_map(|(key, value)| Some((key.clone(), out(inner, value)?)));
            Json::Object(entries.collect())
        }
        (Shape::Object(object), value) => object_out(object, value),
        _ => return None,
    })
}

fn object_out(object: &Object, value: &Value) -> Json {
    let given = |attribute: &&Attribute| attribute.origin != Origin::WriteOnly;
    let mut fields = Map::new();
    for attribute in object.attributes.iter().filter(given) {
        let Some(field) = out(&attribute.shape, value.get(&attribute.name)) else {
            continue;
        };
        if object.is_bare(&attribute.name) {
            return Json::String(attribute.name.clone());
        }
        fields.insert(attribute.field.clone(), field);
    }
    Json::Object(fields)
}

fn shape_in(shape: &Shape, json: &Json) -> Value {
    match (shape, json) {
        (_, Json::Null) => Value::Null,
        (Shape::Json, json) => Value::Text(json.to_string()),
        (Shape::Object(object), json) => Value::Map(object_in(object, json)),
        (Shape::Text(_), Json::String(text)) => Value::Text(text.clone()),
        // A size may be a bare number in documents.
        (Shape::Text(_), json) => Value::Text(json.to_string()),
        (Shape::Number { .. }, Json::Number(number)) => Value::Number(number.clone()),
        (Shape::Bool, Json::Bool(truth)) => Value::Bool(*truth),
        (Shape::List(inner), Json::Array(items)) => {
            Value::List(items.iter().map(|item| shape_in(inner, item)).collect())
        }
        (Shape::Map(inner), Json::Object(fields)) => {
            let fields = fields.iter();
            Value::Map(
                fields
                    .map(|(key, json)| (key.clone(), shape_in(inner, json)))
                    .into_map(),
            )
        }
        // No document that was accepted has this; null shows as a difference.
        _ => Value::Null,
    }
}

fn object_in(object: &Object, json: &Json) -> BTreeMap<String, Value> {
    let of = |attribute: &Attribute| {
        let name = &attribute.name;
        let value = match json {
            Json::String(word) if word == name && object.is_bare(name) => {
                Value::Map(BTreeMap::new())
            }
            json => json
                .get(&attribute.field)
                .map_or(Value::Null, |json| shape_in(&attribute.shape, json)),
        };
        (name.clone(), value)
    };
    object.attributes.iter().map(of).into_map()
}

/// A configuration as it is kept: hashes made, write-only values gone. `planned` holds what an
/// earlier step has decided, for hashes whose key is not given any more.
#[must_use]
pub fn kept(object: &Object, config: &Value) -> Value {
    let Value::Map(entries) = config else {
        return config.clone();
    };
    let mut kept = entries.clone();
    for attribute in &object.attributes {
        let name = &attribute.name;
        let given = config.get(name);
        let value = match attribute.origin {
            Origin::WriteOnly => Value::Null,
            Origin::HashOf(key) if given.is_null() => match config.get(key) {
                Value::Text(key) => Value::Text(sha256(key)),
                other => other.clone(),
            },
            _ => kept_shape(&attribute.shape, given),
        };
        kept.insert(name.clone(), value);
    }
    Value::Map(kept)
}

fn kept_shape(shape: &Shape, value: &Value) -> Value {
    match (shape, value) {
        (Shape::Object(object), value) => kept(object, value),
        (Shape::List(inner), Value::List(items)) => {
            Value::List(items.iter().map(|item| kept_shape(inner, item)).collect())
        }
        (Shape::Map(inner), Value::Map(entries)) => {
            let entries = entries.iter();
            let kept = entries.map(|(key, value)| (key.clone(), kept_shape(inner, value)));
            Value::Map(kept.into_map())
        }
        (_, value) => value.clone(),
    }
}

/// A key's hash, as documents hold it.
fn sha256(key: &str) -> String {
    let hash = digest::digest(&digest::SHA256, key.as_bytes());
    hash.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
