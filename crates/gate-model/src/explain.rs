//! Reference text of one field, from the JSON Schema of the configuration.
//!
//! The schema is the one that schemars derives from the configuration types (2020-12, with `$defs`
//! and `$ref`), so `explain` cannot disagree with what is parsed. Nothing here knows a kind of
//! resource, a terminal or colours.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use crate::document::{Path, Segment};
use crate::suggest::nearest;

/// The most references followed from one schema to the next; schemars needs one or two.
const REFERENCES_MAX: usize = 16;
/// The most steps of a path; documents are no deeper.
const STEPS_MAX: usize = crate::document::DEPTH_MAX;
/// The most elements entered during one search: two readings of each step, with room to spare.
const LOOKS_MAX: u32 = 500;
/// Descriptions are wrapped at this many columns.
const WIDTH: usize = 88;

/// A path that leads nowhere in the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct UnknownField {
    /// The step that is not known.
    pub name: String,
    /// The path above it, empty at the top.
    pub above: String,
    /// The valid name most like it.
    pub nearest: Option<String>,
    /// All valid names there, sorted; empty when the value has no fields.
    pub valid: Vec<String>,
}

impl UnknownField {
    fn text(&self) -> String {
        let mut text = format!("unknown field `{}`", self.name);
        if !self.above.is_empty() {
            let _ = write!(text, " below `{}`", self.above);
        }
        if self.valid.is_empty() {
            text.push_str("; there are no fields there");
        } else {
            let _ = write!(text, "; expected one of {}", self.valid.join(", "));
        }
        if let Some(near) = &self.nearest {
            let _ = write!(text, "; did you mean `{near}`?");
        }
        text
    }
}

/// The reference of the field at `path` as plain text: type, description, default, constraints,
/// choices and fields. The levels of named things and of lists may be left out
/// (`routes.match.host`), written with a name (`routes.orders.match.host`), as `*`, or as an index.
/// The empty path explains the whole document.
pub fn explain(schema: &Value, path: &str) -> Result<String, UnknownField> {
    let steps = steps_of(path)?;
    let search = Search {
        root: schema,
        left: Cell::new(LOOKS_MAX),
    };
    let found = search.find(
        Field {
            schema,
            about: None,
        },
        &steps,
        "",
    )?;
    Ok(render(schema, found, path))
}

/// The names of the path; indexes become `*`.
fn steps_of(path: &str) -> Result<Vec<String>, UnknownField> {
    let nowhere = || UnknownField {
        name: path.chars().take(80).collect(),
        above: String::new(),
        nearest: None,
        valid: Vec::new(),
    };
    // `policies[]` is how many tools write "each element".
    let path = path
        .replace("[]", "[0]")
        .parse::<Path>()
        .map_err(|_| nowhere())?;
    if path.segments().len() > STEPS_MAX {
        return Err(nowhere());
    }
    let name = |segment: &Segment| match segment {
        Segment::Key(name) => name.clone(),
        Segment::Index(_) => "*".to_owned(),
    };
    Ok(path.segments().iter().map(name).collect())
}

/// A field's schema, and its description where that stands outside of the schema.
#[derive(Clone, Copy)]
struct Field<'s> {
    schema: &'s Value,
    about: Option<&'s str>,
}

/// A search through a schema that may refer to itself.
struct Search<'s> {
    root: &'s Value,
    /// How many more schemas may be looked at.
    left: Cell<u32>,
}

