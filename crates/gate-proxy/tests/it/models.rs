//! Calls to models in the provider's own dialect, through recorded traffic: every byte but the
//! model's name and the credentials passes unchanged, however the provider's bytes are cut.

use crate::cassettes::{self, Caller, Cassette, Provider, Reply, document};
use crate::support::{Gateway, eventually, read_answer};
use serde_json::Value;
use std::io::Write;

const CHAT: (&str, &str, &str) = ("openai/chat_completions", "openai", "/v1/chat/completions");
const MESSAGES: (&str, &str, &str) = ("anthropic/messages", "anthropic", "/v1/messages");
const RESPONSES: (&str, &str, &str) = ("openai/responses", "openai", "/v1/responses");

fn gateway_for(kind: &str, provider: &Provider, all: &[Cassette]) -> Gateway {
    let models: Vec<_> = all.iter().map(|cassette| &*cassette.model).collect();
    Gateway::start(&document(kind, provider.address, &models))
}

/// Plays every whole answer and every stream once.
fn native((folder, kind, path): (&str, &str, &str)) {
    let all = cassettes::of(folder);
    if all.is_empty() {
        return;
    }
    let provider = Provider::start();
    let gateway = gateway_for(kind, &provider, &all);
    let mut caller = Caller::new(&gateway);
    caller.headers = "authorization: Bearer of-the-caller\r\nx-api-key: of-the-caller\r\n\
                      cookie: a=of-the-caller\r\nx-tenant: of-the-caller\r\n\
                      x-forwarded-for: of-the-caller\r\n"
        .into();
    let mut played = 0;
    for cassette in all.iter().filter(|c| c.status == 200) {
        let name = &cassette.name;
        provider.set(cassette.reply());
        let answer = caller.post(path, &cassette.request);
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert!(answer.complete && answer.body == cassette.answer, "{name}");
        assert_eq!(
            answer.header("content-type"),
            Some(&*cassette.content_type),
            "{name}"
        );
        let seen = provider.last();
        let body = String::from_utf8(seen.body).unwrap();
        // The gateway must know what a stream costs, so it asks where the caller did not.
        let asked = "\"stream_options\":{\"include_usage\":true},";
        let body = match cassette.request.contains("include_usage") {
            true => body,
            false => body.replacen(asked, "", 1),
        };
        assert_eq!(body, cassette.request_for("provider-model"), "{name}");
        assert!(!seen.head.contains("of-the-caller"), "{}", seen.head);
        assert!(seen.head.contains("secret-of-KEY"), "{}", seen.head);
        played += 1;
    }
    eprintln!("{folder}: {played} recordings byte for byte");
    assert!(played >= 40);
}

#[test]
fn chat_completions_pass_byte_for_byte() {
    native(CHAT);
}

#[test]
fn messages_pass_byte_for_byte() {
    native(MESSAGES);
}

#[test]
fn responses_pass_byte_for_byte() {
    native(RESPONSES);
}

/// Streams cut at every place (small ones) or at seeded places (bigger ones) come out whole.
fn recut((folder, kind, path): (&str, &str, &str)) {
    let all = cassettes::of(folder);
    let mut streams: Vec<_> = all.iter().filter(|c| c.stream && c.status == 200).collect();
    streams.sort_by_key(|cassette| cassette.answer.len());
    let Some((smallest, others)) = streams.split_first() else {
        return;
    };
    let provider = Provider::start();
    let gateway = gateway_for(kind, &provider, &all);
    let mut caller = Caller::new(&gateway);
    let mut check = |cassette: &Cassette, cuts: &[usize]| {
        let mut reply = cassette.reply();
        reply.pieces = pieces(&cassette.answer, cuts);
        provider.set(reply);
        let answer = caller.post(path, &cassette.request);
        assert!(
            answer.complete && answer.body == cassette.answer,
            "{} cut at {cuts:?}",
            cassette.name
        );
    };
    for at in 1..smallest.answer.len() {
        check(smallest, &[at]);
    }
    gate_kit::random::seed(20_261_121);
    for cassette in others.iter().filter(|c| c.answer.len() < 20_000) {
        for _ in 0..12 {
            check(cassette, &random_cuts(cassette.answer.len()));
        }
    }
    let every_byte: Vec<_> = (1..smallest.answer.len()).collect();
    check(smallest, &every_byte);
}

pub(crate) fn random_cuts(length: usize) -> Vec<usize> {
    let mut cuts: Vec<_> = (0..5)
        .map(|_| 1 + gate_kit::random::bits() as usize % (length - 1))
        .collect();
    cuts.sort_unstable();
    cuts
}

