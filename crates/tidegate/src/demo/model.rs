//! The demo's stand-in for an AI vendor: no model, but the wire formats of two.
//!
//! It repeats what it was told, calls the first tool it is offered with arguments that fit the
//! tool's schema, counts tokens by length, and refuses as the vendors do. `chat.rs` speaks OpenAI
//! Chat Completions and `messages.rs` Anthropic Messages; both share what is decided here.

mod chat;
mod messages;

use super::server::json;
use gate_kit::clock::Clock;
use gate_kit::http::{RequestHead, Response};
use gate_kit::random;
use serde_json::{Map, Value};
use std::time::Duration;

/// Models that exist here, and one that is always out of capacity.
pub(crate) const MODELS: [&str; 3] = ["sample-large", "sample-small", BUSY];
/// Always answers 429.
const BUSY: &str = "sample-busy";
/// Time between two pieces of a stream.
const PAUSE: Duration = Duration::from_millis(15);
/// Words of an answer when the caller sets no limit.
const WORDS_MAX: usize = 400;
/// How deep a tool's schema is followed.
const DEPTH_MAX: usize = 8;

/// Answers a request to the stand-in; `credential` is the only one that it takes.
pub(crate) fn answer(credential: &str, head: &RequestHead, body: &[u8]) -> Response {
    match head.path() {
        "/v1/messages" => messages::answer(credential, head, body),
        "/healthz" => json(200, &serde_json::json!({ "status": "ok" })),
        _ => chat::answer(credential, head, body),
    }
}

/// What matters of a request, whichever dialect it came in.
#[derive(Debug, Default)]
struct Asked {
    model: String,
    /// The last thing the user said, or the result of a tool.
    last: String,
    is_tool_result: bool,
    images: usize,
    /// Characters of everything that was sent.
    characters: usize,
    /// The tool to call, with its schema; `None` when there is none or none may be called.
    tool: Option<(String, Value)>,
    tokens_max: Option<usize>,
    stream: bool,
}

/// What the stand-in answers.
#[derive(Debug)]
enum Said {
    /// Words, and whether they were cut at the limit.
    Text(Vec<String>, bool),
    /// A call of a tool, with its arguments.
    Call(String, Value),
}

impl Asked {
    fn say(&self) -> Said {
        if let Some((name, schema)) = &self.tool
            && !self.is_tool_result
        {
            return Said::Call(name.clone(), sample(schema, DEPTH_MAX));
        }
        let mut text = match self.is_tool_result {
            true => format!("The tool answered: {}", self.last),
            false => format!("This is a stand-in, not a model. You said: {}", self.last),
        };
        match self.images {
            0 => {}
            1 => text.push_str(" (with 1 image)"),
            n => text.push_str(&format!(" (with {n} images)")),
        }
        let most = self.tokens_max.unwrap_or(WORDS_MAX).min(WORDS_MAX);
        let mut words: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
        let cut = words.len() > most;
        words.truncate(most);
        if cut && let Some(last) = words.last_mut() {
            last.truncate(last.trim_end().len());
        }
        Said::Text(words, cut)
    }

    /// About four characters a token, and 85 for an image.
    fn input_tokens(&self) -> usize {
        self.characters.div_ceil(4) + 85 * self.images
    }
}

impl Said {
    fn tokens(&self) -> usize {
        match self {
            Said::Text(words, _) => words.len(),
            Said::Call(name, arguments) => (name.len() + arguments.to_string().len()).div_ceil(4),
        }
    }
}

/// A value that fits a JSON Schema of the simple kind that tools have.
fn sample(schema: &Value, depth: usize) -> Value {
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match schema["type"].as_str() {
        _ if depth == 0 => Value::Null,
        Some("object") => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            let fields = fields.map(|(name, schema)| (name.clone(), sample(schema, depth - 1)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Some("array") => Value::Array(vec![sample(&schema["items"], depth - 1)]),
        Some("integer" | "number") => 1.into(),
        Some("boolean") => true.into(),
        Some("null") => Value::Null,
        _ => "sample".into(),
    }
}

/// The characters of all texts inside of a value, but not of images.
fn characters(value: &Value) -> usize {
    match value {
        Value::String(text) if text.starts_with("data:") => 0,
        Value::String(text) => text.chars().count(),
        Value::Array(items) => items.iter().map(characters).sum(),
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| !matches!(&***name, "data" | "image_url" | "source"))
            .map(|(_, value)| characters(value))
            .sum(),
        _ => 0,
    }
}

/// An id such as the vendors': a prefix and 96 random bits.
fn id(prefix: &str) -> String {
    format!(
        "{prefix}{:016x}{:08x}",
        random::bits(),
        random::bits() as u32
    )
}

fn now() -> u64 {
    Clock::System.unix().as_secs()
}
