//! Converted schemas that lead back to themselves: which never end, and which only cost.

use gate_model::document::Path;
use gate_model::finding::Finding;
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// Refuses schemas that lead back to themselves without going into the instance: checking those
/// would never end.
pub(super) fn refuse_circles(defs: &Map<String, Value>, path: &Path) -> Result<(), Finding> {
    // 1: on the way; 2: done.
    let mut state: HashMap<&str, u8> = HashMap::new();
    for name in defs.keys() {
        let mut stack = vec![(name.as_str(), false)];
        while let Some((name, leaves)) = stack.pop() {
            if leaves {
                state.insert(name, 2);
                continue;
            }
            match state.get(name) {
                Some(2) => continue,
                Some(_) => {
                    let message = "a schema leads back to itself by references alone";
                    return Err(Finding::error("invalid_contract", path.clone(), message));
                }
                None => {}
            }
            state.insert(name, 1);
            stack.push((name, true));
            let mut next = Vec::new();
            if let Some(schema) = defs.get(name) {
                in_place(schema, &mut next);
            }
            for name in next {
                match state.get(name) {
                    Some(1) => {
                        let message = "a schema leads back to itself by references alone";
                        return Err(Finding::error("invalid_contract", path.clone(), message));
                    }
                    Some(_) => {}
                    None => stack.push((name, false)),
                }
            }
        }
    }
    Ok(())
}

/// The `$defs` that a schema applies to the same instance.
fn in_place<'s>(schema: &'s Value, found: &mut Vec<&'s str>) {
    let Value::Object(members) = schema else {
        return;
    };
    for (name, value) in members {
        match (name.as_str(), value) {
            ("$ref", Value::String(reference)) => {
                found.extend(reference.strip_prefix("#/$defs/"));
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(items)) => {
                items.iter().for_each(|item| in_place(item, found));
            }
            ("not" | "if" | "then" | "else", schema) => in_place(schema, found),
            ("dependentSchemas", Value::Object(schemas)) => {
                schemas.values().for_each(|schema| in_place(schema, found));
            }
            _ => {}
        }
    }
}

/// Whether anything in a converted schema may be one of several.
pub(super) fn has_alternatives(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => {
            members.contains_key("anyOf")
                || members.contains_key("oneOf")
                || members.values().any(has_alternatives)
        }
        Value::Array(items) => items.iter().any(has_alternatives),
        _ => false,
    }
}

/// Whether a definition of a converted schema leads back to itself, by whatever way.
pub(super) fn leads_back(schema: &Value) -> bool {
    let Some(Value::Object(defs)) = schema.get("$defs") else {
        return false;
    };
    let mut edges: Vec<(&str, Vec<&str>)> = Vec::new();
    for (name, schema) in defs {
        let mut found = Vec::new();
        references(schema, &mut found);
        edges.push((name, found));
    }
    // What leads only to what ends, ends.
    let mut ends: HashSet<&str> = HashSet::new();
    while ends.len() < edges.len() {
        let before = ends.len();
        for (name, next) in &edges {
            if next.iter().all(|one| ends.contains(one)) {
                ends.insert(*name);
            }
        }
        if ends.len() == before {
            return true;
        }
    }
    false
}

/// The definitions that a schema names.
fn references<'s>(schema: &'s Value, found: &mut Vec<&'s str>) {
    match schema {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "$ref" => {
                        found.extend(text.strip_prefix("#/$defs/"));
                    }
                    value => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}
