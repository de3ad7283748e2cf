//! A schema with everything it refers to, as one document of JSON Schema 2020-12.
//!
//! What OpenAPI 3.0 says otherwise (3.0.4, section 4.7.24): `nullable` adds `null` to `type`, boolean
//! `exclusiveMinimum` and `exclusiveMaximum` become the numbers, whatever stands beside a `$ref` means
//! nothing, and `format: byte` is base64. In both editions the integer formats become bounds.

use super::Direction;
use super::circles::refuse_circles;
use crate::openapi::{Api, Edition, REFERENCES_MAX, pointer_of, reference_target};
use gate_model::document::{Node, NodeKind, Path};
use gate_model::finding::Finding;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Most schemas that one schema may lead to.
const DEFS_MAX: usize = 2_000;

/// Keywords whose value maps names to schemas.
const MAPS: [&str; 4] = [
    "properties",
    "patternProperties",
    "$defs",
    "dependentSchemas",
];
/// Keywords whose value is a schema.
const SINGLE: [&str; 12] = [
    "items",
    "additionalProperties",
    "not",
    "contains",
    "propertyNames",
    "if",
    "then",
    "else",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
    "additionalItems",
];
/// Keywords whose value lists schemas.
const LISTS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Words about a schema that decide nothing.
const DROPPED: [&str; 8] = [
    "$schema",
    "example",
    "examples",
    "xml",
    "externalDocs",
    "description",
    "title",
    "$comment",
];

/// Converts the schema at `path`.
pub(super) fn whole(api: &Api, path: &Path, direction: Direction) -> Result<Value, Finding> {
    let mut work = Work {
        api,
        direction,
        names: HashMap::new(),
        waiting: Vec::new(),
    };
    let root = work.name(path)?;
    let mut defs = Map::new();
    while let Some(path) = work.waiting.pop() {
        let name = work.names[&path].clone();
        let Some(node) = api.node(&path) else {
            return Err(refused(&path, "no schema stands here"));
        };
        let schema = work.schema(node, &path)?;
        defs.insert(name, schema);
    }
    refuse_circles(&defs, path)?;
    Ok(json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": format!("#/$defs/{root}"),
        "$defs": defs,
    }))
}

fn refused(path: &Path, message: impl Into<String>) -> Finding {
    Finding::error("invalid_contract", path.clone(), message)
}

struct Work<'a> {
    api: &'a Api,
    direction: Direction,
    names: HashMap<Path, String>,
    waiting: Vec<Path>,
}

