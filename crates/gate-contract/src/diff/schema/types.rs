//! Types, formats, and whether null is one of them.

use super::super::Compare;
use super::super::levels::{Effect, Stand};
use super::super::spec::{Schema, items, text};
use super::{Pair, Scope};

/// Types as bits.
const NULL: u8 = 1;
const INTEGER: u8 = 4;
const FRACTION: u8 = 8;
const STRING: u8 = 16;
const STRUCTURED: u8 = 32 | 64;

impl<'a> Compare<'a> {
    pub(super) fn types(&mut self, scope: &Scope, pair: &Pair<'a>) {
        let (old, new) = (types(&pair.old), types(&pair.new));
        if let (Some(old), Some(new)) = (old, new) {
            self.nullable(scope, pair, old & NULL != 0, new & NULL != 0);
        }
        let plain = |types: Option<u8>| types.map(|types| types & !NULL);
        let (was, is) = (plain(old), plain(new));
        let by_type = effect(was, is);
        let formats = (format(&pair.old), format(&pair.new));
        let by_format = if was.is_some() && is.is_some() {
            format_effect(formats.0, formats.1)
        } else {
            Effect::None
        };
        let total = by_type.and(by_format);
        if total == Effect::None {
            return;
        }
        let what = format!(
            "changed from {} to {}",
            shown(was, formats.0),
            shown(is, formats.1)
        );
        let several = |types: Option<u8>| types.is_some_and(|types| kinds(types) > 1);
        let lists = (several(was) || several(is)) && was.is_some() && is.is_some();
        let sent = self.sent(scope.stand);
        let texts = loose_change(scope, was, is, sent);
        let (aspect, total) = match total {
            Effect::Wider if lists => ("list-of-types-widened", total),
            Effect::Narrower if lists => ("list-of-types-narrowed", total),
            _ if texts && scope.stand == Stand::Parameter => ("type-generalized", Effect::Wider),
            _ if texts && scope.stand == Stand::ParameterProperty => {
                ("type-changed", Effect::Other)
            }
            _ if texts => ("type-compatible", Effect::None),
            Effect::Wider => ("type-generalized", total),
            Effect::Narrower if !sent || scope.stand == Stand::ParameterProperty => {
                ("type-specialized", total)
            }
            _ => ("type-changed", total),
        };
        self.schema_change(scope, pair, "type", aspect, total, &what);
    }

    fn nullable(&mut self, scope: &Scope, pair: &Pair<'a>, old: bool, new: bool) {
        let (aspect, effect, what) = match (old, new) {
            (false, true) => ("became-nullable", Effect::Wider, "may be null now"),
            (true, false) => ("became-not-nullable", Effect::Narrower, "is no longer null"),
            _ => return,
        };
        let keyword = if pair.new.get("nullable").is_some() {
            "nullable"
        } else {
            "type"
        };
        self.schema_change(scope, pair, keyword, aspect, effect, what);
    }
}

/// The types of a schema; none where it takes any.
fn types(schema: &Schema<'_>) -> Option<u8> {
    if schema.is_never() {
        return Some(0);
    }
    let null = if schema.null || schema.is("nullable") {
        NULL
    } else {
        0
    };
    let names: Vec<&str> = match schema.get("type") {
        Some(given) => match text(given) {
            Some(name) => vec![name],
            None => items(given).iter().filter_map(text).collect(),
        },
        None => schema.union(),
    };
    if names.is_empty() {
        return None;
    }
    let bits = names
        .iter()
        .map(|name| bit(name))
        .fold(null, |all, bit| all | bit);
    (bits & !NULL != 0 || null == 0).then_some(bits)
}

fn bit(name: &str) -> u8 {
    match name {
        "null" => NULL,
        "boolean" => 2,
        "integer" => INTEGER,
        // Every integer is a number.
        "number" => INTEGER | FRACTION,
        "string" => STRING,
        "array" => 32,
        "object" => 64,
        _ => 128,
    }
}

/// How many types these are, where a number is one.
fn kinds(types: u8) -> u32 {
    let types = if types & FRACTION != 0 {
        types & !INTEGER
    } else {
        types
    };
    types.count_ones()
}

fn effect(old: Option<u8>, new: Option<u8>) -> Effect {
    let (old, new) = (old.unwrap_or(u8::MAX), new.unwrap_or(u8::MAX));
    match (old & !new, new & !old) {
        (0, 0) => Effect::None,
        (0, _) => Effect::Wider,
        (_, 0) => Effect::Narrower,
        _ => Effect::Other,
    }
}

/// Whether the type of what is text on the wire anyway became text, or the other way round where
/// callers receive it.
fn loose_change(scope: &Scope, old: Option<u8>, new: Option<u8>, sent: bool) -> bool {
    let (Some(old), Some(new)) = (old, new) else {
        return false;
    };
    let (from, to) = if sent { (old, new) } else { (new, old) };
    scope.loose && to & STRING != 0 && from & STRUCTURED == 0
}

fn format<'a>(schema: &Schema<'a>) -> Option<&'a str> {
    schema.get("format").and_then(text)
}

fn format_effect(old: Option<&str>, new: Option<&str>) -> Effect {
    match (old, new) {
        (old, new) if old == new => Effect::None,
        (None, Some(_)) => Effect::Narrower,
        (Some(_), None) => Effect::Wider,
        (Some("int32"), Some("int64")) | (Some("float"), Some("double")) => Effect::Wider,
        (Some("int64"), Some("int32")) | (Some("double"), Some("float")) => Effect::Narrower,
        _ => Effect::Other,
    }
}

fn shown(types: Option<u8>, format: Option<&str>) -> String {
    const NAMES: [(u8, &str); 6] = [
        (2, "boolean"),
        (STRING, "string"),
        (32, "array"),
        (64, "object"),
        (128, "an unknown type"),
        (NULL, "null"),
    ];
    let Some(types) = types else {
        return "any type".to_owned();
    };
    let mut names: Vec<&str> = Vec::new();
    if types & FRACTION != 0 {
        names.push("number");
    } else if types & INTEGER != 0 {
        names.push("integer");
    }
    names.extend(
        NAMES
            .iter()
            .filter(|(bit, _)| types & bit != 0)
            .map(|(_, name)| *name),
    );
    let names = if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(" or ")
    };
    match format {
        Some(format) => format!("{names} ({format})"),
        None => names,
    }
}
