//! What differs between two documents, by resource and field.

use super::{Document, redact};
use crate::types::{Action, Change, FieldChange};
use gate_kit::order::{Gather, Order};
use serde_json::Value;
use std::collections::BTreeSet;

/// Most fields that are listed of one resource; beyond them its rest is one entry.
const FIELDS_MAX: usize = 200;

/// What turns `before` into `after`, ordered by kind and name. What may be a secret is hidden.
#[must_use]
pub fn diff(before: &Document, after: &Document) -> Vec<Change> {
    let both = before.resources().chain(after.resources());
    let names: BTreeSet<(&str, &str)> = both.map(|(kind, name, _)| (kind, name)).into_set();
    let changes = names.into_iter().filter_map(|(kind, name)| {
        let (action, fields) = match (before.get(kind, name), after.get(kind, name)) {
            (None, None) => return None,
            (None, Some(after)) => (Action::Create, vec![field("", "", None, Some(after))]),
            (Some(before), None) => (Action::Delete, vec![field("", "", Some(before), None)]),
            (Some(before), Some(after)) if before == after => return None,
            (Some(before), Some(after)) => {
                let mut fields = Vec::new();
                compare("", "", before, after, &mut fields);
                (Action::Update, fields)
            }
        };
        Some(Change {
            kind: kind.to_owned(),
            name: name.to_owned(),
            action,
            fields,
        })
    });
    changes.collect()
}

/// Adds changes that documents do not show, such as of files that they name, to those that they do.
pub fn add(changes: &mut Vec<Change>, more: Vec<Change>) {
    for change in more {
        let is_same =
            |known: &&mut Change| (&known.kind, &known.name) == (&change.kind, &change.name);
        match changes.iter_mut().find(is_same) {
            Some(known) if known.action == Action::Update => known.fields.extend(change.fields),
            // What is new or goes says so.
            Some(_) => {}
            None => changes.push(change),
        }
    }
    changes.order_by(|one, other| (&one.kind, &one.name).cmp(&(&other.kind, &other.name)));
}

fn compare(path: &str, name: &str, before: &Value, after: &Value, fields: &mut Vec<FieldChange>) {
    if before == after || fields.len() >= FIELDS_MAX {
        return;
    }
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).into_set();
            for name in names {
                let path = join(path, name);
                step(&path, name, old.get(name), new.get(name), fields);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for position in 0..old.len().max(new.len()) {
                let path = format!("{path}[{position}]");
                step(&path, name, old.get(position), new.get(position), fields);
            }
        }
        _ => fields.push(field(path, name, Some(before), Some(after))),
    }
}

fn step(
    path: &str,
    name: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    fields: &mut Vec<FieldChange>,
) {
    match (before, after) {
        (Some(before), Some(after)) => compare(path, name, before, after, fields),
        (before, after) if fields.len() < FIELDS_MAX => {
            fields.push(field(path, name, before, after));
        }
        _ => {}
    }
}

fn field(path: &str, name: &str, before: Option<&Value>, after: Option<&Value>) -> FieldChange {
    FieldChange {
        path: path.to_owned(),
        before: before.map(|value| redact(name, value)),
        after: after.map(|value| redact(name, value)),
    }
}

/// `path.name`, with names that are no plain word in quotes.
fn join(path: &str, name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let name = match !name.is_empty() && name.chars().all(plain) {
        true => name.to_owned(),
        false => format!("{name:?}"),
    };
    match path.is_empty() {
        true => name,
        false => format!("{path}.{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn document(value: Value) -> Document {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn changes_name_the_fields() {
        let before = document(json!({ "routes": {
            "a": { "match": { "path": "/a" }, "policies": [{ "limit": { "rate": "1/s" } }] },
            "b": { "match": { "path": "/b" } },
        }}));
        let after = document(json!({
            "routes": { "a": { "match": { "path": "/x", "host": null },
                               "policies": [{ "limit": { "rate": "1/s" } }, { "auth_key": {} }] } },
            "upstreams": { "u": { "password": "p" } },
        }));
        let changes = serde_json::to_value(diff(&before, &after)).unwrap();
        let expected = json!([
            { "kind": "routes", "name": "a", "action": "update", "fields": [
                { "path": "match.host", "after": null },
                { "path": "match.path", "before": "/a", "after": "/x" },
                { "path": "policies[1]", "after": { "auth_key": {} } },
            ]},
            { "kind": "routes", "name": "b", "action": "delete", "fields": [
                { "path": "", "before": { "match": { "path": "/b" } } },
            ]},
            { "kind": "upstreams", "name": "u", "action": "create", "fields": [
                { "path": "", "after": { "password": "(hidden)" } },
            ]},
        ]);
        assert_eq!(changes, expected);
        assert!(diff(&after, &after).is_empty());
        // What is not there and what is null stay apart when read again.
        let read: Vec<Change> = serde_json::from_value(changes).unwrap();
        assert_eq!(read, diff(&before, &after));
    }
}
