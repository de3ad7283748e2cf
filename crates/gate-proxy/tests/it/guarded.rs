//! Guards in front of a model through traffic: every caller's dialect, whole and streamed, at all
//! four points. The provider speaks Chat Completions; that no guard notices is the point.

use crate::cassettes::{Caller, Provider, Reply, document};
use crate::support::{Answer, Gateway, eventually};
use gate_ai::{Dialect, EventStreamFramer};
use serde_json::{Value, json};

const EMAIL: &str = "jane@example.com";
const CARD: &str = "4111 1111 1111 1111";
const KEY: &str = "AKIAIOSFODNN7EXAMPLE";

/// A gateway with this guard in front of a provider.
fn guarded(provider: &Provider, guard: &str) -> Gateway {
    let text = document("compatible", provider.address, &["m"]);
    let policies = format!("policies: [{{ guard: {guard} }}], target: {{ models:");
    Gateway::start(&text.replace("target: { models:", &policies))
}

/// Where callers of this dialect post to, for the model `m`.
pub(crate) fn path(dialect: Dialect, stream: bool) -> &'static str {
    match (dialect, stream) {
        (Dialect::Converse, true) => "/model/m/converse-stream",
        (Dialect::Converse, false) => "/model/m/converse",
        (Dialect::GenerateContent, true) => "/v1beta/models/m:streamGenerateContent?alt=sse",
        (Dialect::GenerateContent, false) => "/v1beta/models/m:generateContent",
        (dialect, _) => dialect.path(),
    }
}

/// What a request says at each point, and the schema of its tool.
pub(crate) struct Said<'t> {
    pub(crate) text: &'t str,
    /// Arguments of an earlier tool call.
    pub(crate) called: &'t str,
    /// What the tool answered.
    pub(crate) result: &'t str,
}

/// A conversation with a tool that was called, in this dialect.
#[rustfmt::skip]
pub(crate) fn request(dialect: Dialect, stream: bool, said: &Said<'_>) -> String {
    let Said { text, called, result } = *said;
    let schema = json!({ "type": "object", "properties": { "to": { "type": "string" } }, "required": ["to"] });
    let call = json!({ "to": called });
    let written = call.to_string();
    let body = match dialect {
        Dialect::ChatCompletions => json!({ "model": "m", "stream": stream, "messages": [
            { "role": "user", "content": text },
            { "role": "assistant", "content": null, "tool_calls": [{ "id": "c1", "type": "function", "function": { "name": "send", "arguments": written } }] },
            { "role": "tool", "tool_call_id": "c1", "content": result }],
            "tools": [{ "type": "function", "function": { "name": "send", "parameters": schema } }] }),
        Dialect::CohereChat => json!({ "model": "m", "stream": stream, "messages": [
            { "role": "user", "content": text },
            { "role": "assistant", "tool_plan": "", "tool_calls": [{ "id": "c1", "type": "function", "function": { "name": "send", "arguments": written } }] },
            { "role": "tool", "tool_call_id": "c1", "content": result }],
            "tools": [{ "type": "function", "function": { "name": "send", "parameters": schema } }] }),
        Dialect::Messages => json!({ "model": "m", "max_tokens": 50, "stream": stream, "messages": [
            { "role": "user", "content": text },
            { "role": "assistant", "content": [{ "type": "tool_use", "id": "c1", "name": "send", "input": call }] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "c1", "content": result }] }],
            "tools": [{ "name": "send", "input_schema": schema }] }),
        Dialect::Responses => json!({ "model": "m", "stream": stream, "input": [
            { "role": "user", "content": text },
            { "type": "function_call", "call_id": "c1", "name": "send", "arguments": written },
            { "type": "function_call_output", "call_id": "c1", "output": result }],
            "tools": [{ "type": "function", "name": "send", "parameters": schema }] }),
        Dialect::GenerateContent => json!({ "contents": [
            { "role": "user", "parts": [{ "text": text }] },
            { "role": "model", "parts": [{ "functionCall": { "name": "send", "args": call } }] },
            { "role": "user", "parts": [{ "functionResponse": { "name": "send", "response": { "result": result } } }] }],
            "tools": [{ "functionDeclarations": [{ "name": "send", "parameters": schema }] }] }),
        Dialect::Converse => json!({ "messages": [
            { "role": "user", "content": [{ "text": text }] },
            { "role": "assistant", "content": [{ "toolUse": { "toolUseId": "c1", "name": "send", "input": call } }] },
            { "role": "user", "content": [{ "toolResult": { "toolUseId": "c1", "content": [{ "text": result }] } }] }],
            "toolConfig": { "tools": [{ "toolSpec": { "name": "send", "inputSchema": { "json": schema } } }] } }),
    };
    body.to_string()
}

