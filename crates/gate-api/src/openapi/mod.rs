//! The API's description: OpenAPI 3.1, made from the operations and the types.
//!
//! [`OPERATIONS`] is the one table of what there is; the server's router is built over it too, so
//! that neither can know an operation that the other does not. Schemas are those of JSON Schema
//! 2020-12, which OpenAPI 3.1 embeds as they are.

mod operation;
mod operations;

pub use operation::{BASE, Gives, Holds, Operation, Query, Shape, Takes};
pub use operations::OPERATIONS;

use operations::DESCRIBED;

use crate::problem::{MEDIA_TYPE, Problem};
use crate::types::Environment;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

/// Paths' names with the pattern of their values. A value is what is left after percent-decoding.
pub const PATH_NAMES: &[(&str, &str)] = &[
    ("environment", "^[a-z0-9][a-z0-9_-]{0,63}$"),
    ("kind", "^[a-z][a-z_]{0,63}$"),
    ("name", "^[A-Za-z0-9][A-Za-z0-9._/*-]{0,127}$"),
    ("id", "^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$"),
    ("state", "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"),
    ("number", "^[1-9][0-9]{0,17}$"),
];

/// The whole description as it is committed: what [`openapi`] makes.
#[must_use]
pub fn description() -> String {
    crate::unpacked(include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz")))
}

/// The whole description, made anew; `cargo xtask gen` writes it down.
#[must_use]
pub fn openapi() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    let problem = generator.subschema_for::<Problem>();
    // What the watch sends is in no answer's schema.
    generator.subschema_for::<Environment>();
    for operation in DESCRIBED {
        let path = paths
            .entry(format!("{BASE}{}", operation.path))
            .or_insert_with(|| json!({}));
        let described = describe(operation, &mut generator, problem.as_value());
        match operation.method {
            // OpenAPI 3.1 knows no other methods; 3.2 calls the place of theirs so.
            "LOCK" | "UNLOCK" => {
                path["x-additionalOperations"][operation.method] = described;
            }
            method => path[method.to_ascii_lowercase()] = described,
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tidegate admin API",
            "version": "1",
            "description": "Revisions, environments, rollouts, records and Terraform states of a gateway. Errors are problems (RFC 9457) with a stable `code`.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "key": [] }, { "session": [] }, {}],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(false),
            "securitySchemes": {
                "key": {
                    "type": "http", "scheme": "bearer",
                    "description": "A key of `gateway.admin.keys`, or a token of the identity provider",
                },
                "basic": {
                    "type": "http", "scheme": "basic",
                    "description": "For Terraform: any name, and a key as the password",
                },
                "session": {
                    "type": "apiKey", "in": "cookie", "name": "tidegate_session",
                    "description": "A console's session; its writes carry `Tidegate-CSRF`",
                },
            },
        },
    })
}

fn good(operation: &Operation<Shape>, generator: &mut SchemaGenerator) -> Value {
    let mut good = json!({ "description": "Done" });
    match operation.gives {
        Gives::Nothing => {}
        Gives::Json(shape) => {
            good["content"]["application/json"]["schema"] = shape(generator).into()
        }
        Gives::Rows(shape) => {
            good["content"]["application/json"]["schema"] = shape(generator).into();
            for other in ["text/csv", "text/plain", "application/vnd.apache.parquet"] {
                good["content"][other] = json!({});
            }
        }
        Gives::Events => {
            good["content"]["text/event-stream"]["schema"] = json!({ "type": "string" })
        }
        Gives::State => good["content"]["application/json"]["schema"] = json!({ "type": "object" }),
        Gives::Elsewhere => {
            good["description"] = "The browser is led on".into();
            good["headers"]["Location"]["schema"] = json!({ "type": "string" });
        }
    }
    good
}

fn describe(
    operation: &Operation<Shape>,
    generator: &mut SchemaGenerator,
    problem: &Value,
) -> Value {
    let good = good(operation, generator);
    let bad = |description: &str| {
        let mut content = Map::new();
        content.insert(MEDIA_TYPE.to_owned(), json!({ "schema": problem }));
        json!({ "description": description, "content": content })
    };
    let mut responses = Map::new();
    responses.insert(operation.status.to_string(), good);
    responses.insert("4XX".to_owned(), bad("The request is refused"));
    responses.insert("5XX".to_owned(), bad("The gateway could not do it"));
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": parameters(operation),
        "responses": responses,
    });
    match operation.takes {
        Takes::Nothing => {}
        Takes::Json(shape) => {
            described["requestBody"] = json!({
                "required": true,
                "content": { "application/json": { "schema": shape(generator) } },
            });
        }
        Takes::Bytes => {
            described["requestBody"] = json!({
                "required": operation.id != "releaseState",
                "content": { "application/json": { "schema": { "type": "object" } } },
            });
        }
    }
    if operation.role.is_none() {
        described["security"] = json!([{}]);
    }
    if operation.path.starts_with("/state/") {
        described["security"] = json!([{ "basic": [] }, { "key": [] }, {}]);
    }
    if let Some(role) = operation.role {
        described["x-role"] = json!(role.as_str());
    }
    described
}

