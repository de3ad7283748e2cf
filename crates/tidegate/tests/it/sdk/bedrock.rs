//! boto3 as a caller, and Bedrock as a provider.
//!
//! The stand-in for Bedrock is written here, frames and checksums included, so that nothing in it is
//! shared with the gateway; what arrives there is given to botocore to sign once more.

use super::{python, run_script};
use crate::demo::Demo;
use crate::support::{Gateway, Reply, Seen, Upstream};
use serde_json::{Value, json};

const SCRIPT: &str = "tests/it/sdk/bedrock.py";

/// CRC-32 of IEEE 802.3, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 * (crc & 1))
        })
    };
    !bytes.iter().fold(u32::MAX, step)
}

/// One frame of an event stream.
fn frame(name: &str, payload: &Value) -> Vec<u8> {
    let mut headers = Vec::new();
    let fields = [
        (":event-type", name),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ];
    for (name, value) in fields {
        headers.push(u8::try_from(name.len()).unwrap());
        headers.extend(name.as_bytes());
        headers.push(7);
        headers.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        headers.extend(value.as_bytes());
    }
    let payload = payload.to_string();
    let total = 16 + headers.len() + payload.len();
    let mut frame = u32::try_from(total).unwrap().to_be_bytes().to_vec();
    frame.extend(u32::try_from(headers.len()).unwrap().to_be_bytes());
    frame.extend(crc32(&frame).to_be_bytes());
    frame.extend(headers);
    frame.extend(payload.as_bytes());
    frame.extend(crc32(&frame).to_be_bytes());
    frame
}

/// What the stand-in says: text or a call, the reason to stop, and usage.
fn said(asked: &Value) -> (Result<String, Value>, &'static str, Value) {
    let messages = asked["messages"].as_array().unwrap();
    let content = messages.last().unwrap()["content"].as_array().unwrap();
    let result = content.iter().find(|block| block["toolResult"].is_object());
    let text = content.iter().find_map(|block| block["text"].as_str());
    let images = content.iter().filter(|block| block["image"].is_object());
    let mut words = match result {
        Some(result) => {
            let text = &result["toolResult"]["content"][0]["text"];
            format!("The tool answered: {}", text.as_str().unwrap())
        }
        None => format!(
            "This is a stand-in, not a model. You said: {}",
            text.unwrap_or_default()
        ),
    };
    if images.count() == 1 {
        words.push_str(" (with 1 image)");
    }
    let usage = json!({ "inputTokens": 7, "outputTokens": 5, "totalTokens": 12 });
    if asked["toolConfig"].is_object() && result.is_none() {
        let name = &asked["toolConfig"]["tools"][0]["toolSpec"]["name"];
        let call = json!({ "toolUseId": "tooluse_1", "name": name,
            "input": { "city": "sample", "days": 1 } });
        return (Err(call), "tool_use", usage);
    }
    let limit = asked["inferenceConfig"]["maxTokens"]
        .as_u64()
        .unwrap_or(400);
    let all = words.split(' ').count();
    let kept: Vec<&str> = words.split(' ').take(limit as usize).collect();
    let stop = if kept.len() < all {
        "max_tokens"
    } else {
        "end_turn"
    };
    (Ok(kept.join(" ")), stop, usage)
}

