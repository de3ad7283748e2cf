//! Resources of an environment, one by one and in pages.

use super::{changes, environments, not_found, page};
use crate::api::Inner;
use crate::call::Call;
use crate::reply::{Answer, Reply};
use gate_api::document::Managed;
use gate_api::problem::{Code, Problem};
use gate_api::types::Resource;
use serde_json::Value;

fn show(content: &Managed, kind: &str, name: &str, value: &Value) -> Resource {
    Resource {
        kind: kind.to_owned(),
        name: name.to_owned(),
        manager: content.manager(kind, name).unwrap_or("api").to_owned(),
        resource: value.clone(),
    }
}

pub(super) fn list(inner: &Inner, call: &Call) -> Answer {
    let row = environments::row(inner, call, call.value(0))?;
    let content = changes::content(inner, &row)?;
    let cursor = call.cursor()?;
    let after = match &cursor {
        None => None,
        Some(text) => Some(text.split_once('/').ok_or_else(crate::call::no_page)?),
    };
    let (kind, limit) = (call.parameter("kind"), call.limit());
    let rows = content
        .document
        .resources()
        .filter(|(of, ..)| kind.is_none_or(|kind| kind == *of))
        .skip_while(|(kind, name, _)| after.is_some_and(|after| (*kind, *name) <= after))
        .take(limit + 1)
        .map(|(kind, name, value)| show(&content, kind, name, value))
        .collect();
    let page = page(rows, limit, |row: &Resource| {
        format!("{}/{}", row.kind, row.name)
    });
    Ok(Reply::json(&page)?.tagged(row.generation))
}

pub(super) fn get(inner: &Inner, call: &Call) -> Answer {
    let row = environments::row(inner, call, call.value(0))?;
    let content = changes::content(inner, &row)?;
    let (kind, name) = (call.value(1), call.value(2));
    let value = content.document.get(kind, name);
    let value = value.ok_or_else(|| not_found(format_args!("`{kind}/{name}`")))?;
    Ok(Reply::json(&show(&content, kind, name, value))?.tagged(row.generation))
}

pub(super) fn put(inner: &Inner, call: &Call) -> Answer {
    // A document of one resource, so that its names are checked like any other's.
    let (kind, name) = (call.value(1), call.value(2));
    let value: Strict = call.any_json()?;
    let value = value.0;
    if !value.is_object() && !value.is_array() {
        let text = format!("`{kind}/{name}` must be an object or a list");
        return Err(Problem::new(Code::Invalid, text));
    }
    changes::answer(&changes::change_one(inner, call, value)?)
}

pub(super) fn delete(inner: &Inner, call: &Call) -> Answer {
    let (kind, name) = (call.value(1), call.value(2));
    let row = environments::row(inner, call, call.value(0))?;
    if changes::content(inner, &row)?
        .document
        .get(kind, name)
        .is_none()
    {
        return Err(not_found(format_args!("`{kind}/{name}`")));
    }
    changes::answer(&changes::change_one(inner, call, Value::Null)?)
}

/// A value in which no object names anything twice.
struct Strict(Value);

impl<'de> serde::Deserialize<'de> for Strict {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        gate_api::document::strict_value(deserializer).map(Strict)
    }
}