impl<'s> Search<'s> {
    /// Follows `steps` from `field`. A step is a field of the value, else a field of its elements,
    /// else the name of an element.
    fn find(
        &self,
        field: Field<'s>,
        steps: &[String],
        above: &str,
    ) -> Result<Field<'s>, UnknownField> {
        let Some((name, rest)) = steps.split_first() else {
            return Ok(field);
        };
        let here = if above.is_empty() {
            name.clone()
        } else {
            format!("{above}.{name}")
        };
        let fields = fields(self.root, field.schema);
        if let Some(below) = fields.get(name.as_str()) {
            return self.find(*below, rest, &here);
        }
        let element = element(self.root, field.schema).filter(|_| self.left.get() > 0);
        let Some((schema, named)) = element else {
            return Err(unknown(name, above, fields.keys().copied()));
        };
        self.left.set(self.left.get() - 1);
        let element = Field {
            schema,
            about: None,
        };
        if name == "*" {
            return self.find(element, rest, &here);
        }
        // A map of itself has no other fields behind its names.
        if std::ptr::eq(resolve(self.root, schema), resolve(self.root, field.schema)) {
            return self.find(element, rest, &here);
        }
        let skipped = match self.find(element, steps, above) {
            Err(error) if named => error,
            result => return result,
        };
        self.find(element, rest, &here).map_err(|further| {
            // Both readings failed. The step was hardly meant as a name when it is a field of the
            // elements or resembles one.
            let failed_here = skipped.name == *name && skipped.above == above;
            if failed_here && skipped.nearest.is_none() {
                further
            } else {
                skipped
            }
        })
    }
}

fn unknown<'n>(name: &str, above: &str, valid: impl Iterator<Item = &'n str>) -> UnknownField {
    let valid: Vec<String> = valid.map(str::to_owned).collect();
    let nearest = nearest(name, valid.iter().map(String::as_str)).map(str::to_owned);
    UnknownField {
        name: name.to_owned(),
        above: above.to_owned(),
        nearest,
        valid,
    }
}

/// The schema that `$ref` names, through chains; itself when there is none.
fn resolve<'s>(root: &'s Value, mut schema: &'s Value) -> &'s Value {
    for _ in 0..REFERENCES_MAX {
        let target = schema["$ref"]
            .as_str()
            .and_then(|name| name.strip_prefix('#'));
        match target.and_then(|pointer| root.pointer(pointer)) {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

/// The schema itself and every alternative of it, `null` left out: what `Option` and enums become.
fn alternatives<'s>(root: &'s Value, schema: &'s Value) -> Vec<&'s Value> {
    fn collect<'s>(root: &'s Value, schema: &'s Value, depth: usize, out: &mut Vec<&'s Value>) {
        let schema = resolve(root, schema);
        if depth > REFERENCES_MAX || schema["type"] == "null" {
            return;
        }
        out.push(schema);
        for word in ["anyOf", "oneOf", "allOf"] {
            for inner in schema[word].as_array().into_iter().flatten() {
                collect(root, inner, depth + 1, out);
            }
        }
    }
    let mut out = Vec::new();
    collect(root, schema, 0, &mut out);
    out
}

/// The named fields of a value, those of all alternatives together (an enum's choices are fields).
fn fields<'s>(root: &'s Value, schema: &'s Value) -> BTreeMap<&'s str, Field<'s>> {
    let mut fields = BTreeMap::new();
    let choices = is_choice(root, schema);
    for alternative in alternatives(root, schema) {
        // schemars puts a choice's description on the object around its only field.
        let about = alternative["description"].as_str();
        let about = about.filter(|_| choices && is_tagged(alternative));
        for (name, schema) in alternative["properties"].as_object().into_iter().flatten() {
            fields
                .entry(name.as_str())
                .or_insert(Field { schema, about });
        }
    }
    fields
}

/// The schema of a list's or map's elements, and whether they have names (a map).
fn element<'s>(root: &'s Value, schema: &'s Value) -> Option<(&'s Value, bool)> {
    alternatives(root, schema)
        .into_iter()
        .find_map(|alternative| {
            let named = &alternative["additionalProperties"];
            if named.is_object() || *named == true {
                return Some((named, true));
            }
            let items = &alternative["items"];
            items.is_object().then_some((items, false))
        })
}