pub(crate) fn pieces(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let starts = std::iter::once(0).chain(cuts.iter().copied());
    let ends = cuts.iter().copied().chain([bytes.len()]);
    starts
        .zip(ends)
        .map(|(start, end)| bytes[start..end].to_vec())
        .collect()
}

#[test]
fn chat_streams_survive_any_cut() {
    recut(CHAT);
}

#[test]
fn message_streams_survive_any_cut() {
    recut(MESSAGES);
}

#[test]
fn response_streams_survive_any_cut() {
    recut(RESPONSES);
}

const CHUNK: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n";
const USAGE: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7,\"total_tokens\":18}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

#[test]
fn usage_that_only_the_gateway_asked_for_is_taken_out_at_every_cut() {
    let provider = Provider::start();
    let gateway = Gateway::start(&document("openai", provider.address, &["small"]));
    let mut caller = Caller::new(&gateway);
    let sent = format!("{CHUNK}{USAGE}{DONE}");
    let reply = |cuts: &[usize]| Reply {
        status: 200,
        headers: "content-type: text/event-stream\r\n".into(),
        pieces: pieces(sent.as_bytes(), cuts),
    };
    for at in 1..sent.len() {
        provider.set(reply(&[at]));
        let answer = caller.post(CHAT.2, r#"{"model":"small","stream":true,"messages":[]}"#);
        assert_eq!(answer.text(), format!("{CHUNK}{DONE}"), "cut at {at}");
    }
    provider.set(reply(&[]));
    let asking =
        r#"{"model":"small","stream":true,"stream_options":{"include_usage":true},"messages":[]}"#;
    assert_eq!(caller.post(CHAT.2, asking).text(), sent);
    for line in [
        format!("gen_ai_token_type=\"input\"}} {}", 11 * sent.len()),
        format!("gen_ai_token_type=\"output\"}} {}", 7 * sent.len()),
    ] {
        eventually(&line, || gateway.metrics().contains(&line));
    }
}

#[test]
fn the_record_and_the_metrics_say_what_a_call_consumed() {
    let folder = tempfile::tempdir().unwrap();
    let provider = Provider::with(Reply {
        status: 200,
        headers: "content-type: text/event-stream\r\n".into(),
        pieces: vec![CHUNK.into(), USAGE.into(), DONE.into()],
    });
    let yaml = document("openai", provider.address, &["small"]).replace(
        "workers: 1",
        "workers: 1, access_log: { to: { file: { path: access.log } } }",
    );
    let gateway = Gateway::start_in(folder.path(), &yaml).unwrap();
    Caller::new(&gateway).post(CHAT.2, r#"{"model":"small","stream":true,"messages":[]}"#);
    let log = folder.path().join("access.log");
    eventually("the row is written", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.ends_with("}\n"))
    });
    let row: Value = serde_json::from_str(&std::fs::read_to_string(&log).unwrap()).unwrap();
    let ai = &row["ai"];
    for (name, value) in [
        ("model", Value::from("small")),
        ("provider", "p".into()),
        ("provider_kind", "openai".into()),
        ("provider_model", "provider-model".into()),
        ("stream", true.into()),
        ("translated", false.into()),
        ("input_tokens", 11.into()),
        ("output_tokens", 7.into()),
    ] {
        assert_eq!(ai[name], value, "{name} in {row}");
    }
    assert!(ai["first_token_ms"].as_f64().unwrap() >= 0.0, "{row}");
    assert_eq!(row["attempts"].as_array().unwrap().len(), 1, "{row}");
    let metrics = gateway.metrics();
    let labels = "gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai\",gen_ai_request_model=\"provider-model\",tidegate_model=\"small\",tidegate_provider=\"p\"";
    for family in [
        "gen_ai_client_token_usage_sum",
        "gen_ai_client_operation_duration_seconds_count",
        "gen_ai_server_time_to_first_token_seconds_count",
        "tidegate_ai_streams",
    ] {
        let found = metrics
            .lines()
            .any(|line| line.starts_with(family) && line.contains(labels));
        assert!(found, "{family} in {metrics}");
    }
}

