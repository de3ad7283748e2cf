//! Streams: the tap, and that nothing depends on how bytes were cut.

use crate::cassettes::{self, Cassette};
use gate_ai::{Dialect, StreamTap, StreamTranslator, TranslateOptions, Usage};
use serde_json::Value;

/// Bytes spent on one stream: small streams are cut at every offset, longer ones at some.
const BYTES: usize = 300_000;

/// Streams framed as text; binary ones are in `converse.rs`.
fn streams() -> impl Iterator<Item = &'static Cassette> {
    cassettes::all()
        .iter()
        .filter(|cassette| cassette.is_stream && cassette.dialect != Dialect::Converse)
}

#[derive(Debug, PartialEq)]
struct Seen {
    forwarded: Vec<u8>,
    usage: Option<Usage>,
    token_seen: bool,
    ended: bool,
    events: u64,
}

fn tap(dialect: Dialect, strip: bool, pieces: &[&[u8]]) -> Seen {
    let mut tap = StreamTap::new(dialect, strip);
    let mut forwarded = Vec::new();
    for piece in pieces {
        tap.push(piece).write_into(piece, &mut forwarded);
    }
    forwarded.extend(tap.finish());
    Seen {
        forwarded,
        usage: tap.usage(),
        token_seen: tap.token_seen(),
        ended: tap.ended(),
        events: tap.events(),
    }
}

#[test]
fn a_tap_forwards_everything_and_finds_the_usage() {
    for cassette in streams().filter(|cassette| !cassette.is_concatenated()) {
        let seen = tap(cassette.dialect, false, &[&cassette.response]);
        assert_eq!(seen.forwarded, cassette.response);
        let events = cassette.events();
        // Groq counts in a member of its own in older recordings; those are not the dialect's.
        let expected = cassette.expected_usage();
        assert_eq!(seen.usage, expected, "{}", cassette.name);
        let text = std::str::from_utf8(&cassette.response).unwrap();
        let ends = text.contains("data: [DONE]")
            || events.iter().any(|event| {
                ["message_stop", "response.completed", "message-end"]
                    .iter()
                    .any(|end| event["type"] == *end)
            });
        assert_eq!(seen.ended, ends, "{}", cassette.name);
        assert!(seen.token_seen || !has_token(&events), "{}", cassette.name);
    }
}

