//! How far bounds and estimates of tokens are off, on recorded calls.

use crate::cassettes::{Cassette, all};
use gate_ai::tokens::{estimate_input, input_bound};
use std::collections::BTreeMap;

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
        if input_bound(body, None).is_some_and(|bound| tokens > bound) {
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
        if input_bound(body, None).is_none() || memchr::memmem::find(body, b"base64").is_some() {
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
