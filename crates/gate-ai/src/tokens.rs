//! Token counts that no provider gave: an upper bound before a call, an estimate after it.
//!
//! Both read bytes, not vocabularies. [`input_bound`] is cheap enough for every call under a
//! budget: a byte-level tokeniser never makes more tokens of a text than it has bytes, and JSON
//! never writes a text in fewer. [`estimate_input`] and [`estimate_text`] stand in where an answer
//! has no usage (an aborted call); whoever uses them marks the count as estimated. How far they are
//! off is measured on recorded calls by `tests/it/tokens.rs`, per vendor, in
//! `docs/concepts/money.md`. Exact counting would need each vendor's vocabulary (2 to 4 MB each,
//! published for a few only): [`crate::tokenizer`] does it where the operator names one.

use crate::Dialect;
use crate::json::scan::{Strings, string_end};
use aho_corasick::packed::Searcher;
use memchr::memmem;
use std::sync::LazyLock;

/// Tokens that vendors add to a request by themselves: the instructions for tools, templates of
/// messages. The most found in recordings is 1,331.
const ADDED_MAX: u64 = 2048;

/// Parts of names and types of a request that make the provider read more than what was sent:
/// addresses of images and files, uploaded files, cached content, tools that it runs itself.
const REMOTE: [&[u8]; 13] = [
    b"s3Location",
    b"image_url",
    b"file_id",
    b"file_url",
    b"fileUri",
    b"cachedContent",
    b"web_search",
    b"code_interpreter",
    b"file_search",
    b"mcp",
    // Tools that Anthropic runs carry a date: `web_fetch_20250910`.
    b"_202",
    b"previous_response_id",
    b"googleSearch",
];

/// Longest string that is looked into, in bytes: a name or a type is shorter, and a longer text is
/// neither.
const NAME_MAX: usize = 64;

/// What of a request decides how many tokens it can come to besides its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Whether it makes the provider read more than what was sent.
    pub remote: bool,
    /// How many answers it asks for (`n`, `candidateCount`), each of which may take the most output
    /// tokens; at most 128, which is what vendors allow.
    pub answers: u64,
}

/// The most input tokens that a request can cost. `input_tokens_max` is the model's context: it
/// bounds every request, and is all there is where a request makes the provider read elsewhere.
/// `None` when nothing bounds such a request.
#[must_use]
pub fn input_bound(bytes: usize, reach: Reach, input_tokens_max: Option<u64>) -> Option<u64> {
    if reach.remote {
        return input_tokens_max;
    }
    let bytes = (bytes as u64).saturating_add(ADDED_MAX);
    Some(input_tokens_max.map_or(bytes, |most| bytes.min(most.max(ADDED_MAX))))
}

/// Reads it off a request's bytes: off its short strings, as one of which every name and type stands
/// in JSON, whatever escapes it is written with. What is no JSON is searched whole.
#[must_use]
pub fn reach(body: &[u8]) -> Reach {
    let mut reach = Reach::default();
    if !matches!(body.trim_ascii_start().first(), Some(b'{' | b'[')) {
        reach.remote = is_remote(body);
        return reach;
    }
    let mut pos = 0;
    while let Some(quote) = body[pos..].iter().position(|&byte| byte == b'"') {
        let start = pos + quote + 1;
        let Some(end) = string_end(body, start) else {
            break;
        };
        pos = end.next;
        reach.take(body, start, pos, end.escaped);
    }
    reach
}

impl Default for Reach {
    /// That of a request that says nothing about it.
    fn default() -> Self {
        Self {
            remote: false,
            answers: 1,
        }
    }
}

impl Strings for Reach {
    #[inline]
    fn take(&mut self, document: &[u8], start: usize, next: usize, is_escaped: bool) {
        let name = &document[start..next - 1];
        if is_escaped {
            self.take_escaped(document, start, next);
        } else if name.len() <= NAME_MAX {
            self.add(name, &document[next..]);
        }
    }
}

impl Reach {
    fn take_escaped(&mut self, document: &[u8], start: usize, next: usize) {
        // An escape takes six bytes at most.
        if next - 1 - start > 6 * NAME_MAX {
            return;
        }
        if let Ok(name) = serde_json::from_slice::<String>(&document[start - 1..next]) {
            self.add(name.as_bytes(), &document[next..]);
        }
    }

    /// Takes in a string of the request and what stands behind it.
    fn add(&mut self, name: &[u8], behind: &[u8]) {
        match name {
            // What nearly every request has, so that it is not searched.
            b"role" | b"user" | b"model" | b"system" | b"content" | b"messages" | b"assistant"
            | b"max_tokens" | b"temperature" | b"stream" | b"text" | b"type" => {}
            b"n" | b"candidateCount" => {
                let wanted = number_behind(behind).unwrap_or(1).clamp(1, 128);
                self.answers = self.answers.max(wanted);
            }
            // None of the parts is shorter.
            name => self.remote |= name.len() > 2 && is_remote(name),
        }
    }
}

