//! The words of a deserialization error, before and after its place is known.
//!
//! serde reports in the language of Rust types ("invalid type: string, expected u16"). This file
//! says the same in the language of documents, adds the nearest valid name and what to do.

use std::fmt;

use serde::de::{Error, Expected, Unexpected};

use super::node::Span;
use super::path::Path;
use crate::finding::{Finding, quoted};
use crate::suggest::nearest;

/// The most valid names that a message lists.
const NAMES_LISTED_MAX: usize = 40;

/// serde's error: a finding that the innermost reader locates. One pointer wide, because every step of
/// what serde derives hands it on.
#[derive(Debug)]
pub(super) struct Complaint(Box<Unplaced>);

#[derive(Debug)]
struct Unplaced {
    finding: Finding,
    located: bool,
}

impl Complaint {
    fn new(code: &'static str, message: impl Into<String>) -> Complaint {
        Complaint(Box::new(Unplaced {
            finding: Finding::error(code, Path::root(), message),
            located: false,
        }))
    }

    fn expected(mut self, expected: impl Into<String>) -> Complaint {
        self.0.finding.expected = Some(expected.into().into_boxed_str());
        self
    }

    fn help(mut self, help: impl Into<String>) -> Complaint {
        self.0.finding.help = Some(help.into().into_boxed_str());
        self
    }

    /// Sets place and path; the first, innermost call wins.
    // Not inlined: nearly every step of what serde derives has a call of it.
    #[cold]
    #[inline(never)]
    pub(super) fn locate(mut self, span: Span, path: &dyn Fn() -> Path) -> Complaint {
        if !self.0.located {
            self.0.located = true;
            self.0.finding.line = span.line;
            self.0.finding.column = span.column;
            self.0.finding.path = path();
        }
        self
    }

    pub(super) fn finding(self) -> Finding {
        self.0.finding
    }

    /// Something else than a choice stands where one of `names` belongs.
    pub(super) fn choices(found: &str, names: &[&str]) -> Complaint {
        Complaint::new("wrong_type", format!("found {found}")).expected(format!(
            "{} with its settings, or its bare name",
            list(names)
        ))
    }

    /// A choice with settings was written as its bare name.
    pub(super) fn needs_settings(name: &str) -> Complaint {
        Complaint::new("wrong_type", format!("found the bare name `{name}`"))
            .expected(format!("`{name}` with its settings"))
            .help(format!(
                "write `{name}: {{ ... }}`; `{name}: {{}}` takes all defaults"
            ))
    }

    /// A choice without settings was given some.
    pub(super) fn takes_no_settings(name: &str) -> Complaint {
        Complaint::new(
            "wrong_type",
            format!("found settings for `{name}`, which takes none"),
        )
        .expected(format!("the bare name `{name}`"))
    }

