//! Parameters: from the text of each style (OpenAPI 3.1.1, section 4.8.12.4) to a value, held against
//! its schema.
//!
//! Delimiters are looked for before anything is decoded, so that an encoded comma is data.

use super::hint::Hint;
use super::{Failure, Pair, decoded};
use crate::json;
use crate::openapi::{Api, Parameter, ParameterPlace, Style};
use crate::schema::{Direction, Schema, Schemas};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Most items of one parameter.
const ITEMS_MAX: usize = 1_000;

/// A parameter, compiled.
#[derive(Debug)]
pub(super) struct ParameterCheck {
    pub(super) name: String,
    pub(super) place: ParameterPlace,
    required: bool,
    allow_empty: bool,
    style: Style,
    explode: bool,
    is_json: bool,
    hint: Hint,
    schema: Option<Arc<Schema>>,
}

impl ParameterCheck {
    pub(super) fn compile(
        api: &Api,
        parameter: &Parameter,
        direction: Direction,
        schemas: &mut Schemas<'_>,
    ) -> Self {
        let schema = parameter.schema.as_ref();
        Self {
            name: parameter.name.clone(),
            place: parameter.place,
            required: parameter.required,
            allow_empty: parameter.allow_empty,
            style: parameter.style,
            explode: parameter.explode,
            is_json: parameter
                .content
                .as_deref()
                .is_some_and(super::body::is_json),
            hint: schema.map(|path| Hint::of(api, path)).unwrap_or_default(),
            schema: schema.and_then(|path| schemas.get(path, direction)),
        }
    }

    /// One that is a property of a form, written in a style.
    pub(super) fn of_property(name: &str, style: Style, explode: bool, hint: Hint) -> Self {
        Self {
            name: name.to_owned(),
            place: ParameterPlace::Query,
            required: false,
            allow_empty: false,
            style,
            explode,
            is_json: false,
            hint,
            schema: None,
        }
    }

    /// Whether a pair of this name is (part of) this parameter.
    pub(super) fn takes_pair(&self, name: &str) -> bool {
        if self.is_json {
            return name == self.name;
        }
        if self.style == Style::DeepObject {
            let inside = name.strip_prefix(self.name.as_str());
            return inside.is_some_and(|inside| inside.starts_with('[') && inside.ends_with(']'));
        }
        if self.hint.object && self.explode && self.style == Style::Form {
            return self.hint.properties.iter().any(|(key, _)| key == name);
        }
        name == self.name
    }

    /// Whether pairs of any name may belong to it: an object whose members are parameters of their
    /// own, and that may have members that nobody named.
    pub(super) fn takes_others(&self) -> bool {
        let is_spread = self.explode && self.style == Style::Form && !self.is_json;
        is_spread && self.hint.object && self.hint.others.is_some()
    }

    pub(super) fn check_path(
        &self,
        values: &[(&str, &str)],
        most: usize,
        failures: &mut Vec<Failure>,
    ) {
        match values.iter().find(|(name, _)| *name == self.name) {
            Some((_, raw)) => match self.path_value(raw) {
                Ok(value) => self.hold(&value, most, failures),
                Err(message) => self.fail(message, most, failures),
            },
            None => self.fail("is required", most, failures),
        }
    }

    pub(super) fn check_header(&self, values: &[String], most: usize, failures: &mut Vec<Failure>) {
        if values.is_empty() {
            return self.missing(most, failures);
        }
        let is_list = self.hint.array || self.hint.object;
        if values.len() > 1 && !is_list {
            return self.fail("stands more than once", most, failures);
        }
        // RFC 9110, section 5.3: fields of one name are one list.
        let joined = values.join(",");
        if self.is_json {
            return self.check_json(&joined, most, failures);
        }
        let pieces = joined.split(',').map(|piece| piece.trim().to_owned());
        let value = self.assembled(pieces.collect(), self.explode, joined.trim());
        match value {
            Ok(value) => self.hold(&value, most, failures),
            Err(message) => self.fail(message, most, failures),
        }
    }