/// An answer of the provider with this text and perhaps a call, whole or in pieces of three bytes.
pub(crate) fn answer(stream: bool, text: &str, call: Option<&str>) -> Reply {
    let finish = if call.is_some() { "tool_calls" } else { "stop" };
    let usage = json!({ "prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14 });
    let function = |json: &str| json!({ "index": 0, "id": "c2", "type": "function", "function": { "name": "send", "arguments": json } });
    if !stream {
        let mut message = json!({ "role": "assistant", "content": text });
        if let Some(call) = call {
            message["tool_calls"] = json!([function(call)]);
        }
        let body = json!({ "id": "a", "object": "chat.completion", "created": 1, "model": "x", "usage": usage,
            "choices": [{ "index": 0, "message": message, "finish_reason": finish }] });
        return Reply {
            status: 200,
            headers: "content-type: application/json\r\n".into(),
            pieces: vec![body.to_string().into_bytes()],
        };
    }
    let event = |delta: Value, finish: Value| {
        let chunk = json!({ "id": "a", "object": "chat.completion.chunk", "created": 1, "model": "x",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] });
        format!("data: {chunk}\n\n").into_bytes()
    };
    let mut pieces = vec![event(
        json!({ "role": "assistant", "content": "" }),
        Value::Null,
    )];
    for piece in text.as_bytes().chunks(3) {
        let piece = std::str::from_utf8(piece).unwrap();
        pieces.push(event(json!({ "content": piece }), Value::Null));
    }
    if let Some(call) = call {
        pieces.push(event(json!({ "tool_calls": [function("")] }), Value::Null));
        for piece in call.as_bytes().chunks(3) {
            let piece = std::str::from_utf8(piece).unwrap();
            let part = json!({ "index": 0, "function": { "arguments": piece } });
            pieces.push(event(json!({ "tool_calls": [part] }), Value::Null));
        }
    }
    pieces.push(event(json!({}), finish.into()));
    let last = json!({ "id": "a", "object": "chat.completion.chunk", "created": 1, "model": "x", "choices": [], "usage": usage });
    pieces.push(format!("data: {last}\n\ndata: [DONE]\n\n").into_bytes());
    Reply {
        status: 200,
        headers: "content-type: text/event-stream\r\n".into(),
        pieces,
    }
}

/// Text and tool arguments of an answer, as the neutral form reads them, and whether it ended with
/// an error.
pub(crate) fn heard(dialect: Dialect, stream: bool, answer: &Answer) -> (String, String, bool) {
    use gate_ai::conversation::{Content, StreamEvent};
    let (mut text, mut called, mut failed) = (String::new(), String::new(), false);
    if !stream || answer.status >= 300 {
        let Ok(read) = gate_ai::read_response(dialect, &answer.body) else {
            return (text, called, true);
        };
        for part in read.parts {
            match part.content {
                Content::Text { text: piece, .. } => text.push_str(&piece),
                Content::ToolCall { arguments, .. } => called.push_str(&arguments),
                _ => {}
            }
        }
        return (text, called, failed);
    }
    if dialect == Dialect::Converse {
        // Lengths and checksums hold, also of frames whose text was changed.
        let mut framer = EventStreamFramer::new(1 << 20);
        framer.push(&answer.body, |_| Ok(())).expect("whole frames");
        assert!(!framer.is_cut());
    }
    gate_ai::read_stream(dialect, &answer.body, |event| match event {
        StreamEvent::Text { text: piece, .. } => text.push_str(&piece),
        StreamEvent::Arguments { json, .. } => called.push_str(&json),
        StreamEvent::Error { .. } => failed = true,
        _ => {}
    })
    .unwrap_or_else(|error| panic!("{dialect:?}: {error}"));
    (text, called, failed)
}

/// Every dialect, whole and streamed.
pub(crate) fn ways() -> impl Iterator<Item = (Dialect, bool)> {
    Dialect::ALL
        .into_iter()
        .flat_map(|dialect| [(dialect, false), (dialect, true)])
}

pub(crate) const PLAIN: Said<'static> = Said {
    text: "hello",
    called: "nobody",
    result: "done",
};

