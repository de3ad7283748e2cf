//! Token counts, and finding them in a response without reading the rest of it.
//!
//! Providers disagree on whether cached tokens are part of the input count; here they always are.
//! [`response_facts`] is on the hot path: one lazy walk over the outermost object, which skips the
//! answer itself and ends as soon as model and usage are known.

use crate::Dialect;
use crate::json::scan::Scanner;
use gate_model::units::Pieces;
use memchr::memmem::Finder;
use std::borrow::Cow;
use std::sync::LazyLock;

/// How far from its end a response is searched for usage first.
const TAIL_BYTES: usize = 1024;
/// How far it is searched at first: most responses say little behind their usage.
const NEAR_BYTES: usize = 512;

/// Tokens of one exchange as the provider counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// All input tokens, cached and written ones included.
    pub input_tokens: u64,
    /// All output tokens, thinking included.
    pub output_tokens: u64,
    /// Input tokens read from the provider's prompt cache.
    pub cached_tokens: u64,
    /// Input tokens written to the provider's prompt cache.
    pub cache_written_tokens: u64,
    /// The part of `cache_written_tokens` that is kept for an hour, which has its own price.
    pub cache_written_1h_tokens: u64,
    /// Output tokens spent on thinking.
    pub reasoning_tokens: u64,
    /// Input tokens of audio.
    pub audio_input_tokens: u64,
    /// Output tokens of audio.
    pub audio_output_tokens: u64,
    /// What few calls come to besides: tokens of images and of cached audio, which are parts of the
    /// counts above, and searches of the web.
    pub pieces: Pieces,
}

impl Usage {
    /// Adds the tokens of another exchange.
    pub fn add(&mut self, other: &Self) {
        for (sum, one) in [
            (&mut self.input_tokens, other.input_tokens),
            (&mut self.output_tokens, other.output_tokens),
            (&mut self.cached_tokens, other.cached_tokens),
            (&mut self.cache_written_tokens, other.cache_written_tokens),
            (
                &mut self.cache_written_1h_tokens,
                other.cache_written_1h_tokens,
            ),
            (&mut self.reasoning_tokens, other.reasoning_tokens),
            (&mut self.audio_input_tokens, other.audio_input_tokens),
            (&mut self.audio_output_tokens, other.audio_output_tokens),
        ] {
            *sum = sum.saturating_add(one);
        }
        self.pieces.add(&other.pieces);
    }

    /// Input and output together.
    #[must_use]
    pub const fn total_tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// Input tokens that were neither read from nor written to the cache.
    #[must_use]
    pub const fn fresh_input_tokens(&self) -> u64 {
        self.input_tokens
            .saturating_sub(self.cached_tokens)
            .saturating_sub(self.cache_written_tokens)
    }
}

/// What a response says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseFacts<'a> {
    /// Token counts, where given.
    pub usage: Option<Usage>,
    /// The model that answered, as the provider names it.
    pub model: Option<Cow<'a, str>>,
}

/// Usage and model of a whole, non-streamed response; absent where it does not say or is no JSON.
///
/// `asked` is the model that was asked for, which most responses name again; it is not read anew.
#[must_use]
pub fn response_facts<'a>(dialect: Dialect, body: &'a [u8], asked: &'a str) -> ResponseFacts<'a> {
    let mut facts = ResponseFacts::default();
    // What was found before the bytes stop being JSON still counts.
    let _ = walk(dialect, body, asked, &mut facts);
    facts
}

fn walk<'a>(
    dialect: Dialect,
    body: &'a [u8],
    asked: &'a str,
    facts: &mut ResponseFacts<'a>,
) -> Option<()> {
    let mut scanner = Scanner::at(body, 0);
    scanner.open_object().ok()?;
    let (mut first, mut left, mut looked_ahead) = (true, 2, false);
    while let Some(key) = scanner.next_key_inline(&mut first).ok()? {
        match key.inner {
            name if is_model(dialect, name)
                && facts.model.is_none()
                && scanner.peek() == Some(b'"') =>
            {
                let name = scanner.string().ok()?;
                facts.model = Some(match name.inner == asked.as_bytes() && !name.is_escaped() {
                    true => Cow::Borrowed(asked),
                    false => name.value(body).ok()?,
                });
                left -= 1;
            }
            name if is_usage(dialect, name)
                && facts.usage.is_none()
                && scanner.peek() == Some(b'{') =>
            {
                let mut usage = Usage::default();
                let end = dialect
                    .codec()
                    .read_usage(body, scanner.position(), &mut usage)?;
                facts.usage = Some(usage);
                left -= 1;
                scanner = Scanner::at(body, end);
            }
            _ => {
                // Before the answer itself is walked through: usage mostly stands behind it.
                if !looked_ahead && facts.usage.is_none() && scanner.peek() == Some(b'[') {
                    looked_ahead = true;
                    facts.usage = usage_at_end(dialect, body);
                    left -= i32::from(facts.usage.is_some());
                }
                if left > 0 {
                    scanner.skip_value().ok()?;
                }
            }
        }
        if left == 0 {
            break;
        }
    }
    Some(())
}

