//! Streams that break after their first byte and go on at another target.

use crate::cassettes::Caller;
use crate::misbehaviour::{chunk, ending, last_data, piece, stream_request, streaming};
use crate::routing::{Rows, document, gateway};
use crate::support::{Gateway, Upstream, eventually, read_request};
use serde_json::Value;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
const TWO: &str = "strategy: { priority: {} }\nresume: true\nretry: { attempts: 0 }\nidle: 300ms\n\
                   targets: [{ provider: p0, model: a }, { provider: p1, model: b }]";

/// A provider that streams these texts and then breaks off.
fn breaking(text: String) -> Upstream {
    streaming(move |stream| {
        let _ = stream.write_all(chunk(&text).as_bytes());
    })
}

/// A provider that streams `text` whole, and the bodies it was asked with.
fn going_on(text: String) -> (Upstream, Arc<Mutex<Vec<String>>>) {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = seen.clone();
    let upstream = Upstream::raw(move |mut stream, _| {
        let (head, body) = read_request(&mut stream);
        if head.is_empty() {
            return;
        }
        noted.lock().unwrap().push(String::from_utf8(body).unwrap());
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let _ = stream.write_all(format!("{head}{}0\r\n\r\n", chunk(&text)).as_bytes());
    });
    (upstream, seen)
}

/// The text of a Chat Completions stream.
fn content(text: &str) -> String {
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let events = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    events
        .filter_map(|event| Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned()))
        .collect()
}

fn counted(gateway: &Gateway, name: &str) -> bool {
    let metrics = gateway.metrics();
    metrics
        .lines()
        .any(|line| line.starts_with(name) && line.ends_with(" 1"))
}

#[test]
fn a_cut_stream_goes_on_with_the_text_so_far_as_prefill() {
    let first = breaking(format!("{}{}data: {{\"half", piece("one "), piece("two ")));
    let (second, asked) = going_on(format!("{}{}", piece("three"), ending()));
    let gateway = gateway(&[first.address, second.address], TWO);
    let answer = Caller::new(&gateway).post(CHAT, &stream_request());
    assert!(answer.complete, "{}", answer.text());
    assert_eq!(content(answer.text()), "one two three");
    assert!(
        answer
            .text()
            .starts_with(&format!("{}{}", piece("one "), piece("two ")))
    );
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
    let asked: Value = serde_json::from_str(&asked.lock().unwrap()[0]).unwrap();
    let last = asked["messages"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(
        (&last["role"], &last["content"]),
        (&"assistant".into(), &"one two".into())
    );
    eventually("the seam is counted", || {
        counted(&gateway, "tidegate_ai_seams_total")
    });
}

#[test]
fn the_record_has_the_seam_and_the_broken_call() {
    let first = breaking(format!("{}{}", piece("one "), piece("two ")));
    let (second, _) = going_on(format!("{}{}", piece("three"), ending()));
    let yaml = document(&[first.address, second.address], "[{ env: KEY }]", TWO);
    let (gateway, rows) = Rows::of(&yaml);
    Caller::new(&gateway).post(CHAT, &stream_request());
    let row = rows.only();
    let (ai, detours) = (&row["ai"], &row["ai"]["detours"]);
    assert_eq!(
        (&ai["provider"], &row["outcome"]),
        (&"p1".into(), &"complete".into())
    );
    let seam = &detours["seams"][0];
    assert_eq!(
        (&seam["provider"], &seam["text_bytes"]),
        (&"p1".into(), &8.into())
    );
    let leg = &detours["legs"][0];
    assert_eq!(
        (&leg["provider"], &leg["end"]),
        (&"p0".into(), &"broken".into())
    );
    assert_eq!(
        (&leg["estimated"], &leg["output_tokens"]),
        (&true.into(), &2.into())
    );
    assert_eq!(detours["attempts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_stall_and_an_error_event_are_breaks_too() {
    let error = "data: {\"error\":{\"type\":\"server_error\",\"message\":\"oops\"}}\n\n";
    for (ends, stalls) in [(error, false), ("", true)] {
        let first = streaming(move |stream| {
            let _ = stream.write_all(chunk(&format!("{}{ends}", piece("one "))).as_bytes());
            std::thread::sleep(Duration::from_millis(if stalls { 2_000 } else { 0 }));
        });
        let (second, _) = going_on(format!("{}{}", piece("two"), ending()));
        let gateway = gateway(&[first.address, second.address], TWO);
        let answer = Caller::new(&gateway).post(CHAT, &stream_request());
        assert!(
            answer.complete && !answer.text().contains("error"),
            "{}",
            answer.text()
        );
        assert_eq!(content(answer.text()), "one two");
    }
}

#[test]
fn nothing_is_continued_inside_a_tool_call() {
    let call = "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\"}}]}}]}\n\n";
    let first = breaking(format!("{}{call}", piece("let me see")));
    let (second, asked) = going_on(format!("{}{}", piece("no"), ending()));
    let gateway = gateway(&[first.address, second.address], TWO);
    let answer = Caller::new(&gateway).post(CHAT, &stream_request());
    assert!(!answer.complete);
    assert!(last_data(&answer)["error"].is_object(), "{}", answer.text());
    assert!(asked.lock().unwrap().is_empty());
}

#[test]
fn when_nobody_goes_on_the_caller_is_told() {
    let first = breaking(piece("one "));
    let second = Upstream::http(|_, _| "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".to_owned());
    let gateway = gateway(&[first.address, second.address], TWO);
    let answer = Caller::new(&gateway).post(CHAT, &stream_request());
    assert!(!answer.complete);
    // The one that broke is asked once more, says the same, and then it is over.
    assert!(answer.text().starts_with(&piece("one ")));
    assert!(last_data(&answer)["error"].is_object(), "{}", answer.text());
    eventually("the record is no success", || {
        gateway.metrics().contains("upstream_reset")
    });
}

#[test]
fn the_other_target_may_speak_another_dialect() {
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"i\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"model\":\"c\",\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
    let delta = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"one \"}}\n\n";
    let first = breaking(format!("{start}{delta}"));
    let (second, asked) = going_on(format!("{}{}", piece("two"), ending()));
    let yaml = document(&[first.address, second.address], "[{ env: KEY }]", TWO);
    let yaml = yaml.replacen("openai:", "anthropic:", 1);
    let gateway = Gateway::start(&yaml);
    let request =
        r#"{"model":"m","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"q"}]}"#;
    let answer = Caller::new(&gateway).post(MESSAGES, request);
    let text = answer.text();
    assert!(
        answer.complete && text.starts_with(&format!("{start}{delta}")),
        "{text}"
    );
    assert_eq!(
        text.matches("event: content_block_start").count(),
        1,
        "{text}"
    );
    assert!(
        text.contains("\"text\":\"two\"") && text.contains("event: message_stop"),
        "{text}"
    );
    let asked: Value = serde_json::from_str(&asked.lock().unwrap()[0]).unwrap();
    let last = asked["messages"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(last["role"], "assistant");
}

#[test]
fn an_unbroken_stream_passes_byte_for_byte() {
    let text = format!(
        "{}: a comment\n\n{}{}",
        piece("one "),
        piece("two"),
        ending()
    );
    let (first, _) = going_on(text.clone());
    let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let gateway = gateway(&[first.address, nobody], TWO);
    let answer = Caller::new(&gateway).post(CHAT, &stream_request());
    assert!(answer.complete);
    assert_eq!(answer.text(), text);
}
