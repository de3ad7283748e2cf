//! Bedrock's Converse: recorded exchanges natively and in other dialects, and others in it.

use crate::cassettes::{self, Cassette};
use crate::translated::{self, Said};
use gate_ai::{
    Dialect, EventStreamFramer, RequestFacts, StreamTap, StreamTranslator, TranslateOptions, Usage,
    inspect, prepare_native, response_facts, translate_request, translate_response,
};
use serde_json::{Value, json};

/// Dialects that Converse is translated to and from here.
const OTHERS: [Dialect; 2] = [Dialect::ChatCompletions, Dialect::Messages];

fn cassettes() -> Vec<Cassette> {
    let all = cassettes::of(Dialect::Converse);
    assert!(all.is_empty() || all.len() >= 145, "only {}", all.len());
    all
}

/// The JSON of a stream's events, each in an object under its event's name.
pub(crate) fn events(stream: &[u8]) -> Vec<Value> {
    let mut events = Vec::new();
    let mut framer = EventStreamFramer::new(1 << 24);
    let read = framer.push(stream, |frame| {
        let name = std::str::from_utf8(frame.name().unwrap())
            .unwrap()
            .to_owned();
        let value: Value = serde_json::from_slice(frame.payload).unwrap();
        events.push(json!({ name: value }));
        Ok(())
    });
    read.unwrap();
    assert!(!framer.is_cut());
    events
}

/// Reads an answer the way a client does.
pub(crate) fn said(answer: &Value) -> Said {
    let mut said = Said::default();
    let content = &answer["output"]["message"]["content"];
    for block in content.as_array().into_iter().flatten() {
        if let Some(text) = block["text"].as_str() {
            said.text.push_str(text);
        }
        let cited = &block["citationsContent"]["content"];
        for piece in cited.as_array().into_iter().flatten() {
            said.text.push_str(piece["text"].as_str().unwrap());
        }
        let thought = &block["reasoningContent"]["reasoningText"]["text"];
        said.thinking.push_str(thought.as_str().unwrap_or_default());
        let call = &block["toolUse"];
        if call.is_object() && call["type"] != "server_tool_use" {
            said.calls.push((
                call["toolUseId"].as_str().unwrap().to_owned(),
                call["name"].as_str().unwrap().to_owned(),
                call["input"].clone(),
            ));
        }
    }
    said.stop = match answer["stopReason"].as_str().unwrap_or("end_turn") {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "guardrail_intervened" | "content_filtered" => "refusal",
        "tool_use" => "tool",
        _ => "end",
    }
    .into();
    said.usage = translated::usage_of(Dialect::Converse, &answer["usage"]);
    said
}

/// Puts a stream together the way a client does, into what the whole answer would be.
pub(crate) fn assembled(events: &[Value]) -> Value {
    let mut blocks: Vec<(u64, Value)> = Vec::new();
    let (mut stop, mut usage) = (Value::Null, Value::Null);
    for event in events {
        let (name, event) = event.as_object().unwrap().iter().next().unwrap();
        let index = event["contentBlockIndex"].as_u64().unwrap_or(0);
        match name.as_str() {
            "contentBlockStart" => blocks.push((index, event["start"].clone())),
            "contentBlockDelta" => {
                if !blocks.iter().any(|(i, _)| *i == index) {
                    blocks.push((index, json!({})));
                }
                let block = &mut blocks
                    .iter_mut()
                    .rev()
                    .find(|(i, _)| *i == index)
                    .unwrap()
                    .1;
                let delta = &event["delta"];
                if delta["text"].is_string() {
                    translated::push(&mut block["text"], &delta["text"]);
                }
                let thought = &delta["reasoningContent"]["text"];
                if thought.is_string() {
                    let text = &mut block["reasoningContent"]["reasoningText"]["text"];
                    translated::push(text, thought);
                }
                if delta["toolUse"].is_object() {
                    translated::push(&mut block["json"], &delta["toolUse"]["input"]);
                }
            }
            "messageStop" => stop = event["stopReason"].clone(),
            "metadata" => usage = event["usage"].clone(),
            _ => {}
        }
    }
    for (_, block) in &mut blocks {
        if block["toolUse"].is_object() {
            let input = block["json"].as_str().filter(|text| !text.is_empty());
            block["toolUse"]["input"] =
                serde_json::from_str(input.unwrap_or("{}")).unwrap_or_default();
        }
    }
    let content: Vec<Value> = blocks.into_iter().map(|(_, block)| block).collect();
    json!({ "output": { "message": { "content": content } }, "stopReason": stop, "usage": usage })
}

/// The order that clients rely on.
pub(crate) fn check_shape(name: &str, events: &[Value]) {
    let named = |name: &'static str| events.iter().filter(move |event| event.get(name).is_some());
    assert_eq!(events[0]["messageStart"]["role"], "assistant", "{name}");
    let last = &events[events.len() - 1]["metadata"];
    assert!(last["usage"]["totalTokens"].is_u64(), "{name}");
    assert!(last["metrics"]["latencyMs"].is_u64(), "{name}");
    let stop = &events[events.len() - 2]["messageStop"]["stopReason"];
    assert!(stop.is_string(), "{name}");
    for stop in named("contentBlockStop") {
        let index = &stop["contentBlockStop"]["contentBlockIndex"];
        let begun = ["contentBlockStart", "contentBlockDelta"]
            .into_iter()
            .any(|kind| named(kind).any(|event| event[kind]["contentBlockIndex"] == *index));
        assert!(begun, "{name}: block {index} ends without a beginning");
    }
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
            let found = response_facts(Dialect::Converse, bytes).usage;
            assert_eq!(found, expected, "{name}");
            continue;
        }
        let source = events(bytes);
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
    let (mut unlisted, mut fixed) = (Vec::new(), 0);
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
            translated::check_losses(name, &made.losses, &mut unlisted);
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
                let stable = |mut request: Value| {
                    // Thinking needs room, which the caller need not have given.
                    request
                        .as_object_mut()
                        .unwrap()
                        .remove("max_completion_tokens");
                    translated::stable(request)
                };
                let (again, parsed) = (stable(again), stable(parsed));
                assert!(again == parsed, "{name} {to:?}");
                fixed += 1;
            }
        }
    }
    translated::assert_all_listed(unlisted);
    assert!(fixed > 150 || cassettes().is_empty(), "{fixed}");
}

