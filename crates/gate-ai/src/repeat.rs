//! When two requests are the same: what a cache of answers must know of a request and an answer.
//!
//! [`repeatable`] reads a request once and writes it in a form in which the order of members, white
//! space, the spelling of escapes and members that change no answer make no difference. Two
//! requests of one operation with the same form ask for the same answer. Numbers count as they are
//! spelt (`1` and `1.0` differ), because reading them could make two equal that are not. A request
//! that repeats a member has no form: its readers need not agree on it. [`last_turn`] finds the text
//! that is compared by meaning; [`is_whole`] says whether an answer is worth being kept.

#[path = "repeat/canonical.rs"]
mod canonical;
#[path = "repeat/turn.rs"]
mod turn;

pub use turn::{answer_text, last_turn};

use crate::json::scan::Scanner;
use crate::usage::value_of_member;
use crate::{Dialect, DialectError, Operation, inspect};
use std::ops::Range;

/// What a cache must know of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Repeatable {
    /// The model as the body names it; empty where it does not.
    pub model: String,
    /// Whether the body asks for a stream; paths may say it instead.
    pub stream: bool,
    /// The sampling temperature, where the request states one.
    pub temperature: Option<f64>,
    /// Whether it declares tools.
    pub has_tools: bool,
    /// Whether there is an image among the messages, as far as a search for its type shows.
    pub has_images: bool,
    /// Whether it changes something at the provider, or runs there beside the answer: a
    /// conversation of the Responses interface, a call in the background.
    pub leaves_traces: bool,
    /// The form in which equal requests are equal bytes. It is for hashing and is no JSON.
    pub canonical: Vec<u8>,
}

/// Whether answers of this operation may be repeated: the same input has the same output, or one
/// that serves as well. Not so where things are made (images, audio, files) or sessions held.
#[must_use]
pub const fn can_repeat(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::Conversation(_)
            | Operation::Completions
            | Operation::Embeddings(_)
            | Operation::Rerank(_)
            | Operation::Moderations
            | Operation::CountTokens(_)
    )
}

/// Members at the top of a request that change no answer and are not part of its form: who asks,
/// what it is filed under, and `stream`, which [`Repeatable::stream`] has. In the Responses
/// interface the others count, because the answer repeats them.
#[must_use]
pub const fn ignored_members(operation: Operation) -> &'static [&'static str] {
    match operation {
        Operation::Conversation(Dialect::ChatCompletions) => &[
            "stream",
            "user",
            "metadata",
            "safety_identifier",
            "prompt_cache_key",
            "prompt_cache_retention",
        ],
        Operation::Conversation(Dialect::Messages) => &["stream", "metadata"],
        Operation::Conversation(Dialect::Responses) => &["stream"],
        Operation::Conversation(Dialect::GenerateContent) => &["labels"],
        Operation::Conversation(Dialect::Converse) => &["requestMetadata"],
        Operation::Completions => &["stream", "user"],
        Operation::Embeddings(_) => &["user"],
        _ => &[],
    }
}

/// Reads a request. `hole` is where a JSON string begins that is left out of the form, as
/// [`last_turn`] gives it.
///
/// # Errors
/// [`DialectError`] when the body is no JSON object, is nested too deeply, or repeats a member.
pub fn repeatable(
    operation: Operation,
    body: &[u8],
    hole: Option<usize>,
) -> Result<Repeatable, DialectError> {
    let canonical = canonical::canonical(body, ignored_members(operation), hole)?;
    let mut read = Repeatable {
        model: String::new(),
        stream: false,
        temperature: None,
        has_tools: false,
        has_images: false,
        leaves_traces: false,
        canonical,
    };
    let dialect = match operation {
        Operation::Conversation(dialect) => dialect,
        Operation::Completions => Dialect::ChatCompletions,
        _ => {
            read.model = string_at(body, value_of_member(body, b"model")).unwrap_or_default();
            return Ok(read);
        }
    };
    let facts = inspect(dialect, body)?;
    read.has_images = facts.has_images(dialect, body);
    read.has_tools = facts.has_tools;
    read.stream = facts.stream;
    read.temperature = temperature(dialect, body);
    read.leaves_traces = dialect == Dialect::Responses && leaves_traces(body);
    read.model = facts.model;
    Ok(read)
}

fn string_at(body: &[u8], at: Option<usize>) -> Option<String> {
    let name = Scanner::at(body, at?).string().ok()?;
    name.value(body).ok().map(std::borrow::Cow::into_owned)
}

/// The value of a member, where it is there and not null.
fn member<'a>(body: &'a [u8], names: &[&str]) -> Option<&'a [u8]> {
    let at = names
        .iter()
        .find_map(|name| value_of_member(body, name.as_bytes()))?;
    let span = Scanner::at(body, at).skip_value().ok()?;
    let value = &body[span];
    (value != b"null").then_some(value)
}

fn temperature(dialect: Dialect, body: &[u8]) -> Option<f64> {
    let settings = match dialect {
        Dialect::GenerateContent => member(body, &["generationConfig", "generation_config"])?,
        Dialect::Converse => member(body, &["inferenceConfig"])?,
        _ => body,
    };
    let value = member(settings, &["temperature"])?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn leaves_traces(body: &[u8]) -> bool {
    member(body, &["conversation"]).is_some()
        || member(body, &["background"]).is_some_and(|value| value != b"false")
}

/// Whether a whole answer is one that may be given again: JSON to its end, without an error in it,
/// and complete where it says so itself.
#[must_use]
pub fn is_whole(operation: Operation, body: &[u8]) -> bool {
    let well_formed = || -> Option<()> {
        let mut scanner = Scanner::at(body, 0);
        match scanner.peek()? {
            b'{' | b'[' => scanner.skip_value().ok()?,
            _ => return None,
        };
        scanner.finish().ok()
    };
    let completed = match operation {
        Operation::Conversation(Dialect::Responses) => {
            member(body, &["status"]).is_none_or(|status| status == b"\"completed\"")
        }
        _ => true,
    };
    completed && well_formed().is_some() && member(body, &["error"]).is_none()
}

/// Where a member's value lies in the object at `at`, which is not null.
fn value_in(body: &[u8], at: usize, name: &str) -> Option<Range<usize>> {
    let mut scanner = Scanner::at(body, at);
    scanner.open_object().ok()?;
    let mut first = true;
    while let Some(key) = scanner.next_key(&mut first).ok()? {
        let span = scanner.skip_value().ok()?;
        if key.inner == name.as_bytes() {
            return (&body[span.clone()] != b"null").then_some(span);
        }
    }
    None
}
