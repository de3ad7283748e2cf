//! Bedrock's Converse through real sockets: recorded traffic byte for byte, requests signed, and
//! what becomes of exceptions, broken frames and cut streams in every direction.

use crate::cassettes::{Caller, Provider, Reply};
use crate::support::{Gateway, eventually};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use gate_ai::event_stream::{EventStreamFramer, write_frame};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;

const STREAM_TYPE: &str = "application/vnd.amazon.eventstream";

pub(crate) fn document(address: SocketAddr, kind: &str, models: &[&str]) -> String {
    let settings = match kind {
        "bedrock" => {
            "region: eu-west-1, credentials: [{ access_key_id: { env: ID }, \
             secret_access_key: { env: SECRET }, session_token: { env: TOKEN } }], \
             base_url: "
        }
        _ => "credentials: [{ env: KEY }], base_url: ",
    };
    let path = if kind == "bedrock" { "" } else { "/v1" };
    let list: String = models
        .iter()
        .map(|name| {
            format!("  '{name}': {{ targets: [{{ provider: p, model: 'provider:model' }}] }}\n")
        })
        .collect();
    let quoted: Vec<_> = models.iter().map(|name| format!("'{name}'")).collect();
    format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         providers: {{ p: {{ {kind}: {{ {settings}'http://{address}{path}' }} }} }}\n\
         models:\n{list}\
         routes: {{ ai: {{ target: {{ models: [{}] }} }} }}\n",
        quoted.join(", ")
    )
}

/// A recorded exchange whose bytes are the provider's own.
struct Recorded {
    name: String,
    request: String,
    status: u16,
    kind: String,
    answer: Vec<u8>,
    stream: bool,
}

fn recordings() -> Vec<Recorded> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cassettes");
    let Ok(entries) = std::fs::read_dir(root.join("bedrock/converse")) else {
        eprintln!("skipped: no recordings in ../shared/cassettes/bedrock/converse");
        return Vec::new();
    };
    let read = |path: std::path::PathBuf| {
        let value: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        let (request, response) = (&value["request"], &value["response"]);
        let exact = |side: &str| value["fidelity"][side] == "exact";
        if !exact("request") || !exact("response") {
            return None;
        }
        let stream = value["stream_format"].is_string();
        let text = response["body_text"]
            .as_str()
            .map(|text| text.as_bytes().to_vec());
        let binary = || BASE64.decode(response["body_base64"].as_str()?).ok();
        let kind = if stream {
            STREAM_TYPE
        } else {
            "application/json"
        };
        Some(Recorded {
            name: value["id"].as_str()?.to_owned(),
            request: request["body_text"].as_str()?.to_owned(),
            status: u16::try_from(response["status"].as_u64()?).ok()?,
            kind: kind.to_owned(),
            answer: text.or_else(binary)?,
            stream,
        })
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let all: Vec<_> = paths.into_iter().filter_map(read).collect();
    assert!(all.len() >= 60, "only {} recordings", all.len());
    all
}

#[test]
fn recorded_exchanges_pass_byte_for_byte_and_signed() {
    let all = recordings();
    let provider = Provider::start();
    let model = "us.amazon.nova-2-lite-v1:0";
    let gateway = Gateway::start(&document(provider.address, "bedrock", &[model]));
    let mut caller = Caller::new(&gateway);
    caller.headers = "authorization: AWS4-HMAC-SHA256 of-the-caller\r\n\
                      x-amz-security-token: of-the-caller\r\nx-amz-date: of-the-caller\r\n"
        .into();
    for recorded in all.iter().filter(|recorded| recorded.status == 200) {
        let name = &recorded.name;
        let cut = recorded.answer.len() / 3;
        provider.set(Reply {
            status: 200,
            headers: format!("content-type: {}\r\nx-amzn-requestid: r\r\n", recorded.kind),
            pieces: recorded
                .answer
                .chunks(cut.max(1))
                .map(<[u8]>::to_vec)
                .collect(),
        });
        let how = if recorded.stream {
            "converse-stream"
        } else {
            "converse"
        };
        let path = format!("/model/us.amazon.nova-2-lite-v1%3A0/{how}");
        let answer = caller.post(&path, &recorded.request);
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert!(answer.complete && answer.body == recorded.answer, "{name}");
        assert_eq!(
            answer.header("content-type"),
            Some(&*recorded.kind),
            "{name}"
        );
        assert_eq!(answer.header("x-amzn-requestid"), Some("r"));
        let seen = provider.last();
        assert_eq!(seen.body, recorded.request.as_bytes(), "{name}");
        let line = format!("POST /model/provider%3Amodel/{how} HTTP/1.1\r\n");
        assert!(seen.head.starts_with(&line), "{}", seen.head);
        assert!(!seen.head.contains("of-the-caller"), "{}", seen.head);
        for part in [
            "Credential=secret-of-ID/",
            "/eu-west-1/bedrock/aws4_request",
            "x-amz-security-token: secret-of-TOKEN",
            "x-amz-content-sha256: ",
        ] {
            assert!(seen.head.contains(part), "{part}: {}", seen.head);
        }
        assert!(!seen.head.contains("secret-of-SECRET"), "{}", seen.head);
    }
    if !all.is_empty() {
        eventually("tokens are counted", || {
            gateway.metrics().lines().any(|line| {
                line.starts_with("gen_ai_client_token_usage_sum") && !line.ends_with(" 0")
            })
        });
    }
}