/// Whether a member names the model.
#[inline]
fn is_model(dialect: Dialect, name: &[u8]) -> bool {
    match dialect {
        Dialect::GenerateContent => name == b"modelVersion",
        _ => name == b"model",
    }
}

/// Whether a member holds the usage.
#[inline]
fn is_usage(dialect: Dialect, name: &[u8]) -> bool {
    match dialect {
        Dialect::GenerateContent => name == b"usageMetadata",
        _ => name == b"usage",
    }
}

/// Usage among the last members of a response, found from the back.
///
/// What is found counts only if the rest of the document reads as the end of its outermost object
/// from there. A quote inside a string is escaped, so text never looks like the key, and an object
/// inside another leaves a bracket behind; a response that is JSON is therefore read as from the
/// front.
fn usage_at_end(dialect: Dialect, body: &[u8]) -> Option<Usage> {
    static KEY: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"usage\""));
    static GOOGLES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"usageMetadata\""));
    let name = match dialect {
        Dialect::GenerateContent => &GOOGLES,
        _ => &KEY,
    };
    // Forwards, because only that direction is searched by SIMD. The first that counts is the one:
    // a second of that name at the top would be met on the way to the end.
    let within = |from: usize, to: usize| {
        name.find_iter(&body[from..to])
            .find_map(|key| usage_to_end(dialect, body, from + key))
    };
    let near = body.len().saturating_sub(NEAR_BYTES);
    let far = body.len().saturating_sub(TAIL_BYTES);
    let until = body.len().min(near + name.needle().len() - 1);
    within(near, body.len()).or_else(|| within(far, until))
}

/// Usage whose key is at `key`, if it is one of the last members of the outermost object.
fn usage_to_end(dialect: Dialect, body: &[u8], key: usize) -> Option<Usage> {
    let before = body[..key].trim_ascii_end().last()?;
    if !matches!(before, b',' | b'{') {
        return None;
    }
    let mut scanner = Scanner::at(body, key);
    let mut first = true;
    scanner.next_key_inline(&mut first).ok()??;
    if scanner.peek() != Some(b'{') {
        return None;
    }
    let mut usage = Usage::default();
    let end = dialect
        .codec()
        .read_usage(body, scanner.position(), &mut usage)?;
    let mut scanner = Scanner::at(body, end);
    while let Some(member) = scanner.next_key_inline(&mut first).ok()? {
        if member.inner == b"usage" {
            return None;
        }
        scanner.skip_value().ok()?;
    }
    scanner.finish().ok()?;
    Some(usage)
}

/// The usage of a whole, non-streamed response.
#[must_use]
pub fn usage_of(dialect: Dialect, body: &[u8]) -> Option<Usage> {
    response_facts(dialect, body, "").usage
}

/// The model that a whole, non-streamed response names.
#[must_use]
pub fn response_model(body: &[u8]) -> Option<String> {
    let at = value_of_member(body, b"model")?;
    let name = Scanner::at(body, at).string().ok()?;
    name.value(body).ok().map(std::borrow::Cow::into_owned)
}

/// The offset of a member's value in the outermost object, read from the front.
pub(crate) fn value_of_member(document: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut scanner = Scanner::at(document, 0);
    scanner.open_object().ok()?;
    let mut first = true;
    while let Some(key) = scanner.next_key(&mut first).ok()? {
        if key.inner == wanted {
            scanner.peek();
            return Some(scanner.position());
        }
        scanner.skip_value().ok()?;
    }
    None
}