#[test]
fn values_go_as_placeholders_and_come_back_in_every_dialect() {
    let provider = Provider::start();
    let guard = "{ rules: [{ find: { patterns: [email, card] }, action: redact }] }";
    let gateway = guarded(&provider, guard);
    for (dialect, stream) in ways() {
        let way = format!("{dialect:?}, streamed: {stream}");
        let call = r#"{"to":"[EMAIL_1]"}"#;
        provider.set(answer(
            stream,
            "Paid with [CARD_1] by [EMAIL_1].",
            Some(call),
        ));
        let said = Said {
            text: &format!("I am {EMAIL}"),
            called: EMAIL,
            result: &format!("card {CARD} is fine"),
        };
        let body = request(dialect, stream, &said);
        let got = Caller::new(&gateway).post(path(dialect, stream), &body);
        assert_eq!(got.status, 200, "{way}: {got:?}");
        let sent = String::from_utf8(provider.last().body).unwrap();
        assert!(
            !sent.contains(EMAIL) && !sent.contains("4111"),
            "{way}: {sent}"
        );
        assert!(
            sent.matches("[EMAIL_1]").count() == 2 && sent.contains("[CARD_1]"),
            "{way}: {sent}"
        );
        let (text, called, failed) = heard(dialect, stream, &got);
        assert_eq!(text, format!("Paid with {CARD} by {EMAIL}."), "{way}");
        let called: Value = serde_json::from_str(&called).unwrap();
        assert_eq!(called, json!({ "to": EMAIL }), "{way}");
        assert!(!failed, "{way}");
    }
}

