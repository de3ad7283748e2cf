//! The translated way: what a caller gets says what the provider said.

use crate::cassettes::{self, Cassette};
use crate::oracle::{assembled, comparable, said};
use gate_ai::losses::table;
use gate_ai::{Dialect, StreamTranslator, TranslateOptions, translate_request, translate_response};
use serde_json::{Value, json};

#[test]
fn requests_there_and_back_again_are_a_fixed_point() {
    let options = TranslateOptions {
        keep_reasoning: true,
        ..TranslateOptions::default()
    };
    let mut wrong = Vec::new();
    let mut back_and_forth = 0;
    for cassette in cassettes::all() {
        let Some(body) = &cassette.request else {
            continue;
        };
        let (from, name) = (cassette.dialect, &cassette.name);
        let to = match from {
            Dialect::ChatCompletions => Dialect::Messages,
            Dialect::Messages => Dialect::ChatCompletions,
            _ => continue,
        };
        let made = match translate_request(from, to, body, "target", &options) {
            Ok(made) => made,
            Err(error) => {
                assert!(cassette.status >= 400, "{name}: {error}");
                continue;
            }
        };
        let parsed: Value = serde_json::from_slice(&made.body).unwrap();
        assert_eq!(parsed["model"], "target", "{name}");
        let facts = gate_ai::inspect(to, &made.body).unwrap();
        assert_eq!(facts.stream, made.stream, "{name}");
        // There and back again is a fixed point: what survives once survives always.
        let back = translate_request(to, from, &made.body, "origin", &options).unwrap();
        let again = translate_request(from, to, &back.body, "target", &options).unwrap();
        let again: Value = serde_json::from_slice(&again.body).unwrap();
        let (again, parsed) = (stable(again), stable(parsed));
        // Where the way back lost something, and said so, there is less to come back with.
        if back.losses.is_empty() && again != parsed {
            wrong.push(format!("{name}:\n   again {again}\nexpected {parsed}"));
        }
        back_and_forth += usize::from(back.losses.is_empty());
    }
    assert!(
        wrong.is_empty(),
        "{} differ: {}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(back_and_forth > 600 || cassettes::all().is_empty());
}

/// A request without what translation itself decides, and without the choices of form that mean
/// the same: neighbouring messages of one role, texts as strings or parts, the place of
/// instructions.
pub(crate) fn stable(mut request: Value) -> Value {
    if let Some(members) = request.as_object_mut() {
        for name in [
            "stream_options",
            "max_tokens",
            "thinking",
            "reasoning_effort",
        ] {
            members.remove(name);
        }
    }
    let system = request["system"].take();
    let first = json!({ "role": "system", "content": system });
    let listed = request["messages"].take();
    let mut said: Vec<(String, Vec<Value>)> = Vec::new();
    for message in std::iter::once(&first).chain(listed.as_array().into_iter().flatten()) {
        let role = message["role"].as_str().unwrap().to_owned();
        let mut parts = match &message["content"] {
            Value::String(text) if text.is_empty() => Vec::new(),
            Value::String(text) => vec![json!({ "type": "text", "text": text })],
            Value::Array(parts) => parts.clone(),
            _ => Vec::new(),
        };
        parts.extend(
            message["tool_calls"]
                .as_array()
                .into_iter()
                .flatten()
                .cloned(),
        );
        parts.extend(message.get("tool_call_id").cloned());
        match said
            .iter_mut()
            .rev()
            .find(|(other, _)| role == "system" && *other == role)
        {
            Some((_, list)) => list.append(&mut parts),
            None => match said.last_mut().filter(|(other, _)| *other == role) {
                Some((_, list)) => list.append(&mut parts),
                None => said.push((role, parts)),
            },
        }
    }
    said.retain(|(_, parts)| !parts.is_empty());
    let joined = |(role, parts): (String, Vec<Value>)| {
        let (texts, others): (Vec<Value>, Vec<Value>) =
            parts.into_iter().partition(|part| part["type"] == "text");
        let text: String = texts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect();
        json!([role, text, others])
    };
    request["messages"] = said.into_iter().map(joined).collect();
    request
}

#[test]
fn answers_say_the_same_in_every_other_dialect() {
    let options = TranslateOptions::default();
    let (mut wrong, mut compared) = (Vec::new(), 0);
    let whole = |c: &&Cassette| !c.is_stream && c.status == 200 && c.is_answer();
    for cassette in cassettes::all().iter().filter(whole) {
        let (from, name) = (cassette.dialect, &cassette.name);
        let answer: Value = serde_json::from_slice(&cassette.response).unwrap();
        for to in cassette.targets() {
            let made = translate_response(from, to, &cassette.response, "alias", &options);
            let made = made.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(made.usage, cassette.expected_usage(), "{name}");
            let made: Value = serde_json::from_slice(&made.body).unwrap();
            let named = to.in_path() || to == Dialect::CohereChat;
            assert!(named || made["model"] == "alias", "{name}");
            compare(name, (from, to), &answer, &made, &mut wrong);
            compared += 1;
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ: {}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(compared > 1_500 || cassettes::all().is_empty());
}

fn compare(
    name: &str,
    dialects: (Dialect, Dialect),
    answer: &Value,
    made: &Value,
    wrong: &mut Vec<String>,
) {
    let (from, to) = dialects;
    let expected = comparable(said(from, answer), from, to);
    let mut got = comparable(said(to, made), from, to);
    // Ids that the provider did not give are made up.
    for (call, expected) in got.calls.iter_mut().zip(&expected.calls) {
        if expected.0.is_empty() {
            call.0.clear();
        }
    }
    let details = &answer["choices"][0]["message"]["reasoning_details"];
    if details.is_array() {
        // Where there are details the plain text repeats them, in words of the vendor's choice.
        got.thinking.clone_from(&expected.thinking);
    }
    if got != expected {
        wrong.push(format!("{name}:\n     got {got:?}\nexpected {expected:?}"));
    }
}

fn translate_stream(cassette: &Cassette, to: Dialect) -> (Vec<u8>, StreamTranslator) {
    let options = TranslateOptions {
        include_usage: true,
        ..TranslateOptions::default()
    };
    let mut translator = StreamTranslator::new(cassette.dialect, to, "alias", &options);
    let mut out = Vec::new();
    let name = &cassette.name;
    translator
        .push(&cassette.response, &mut out)
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    translator.finish(&mut out).unwrap();
    (out, translator)
}

#[test]
fn streams_say_the_same_in_every_other_dialect() {
    let (mut wrong, mut compared) = (Vec::new(), 0);
    let streams = |c: &&Cassette| c.is_stream && !c.is_concatenated();
    for cassette in cassettes::all().iter().filter(streams) {
        let source = cassette.events();
        let failed = source.iter().any(|event| event["error"].is_object());
        for to in cassette.targets() {
            let (from, name) = (cassette.dialect, &cassette.name);
            let (out, translator) = translate_stream(cassette, to);
            let made = cassettes::events(to, &out);
            let state = (translator.failed(), translator.ended());
            assert_eq!(state, (failed, !failed), "{name} to {to:?}");
            if failed {
                let last = made.last().unwrap();
                let broken = &last["internalServerException"]["message"];
                let ended = &last["delta"]["error"];
                let told =
                    last["error"]["message"].is_string() || broken.is_string() || ended.is_string();
                assert!(told, "{name} to {to:?}: {last}");
                continue;
            }
            assert_eq!(translator.usage(), cassette.expected_usage(), "{name}");
            check_shape(name, to, &out, &made);
            let (expected, got) = (assembled(from, &source), assembled(to, &made));
            compare(name, (from, to), &expected, &got, &mut wrong);
            compared += 1;
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ: {}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(compared > 500 || cassettes::all().is_empty());
}

/// The order that the dialects' own clients rely on.
pub(crate) fn check_shape(name: &str, dialect: Dialect, out: &[u8], events: &[Value]) {
    match dialect {
        Dialect::ChatCompletions => {
            assert!(out.ends_with(b"data: [DONE]\n\n"), "{name}");
            assert_eq!(
                events[0]["choices"][0]["delta"]["role"], "assistant",
                "{name}"
            );
            let last = events.last().unwrap();
            assert_eq!(last["choices"], json!([]), "{name}");
            assert!(last["usage"].is_object(), "{name}");
            let finish = &events[events.len() - 2]["choices"][0]["finish_reason"];
            assert!(finish.is_string(), "{name}");
        }
        Dialect::Messages => {
            assert_eq!(events[0]["type"], "message_start", "{name}");
            assert_eq!(events.last().unwrap()["type"], "message_stop", "{name}");
            let count = |kind| events.iter().filter(|event| event["type"] == kind).count();
            assert_eq!(
                count("content_block_start"),
                count("content_block_stop"),
                "{name}"
            );
            let starts = events
                .iter()
                .filter(|event| event["type"] == "content_block_start");
            for (i, start) in starts.enumerate() {
                assert_eq!(start["index"], i, "{name}");
            }
        }
        Dialect::Responses => check_responses_shape(name, events),
        Dialect::GenerateContent => crate::generate_content::check_shape(name, events),
        Dialect::Converse => check_converse_shape(name, events),
        Dialect::CohereChat => crate::cohere::check_shape(name, out, events),
    }
}

/// Ends of blocks that began, and the usage last.
fn check_converse_shape(name: &str, events: &[Value]) {
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

/// Numbers without gaps, beginnings before ends, and an end that repeats all of it.
fn check_responses_shape(name: &str, events: &[Value]) {
    for (i, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], i, "{name}");
    }
    assert_eq!(events[0]["type"], "response.created", "{name}");
    assert_eq!(events[1]["type"], "response.in_progress", "{name}");
    let of = |kind: &str| -> Vec<&Value> {
        let kind = format!("response.{kind}");
        events.iter().filter(|e| e["type"] == *kind).collect()
    };
    for pair in ["output_item", "content_part", "reasoning_summary_part"] {
        let (added, done) = (of(&format!("{pair}.added")), of(&format!("{pair}.done")));
        assert_eq!(added.len(), done.len(), "{name}: {pair}");
    }
    for (i, added) in of("output_item.added").iter().enumerate() {
        assert_eq!(added["output_index"], i, "{name}");
    }
    let end = &events.last().unwrap()["response"];
    let mut done = of("output_item.done");
    done.sort_by_key(|event| event["output_index"].as_u64());
    let items: Vec<&Value> = done.iter().map(|event| &event["item"]).collect();
    assert_eq!(
        items,
        end["output"].as_array().unwrap().iter().collect::<Vec<_>>(),
        "{name}"
    );
    for (ends, delta, key, id) in [
        (
            "output_text.done",
            "output_text.delta",
            "text",
            "content_index",
        ),
        (
            "function_call_arguments.done",
            "function_call_arguments.delta",
            "arguments",
            "item_id",
        ),
        (
            "reasoning_summary_text.done",
            "reasoning_summary_text.delta",
            "text",
            "item_id",
        ),
    ] {
        for end in of(ends) {
            let own = |event: &&&Value| event["item_id"] == end["item_id"] && event[id] == end[id];
            let deltas = of(delta);
            let pieces = deltas
                .iter()
                .filter(own)
                .map(|e| e["delta"].as_str().unwrap());
            assert_eq!(end[key], pieces.collect::<String>(), "{name}");
        }
    }
}

#[test]
fn every_entry_of_the_table_is_for_two_dialects_we_have() {
    for from in Dialect::ALL {
        for to in Dialect::ALL.into_iter().filter(|to| *to != from) {
            let mut entries = table();
            assert!(entries.any(|entry| entry.from.contains(from) && entry.to.contains(to)));
        }
    }
}