/// Hands every unsigned member of the usage object at `at` to `count`: what the object that it
/// stands in is to the caller, its own name, and its value. Returns where the usage ends.
///
/// `enter` says what an object inside the usage is, or nothing when it is of no interest; the usage
/// itself is the default. One level of details is all there is; what is deeper is something else.
#[inline]
pub(crate) fn read_counts<'d, Of: Copy + Default>(
    document: &'d [u8],
    at: usize,
    enter: impl Fn(&'d [u8]) -> Option<Of>,
    mut count: impl FnMut(Of, &'d [u8], u64),
) -> Option<usize> {
    let mut scanner = Scanner::at(document, at);
    scanner.open_object().ok()?;
    let mut inside: Option<Of> = None;
    let (mut first, mut first_outside) = (true, true);
    loop {
        let Some(key) = scanner.next_key_inline(&mut first).ok()? else {
            if inside.take().is_none() {
                return Some(scanner.position());
            }
            first = first_outside;
            continue;
        };
        if let Some(tokens) = scanner.short_number() {
            count(inside.unwrap_or_default(), key.inner, tokens);
            continue;
        }
        match scanner.peek()? {
            b'{' if inside.is_none() => {
                inside = enter(key.inner);
                match inside {
                    Some(_) => scanner.open_object().ok()?,
                    None => {
                        scanner.skip_value().ok()?;
                    }
                }
                first_outside = first;
                first |= inside.is_some();
            }
            b'0'..=b'9' => {
                if let Some(tokens) = scanner.unsigned().ok()? {
                    count(inside.unwrap_or_default(), key.inner, tokens);
                }
            }
            _ => {
                scanner.skip_value().ok()?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_behind_the_answer_is_the_one_at_the_top() {
        let tokens = |body: &str| {
            usage_of(Dialect::ChatCompletions, body.as_bytes()).map(|u| u.input_tokens)
        };
        let top = r#"{"model":"m","choices":[{"usage":{"prompt_tokens":1}}],"usage" : {"prompt_tokens":2},"x":{"usage":{"prompt_tokens":3}}}"#;
        assert_eq!(tokens(top), Some(2));
        let only_inside = r#"{"model":"m","choices":[{"usage":{"prompt_tokens":1}}]}"#;
        assert_eq!(tokens(only_inside), None);
        let in_text = r#"{"model":"m","choices":[{"text":",\"usage\":{\"prompt_tokens\":1}}"}]}"#;
        assert_eq!(tokens(in_text), None);
        let as_value = r#"{"usage":{"prompt_tokens":4},"choices":["usage"]}"#;
        assert_eq!(tokens(as_value), Some(4));
        let last_inside = r#"{"choices":[],"usage":{"prompt_tokens":5},"x":[{"a":1,"usage":{"prompt_tokens":6}}]}"#;
        assert_eq!(tokens(last_inside), Some(5));
    }

    fn chat(body: &str) -> Option<(u64, u64)> {
        usage_of(Dialect::ChatCompletions, body.as_bytes())
            .map(|usage| (usage.input_tokens, usage.output_tokens))
    }

    #[test]
    fn only_the_outermost_usage_counts() {
        let real = r#""usage":{"prompt_tokens":1,"completion_tokens":2}"#;
        let fake = r#""usage":{"prompt_tokens":7,"completion_tokens":7}"#;
        for body in [
            format!("{{{real}}}"),
            format!("{{\"x\":{{{fake}}},{real}, \"z\" : [1] }}"),
            format!("{{{real},\"x\":{{\"y\":1,{fake}}}}}"),
            format!("{{{real},\"x\":[{{{fake}}}]}}"),
            format!("{{{real},\"x\":\"usage\"}}"),
            format!("{{\"model\":\"m\",\"model\":\"m\",{real}}}"),
            format!("{{{real},\"x\\\"usage\":{{\"prompt_tokens\":7}}}}"),
            format!("{{\"text\":\"a \\\"usage\\\":{{}}\", {real}}}"),
        ] {
            assert_eq!(chat(&body), Some((1, 2)), "{body}");
        }
    }

    #[test]
    fn absent_and_broken_usage_is_none() {
        for body in [
            "",
            "{}",
            "[]",
            r#"{"usage":null}"#,
            r#"{"usage":3}"#,
            r#"{"usage":{"#,
        ] {
            assert_eq!(chat(body), None, "{body}");
        }
    }

    #[test]
    fn the_model_is_read_from_the_top() {
        let body = br#"{"x":{"model":"no"},"model":"a\"b"}"#;
        assert_eq!(response_model(body).as_deref(), Some("a\"b"));
        assert_eq!(response_model(br#"{"model":3}"#), None);
    }
}
