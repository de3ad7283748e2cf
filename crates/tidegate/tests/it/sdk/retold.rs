//! Batches that a provider runs whose API is not theirs: translated there and back, and at its price.

use super::batches::{answer, batch, create, lines as lines_of, prompts, upload};
use super::relayed::{Theirs, anthropic, cost, message_batch, relaying};
use crate::support::{Reply, Seen, Upstream, eventually};
use serde_json::{Value, json};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

/// A batch of OpenAI's API goes to the provider that has Anthropic's, at its price for batches; what would
/// lose something on the way, and what the provider leaves, is run here.
#[test]
fn a_batch_of_openais_api_is_run_by_anthropics() {
    let theirs = Arc::new(Mutex::new(Theirs::default()));
    let known = theirs.clone();
    let upstream = Upstream::start(move |seen| anthropic(seen, &known));
    let gateway = relaying(&upstream, "anthropic", "claude-haiku-4-5");
    let file = gateway.path().join("prompts.jsonl");
    prompts(&file, 4);
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, last) = text.trim_end().rsplit_once('\n').unwrap();
    let mut last: Value = serde_json::from_str(last).unwrap();
    last["body"]["seed"] = json!(7);
    std::fs::write(&file, format!("{before}\n{last}\n")).unwrap();
    let id = create(&gateway, &upload(&gateway, &file));
    eventually("the batch is completed", || {
        batch(&gateway, &id)["status"] == "completed"
    });
    let done = batch(&gateway, &id);
    let counts = json!({"total": 4, "completed": 3, "failed": 1});
    assert_eq!(done["request_counts"], counts, "{done}");
    assert_eq!(done["usage"]["input_tokens"], 1_000_004, "{done}");
    let good = lines_of(&gateway, &done["output_file_id"]);
    let told: Vec<(&str, &str)> = good
        .iter()
        .map(|line| {
            let body = &line["response"]["body"];
            assert_eq!(
                (&body["object"], &body["model"]),
                (&json!("chat.completion"), &json!("fast"))
            );
            let text = &body["choices"][0]["message"]["content"];
            (line["custom_id"].as_str().unwrap(), text.as_str().unwrap())
        })
        .collect();
    assert_eq!(
        told,
        [("n-0", "Theirs."), ("n-2", "Ours."), ("n-3", "Ours.")]
    );
    let bad = lines_of(&gateway, &done["error_file_id"]);
    assert_eq!((bad.len(), &bad[0]["custom_id"]), (1, &json!("n-1")));
    assert_eq!(bad[0]["response"]["status_code"], 400);
    assert_eq!(bad[0]["response"]["body"]["error"]["message"], "no");
    let handed = theirs.lock().unwrap().requests.clone();
    assert_eq!(handed.len(), 3, "one with a seed is not theirs");
    let params = &handed[0]["params"];
    assert_eq!(params["model"], "claude-haiku-4-5");
    assert_eq!(params["messages"][0]["role"], "user");
    assert!(params["max_tokens"].as_u64() > Some(0), "{params}");
    let seen = upstream.seen();
    let made = seen
        .iter()
        .filter(|seen| (&*seen.method, &*seen.target) == ("POST", "/v1/messages"));
    assert_eq!(made.count(), 2);
    eventually("it is charged at the price for batches", || {
        cost(&gateway).contains("0.500")
    });
}

/// OpenAI's API as a provider has it: it answers the first request and refuses the second.
fn openai(seen: &Seen, handed: &Mutex<Vec<Value>>) -> Reply {
    let json =
        |value: Value| Reply::text(value.to_string()).header("content-type", "application/json");
    let mut lines = handed.lock().unwrap();
    match (&*seen.method, &*seen.target) {
        ("POST", "/v1/files") => {
            let form = String::from_utf8_lossy(&seen.body).into_owned();
            let told = form
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            *lines = told.collect();
            json(json!({"id": "file-theirs", "object": "file"}))
        }
        ("GET", "/v1/batches?limit=100") => json(json!({"object": "list", "data": []})),
        (_, target) if target.starts_with("/v1/batches") => json(json!({
            "id": "batch_theirs", "object": "batch", "status": "completed", "model": "gpt-4o-mini",
            "endpoint": "/v1/chat/completions", "output_file_id": "file-out",
            "usage": {"input_tokens": 1_000_000, "output_tokens": 0, "total_tokens": 1_000_000},
        })),
        ("GET", "/v1/files/file-out/content") => {
            let line = |at: usize, status: u16, body: Value| {
                let response = json!({"status_code": status, "request_id": "r", "body": body});
                let id = &lines[at]["custom_id"];
                json!({"id": "r", "custom_id": id, "error": null, "response": response})
            };
            let message = json!({"role": "assistant", "content": "Theirs."});
            let choices = json!([{"index": 0, "finish_reason": "stop", "message": message}]);
            let usage = json!({"prompt_tokens": 1_000_000, "completion_tokens": 0});
            let good = json!({"id": "c", "object": "chat.completion", "created": 1,
                "model": "gpt-4o-mini", "choices": choices, "usage": usage});
            let bad = json!({"error": {"message": "no", "type": "invalid_request_error"}});
            Reply::text(format!("{}\n{}\n", line(1, 400, bad), line(0, 200, good)))
        }
        _ => answer(seen, &AtomicBool::new(false)),
    }
}

/// A message batch goes to the provider that has OpenAI's API, in its words and back.
#[test]
fn a_message_batch_is_run_by_openais_api() {
    let handed: Arc<Mutex<Vec<Value>>> = Arc::default();
    let known = handed.clone();
    let upstream = Upstream::start(move |seen| openai(seen, &known));
    let gateway = relaying(&upstream, "openai", "gpt-4o-mini");
    let requests: Vec<Value> = ["a", "b", "c"]
        .into_iter()
        .map(|id| {
            let asked = json!([{"role": "user", "content": id}]);
            json!({"custom_id": id, "params": {"model": "fast", "max_tokens": 9, "messages": asked}})
        })
        .collect();
    let (_, results) = message_batch(&gateway, &requests);
    let told: Vec<(String, String, String)> = results
        .iter()
        .map(|line| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let result = &line["result"];
            let said = match result["type"] == "succeeded" {
                true => &result["message"]["content"][0]["text"],
                false => &result["error"]["error"]["message"],
            };
            (text(&line["custom_id"]), text(&result["type"]), text(said))
        })
        .collect();
    let wanted = [
        ("a", "succeeded", "Theirs."),
        ("b", "errored", "no"),
        ("c", "succeeded", "You said c."),
    ];
    let wanted = wanted.map(|(id, kind, said)| (id.to_owned(), kind.to_owned(), said.to_owned()));
    assert_eq!(told, wanted);
    let handed = handed.lock().unwrap();
    assert_eq!(handed.len(), 3, "{handed:?}");
    let first = &handed[0];
    assert_eq!(
        (&first["method"], &first["url"]),
        (&json!("POST"), &json!("/v1/chat/completions"))
    );
    assert_eq!(first["body"]["model"], "gpt-4o-mini");
    assert_eq!(first["body"]["messages"][0]["content"], "a");
    // A million input tokens at half of 0.15 USD, and the one request that was run here.
    eventually("it is charged at the price for batches", || {
        cost(&gateway).contains("0.0750")
    });
}
