//! Bodies: the form that the content type names, read and held against its schema.
//!
//! JSON (and anything `+json`), URL-encoded forms, multipart forms and plain text are read. Other
//! forms, such as XML or images, are only held against the list of forms that the contract has.

use super::hint::Hint;
use super::multipart;
use super::parameter::ParameterCheck;
use super::{Failure, PAIRS_MAX, pairs};
use crate::json;
use crate::openapi::{Api, Encoding, MediaType, Style};
use crate::schema::{Direction, Schema, Schemas};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A body, compiled.
#[derive(Debug)]
pub struct BodyCheck {
    required: bool,
    forms: Vec<Form>,
}

#[derive(Debug)]
struct Form {
    name: String,
    hint: Hint,
    encoding: BTreeMap<String, Encoding>,
    schema: Option<Arc<Schema>>,
}

impl BodyCheck {
    pub(super) fn compile(
        api: &Api,
        content: &[MediaType],
        required: bool,
        direction: Direction,
        schemas: &mut Schemas<'_>,
    ) -> Self {
        let forms = content.iter().map(|media| Form {
            name: media_essence(&media.name),
            hint: media
                .schema
                .as_ref()
                .map(|path| Hint::of(api, path))
                .unwrap_or_default(),
            encoding: media.encoding.clone(),
            schema: media
                .schema
                .as_ref()
                .and_then(|path| schemas.get(path, direction)),
        });
        Self {
            required,
            forms: forms.collect(),
        }
    }

    /// Holds a whole body against the contract.
    #[must_use]
    pub fn check(&self, content_type: Option<&str>, body: &[u8], most: usize) -> Vec<Failure> {
        let mut failures = Vec::new();
        if body.is_empty() {
            if self.required {
                failures.push(Failure::of_body("a body is required"));
            }
            return failures;
        }
        if self.forms.is_empty() {
            return failures;
        }
        let form = match self.form_of(content_type) {
            Ok(form) => form,
            Err(failure) => return vec![failure],
        };
        let essence = content_type.map(media_essence).unwrap_or_default();
        match form.value(&essence, content_type.unwrap_or_default(), body) {
            Ok(Some(value)) => {
                if let Some(schema) = &form.schema {
                    schema.check(&value, "", most, &mut failures);
                }
            }
            Ok(None) => {}
            Err(message) => failures.push(Failure::of_body(message)),
        }
        failures
    }

    /// Holds only the type of a body against the contract.
    pub(super) fn check_type(&self, content_type: Option<&str>) -> Option<Failure> {
        if self.forms.is_empty() || content_type.is_none() {
            return None;
        }
        self.form_of(content_type).err()
    }

    /// The form of a body, which has to have one.
    fn form_of(&self, content_type: Option<&str>) -> Result<&Form, Failure> {
        let essence = content_type.map(media_essence).unwrap_or_default();
        self.form(&essence).ok_or_else(|| {
            let names: Vec<&str> = self.forms.iter().map(|form| form.name.as_str()).collect();
            Failure {
                r#in: "header",
                name: "Content-Type".to_owned(),
                pointer: String::new(),
                detail: format!("is none of {}", names.join(", ")),
            }
        })
    }

    /// The form for a content type: named exactly, by a range, or by `*/*`. A body without a type is
    /// of the only form there is.
    fn form(&self, essence: &str) -> Option<&Form> {
        if essence.is_empty() {
            return match self.forms.as_slice() {
                [one] => Some(one),
                _ => None,
            };
        }
        let range = essence.split('/').next().map(|kind| format!("{kind}/*"));
        let of = |name: &str| self.forms.iter().find(|form| form.name == name);
        of(essence).or_else(|| of(&range?)).or_else(|| of("*/*"))
    }
}

