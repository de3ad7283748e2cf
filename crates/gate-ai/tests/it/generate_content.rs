//! Google's generateContent: recorded exchanges natively and in other dialects, and others in it.

use crate::cassettes::{self, Cassette};
use crate::oracle::{self, Said};
use crate::translated;
use gate_ai::{
    Dialect, Loss, StreamTap, StreamTranslator, TranslateOptions, Usage, inspect, prepare_native,
    response_facts, translate_request, translate_response,
};
use serde_json::{Value, json};

/// Dialects that generateContent is translated to and from here.
const OTHERS: [Dialect; 3] = [
    Dialect::ChatCompletions,
    Dialect::Messages,
    Dialect::Responses,
];
const OURS: Dialect = Dialect::GenerateContent;

fn cassettes() -> Vec<Cassette> {
    let all = cassettes::of(OURS);
    assert!(all.is_empty() || all.len() >= 300, "only {}", all.len());
    all
}

/// A stream that is one JSON list instead of server-sent events.
fn is_list(stream: &[u8]) -> bool {
    stream.starts_with(b"[")
}

fn events(stream: &[u8]) -> Vec<Value> {
    if is_list(stream) {
        return serde_json::from_slice(stream).unwrap();
    }
    cassettes::events(Dialect::GenerateContent, stream)
}

/// Reads an answer the way a client does.
pub(crate) fn said(answer: &Value) -> Said {
    let mut said = Said::default();
    let candidate = &answer["candidates"][0];
    let parts = candidate["content"]["parts"].as_array();
    for part in parts.into_iter().flatten() {
        let text = part["text"].as_str().unwrap_or_default();
        match part["thought"] == true {
            true => said.thinking.push_str(text),
            false => said.text.push_str(text),
        }
        let call = &part["functionCall"];
        if call.is_object() {
            said.calls.push((
                call["id"].as_str().unwrap_or_default().to_owned(),
                call["name"].as_str().unwrap().to_owned(),
                call["args"].clone(),
            ));
        }
    }
    let reason = &candidate["finishReason"];
    said.stop = match reason.as_str().unwrap_or_default() {
        "MAX_TOKENS" => "length",
        "SAFETY" | "MODEL_ARMOR" | "RECITATION" | "PROHIBITED_CONTENT" => "refusal",
        _ if reason == 2 => "length",
        _ if !said.calls.is_empty() => "tool",
        _ => "end",
    }
    .into();
    let body = json!({ "usageMetadata": answer["usageMetadata"] }).to_string();
    said.usage = gate_ai::usage_of(OURS, body.as_bytes());
    said
}

/// Puts a stream together the way a client does, into what the whole answer would be.
pub(crate) fn assembled(events: &[Value]) -> Value {
    let mut parts: Vec<Value> = Vec::new();
    let mut usage = serde_json::Map::new();
    let mut reason = Value::Null;
    let mut continues = false;
    for event in events {
        usage.extend(
            event["usageMetadata"]
                .as_object()
                .cloned()
                .unwrap_or_default(),
        );
        let candidate = &event["candidates"][0];
        if !candidate["finishReason"].is_null() {
            reason = candidate["finishReason"].clone();
        }
        let list = candidate["content"]["parts"].as_array();
        for part in list.into_iter().flatten() {
            let call = &part["functionCall"];
            if call.is_object() && (call["name"].is_string() || continues) {
                if call["name"].is_string() {
                    parts.push(json!({ "functionCall": {
                        "id": call["id"], "name": call["name"],
                        "args": call.get("args").cloned().unwrap_or_else(|| json!({})),
                    }}));
                }
                let args = &mut parts.last_mut().unwrap()["functionCall"]["args"];
                for piece in call["partialArgs"].as_array().into_iter().flatten() {
                    put(args, piece);
                }
                continues = call["willContinue"] == true;
            } else if !call.is_object() {
                parts.push(part.clone());
            }
        }
    }
    json!({
        "candidates": [{ "content": { "parts": parts }, "finishReason": reason }],
        "usageMetadata": usage,
    })
}