fn is_remote(name: &[u8]) -> bool {
    static PARTS: LazyLock<Option<Searcher>> = LazyLock::new(|| Searcher::new(REMOTE));
    // All parts but one have an underscore or a capital, which most short strings have not.
    let marks = |byte: &u8| *byte == b'_' || byte.is_ascii_uppercase();
    match &*PARTS {
        _ if matches!(name, b"url" | b"conversation") => true,
        _ if !name.iter().any(marks) => name.windows(3).any(|three| three == b"mcp"),
        Some(parts) => parts.find(name).is_some(),
        None => REMOTE.iter().any(|part| memmem::find(name, part).is_some()),
    }
}

fn number_behind(bytes: &[u8]) -> Option<u64> {
    let bytes = bytes
        .trim_ascii_start()
        .strip_prefix(b":")?
        .trim_ascii_start();
    let digits = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    std::str::from_utf8(&bytes[..digits.min(4)])
        .ok()?
        .parse()
        .ok()
}

/// About how many input tokens a request has, its JSON and all.
#[must_use]
pub fn estimate_input(dialect: Dialect, body: &[u8], has_tools: bool) -> u64 {
    // Of a request about a third is JSON's own, which templates replace by a few tokens.
    let text = weigh(body) * 62 / 100;
    // Anthropic documents 313 to 530 tokens of instructions as soon as there are tools.
    let tools = match (has_tools, dialect) {
        (true, Dialect::Messages) => 400,
        (true, _) => 30,
        (false, _) => 0,
    };
    text / 8 + tools + 3
}

/// About how many tokens a text has.
#[must_use]
pub fn estimate_text(text: &[u8]) -> u64 {
    (weigh(text) / 8).max(u64::from(!text.is_empty()))
}

/// Eighths of tokens: a run of letters is a token and one more per seven letters, three digits
/// are one, three bytes beyond ASCII are one, a run of anything else but blanks is half of one.
fn weigh(text: &[u8]) -> u64 {
    let mut weight = 0_u64;
    let mut rest = text;
    while let Some(&first) = rest.first() {
        let class = class_of(first);
        let same = |byte: &&u8| class_of(**byte) == class;
        let length = rest.iter().take_while(same).count() as u64;
        weight += match class {
            Class::Letter => 8 * (1 + (length - 1) / 7),
            Class::Digit => 8 * length.div_ceil(3),
            Class::Other => (8 * length).div_ceil(3),
            Class::Mark => 4,
            Class::Blank => 0,
        };
        rest = &rest[length as usize..];
    }
    weight
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    Other,
    Mark,
    Blank,
}

fn class_of(byte: u8) -> Class {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
        b'0'..=b'9' => Class::Digit,
        0x80.. => Class::Other,
        byte if byte.is_ascii_whitespace() => Class::Blank,
        _ => Class::Mark,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_follow_bytes_and_context() {
        let bound = |body: &[u8], most| input_bound(body.len(), reach(body), most);
        assert_eq!(bound(b"{}", None), Some(2 + ADDED_MAX));
        assert_eq!(bound(&[b'a'; 9000], Some(4096)), Some(4096));
        assert_eq!(bound(br#"{"image_url":{}}"#, Some(128_000)), Some(128_000));
        assert_eq!(bound(br#"{"image_url":{}}"#, None), None);
    }

    #[test]
    fn every_name_is_found_however_it_is_written() {
        let says = |name: &str| reach(format!(r#"{{"a" : "b","{name}":1}}"#).as_bytes()).remote;
        for part in REMOTE {
            let part = std::str::from_utf8(part).unwrap();
            for before in 0..=NAME_MAX - part.len() {
                let name = "x".repeat(before) + part;
                assert!(says(&name) && says(&format!("{name:y<64}")), "{name}");
                assert!(!says(&name[..name.len() - 1]), "{name}");
            }
            let escaped: String = part.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
            assert!(says(&escaped), "{escaped}");
            // A text that mentions it is no name.
            assert!(!says(&format!("{:>65}", part)), "{part}");
        }
        assert!(says("url") && says("conversation") && says("\\u0075rl") && !says("curl"));
        assert!(reach(b"name=mcp").remote && !reach(b"name=nothing").remote);
        assert!(!reach(br#"{"unclosed": "mcp"#).remote);
    }

    #[test]
    fn answers_are_counted() {
        for (body, wanted) in [
            (r#"{"model":"m"}"#, 1),
            (r#"{"n" : 3}"#, 3),
            (r#"{"\u006e":3,"n":2}"#, 3),
            (r#"{"n":0}"#, 1),
            (r#"{"n":99999999999999999999}"#, 128),
            (r#"{"generationConfig":{"candidateCount":2}}"#, 2),
        ] {
            assert_eq!(reach(body.as_bytes()).answers, wanted, "{body}");
        }
    }

    #[test]
    fn texts_weigh_about_what_tokenisers_make_of_them() {
        assert_eq!(estimate_text(b""), 0);
        // o200k_base counts 10, 5 and 2.
        assert_eq!(
            estimate_text(b"The quick brown fox jumps over the lazy dog."),
            9
        );
        assert_eq!(estimate_text("日本語です".as_bytes()), 5);
        assert_eq!(estimate_text(b"123456"), 2);
    }
}