/// Answers as Bedrock does.
fn bedrock(seen: &Seen) -> Reply {
    let refuse = |status, kind: &str| {
        Reply::text(json!({ "message": kind }).to_string())
            .status(status)
            .header("content-type", "application/json")
            .header(
                "x-amzn-errortype",
                &format!("{kind}:http://internal.amazon.com/"),
            )
    };
    let Some((model, how)) = seen
        .target
        .strip_prefix("/model/")
        .and_then(|rest| rest.split_once('/'))
    else {
        return refuse(404, "UnknownOperationException");
    };
    if model == "busy" {
        return refuse(429, "ThrottlingException");
    }
    let asked: Value = serde_json::from_slice(&seen.body).unwrap();
    if how == "count-tokens" {
        let answer = json!({ "inputTokens": 7 });
        return Reply::text(answer.to_string()).header("content-type", "application/json");
    }
    if how.starts_with("invoke") {
        return invoked(model, how, &asked);
    }
    assert_eq!(model, "us.sample.model-v1%3A0");
    assert!(asked.get("model").is_none(), "the path names the model");
    let (said, stop, usage) = said(&asked);
    if how == "converse" {
        let block = match said {
            Ok(text) => json!({ "text": text }),
            Err(call) => json!({ "toolUse": call }),
        };
        let answer = json!({
            "output": { "message": { "role": "assistant", "content": [block] } },
            "stopReason": stop, "usage": usage, "metrics": { "latencyMs": 1 },
        });
        return Reply::text(answer.to_string()).header("content-type", "application/json");
    }
    assert_eq!(how, "converse-stream");
    streamed(said, stop, &usage)
}

/// Answers InvokeModel as one of Anthropic's models does.
fn invoked(model: &str, how: &str, asked: &Value) -> Reply {
    let text = asked["messages"][0]["content"].as_str().unwrap_or_default();
    let words = format!("This is a stand-in, not a model. You said: {text}");
    let usage = json!({ "input_tokens": 7, "output_tokens": 5 });
    if how == "invoke" {
        assert_eq!(asked["anthropic_version"], "bedrock-2023-05-31");
        let answer = json!({ "id": "m", "type": "message", "role": "assistant", "model": "x",
            "content": [{ "type": "text", "text": words }], "stop_reason": "end_turn", "usage": usage });
        return Reply::text(answer.to_string()).header("content-type", "application/json");
    }
    assert_eq!(how, "invoke-with-response-stream");
    let mut stream = Vec::new();
    let mut event = |event: Value| {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD.encode(event.to_string());
        stream.extend(frame("chunk", &json!({ "bytes": bytes, "p": "abcd" })));
    };
    event(json!({ "type": "message_start", "message": { "usage": usage } }));
    for word in words.split_inclusive(' ') {
        let delta = json!({ "type": "text_delta", "text": word });
        event(json!({ "type": "content_block_delta", "index": 0, "delta": delta }));
    }
    if model != "cut" {
        event(
            json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" },
            "usage": { "output_tokens": 5 } }),
        );
        event(
            json!({ "type": "message_stop", "amazon-bedrock-invocationMetrics":
            { "inputTokenCount": 7, "outputTokenCount": 5, "invocationLatency": 1, "firstByteLatency": 1 } }),
        );
    }
    Reply::text(stream)
        .header("content-type", "application/vnd.amazon.eventstream")
        .split(57)
}

/// The same in frames.
fn streamed(said: Result<String, Value>, stop: &str, usage: &Value) -> Reply {
    let mut stream = frame("messageStart", &json!({ "role": "assistant", "p": "ab" }));
    let mut delta = |delta: Value| {
        let payload = json!({ "contentBlockIndex": 0, "delta": delta, "p": "abcdef" });
        stream.extend(frame("contentBlockDelta", &payload));
    };
    match said {
        Ok(text) => text
            .split_inclusive(' ')
            .for_each(|word| delta(json!({ "text": word }))),
        Err(mut call) => {
            let input = call["input"].take().to_string();
            call.as_object_mut().unwrap().remove("input");
            let start = json!({ "contentBlockIndex": 0, "start": { "toolUse": call } });
            stream.extend(frame("contentBlockStart", &start));
            for piece in [&input[..4], &input[4..]] {
                let payload =
                    json!({ "contentBlockIndex": 0, "delta": { "toolUse": { "input": piece } } });
                stream.extend(frame("contentBlockDelta", &payload));
            }
        }
    }
    stream.extend(frame(
        "contentBlockStop",
        &json!({ "contentBlockIndex": 0 }),
    ));
    stream.extend(frame("messageStop", &json!({ "stopReason": stop })));
    let metadata = json!({ "usage": usage, "metrics": { "latencyMs": 1 } });
    stream.extend(frame("metadata", &metadata));
    // Pieces that end anywhere, also inside of a prelude.
    Reply::text(stream)
        .header("content-type", "application/vnd.amazon.eventstream")
        .split(57)
}

