//! Whether what a pattern asks for can be there at all: its fields against a JSON Schema that was
//! registered for the events. Asked when a change is planned; matching knows no schema.

use super::parse::Pattern;
use gate_kit::order::Order;
use serde_json::Value;

/// A field of a pattern that no event of a schema has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownField {
    /// Its name, joined with dots.
    pub field: String,
    /// Its place in the pattern.
    pub place: String,
    /// The first of its names that the schema does not have, and what it has there instead.
    pub instead: Vec<String>,
    /// Whether the schema has it, but with fields of its own: a pattern asks for values.
    pub is_object: bool,
}

/// Most steps through references and alternatives for one field.
const STEPS_MAX: usize = 10_000;
/// Most of them within each other.
const DEPTH_MAX: usize = 64;

impl Pattern {
    /// The fields of this pattern that the schema (JSON Schema 2020-12, `properties`, `items`,
    /// `$ref` within the document, `allOf`, `anyOf`, `oneOf`, `patternProperties` as anything) does
    /// not have, each once.
    ///
    /// A schema that allows further properties is taken at what it lists: a field that it does not
    /// list is as good as misspelled. Only an object that lists none at all, or lists patterns of
    /// names, has any field. A field that is asked to be missing (`exists: false` alone) is asked
    /// for all the same.
    #[must_use]
    pub fn unknown_fields(&self, schema: &Value) -> Vec<UnknownField> {
        let mut unknown: Vec<UnknownField> = Vec::new();
        for condition in self.branches.iter().flatten() {
            if unknown.iter().any(|other| other.field == condition.field) {
                continue;
            }
            let mut search = Search {
                root: schema,
                steps: STEPS_MAX,
                depth: 0,
                furthest: 0,
                instead: Vec::new(),
                is_object: false,
            };
            let names: Vec<&str> = condition.field.split('.').collect();
            if !search.has(schema, &names, 0) {
                search.instead.order();
                search.instead.dedup();
                unknown.push(UnknownField {
                    field: condition.field.clone(),
                    place: condition.place.clone(),
                    instead: search.instead,
                    is_object: search.is_object,
                });
            }
        }
        unknown
    }
}

struct Search<'a> {
    root: &'a Value,
    steps: usize,
    depth: usize,
    /// How many names were found, at best.
    furthest: usize,
    instead: Vec<String>,
    is_object: bool,
}

impl Search<'_> {
    fn has(&mut self, schema: &Value, names: &[&str], found: usize) -> bool {
        if self.steps == 0 || self.depth == DEPTH_MAX {
            // A schema that leads in circles says nothing, so it refuses nothing.
            return true;
        }
        self.steps -= 1;
        self.depth += 1;
        let has = self.has_within(schema, names, found);
        self.depth -= 1;
        has
    }

    fn has_within(&mut self, schema: &Value, names: &[&str], found: usize) -> bool {
        let Value::Object(keywords) = schema else {
            return *schema != Value::Bool(false);
        };
        let mut speaks = false;
        if let Some(Value::String(place)) = keywords.get("$ref") {
            speaks = true;
            let target = place.strip_prefix('#').and_then(|at| self.root.pointer(at));
            let target = target.cloned();
            if target.is_none_or(|target| self.has(&target, names, found)) {
                return true;
            }
        }
        for keyword in ["allOf", "anyOf", "oneOf"] {
            if let Some(Value::Array(parts)) = keywords.get(keyword) {
                speaks |= keyword != "allOf" || !keywords.contains_key("properties");
                let says = |part: &&Value| part.as_object().is_some_and(speaks_of_fields);
                if parts
                    .iter()
                    .filter(says)
                    .any(|part| self.has(part, names, found))
                {
                    return true;
                }
                if keyword != "allOf" && !parts.iter().any(|part| says(&part)) {
                    speaks = false;
                }
            }
        }
        // An array of objects is asked through its elements.
        if let Some(items) = keywords.get("items") {
            speaks = true;
            if self.has(items, names, found) {
                return true;
            }
        }
        let properties = keywords.get("properties").and_then(Value::as_object);
        let Some(properties) = properties.filter(|properties| !properties.is_empty()) else {
            let scalar = keywords.get("type").is_some_and(is_scalar);
            return !speaks && (names.is_empty() || !scalar);
        };
        if names.is_empty() {
            let holds_only_fields = !speaks;
            self.is_object |= holds_only_fields;
            return false;
        }
        if keywords.contains_key("patternProperties") {
            return true;
        }
        // A name with dots in it may be one property.
        for count in 1..=names.len() {
            if let Some(inner) = properties.get(&names[..count].join("."))
                && self.has(inner, &names[count..], found + count)
            {
                return true;
            }
        }
        if !properties.contains_key(names[0]) && found >= self.furthest {
            if found > self.furthest {
                self.instead.clear();
            }
            self.furthest = found;
            self.instead.extend(properties.keys().cloned());
        }
        false
    }
}

fn speaks_of_fields(keywords: &serde_json::Map<String, Value>) -> bool {
    let known = [
        "properties",
        "items",
        "$ref",
        "allOf",
        "anyOf",
        "oneOf",
        "patternProperties",
    ];
    known.iter().any(|known| keywords.contains_key(*known))
}

fn is_scalar(kind: &Value) -> bool {
    let scalar = |kind: &Value| !matches!(kind.as_str(), Some("object" | "array") | None);
    match kind {
        Value::Array(kinds) => kinds.iter().all(scalar),
        kind => scalar(kind),
    }
}
