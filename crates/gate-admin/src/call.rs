//! A request as handlers see it: parameters checked against the operation, a body read strictly.

use crate::access::Identity;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use gate_api::openapi::{Holds, LIMIT_MAX, NUMBER_MAX, OPAQUE_MAX, Operation, TEXT_MAX};
use gate_api::problem::{Code, Problem};
use gate_kit::http::RequestHead;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Rows of a page when nobody says how many.
const LIMIT_DEFAULT: usize = 100;

/// What `If-Match` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    /// Whatever is there.
    Any,
    /// This generation.
    Generation(u64),
}

/// A request to an operation.
pub(crate) struct Call {
    pub(crate) operation: &'static Operation,
    pub(crate) who: Identity,
    /// Values of the path's names, in order.
    pub(crate) values: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) if_match: Match,
    pub(crate) manager: String,
    pub(crate) content_md5: Option<String>,
    /// Header fields of a report, names in lower case; of other calls none.
    pub(crate) event: Vec<(String, String)>,
    pub(crate) last_event: Option<String>,
    pub(crate) cookie: Option<String>,
    /// The cookie of a sign-in that was begun.
    pub(crate) sign_in: Option<String>,
    pub(crate) secure: bool,
    /// The caller's name for this address.
    pub(crate) host: String,
    pub(crate) body: Bytes,
    /// Set once nobody waits for the answer any more.
    pub(crate) gone: Arc<AtomicBool>,
}

/// Sets a flag when it is dropped.
pub(crate) struct Leaving(pub(crate) Arc<AtomicBool>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A cursor that no page of the list gave.
pub(crate) fn no_page() -> Problem {
    Problem::new(
        Code::NotFound,
        "there is no such page: `cursor` must be `next` of the page before",
    )
}

/// A wrong parameter.
pub(crate) fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(Code::BadParameter, detail)
}

impl Call {
    /// The value of the path's `position`th name.
    pub(crate) fn value(&self, position: usize) -> &str {
        self.values.get(position).map_or("", String::as_str)
    }

    /// The number that is the path's `position`th value.
    pub(crate) fn number(&self, position: usize) -> Result<u64, Problem> {
        number(self.value(position)).ok_or_else(|| bad("the number in the path is none"))
    }

    /// A query parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A query parameter, owned.
    pub(crate) fn owned(&self, name: &str) -> Option<String> {
        self.parameter(name).map(str::to_owned)
    }

    /// A number among the query parameters; they have been checked.
    pub(crate) fn numeric(&self, name: &str) -> Option<u64> {
        self.parameter(name).and_then(number)
    }

    /// Whether a flag is set.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.parameter(name) == Some("true")
    }

    /// How many rows a page may have.
    pub(crate) fn limit(&self) -> usize {
        let limit = self.numeric("limit");
        limit.map_or(LIMIT_DEFAULT, |limit| {
            usize::try_from(limit).unwrap_or(LIMIT_MAX).min(LIMIT_MAX)
        })
    }

    /// Where the page before ended, as [`cursor`] wrote it.
    pub(crate) fn cursor(&self) -> Result<Option<String>, Problem> {
        let Some(cursor) = self.parameter("cursor") else {
            return Ok(None);
        };
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.filter(|text| !text.is_empty() && !text.contains(char::is_control));
        let text = text.ok_or_else(no_page)?;
        Ok(Some(text))
    }

    /// The same, when it is a number.
    pub(crate) fn cursor_number(&self) -> Result<Option<u64>, Problem> {
        let read = |text: String| number(&text).ok_or_else(no_page);
        self.cursor()?.map(read).transpose()
    }

    /// The body as an object of this shape.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        // serde would take a list for an object's fields in order.
        let first = self.body.iter().find(|byte| !byte.is_ascii_whitespace());
        match first {
            Some(b'[') => Err(Problem::new(
                Code::Invalid,
                "invalid type: a list, expected an object",
            )),
            _ => self.any_json(),
        }
    }

    /// The body as any JSON of this shape.
    pub(crate) fn any_json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let code = match error.classify() {
                Category::Data => Code::Invalid,
                _ => Code::Malformed,
            };
            Problem::new(code, words(&error.to_string()))
        })
    }

    /// What is written to the audit log about it.
    pub(crate) fn subject(&self) -> String {
        let mut values = self.values.iter();
        let parts = self.operation.path.trim_start_matches('/').split('/');
        let parts = parts.map(|part| match part.starts_with('{') {
            true => values.next().map_or("", String::as_str),
            false => part,
        });
        parts.collect::<Vec<_>>().join("/")
    }
}

