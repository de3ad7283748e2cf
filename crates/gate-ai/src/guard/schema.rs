//! JSON Schema, checked within a budget of steps.
//!
//! Schemas of tools come from callers and values from models, so both may be hostile: a check that
//! branches without end, or that follows references in a circle, must end like any other. Every
//! look at a value through a schema costs a step, and a check that runs out of them says so instead
//! of guessing. References lead inside the same document only; nothing is ever fetched.
//!
//! Keywords are those of JSON Schema 2020-12 and the older spellings that vendors still take
//! (<https://json-schema.org/draft/2020-12/json-schema-validation>); `format` is an annotation, as
//! the standard has it by default. What constrains and is not known here (`unevaluated*`, dynamic
//! references) makes a schema that cannot be checked, which is never taken for one that holds.

mod keywords;

use regex::Regex;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Longest schema, in bytes.
pub const SCHEMA_MAX: usize = 256 * 1024;
/// Steps of one check: some milliseconds.
const STEPS_MAX: u32 = 200_000;
/// Deepest nesting of schemas within each other while checking.
const DEPTH_MAX: u32 = 96;
/// Most patterns of one schema.
const PATTERNS_MAX: usize = 256;
/// Bytes that one compiled pattern may take.
const PATTERN_BYTES: usize = 256 * 1024;

/// Keywords that constrain and that are not checked here.
const UNCHECKED: [&str; 6] = [
    "unevaluatedProperties",
    "unevaluatedItems",
    "$dynamicRef",
    "$recursiveRef",
    "extends",
    "disallow",
];

/// Why a schema cannot be checked, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SchemaError(pub String);

/// What a value did not hold to. It names keywords only, never the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// The text is no JSON.
    NotJson,
    /// This keyword of the schema does not hold.
    Keyword(&'static str),
    /// The check takes more steps than one may have.
    TooCostly,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotJson => f.write_str("it is no JSON"),
            Self::Keyword(keyword) => write!(f, "`{keyword}` does not hold"),
            Self::TooCostly => f.write_str("checking it takes too many steps"),
        }
    }
}

/// A schema that can be checked.
#[derive(Debug)]
pub struct Schema {
    root: Value,
    /// By their text.
    patterns: HashMap<String, Regex>,
}

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// [`SchemaError`] when it is no schema, too large, or holds what cannot be checked.
    pub fn new(text: &str) -> Result<Self, SchemaError> {
        if text.len() > SCHEMA_MAX {
            let message = format!("a schema of more than {SCHEMA_MAX} bytes is not checked");
            return Err(SchemaError(message));
        }
        let root: Value =
            serde_json::from_str(text).map_err(|error| SchemaError(error.to_string()))?;
        let mut patterns = HashMap::new();
        survey(&root, &root, &mut patterns)?;
        Ok(Self { root, patterns })
    }

    /// Whether a text is JSON that the schema allows.
    ///
    /// # Errors
    /// The first [`Mismatch`].
    pub fn check_text(&self, text: &str) -> Result<(), Mismatch> {
        let value: Value = serde_json::from_str(text).map_err(|_| Mismatch::NotJson)?;
        self.check(&value)
    }

    /// Whether the schema allows a value.
    ///
    /// # Errors
    /// The first [`Mismatch`].
    pub fn check(&self, value: &Value) -> Result<(), Mismatch> {
        let mut check = Check {
            schema: self,
            steps: STEPS_MAX,
            depth: 0,
        };
        check.value(&self.root, value)
    }
}

/// Where schemas stand inside a schema: under these names directly, in a list, or by name.
const ONE: [&str; 10] = [
    "additionalItems",
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "contentSchema",
];
const LISTS: [&str; 5] = ["allOf", "anyOf", "oneOf", "prefixItems", "items"];
const NAMED: [&str; 6] = [
    "$defs",
    "definitions",
    "dependentSchemas",
    "dependencies",
    "patternProperties",
    "properties",
];