fn has_token(events: &[Value]) -> bool {
    events.iter().any(|event| {
        event["choices"][0]["delta"]["content"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
            || event["type"] == "content_block_delta"
            || event["type"] == "content-delta"
            || event["type"] == "response.output_text.delta"
    })
}

#[test]
fn what_goes_out_ends_with_a_whole_event_wherever_the_stream_is_cut() {
    let mut looked = 0;
    for cassette in streams() {
        let whole = |bytes: &[u8]| {
            bytes.is_empty() || bytes.ends_with(b"\n\n") || bytes.ends_with(b"\r\n\r\n")
        };
        let stream = &cassette.response;
        if !whole(stream) {
            continue;
        }
        for strip in [false, true] {
            for cut in cassettes::cuts(stream, 7, BYTES / 10) {
                let mut tap = StreamTap::new(cassette.dialect, strip);
                let mut forwarded = Vec::new();
                tap.push(&stream[..cut])
                    .write_into(&stream[..cut], &mut forwarded);
                // The LF of a CR LF may come alone.
                assert!(
                    whole(&forwarded) || forwarded.ends_with(b"\r"),
                    "{} cut at {cut}",
                    cassette.name
                );
                looked += 1;
            }
        }
    }
    assert!(cassettes::all().is_empty() || looked > 1_000);
}

#[test]
fn stripping_takes_out_the_usage_chunk_and_nothing_else() {
    let mut stripped = 0;
    for cassette in streams().filter(|c| c.dialect == Dialect::ChatCompletions) {
        let seen = tap(cassette.dialect, true, &[&cassette.response]);
        let keep = |block: &&str| {
            let data = block.trim_start_matches("data:").trim();
            let parsed: Value = serde_json::from_str(data).unwrap_or_default();
            let empty = parsed["choices"].as_array().is_some_and(Vec::is_empty);
            !(empty && parsed["usage"].is_object())
        };
        let text = std::str::from_utf8(&cassette.response).unwrap();
        let end = if text.contains("\r\n\r\n") {
            "\r\n\r\n"
        } else {
            "\n\n"
        };
        let expected: String = text.split_inclusive(end).filter(keep).collect();
        assert_eq!(
            String::from_utf8(seen.forwarded).unwrap(),
            expected,
            "{}",
            cassette.name
        );
        stripped += usize::from(expected.len() != text.len());
    }
    assert!(stripped > 40 || cassettes::all().is_empty());
}

#[test]
fn a_tap_does_not_depend_on_the_cuts() {
    for (seed, cassette) in streams().enumerate() {
        let stream = cassette.response.as_slice();
        for strip in [false, true] {
            let whole = tap(cassette.dialect, strip, &[stream]);
            for cut in cassettes::cuts(stream, seed as u64, BYTES) {
                let (a, b) = stream.split_at(cut);
                assert_eq!(
                    tap(cassette.dialect, strip, &[a, b]),
                    whole,
                    "{} {cut}",
                    cassette.name
                );
            }
            let bytes: Vec<&[u8]> = stream.chunks(7).collect();
            assert_eq!(
                tap(cassette.dialect, strip, &bytes),
                whole,
                "{}",
                cassette.name
            );
        }
    }
}

#[test]
fn a_held_back_event_keeps_its_line_ends_in_order() {
    let stream = b"data: {\"a\":1}\r\ndata: x\r\n\r\ndata: [DONE]\r\n\r\n";
    let single: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(
        tap(Dialect::ChatCompletions, true, &single).forwarded,
        stream
    );
}

fn translate(cassette: &Cassette, to: Dialect, stream: &[u8]) -> (Vec<u8>, bool, bool) {
    let options = TranslateOptions::default();
    let mut translator = StreamTranslator::new(cassette.dialect, to, "alias", &options);
    let mut out = Vec::new();
    // What is wrong is in `out` too, as an error event.
    let _ = translator.push(stream, &mut out);
    let _ = translator.finish(&mut out);
    (out, translator.ended(), translator.failed())
}

#[test]
fn a_cut_stream_ends_with_an_error_in_the_callers_dialect() {
    for (seed, cassette) in streams().enumerate() {
        let stream = cassette.response.as_slice();
        let mut random = fastrand::Rng::with_seed(seed as u64);
        for to in cassette.targets() {
            let cut = &stream[..random.usize(0..stream.len() / 2)];
            let (out, ended, failed) = translate(cassette, to, cut);
            // A short stream may have said why it stops in its first half.
            assert!(ended != failed, "{}", cassette.name);
            if failed {
                let last = cassettes::events(to, &out).pop().unwrap();
                let broken = &last["internalServerException"]["message"];
                let ended = &last["delta"]["error"];
                assert!(
                    last["error"]["message"].is_string() || broken.is_string() || ended.is_string(),
                    "{}: {last}",
                    cassette.name
                );
            }
        }
    }
}

#[test]
fn an_endless_event_is_refused_and_reported() {
    let options = TranslateOptions::default();
    let mut translator = StreamTranslator::new(
        Dialect::ChatCompletions,
        Dialect::Messages,
        "alias",
        &options,
    );
    let mut out = Vec::new();
    let piece = vec![b'x'; 64 * 1024];
    let refused = (0..100).any(|_| translator.push(&piece, &mut out).is_err());
    assert!(refused && translator.failed());
    assert!(out.starts_with(b"event: error\n"));
    let length = out.len();
    translator.push(b"data: {}\n\n", &mut out).unwrap();
    translator.finish(&mut out).unwrap();
    assert_eq!(out.len(), length);
}
