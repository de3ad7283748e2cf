//! When two values mean the same, though they are written differently.
//!
//! `60s` is `1m`, a default that was written down is one that was left out, text in JSON has no
//! order of fields. Without this, a plan would want to change forever what is as it should be.

use crate::schema::{Attribute, Kind, Object, Quantity, Shape, Text};
use crate::value::Value;
use gate_kit::order::Gather;
use gate_model::units::{ByteSize, Money, Percent, Period, Rate, Sha256Text, Timestamp};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// `next`, with the spelling of `prior` wherever both mean the same. This is how what a server
/// says becomes state: the user's own spelling stays.
#[must_use]
pub fn merged(object: &Object, prior: &Value, next: &Value) -> Value {
    merge_object(object, prior, next, Take::Anything)
}

/// As [`merged`], but only as far as Terraform lets a plan differ from the configuration: values
/// that are there on both sides.
#[must_use]
pub fn planned(object: &Object, prior: &Value, next: &Value) -> Value {
    merge_object(object, prior, next, Take::Given)
}

/// Whether two documents of a kind mean the same.
#[must_use]
pub fn documents(kind: &Kind, one: &Json, other: &Json) -> bool {
    let form = |json| normal_object(&kind.object, &Value::Map(super::from_document(kind, json)));
    one == other || form(one) == form(other)
}

/// What of `prior` may stand for an equal `next`.
#[derive(Clone, Copy, PartialEq)]
enum Take {
    Anything,
    Given,
}

fn merge_object(object: &Object, prior: &Value, next: &Value, take: Take) -> Value {
    let Value::Map(entries) = next else {
        return next.clone();
    };
    let mut merged = entries.clone();
    for attribute in &object.attributes {
        let name = &attribute.name;
        let value = merge(object, attribute, (prior.get(name), next.get(name)), take);
        merged.insert(name.clone(), value);
    }
    Value::Map(merged)
}

fn merge(
    object: &Object,
    attribute: &Attribute,
    (prior, next): (&Value, &Value),
    take: Take,
) -> Value {
    let given = !prior.is_null() && !next.is_null();
    let form = |value| normal_in(object, attribute, value);
    let may_stand = (given || take == Take::Anything) && next.is_known();
    if may_stand && (prior == next || form(prior) == form(next)) {
        return prior.clone();
    }
    match given {
        true => merge_shape(&attribute.shape, prior, next, take),
        false => next.clone(),
    }
}

fn merge_shape(shape: &Shape, prior: &Value, next: &Value, take: Take) -> Value {
    match (shape, prior, next) {
        (Shape::Object(object), prior, next) => merge_object(object, prior, next, take),
        (Shape::List(inner), Value::List(before), Value::List(after)) if shape.is_nested() => {
            let before = before.iter().chain(std::iter::repeat(&Value::Null));
            let pairs = before.zip(after);
            Value::List(pairs.map(|(p, n)| merge_shape(inner, p, n, take)).collect())
        }
        (Shape::Map(inner), Value::Map(_), Value::Map(after)) if shape.is_nested() => {
            let merged = after
                .iter()
                .map(|(key, next)| (key.clone(), merge_shape(inner, prior.get(key), next, take)));
            Value::Map(merged.into_map())
        }
        (_, _, next) => next.clone(),
    }
}

/// The one form of all values that mean the same.
fn normal(attribute: &Attribute, value: &Value) -> Value {
    if let Some(form) = normal_given(&attribute.shape, value) {
        return form;
    }
    match &attribute.default {
        Some(default) => from_default(&attribute.shape, default),
        None if attribute.nullable => Value::Null,
        None => match &attribute.shape {
            Shape::Object(object) if !attribute.required && object.choice.is_empty() => {
                normal_object(object, &Value::Map(BTreeMap::new()))
            }
            _ => Value::Null,
        },
    }
}

/// As [`normal`], for what is there.
fn normal_given(shape: &Shape, value: &Value) -> Option<Value> {
    Some(match (shape, value) {
        (_, Value::Null) => return None,
        (Shape::Text(Text::Quantity(quantity)), Value::Text(text)) => {
            Value::Text(canonical(*quantity, text).unwrap_or_else(|| text.clone()))
        }
        (Shape::Json, Value::Text(text)) => match serde_json::from_str::<Json>(text) {
            Ok(mut json) => {
                json.sort_all_objects();
                Value::Text(json.to_string())
            }
            Err(_) => value.clone(),
        },
        (Shape::Number { .. }, Value::Number(number)) => match number.as_f64() {
            // 1 and 1.0 are one number; whole ones stay exact.
            Some(float) if !number.is_u64() && !number.is_i64() => {
                serde_json::Number::from_f64(float).map_or(Value::Null, Value::Number)
            }
            _ => value.clone(),
        },
        (Shape::Object(object), value) => normal_object(object, value),
        (Shape::List(inner), Value::List(items)) => {
            let items = items.iter();
            Value::List(
                items
                    .map(|item| normal_given(inner, item).unwrap_or_default())
                    .collect(),
            )
        }
        (Shape::Map(inner), Value::Map(entries)) => {
            let entries = entries.iter();
            let normal =
                entries.map(|(key, v)| (key.clone(), normal_given(inner, v).unwrap_or_default()));
            Value::Map(normal.into_map())
        }
        (_, value) => value.clone(),
    })
}

fn normal_object(object: &Object, value: &Value) -> Value {
    let of = |attribute: &Attribute| {
        let name = &attribute.name;
        (name.clone(), normal_in(object, attribute, value.get(name)))
    };
    Value::Map(object.attributes.iter().map(of).into_map())
}

/// As [`normal`], within an object: what was not chosen has no defaults.
fn normal_in(object: &Object, attribute: &Attribute, value: &Value) -> Value {
    match object
        .choice
        .iter()
        .any(|choice| choice.name == attribute.name)
    {
        true => normal_given(&attribute.shape, value).unwrap_or_default(),
        false => normal(attribute, value),
    }
}

fn from_default(shape: &Shape, default: &Json) -> Value {
    let value = super::shape_in(shape, default);
    normal_given(shape, &value).unwrap_or_default()
}

/// The one spelling of a quantity; `None` when the text is none.
fn canonical(quantity: Quantity, text: &str) -> Option<String> {
    fn of<T: std::str::FromStr + std::fmt::Display>(text: &str) -> Option<String> {
        text.parse::<T>().ok().map(|quantity| quantity.to_string())
    }
    match quantity {
        Quantity::ByteSize => of::<ByteSize>(text),
        Quantity::Period => of::<Period>(text),
        Quantity::Percent => of::<Percent>(text),
        Quantity::Rate => of::<Rate>(text),
        Quantity::Money => of::<Money>(text),
        Quantity::Timestamp => of::<Timestamp>(text),
        Quantity::Sha256 => of::<Sha256Text>(text),
    }
}