/// Adds a piece of arguments at its path, read naively.
fn put(mut at: &mut Value, piece: &Value) {
    let path = piece["jsonPath"]
        .as_str()
        .unwrap()
        .replace('[', ".")
        .replace(']', "");
    for step in path.split('.').skip(1) {
        at = match step.parse::<usize>() {
            Ok(index) => {
                if !at.is_array() {
                    *at = json!([]);
                }
                let list = at.as_array_mut().unwrap();
                while list.len() <= index {
                    list.push(Value::Null);
                }
                &mut list[index]
            }
            Err(_) => &mut at[step],
        };
    }
    match piece["stringValue"].as_str() {
        Some(text) => *at = (at.as_str().unwrap_or_default().to_owned() + text).into(),
        None => *at = piece["numberValue"].clone(),
    }
}

/// What Google's own client relies on.
pub(crate) fn check_shape(name: &str, events: &[Value]) {
    let last = events.last().unwrap();
    assert!(last["candidates"][0]["finishReason"].is_string(), "{name}");
    assert!(last["usageMetadata"]["promptTokenCount"].is_u64(), "{name}");
    for event in events {
        assert!(
            event["candidates"][0]["content"]["parts"].is_array(),
            "{name}"
        );
        assert_eq!(event["modelVersion"], "alias", "{name}");
    }
}

/// Whether both say the same, apart from what Google has no count of.
fn compare(
    name: &str,
    dialects: (Dialect, Dialect),
    answer: &Value,
    made: &Value,
    wrong: &mut Vec<String>,
) {
    let (from, to) = dialects;
    let read = |dialect, answer: &Value| {
        let mut said = oracle::comparable(oracle::said(dialect, answer), from, to);
        if let Some(usage) = &mut said.usage {
            usage.cache_written_tokens = 0;
            if usage.reasoning_tokens > usage.output_tokens {
                // Some servers count thinking beside the answer, as Google does.
                usage.output_tokens += usage.reasoning_tokens;
            }
        }
        said
    };
    let (mut expected, mut got) = (read(from, answer), read(to, made));
    if made.to_string().contains("MALFORMED_FUNCTION_CALL")
        || (to == OURS && expected.stop == "length")
    {
        // Arguments that were cut are no object, which Google cannot tell.
        let told: Vec<_> = got.calls.iter().map(|call| call.0.clone()).collect();
        expected.calls.retain(|call| told.contains(&call.0));
    }
    for (call, expected) in got.calls.iter_mut().zip(&expected.calls) {
        // Ids that the provider did not give are made up.
        if expected.0.is_empty() {
            assert!(!call.0.is_empty() || to == OURS, "{name}");
            call.0.clear();
        }
    }
    let details = &answer["choices"][0]["message"]["reasoning_details"];
    if details.is_array() {
        got.thinking.clone_from(&expected.thinking);
    }
    if got != expected {
        wrong.push(format!("{name}:\n     got {got:?}\nexpected {expected:?}"));
    }
}

fn check_losses(cassette: &str, losses: &[Loss], unlisted: &mut Vec<String>) {
    for loss in losses.iter().filter(|loss| !loss.listed) {
        unlisted.push(format!("{} ({cassette})", loss.field));
    }
}

fn assert_all_listed(mut unlisted: Vec<String>) {
    unlisted.sort();
    unlisted.dedup_by_key(|entry| entry.split(' ').next().unwrap_or_default().to_owned());
    assert!(unlisted.is_empty(), "the table lacks {unlisted:#?}");
}

fn report(wrong: &[String], unlisted: Vec<String>) {
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
}

#[test]
fn facts_are_found_and_the_body_stays_as_it_is() {
    for cassette in cassettes() {
        let Some(body) = &cassette.request else {
            continue;
        };
        let parsed: Value = serde_json::from_slice(body).unwrap();
        let facts = inspect(OURS, body).unwrap();
        let limit = parsed["generationConfig"]["maxOutputTokens"].as_u64();
        assert_eq!(facts.max_tokens, limit, "{}", cassette.name);
        let tools = parsed.get("tools").is_some_and(|tools| *tools != json!([]));
        assert_eq!(facts.has_tools, tools, "{}", cassette.name);
        let span = &body[facts.messages_span.clone()];
        let contents: Value = serde_json::from_slice(span).unwrap();
        assert_eq!(contents, parsed["contents"], "{}", cassette.name);
        let images = parsed["contents"].to_string().contains("ype\":\"image/");
        assert_eq!(facts.has_images(OURS, body), images, "{}", cassette.name);
        let made = prepare_native(OURS, body, &facts, "another", true);
        assert_eq!(&made.to_vec(body), body, "{}", cassette.name);
    }
}

