//! Reference text of one field, from the JSON Schema of the configuration.
//!
//! The schema is the one that schemars derives from the configuration types (2020-12, with `$defs`
//! and `$ref`), so `explain` cannot disagree with what is parsed. Nothing here knows a kind of
//! resource, a terminal or colours.

mod render;

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
    Ok(render::render(schema, found, path))
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

#[cfg(test)]
mod tests;