/// Header fields that say what a report is and prove who sends it; nothing of other operations.
pub(crate) fn event(operation: &Operation, head: &RequestHead) -> Vec<(String, String)> {
    if !operation.id.starts_with("reportDeployment") {
        return Vec::new();
    }
    let wanted = |name: &str| {
        name == "content-type"
            || ["ce-", "x-hub-", "x-github-", "x-gitlab-"]
                .iter()
                .any(|it| name.starts_with(it))
    };
    let fields = head.headers.iter().filter_map(|(_, name, value)| {
        let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
        let value = std::str::from_utf8(value).ok()?.to_owned();
        wanted(&name).then_some((name, value))
    });
    fields.collect()
}

/// A page's cursor.
pub(crate) fn cursor(after: &str) -> String {
    URL_SAFE_NO_PAD.encode(after)
}

fn number(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| *number <= NUMBER_MAX)?;
    (plain && number > 0).then_some(number)
}

/// Reads a query and holds it against what the operation knows.
pub(crate) fn query(operation: &Operation, text: &str) -> Result<Vec<(String, String)>, Problem> {
    let mut query: Vec<(String, String)> = Vec::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        let Some(known) = operation.query.iter().find(|known| known.name == name) else {
            if operation.lenient {
                continue;
            }
            let known: Vec<_> = operation.query.iter().map(|known| known.name).collect();
            let detail = match known.is_empty() {
                true => "no query parameter is known here".to_owned(),
                false => format!(
                    "a query parameter is unknown; known are {}",
                    known.join(", ")
                ),
            };
            return Err(bad(detail));
        };
        if query.iter().any(|(seen, _)| *seen == name) {
            return Err(bad(format!("`{}` stands twice", known.name)));
        }
        let right = match known.holds {
            Holds::Text => {
                (1..=TEXT_MAX).contains(&value.chars().count()) && !value.contains(char::is_control)
            }
            Holds::Opaque => {
                let printable = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
                printable && (1..=OPAQUE_MAX).contains(&value.len())
            }
            Holds::Number => number(&value).is_some(),
            Holds::Limit => number(&value).is_some_and(|limit| limit <= LIMIT_MAX as u64),
            Holds::Flag => matches!(&*value, "true" | "false"),
            Holds::Day => is_day(&value),
            Holds::Status => is_status(&value),
            Holds::Word(words) => words.contains(&&*value),
        };
        if !right {
            let words;
            let expected = match known.holds {
                Holds::Word(known) => {
                    words = format!("one of `{}`", known.join("`, `"));
                    &words
                }
                Holds::Text => "text of 1 to 256 characters",
                Holds::Opaque => "printable ASCII of 1 to 2048 characters",
                Holds::Number => "a whole number from 1",
                Holds::Limit => "a whole number from 1 to 1000",
                Holds::Flag => "`true` or `false`",
                Holds::Day => "a day such as 2026-11-22",
                Holds::Status => "a status such as 404, or a class such as 5xx",
            };
            return Err(bad(format!("`{}` must be {expected}", known.name)));
        }
        query.push((name.into_owned(), value.into_owned()));
    }
    let missing = operation
        .query
        .iter()
        .find(|known| known.required && !query.iter().any(|(name, _)| name == known.name));
    match missing {
        Some(missing) => Err(bad(format!("`{}` is missing", missing.name))),
        None => Ok(query),
    }
}

