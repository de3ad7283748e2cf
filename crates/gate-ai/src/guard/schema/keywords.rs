//! The keywords of JSON Schema, by the kind of value they are about.

use super::{Check, Held, Mismatch, holds};
use serde_json::{Map, Number, Value};

type Members = Map<String, Value>;

impl<'s> Check<'s> {
    /// `type`, `enum` and `const`.
    pub(super) fn any_value(&mut self, members: &'s Members, value: &Value) -> Held {
        match members.get("type") {
            Some(Value::String(name)) => holds("type", is_type(name, value, members))?,
            Some(Value::Array(names)) => {
                let mut names = names.iter().filter_map(Value::as_str);
                holds("type", names.any(|name| is_type(name, value, members)))?;
            }
            _ => {}
        }
        if let Some(Value::Array(allowed)) = members.get("enum") {
            let mut found = false;
            for one in allowed {
                found = found || self.equal(one, value)?;
            }
            holds("enum", found)?;
        }
        if let Some(wanted) = members.get("const") {
            let equal = self.equal(wanted, value)?;
            holds("const", equal)?;
        }
        Ok(())
    }

    /// Whether two values are equal: numbers by their value, members in any order.
    fn equal(&mut self, a: &Value, b: &Value) -> Result<bool, Mismatch> {
        self.step()?;
        Ok(match (a, b) {
            (Value::Number(a), Value::Number(b)) => {
                a == b || (a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64()
            }
            (Value::Array(a), Value::Array(b)) => {
                let mut same = a.len() == b.len();
                for (a, b) in a.iter().zip(b) {
                    same = same && self.equal(a, b)?;
                }
                same
            }
            (Value::Object(a), Value::Object(b)) => {
                let mut same = a.len() == b.len();
                for (name, a) in a {
                    same = same
                        && match b.get(name) {
                            Some(b) => self.equal(a, b)?,
                            None => false,
                        };
                }
                same
            }
            _ => a == b,
        })
    }

    /// Schemas that are put together from others.
    pub(super) fn combined(&mut self, members: &'s Members, value: &Value) -> Held {
        if let Some(Value::Array(all)) = members.get("allOf") {
            for schema in all {
                self.value(schema, value)?;
            }
        }
        if let Some(Value::Array(some)) = members.get("anyOf") {
            let mut found = false;
            for schema in some {
                found = found || self.is(schema, value)?;
            }
            holds("anyOf", found)?;
        }
        if let Some(Value::Array(one)) = members.get("oneOf") {
            let mut found = 0;
            for schema in one {
                found += u32::from(self.is(schema, value)?);
            }
            holds("oneOf", found == 1)?;
        }
        if let Some(schema) = members.get("not") {
            let is = self.is(schema, value)?;
            holds("not", !is)?;
        }
        if let Some(condition) = members.get("if") {
            let branch = match self.is(condition, value)? {
                true => members.get("then"),
                false => members.get("else"),
            };
            if let Some(schema) = branch {
                self.value(schema, value)?;
            }
        }
        Ok(())
    }

    pub(super) fn string(&mut self, members: &'s Members, text: &str) -> Held {
        let length = || text.chars().count() as u64;
        if let Some(most) = count(members, "maxLength") {
            holds("maxLength", length() <= most)?;
        }
        if let Some(least) = count(members, "minLength") {
            holds("minLength", length() >= least)?;
        }
        if let Some(Value::String(pattern)) = members.get("pattern") {
            holds("pattern", self.matches(pattern, text)?)?;
        }
        Ok(())
    }

    /// Whether a pattern occurs in a text; a long text costs more steps.
    fn matches(&mut self, pattern: &str, text: &str) -> Result<bool, Mismatch> {
        for _ in 0..text.len() / 256 {
            self.step()?;
        }
        let pattern = self.schema.patterns.get(pattern);
        Ok(pattern.is_some_and(|pattern| pattern.is_match(text)))
    }

    pub(super) fn list(&mut self, members: &'s Members, items: &[Value]) -> Held {
        let length = items.len() as u64;
        if let Some(most) = count(members, "maxItems") {
            holds("maxItems", length <= most)?;
        }
        if let Some(least) = count(members, "minItems") {
            holds("minItems", length >= least)?;
        }
        // Before 2020-12, `items` was also a list and `additionalItems` what came behind it.
        let (first, rest) = match (members.get("prefixItems"), members.get("items")) {
            (None, Some(Value::Array(first))) => (first.as_slice(), members.get("additionalItems")),
            (Some(Value::Array(first)), rest) => (first.as_slice(), rest),
            (_, rest) => (&[][..], rest),
        };
        for (index, item) in items.iter().enumerate() {
            if let Some(schema) = first.get(index).or(rest) {
                self.value(schema, item)?;
            }
        }
        if let Some(schema) = members.get("contains") {
            let mut found = 0;
            for item in items {
                found += u64::from(self.is(schema, item)?);
            }
            let least = count(members, "minContains").unwrap_or(1);
            let most = count(members, "maxContains").unwrap_or(u64::MAX);
            holds("contains", (least..=most).contains(&found))?;
        }
        if members.get("uniqueItems") == Some(&Value::Bool(true)) {
            for (index, item) in items.iter().enumerate() {
                for other in &items[..index] {
                    let equal = self.equal(item, other)?;
                    holds("uniqueItems", !equal)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn object(&mut self, members: &'s Members, object: &Members) -> Held {
        let length = object.len() as u64;
        if let Some(most) = count(members, "maxProperties") {
            holds("maxProperties", length <= most)?;
        }
        if let Some(least) = count(members, "minProperties") {
            holds("minProperties", length >= least)?;
        }
        if let Some(Value::Array(names)) = members.get("required") {
            let mut names = names.iter().filter_map(Value::as_str);
            holds("required", names.all(|name| object.contains_key(name)))?;
        }
        if let Some(schema) = members.get("propertyNames") {
            for name in object.keys() {
                self.value(schema, &Value::String(name.clone()))?;
            }
        }
        self.properties(members, object)?;
        self.dependencies(members, object)
    }

    fn properties(&mut self, members: &'s Members, object: &Members) -> Held {
        let named = members.get("properties").and_then(Value::as_object);
        let patterns = members.get("patternProperties").and_then(Value::as_object);
        let others = members.get("additionalProperties");
        for (name, value) in object {
            self.step()?;
            let mut known = false;
            if let Some(schema) = named.and_then(|named| named.get(name)) {
                known = true;
                self.value(schema, value)?;
            }
            for (pattern, schema) in patterns.into_iter().flatten() {
                self.step()?;
                if self.matches(pattern, name)? {
                    known = true;
                    self.value(schema, value)?;
                }
            }
            match others.filter(|_| !known) {
                Some(Value::Bool(false)) => return Err(Mismatch::Keyword("additionalProperties")),
                Some(schema) => self.value(schema, value)?,
                None => {}
            }
        }
        Ok(())
    }

    /// What the presence of one member asks for. Before 2019-09, both kinds were `dependencies`.
    fn dependencies(&mut self, members: &'s Members, object: &Members) -> Held {
        let keywords = ["dependentRequired", "dependentSchemas", "dependencies"];
        for keyword in keywords {
            let Some(Value::Object(named)) = members.get(keyword) else {
                continue;
            };
            for (name, wanted) in named {
                self.step()?;
                match wanted {
                    _ if !object.contains_key(name) => {}
                    Value::Array(names) => {
                        let mut names = names.iter().filter_map(Value::as_str);
                        holds(keyword, names.all(|name| object.contains_key(name)))?;
                    }
                    schema => {
                        let is = self.is(schema, &Value::Object(object.clone()))?;
                        holds(keyword, is)?;
                    }
                }
            }
        }
        Ok(())
    }
}

pub(super) fn number(members: &Members, number: &Number) -> Held {
    let value = number.as_f64().unwrap_or(f64::NAN);
    let bound = |name: &str| members.get(name).and_then(Value::as_f64);
    // In draft 4 the exclusive bounds were flags.
    let flag = |name: &str| members.get(name) == Some(&Value::Bool(true));
    if let Some(most) = bound("maximum") {
        let held = value < most || value <= most && !flag("exclusiveMaximum");
        holds("maximum", held)?;
    }
    if let Some(least) = bound("minimum") {
        let held = value > least || value >= least && !flag("exclusiveMinimum");
        holds("minimum", held)?;
    }
    if let Some(most) = bound("exclusiveMaximum") {
        holds("exclusiveMaximum", value < most)?;
    }
    if let Some(least) = bound("exclusiveMinimum") {
        holds("exclusiveMinimum", value > least)?;
    }
    if let Some(of) = bound("multipleOf").filter(|of| *of > 0.0) {
        let whole = match (number.as_i64(), members["multipleOf"].as_i64()) {
            (Some(value), Some(of)) => value % of == 0,
            _ => {
                // Decimal fractions such as 0.1 have no exact form in binary.
                let times = value / of;
                (times - times.round()).abs() <= f64::EPSILON * times.abs().max(1.0)
            }
        };
        holds("multipleOf", whole)?;
    }
    Ok(())
}

fn count(members: &Members, name: &str) -> Option<u64> {
    let value = members.get(name)?;
    value
        .as_u64()
        .or_else(|| value.as_f64().filter(|n| *n >= 0.0).map(|n| n as u64))
}

/// Whether a value has this type; OpenAPI's `nullable` adds null to it.
fn is_type(name: &str, value: &Value, members: &Members) -> bool {
    match (name, value) {
        ("null", Value::Null)
        | ("boolean", Value::Bool(_))
        | ("string", Value::String(_))
        | ("array", Value::Array(_))
        | ("object", Value::Object(_))
        | ("number", Value::Number(_)) => true,
        ("integer", Value::Number(number)) => {
            number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|n| n.fract() == 0.0)
        }
        (_, Value::Null) => members.get("nullable") == Some(&Value::Bool(true)),
        _ => false,
    }
}
