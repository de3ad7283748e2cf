//! Bedrock's InvokeModel through traffic: recorded exchanges of several vendors pass byte for byte and
//! are counted, streams that break off end with a frame that AWS clients understand.

use crate::bedrock::{document, frames, stream_reply};
use crate::cassettes::{Caller, Provider, Reply};
use crate::routing::Rows;
use crate::support::eventually;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use std::path::Path;

/// One recorded exchange.
struct Recorded {
    value: Value,
    answer: Vec<u8>,
    stream: bool,
}

impl Recorded {
    fn read(path: &Path) -> Option<Self> {
        let value: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        let response = &value["response"];
        if value["fidelity"]["response"] != "exact" || response["status"] != 200 {
            return None;
        }
        let text = response["body_text"].as_str();
        let text = text.map(|text| text.as_bytes().to_vec());
        let binary = || BASE64.decode(response["body_base64"].as_str()?).ok();
        Some(Self {
            answer: text.or_else(binary)?,
            stream: value["stream_format"] == "aws-eventstream",
            value,
        })
    }

    fn reply(&self) -> Reply {
        let headers = self.value["response"]["headers"].as_object().unwrap();
        let counts = headers
            .iter()
            .filter(|(name, _)| name.contains("token-count"));
        let counts = counts.map(|(name, value)| format!("{name}: {}\r\n", value.as_str().unwrap()));
        let kind = headers["content-type"].as_str().unwrap();
        Reply {
            status: 200,
            headers: format!("content-type: {kind}\r\n{}", counts.collect::<String>()),
            pieces: self.answer.chunks(61).map(<[u8]>::to_vec).collect(),
        }
    }

    /// Tokens read, the cache included, and written, as the recording says; none where it does not.
    fn usage(&self) -> Option<(u64, u64)> {
        let usage = self.value["usage"].as_object()?;
        let count = |names: &[&str]| {
            let found = names.iter().find_map(|name| usage.get(*name)?.as_u64());
            found.unwrap_or(0)
        };
        let metrics = "amazon-bedrock-invocationMetrics";
        let header = "header.x-amzn-bedrock";
        let names = |own: &str, metric: &str, field: &str| {
            [
                own.to_owned(),
                format!("{metrics}.{metric}"),
                format!("{header}-{field}-token-count"),
            ]
        };
        let of = |names: [String; 3]| count(&names.each_ref().map(String::as_str));
        let input = of(names("input_tokens", "inputTokenCount", "input"));
        let read = of(names(
            "cache_read_input_tokens",
            "cacheReadInputTokenCount",
            "cache-read-input",
        ));
        let written = of(names(
            "cache_creation_input_tokens",
            "cacheWriteInputTokenCount",
            "cache-write-input",
        ));
        let output = of(names("output_tokens", "outputTokenCount", "output"));
        Some((input + read + written, output))
    }
}

fn recordings() -> Vec<Recorded> {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cassettes/bedrock/invoke");
    let Ok(entries) = std::fs::read_dir(root) else {
        eprintln!("skipped: no recordings in ../shared/cassettes/bedrock/invoke");
        return Vec::new();
    };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let all: Vec<_> = paths
        .iter()
        .filter_map(|path| Recorded::read(path))
        .collect();
    assert!(all.len() >= 25, "only {} recordings", all.len());
    all
}

#[test]
fn recorded_exchanges_of_any_vendor_pass_byte_for_byte_and_are_counted() {
    let provider = Provider::start();
    let yaml = document(provider.address, "bedrock", &["m:1"]);
    let (gateway, rows) = Rows::of(&yaml);
    let all = recordings();
    for (number, recorded) in all.iter().enumerate() {
        let how = match recorded.stream {
            true => "invoke-with-response-stream",
            false => "invoke",
        };
        let name = &recorded.value["id"];
        provider.set(recorded.reply());
        let body = recorded.value["request"]["body_text"].as_str().unwrap();
        let mut caller = Caller::new(&gateway);
        let answer = caller.post(&format!("/model/m%3A1/{how}"), body);
        assert!(answer.complete && answer.body == recorded.answer, "{name}");
        let seen = provider.last();
        assert_eq!(seen.body, body.as_bytes(), "{name}");
        let line = format!("POST /model/provider%3Amodel/{how} HTTP/1.1\r\n");
        assert!(seen.head.starts_with(&line), "{}", seen.head);
        assert!(seen.head.contains("/eu-west-1/bedrock/aws4_request"));
        eventually("the call has its row", || rows.count() == number + 1);
        let row = &rows.after(number)[0];
        assert_eq!(row["outcome"], "complete", "{name}: {row}");
        assert_eq!(row["ai"]["operation"], "chat", "{name}: {row}");
        if let Some(expected) = recorded.usage() {
            let count = |name: &str| row["ai"][name].as_u64().unwrap_or(0);
            let counted = (count("input_tokens"), count("output_tokens"));
            assert_eq!(counted, expected, "{name}: {row}");
        }
    }
}

/// Events of Messages as frames.
fn wrapped(events: &[Value]) -> Vec<u8> {
    let frame = |event: &Value| {
        let bytes = BASE64.encode(event.to_string());
        frames(&[("chunk", json!({ "bytes": bytes, "p": "abc" }))])
    };
    events.iter().flat_map(frame).collect()
}

#[test]
fn a_stream_that_ends_too_early_is_told_of_in_a_frame() {
    let provider = Provider::start();
    let (gateway, rows) = Rows::of(&document(provider.address, "bedrock", &["m"]));
    let begun = wrapped(&[
        json!({ "type": "message_start", "message": { "usage": { "input_tokens": 3, "output_tokens": 1 } } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "one" } }),
    ]);
    provider.set(stream_reply(begun.clone()));
    let mut caller = Caller::new(&gateway);
    let answer = caller.post("/model/m/invoke-with-response-stream", r#"{"messages":[]}"#);
    let rest = answer.body.strip_prefix(&begun[..]).unwrap();
    let frame = gate_ai::EventFrame::parse(rest).unwrap();
    assert!(frame.is_failure() && frame.header(":exception-type").is_some());
    eventually("the call has its row", || rows.count() == 1);
    let row = &rows.after(0)[0];
    assert_eq!(row["fault"], "upstream_reset", "{row}");
    assert_eq!(row["ai"]["input_tokens"], 3, "{row}");
}