impl Form {
    /// The body as a value; none where this form is not read.
    fn value(
        &self,
        essence: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<Option<Value>, String> {
        let essence = if essence.is_empty() {
            self.name.as_str()
        } else {
            essence
        };
        if is_json(essence) {
            return json::read(body)
                .map(Some)
                .map_err(|error| format!("is no JSON: {error}"));
        }
        match essence {
            "application/x-www-form-urlencoded" => {
                let text = std::str::from_utf8(body).map_err(|_| "is no URL-encoded form")?;
                self.urlencoded(text).map(Some)
            }
            "multipart/form-data" => self.multipart(content_type, body).map(Some),
            essence if essence.starts_with("text/") => {
                let text = std::str::from_utf8(body).map_err(|_| "is no UTF-8 text")?;
                Ok(Some(self.hint.value(text)))
            }
            _ => Ok(None),
        }
    }

    fn urlencoded(&self, text: &str) -> Result<Value, String> {
        let pairs = pairs(text);
        if pairs.len() > PAIRS_MAX {
            return Err(format!("has more than {PAIRS_MAX} pairs"));
        }
        let mut members = Map::new();
        let mut taken = vec![false; pairs.len()];
        for (name, hint) in &self.hint.properties {
            let encoding = self.encoding.get(name);
            let style = encoding.and_then(|one| one.style).unwrap_or(Style::Form);
            let explode = encoding.and_then(|one| one.explode);
            let explode = explode.unwrap_or(style == Style::Form);
            let is_json = encoding
                .and_then(|one| one.content_type.as_deref())
                .is_some_and(is_json);
            let check = ParameterCheck::of_property(name, style, explode, hint.clone());
            let mut mine = Vec::new();
            for (index, pair) in pairs.iter().enumerate() {
                let is_mine = pair.name == *name
                    || style == Style::DeepObject && check.takes_pair(&pair.name);
                if is_mine {
                    taken[index] = true;
                    mine.push(pair);
                }
            }
            let value = match mine.as_slice() {
                [] => continue,
                [one] if is_json || (hint.object && style == Style::Form) => {
                    json::read(one.decoded().as_bytes())
                        .map_err(|error| format!("`{name}` is no JSON: {error}"))?
                }
                mine => check
                    .pair_value(mine)
                    .map_err(|message| format!("`{name}` {message}"))?,
            };
            members.insert(name.clone(), value);
        }
        for (pair, _) in pairs.iter().zip(taken).filter(|(_, taken)| !taken) {
            let value = self.hint.member(&pair.name).value(&pair.decoded());
            if members.insert(pair.name.clone(), value).is_some() {
                return Err(format!("`{}` stands more than once", pair.name));
            }
        }
        Ok(Value::Object(members))
    }

    fn multipart(&self, content_type: &str, body: &[u8]) -> Result<Value, String> {
        let mut members = Map::new();
        for part in multipart::parts(content_type, body)? {
            let hint = self.hint.member(&part.name);
            let item = match (&hint.items, hint.array) {
                (Some(items), true) => items,
                _ => hint,
            };
            let stated = part.content_type.as_deref().map(media_essence);
            let declared = self.encoding.get(&part.name);
            let declared = declared.and_then(|one| one.content_type.as_deref());
            if let (Some(declared), Some(stated)) = (declared, &stated) {
                let fits = |one: &str| {
                    one.trim() == stated || one.trim() == "*/*" || {
                        one.trim().strip_suffix("/*").is_some_and(|kind| {
                            stated
                                .strip_prefix(kind)
                                .is_some_and(|rest| rest.starts_with('/'))
                        })
                    }
                };
                if !declared.split(',').any(fits) {
                    return Err(format!("the part `{}` is none of {declared}", part.name));
                }
            }
            let text = String::from_utf8_lossy(part.bytes);
            let reads_json = stated.as_deref().or(declared).is_some_and(is_json);
            let value = match reads_json || item.object && stated.is_none() {
                true => json::read(part.bytes)
                    .map_err(|error| format!("the part `{}` is no JSON: {error}", part.name))?,
                false => item.value(&text),
            };
            if !hint.array || value.is_array() {
                if members.insert(part.name.clone(), value).is_some() {
                    return Err(format!("the part `{}` stands more than once", part.name));
                }
                continue;
            }
            let list = members
                .entry(part.name)
                .or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(items) = list {
                items.push(value);
            }
        }
        Ok(Value::Object(members))
    }
}

/// A content type without its parameters, in lower case.
#[must_use]
pub fn media_essence(content_type: &str) -> String {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// Whether a content type is JSON (RFC 6839 for `+json`).
#[must_use]
pub fn is_json(name: &str) -> bool {
    let essence = media_essence(name);
    essence == "application/json" || essence.ends_with("+json") || essence == "text/json"
}