fn render(root: &Value, field: Field<'_>, path: &str) -> String {
    let schema = field.schema;
    let title = if path.is_empty() {
        "the document"
    } else {
        path
    };
    let mut out = format!("{title}: {}\n", type_name(root, schema));
    if let Some(description) = description(root, field) {
        let _ = write!(out, "\n{}", wrap(&description));
    }
    let facts = facts(root, schema);
    if !facts.is_empty() {
        out.push('\n');
        for (name, value) in facts {
            let _ = writeln!(out, "{name}: {value}");
        }
    }
    write_rows(&mut out, "Values", values(root, schema));
    let (inner, heading) = match element(root, schema) {
        Some((element, _)) => (element, "Fields of each element"),
        None => (schema, "Fields"),
    };
    let heading = if is_choice(root, inner) {
        "Choices"
    } else {
        heading
    };
    write_rows(&mut out, heading, field_rows(root, inner));
    if element(root, schema).is_some() {
        write_rows(&mut out, "Values of each element", values(root, inner));
    }
    out
}

/// The description beside a reference says more about the field than that of the type; the type's
/// follows when it says how a quantity is written.
fn description(root: &Value, field: Field<'_>) -> Option<String> {
    let schema = field.schema;
    let own = field.about.or(schema["description"].as_str());
    let shapes = alternatives(root, schema);
    let form = shapes.iter().filter(|shape| shape["pattern"].is_string());
    let form = form
        .filter_map(|shape| shape["description"].as_str())
        .find(|form| own != Some(form));
    match (own, form) {
        (Some(own), Some(form)) => Some(format!("{own}\n\n{form}")),
        (Some(own), None) => Some(own.to_owned()),
        (None, _) => shapes
            .iter()
            .find_map(|shape| shape["description"].as_str())
            .map(str::to_owned),
    }
}

/// Default and constraints, in a fixed order.
fn facts(root: &Value, schema: &Value) -> Vec<(&'static str, String)> {
    const NAMES: [(&str, &str); 11] = [
        ("minimum", "At least"),
        ("exclusiveMinimum", "More than"),
        ("maximum", "At most"),
        ("exclusiveMaximum", "Less than"),
        ("minLength", "Characters at least"),
        ("maxLength", "Characters at most"),
        ("minItems", "Items at least"),
        ("maxItems", "Items at most"),
        ("multipleOf", "Multiple of"),
        ("pattern", "Pattern"),
        ("examples", "Examples"),
    ];
    let mut facts = Vec::new();
    match &schema["default"] {
        Value::Null => {}
        default => facts.push(("Default", plain(default))),
    }
    let views: Vec<_> = std::iter::once(schema)
        .chain(alternatives(root, schema).into_iter().take(2))
        .collect();
    for (word, name) in NAMES {
        let value = views
            .iter()
            .map(|view| &view[word])
            .find(|value| !value.is_null());
        match value {
            Some(Value::Array(examples)) => {
                facts.push((
                    name,
                    examples.iter().map(plain).collect::<Vec<_>>().join(", "),
                ));
            }
            Some(value) => facts.push((name, plain(value))),
            None => {}
        }
    }
    facts
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The fixed values of an enum, each with the first sentence of its description.
fn values(root: &Value, schema: &Value) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for alternative in alternatives(root, schema) {
        let text = first_sentence(alternative["description"].as_str().unwrap_or_default());
        if !alternative["const"].is_null() {
            rows.push((plain(&alternative["const"]), text));
            continue;
        }
        for value in alternative["enum"].as_array().into_iter().flatten() {
            rows.push((plain(value), String::new()));
        }
    }
    rows
}

