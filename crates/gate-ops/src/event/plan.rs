//! What a change says about events: schemas that break who reads them, and patterns that ask for what
//! no event has.
//!
//! Looks at two documents as trees, as `gate_ops::plan` does. A pattern is held against the schemas of
//! the types that it names; where it names one that nobody registered, nothing can be said.

use super::own;
use super::pattern::{Pattern, UnknownField};
use gate_api::types::{Finding, Severity};
use gate_contract::event::breaking;
use serde_json::{Map, Value};

/// Most unknown fields that are told of one subscriber.
const UNKNOWN_MAX: usize = 20;

/// What a person should know about going from one document to another: warnings.
#[must_use]
pub fn findings(before: &Value, after: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    schemas(before, after, &mut findings);
    findings
}

/// A field that a subscriber's pattern asks for, and that no event of the types that it names has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The subscriber.
    pub subscriber: String,
    /// What is wrong, as a sentence without a full stop.
    pub message: String,
    /// What there is instead, where that is known.
    pub help: Option<String>,
}

/// The fields of subscribers' patterns that no event has. What a document refuses: such a subscriber
/// would never be told anything.
#[must_use]
pub fn unknown_fields(document: &Value) -> Vec<Unknown> {
    let mut found = Vec::new();
    for (name, subscriber) in each(document, "subscribers") {
        unknown(name, subscriber, document, &mut found);
    }
    found
}

/// Resources of a kind, or versions of a type.
fn each<'a>(of: &'a Value, kind: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    of.get(kind)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

/// Versions that break who reads them, or are gone.
fn schemas(before: &Value, after: &Value, findings: &mut Vec<Finding>) {
    let Some(types) = after.get("event_types") else {
        return;
    };
    for (kind, was) in each(before, "event_types") {
        let Some(is) = types.get(kind) else { continue };
        for (number, old) in each(was, "versions") {
            let path = format!("event_types.{kind}.versions.{number}");
            let new = is.get("versions").and_then(|all| all.get(number));
            let (message, help) = match new {
                None => (
                    format!("version {number} of `{kind}` is gone: who publishes it is refused"),
                    "keep versions for as long as somebody publishes or reads them",
                ),
                Some(new) => {
                    let breaks = breaking(&schema(old), &schema(new));
                    if breaks.is_empty() {
                        continue;
                    }
                    (
                        format!(
                            "version {number} of `{kind}` breaks who reads it: {}",
                            breaks.join("; ")
                        ),
                        "leave the version as it is and add another one",
                    )
                }
            };
            findings.push(Finding {
                severity: Severity::Warning,
                help: Some(help.to_owned()),
                ..Finding::error("event_schema_breaks", path, message)
            });
        }
    }
}

fn schema(version: &Value) -> Map<String, Value> {
    let schema = version.get("schema").and_then(Value::as_object);
    schema.cloned().unwrap_or_default()
}

/// Fields of a subscriber's pattern that no event of the types that it names has.
fn unknown(name: &str, subscriber: &Value, document: &Value, found: &mut Vec<Unknown>) {
    let pattern = subscriber.pointer("/filter/pattern");
    let (Some(kinds), Some(data)) = (
        pattern.and_then(|pattern| pattern.get("type")),
        pattern.and_then(|pattern| pattern.get("data")),
    ) else {
        return;
    };
    let mut schemas = Vec::new();
    for kind in kinds.as_array().into_iter().flatten() {
        let of = kind.as_str().map(|kind| of_type(kind, document));
        // Something else than a whole type, or a type that takes any data.
        match of {
            Some(of) if !of.is_empty() => schemas.extend(of),
            _ => return,
        }
    }
    // What is no pattern is refused where it is compiled.
    let Ok(pattern) = Pattern::parse(&data.to_string()) else {
        return;
    };
    let mut left: Option<Vec<UnknownField>> = None;
    for schema in &schemas {
        let here = pattern.unknown_fields(schema);
        left = Some(match left {
            None => here,
            Some(mut left) => {
                left.retain(|one| here.iter().any(|other| other.field == one.field));
                left
            }
        });
    }
    for one in left.into_iter().flatten().take(UNKNOWN_MAX) {
        let message = match one.is_object {
            true => format!(
                "`data.{}` has fields of its own, and a pattern asks for values",
                one.field
            ),
            false => format!("no event of these types has `data.{}`", one.field),
        };
        let instead = one.instead.join(", ");
        found.push(Unknown {
            subscriber: name.to_owned(),
            message,
            help: (!instead.is_empty()).then(|| format!("there are {instead}")),
        });
    }
}