#[test]
fn usage_and_model_of_whole_answers_are_found() {
    for cassette in cassettes().iter().filter(|c| !c.is_stream) {
        let facts = response_facts(OURS, &cassette.response, "");
        let expected = cassette.expected_usage();
        assert_eq!(facts.usage, expected, "{}", cassette.name);
        let parsed: Value = serde_json::from_slice(&cassette.response).unwrap();
        assert_eq!(facts.model.as_deref(), parsed["modelVersion"].as_str());
    }
}

#[test]
fn recorded_errors_have_a_class() {
    for cassette in cassettes().iter().filter(|c| c.status >= 400) {
        let error = gate_ai::provider_error(OURS, &cassette.response);
        let class = gate_ai::failure::classify(cassette.status as u16, &error);
        let text = String::from_utf8_lossy(&cassette.response);
        let expected = match cassette.status {
            429 => "rate_limited",
            _ if text.contains("API_KEY_INVALID") => "bad_credential",
            _ => "bad_request",
        };
        assert_eq!(class.as_str(), expected, "{}", cassette.name);
        assert!(error.message.is_some(), "{}", cassette.name);
        // As a stream that is a list has it.
        let listed = [b"[", cassette.response.as_slice(), b"]\n"].concat();
        assert_eq!(gate_ai::provider_error(OURS, &listed), error);
    }
}

#[derive(Debug, PartialEq)]
struct Seen {
    usage: Option<Usage>,
    token_seen: bool,
    ended: bool,
    events: u64,
}

fn tap(stream: &[u8], pieces: &[&[u8]]) -> Seen {
    let mut tap = StreamTap::new(OURS, false);
    if is_list(stream) {
        tap = tap.in_json_list();
    }
    let mut forwarded = Vec::new();
    for piece in pieces {
        tap.push(piece).write_into(piece, &mut forwarded);
    }
    forwarded.extend(tap.finish());
    assert_eq!(forwarded, stream);
    Seen {
        usage: tap.usage(),
        token_seen: tap.token_seen(),
        ended: tap.ended(),
        events: tap.events(),
    }
}

