//! Schemas of events' data: compiled, and compared with the schema that a version had before.
//!
//! A schema is JSON Schema 2020-12 that refers to nothing outside of itself. It is read as the answer
//! of an OpenAPI document with one operation, so that what holds of contracts holds here: patterns on
//! a linear-time engine, nothing fetched, circles refused, and one list of what breaks those who read.

use crate::diff::{self, Severity};
use crate::openapi::Api;
use crate::schema::{Direction, Schema, Schemas};
use gate_model::document::{Document, Path};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Most bytes of a schema as JSON.
pub const SCHEMA_BYTES_MAX: usize = 256 << 10;
/// Most breaking changes that are told of one schema.
const BREAKING_MAX: usize = 20;

/// Compiles the schema of events' data.
///
/// # Errors
/// One sentence: it is too long, is no schema, or refers to something outside of itself.
pub fn compile(schema: &Map<String, Value>) -> Result<Arc<Schema>, String> {
    let document = document(schema)?;
    let first = |findings: &[gate_model::finding::Finding]| {
        findings
            .first()
            .map_or_else(String::new, |finding| finding.message.to_string())
    };
    let api = Api::from_document(document).map_err(|findings| first(&findings))?;
    let path = Path::root().key("components").key("schemas").key("Event");
    let mut schemas = Schemas::new(&api);
    let compiled = schemas.get(&path, Direction::Response);
    compiled.ok_or_else(|| first(&schemas.findings))
}

/// What of a newer schema breaks who reads events by the older one, a sentence each; empty where
/// nothing does, also where either is no schema.
#[must_use]
pub fn breaking(older: &Map<String, Value>, newer: &Map<String, Value>) -> Vec<String> {
    let (Ok(older), Ok(newer)) = (document(older), document(newer)) else {
        return Vec::new();
    };
    let compared = diff::compare(&older, &newer, &diff::Options::default());
    let breaks = compared
        .changes
        .into_iter()
        .filter(|change| change.severity == Severity::Breaking);
    breaks
        .map(|change| change.message)
        .take(BREAKING_MAX)
        .collect()
}

/// The schema as what one operation answers.
fn document(schema: &Map<String, Value>) -> Result<Document, String> {
    let mut schema = Value::Object(schema.clone());
    moved(&mut schema);
    let whole = json!({
        "openapi": "3.1.0",
        "info": { "title": "event", "version": "1" },
        "paths": { "/": { "get": { "operationId": "event", "responses": { "200": {
            "description": "an event",
            "content": { "application/json": {
                "schema": { "$ref": "#/components/schemas/Event" } } },
        } } } } },
        "components": { "schemas": { "Event": schema } },
    });
    let text = whole.to_string();
    if text.len() > SCHEMA_BYTES_MAX {
        return Err(format!("a schema has at most {SCHEMA_BYTES_MAX} bytes"));
    }
    let parsed = Document::parse(text.as_bytes(), "schema");
    parsed.map_err(|findings| {
        let first = findings.into_iter().next();
        first.map_or_else(String::new, |finding| finding.message.to_string())
    })
}

/// References within the schema, as they are where the schema stands in the document.
fn moved(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(moved),
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(place) if name == "$ref" => {
                        if let Some(rest) = place.strip_prefix('#') {
                            *place = format!("#/components/schemas/Event{rest}");
                        }
                    }
                    value => moved(value),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(members) => members,
            other => panic!("{other} is no object"),
        }
    }

    fn failures(schema: &Schema, value: &Value) -> Vec<String> {
        let mut failures = Vec::new();
        schema.check(value, "", 10, &mut failures);
        failures.into_iter().map(|one| one.pointer).collect()
    }

    #[test]
    fn schemas_hold_or_name_the_place() {
        let schema = compile(&object(json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "required": ["id"],
            "properties": {
                "id": { "type": "string" },
                "parts": { "type": "array", "items": { "$ref": "#/$defs/part" } },
            },
            "$defs": { "part": { "type": "object", "properties": { "bytes": { "type": "integer" } } } },
        })))
        .unwrap();
        assert!(schema.holds(&json!({ "id": "a", "parts": [{ "bytes": 1 }] })));
        assert_eq!(
            failures(&schema, &json!({ "id": "a", "parts": [{ "bytes": "x" }] })),
            ["/parts/0/bytes"]
        );
        assert!(!failures(&schema, &json!({})).is_empty());
    }

    #[test]
    fn what_is_no_schema_of_its_own_is_refused() {
        for schema in [
            json!({ "$ref": "https://example.com/schema" }),
            json!({ "$ref": "#" }),
            json!({ "$ref": "#/$defs/missing" }),
            json!({ "type": "sometimes" }),
            json!({ "type": "string", "pattern": "(?<!a)b" }),
            json!({ "description": "x".repeat(SCHEMA_BYTES_MAX) }),
        ] {
            let refused = compile(&object(schema.clone()));
            assert!(refused.is_err_and(|text| !text.is_empty()), "{schema}");
        }
    }

    #[test]
    fn what_readers_lose_is_breaking_and_what_they_gain_is_not() {
        let schema = |properties: Value, required: &[&str]| {
            object(json!({ "type": "object", "properties": properties, "required": required }))
        };
        let older = schema(
            json!({ "id": { "type": "string" }, "size": { "type": "integer" } }),
            &["id"],
        );
        let more = schema(
            json!({
                "id": { "type": "string" }, "size": { "type": "integer" }, "at": { "type": "string" }
            }),
            &["id"],
        );
        assert_eq!(breaking(&older, &more), [""; 0]);
        let other = schema(
            json!({ "id": { "type": "integer" }, "size": { "type": "integer" } }),
            &["id"],
        );
        assert!(!breaking(&older, &other).is_empty());
        let gone = schema(json!({ "size": { "type": "integer" } }), &[]);
        assert!(!breaking(&older, &gone).is_empty());
        assert_eq!(breaking(&older, &older), [""; 0]);
    }
}