/// Looks at every schema inside of `schema` once; JSON's own limit bounds the depth.
fn survey(
    root: &Value,
    schema: &Value,
    patterns: &mut HashMap<String, Regex>,
) -> Result<(), SchemaError> {
    let Value::Object(members) = schema else {
        return match schema {
            Value::Bool(_) => Ok(()),
            _ => Err(SchemaError(
                "a schema is an object, `true` or `false`".into(),
            )),
        };
    };
    if let Some(keyword) = UNCHECKED.iter().find(|name| members.contains_key(**name)) {
        return Err(SchemaError(format!("`{keyword}` is not checked")));
    }
    if let Some(to) = members.get("$ref") {
        let found = to.as_str().and_then(|to| resolve(root, to));
        if found.is_none() {
            return Err(SchemaError(
                "a `$ref` leads to no place in the same schema".into(),
            ));
        }
    }
    if let Some(pattern) = members.get("pattern") {
        compile(pattern.as_str().unwrap_or_default(), patterns)?;
    }
    if let Some(Value::Object(named)) = members.get("patternProperties") {
        for pattern in named.keys() {
            compile(pattern, patterns)?;
        }
    }
    let is_schema = |value: &&Value| value.is_object() || value.is_boolean();
    for name in ONE {
        if let Some(inner) = members.get(name).filter(is_schema) {
            survey(root, inner, patterns)?;
        }
    }
    for name in LISTS {
        if let Some(Value::Array(list)) = members.get(name) {
            for inner in list {
                survey(root, inner, patterns)?;
            }
        }
    }
    for name in NAMED {
        if let Some(Value::Object(named)) = members.get(name) {
            for inner in named.values().filter(is_schema) {
                survey(root, inner, patterns)?;
            }
        }
    }
    Ok(())
}

fn compile(pattern: &str, patterns: &mut HashMap<String, Regex>) -> Result<(), SchemaError> {
    if patterns.contains_key(pattern) {
        return Ok(());
    }
    if patterns.len() >= PATTERNS_MAX {
        return Err(SchemaError(format!(
            "a schema with more than {PATTERNS_MAX} patterns is not checked"
        )));
    }
    let made = regex::RegexBuilder::new(pattern)
        .size_limit(PATTERN_BYTES)
        .build()
        .map_err(|_| SchemaError("a `pattern` cannot be checked in linear time".into()))?;
    patterns.insert(pattern.to_owned(), made);
    Ok(())
}

/// The schema that a reference within the document leads to (RFC 6901 behind `#`).
fn resolve<'s>(root: &'s Value, to: &str) -> Option<&'s Value> {
    // In a fragment, `%` begins an escape, which no vendor's schemas have: such a reference leads
    // nowhere and makes the schema one that cannot be checked.
    to.strip_prefix('#')
        .and_then(|pointer| root.pointer(pointer))
}

/// One check of one value.
struct Check<'s> {
    schema: &'s Schema,
    steps: u32,
    depth: u32,
}

type Held = Result<(), Mismatch>;

/// Whether a keyword holds.
fn holds(keyword: &'static str, holds: bool) -> Held {
    match holds {
        true => Ok(()),
        false => Err(Mismatch::Keyword(keyword)),
    }
}

impl<'s> Check<'s> {
    fn step(&mut self) -> Held {
        self.steps = self.steps.checked_sub(1).ok_or(Mismatch::TooCostly)?;
        Ok(())
    }

    /// Whether `value` holds to `schema`.
    fn value(&mut self, schema: &'s Value, value: &Value) -> Held {
        self.step()?;
        if self.depth >= DEPTH_MAX {
            return Err(Mismatch::TooCostly);
        }
        self.depth += 1;
        let held = match schema {
            Value::Bool(allowed) => holds("false", *allowed),
            Value::Object(members) => self.keywords(members, value),
            _ => Ok(()),
        };
        self.depth -= 1;
        held
    }

    /// The same as a question; only running out of steps is an error.
    fn is(&mut self, schema: &'s Value, value: &Value) -> Result<bool, Mismatch> {
        match self.value(schema, value) {
            Ok(()) => Ok(true),
            Err(Mismatch::TooCostly) => Err(Mismatch::TooCostly),
            Err(_) => Ok(false),
        }
    }

    fn keywords(&mut self, members: &'s Map<String, Value>, value: &Value) -> Held {
        if let Some(Value::String(to)) = members.get("$ref")
            && let Some(inner) = resolve(&self.schema.root, to)
        {
            self.value(inner, value)?;
        }
        self.any_value(members, value)?;
        match value {
            Value::Number(number) => keywords::number(members, number)?,
            Value::String(text) => self.string(members, text)?,
            Value::Array(items) => self.list(members, items)?,
            Value::Object(object) => self.object(members, object)?,
            Value::Null | Value::Bool(_) => {}
        }
        self.combined(members, value)
    }
}

#[cfg(test)]
mod tests;
