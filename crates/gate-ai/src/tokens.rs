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
use aho_corasick::packed::Searcher;
use memchr::memmem;
use std::sync::LazyLock;

/// Tokens that vendors add to a request by themselves: the instructions for tools, templates of
/// messages. The most found in recordings is 1,331.
const ADDED_MAX: u64 = 2048;

/// Words in a request that make the provider read more than what was sent: addresses of images and
/// files, uploaded files, cached content, tools that it runs itself.
const REMOTE: [&[u8]; 15] = [
    b"s3Location",
    b"\"url\"",
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
    b"\"conversation\"",
];

/// Words that may ask for several answers, with what stands around them.
const ANSWERS: [&[u8]; 2] = [b"\"n\"", b"\"candidateCount\""];

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

/// Reads it off a request's bytes. Ordinary requests have none of the words, which one pass shows.
#[must_use]
pub fn reach(body: &[u8]) -> Reach {
    static ANY: LazyLock<Option<Searcher>> =
        LazyLock::new(|| Searcher::new(REMOTE.iter().chain(&ANSWERS)));
    if let Some(any) = &*ANY
        && any.find(body).is_none()
    {
        return Reach {
            remote: false,
            answers: 1,
        };
    }
    let has = |word: &&[u8]| memmem::find(body, word).is_some();
    Reach {
        remote: REMOTE.iter().any(has),
        answers: answers_wanted(body),
    }
}

fn answers_wanted(body: &[u8]) -> u64 {
    let after = |name: &&[u8]| {
        memmem::find_iter(body, name)
            .filter_map(|at| number_behind(&body[at + name.len()..]))
            .max()
    };
    let wanted = ANSWERS.iter().filter_map(after).max();
    wanted.unwrap_or(1).clamp(1, 128)
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
    fn every_word_is_found_wherever_it_stands() {
        for word in REMOTE {
            for before in 0..70 {
                let body = [&b"x".repeat(before), word, &b"y".repeat(70 - before)[..]].concat();
                assert!(reach(&body).remote, "{}", String::from_utf8_lossy(&body));
                assert!(!reach(&body[..before + word.len() - 1]).remote);
            }
        }
    }

    #[test]
    fn answers_are_counted() {
        for (body, wanted) in [
            (r#"{"model":"m"}"#, 1),
            (r#"{"n" : 3}"#, 3),
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