#[test]
fn what_blocks_never_passes_in_any_dialect_at_any_point() {
    let provider = Provider::start();
    let guard = "{ rules: [{ name: keys, find: { patterns: [secret] }, action: block }] }";
    let gateway = guarded(&provider, guard);
    for (dialect, stream) in ways() {
        let way = format!("{dialect:?}, streamed: {stream}");
        let mut caller = Caller::new(&gateway);
        for place in 0..3 {
            let mut said = Said { ..PLAIN };
            *[&mut said.text, &mut said.called, &mut said.result][place] = KEY;
            let calls = provider.calls();
            let got = caller.post(path(dialect, stream), &request(dialect, stream, &said));
            assert_eq!(
                (got.status, provider.calls()),
                (400, calls),
                "{way} {place}"
            );
            assert!(
                got.text().contains("`keys`") && !got.text().contains(KEY),
                "{way} {place}"
            );
        }
        let call = format!(r#"{{"to":"{KEY}"}}"#);
        for (text, call) in [
            (format!("so: {KEY} and more"), None),
            ("well".into(), Some(&*call)),
        ] {
            provider.set(answer(stream, &text, call));
            let got = Caller::new(&gateway)
                .post(path(dialect, stream), &request(dialect, stream, &PLAIN));
            assert_eq!(got.status, if stream { 200 } else { 400 }, "{way}: {got:?}");
            let bytes = String::from_utf8_lossy(&got.body);
            assert!(
                !bytes.contains("AKIA") && !bytes.contains("and more"),
                "{way}: {bytes}"
            );
            assert!(heard(dialect, stream, &got).2, "{way}: {bytes}");
        }
    }
}

#[test]
fn masks_words_sizes_and_scripts_work_in_every_dialect() {
    let provider = Provider::start();
    let guard = "{ rules: [\
        { find: { words: { list: [Project Tern] } }, at: [response], action: mask },\
        { name: long, find: { size: 100B }, at: [request], action: block },\
        { name: latin, find: { scripts: { allow: [latin] } }, at: [request], action: block }] }";
    let gateway = guarded(&provider, guard);
    for (dialect, stream) in ways() {
        let way = format!("{dialect:?}, streamed: {stream}");
        provider.set(answer(stream, "It is Project Tern, yes.", None));
        let mut caller = Caller::new(&gateway);
        let got = caller.post(path(dialect, stream), &request(dialect, stream, &PLAIN));
        assert_eq!(
            heard(dialect, stream, &got).0,
            "It is ******* ****, yes.",
            "{way}"
        );
        for text in ["too long ".repeat(20), "Привет, как дела сегодня".into()]
        {
            let said = Said {
                text: &text,
                ..PLAIN
            };
            let got =
                Caller::new(&gateway).post(path(dialect, stream), &request(dialect, stream, &said));
            assert_eq!(got.status, 400, "{way}: {text}");
        }
    }
}

#[test]
fn observing_changes_no_byte_in_any_dialect() {
    let provider = Provider::start();
    let everything = "rules: [{ find: { patterns: [email, secret] }, action: block }, { find: { schema: {} }, action: block }]";
    let observing = guarded(&provider, &format!("{{ mode: observe, {everything} }}"));
    let plain = Gateway::start(&document("compatible", provider.address, &["m"]));
    for (dialect, stream) in ways() {
        let way = format!("{dialect:?}, streamed: {stream}");
        provider.set(answer(
            stream,
            &format!("{KEY} {EMAIL}"),
            Some("{\"to\":1}"),
        ));
        let said = Said {
            text: EMAIL,
            ..PLAIN
        };
        let body = request(dialect, stream, &said);
        let direct = Caller::new(&plain).post(path(dialect, stream), &body);
        let sent = provider.last().body;
        let got = Caller::new(&observing).post(path(dialect, stream), &body);
        assert_eq!(provider.last().body, sent, "{way}");
        let (heard, direct) = (
            heard(dialect, stream, &got),
            heard(dialect, stream, &direct),
        );
        assert_eq!(heard, direct, "{way}");
        assert!(heard.0.contains(KEY), "{way}");
    }
    for (rule, point) in [
        ("email", "request"),
        ("secret", "response"),
        ("schema", "tool_call"),
    ] {
        let calls = ways().count();
        let found = format!("rule=\"{rule}\",point=\"{point}\",action=\"observe\"}} {calls}");
        eventually(&found, || observing.metrics().contains(&found));
    }
}

#[test]
fn a_sample_is_noted_and_nothing_is_changed() {
    let provider = Provider::start();
    let guard = |share: &str| {
        format!(
            "{{ mode: sample, share: {share}, rules: [{{ find: {{ patterns: [email] }}, action: block }}] }}"
        )
    };
    let found = |gateway: &Gateway| -> usize {
        let page = gateway.metrics();
        let of = "rule=\"email\",point=\"request\",action=\"observe\"} ";
        let counts = page
            .lines()
            .filter_map(|line| line.split_once(of)?.1.parse::<usize>().ok());
        counts.sum()
    };
    let calls = 400;
    let all = guarded(&provider, &guard("100%"));
    let some = guarded(&provider, &guard("25%"));
    provider.set(answer(false, "fine", None));
    let said = Said {
        text: EMAIL,
        ..PLAIN
    };
    let dialect = Dialect::ChatCompletions;
    let body = request(dialect, false, &said);
    for gateway in [&all, &some] {
        let mut caller = Caller::new(gateway);
        for _ in 0..calls {
            let got = caller.post(dialect.path(), &body);
            assert_eq!(heard(dialect, false, &got).0, "fine");
        }
        let sent = String::from_utf8(provider.last().body).unwrap();
        assert!(sent.contains(EMAIL), "{sent}");
    }
    eventually("every call is looked at", || found(&all) == calls);
    // A quarter of 400 is 100; so few or many happen once in millions of runs.
    eventually("a share is looked at", || found(&some) > 40);
    assert!(found(&some) < 160, "{}", found(&some));
}

#[test]
fn calls_of_tools_hold_to_their_declaration_in_every_dialect() {
    let provider = Provider::start();
    let guard = "{ rules: [{ find: { schema: {} }, at: [tool_call], action: block }] }";
    let gateway = guarded(&provider, guard);
    for (dialect, stream) in ways() {
        for (call, holds) in [
            (r#"{"to":"x"}"#, true),
            (r#"{"to":7}"#, false),
            (r#"{"from":"x"}"#, false),
        ] {
            let way = format!("{dialect:?}, streamed: {stream}, {call}");
            provider.set(answer(stream, "so", Some(call)));
            let body = request(dialect, stream, &PLAIN);
            let got = Caller::new(&gateway).post(path(dialect, stream), &body);
            let (text, called, failed) = heard(dialect, stream, &got);
            assert_eq!(
                (failed, called.is_empty()),
                (!holds, !holds),
                "{way}: {got:?}"
            );
            if stream || holds {
                assert_eq!(text, "so", "what is no call leaves at once: {way}");
            }
        }
    }
}

/// A request for an answer by a schema, in this dialect.
#[rustfmt::skip]
fn formed(dialect: Dialect, stream: bool) -> Option<String> {
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"], "additionalProperties": false });
    let body = match dialect {
        Dialect::ChatCompletions => json!({ "model": "m", "stream": stream, "messages": [{ "role": "user", "content": "x" }],
            "response_format": { "type": "json_schema", "json_schema": { "name": "n", "schema": schema } } }),
        Dialect::Responses => json!({ "model": "m", "stream": stream, "input": "x",
            "text": { "format": { "type": "json_schema", "name": "n", "schema": schema } } }),
        Dialect::GenerateContent => json!({ "contents": [{ "parts": [{ "text": "x" }] }],
            "generationConfig": { "responseMimeType": "application/json", "responseJsonSchema": schema } }),
        Dialect::Messages => json!({ "model": "m", "max_tokens": 9, "stream": stream, "messages": [{ "role": "user", "content": "x" }],
            "output_config": { "format": { "type": "json_schema", "schema": schema } } }),
        Dialect::CohereChat => json!({ "model": "m", "stream": stream, "messages": [{ "role": "user", "content": "x" }],
            "response_format": { "type": "json_object", "json_schema": schema } }),
        Dialect::Converse => return None,
    };
    Some(body.to_string())
}

#[test]
fn answers_hold_to_the_schema_that_was_asked_for() {
    let provider = Provider::start();
    let guard = "{ rules: [{ find: { schema: {} }, at: [response], action: block }] }";
    let gateway = guarded(&provider, guard);
    for (dialect, stream) in ways() {
        let Some(body) = formed(dialect, stream) else {
            continue;
        };
        for (text, holds) in [
            (r#"{"n":4}"#, true),
            (r#"{"n":"4"}"#, false),
            ("four", false),
        ] {
            let way = format!("{dialect:?}, streamed: {stream}, {text}");
            provider.set(answer(stream, text, None));
            let got = Caller::new(&gateway).post(path(dialect, stream), &body);
            let (heard, _, failed) = heard(dialect, stream, &got);
            assert_eq!(failed, !holds, "{way}: {got:?}");
            assert_eq!(heard, if holds { text } else { "" }, "{way}");
        }
        // Without a schema in the request, anything may be answered.
        provider.set(answer(stream, "four", None));
        let got =
            Caller::new(&gateway).post(path(dialect, stream), &request(dialect, stream, &PLAIN));
        assert_eq!(heard(dialect, stream, &got).0, "four");
    }
}

#[test]
fn a_file_says_what_every_answer_looks_like() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("n.json"), r#"{"type":"integer"}"#).unwrap();
    std::fs::write(folder.path().join("bad.json"), r#"{"pattern":"(?=a)"}"#).unwrap();
    let provider = Provider::start();
    let text = |file: &str| {
        let policies = format!(
            "policies: [{{ guard: {{ rules: [{{ find: {{ schema: {{ file: {file} }} }}, at: [response], action: block }}] }} }}], target: {{ models:"
        );
        document("compatible", provider.address, &["m"]).replace("target: { models:", &policies)
    };
    let refused = Gateway::start_with_files(folder.path(), &text("bad.json"));
    assert!(refused.is_err_and(|error| error.to_string().contains("linear time")));
    let gateway = Gateway::start_with_files(folder.path(), &text("n.json")).unwrap();
    for (dialect, stream) in ways() {
        for (text, holds) in [("12", true), ("\"12\"", false)] {
            provider.set(answer(stream, text, None));
            let body = request(dialect, stream, &PLAIN);
            let got = Caller::new(&gateway).post(path(dialect, stream), &body);
            assert_eq!(
                heard(dialect, stream, &got).2,
                !holds,
                "{dialect:?} {stream} {text}"
            );
        }
    }
}

#[test]
fn a_schema_that_never_ends_is_refused_not_run() {
    let provider = Provider::start();
    let gateway = guarded(
        &provider,
        "{ rules: [{ find: { schema: {} }, action: block }] }",
    );
    let body = |schema: &str| {
        format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"x"}}],"response_format":{{"type":"json_schema","json_schema":{{"name":"n","schema":{schema}}}}}}}"#
        )
    };
    provider.set(answer(false, "{}", None));
    for schema in [r##"{"$ref":"#"}"##, r#"{"unevaluatedProperties":false}"#] {
        let got = Caller::new(&gateway).post(Dialect::ChatCompletions.path(), &body(schema));
        assert_eq!(got.status, 500, "{got:?}");
        assert!(got.text().contains("policy_failed"), "{}", got.text());
    }
}