    /// What was found, in a document's words.
    pub(super) fn describe(unexpected: Unexpected<'_>) -> String {
        match unexpected {
            Unexpected::Bool(value) => format!("boolean {value}"),
            Unexpected::Unsigned(value) => format!("integer {value}"),
            Unexpected::Signed(value) => format!("integer {value}"),
            Unexpected::Float(value) => format!("number {value}"),
            Unexpected::Str(text) => quoted(text),
            Unexpected::Char(c) => quoted(c.encode_utf8(&mut [0; 4])),
            Unexpected::Unit | Unexpected::Option => "nothing (null)".to_owned(),
            Unexpected::Seq => "a list".to_owned(),
            Unexpected::Map => "a mapping".to_owned(),
            Unexpected::Other(text) => text.to_owned(),
            _ => "a value of another kind".to_owned(),
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.finding.fmt(f)
    }
}

impl std::error::Error for Complaint {}

impl Error for Complaint {
    fn custom<T: fmt::Display>(message: T) -> Complaint {
        Complaint::new("invalid_value", message.to_string())
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Complaint {
        let expected = plain_words(&expected.to_string());
        let complaint = Complaint::new(
            "wrong_type",
            format!("found {}", Complaint::describe(unexpected)),
        );
        let complaint = match (unexpected, expected.as_str()) {
            (Unexpected::Unit, _) => {
                complaint.help("write a value behind the `:`, or remove the key")
            }
            (Unexpected::Bool(_) | Unexpected::Unsigned(_) | Unexpected::Signed(_), "a string") => {
                complaint.help("put it in quotes")
            }
            (Unexpected::Float(_), "a string") => complaint.help("put it in quotes"),
            (Unexpected::Str(text), "a whole number" | "a number")
                if text.parse::<f64>().is_ok() =>
            {
                complaint.help("remove the quotes")
            }
            (Unexpected::Str("yes" | "on"), "true or false") => {
                complaint.help("did you mean `true`?")
            }
            (Unexpected::Str("no" | "off"), "true or false") => {
                complaint.help("did you mean `false`?")
            }
            (found, "a list") if !matches!(found, Unexpected::Map) => {
                complaint.help("a list with one item is written `[item]`")
            }
            _ => complaint,
        };
        complaint.expected(expected)
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Complaint {
        Complaint::new(
            "invalid_value",
            format!("found {}", Complaint::describe(unexpected)),
        )
        .expected(plain_words(&expected.to_string()))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Complaint {
        Complaint::new("invalid_length", format!("found {length} items"))
            .expected(plain_words(&expected.to_string()))
    }

    fn unknown_variant(variant: &str, names: &'static [&'static str]) -> Complaint {
        unknown("unknown_variant", "choice", variant, names)
    }

    fn unknown_field(field: &str, names: &'static [&'static str]) -> Complaint {
        unknown("unknown_field", "field", field, names)
    }

    fn missing_field(field: &'static str) -> Complaint {
        Complaint::new("missing_field", format!("the field `{field}` is missing"))
    }

    fn duplicate_field(field: &'static str) -> Complaint {
        Complaint::new(
            "duplicate_key",
            format!("the field `{field}` is given twice"),
        )
    }
}

fn unknown(code: &'static str, what: &str, name: &str, names: &[&str]) -> Complaint {
    let shown = match quoted(name) {
        text if text.starts_with("string ") => format!("unknown {what} `{name}`"),
        hidden => format!("unknown {what}, {hidden}"),
    };
    let complaint = Complaint::new(code, shown).expected(list(names));
    match nearest(name, names.iter().copied()) {
        Some(near) => complaint.help(format!("did you mean `{near}`?")),
        None => complaint,
    }
}

fn list(names: &[&str]) -> String {
    match names {
        [] => "no name at all".to_owned(),
        [one] => format!("`{one}`"),
        many => {
            let shown: Vec<_> = many
                .iter()
                .take(NAMES_LISTED_MAX)
                .map(|name| format!("`{name}`"))
                .collect();
            let more = many.len().saturating_sub(NAMES_LISTED_MAX);
            let tail = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            format!("one of {}{tail}", shown.join(", "))
        }
    }
}

/// serde's name of what a type expects, in a document's words.
fn plain_words(expected: &str) -> String {
    let range = |low: i128, high: i128| format!("a whole number from {low} to {high}");
    match expected {
        "u8" => range(0, u8::MAX.into()),
        "u16" => range(0, u16::MAX.into()),
        "u32" => range(0, u32::MAX.into()),
        "i8" => range(i8::MIN.into(), i8::MAX.into()),
        "i16" => range(i16::MIN.into(), i16::MAX.into()),
        "i32" => range(i32::MIN.into(), i32::MAX.into()),
        "u64" | "usize" | "u128" => "a whole number from 0".to_owned(),
        "i64" | "isize" | "i128" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a mapping".to_owned(),
        "unit" => "nothing (null)".to_owned(),
        "a character" => "a single character".to_owned(),
        other if other.starts_with("a nonzero u") => "a whole number from 1".to_owned(),
        other if other.starts_with("struct ") => "a mapping".to_owned(),
        other => other.to_owned(),
    }
}