    pub(super) fn check_pairs(&self, pairs: &[Pair<'_>], most: usize, failures: &mut Vec<Failure>) {
        let mine: Vec<&Pair<'_>> = (pairs.iter())
            .filter(|pair| self.takes_pair(&pair.name))
            .collect();
        if mine.is_empty() {
            return self.missing(most, failures);
        }
        if self.allow_empty && mine.iter().all(|pair| pair.raw.is_empty()) {
            return;
        }
        if self.is_json {
            return match mine.as_slice() {
                [one] => self.check_json(&one.decoded(), most, failures),
                _ => self.fail("stands more than once", most, failures),
            };
        }
        match self.pair_value(&mine) {
            Ok(value) => self.hold(&value, most, failures),
            Err(message) => self.fail(message, most, failures),
        }
    }

    fn missing(&self, most: usize, failures: &mut Vec<Failure>) {
        if self.required {
            self.fail("is required", most, failures);
        }
    }

    fn check_json(&self, text: &str, most: usize, failures: &mut Vec<Failure>) {
        match json::read(text.as_bytes()) {
            Ok(value) => self.hold(&value, most, failures),
            Err(error) => self.fail(format!("is no JSON: {error}"), most, failures),
        }
    }

    fn fail(&self, detail: impl Into<String>, most: usize, failures: &mut Vec<Failure>) {
        if failures.len() < most {
            failures.push(Failure {
                r#in: self.place.as_str(),
                name: self.name.clone(),
                pointer: String::new(),
                detail: detail.into(),
            });
        }
    }

    fn hold(&self, value: &Value, most: usize, failures: &mut Vec<Failure>) {
        let Some(schema) = &self.schema else {
            return;
        };
        if schema.holds(value) {
            return;
        }
        // Where both a text and something else are admitted, the text is the other reading.
        if self.hint.text
            && let Value::Number(_) | Value::Bool(_) = value
            && schema.holds(&Value::String(value.to_string()))
        {
            return;
        }
        let known = failures.len();
        schema.check(value, "", most, failures);
        for failure in &mut failures[known..] {
            failure.r#in = self.place.as_str();
            failure.name.clone_from(&self.name);
        }
    }

    fn path_value(&self, raw: &str) -> Result<Value, String> {
        let wrong = |sign: char| format!("does not begin with `{sign}`");
        match self.style {
            Style::Label => {
                let rest = raw.strip_prefix('.').ok_or_else(|| wrong('.'))?;
                let delimiter = if self.explode { '.' } else { ',' };
                self.delimited(rest, &[delimiter], self.explode)
            }
            Style::Matrix => {
                let rest = raw.strip_prefix(';').ok_or_else(|| wrong(';'))?;
                self.matrix(rest)
            }
            _ if self.is_json => json::read(decoded(raw, false).as_bytes())
                .map_err(|error| format!("is no JSON: {error}")),
            _ => self.delimited(raw, &[','], self.explode),
        }
    }

    /// `color=blue,black` or `color=blue;color=black` or `R=100;G=200`, behind the first semicolon.
    fn matrix(&self, rest: &str) -> Result<Value, String> {
        let named = |piece: &str| match piece.split_once('=') {
            Some((name, value)) if name == self.name => Ok(value.to_owned()),
            None if piece == self.name => Ok(String::new()),
            _ => Err(format!("is not written as `;{}=`", self.name)),
        };
        if self.explode && self.hint.object {
            let pieces = rest.split(';').map(str::to_owned).collect();
            return self.assembled(pieces, true, "");
        }
        if self.explode && self.hint.array {
            let pieces: Result<Vec<String>, String> = rest.split(';').map(named).collect();
            return self.assembled(pieces?, true, "");
        }
        self.delimited(&named(rest)?, &[','], false)
    }

    fn delimited(&self, raw: &str, at: &[char], exploded: bool) -> Result<Value, String> {
        let pieces = raw.split(at).map(|piece| decoded(piece, false)).collect();
        self.assembled(pieces, exploded, &decoded(raw, false))
    }

    /// A value from decoded pieces; `whole` is what a value that is no list is read from.
    fn assembled(&self, pieces: Vec<String>, exploded: bool, whole: &str) -> Result<Value, String> {
        if pieces.len() > ITEMS_MAX {
            return Err(format!("has more than {ITEMS_MAX} items"));
        }
        if self.hint.object {
            return self.object(pieces, exploded);
        }
        if self.hint.array {
            return Ok(Value::Array(
                pieces.iter().map(|piece| self.item(piece)).collect(),
            ));
        }
        Ok(self.hint.value(whole))
    }

    fn item(&self, text: &str) -> Value {
        match &self.hint.items {
            Some(hint) => hint.value(text),
            None => Value::String(text.to_owned()),
        }
    }

    /// `R=100` each when exploded, else `R`, `100` in turn.
    fn object(&self, pieces: Vec<String>, exploded: bool) -> Result<Value, String> {
        let mut members = Map::new();
        let mut put = |name: &str, text: &str| {
            let value = self.hint.member(name).value(text);
            match members.insert(name.to_owned(), value) {
                None => Ok(()),
                Some(_) => Err(format!("has the member `{name}` twice")),
            }
        };
        if exploded {
            for piece in &pieces {
                let (name, text) = piece
                    .split_once('=')
                    .ok_or("is not written as `name=value`")?;
                put(name, text)?;
            }
            return Ok(Value::Object(members));
        }
        for pair in pieces.chunks(2) {
            match pair {
                [name, text] => put(name, text)?,
                _ => return Err("has a name without a value".to_owned()),
            }
        }
        Ok(Value::Object(members))
    }

    /// The value of the pairs that are this parameter.
    pub(super) fn pair_value(&self, pairs: &[&Pair<'_>]) -> Result<Value, String> {
        if pairs.len() > ITEMS_MAX {
            return Err(format!("has more than {ITEMS_MAX} items"));
        }
        if self.style == Style::DeepObject {
            return self.deep(pairs);
        }
        if self.hint.object && self.explode && self.style == Style::Form {
            let pieces = pairs
                .iter()
                .map(|pair| format!("{}={}", pair.name, pair.decoded()));
            return self.object(pieces.collect(), true);
        }
        if self.hint.array && self.explode {
            let items = pairs.iter().map(|pair| self.item(&pair.decoded()));
            return Ok(Value::Array(items.collect()));
        }
        let [pair] = pairs else {
            return Err("stands more than once".to_owned());
        };
        if !self.hint.array && !self.hint.object {
            return Ok(self.hint.value(&pair.decoded()));
        }
        let raw = match self.style {
            Style::SpaceDelimited => pair.raw.replace("%20", ",").replace(['+', ' '], ","),
            Style::PipeDelimited => pair
                .raw
                .replace("%7C", ",")
                .replace("%7c", ",")
                .replace('|', ","),
            _ => pair.raw.to_owned(),
        };
        let pieces = match raw.is_empty() {
            true => Vec::new(),
            false => raw
                .split(',')
                .map(|piece| decoded(piece, pair.plus))
                .collect(),
        };
        self.assembled(pieces, false, "")
    }

    /// `color[R]=100&color[G]=200`; a member that repeats is a list.
    fn deep(&self, pairs: &[&Pair<'_>]) -> Result<Value, String> {
        let mut members = Map::new();
        for pair in pairs {
            let inside = &pair.name[self.name.len()..];
            let name = &inside[1..inside.len() - 1];
            if name.contains(['[', ']']) {
                return Err("has a member within a member".to_owned());
            }
            let hint = self.hint.member(name);
            if !hint.array {
                let value = hint.value(&pair.decoded());
                if members.insert(name.to_owned(), value).is_some() {
                    return Err(format!("has the member `{name}` twice"));
                }
                continue;
            }
            let value = match &hint.items {
                Some(items) => items.value(&pair.decoded()),
                None => Value::String(pair.decoded()),
            };
            let list = members
                .entry(name)
                .or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(items) = list {
                items.push(value);
            }
        }
        Ok(Value::Object(members))
    }
}