#[test]
fn recorded_refusals_pass_with_their_type() {
    let all = recordings();
    let provider = Provider::start();
    let model = "us.amazon.nova-2-lite-v1:0";
    let gateway = Gateway::start(&document(provider.address, "bedrock", &[model]));
    let mut caller = Caller::new(&gateway);
    for recorded in all.iter().filter(|recorded| recorded.status == 400) {
        provider.set(Reply {
            status: 400,
            headers: "content-type: application/json\r\n\
                      x-amzn-errortype: ValidationException:http://internal.amazon.com/\r\n"
                .into(),
            pieces: vec![recorded.answer.clone()],
        });
        let answer = caller.post(
            "/model/us.amazon.nova-2-lite-v1:0/converse",
            &recorded.request,
        );
        assert_eq!((answer.status, &answer.body), (400, &recorded.answer));
        let kind = answer.header("x-amzn-errortype").unwrap_or_default();
        assert!(kind.starts_with("ValidationException"), "{kind}");
    }
}

#[test]
fn tokens_are_counted_by_bedrock_itself() {
    let provider = Provider::with(Reply {
        status: 200,
        headers: "content-type: application/json\r\n".into(),
        pieces: vec![b"{\"inputTokens\":9}".to_vec()],
    });
    let gateway = Gateway::start(&document(provider.address, "bedrock", &["assistant"]));
    let body = r#"{"input":{"converse":{"messages":[]}}}"#;
    let answer = Caller::new(&gateway).post("/model/assistant/count-tokens", body);
    assert_eq!((answer.status, answer.text()), (200, "{\"inputTokens\":9}"));
    let seen = provider.last();
    assert_eq!(seen.body, body.as_bytes());
    let line = "POST /model/provider%3Amodel/count-tokens HTTP/1.1\r\n";
    assert!(seen.head.starts_with(line), "{}", seen.head);
    assert!(
        seen.head.contains("/eu-west-1/bedrock/aws4_request"),
        "{}",
        seen.head
    );
}

pub(crate) fn frames(events: &[(&str, Value)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, payload) in events {
        let kind = if name.ends_with("Exception") {
            (":exception-type", "exception")
        } else {
            (":event-type", "event")
        };
        let headers = [(kind.0, *name), (":message-type", kind.1)];
        write_frame(&mut out, &headers, payload.to_string().as_bytes());
    }
    out
}

pub(crate) fn stream_reply(bytes: Vec<u8>) -> Reply {
    Reply {
        status: 200,
        headers: format!("content-type: {STREAM_TYPE}\r\n"),
        pieces: bytes.chunks(29).map(<[u8]>::to_vec).collect(),
    }
}

fn begun() -> Vec<(&'static str, Value)> {
    vec![
        ("messageStart", json!({ "role": "assistant" })),
        (
            "contentBlockDelta",
            json!({ "contentBlockIndex": 0, "delta": { "text": "Hel" } }),
        ),
    ]
}

