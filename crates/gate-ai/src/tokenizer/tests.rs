//! A small vocabulary, made here, and the real ones where they are at hand.

use super::*;
use base64::Engine;

/// Every byte, and these tokens in the order of their ranks.
fn vocabulary(tokens: &[&str]) -> String {
    let line = |token: &[u8], rank: usize| {
        let token = base64::engine::general_purpose::STANDARD.encode(token);
        format!("{token} {rank}\n")
    };
    let mut text: String = (0..=255_u8)
        .map(|byte| line(&[byte], byte.into()))
        .collect();
    for (index, token) in tokens.iter().enumerate() {
        text.push_str(&line(token.as_bytes(), 256 + index));
    }
    text
}

fn small(tokens: &[&str]) -> Tokenizer {
    Tokenizer::new(Encoding::O200kBase, &vocabulary(tokens)).unwrap()
}

/// The textbook's way: look for the lowest rank of all pairs, again and again.
fn slowly(tokenizer: &Tokenizer, piece: &[u8]) -> u64 {
    let mut parts: Vec<Vec<u8>> = piece.iter().map(|byte| vec![*byte]).collect();
    loop {
        let rank = |at: usize| {
            let pair = [parts[at].as_slice(), parts[at + 1].as_slice()].concat();
            Some((tokenizer.ranks.get(pair.as_slice())?, at))
        };
        let best = (0..parts.len().saturating_sub(1)).filter_map(rank).min();
        let Some((_, at)) = best else {
            return parts.len() as u64;
        };
        let second = parts.remove(at + 1);
        parts[at].extend(second);
    }
}

#[test]
fn pairs_merge_by_rank() {
    let tokenizer = small(&["ab", "bc", "abc", "aa", "aaaa"]);
    for (piece, count) in [
        ("abc", 1),
        ("bca", 2),
        ("aaaaa", 2),
        ("abab", 2),
        ("x", 1),
        ("cab", 2),
    ] {
        assert_eq!(tokenizer.merged(piece.as_bytes()), count, "{piece}");
        assert_eq!(slowly(&tokenizer, piece.as_bytes()), count, "{piece}");
    }
}

#[test]
fn merging_is_the_textbooks_on_any_piece() {
    let tokenizer = small(&[
        "ab", "ba", "aba", "bb", "abba", "cab", "aa", "aab", "baab", "cc",
    ]);
    fastrand::seed(7);
    for _ in 0..2_000 {
        let piece: Vec<u8> = (0..fastrand::usize(1..24))
            .map(|_| fastrand::u8(b'a'..=b'c'))
            .collect();
        assert_eq!(
            tokenizer.merged(&piece),
            slowly(&tokenizer, &piece),
            "{}",
            piece.escape_ascii()
        );
    }
}

#[test]
fn a_long_piece_takes_no_quadratic_time() {
    let tokenizer = small(&["aa", "aaaa", "aaaaaaaa"]);
    assert_eq!(tokenizer.count(&"a".repeat(1 << 20)), 1 << 17);
}

fn pieces(encoding: Encoding, text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    Splitter::new(encoding).split(text, |piece| found.push(piece));
    assert_eq!(found.concat(), text);
    found
}

#[test]
fn texts_are_split_as_published() {
    let cl = |text| pieces(Encoding::Cl100kBase, text);
    let o2 = |text| pieces(Encoding::O200kBase, text);
    assert_eq!(
        cl("Hello  world's 12345!\n\n x"),
        [
            "Hello", " ", " world", "'s", " ", "123", "45", "!\n\n", " x"
        ]
    );
    assert_eq!(
        o2("Hello  world's 12345!\n\n x"),
        ["Hello", " ", " world's", " ", "123", "45", "!\n\n", " x"]
    );
    assert_eq!(o2("camelCaseHTTP"), ["camel", "Case", "HTTP"]);
    assert_eq!(cl("camelCaseHTTP"), ["camelCaseHTTP"]);
    assert_eq!(
        cl("a   \n\n  b\t\tc  "),
        ["a", "   \n\n", " ", " b", "\t", "\tc", "  "]
    );
    assert_eq!(cl("हिन्दी"), ["ह", "िन", "्द", "ी"]);
    assert_eq!(o2("हिन्दी 漢字"), ["हिन्दी", " 漢字"]);
    assert_eq!(o2("a//b"), ["a", "//", "b"]);
}

#[test]
fn vocabularies_that_are_none_are_refused() {
    for text in ["", "YQ== 0", "!! 1", "YQ==", "YQ== x"] {
        assert!(
            Tokenizer::new(Encoding::Cl100kBase, text).is_err(),
            "{text}"
        );
    }
}

#[test]
fn models_have_their_vendors_encoding() {
    for (kind, model, encoding) in [
        ("openai", "gpt-4o-mini", Some(Encoding::O200kBase)),
        ("azure", "gpt-4-turbo", Some(Encoding::Cl100kBase)),
        (
            "openai",
            "ft:gpt-3.5-turbo:org::1",
            Some(Encoding::Cl100kBase),
        ),
        ("openrouter", "openai/gpt-5", Some(Encoding::O200kBase)),
        ("openrouter", "anthropic/claude", None),
        ("anthropic", "claude-sonnet-4-5", None),
        ("openai", "whisper-1", None),
    ] {
        assert_eq!(Encoding::of_model(kind, model), encoding, "{kind} {model}");
    }
}
