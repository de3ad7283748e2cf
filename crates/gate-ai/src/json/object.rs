//! An object split into its members, each still raw JSON text.
//!
//! Translation reads objects through this type instead of through derived structs, because it has
//! to see the members it does not know: those are reported as losses, never dropped in silence.

use crate::DialectError;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Most members accepted in one object that we decode; bounds the search for duplicates.
const MEMBERS_MAX: usize = 256;

/// A value's raw JSON text.
pub(crate) type Raw<'a> = &'a RawValue;

/// The members of an object in their order.
pub(crate) struct Object<'a> {
    members: Vec<(Cow<'a, str>, Raw<'a>)>,
}

impl<'a> Object<'a> {
    /// The members of the document in `body`.
    ///
    /// # Errors
    /// When the bytes are not one valid JSON object in UTF-8.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, DialectError> {
        let text =
            std::str::from_utf8(body).map_err(|error| DialectError::json(error.valid_up_to()))?;
        serde_json::from_str(text).map_err(|error| DialectError::from_serde(&error))
    }

    /// The members of a raw value named `field`.
    pub(crate) fn of(raw: Raw<'a>, field: &'static str) -> Result<Self, DialectError> {
        if !raw.get().starts_with('{') {
            return Err(DialectError::wrong_type(field, "an object"));
        }
        serde_json::from_str(raw.get()).map_err(|error| DialectError::from_serde(&error))
    }

    /// The same members with their names in camel case: Google's servers take either spelling of
    /// a member (<https://protobuf.dev/programming-guides/json/>).
    ///
    /// # Errors
    /// When a member occurs in both spellings.
    pub(crate) fn camel(mut self) -> Result<Self, DialectError> {
        let mut changed = false;
        for (name, _) in &mut self.members {
            if name.contains('_') {
                *name = Cow::Owned(camel(name));
                changed = true;
            }
        }
        let twice = |(i, (name, _)): (usize, &(Cow<'a, str>, Raw<'a>))| {
            self.members[..i].iter().any(|(other, _)| other == name)
        };
        if changed && self.members.iter().enumerate().any(twice) {
            return Err(DialectError::Structure {
                reason: "a member occurs in two spellings".to_owned(),
            });
        }
        Ok(self)
    }

    /// A member's value, absent when it is null.
    pub(crate) fn get(&self, key: &str) -> Option<Raw<'a>> {
        self.members
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| *value)
            .filter(|value| !is_null(value))
    }

    /// A member's text; absent when it is null or no string.
    pub(crate) fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        self.get(key).and_then(|raw| text(raw, "").ok())
    }

    /// Every member, also those that are null.
    pub(crate) fn into_members(self) -> Vec<(Cow<'a, str>, Raw<'a>)> {
        self.members
    }

    /// The members that are not null.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Raw<'a>)> {
        self.members
            .iter()
            .filter(|(_, value)| !is_null(value))
            .map(|(name, value)| (name.as_ref(), *value))
    }
}

/// A name with underscores in camel case.
fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        match c {
            '_' if !out.is_empty() => upper = true,
            _ if upper => {
                out.push(c.to_ascii_uppercase());
                upper = false;
            }
            _ => out.push(c),
        }
    }
    out
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(Cow<'de, str>, Raw<'de>)> = Vec::with_capacity(8);
                while let Some((Text(key), value)) = map.next_entry::<Text<'de>, Raw<'de>>()? {
                    if members.len() == MEMBERS_MAX {
                        return Err(serde::de::Error::custom("an object has too many members"));
                    }
                    if members.iter().any(|(name, _)| *name == key) {
                        return Err(serde::de::Error::custom(format_args!(
                            "the member {key:?} occurs twice"
                        )));
                    }
                    members.push((key, value));
                }
                Ok(Object { members })
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A string that borrows from the document where it has no escapes; works inside `Option` too,
/// where serde's own borrowing of `Cow` does not.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Str;
        impl<'de> Visitor<'de> for Str {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(value)))
            }
            fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(value.to_owned())))
            }
            fn visit_string<E>(self, value: String) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(value)))
            }
        }
        deserializer.deserialize_str(Str)
    }
}

/// Whether a raw value is null.
pub(crate) fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// A raw value that has to be a string.
pub(crate) fn text<'a>(raw: Raw<'a>, field: &'static str) -> Result<Cow<'a, str>, DialectError> {
    serde_json::from_str::<Text<'a>>(raw.get())
        .map(|text| text.0)
        .map_err(|_| DialectError::wrong_type(field, "a string"))
}

/// A raw value that has to be true or false.
pub(crate) fn boolean(raw: Raw<'_>, field: &'static str) -> Result<bool, DialectError> {
    match raw.get() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(DialectError::wrong_type(field, "true or false")),
    }
}

/// A raw value that has to be a non-negative integer.
pub(crate) fn unsigned(raw: Raw<'_>, field: &'static str) -> Result<u64, DialectError> {
    serde_json::from_str(raw.get())
        .map_err(|_| DialectError::wrong_type(field, "a non-negative integer"))
}

/// A raw value that has to be a number.
pub(crate) fn number(raw: Raw<'_>, field: &'static str) -> Result<f64, DialectError> {
    serde_json::from_str(raw.get()).map_err(|_| DialectError::wrong_type(field, "a number"))
}

/// A raw value that has to be a list.
pub(crate) fn list<'a>(raw: Raw<'a>, field: &'static str) -> Result<Vec<Raw<'a>>, DialectError> {
    serde_json::from_str(raw.get()).map_err(|_| DialectError::wrong_type(field, "a list"))
}

/// A string, or a list of strings.
pub(crate) fn texts<'a>(
    raw: Raw<'a>,
    field: &'static str,
) -> Result<Vec<Cow<'a, str>>, DialectError> {
    if raw.get().starts_with('[') {
        return list(raw, field)?
            .into_iter()
            .map(|item| text(item, field))
            .collect();
    }
    Ok(vec![text(raw, field)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_raw_text_and_nulls_hide() {
        let object = Object::parse(br#"{"a":[1, 2],"b":null,"\u0063":"x\n"}"#).unwrap();
        assert_eq!(object.get("a").unwrap().get(), "[1, 2]");
        assert!(object.get("b").is_none());
        assert_eq!(object.text("c").unwrap(), "x\n");
        assert_eq!(object.iter().count(), 2);
    }

    #[test]
    fn either_spelling_of_a_member_is_one_name() {
        let object = Object::parse(br#"{"top_k":1,"fileData":2,"_x":3}"#).unwrap();
        let object = object.camel().unwrap();
        let names: Vec<_> = object.iter().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(names, ["topK", "fileData", "_x"]);
        let both = Object::parse(br#"{"top_k":1,"topK":2}"#).unwrap();
        assert!(both.camel().is_err());
    }

    #[test]
    fn duplicates_floods_and_other_types_are_refused() {
        assert!(Object::parse(br#"{"a":1,"\u0061":2}"#).is_err());
        assert!(Object::parse(b"[]").is_err());
        assert!(Object::parse(b"{\"a\":\"\xff\"}").is_err());
        let many: Vec<_> = (0..257).map(|i| format!("\"{i}\":0")).collect();
        assert!(Object::parse(format!("{{{}}}", many.join(",")).as_bytes()).is_err());
    }
}