fn field_rows(root: &Value, schema: &Value) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for alternative in alternatives(root, schema) {
        let choice = is_tagged(alternative) && is_choice(root, schema);
        for (name, field) in alternative["properties"].as_object().into_iter().flatten() {
            let required = alternative["required"]
                .as_array()
                .is_some_and(|names| names.iter().any(|required| required == name.as_str()));
            let mark = if required && !choice {
                ", required"
            } else {
                ""
            };
            let about = alternative["description"].as_str().filter(|_| choice);
            let about = description(
                root,
                Field {
                    schema: field,
                    about,
                },
            );
            let about = first_sentence(&about.unwrap_or_default());
            let kind = format!("({}{mark})", type_name(root, field));
            rows.push((
                name.clone(),
                format!("{about} {kind}").trim_start().to_owned(),
            ));
        }
    }
    rows
}

/// Whether this is one choice of an externally tagged enum: an object with exactly one field.
fn is_tagged(schema: &Value) -> bool {
    let fields = schema["properties"]
        .as_object()
        .map_or(0, serde_json::Map::len);
    fields == 1
        && schema["required"]
            .as_array()
            .is_some_and(|names| names.len() == 1)
}

fn is_choice(root: &Value, schema: &Value) -> bool {
    alternatives(root, schema).into_iter().any(|alternative| {
        alternative["oneOf"]
            .as_array()
            .is_some_and(|choices| choices.iter().any(is_tagged))
    })
}

fn type_name(root: &Value, schema: &Value) -> String {
    if let Some((element, named)) = element(root, schema) {
        // One level only: elements of elements are explained at their own path.
        let inner = resolve(root, element);
        let name = reference_name(element).or_else(|| simple_type(inner));
        let name = name.unwrap_or_else(|| "any value".to_owned());
        return if named {
            format!("mapping of names to {name}")
        } else {
            format!("list of {name}")
        };
    }
    if is_choice(root, schema) {
        return "one of the choices".to_owned();
    }
    let shapes = alternatives(root, schema);
    if !values(root, schema).is_empty() {
        return "one of the values".to_owned();
    }
    let name = shapes.into_iter().find_map(simple_type);
    name.unwrap_or_else(|| "any value".to_owned())
}

fn reference_name(schema: &Value) -> Option<String> {
    schema["$ref"]
        .as_str()?
        .rsplit('/')
        .next()
        .map(str::to_owned)
}

fn simple_type(schema: &Value) -> Option<String> {
    let words = |kind: &str| match kind {
        "object" => Some("mapping"),
        "array" => Some("list"),
        "integer" => Some("whole number"),
        "number" => Some("number"),
        "boolean" => Some("true or false"),
        "string" => Some("text"),
        _ => None,
    };
    match &schema["type"] {
        Value::String(kind) => words(kind).map(str::to_owned),
        Value::Array(kinds) => {
            let names: Vec<_> = kinds
                .iter()
                .filter_map(Value::as_str)
                .filter_map(words)
                .collect();
            (!names.is_empty()).then(|| names.join(" or "))
        }
        _ => None,
    }
}

fn write_rows(out: &mut String, heading: &str, rows: Vec<(String, String)>) {
    if rows.is_empty() {
        return;
    }
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let _ = writeln!(out, "\n{heading}:");
    for (name, about) in rows {
        let line = format!("  {name:width$}  {about}");
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// Up to the first full stop that ends a sentence, on one line.
fn first_sentence(text: &str) -> String {
    let text = text.split("\n\n").next().unwrap_or(text).replace('\n', " ");
    match text.find(". ") {
        Some(end) => text[..=end].to_owned(),
        None => text,
    }
}

/// Paragraphs, wrapped at [`WIDTH`] columns; each line ends with a line feed.
fn wrap(text: &str) -> String {
    let mut out = String::new();
    for (position, paragraph) in text.split("\n\n").enumerate() {
        if position > 0 {
            out.push('\n');
        }
        let mut column = 0;
        for word in paragraph.split_whitespace() {
            let length = word.chars().count();
            if column > 0 && column + 1 + length > WIDTH {
                out.push('\n');
                column = 0;
            } else if column > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += length;
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