/// Every offset of a short stream, some of a longer one.
fn cuts(stream: &[u8], seed: u64) -> Vec<usize> {
    let samples = 400_000 / stream.len().max(1);
    if samples > stream.len() {
        return (0..=stream.len()).collect();
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let cut = |_| random.usize(0..=stream.len());
    (0..samples.max(8)).map(cut).collect()
}

fn streams() -> Vec<Cassette> {
    let mut all = cassettes();
    all.retain(|cassette| cassette.is_stream);
    // The same as lists, which the recordings have but one of.
    let listed = all.iter().filter(|c| !is_list(&c.response)).map(|c| {
        let elements: Vec<String> = events(&c.response).iter().map(Value::to_string).collect();
        let stream = format!("[{}\n]\n", elements.join(",\r\n"));
        c.with_response(format!("{} as a list", c.name), stream.into_bytes())
    });
    let listed: Vec<_> = listed.collect();
    all.extend(listed);
    all
}

#[test]
fn a_tap_finds_everything_wherever_the_stream_is_cut() {
    for (seed, cassette) in streams().iter().enumerate() {
        let stream = cassette.response.as_slice();
        let whole = tap(stream, &[stream]);
        assert_eq!(whole.usage, cassette.expected_usage(), "{}", cassette.name);
        assert!(whole.ended, "{}", cassette.name);
        assert_eq!(
            whole.events,
            events(stream).len() as u64,
            "{}",
            cassette.name
        );
        for cut in cuts(stream, seed as u64) {
            let (a, b) = stream.split_at(cut);
            assert_eq!(tap(stream, &[a, b]), whole, "{} {cut}", cassette.name);
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(tap(stream, &single), whole, "{}", cassette.name);
    }
}

#[test]
fn requests_translate_and_lose_only_what_is_listed() {
    let options = TranslateOptions {
        keep_reasoning: true,
        stream: Some(true),
        ..TranslateOptions::default()
    };
    let (mut unlisted, mut wrong, mut compared) = (Vec::new(), Vec::new(), 0);
    let ours = cassettes();
    let theirs = cassettes::all();
    let pairs = ours.iter().flat_map(|c| OTHERS.map(|to| (c, to)));
    for (cassette, to) in pairs.chain(theirs.iter().map(|c| (c, OURS))) {
        let Some(body) = &cassette.request else {
            continue;
        };
        let (from, name) = (cassette.dialect, &cassette.name);
        let made = match translate_request(from, to, body, "gemini-3-flash", &options) {
            Ok(made) => made,
            Err(gate_ai::DialectError::Untranslatable { .. }) => continue,
            Err(error) => {
                assert!(cassette.status >= 400, "{name}: {error}");
                continue;
            }
        };
        check_losses(name, &made.losses, &mut unlisted);
        assert!(made.stream, "{name}");
        inspect(to, &made.body).unwrap();
        let back = translate_request(to, from, &made.body, "origin", &options)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let again = translate_request(from, to, &back.body, "gemini-3-flash", &options).unwrap();
        // Where the way back lost something, and said so, there is less to come back with.
        if back.losses.is_empty() {
            compared += 1;
            let (again, made) = (stable(to, &again.body), stable(to, &made.body));
            if again != made {
                wrong.push(format!("{name}:\n   again {again}\nexpected {made}"));
            }
        }
    }
    report(&wrong, unlisted);
    assert!(compared > 700 || ours.is_empty(), "{compared}");
}

/// A request without what translation itself decides.
fn stable(dialect: Dialect, body: &[u8]) -> Value {
    let mut request: Value = serde_json::from_slice(body).unwrap();
    if let Some(items) = request["input"].as_array_mut() {
        // A turn without words is none on the way back.
        items.retain(|item| item["content"] != "");
        return request;
    }
    if dialect != OURS {
        return translated::stable(request);
    }
    if let Some(config) = request["generationConfig"].as_object_mut() {
        config.remove("thinkingConfig");
        config.remove("maxOutputTokens");
    }
    if request["generationConfig"] == json!({}) || request["generationConfig"].is_null() {
        request.as_object_mut().unwrap().remove("generationConfig");
    }
    request
}

#[test]
fn answers_say_the_same_in_the_other_dialect() {
    let options = TranslateOptions::default();
    let (mut unlisted, mut wrong, mut compared) = (Vec::new(), Vec::new(), 0);
    let ours = cassettes();
    let theirs = cassettes::all();
    let pairs = ours.iter().flat_map(|c| OTHERS.map(|to| (c, to)));
    for (cassette, to) in pairs.chain(theirs.iter().map(|c| (c, OURS))) {
        if cassette.is_stream || cassette.status != 200 || !cassette.is_answer() {
            continue;
        }
        let (from, name) = (cassette.dialect, &cassette.name);
        let answer: Value = serde_json::from_slice(&cassette.response).unwrap();
        let made = translate_response(from, to, &cassette.response, "alias", &options);
        let made = made.unwrap_or_else(|error| panic!("{name}: {error}"));
        check_losses(name, &made.losses, &mut unlisted);
        assert_eq!(made.usage, cassette.expected_usage(), "{name}");
        let made: Value = serde_json::from_slice(&made.body).unwrap();
        compare(name, (from, to), &answer, &made, &mut wrong);
        compared += 1;
    }
    report(&wrong, unlisted);
    assert!(compared > 1_000 || ours.is_empty(), "{compared}");
}

type Made = (Vec<u8>, Option<Usage>, bool, bool);

fn translate(
    cassette: &Cassette,
    to: Dialect,
    json_list: bool,
    pieces: &[&[u8]],
) -> (Made, StreamTranslator) {
    let options = TranslateOptions {
        include_usage: true,
        json_list,
        ..TranslateOptions::default()
    };
    let mut translator = StreamTranslator::new(cassette.dialect, to, "alias", &options);
    if is_list(&cassette.response) {
        translator = translator.from_json_list();
    }
    let mut out = Vec::new();
    for piece in pieces {
        // What is wrong is in `out` too, as an error event.
        let _ = translator.push(piece, &mut out);
    }
    let _ = translator.finish(&mut out);
    let (usage, ended, failed) = (translator.usage(), translator.ended(), translator.failed());
    ((out, usage, ended, failed), translator)
}

#[test]
fn streams_say_the_same_in_the_other_dialect() {
    let (mut unlisted, mut wrong, mut compared) = (Vec::new(), Vec::new(), 0);
    let ours = streams();
    let theirs = cassettes::all();
    let pairs = ours.iter().flat_map(|c| OTHERS.map(|to| (c, to, false)));
    let theirs = theirs
        .iter()
        .filter(|c| c.is_stream && !c.is_concatenated())
        .flat_map(|c| [false, true].map(|list| (c, OURS, list)));
    for (cassette, to, list) in pairs.chain(theirs) {
        let (from, name) = (cassette.dialect, &cassette.name);
        let ((out, usage, ended, failed), translator) =
            translate(cassette, to, list, &[&cassette.response]);
        check_losses(name, translator.losses(), &mut unlisted);
        let source = match from {
            Dialect::Converse => cassette.events(),
            _ => events(&cassette.response),
        };
        let fails = source.iter().any(|event| event["error"].is_object());
        assert_eq!((failed, ended), (fails, !fails), "{name}");
        let made = events(&out);
        if fails {
            let last = made.last().unwrap();
            assert!(last["error"]["message"].is_string(), "{name}");
            continue;
        }
        assert_eq!(usage, cassette.expected_usage(), "{name}");
        translated::check_shape(name, to, &out, &made);
        let expected = oracle::assembled(from, &source);
        let got = oracle::assembled(to, &made);
        compare(name, (from, to), &expected, &got, &mut wrong);
        compared += 1;
    }
    report(&wrong, unlisted);
    assert!(compared > 400 || ours.is_empty(), "{compared}");
}

#[test]
fn a_translation_does_not_depend_on_the_cuts() {
    let ours = streams();
    let theirs = cassettes::all();
    let pairs = ours.iter().flat_map(|c| OTHERS.map(|to| (c, to)));
    let theirs = theirs.iter().filter(|c| c.is_stream).map(|c| (c, OURS));
    for (seed, (cassette, to)) in pairs.chain(theirs).enumerate() {
        let stream = cassette.response.as_slice();
        let list = seed % 2 == 0;
        let (whole, _) = translate(cassette, to, list, &[stream]);
        for cut in cuts(stream, seed as u64).into_iter().step_by(8) {
            let (a, b) = stream.split_at(cut);
            let (made, _) = translate(cassette, to, list, &[a, b]);
            assert_eq!(made, whole, "{} {cut}", cassette.name);
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(
            translate(cassette, to, list, &single).0,
            whole,
            "{}",
            cassette.name
        );
    }
}

#[test]
fn a_cut_stream_ends_with_an_error_in_the_callers_dialect() {
    let theirs = cassettes::all();
    for (seed, cassette) in theirs.iter().filter(|c| c.is_stream).enumerate() {
        let stream = cassette.response.as_slice();
        let mut random = fastrand::Rng::with_seed(seed as u64);
        for list in [false, true] {
            let cut = &stream[..random.usize(0..stream.len() / 2)];
            let ((out, _, ended, failed), _) = translate(cassette, OURS, list, &[cut]);
            assert!(ended != failed, "{}", cassette.name);
            let events = events(&out);
            if failed {
                let last = &events.last().unwrap()["error"];
                assert_eq!(last["status"], "INTERNAL", "{}", cassette.name);
            }
        }
    }
}

#[test]
fn signatures_survive_a_turn_in_another_dialect() {
    let answer = json!({
        "candidates": [{ "content": { "role": "model", "parts": [
            { "text": "hm", "thought": true, "thoughtSignature": "c2lnMQ==" },
            { "functionCall": { "name": "f", "args": {} }, "thoughtSignature": "c2lnMg==" },
            { "functionCall": { "name": "g", "args": {} } },
        ] }, "finishReason": "STOP" }],
        "modelVersion": "gemini-3-flash", "responseId": "r1",
    });
    let options = TranslateOptions::default();
    for to in OTHERS {
        let body = answer.to_string();
        let made = translate_response(OURS, to, body.as_bytes(), "alias", &options).unwrap();
        let made: Value = serde_json::from_slice(&made.body).unwrap();
        let message = match to {
            Dialect::ChatCompletions => made["choices"][0]["message"].clone(),
            _ => json!({ "role": "assistant", "content": made["content"] }),
        };
        let user = json!({ "role": "user", "content": "x" });
        let mut request = json!({ "model": "alias", "max_tokens": 5, "messages": [user, message] });
        if to == Dialect::Responses {
            let mut input = vec![user];
            input.extend(made["output"].as_array().unwrap().clone());
            request = json!({ "model": "alias", "input": input });
        }
        let back = translate_request(
            to,
            OURS,
            request.to_string().as_bytes(),
            "gemini-3-flash",
            &options,
        );
        let back: Value = serde_json::from_slice(&back.unwrap().body).unwrap();
        let parts = &back["contents"][1]["parts"];
        assert_eq!(parts[0]["thoughtSignature"], "c2lnMQ==", "{back}");
        assert_eq!(parts[1]["functionCall"]["name"], "f", "{back}");
        assert_eq!(parts[1]["thoughtSignature"], "c2lnMg==", "{back}");
        assert_eq!(parts[2]["functionCall"]["name"], "g", "{back}");
        assert!(parts[2].get("thoughtSignature").is_none(), "{back}");
    }
}

#[test]
fn googles_signatures_are_handed_to_nobody_else() {
    // As a caller of Messages holds them after a turn of Gemini's.
    let request = json!({ "model": "alias", "max_tokens": 5, "messages": [
        { "role": "user", "content": "x" },
        { "role": "assistant", "content": [
            { "type": "thinking", "thinking": "hm", "signature": "google:c2lnMQ==" },
            { "type": "redacted_thinking", "data": "google:c2lnMg==" },
            { "type": "text", "text": "y" },
        ] },
        { "role": "user", "content": "z" },
    ] });
    for to in [Dialect::Converse, Dialect::Responses] {
        let options = TranslateOptions::default();
        let body = request.to_string();
        let made = translate_request(Dialect::Messages, to, body.as_bytes(), "m", &options);
        let made = made.unwrap();
        let text = String::from_utf8(made.body).unwrap();
        assert!(
            !text.contains("google:") && !text.contains("c2lnM"),
            "{text}"
        );
        let lost = made
            .losses
            .iter()
            .find(|loss| loss.field == "content.reasoning");
        assert!(
            lost.is_some_and(|loss| loss.listed),
            "{to:?}: {:?}",
            made.losses
        );
    }
}

#[test]
fn claudes_signatures_survive_a_turn_in_googles_dialect() {
    let options = TranslateOptions::default();
    let answer = json!({
        "id": "m", "model": "claude", "stop_reason": "tool_use", "role": "assistant",
        "content": [
            { "type": "thinking", "thinking": "hm", "signature": "Er+/sig" },
            { "type": "redacted_thinking", "data": "Red+/" },
            { "type": "tool_use", "id": "toolu_1", "name": "f", "input": {} },
        ],
    });
    let made = translate_response(
        Dialect::Messages,
        OURS,
        answer.to_string().as_bytes(),
        "alias",
        &options,
    );
    let made: Value = serde_json::from_slice(&made.unwrap().body).unwrap();
    // Google's own client hands signatures back in the alphabet for URLs.
    let content = made["candidates"][0]["content"].to_string();
    let content: Value = serde_json::from_str(&content.replace('+', "-")).unwrap();
    let request = json!({ "contents": [{ "role": "user", "parts": [{ "text": "x" }] }, content] });
    let back = translate_request(
        OURS,
        Dialect::Messages,
        request.to_string().as_bytes(),
        "claude",
        &options,
    );
    let back: Value = serde_json::from_slice(&back.unwrap().body).unwrap();
    assert_eq!(back["messages"][1]["content"], answer["content"]);
}

#[test]
fn arguments_of_several_lines_are_one_event() {
    let stream = concat!(
        r#"data: {"id":"a","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","#,
        r#""function":{"name":"f","arguments":"{\n  \"a\": 1\r\n}"}}]},"#,
        r#""finish_reason":"tool_calls"}]}"#,
        "\n\ndata: [DONE]\n\n"
    );
    let options = TranslateOptions::default();
    let mut translator = StreamTranslator::new(Dialect::ChatCompletions, OURS, "m", &options);
    let mut out = Vec::new();
    translator.push(stream.as_bytes(), &mut out).unwrap();
    let args = events(&out)
        .iter()
        .find_map(|event| {
            let call = &event["candidates"][0]["content"]["parts"][0]["functionCall"];
            call.is_object().then(|| call["args"].clone())
        })
        .unwrap();
    assert_eq!(args, json!({ "a": 1 }));
}