impl Work<'_> {
    /// The name among `$defs` of the schema at a path.
    fn name(&mut self, path: &Path) -> Result<String, Finding> {
        if let Some(known) = self.names.get(path) {
            return Ok(known.clone());
        }
        if self.names.len() >= DEFS_MAX {
            let message = format!("the schema leads to more than {DEFS_MAX} others");
            return Err(refused(path, message));
        }
        let name = self.names.len().to_string();
        self.names.insert(path.clone(), name.clone());
        self.waiting.push(path.clone());
        Ok(name)
    }

    fn schema(&mut self, node: &Node, path: &Path) -> Result<Value, Finding> {
        match &node.kind {
            NodeKind::Bool(value) => return Ok(Value::Bool(*value)),
            NodeKind::Mapping(_) => {}
            _ => return Err(refused(path, "a schema is a mapping")),
        }
        let mut schema = Map::new();
        if let Some(Node {
            kind: NodeKind::String(reference),
            ..
        }) = node.get("$ref")
        {
            let at = path.key("$ref");
            let target = reference_target(&self.api.root, reference)
                .map_err(|message| refused(&at, message))?;
            let name = self.name(&target)?;
            schema.insert("$ref".into(), format!("#/$defs/{name}").into());
            if self.api.edition == Edition::V3_0 {
                return Ok(Value::Object(schema));
            }
        }
        // The discriminator comes last: it looks at what the alternatives were named.
        let is_last = |key: &str| key == "discriminator";
        for pass in [false, true] {
            for (key, value) in node.entries() {
                if is_last(&key.text) == pass {
                    self.keyword(&mut schema, &key.text, value, &path.key(&key.text))?;
                }
            }
        }
        if self.api.edition == Edition::V3_0 {
            from_3_0(&mut schema);
        }
        self.not_required(node, &mut schema);
        bound_integers(&mut schema);
        Ok(Value::Object(schema))
    }

    fn keyword(
        &mut self,
        schema: &mut Map<String, Value>,
        name: &str,
        value: &Node,
        at: &Path,
    ) -> Result<(), Finding> {
        let value = match name {
            "$ref" => return Ok(()),
            "$id" | "$anchor" | "$dynamicRef" | "$dynamicAnchor" => {
                let message = format!("`{name}` in a schema is not supported");
                return Err(refused(at, message).help("refer to schemas by their place"));
            }
            "discriminator" => self.discriminator(value, at)?,
            name if DROPPED.contains(&name) || name.starts_with("x-") => return Ok(()),
            name if SINGLE.contains(&name) => self.schema(value, at)?,
            name if MAPS.contains(&name) => {
                let mut map = Map::new();
                for (key, one) in value.entries() {
                    let schema = self.schema(one, &at.key(&key.text))?;
                    map.insert(key.text.clone(), schema);
                }
                Value::Object(map)
            }
            name if LISTS.contains(&name) => {
                let NodeKind::Sequence(items) = &value.kind else {
                    return Err(refused(at, format!("`{name}` is a list of schemas")));
                };
                let mut list = Vec::new();
                for (index, one) in items.iter().enumerate() {
                    list.push(self.schema(one, &at.index(index))?);
                }
                Value::Array(list)
            }
            _ => serde_json::to_value(value).map_err(|error| refused(at, error.to_string()))?,
        };
        schema.insert(name.to_owned(), value);
        Ok(())
    }

    /// `{ propertyName, mapping: { value: "#/$defs/n" } }`: no keyword of JSON Schema, but what tells
    /// an explanation which alternative was meant.
    fn discriminator(&mut self, node: &Node, at: &Path) -> Result<Value, Finding> {
        let Some(NodeKind::String(property)) = node.get("propertyName").map(|one| &one.kind) else {
            return Err(refused(at, "a discriminator names a `propertyName`"));
        };
        let mut mapping = Map::new();
        for (value, target) in node.get("mapping").map_or(&[][..], Node::entries) {
            let NodeKind::String(target) = &target.kind else {
                return Err(refused(&at.key("mapping"), "a mapping leads to texts"));
            };
            let reference = match target.contains(['#', '/', '.']) {
                true => target.clone(),
                false => format!("#/components/schemas/{target}"),
            };
            let at = at.key("mapping").key(&value.text);
            let target = reference_target(&self.api.root, &reference)
                .map_err(|message| refused(&at, message))?;
            let name = self.name(&target)?;
            mapping.insert(value.text.clone(), format!("#/$defs/{name}").into());
        }
        // Without a mapping, values are the names of schemas; only those that are known by now can
        // be among the alternatives.
        for (path, name) in &self.names {
            if let Some(text) = pointer_of(path).strip_prefix("/components/schemas/")
                && !text.contains('/')
            {
                let reference = format!("#/$defs/{name}");
                mapping.entry(text.to_owned()).or_insert(reference.into());
            }
        }
        Ok(json!({ "propertyName": property, "mapping": mapping }))
    }

    /// Takes properties that go the other way out of `required`.
    fn not_required(&self, node: &Node, schema: &mut Map<String, Value>) {
        let word = match self.direction {
            Direction::Request => "readOnly",
            Direction::Response => "writeOnly",
        };
        let Some(Value::Array(required)) = schema.get_mut("required") else {
            return;
        };
        let Some(properties) = node.get("properties") else {
            return;
        };
        let goes_other_way = |name: &str| {
            let mut at = properties.get(name)?;
            for _ in 0..REFERENCES_MAX {
                if let Some(flag) = at.get(word) {
                    return Some(matches!(flag.kind, NodeKind::Bool(true)));
                }
                let NodeKind::String(reference) = &at.get("$ref")?.kind else {
                    return None;
                };
                let path = reference_target(&self.api.root, reference).ok()?;
                at = self.api.node(&path)?;
            }
            None
        };
        required.retain(|name| {
            let other_way = name.as_str().and_then(goes_other_way);
            other_way != Some(true)
        });
        if required.is_empty() {
            schema.remove("required");
        }
    }
}

/// Translates the keywords of one schema object of 3.0.
fn from_3_0(schema: &mut Map<String, Value>) {
    for (flag, bound) in [
        ("exclusiveMinimum", "minimum"),
        ("exclusiveMaximum", "maximum"),
    ] {
        if let Some(Value::Bool(exclusive)) = schema.get(flag) {
            let exclusive = *exclusive;
            schema.remove(flag);
            if exclusive && let Some(limit) = schema.remove(bound) {
                schema.insert(flag.to_owned(), limit);
            }
        }
    }
    if schema.remove("nullable") == Some(Value::Bool(true))
        && let Some(Value::String(kind)) = schema.get("type")
    {
        let kinds = json!([kind, "null"]);
        schema.insert("type".into(), kinds);
    }
    if schema.get("format") == Some(&json!("byte")) {
        schema.remove("format");
        schema.insert("contentEncoding".into(), "base64".into());
        schema.insert("pattern".into(), "^[A-Za-z0-9+/\\r\\n]*={0,2}$".into());
    }
}

/// `int32` and `int64` as bounds, where the schema has none of its own on that side.
fn bound_integers(schema: &mut Map<String, Value>) {
    let (least, most) = match schema.get("format").and_then(Value::as_str) {
        Some("int32") => (i64::from(i32::MIN), i64::from(i32::MAX)),
        Some("int64") => (i64::MIN, i64::MAX),
        _ => return,
    };
    if !schema.contains_key("minimum") && !schema.contains_key("exclusiveMinimum") {
        schema.insert("minimum".into(), least.into());
    }
    if !schema.contains_key("maximum") && !schema.contains_key("exclusiveMaximum") {
        schema.insert("maximum".into(), most.into());
    }
}