fn parameters(operation: &Operation<Shape>) -> Vec<Value> {
    let mut parameters = Vec::new();
    for (name, pattern) in PATH_NAMES {
        if operation.path.contains(&format!("{{{name}}}")) {
            let schema = match *name {
                "number" => json!({ "type": "integer", "minimum": 1, "maximum": NUMBER_MAX }),
                _ => json!({ "type": "string", "pattern": pattern }),
            };
            parameters.push(json!({
                "name": name, "in": "path", "required": true, "schema": schema,
            }));
        }
    }
    for query in operation.query {
        parameters.push(json!({
            "name": query.name, "in": "query", "required": query.required,
            "description": query.text, "schema": schema(query.holds),
        }));
    }
    let mut header = |name: &str, text: &str, schema: Value| {
        parameters.push(json!({
            "name": name, "in": "header", "required": false, "description": text, "schema": schema,
        }));
    };
    if operation.precondition {
        let text = "The environment's entity tag that the caller saw; refused as stale when it has changed";
        header(
            "If-Match",
            text,
            json!({ "type": "string", "pattern": r#"^("[0-9]{1,18}"|[0-9]{1,18}|\*)$"# }),
        );
    }
    if operation.manager {
        let pattern = MANAGER_PATTERN;
        let text = "Who writes; `api` when left out";
        header(
            "Tidegate-Manager",
            text,
            json!({ "type": "string", "pattern": pattern }),
        );
    }
    if operation.id == "watch" {
        let text = "The id of the last event that was seen";
        header(
            "Last-Event-ID",
            text,
            json!({ "type": "string", "pattern": "^[!-~]{0,64}$" }),
        );
    }
    parameters
}

/// The greatest number of a revision or version.
pub const NUMBER_MAX: u64 = 999_999_999_999_999_999;

/// Names of managers.
pub const MANAGER_PATTERN: &str =
    "^(api|console|(file|terraform):[A-Za-z0-9][A-Za-z0-9._/-]{0,127})$";

/// Most characters of a query parameter that holds text.
pub const TEXT_MAX: usize = 256;

/// Most characters of a query parameter that another program made up: percent-encoded it must fit
/// into a request's target.
pub const OPAQUE_MAX: usize = 2_048;

/// Most rows of a page.
pub const LIMIT_MAX: usize = 1_000;

fn schema(holds: Holds) -> Value {
    match holds {
        Holds::Text => {
            json!({ "type": "string", "minLength": 1, "maxLength": TEXT_MAX, "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]+$" })
        }
        Holds::Opaque => {
            json!({ "type": "string", "minLength": 1, "maxLength": OPAQUE_MAX, "pattern": "^[ -~]+$" })
        }
        Holds::Word(words) => json!({ "type": "string", "enum": words }),
        Holds::Number => json!({ "type": "integer", "minimum": 1, "maximum": NUMBER_MAX }),
        Holds::Limit => json!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX }),
        Holds::Flag => json!({ "type": "boolean" }),
        Holds::Status => json!({ "type": "string", "pattern": "^[1-5]([0-9]{2}|xx|XX)$" }),
        Holds::Day => {
            json!({ "type": "string", "format": "date", "pattern": "^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9])$" })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Every `$ref` below a value.
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    found.insert(reference.clone());
                }
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_schema_is_used() {
        let document = openapi();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for reference in &found {
            let pointer = reference.strip_prefix('#').expect("of this document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for name in schemas.keys() {
            let used = found.contains(&format!("#/components/schemas/{name}"));
            assert!(used || name == "Environment", "{name}");
        }
    }

    #[test]
    fn operations_are_unique_and_their_names_known() {
        let mut seen = BTreeSet::new();
        for operation in OPERATIONS {
            assert!(seen.insert(operation.id), "{}", operation.id);
            assert!(seen.insert(&*format!("{} {}", operation.method, operation.path).leak()));
            assert!(!operation.tag.is_empty(), "{}", operation.id);
            for name in operation
                .path
                .split('/')
                .filter(|part| part.starts_with('{'))
            {
                let name = name.trim_matches(['{', '}']);
                assert!(PATH_NAMES.iter().any(|(known, _)| *known == name), "{name}");
            }
        }
    }

    #[test]
    fn every_change_of_an_environment_heeds_what_its_caller_saw() {
        for operation in OPERATIONS.iter().filter(|one| one.writes()) {
            let parts = ["/environments/", "/rollouts/"];
            let changes = parts.iter().any(|part| operation.path.starts_with(part));
            // What a gate holds is no part of the environment, and has a version of its own.
            let of_gate = operation.path.contains("/gate/");
            let right = changes && operation.id != "plan" && !of_gate;
            assert_eq!(operation.precondition, right, "{}", operation.id);
        }
    }

    #[test]
    fn paths_match_segment_by_segment() {
        let operation = |id: &str| OPERATIONS.iter().find(|one| one.id == id).unwrap();
        let resource = operation("getResource");
        let values = resource.matches("/environments/prod/resources/prices/a%2Fb");
        assert_eq!(values, Some(vec!["prod", "prices", "a%2Fb"]));
        assert_eq!(
            resource.matches("/environments/prod/resources/prices"),
            None
        );
        assert_eq!(operation("me").matches("/me/"), None);
    }
}
