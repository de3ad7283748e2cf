//! What happens when a model's first target does not answer: the next one is asked, as long as the
//! caller has not seen a byte.

use crate::cassettes::{Caller, Provider, Reply};
use crate::support::{Gateway, Upstream, eventually, read_request};
use serde_json::Value;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

const CHAT: &str = "/v1/chat/completions";
const REQUEST: &str = r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
const STREAM: &str = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"x"}]}"#;
const ANSWER: &str = r#"{"id":"a","object":"chat.completion","created":1,"model":"second","choices":[{"index":0,"message":{"role":"assistant","content":"from the second"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;

fn answering() -> Provider {
    Provider::with(Reply {
        status: 200,
        headers: "content-type: application/json\r\n".into(),
        pieces: vec![ANSWER.into()],
    })
}

/// A gateway whose model has two targets; `kinds` are those of their providers.
fn two(first: SocketAddr, second: SocketAddr, kinds: (&str, &str)) -> Gateway {
    Gateway::start(&format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         providers:\n  one: {{ {}: {{ base_url: 'http://{first}/v1', credentials: [{{ env: ONE }}] }} }}\n  \
         two: {{ {}: {{ base_url: 'http://{second}/v1', credentials: [{{ env: TWO }}] }} }}\n\
         models:\n  m:\n    first_byte: 150ms\n    targets: [{{ provider: one, model: first }}]\n    \
         fallback: [{{ provider: two, model: second }}]\n\
         routes: {{ ai: {{ target: {{ models: [m] }} }} }}\n",
        kinds.0, kinds.1
    ))
}

fn falls_back(first: SocketAddr) {
    let second = answering();
    let gateway = two(first, second.address, ("openai", "openai"));
    let answer = Caller::new(&gateway).post(CHAT, REQUEST);
    assert_eq!((answer.status, answer.text()), (200, ANSWER));
    let seen = second.last();
    assert!(seen.head.contains("secret-of-TWO") && !seen.head.contains("secret-of-ONE"));
    assert!(String::from_utf8_lossy(&seen.body).contains("\"model\":\"second\""));
    eventually("the record is made", || {
        let metrics = gateway.metrics();
        metrics.contains("gen_ai_request_model=\"second\"")
    });
}

#[test]
fn a_refused_connection_falls_back() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    falls_back(nobody);
}

#[test]
fn refusals_that_another_provider_may_not_share_fall_back() {
    for (status, body) in [
        (
            429,
            r#"{"error":{"type":"rate_limit_exceeded","message":"slow"}}"#,
        ),
        (
            429,
            r#"{"error":{"code":"insufficient_quota","message":"pay"}}"#,
        ),
        (
            400,
            r#"{"error":{"code":"context_length_exceeded","message":"long"}}"#,
        ),
        (
            401,
            r#"{"error":{"code":"invalid_api_key","message":"who"}}"#,
        ),
        (
            404,
            r#"{"error":{"code":"model_not_found","message":"none"}}"#,
        ),
        (500, "oops"),
        (503, ""),
        (529, r#"{"error":{"type":"overloaded_error"}}"#),
    ] {
        let first = Provider::refusing(status, "", body);
        falls_back(first.address);
        assert_eq!(first.calls(), 1, "{status}: each target is asked once");
    }
}

#[test]
fn a_wrong_request_does_not_fall_back() {
    let body = r#"{"error":{"type":"invalid_request_error","message":"no"}}"#;
    let (first, second) = (Provider::refusing(400, "", body), answering());
    let gateway = two(first.address, second.address, ("openai", "openai"));
    let answer = Caller::new(&gateway).post(CHAT, REQUEST);
    assert_eq!((answer.status, answer.text()), (400, body));
    assert_eq!(second.calls(), 0);
}

#[test]
fn a_slow_first_byte_falls_back_and_the_slow_call_is_cancelled() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let slow = Upstream::raw(move |mut stream, _| {
        read_request(&mut stream);
        let _ = std::io::Read::read(&mut stream, &mut [0; 1]);
        let _ = sender.send(());
    });
    let started = Instant::now();
    falls_back(slow.address);
    assert!(started.elapsed() >= Duration::from_millis(150));
    receiver
        .recv_timeout(Duration::from_secs(5))
        .expect("the slow call was given up");
}

#[test]
fn a_reset_before_the_answer_falls_back() {
    let first = Upstream::raw(|mut stream, _| {
        read_request(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-ty");
    });
    falls_back(first.address);
}

#[test]
fn the_last_refusal_reaches_the_caller_when_nobody_answers() {
    let first = Provider::refusing(500, "", "oops");
    let said = r#"{"error":{"type":"rate_limit_exceeded","message":"slow"}}"#;
    let second = Provider::refusing(429, "retry-after: 3\r\n", said);
    let gateway = two(first.address, second.address, ("openai", "openai"));
    let answer = Caller::new(&gateway).post(CHAT, REQUEST);
    assert_eq!((answer.status, answer.text()), (429, said));
    assert_eq!(answer.header("retry-after"), Some("3"));
}

#[test]
fn a_fallback_may_speak_another_dialect() {
    let first = Provider::refusing(
        529,
        "",
        r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#,
    );
    let second = answering();
    let gateway = two(first.address, second.address, ("anthropic", "openai"));
    let request = r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"x"}]}"#;
    let answer = Caller::new(&gateway).post("/v1/messages", request);
    let said: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(said["content"][0]["text"], "from the second", "{said}");
    assert_eq!(said["usage"]["output_tokens"], 2);
}

/// A provider that begins a stream and breaks it off.
fn breaking(begins: &'static str) -> Upstream {
    Upstream::raw(move |mut stream, _| {
        read_request(&mut stream);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunk = format!("{head}{:x}\r\n{begins}\r\n", begins.len());
        stream.write_all(chunk.as_bytes()).unwrap();
    })
}

#[test]
fn nothing_falls_back_after_the_first_byte() {
    let begins = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"half\"}}]}\n\n";
    let (first, second) = (breaking(begins), answering());
    let gateway = two(first.address, second.address, ("openai", "openai"));
    let mut caller = Caller::new(&gateway);
    let answer = caller.post(CHAT, STREAM);
    assert_eq!(answer.status, 200);
    let ends = answer.text().strip_prefix(begins).unwrap();
    let error = ends
        .strip_prefix("data: ")
        .expect("an event of the caller's dialect");
    let error: Value = serde_json::from_str(error.trim_end()).unwrap();
    assert_eq!(error["error"]["code"], "upstream_stream_broken");
    assert!(
        !answer.complete,
        "a broken stream is not passed off as whole"
    );
    assert_eq!(second.calls(), 0);
    eventually("the record says so", || {
        gateway.metrics().contains("upstream_reset")
    });
}

#[test]
fn a_translated_stream_that_breaks_ends_with_an_error_of_the_callers_dialect() {
    let begins = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"i\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"model\":\"c\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\nevent: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"half\"}}\n\n";
    let (first, second) = (breaking(begins), answering());
    let gateway = two(first.address, second.address, ("anthropic", "openai"));
    let answer = Caller::new(&gateway).post(CHAT, STREAM);
    assert_eq!(second.calls(), 0);
    let text = answer.text();
    assert!(text.contains("\"content\":\"half\""), "{text}");
    let last = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("data: "))
        .unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert!(last["error"]["message"].is_string(), "{text}");
    eventually("the record does not call it a success", || {
        let metrics = gateway.metrics();
        metrics.contains("upstream_reset") || metrics.contains("outcome=\"cut\"} 1")
    });
}
