//! The JSON Schema of the configuration, and the few questions that reference pages ask it.
//!
//! The schema is what `tidegate schema` prints, so that pages and editors say the same. Nothing
//! here knows a kind of resource.

use serde_json::{Map, Value};

/// A parsed schema with its definitions.
pub(super) struct Schema {
    /// The whole document.
    pub(super) root: Value,
}

impl Schema {
    /// A definition by name.
    pub(super) fn definition(&self, name: &str) -> Option<&Value> {
        self.root.get("$defs")?.get(name)
    }

    /// The name of the definition that `schema` refers to, also through a list of one.
    pub(super) fn reference<'a>(&self, schema: &'a Value) -> Option<&'a str> {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            return name.strip_prefix("#/$defs/");
        }
        let alternatives = ["allOf", "anyOf", "oneOf"]
            .iter()
            .find_map(|key| schema.get(key)?.as_array())?;
        let mut real = alternatives.iter().filter(|one| !is_null(one));
        match (real.next(), real.next()) {
            (Some(one), None) => self.reference(one),
            _ => None,
        }
    }

    /// The schema itself, or what it refers to.
    pub(super) fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        // A chain of references is short; a circle would be a fault of the schema.
        for _ in 0..8 {
            match self
                .reference(schema)
                .and_then(|name| self.definition(name))
            {
                Some(definition) => schema = definition,
                None => break,
            }
        }
        schema
    }

    /// The settings of a component: the property `name` of whatever `place` allows.
    pub(super) fn component<'a>(&'a self, place: &'a Value, name: &str) -> Option<&'a Value> {
        let place = self.resolve(place);
        if let Some(found) = place
            .get("properties")
            .and_then(|properties| properties.get(name))
        {
            return Some(found);
        }
        ["oneOf", "anyOf", "allOf"].iter().find_map(|key| {
            let alternatives = place.get(key)?.as_array()?;
            alternatives
                .iter()
                .find_map(|one| self.component(one, name))
        })
    }

    /// Walks down properties, list items and values of maps: `["routes", "*", "policies", "[]"]`.
    pub(super) fn walk(&self, steps: &[&str]) -> Option<&Value> {
        let mut schema = &self.root;
        for step in steps {
            let here = self.resolve(schema);
            schema = match *step {
                "*" => here.get("additionalProperties")?,
                "[]" => here.get("items")?,
                name => here.get("properties")?.get(name)?,
            };
        }
        Some(schema)
    }
}

/// Whether a schema allows only null.
pub(super) fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

/// A schema's properties.
pub(super) fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties")?.as_object()
}

/// A schema's description.
pub(super) fn description(schema: &Value) -> &str {
    schema
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn components_are_found_through_references_and_alternatives() {
        let root = json!({
            "properties": { "routes": { "additionalProperties": { "$ref": "#/$defs/Route" } } },
            "$defs": {
                "Route": { "properties": { "policies": { "items": { "$ref": "#/$defs/Step" } } } },
                "Step": { "oneOf": [
                    { "properties": { "ip": { "$ref": "#/$defs/Ip" } }, "required": ["ip"] },
                    { "allOf": [{ "properties": { "limit": { "type": "object" } } }] },
                ] },
                "Ip": { "type": "object" },
            },
        });
        let schema = Schema { root };
        let place = schema.walk(&["routes", "*", "policies", "[]"]).unwrap();
        let ip = schema.component(place, "ip").unwrap();
        assert_eq!(schema.reference(ip), Some("Ip"));
        assert!(schema.component(place, "limit").is_some());
        assert!(schema.component(place, "unknown").is_none());
        assert!(schema.walk(&["upstreams"]).is_none());
    }

    #[test]
    fn an_optional_reference_is_a_reference() {
        let schema = Schema { root: json!({}) };
        let optional = json!({ "anyOf": [{ "$ref": "#/$defs/A" }, { "type": "null" }] });
        assert_eq!(schema.reference(&optional), Some("A"));
        let either = json!({ "anyOf": [{ "$ref": "#/$defs/A" }, { "$ref": "#/$defs/B" }] });
        assert_eq!(schema.reference(&either), None);
    }
}
