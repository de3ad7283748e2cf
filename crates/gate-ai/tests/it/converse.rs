//! Bedrock's Converse natively: recorded exchanges byte for byte, and requests there and back.

use crate::cassettes::{self, Cassette};
use crate::translated::stable;
use gate_ai::{
    Dialect, RequestFacts, StreamTap, TranslateOptions, inspect, prepare_native, response_facts,
    translate_request,
};
use serde_json::Value;

/// Dialects that requests go to and come back from.
const OTHERS: [Dialect; 2] = [Dialect::ChatCompletions, Dialect::Messages];

fn cassettes() -> Vec<&'static Cassette> {
    let all: Vec<_> = cassettes::all()
        .iter()
        .filter(|cassette| cassette.dialect == Dialect::Converse)
        .collect();
    assert!(
        cassettes::all().is_empty() || all.len() >= 145,
        "only {}",
        all.len()
    );
    all
}

fn request_facts(body: &[u8], stream: bool) -> RequestFacts {
    let mut facts = inspect(Dialect::Converse, body).unwrap();
    assert!(facts.model.is_empty() && facts.model_span.is_empty());
    facts.model = "caller".into();
    facts.stream = stream;
    facts
}

#[test]
fn native_requests_pass_as_they_are_and_their_facts_are_read() {
    for cassette in cassettes() {
        let Some(body) = &cassette.request else {
            continue;
        };
        let name = &cassette.name;
        let facts = request_facts(body, cassette.is_stream);
        let made = prepare_native(Dialect::Converse, body, &facts, "other", true);
        assert_eq!(made.to_vec(body), *body, "{name}");
        assert!(!made.strip_usage_chunk);
        let parsed: Value = serde_json::from_slice(body).unwrap();
        let limit = parsed["inferenceConfig"]["maxTokens"].as_u64();
        assert_eq!(facts.max_tokens, limit, "{name}");
        let tools = parsed["toolConfig"]["tools"].as_array();
        let filled = tools.is_some_and(|tools| !tools.is_empty());
        assert_eq!(facts.has_tools, filled, "{name}");
        let image = parsed["messages"].to_string().contains("\"image\":");
        assert_eq!(facts.has_images(Dialect::Converse, body), image, "{name}");
    }
}

#[test]
fn native_answers_pass_byte_for_byte_and_their_usage_is_found() {
    let mut exact = 0;
    for cassette in cassettes().iter().filter(|cassette| cassette.status == 200) {
        let (name, bytes) = (&cassette.name, &cassette.response);
        let expected = cassette.expected_usage();
        if !cassette.is_stream {
            let found = response_facts(Dialect::Converse, bytes, "").usage;
            assert_eq!(found, expected, "{name}");
            continue;
        }
        let source = cassettes::events(Dialect::Converse, bytes);
        let ended = source.iter().any(|event| event.get("metadata").is_some());
        for pieces in cuts(bytes) {
            let mut tap = StreamTap::new(Dialect::Converse, false);
            let mut out = Vec::new();
            for piece in pieces {
                tap.push(piece).write_into(piece, &mut out);
            }
            out.extend(tap.finish());
            assert_eq!(out, *bytes, "{name}");
            assert_eq!(tap.usage(), expected, "{name}");
            assert_eq!(tap.ended(), ended, "{name}");
            assert!(tap.token_seen() || !ended, "{name}");
            assert_eq!(tap.events(), source.len() as u64, "{name}");
        }
        exact += usize::from(cassette.exact);
    }
    assert!(exact >= 30 || cassettes().is_empty(), "{exact}");
}

/// Every cut in two of a short stream, seeded ones of a long one, and pieces of a few bytes.
fn cuts(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut random = fastrand::Rng::with_seed(7);
    let at: Vec<usize> = match bytes.len() {
        length @ 0..=1_400 => (0..=length).collect(),
        length => (0..12).map(|_| random.usize(0..=length)).collect(),
    };
    let mut all: Vec<Vec<&[u8]>> =
        vec![vec![bytes], bytes.chunks(1 + bytes.len() / 8_000).collect()];
    all.extend(at.iter().map(|at| vec![&bytes[..*at], &bytes[*at..]]));
    all
}

#[test]
fn requests_translate_into_the_others_and_back() {
    let options = TranslateOptions {
        keep_reasoning: true,
        ..TranslateOptions::default()
    };
    let mut fixed = 0;
    for cassette in cassettes() {
        let Some(body) = &cassette.request else {
            continue;
        };
        let name = &cassette.name;
        for to in OTHERS {
            let asked = TranslateOptions {
                stream: Some(cassette.is_stream),
                ..options.clone()
            };
            let made = translate_request(Dialect::Converse, to, body, "target", &asked);
            let made = made.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(made.stream, cassette.is_stream);
            let parsed: Value = serde_json::from_slice(&made.body).unwrap();
            assert_eq!(parsed["model"], "target", "{name}");
            assert_eq!(parsed["stream"] == true, cassette.is_stream, "{name}");
            // There and back again is a fixed point: what survives once survives always.
            let model = "anthropic.claude";
            let back = translate_request(to, Dialect::Converse, &made.body, model, &options);
            let back = back.unwrap();
            let again =
                translate_request(Dialect::Converse, to, &back.body, "target", &asked).unwrap();
            if back.losses.is_empty() {
                let again: Value = serde_json::from_slice(&again.body).unwrap();
                let plain = |mut request: Value| {
                    // Thinking needs room, which the caller need not have given.
                    request
                        .as_object_mut()
                        .unwrap()
                        .remove("max_completion_tokens");
                    stable(request)
                };
                let (again, parsed) = (plain(again), plain(parsed));
                assert!(again == parsed, "{name} {to:?}");
                fixed += 1;
            }
        }
    }
    assert!(fixed > 150 || cassettes().is_empty(), "{fixed}");
}
