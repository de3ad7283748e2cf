//! How far bounds and estimates of tokens are off, on recorded calls.

use crate::cassettes::{Cassette, all};
use gate_ai::tokenizer::{Encoding, MARGIN, ModelTokenizer, Tokenizer};
use gate_ai::tokens::{estimate_input, input_bound, reach};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Calls whose provider reads more than the request shows: a model that searches by itself.
fn searches_by_itself(cassette: &Cassette) -> bool {
    cassette
        .model()
        .is_some_and(|model| model.starts_with("compound"))
}

/// Body, input tokens as the provider counted them, and whether there are tools.
fn counted(cassette: &Cassette) -> Option<(&[u8], u64, bool)> {
    let body = cassette.request.as_deref()?;
    let tokens = cassette.expected_usage()?.input_tokens;
    let tools = memchr::memmem::find(body, b"\"tools\"").is_some();
    (tokens > 0 && cassette.status < 300).then_some((body, tokens, tools))
}

#[test]
fn no_recorded_call_exceeds_its_bound() {
    let mut exceeded = Vec::new();
    let mut compared = 0;
    for cassette in all()
        .iter()
        .filter(|cassette| !searches_by_itself(cassette))
    {
        let Some((body, tokens, _)) = counted(cassette) else {
            continue;
        };
        compared += 1;
        if input_bound(body.len(), reach(body), None).is_some_and(|bound| tokens > bound) {
            exceeded.push(format!(
                "{}: {tokens} of {} bytes",
                cassette.name,
                body.len()
            ));
        }
    }
    assert!(exceeded.is_empty(), "{}", exceeded.join("\n"));
    assert!(compared > 500 || all().is_empty());
}

/// The table of `docs/concepts/money.md`: calls, median and 90th percentile of the error.
#[test]
fn the_estimates_error_is_known() {
    let mut errors: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for cassette in all()
        .iter()
        .filter(|cassette| !searches_by_itself(cassette))
    {
        let Some((body, tokens, tools)) = counted(cassette) else {
            continue;
        };
        if input_bound(body.len(), reach(body), None).is_none()
            || memchr::memmem::find(body, b"base64").is_some()
        {
            continue;
        }
        let estimate = estimate_input(cassette.dialect, body, tools);
        let error = estimate.abs_diff(tokens) * 100 / tokens;
        errors.entry(cassette.provider()).or_default().push(error);
    }
    for (provider, errors) in &mut errors {
        errors.sort_unstable();
        let at = |percent: usize| errors[(errors.len() - 1) * percent / 100];
        eprintln!(
            "| {provider} | {} | {} % | {} % |",
            errors.len(),
            at(50),
            at(90)
        );
        assert!(
            errors.len() < 20 || at(50) <= 80,
            "{provider}: {} %",
            at(50)
        );
    }
}

/// The vocabularies in the folder that `TIDEGATE_VOCABULARIES` names, as `o200k_base.tiktoken`.
fn tokenizers() -> Vec<(Encoding, Arc<Tokenizer>)> {
    let Some(folder) = std::env::var_os("TIDEGATE_VOCABULARIES").map(PathBuf::from) else {
        eprintln!("skipped: no vocabularies; TIDEGATE_VOCABULARIES names no folder with them");
        return Vec::new();
    };
    let read = |encoding: Encoding| {
        let file = folder.join(format!("{}.tiktoken", encoding.as_str()));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{error}"));
        let made = Tokenizer::new(encoding, &text);
        let made = made.unwrap_or_else(|error| panic!("{error}"));
        (encoding, Arc::new(made))
    };
    Encoding::ALL.map(read).into()
}

/// What tiktoken 0.9 says of these texts.
#[test]
fn vocabularies_count_as_their_vendor_does() {
    for (encoding, tokenizer) in tokenizers() {
        for (text, cl100k, o200k) in [
            ("The quick brown fox jumps over the lazy dog.", 10, 10),
            ("hello world", 2, 2),
            ("tiktoken is great!", 6, 6),
            ("antidisestablishmentarianism", 6, 6),
            ("2 + 2 = 4", 7, 7),
            (
                "\u{304a}\u{8a95}\u{751f}\u{65e5}\u{304a}\u{3081}\u{3067}\u{3068}\u{3046}",
                9,
                8,
            ),
        ] {
            let expected = match encoding {
                Encoding::Cl100kBase => cl100k,
                Encoding::O200kBase => o200k,
            };
            assert_eq!(tokenizer.count(text), expected, "{encoding:?} {text}");
        }
    }
}

/// Requests of text alone, counted here and by their provider. No count exceeds ours by more than
/// the margin that a budget adds.
#[test]
fn exact_counts_are_the_providers_own() {
    let tokenizers = tokenizers();
    let mut compared: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for cassette in all().iter().filter(|_| !tokenizers.is_empty()) {
        let Some((body, tokens, _)) = counted(cassette) else {
            continue;
        };
        let model = cassette.model().unwrap_or_default();
        let encoding = Encoding::of_model(cassette.provider(), model);
        let found = tokenizers.iter().find(|(one, _)| Some(*one) == encoding);
        let Some((_, tokenizer)) = found else {
            continue;
        };
        let tokenizer = ModelTokenizer::new(tokenizer.clone(), model);
        let Some(count) = tokenizer.count(cassette.dialect, body) else {
            continue;
        };
        let (all, exact) = compared.entry(cassette.provider()).or_default();
        *all += 1;
        *exact += u32::from(count == tokens);
        if count != tokens {
            eprintln!("{} {model}: {count}, counted {tokens}", cassette.name);
        }
        assert!(
            tokens <= count + MARGIN,
            "{}: {count}, counted {tokens}",
            cassette.name
        );
    }
    for (provider, (all, exact)) in &compared {
        eprintln!("{provider}: {exact} of {all} exact");
    }
}
