//! Token counts, and finding them in a response without reading the rest of it.
//!
//! Providers disagree on whether cached tokens are part of the input count; here they always are.
//! [`response_facts`] is on the hot path: it looks for the last `"usage"` from the back and proves
//! by reading only what follows that it is a member of the outermost object.

use crate::Dialect;
use crate::json::scan::Scanner;
use memchr::memmem;

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
}

impl Usage {
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
pub struct ResponseFacts {
    /// Token counts, where given.
    pub usage: Option<Usage>,
    /// The model that answered, as the provider names it.
    pub model: Option<String>,
}

/// Usage and model of a whole, non-streamed response; absent where it does not say or is no JSON.
#[must_use]
pub fn response_facts(dialect: Dialect, body: &[u8]) -> ResponseFacts {
    ResponseFacts {
        usage: usage_of(dialect, body),
        model: response_model(body),
    }
}

/// The usage of a whole, non-streamed response.
#[must_use]
pub fn usage_of(dialect: Dialect, body: &[u8]) -> Option<Usage> {
    let at = value_of_last(body).or_else(|| value_of_member(body, b"usage"))?;
    let mut usage = Usage::default();
    dialect.codec().read_usage(body, at, &mut usage)?;
    Some(usage)
}

/// The model that a whole, non-streamed response names.
#[must_use]
pub fn response_model(body: &[u8]) -> Option<String> {
    let at = value_of_member(body, b"model")?;
    let name = Scanner::at(body, at).string().ok()?;
    name.value(body).ok().map(std::borrow::Cow::into_owned)
}

/// The offset of the value of the outermost object's last `"usage"`.
///
/// Sound for valid JSON: a match that is a whole string, follows a brace or comma, is followed by
/// a value, and behind it only members, one closing brace and the end, can only be at the top.
fn value_of_last(body: &[u8]) -> Option<usize> {
    const KEY: &[u8] = b"\"usage\"";
    let at = memmem::rfind(body, KEY)?;
    let before = body[..at]
        .iter()
        .rev()
        .find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))?;
    let mut scanner = Scanner::at(body, at + KEY.len());
    if !matches!(before, b'{' | b',') || scanner.peek() != Some(b':') {
        return None;
    }
    let mut scanner = Scanner::at(body, scanner.position() + 1);
    let value = scanner.skip_value().ok()?;
    scanner.closes_document().then_some(value.start)
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

/// Reads the unsigned members of the object at `at`; nested objects are handed on as offsets.
pub(crate) fn read_counts(
    document: &[u8],
    at: usize,
    count: &mut dyn FnMut(&[u8], Count),
) -> Option<()> {
    let mut scanner = Scanner::at(document, at);
    scanner.open_object().ok()?;
    let mut first = true;
    while let Some(key) = scanner.next_key(&mut first).ok()? {
        match scanner.peek()? {
            b'{' => {
                count(key.inner, Count::Object(scanner.position()));
                scanner.skip_value().ok()?;
            }
            b'0'..=b'9' => {
                if let Some(tokens) = scanner.unsigned().ok()? {
                    count(key.inner, Count::Tokens(tokens));
                }
            }
            _ => {
                scanner.skip_value().ok()?;
            }
        }
    }
    Some(())
}

/// A member of a usage object.
pub(crate) enum Count {
    /// A count.
    Tokens(u64),
    /// A nested object's offset.
    Object(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

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