#[test]
fn answers_and_streams_say_the_same_in_the_others() {
    let options = TranslateOptions {
        include_usage: true,
        ..TranslateOptions::default()
    };
    let (mut unlisted, mut wrong, mut compared) = (Vec::new(), Vec::new(), 0);
    for cassette in cassettes().iter().filter(|cassette| cassette.status == 200) {
        let name = &cassette.name;
        for to in OTHERS {
            let (answer, made) = match cassette.is_stream {
                false => {
                    let answer: Value = serde_json::from_slice(&cassette.response).unwrap();
                    let bytes = &cassette.response;
                    let made = translate_response(Dialect::Converse, to, bytes, "alias", &options);
                    let made = made.unwrap_or_else(|error| panic!("{name}: {error}"));
                    translated::check_losses(name, &made.losses, &mut unlisted);
                    assert_eq!(made.usage, cassette.expected_usage(), "{name}");
                    (answer, serde_json::from_slice(&made.body).unwrap())
                }
                true => {
                    let (out, usage) = stream_to(cassette, to, &mut unlisted);
                    assert_eq!(usage, cassette.expected_usage(), "{name}");
                    let made = cassettes::events(&out);
                    translated::check_shape(name, to, &out, &made);
                    let source = assembled(&events(&cassette.response));
                    (source, translated::assembled(to, &made))
                }
            };
            translated::compare(name, (Dialect::Converse, to), &answer, &made, &mut wrong);
            compared += 1;
        }
    }
    assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong.join("\n"));
    translated::assert_all_listed(unlisted);
    assert!(compared > 240 || cassettes().is_empty(), "{compared}");
}

fn translate(from: Dialect, to: Dialect, pieces: &[&[u8]]) -> (Vec<u8>, StreamTranslator) {
    let options = TranslateOptions {
        include_usage: true,
        ..TranslateOptions::default()
    };
    let mut translator = StreamTranslator::new(from, to, "alias", &options);
    let mut out = Vec::new();
    for piece in pieces {
        translator.push(piece, &mut out).unwrap();
    }
    translator.finish(&mut out).unwrap();
    (out, translator)
}

fn stream_to(
    cassette: &Cassette,
    to: Dialect,
    unlisted: &mut Vec<String>,
) -> (Vec<u8>, Option<Usage>) {
    let whole = translate(Dialect::Converse, to, &[&cassette.response]);
    for pieces in cuts(&cassette.response) {
        let cut = translate(Dialect::Converse, to, &pieces);
        assert_eq!(cut.0, whole.0, "{}", cassette.name);
    }
    translated::check_losses(&cassette.name, whole.1.losses(), unlisted);
    assert!(whole.1.ended(), "{}", cassette.name);
    (whole.0, whole.1.usage())
}

#[test]
fn the_others_answers_say_the_same_in_converse() {
    let options = TranslateOptions::default();
    let (mut unlisted, mut wrong, mut compared) = (Vec::new(), Vec::new(), 0);
    for cassette in cassettes::all().iter().filter(|c| c.status == 200) {
        let (from, name) = (cassette.dialect, &cassette.name);
        if let Some(body) = &cassette.request {
            let made = translate_request(from, Dialect::Converse, body, "us.anthropic.x", &options);
            let made = made.unwrap_or_else(|error| panic!("{name}: {error}"));
            translated::check_losses(name, &made.losses, &mut unlisted);
            serde_json::from_slice::<Value>(&made.body).unwrap();
        }
        if cassette.is_stream && cassette.is_concatenated() {
            continue;
        }
        let (answer, made) = match cassette.is_stream {
            false => {
                let bytes = &cassette.response;
                let made = translate_response(from, Dialect::Converse, bytes, "alias", &options);
                let made = made.unwrap_or_else(|error| panic!("{name}: {error}"));
                translated::check_losses(name, &made.losses, &mut unlisted);
                let answer = serde_json::from_slice(bytes).unwrap();
                (answer, serde_json::from_slice(&made.body).unwrap())
            }
            true => {
                let (out, translator) = translate(from, Dialect::Converse, &[&cassette.response]);
                translated::check_losses(name, translator.losses(), &mut unlisted);
                let made = events(&out);
                if translator.failed() {
                    let last = made.last().unwrap().as_object().unwrap();
                    assert!(
                        last.keys().all(|name| name.ends_with("Exception")),
                        "{name}"
                    );
                    continue;
                }
                check_shape(name, &made);
                (
                    translated::assembled(from, &cassette.events()),
                    assembled(&made),
                )
            }
        };
        translated::compare(name, (from, Dialect::Converse), &answer, &made, &mut wrong);
        compared += 1;
    }
    assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong.join("\n"));
    translated::assert_all_listed(unlisted);
    assert!(compared > 700 || cassettes::all().is_empty(), "{compared}");
}