/// The schemas of a type's versions; none where it is not registered, or takes any data.
fn of_type(kind: &str, document: &Value) -> Vec<Value> {
    let own = own::TYPES.iter().filter(|own| own.kind == kind);
    let mut schemas: Vec<Value> = own.map(|own| (own.schema)()).collect();
    let registered = document
        .get("event_types")
        .and_then(|types| types.get(kind));
    if let Some(registered) = registered {
        schemas.extend(
            each(registered, "versions").map(|(_, version)| Value::Object(schema(version))),
        );
    }
    schemas
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn types(properties: Value) -> Value {
        json!({ "com.example.upload": { "versions": { "1": { "schema": {
            "type": "object", "properties": properties,
        } } } } })
    }

    #[test]
    fn a_schema_that_breaks_readers_is_said_and_a_further_version_is_not() {
        let old = types(json!({ "id": { "type": "string" }, "size": { "type": "integer" } }));
        let before = json!({ "event_types": old });
        let mut other = before.clone();
        other["event_types"]["com.example.upload"]["versions"]["1"]["schema"]["properties"]["id"] =
            json!({ "type": "integer" });
        let found = findings(&before, &other);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].code, "event_schema_breaks");
        assert_eq!(found[0].severity, Severity::Warning);
        let mut further = before.clone();
        let versions = &mut further["event_types"]["com.example.upload"]["versions"];
        versions["2"] = other["event_types"]["com.example.upload"]["versions"]["1"].clone();
        assert_eq!(findings(&before, &further), []);
        assert!(findings(&further, &before)[0].message.contains("is gone"));
        let all_gone = findings(
            &before,
            &json!({ "event_types": { "com.example.upload": {} } }),
        );
        assert!(all_gone[0].message.contains("version 1"), "{all_gone:?}");
    }

    #[test]
    fn patterns_that_ask_for_unknown_fields_are_refused() {
        let event_types = types(json!({
            "id": { "type": "string" },
            "part": { "type": "object", "properties": { "bytes": { "type": "integer" } } },
        }));
        let asked = |pattern: Value| {
            let subscribers = json!({ "s": { "filter": { "pattern": pattern } } });
            let document = json!({ "event_types": event_types, "subscribers": subscribers });
            let found = unknown_fields(&document);
            assert!(found.iter().all(|one| one.subscriber == "s"));
            found.into_iter().map(|one| one.message).collect::<Vec<_>>()
        };
        let kind = json!(["com.example.upload"]);
        assert_eq!(
            asked(json!({ "type": kind, "data": { "id": ["a"] } })),
            [""; 0]
        );
        let nested = json!({ "part": { "bytes": [{ "numeric": [">", 1] }] } });
        assert_eq!(asked(json!({ "type": kind, "data": nested })), [""; 0]);
        let said = asked(json!({ "type": kind, "data": { "part": { "byte": [1] } } }));
        assert!(
            said.len() == 1 && said[0].contains("`data.part.byte`"),
            "{said:?}"
        );
        let said = asked(json!({ "type": kind, "data": { "part": ["x"] } }));
        assert!(
            said.len() == 1 && said[0].contains("fields of its own"),
            "{said:?}"
        );
        // The gateway's own types are known without being registered.
        let own = json!(["tidegate.revision.applied"]);
        assert_eq!(
            asked(json!({ "type": own, "data": { "environment": ["main"] } })),
            [""; 0]
        );
        assert_eq!(
            asked(json!({ "type": own, "data": { "enviroment": ["main"] } })).len(),
            1
        );
        // Another type that somebody else may publish, and parts of names, say nothing.
        for kinds in [
            json!(["com.example.upload", "org.other"]),
            json!([{ "prefix": "com." }]),
        ] {
            assert_eq!(
                asked(json!({ "type": kinds, "data": { "x": [1] } })),
                [""; 0]
            );
        }
        assert_eq!(asked(json!({ "data": { "x": [1] } })), [""; 0]);
    }
}
