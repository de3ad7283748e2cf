//! Google's subset of OpenAPI schemas into JSON Schema.
//!
//! Types are spelt in capitals, numbers of 64 bits as strings, and null is a flag
//! (<https://ai.google.dev/api/caching#Schema>). Members that only say how to write the answer
//! (`propertyOrdering`) are left out: the order of the properties says it too. The way back needs
//! none: Google takes JSON Schema in members of its own.

use crate::DialectError;
use crate::json::object::Raw;
use serde_json::{Map, Value};

/// JSON Schema that says the same.
pub(super) fn json_schema(raw: Raw<'_>, field: &'static str) -> Result<String, DialectError> {
    let schema: Map<String, Value> = serde_json::from_str(raw.get())
        .map_err(|_| DialectError::wrong_type(field, "an object"))?;
    Ok(Value::Object(convert(schema)).to_string())
}

/// Converts one level and those below it, whose depth the reader of JSON has bounded.
fn convert(schema: Map<String, Value>) -> Map<String, Value> {
    let mut made = Map::new();
    let mut nullable = false;
    for (name, value) in schema {
        let (name, value) = match (name.as_str(), value) {
            ("nullable", flag) => {
                nullable = flag == true;
                continue;
            }
            ("propertyOrdering" | "property_ordering", _) => continue,
            ("type", Value::String(kind)) if kind == "TYPE_UNSPECIFIED" => continue,
            ("type", Value::String(kind)) => ("type", kind.to_ascii_lowercase().into()),
            ("format", Value::String(format)) if format == "enum" => continue,
            ("properties" | "$defs" | "defs", Value::Object(named)) => {
                let key = if name == "properties" {
                    "properties"
                } else {
                    "$defs"
                };
                (key, Value::Object(each(named)))
            }
            ("anyOf" | "any_of", Value::Array(choices)) => {
                ("anyOf", choices.into_iter().map(inner).collect())
            }
            ("items" | "additionalProperties", value) => (name.as_str(), inner(value)),
            ("additional_properties", value) => ("additionalProperties", inner(value)),
            ("minItems" | "min_items", value) => ("minItems", number(value)),
            ("maxItems" | "max_items", value) => ("maxItems", number(value)),
            ("minLength" | "min_length", value) => ("minLength", number(value)),
            ("maxLength" | "max_length", value) => ("maxLength", number(value)),
            ("minProperties" | "min_properties", value) => ("minProperties", number(value)),
            ("maxProperties" | "max_properties", value) => ("maxProperties", number(value)),
            (_, value) => (name.as_str(), value),
        };
        made.insert(name.to_owned(), value);
    }
    if nullable {
        allow_null(&mut made);
    }
    made
}

fn inner(value: Value) -> Value {
    match value {
        Value::Object(schema) => Value::Object(convert(schema)),
        other => other,
    }
}

fn each(named: Map<String, Value>) -> Map<String, Value> {
    let convert = |(name, value)| (name, inner(value));
    named.into_iter().map(convert).collect()
}

/// A number of 64 bits, which may be spelt as a string.
fn number(value: Value) -> Value {
    match value.as_str().map(str::parse::<u64>) {
        Some(Ok(number)) => number.into(),
        _ => value,
    }
}

fn allow_null(schema: &mut Map<String, Value>) {
    if let Some(kind) = schema.get_mut("type") {
        *kind = Value::Array(vec![kind.take(), "null".into()]);
    } else if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.push(serde_json::json!({ "type": "null" }));
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::object::Object;

    #[test]
    fn types_numbers_and_nulls_are_respelt() {
        let document = r#"{"s":{"type":"OBJECT","properties":{"type":{"type":"STRING",
            "nullable":true,"enum":["a"],"format":"enum"},"min_items":{"type":"ARRAY",
            "items":{"type":"INTEGER","format":"int64"},"min_items":"1"}},
            "propertyOrdering":["min_items"],"required":["type"],
            "any_of":[{"type":"NUMBER"}]}}"#;
        let object = Object::parse(document.as_bytes()).unwrap();
        let made = json_schema(object.get("s").unwrap(), "s").unwrap();
        assert_eq!(
            made,
            concat!(
                r#"{"type":"object","properties":{"type":{"type":["string","null"],"#,
                r#""enum":["a",null]},"min_items":{"type":"array","items":{"type":"integer","#,
                r#""format":"int64"},"minItems":1}},"required":["type"],"#,
                r#""anyOf":[{"type":"number"}]}"#
            )
        );
    }

    #[test]
    fn what_is_json_schema_already_stays_as_it_is() {
        let schema = r#"{"type":"object","properties":{"a":{"type":["string","null"],"default":{"type":"X"}}},"additionalProperties":false}"#;
        let document = format!("{{\"s\":{schema}}}");
        let object = Object::parse(document.as_bytes()).unwrap();
        assert_eq!(json_schema(object.get("s").unwrap(), "s").unwrap(), schema);
        let list = Object::parse(br#"{"s":[]}"#).unwrap();
        assert!(json_schema(list.get("s").unwrap(), "s").is_err());
    }
}
