//! The translated way: what a caller gets says what the provider said.

use crate::cassettes::{self, Cassette};
use gate_ai::losses::table;
use gate_ai::{
    Dialect, Loss, StreamTranslator, TranslateOptions, Usage, translate_request, translate_response,
};
use serde_json::{Map, Value, json};

/// What both dialects can say of an answer.
#[derive(Debug, Default, PartialEq)]
struct Said {
    text: String,
    thinking: String,
    calls: Vec<(String, String, Value)>,
    stop: String,
    usage: Option<Usage>,
}

fn usage_of(dialect: Dialect, usage: &Value) -> Option<Usage> {
    let body = json!({ "usage": usage }).to_string();
    gate_ai::usage_of(dialect, body.as_bytes())
}

fn text_of(content: &Value, thinking: &mut String) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let mut text = String::new();
            for part in parts {
                text.push_str(part["text"].as_str().unwrap_or_default());
                for piece in part["thinking"].as_array().into_iter().flatten() {
                    thinking.push_str(piece["text"].as_str().unwrap_or_default());
                }
            }
            text
        }
        _ => String::new(),
    }
}

/// Reads a Chat Completions answer the way a client does.
fn said_by_chat(answer: &Value) -> Said {
    let choice = &answer["choices"][0];
    let message = &choice["message"];
    let mut said = Said::default();
    let plain = ["reasoning_content", "reasoning"];
    for field in plain {
        if said.thinking.is_empty() {
            said.thinking
                .push_str(message[field].as_str().unwrap_or_default());
        }
    }
    said.text = text_of(&message["content"], &mut said.thinking);
    said.text
        .push_str(message["refusal"].as_str().unwrap_or_default());
    let mut calls: Vec<&Value> = message["tool_calls"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    let old = json!({ "id": "", "function": message["function_call"] });
    if message["function_call"].is_object() {
        calls.push(&old);
    }
    for call in calls {
        let function = &call["function"];
        let name = function["name"].as_str().unwrap_or_default();
        if name.is_empty() {
            continue;
        }
        let arguments = function["arguments"]
            .as_str()
            .filter(|text| !text.is_empty());
        let arguments = serde_json::from_str(arguments.unwrap_or("{}")).unwrap_or_default();
        let id = call["id"].as_str().unwrap_or_default();
        said.calls.push((id.to_owned(), name.to_owned(), arguments));
    }
    said.stop = match choice["finish_reason"].as_str().unwrap_or("stop") {
        "length" => "length",
        "content_filter" => "refusal",
        "tool_calls" | "function_call" => "tool",
        _ if !said.calls.is_empty() => "tool",
        _ => "end",
    }
    .into();
    said.usage = usage_of(Dialect::ChatCompletions, &answer["usage"]);
    said
}

/// Reads a Messages answer the way a client does.
fn said_by_messages(answer: &Value) -> Said {
    let mut said = Said::default();
    for block in answer["content"].as_array().into_iter().flatten() {
        match block["type"].as_str().unwrap() {
            "text" => said.text.push_str(block["text"].as_str().unwrap()),
            "thinking" => said.thinking.push_str(block["thinking"].as_str().unwrap()),
            "tool_use" => said.calls.push((
                block["id"].as_str().unwrap().to_owned(),
                block["name"].as_str().unwrap().to_owned(),
                block["input"].clone(),
            )),
            _ => {}
        }
    }
    said.stop = match answer["stop_reason"].as_str().unwrap_or("end_turn") {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "refusal" => "refusal",
        "tool_use" => "tool",
        _ => "end",
    }
    .into();
    said.usage = usage_of(Dialect::Messages, &answer["usage"]);
    said
}

fn said(dialect: Dialect, answer: &Value) -> Said {
    match dialect {
        Dialect::ChatCompletions => said_by_chat(answer),
        Dialect::Messages => said_by_messages(answer),
    }
}

/// Puts a stream together the way a client does, into what the whole answer would be.
fn assembled(dialect: Dialect, events: &[Value]) -> Value {
    match dialect {
        Dialect::ChatCompletions => assembled_chat(events),
        Dialect::Messages => assembled_messages(events),
    }
}

fn push(target: &mut Value, text: &Value) {
    let Some(text) = text.as_str() else { return };
    let joined = target.as_str().unwrap_or_default().to_owned() + text;
    *target = joined.into();
}

fn assembled_chat(events: &[Value]) -> Value {
    let mut message = json!({ "content": "", "tool_calls": [] });
    let mut calls: Vec<(u64, Value)> = Vec::new();
    let (mut stop, mut usage) = (Value::Null, Value::Null);
    for event in events {
        if event["usage"].is_object() {
            usage = event["usage"].clone();
        }
        if event["x_groq"]["usage"].is_object() && usage.is_null() {
            usage = event["x_groq"]["usage"].clone();
        }
        let choice = &event["choices"][0];
        // Of several answers the first is kept.
        if choice["index"].as_u64().unwrap_or(0) != 0 {
            continue;
        }
        let delta = &choice["delta"];
        for field in ["content", "refusal", "reasoning_content", "reasoning"] {
            push(&mut message[field], &delta[field]);
        }
        let mut thinking = String::new();
        if delta["content"].is_array() {
            let text = text_of(&delta["content"], &mut thinking);
            push(&mut message["content"], &text.into());
            push(&mut message["reasoning"], &thinking.into());
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = call["index"].as_u64().unwrap_or(0);
            let known = calls
                .iter()
                .position(|(i, _)| *i == index)
                .unwrap_or_else(|| {
                    calls.push((index, json!({ "id": "", "function": { "arguments": "" } })));
                    calls.len() - 1
                });
            let target = &mut calls[known].1;
            if call["id"].as_str().is_some_and(|id| !id.is_empty()) {
                target["id"] = call["id"].clone();
            }
            if call["function"]["name"].is_string() {
                target["function"]["name"] = call["function"]["name"].clone();
            }
            push(
                &mut target["function"]["arguments"],
                &call["function"]["arguments"],
            );
        }
        if choice["finish_reason"].is_string() {
            stop = choice["finish_reason"].clone();
        }
    }
    message["tool_calls"] = calls.into_iter().map(|(_, call)| call).collect();
    json!({ "choices": [{ "message": message, "finish_reason": stop }], "usage": usage })
}

fn assembled_messages(events: &[Value]) -> Value {
    let mut blocks: Vec<(u64, Value)> = Vec::new();
    let mut usage = Map::new();
    let mut stop = Value::Null;
    for event in events {
        let counts = [&event["usage"], &event["message"]["usage"]];
        for counts in counts.into_iter().filter_map(Value::as_object) {
            usage.extend(counts.clone());
        }
        let index = event["index"].as_u64().unwrap_or(0);
        match event["type"].as_str().unwrap() {
            "content_block_start" => blocks.push((index, event["content_block"].clone())),
            "content_block_delta" => {
                let block = blocks.iter_mut().rev().find(|(i, _)| *i == index).unwrap();
                push(&mut block.1["text"], &event["delta"]["text"]);
                push(&mut block.1["thinking"], &event["delta"]["thinking"]);
                push(&mut block.1["json"], &event["delta"]["partial_json"]);
            }
            "message_delta" => stop = event["delta"]["stop_reason"].clone(),
            _ => {}
        }
    }
    for (_, block) in &mut blocks {
        if let Some(json) = block["json"].as_str() {
            block["input"] = serde_json::from_str(json).unwrap_or_default();
        }
    }
    let content: Vec<Value> = blocks.into_iter().map(|(_, block)| block).collect();
    json!({ "content": content, "stop_reason": stop, "usage": usage })
}

/// Both sides without what only one can say.
fn comparable(mut said: Said, from: Dialect, to: Dialect) -> Said {
    for (id, _, arguments) in &mut said.calls {
        // Ids of calls before tools are made up, and Anthropic's letters are fewer.
        id.retain(|c| c.is_ascii_alphanumeric());
        if arguments.is_null() {
            *arguments = json!({});
        }
    }
    if said.usage.is_none() {
        said.usage = Some(Usage::default());
    }
    if let Some(usage) = &mut said.usage {
        // Some servers count cached tokens beside the others instead of among them.
        let cached = usage.cached_tokens + usage.cache_written_tokens;
        usage.input_tokens = usage.input_tokens.max(cached);
        let audio = [
            &mut usage.audio_input_tokens,
            &mut usage.audio_output_tokens,
        ];
        if from != to {
            audio.into_iter().for_each(|count| *count = 0);
            usage.cache_written_1h_tokens = 0;
        }
    }
    said
}

fn check_losses(cassette: &str, losses: &[Loss], unlisted: &mut Vec<String>) {
    for loss in losses.iter().filter(|loss| !loss.listed) {
        unlisted.push(format!("{} ({cassette})", loss.field));
    }
}

fn assert_all_listed(mut unlisted: Vec<String>) {
    unlisted.sort();
    unlisted.dedup_by_key(|entry| entry.split(' ').next().unwrap_or_default().to_owned());
    assert!(
        unlisted.is_empty(),
        "losses that the table lacks: {unlisted:#?}"
    );
}

#[test]
fn requests_translate_both_ways_and_lose_only_what_is_listed() {
    let options = TranslateOptions {
        keep_reasoning: true,
        ..TranslateOptions::default()
    };
    let (mut unlisted, mut wrong) = (Vec::new(), Vec::new());
    let mut back_and_forth = 0;
    for cassette in cassettes::all() {
        let Some(body) = &cassette.request else {
            continue;
        };
        let (from, to, name) = (cassette.dialect, cassette.other(), &cassette.name);
        let made = match translate_request(from, to, body, "target", &options) {
            Ok(made) => made,
            Err(error) => {
                assert!(cassette.status >= 400, "{name}: {error}");
                continue;
            }
        };
        check_losses(name, &made.losses, &mut unlisted);
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
    for entry in &unlisted {
        eprintln!("UNLISTED {entry}");
    }
    assert!(
        wrong.is_empty(),
        "{} differ: {}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_all_listed(unlisted);
    assert!(back_and_forth > 600 || cassettes::all().is_empty());
}

/// A request without what translation itself decides, and without the choices of form that mean
/// the same: neighbouring messages of one role, texts as strings or parts, the place of
/// instructions.
fn stable(mut request: Value) -> Value {
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
fn answers_say_the_same_in_the_other_dialect() {
    let options = TranslateOptions::default();
    let (mut unlisted, mut wrong) = (Vec::new(), Vec::new());
    let mut compared = 0;
    for cassette in cassettes::all()
        .iter()
        .filter(|c| !c.is_stream && c.status == 200)
    {
        let (from, to, name) = (cassette.dialect, cassette.other(), &cassette.name);
        let answer: Value = serde_json::from_slice(&cassette.response).unwrap();
        let made = translate_response(from, to, &cassette.response, "alias", &options);
        let made = made.unwrap_or_else(|error| panic!("{name}: {error}"));
        check_losses(name, &made.losses, &mut unlisted);
        assert_eq!(made.usage, cassette.expected_usage(), "{name}");
        let made: Value = serde_json::from_slice(&made.body).unwrap();
        assert_eq!(made["model"], "alias", "{name}");
        compare(name, (from, to), &answer, &made, &mut wrong);
        compared += 1;
    }
    for entry in &unlisted {
        eprintln!("UNLISTED {entry}");
    }
    assert!(
        wrong.is_empty(),
        "{} differ: {}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_all_listed(unlisted);
    assert!(compared > 500 || cassettes::all().is_empty());
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

fn translate_stream(cassette: &Cassette) -> (Vec<u8>, StreamTranslator) {
    let options = TranslateOptions {
        include_usage: true,
        ..TranslateOptions::default()
    };
    let mut translator =
        StreamTranslator::new(cassette.dialect, cassette.other(), "alias", &options);
    let mut out = Vec::new();
    let name = &cassette.name;
    translator
        .push(&cassette.response, &mut out)
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    translator.finish(&mut out).unwrap();
    (out, translator)
}

#[test]
fn streams_say_the_same_in_the_other_dialect() {
    let (mut unlisted, mut wrong) = (Vec::new(), Vec::new());
    let mut compared = 0;
    for cassette in cassettes::all()
        .iter()
        .filter(|c| c.is_stream && !c.is_concatenated())
    {
        let (from, to, name) = (cassette.dialect, cassette.other(), &cassette.name);
        let (out, translator) = translate_stream(cassette);
        check_losses(name, translator.losses(), &mut unlisted);
        let source = cassette.events();
        let made = cassettes::events(&out);
        let failed = source.iter().any(|event| event["error"].is_object());
        assert_eq!(
            (translator.failed(), translator.ended()),
            (failed, !failed),
            "{name}"
        );
        if failed {
            assert!(
                made.last().unwrap()["error"]["message"].is_string(),
                "{name}"
            );
            continue;
        }
        assert_eq!(translator.usage(), cassette.expected_usage(), "{name}");
        check_shape(name, to, &out, &made);
        let (expected, got) = (assembled(from, &source), assembled(to, &made));
        compare(name, (from, to), &expected, &got, &mut wrong);
        compared += 1;
    }
    for entry in &unlisted {
        eprintln!("UNLISTED {entry}");
    }
    assert!(
        wrong.is_empty(),
        "{} differ: {}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_all_listed(unlisted);
    assert!(compared > 180 || cassettes::all().is_empty());
}

/// The order that the dialects' own clients rely on.
fn check_shape(name: &str, dialect: Dialect, out: &[u8], events: &[Value]) {
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
