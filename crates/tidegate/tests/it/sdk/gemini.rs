//! google-genai as a caller: of Gemini natively, and of other dialects in translation.
//!
//! The stand-in for Gemini is written here; those for the other dialects are the demo's.

use super::{python, run_script};
use crate::demo::Demo;
use crate::support::{Gateway, Reply, Seen, Upstream};
use serde_json::{Value, json};

const SCRIPT: &str = "tests/it/sdk/gemini.py";

/// What the stand-in says, as parts.
fn said(asked: &Value) -> Value {
    let last = asked["contents"].as_array().unwrap().last().unwrap();
    let parts = last["parts"].as_array().unwrap();
    let result = parts
        .iter()
        .find(|part| part["functionResponse"].is_object());
    if let Some(result) = result {
        let output = &result["functionResponse"]["response"]["output"];
        return json!([{ "text": format!("The tool answered: {}", output.as_str().unwrap()) }]);
    }
    if asked["tools"].is_array() {
        let name = &asked["tools"][0]["functionDeclarations"][0]["name"];
        return json!([{ "functionCall": { "name": name, "args": { "city": "sample" } },
            "thoughtSignature": "c2lnbmVk" }]);
    }
    let text = parts[0]["text"].as_str().unwrap_or_default();
    if asked["generationConfig"]["responseMimeType"] == "application/json" {
        return json!([{ "text": json!({ "said": text }).to_string() }]);
    }
    json!([{ "text": format!("This is a stand-in, not a model. You said: {text}") }])
}

/// Answers as Gemini does.
fn gemini(seen: &Seen) -> Reply {
    let json_reply = |value: Value| {
        Reply::text(value.to_string()).header("content-type", "application/json; charset=UTF-8")
    };
    let asked: Value = serde_json::from_slice(&seen.body).unwrap();
    let path = seen.target.strip_prefix("/v1beta/models/standin:").unwrap();
    let answer = |parts: Value| {
        json!({ "candidates": [{ "content": { "role": "model", "parts": parts },
            "finishReason": "STOP", "index": 0 }], "modelVersion": "standin", "responseId": "r1",
            "usageMetadata": { "promptTokenCount": 7, "candidatesTokenCount": 5,
                "totalTokenCount": 12 } })
    };
    match path {
        "generateContent" => json_reply(answer(said(&asked))),
        "streamGenerateContent?alt=sse" => {
            let mut stream = String::new();
            for part in said(&asked).as_array().unwrap() {
                stream += &format!("data: {}\r\n\r\n", answer(json!([part])));
            }
            Reply::text(stream)
                .header("content-type", "text/event-stream")
                .split(7)
        }
        "countTokens" => json_reply(json!({ "totalTokens": 7 })),
        "batchEmbedContents" => {
            let one = |request: &Value| {
                assert_eq!(request["model"], "models/standin", "{request}");
                json!({ "values": [1.0, 2.0] })
            };
            let all: Vec<Value> = asked["requests"]
                .as_array()
                .unwrap()
                .iter()
                .map(one)
                .collect();
            json_reply(json!({ "embeddings": all }))
        }
        other => Reply::text(other.to_owned()).status(404),
    }
}

#[test]
fn google_genai_talks_to_every_dialect() {
    let Some(python) = python() else { return };
    let upstream = Upstream::start(gemini);
    let demo = Demo::start(&["--print-config"]);
    let (url, key) = demo.gateway();
    let address = &upstream.address;
    let gateway = Gateway::with(
        &format!(
            "consumers: {{ tester: {{ keys: [{{ sha256: {SESAME} }}] }} }}\n\
             providers:\n  gemini: {{ gemini: {{ base_url: \"http://{address}/v1beta\", credentials: [{{ env: DEMO_KEY }}] }} }}\n  \
             openai: {{ openai: {{ base_url: \"{url}/v1\", credentials: [{{ env: DEMO_KEY }}] }} }}\n  \
             anthropic: {{ anthropic: {{ base_url: \"{url}/v1\", credentials: [{{ env: DEMO_KEY }}] }} }}\n\
             models:\n  native: {{ targets: [{{ provider: gemini, model: standin }}] }}\n  \
             through-chat: {{ targets: [{{ provider: openai, model: assistant }}] }}\n  \
             through-messages: {{ targets: [{{ provider: anthropic, model: assistant-claude }}] }}\n\
             routes:\n  ai:\n    match: {{ path: \"/{{*rest}}\" }}\n    policies: [{{ auth_key: {{}} }}]\n    \
             target: {{ models: [native, through-chat, through-messages] }}\n",
            SESAME = crate::policies::SESAME,
        ),
        "",
        &[("DEMO_KEY", &key)],
    );
    let models = ["native", "through-chat", "through-messages"];
    let job = json!({ "url": gateway.url(""), "key": "open-sesame", "models": models });
    let checks = run_script(python, SCRIPT, &job);
    assert_eq!(checks, 3 * 3 + 3 + 2);
}