fn gateway(upstream: &Upstream, demo: &Demo) -> Gateway {
    let (url, key) = demo.gateway();
    Gateway::with(
        &format!(
            "consumers: {{ tester: {{ keys: [{{ sha256: {SESAME} }}] }} }}\n\
             providers:\n  \
             aws:\n    bedrock:\n      region: eu-west-1\n      base_url: \"http://{bedrock}\"\n      \
             credentials: [{{ access_key_id: {{ env: UP_ID }}, secret_access_key: {{ env: UP_SECRET }}, session_token: {{ env: UP_TOKEN }} }}]\n  \
             openai: {{ openai: {{ base_url: \"{url}/v1\", credentials: [{{ env: DEMO_KEY }}] }} }}\n  \
             anthropic: {{ anthropic: {{ base_url: \"{url}/v1\", credentials: [{{ env: DEMO_KEY }}] }} }}\n\
             models:\n  native: {{ targets: [{{ provider: aws, model: \"us.sample.model-v1:0\" }}] }}\n  \
             busy: {{ targets: [{{ provider: aws, model: busy }}] }}\n  \
             claude: {{ targets: [{{ provider: aws, model: \"us.sample.model-v1:0\" }}] }}\n  \
             cut: {{ targets: [{{ provider: aws, model: cut }}] }}\n  \
             through-chat: {{ targets: [{{ provider: openai, model: assistant }}] }}\n  \
             through-messages: {{ targets: [{{ provider: anthropic, model: assistant-claude }}] }}\n\
             routes:\n  aws:\n    match: {{ path: \"/model/{{*rest}}\" }}\n    policies:\n      \
             - auth_sigv4: {{ region: us-east-1, keys: {{ TGTESTER: {{ consumer: tester, secret: {{ env: CALLER_SECRET }} }} }} }}\n    \
             target: {{ models: [native, busy, claude, cut, through-chat, through-messages] }}\n  \
             ai:\n    match: {{ path: \"/v1/{{*rest}}\" }}\n    policies: [{{ auth_key: {{}} }}]\n    \
             target: {{ models: [native] }}\n",
            SESAME = crate::policies::SESAME,
            bedrock = upstream.address,
        ),
        "",
        &[
            ("DEMO_KEY", &key),
            ("UP_ID", "AKUPSTREAM"),
            ("UP_SECRET", "up/secret+x"),
            ("UP_TOKEN", "session token/+="),
            ("CALLER_SECRET", "callers secret/+"),
        ],
    )
}

#[test]
fn boto3_converses_natively_and_through_other_dialects() {
    let Some(python) = python() else { return };
    let demo = Demo::start(&["--print-config"]);
    let upstream = Upstream::start(bedrock);
    let gateway = gateway(&upstream, &demo);
    let job = json!({
        "what": "calls", "url": gateway.url(""), "id": "TGTESTER", "secret": "callers secret/+",
        "key": "open-sesame", "models": ["native", "through-chat", "through-messages"],
    });
    let checks = run_script(python, SCRIPT, &job);
    assert_eq!(checks, 3 * 2 * 4 + 2 * 4 + 1 + 2 + 2 + 4);
    // What went out was signed as botocore would have signed it, with nothing of the callers'.
    let seen = upstream.seen();
    let base64 = |bytes: &[u8]| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(bytes)
    };
    let sent: Vec<Value> = seen
        .iter()
        .map(|seen| {
            assert!(!format!("{:?}", seen.headers).contains("TGTESTER"));
            json!({ "method": seen.method, "target": seen.target, "headers": seen.headers,
                "body": base64(&seen.body) })
        })
        .collect();
    let job = json!({
        "what": "signatures", "seen": sent, "url": "", "upstream_id": "AKUPSTREAM",
        "upstream_secret": "up/secret+x",
    });
    assert!(sent.len() >= 16, "{}", sent.len());
    assert_eq!(run_script(python, SCRIPT, &job), sent.len());
}