fn is_status(text: &str) -> bool {
    let digit = |byte: &u8| byte.is_ascii_digit();
    match text.as_bytes() {
        [b'1'..=b'5', rest @ ..] if rest.len() == 2 => {
            rest.iter().all(digit) || matches!(rest, b"xx" | b"XX")
        }
        _ => false,
    }
}

fn is_day(text: &str) -> bool {
    text.len() == 10 && text.parse::<gate_model::units::Timestamp>().is_ok()
}

/// What a JSON error says, without the values that it quotes: they may be secrets.
fn words(text: &str) -> String {
    for (open, close) in [
        ("string \"", "\", expected"),
        ("unknown variant `", "`, expected"),
    ] {
        if let Some(start) = text.find(open)
            && let Some(end) = text.rfind(close)
            && start + open.len() <= end
        {
            let (before, mark) = (&text[..start + open.len() - 1], &close[1..]);
            let before = before.trim_end();
            return format!("{before}{mark}{}", &text[end + close.len()..]);
        }
    }
    text.to_owned()
}

/// Percent-decodes a path's segment (RFC 3986 section 2.1); none for what is no UTF-8.
pub(crate) fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push(u8::try_from(high << 4 | low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// Whether a path's value is one that its name may have; the patterns of the description by hand.
pub(crate) fn fits(name: &str, value: &str) -> bool {
    let all = |more: &str| {
        value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let first = value.chars().next();
    let begins = first.is_some_and(|c| c.is_ascii_alphanumeric());
    match name {
        "environment" => gate_model::environment::is_environment_name(value),
        "kind" => {
            first.is_some_and(|c| c.is_ascii_lowercase())
                && value.len() <= 64
                && value.chars().all(|c| c.is_ascii_lowercase() || c == '_')
        }
        "name" => begins && value.len() <= 128 && all("._/*-"),
        "id" => begins && value.len() <= 128 && all("_-"),
        "state" => begins && value.len() <= 128 && all("._-"),
        _ => number(value).is_some(),
    }
}

/// Whether a manager may have this name.
pub(crate) fn is_manager(name: &str) -> bool {
    let named = |rest: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
        rest.starts_with(|c: char| c.is_ascii_alphanumeric())
            && rest.len() <= 128
            && rest.chars().all(fits)
    };
    match name.split_once(':') {
        None => matches!(name, "api" | "console"),
        Some(("file" | "terraform", rest)) => named(rest),
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_do_not_quote_values() {
        let shown = |text: &str| {
            let error = serde_json::from_str::<gate_api::types::LockInput>(text).unwrap_err();
            words(&error.to_string())
        };
        assert!(shown(r#"{"reason":"a","x":1}"#).starts_with("unknown field `x`"));
        assert!(shown(r#"{"reason":[]}"#).starts_with("invalid type: sequence"));
        let text = shown(r#""sk-live-1""#);
        assert!(text.starts_with("invalid type: string, expected"), "{text}");
        let error = serde_json::from_str::<gate_api::types::Mode>(r#""sk-1""#).unwrap_err();
        let text = words(&error.to_string());
        assert!(!text.contains("sk-1") && text.contains("`sync`"), "{text}");
    }

    #[test]
    fn paths_are_decoded_strictly() {
        assert_eq!(decode("a%2Fb%20"), Some("a/b ".to_owned()));
        for wrong in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
        assert!(fits("name", "openai/gpt-*") && !fits("name", "-a") && !fits("name", ""));
        assert!(fits("number", "1") && !fits("number", "0") && !fits("number", "+1"));
        assert!(is_manager("terraform:default") && !is_manager("terraform:") && !is_manager("x:y"));
    }
}