#[test]
fn each_key_sees_and_uses_only_its_models() {
    let provider = Provider::with(Reply {
        status: 200,
        headers: "content-type: application/json\r\n".into(),
        pieces: vec![br#"{"id":"x","model":"m","choices":[]}"#.to_vec()],
    });
    let hash = |key: &str| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes());
        let hex = |byte: &u8| format!("{byte:02x}");
        digest.as_ref().iter().map(hex).collect::<String>()
    };
    let yaml = document("openai", provider.address, &["big", "small"])
        .replace("ai: { target", "ai: { policies: [{ auth_key: {} }], target")
        + &format!(
            "consumers:\n  all: {{ keys: [{{ sha256: '{}' }}] }}\n  few: {{ models: [small], keys: [{{ sha256: '{}' }}] }}\n",
            hash("key-of-all"),
            hash("key-of-few")
        );
    let gateway = Gateway::start(&yaml);
    let list = |headers: &str| {
        let request = format!("GET /v1/models HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
        let answer = gateway.send(&request);
        let value: Value = serde_json::from_slice(&answer.body).unwrap();
        let ids = value["data"].as_array().map(|data| {
            let id = |model: &Value| model["id"].as_str().unwrap().to_owned();
            data.iter().map(id).collect::<Vec<_>>()
        });
        (answer.status, ids.unwrap_or_default(), value)
    };
    let (_, all, openai) = list("authorization: Bearer key-of-all\r\n");
    assert_eq!(all, ["big", "small"]);
    assert_eq!(openai["object"], "list");
    let (_, few, anthropic) = list("x-api-key: key-of-few\r\nanthropic-version: 2023-06-01\r\n");
    assert_eq!(few, ["small"]);
    assert_eq!(anthropic["has_more"], false);
    assert_eq!(list("").0, 401);
    let mut caller = Caller::new(&gateway);
    caller.headers = "authorization: Bearer key-of-few\r\n".into();
    let small = caller.post(CHAT.2, r#"{"model":"small","messages":[]}"#);
    assert_eq!(small.status, 200);
    assert!(!provider.last().head.contains("key-of-few"));
    let big = caller.post(CHAT.2, r#"{"model":"big","messages":[]}"#);
    assert_eq!(big.status, 404);
    assert_eq!(provider.calls(), 1, "what is not allowed is not sent");
}

#[test]
fn faults_come_in_the_callers_dialect() {
    let provider = Provider::start();
    let gateway = Gateway::start(&document("openai", provider.address, &["small"]));
    let mut caller = Caller::new(&gateway);
    let unknown = r#"{"model":"nobody","max_tokens":1,"messages":[]}"#;
    let openai = caller.post(CHAT.2, unknown);
    let value: Value = serde_json::from_slice(&openai.body).unwrap();
    assert_eq!(openai.status, 404);
    assert_eq!(value["error"]["code"], "model_not_found", "{value}");
    let message = value["error"]["message"].as_str().unwrap();
    assert!(message.contains("`nobody` does not exist"), "{message}");
    let anthropic = caller.post(MESSAGES.2, unknown);
    let value: Value = serde_json::from_slice(&anthropic.body).unwrap();
    assert_eq!(anthropic.status, 404);
    assert_eq!(value["type"], "error", "{value}");
    assert_eq!(value["error"]["type"], "not_found_error", "{value}");
    for (path, body) in [(CHAT.2, "{"), (MESSAGES.2, "[]"), (CHAT.2, "{\"model\":7}")] {
        let answer = caller.post(path, body);
        let value: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer.status, 400, "{body}");
        assert!(value["error"]["message"].is_string(), "{value}");
    }
    assert_eq!(gateway.get("/v1/chat/completions").status, 405);
    let mut stream = gateway.connect();
    stream
        .write_all(b"POST /v1/other HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n")
        .unwrap();
    assert_eq!(read_answer(&mut stream).status, 404);
    assert_eq!(provider.calls(), 0);
}

#[test]
fn a_providers_own_errors_reach_the_caller_as_they_are() {
    let mut played = 0;
    for (folder, kind, path) in [CHAT, MESSAGES] {
        let all = cassettes::of(folder);
        let provider = Provider::start();
        if all.is_empty() {
            continue;
        }
        let gateway = gateway_for(kind, &provider, &all);
        let mut caller = Caller::new(&gateway);
        for cassette in all.iter().filter(|c| c.status >= 400) {
            provider.set(cassette.reply());
            let answer = caller.post(path, &cassette.request);
            // A refused credential is the gateway's own, and none of the caller's business.
            match cassette.status {
                401 => assert_eq!(answer.status, 502, "{}", cassette.name),
                status => {
                    assert_eq!(answer.status, status, "{}", cassette.name);
                    assert!(answer.body == cassette.answer, "{}", cassette.name);
                }
            }
            played += 1;
        }
    }
    eprintln!("{played} recorded errors");
}