#[test]
fn streams_that_fail_end_well_formed_for_a_chat_caller() {
    let provider = Provider::start();
    let gateway = Gateway::start(&document(provider.address, "bedrock", &["assistant"]));
    let mut throttled = begun();
    throttled.push(("throttlingException", json!({ "message": "slow down" })));
    let mut broken = frames(&begun());
    let at = broken.len() - 8;
    broken[at] ^= 1;
    let cut = frames(&begun()).split_last().unwrap().1.to_vec();
    for (bytes, said) in [
        (frames(&throttled), "slow down"),
        (broken, "upstream_stream_broken"),
        (cut, "upstream_stream_broken"),
        (frames(&begun()), "upstream_stream_broken"),
    ] {
        provider.set(stream_reply(bytes));
        let body = json!({ "model": "assistant", "stream": true,
            "messages": [{ "role": "user", "content": "Hello" }] });
        let mut caller = Caller::new(&gateway);
        let answer = caller.post("/v1/chat/completions", &body.to_string());
        assert_eq!(answer.status, 200);
        let text = answer.text();
        let last = text.trim_end().rsplit("data: ").next().unwrap();
        assert!(
            last.contains("\"error\"") && text.contains(said),
            "{said}: {text}"
        );
        let seen = provider.last();
        assert!(
            seen.head
                .starts_with("POST /model/provider%3Amodel/converse-stream ")
        );
        assert!(seen.head.contains("accept: */*"), "{}", seen.head);
    }
}

#[test]
fn a_converse_caller_is_told_in_frames_what_failed_elsewhere() {
    let provider = Provider::start();
    let gateway = Gateway::start(&document(provider.address, "anthropic", &["assistant"]));
    let start = json!({ "type": "message_start", "message": { "id": "m", "type": "message",
        "role": "assistant", "content": [], "model": "c", "usage": { "input_tokens": 3, "output_tokens": 1 } } });
    let error =
        json!({ "type": "error", "error": { "type": "overloaded_error", "message": "busy" } });
    let event = |value: &Value| {
        format!(
            "event: {}\ndata: {value}\n\n",
            value["type"].as_str().unwrap()
        )
    };
    provider.set(Reply {
        status: 200,
        headers: "content-type: text/event-stream\r\n".into(),
        pieces: vec![event(&start).into(), event(&error).into()],
    });
    let body = json!({ "messages": [{ "role": "user", "content": [{ "text": "Hello" }] }] });
    let mut caller = Caller::new(&gateway);
    let answer = caller.post("/model/assistant/converse-stream", &body.to_string());
    assert_eq!(
        answer.header("content-type"),
        Some(STREAM_TYPE),
        "{answer:?}"
    );
    let mut names = Vec::new();
    let mut framer = EventStreamFramer::new(1 << 20);
    let read = framer.push(&answer.body, |frame| {
        names.push(String::from_utf8_lossy(frame.name().unwrap()).into_owned());
        assert_eq!(frame.is_failure(), names.len() == 2);
        Ok(())
    });
    read.unwrap();
    assert_eq!(names, ["messageStart", "serviceUnavailableException"]);
    assert!(!framer.is_cut());
    let asked: Value = serde_json::from_slice(&provider.last().body).unwrap();
    assert_eq!(
        (&asked["model"], &asked["stream"]),
        (&json!("provider:model"), &json!(true))
    );
}

#[test]
fn refusals_have_the_type_that_aws_clients_look_for() {
    let provider = Provider::refusing(
        429,
        "",
        r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}"#,
    );
    let gateway = Gateway::start(&document(provider.address, "anthropic", &["assistant"]));
    let mut caller = Caller::new(&gateway);
    let hello = r#"{"messages":[{"role":"user","content":[{"text":"Hello"}]}]}"#;
    for (path, body, status, kind) in [
        (
            "/model/assistant/converse",
            hello,
            429,
            "ThrottlingException",
        ),
        (
            "/model/nobody/converse",
            hello,
            404,
            "ResourceNotFoundException",
        ),
        ("/model/assistant/converse", "{", 400, "ValidationException"),
    ] {
        let answer = caller.post(path, body);
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header("x-amzn-errortype"), Some(kind), "{path}");
        let said: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(said["__type"], kind);
        assert!(said["message"].is_string());
    }
}
