//! Batches that a provider's own batch API runs, and what that leaves: at its price, in order, and never
//! held whole.

use super::batches::{KEPT, KEY, answer, batch, configuration, create, peak, prompts, upload};
use crate::support::{Gateway, Reply, Seen, Upstream, eventually, eventually_within, tidegate};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A gateway that relays batches of the model `fast`, which is this one of a provider of this kind.
pub(super) fn relaying(upstream: &Upstream, kind: &str, model: &str) -> Gateway {
    let text = configuration(&upstream.address)
        .replace("compatible:", &format!("{kind}:"))
        .replace("fast-1", model);
    let kept = KEPT.replace("folder: kept,", "folder: kept, relay: true,");
    Gateway::with(&text, &kept, &[])
}

/// Makes a message batch and waits until it has ended: how it is shown then, and its results.
pub(super) fn message_batch(gateway: &Gateway, requests: &[Value]) -> (Value, Vec<Value>) {
    let fields = [
        "-H",
        KEY,
        "-H",
        "content-type: application/json",
        "-H",
        "anthropic-version: 2023-06-01",
    ];
    let body = json!({ "requests": requests }).to_string();
    let made = [&fields[..], &["-d", &body]].concat();
    let made = gateway
        .curl("/v1/messages/batches", &made)
        .expect(200)
        .json();
    let path = format!("/v1/messages/batches/{}", made["id"].as_str().unwrap());
    let mut done = Value::Null;
    eventually("the batch has ended", || {
        done = gateway.curl(&path, &fields).expect(200).json();
        done["processing_status"] == "ended"
    });
    let results = gateway.curl(&format!("{path}/results"), &fields);
    let results = results.expect(200).body;
    let results = results
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    (done, results.collect())
}

/// How the ids of the requests in a form begin: the number of a request follows.
fn prefix_of(form: &[u8]) -> String {
    let head = String::from_utf8_lossy(&form[..form.len().min(4096)]).into_owned();
    let (_, id) = head.split_once("\"custom_id\":\"").unwrap();
    let (id, _) = id.split_once("-0\"").unwrap();
    id.to_owned()
}

/// A provider with a batch API: it runs every request but the last, and takes a look to finish.
pub(super) fn with_batches(seen: &Seen, looks: &AtomicUsize, prefix: &Mutex<String>) -> Reply {
    let json =
        |value: Value| Reply::text(value.to_string()).header("content-type", "application/json");
    let batch = |status: &str, more: Value| {
        let mut batch = json!({
            "id": "batch_theirs", "object": "batch", "status": status, "model": "gpt-4o-mini",
            "endpoint": "/v1/chat/completions", "request_counts": {"total": 3, "completed": 2, "failed": 0},
        });
        batch
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json(batch)
    };
    match (&*seen.method, &*seen.target) {
        ("POST", "/v1/files") => {
            *prefix.lock().unwrap() = prefix_of(&seen.body);
            json(json!({"id": "file-theirs", "object": "file"}))
        }
        ("POST", "/v1/batches") => batch("validating", json!({})),
        ("GET", "/v1/batches/batch_theirs") => match looks.fetch_add(1, Ordering::Relaxed) {
            0 => batch("in_progress", json!({})),
            _ => batch(
                "expired",
                json!({
                    "output_file_id": "file-out", "error_file_id": "file-bad",
                    "usage": {"input_tokens": 1_000_000, "output_tokens": 0, "total_tokens": 1_000_000},
                }),
            ),
        },
        ("GET", "/v1/files/file-out/content") => {
            let prefix = prefix.lock().unwrap();
            let line = |number: usize| {
                json!({
                    "id": "l", "custom_id": format!("{prefix}-{number}"), "error": null,
                    "response": {"status_code": 200, "request_id": format!("theirs-{number}"), "body": {
                        "id": "c", "model": "gpt-4o-mini", "choices": [],
                        "usage": {"prompt_tokens": 500_000, "completion_tokens": 0},
                    }},
                })
            };
            Reply::text(format!("{}\n{}\n", line(1), line(0)))
        }
        ("GET", "/v1/files/file-bad/content") => {
            let error = json!({"code": "batch_expired", "message": "late"});
            let id = format!("{}-2", prefix.lock().unwrap());
            let line = json!({"id": "x", "custom_id": id, "response": null, "error": error});
            Reply::text(format!("{line}\n"))
        }
        _ => answer(seen, &AtomicBool::new(false)),
    }
}

/// A batch goes to the provider's own API at its price for batches; what that leaves is run here.
#[test]
fn a_provider_runs_a_batch_and_the_rest_is_run_here() {
    let (looks, prefix) = (AtomicUsize::new(0), Mutex::default());
    let upstream = Upstream::start(move |seen| with_batches(seen, &looks, &prefix));
    let gateway = relaying(&upstream, "openai", "gpt-4o-mini");
    let file = gateway.path().join("prompts.jsonl");
    prompts(&file, 3);
    let id = create(&gateway, &upload(&gateway, &file));
    eventually("the batch is completed", || {
        batch(&gateway, &id)["status"] == "completed"
    });
    let done = batch(&gateway, &id);
    assert_eq!(
        done["request_counts"],
        json!({"total": 3, "completed": 3, "failed": 0})
    );
    assert_eq!(done["usage"]["input_tokens"], 1_000_002, "{done}");
    assert!(done["error_file_id"].is_null(), "{done}");
    let path = format!(
        "/v1/files/{}/content",
        done["output_file_id"].as_str().unwrap()
    );
    let text = gateway.curl(&path, &["-H", KEY]).expect(200).body;
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let ids: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["custom_id"].as_str())
        .collect();
    assert_eq!(ids, ["n-0", "n-1", "n-2"]);
    assert_eq!(lines[0]["response"]["request_id"], "theirs-0");
    let seen = upstream.seen();
    let of = |target: &str| {
        seen.iter()
            .filter(|seen| seen.target == target)
            .collect::<Vec<_>>()
    };
    let form = String::from_utf8_lossy(&of("/v1/files")[0].body).into_owned();
    assert_eq!(
        form.matches("\"model\":\"gpt-4o-mini\"").count(),
        3,
        "{form}"
    );
    let made: Vec<_> = of("/v1/batches")
        .into_iter()
        .filter(|seen| seen.method == "POST")
        .collect();
    assert_eq!((made.len(), of("/v1/chat/completions").len()), (1, 1));
    let wish: Value = serde_json::from_slice(&made[0].body).unwrap();
    assert_eq!(
        (&wish["input_file_id"], &wish["metadata"]["tidegate_batch"]),
        (&json!("file-theirs"), &json!(id))
    );
    // A million input tokens at half of 0.15 USD, and the one request that was run here.
    eventually("it is charged at the price for batches", || {
        cost(&gateway).contains("0.0750")
    });
}

/// What goes to a provider passes as well: a batch is not held in memory because it is relayed.
#[test]
fn a_batch_passes_to_its_provider_without_being_held() {
    const LINES: usize = 64;
    let prefix = Mutex::<String>::default();
    let upstream = Upstream::start(move |seen| {
        let json = |value: Value| {
            Reply::text(value.to_string()).header("content-type", "application/json")
        };
        let line = |number: usize| {
            let body = json!({"id": "c", "model": "gpt-4o-mini", "choices": []});
            let response = json!({"status_code": 200, "request_id": "r", "body": body});
            let id = format!("{}-{number}", prefix.lock().unwrap());
            json!({"id": "r", "custom_id": id, "error": null, "response": response})
        };
        match (&*seen.method, &*seen.target) {
            ("POST", "/v1/files") => {
                *prefix.lock().unwrap() = prefix_of(&seen.body);
                json(json!({"id": "file-theirs", "object": "file"}))
            }
            (_, target) if target.starts_with("/v1/batches") => json(json!({
                "id": "batch_theirs", "object": "batch", "status": "completed",
                "endpoint": "/v1/chat/completions", "output_file_id": "file-out",
                "request_counts": {"total": LINES, "completed": LINES, "failed": 0},
            })),
            ("GET", "/v1/files/file-out/content") => Reply::text(
                (0..LINES)
                    .map(|number| format!("{}\n", line(number)))
                    .collect::<String>(),
            ),
            _ => Reply::text("{}").status(404),
        }
    });
    let gateway = relaying(&upstream, "openai", "gpt-4o-mini");
    let file = gateway.path().join("prompts.jsonl");
    let content = "x".repeat(1 << 20);
    let lines = (0..LINES).map(|number| {
        let body = json!({"model": "fast", "messages": [{"role": "user", "content": content}]});
        let url = "/v1/chat/completions";
        let line =
            json!({"custom_id": format!("n-{number}"), "method": "POST", "url": url, "body": body});
        format!("{line}\n")
    });
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    let uploaded = upload(&gateway, &file);
    let before = peak(&gateway);
    let id = create(&gateway, &uploaded);
    eventually_within(Duration::from_secs(60), "the batch is completed", || {
        batch(&gateway, &id)["status"] == "completed"
    });
    let after = peak(&gateway);
    let done = batch(&gateway, &id);
    assert_eq!(done["request_counts"]["completed"], LINES, "{done}");
    let sent = upstream.seen();
    let sent = sent.iter().find(|seen| seen.target == "/v1/files").unwrap();
    assert!(sent.body.len() > LINES << 20, "{}", sent.body.len());
    assert!(
        after < before + 40 * 1024,
        "{before} KiB before, {after} KiB after 64 MiB were relayed"
    );
    let left = std::fs::read_dir(gateway.path().join("kept/batches")).unwrap();
    assert_eq!(left.count(), 0, "what was sent goes with the batch's work");
}

/// What consumers have spent, in USD.
pub(super) fn cost(gateway: &Gateway) -> String {
    let file = gateway.file().display().to_string();
    let output = tidegate(&["usage", &file, "--by", "consumer", "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    rows.map(|row| row["cost_usd"].to_string())
        .collect::<String>()
}

/// What a provider with Anthropic's API for batches was handed, as it stands there.
#[derive(Default)]
pub(super) struct Theirs {
    pub(super) requests: Vec<Value>,
    looks: usize,
}

/// Anthropic's API as its cassettes have it: a batch of which the first request is answered, the second
/// refused and the third left over for lack of time. Single messages are answered, too.
pub(super) fn anthropic(seen: &Seen, theirs: &Mutex<Theirs>) -> Reply {
    let json =
        |value: Value| Reply::text(value.to_string()).header("content-type", "application/json");
    let batch = |theirs: &Theirs, status: &str| {
        let all = theirs.requests.len();
        let over = status == "ended";
        let counts = match over {
            true => [0, 1, 1, all.saturating_sub(2)],
            false => [all, 0, 0, 0],
        };
        let results = "https://api.anthropic.com/v1/messages/batches/msgbatch_theirs/results";
        json(json!({
            "id": "msgbatch_theirs", "type": "message_batch", "processing_status": status,
            "request_counts": {
                "processing": counts[0], "succeeded": counts[1], "errored": counts[2],
                "canceled": 0, "expired": counts[3],
            },
            "ended_at": over.then_some("2026-08-19T14:45:51.493319+00:00"),
            "created_at": "2026-08-19T14:44:51.493319+00:00",
            "expires_at": "2026-08-20T14:44:51.493319+00:00", "archived_at": null,
            "cancel_initiated_at": null, "results_url": over.then_some(results),
        }))
    };
    let message = |text: &str, input: u64| {
        json!({
            "model": "claude-haiku-4-5-20251001", "id": "msg_1", "type": "message",
            "role": "assistant", "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {
                "input_tokens": input, "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0, "output_tokens": 0, "service_tier": "batch",
            },
        })
    };
    let mut theirs = theirs.lock().unwrap();
    match (&*seen.method, &*seen.target) {
        ("POST", "/v1/messages/batches") => {
            let asked: Value = serde_json::from_slice(&seen.body).unwrap();
            theirs.requests = asked["requests"].as_array().unwrap().clone();
            batch(&theirs, "in_progress")
        }
        ("GET", "/v1/messages/batches/msgbatch_theirs") => {
            theirs.looks += 1;
            let status = if theirs.looks > 1 {
                "ended"
            } else {
                "in_progress"
            };
            batch(&theirs, status)
        }
        ("GET", "/v1/messages/batches/msgbatch_theirs/results") => {
            let id = |at: usize| theirs.requests[at]["custom_id"].clone();
            let error = json!({"type": "invalid_request_error", "message": "no"});
            let lines = [
                json!({"custom_id": id(2), "result": {"type": "expired"}}),
                json!({"custom_id": id(1), "result": {
                    "type": "errored", "error": {"type": "error", "error": error},
                }}),
                json!({"custom_id": id(0), "result": {
                    "type": "succeeded", "message": message("Theirs.", 1_000_000),
                }}),
            ];
            Reply::text(lines.map(|line| format!("{line}\n")).concat())
        }
        ("POST", "/v1/messages") => json(message("Ours.", 2)),
        _ => Reply::text("{}").status(404),
    }
}

/// A message batch goes to the provider that has Anthropic's API, at its price for batches, under ids of
/// the gateway's; what that leaves is run here, and its owner reads one answer to each request of its own.
#[test]
fn a_provider_runs_a_message_batch_and_the_rest_is_run_here() {
    let theirs = Arc::new(Mutex::new(Theirs::default()));
    let known = theirs.clone();
    let upstream = Upstream::start(move |seen| anthropic(seen, &known));
    let gateway = relaying(&upstream, "anthropic", "claude-haiku-4-5");
    let requests: Vec<Value> = ["mine-a", "mine-b", "mine-c", "mine-d"]
        .into_iter()
        .map(|id| {
            let asked = json!([{"role": "user", "content": id}]);
            let stream = id == "mine-d";
            let params =
                json!({"model": "fast", "max_tokens": 9, "messages": asked, "stream": stream});
            json!({"custom_id": id, "params": params})
        })
        .collect();
    let (done, results) = message_batch(&gateway, &requests);
    let counts =
        json!({"processing": 0, "succeeded": 2, "errored": 2, "canceled": 0, "expired": 0});
    assert_eq!(done["request_counts"], counts, "{done}");
    let told: Vec<(&str, &str, &str)> = results
        .iter()
        .map(|line| {
            let text = &line["result"]["message"]["content"][0]["text"];
            (
                line["custom_id"].as_str().unwrap(),
                line["result"]["type"].as_str().unwrap(),
                text.as_str().unwrap_or_default(),
            )
        })
        .collect();
    let wanted = [
        ("mine-a", "succeeded", "Theirs."),
        ("mine-b", "errored", ""),
        ("mine-c", "succeeded", "Ours."),
        ("mine-d", "errored", ""),
    ];
    assert_eq!(told, wanted);
    let handed = theirs.lock().unwrap().requests.clone();
    assert_eq!(handed.len(), 3, "one that asks for a stream is not theirs");
    for request in &handed {
        assert_eq!(request["params"]["model"], "claude-haiku-4-5");
        let id = request["custom_id"].as_str().unwrap();
        assert!(!id.starts_with("mine") && id.len() <= 64, "{id}");
    }
    let seen = upstream.seen();
    let of = |target: &str| {
        seen.iter()
            .filter(|seen| seen.method == "POST" && seen.target == target)
            .count()
    };
    assert_eq!((of("/v1/messages/batches"), of("/v1/messages")), (1, 1));
    // A million input tokens at half of a dollar, and the one request that was run here.
    eventually("it is charged at the price for batches", || {
        cost(&gateway).contains("0.500")
    });
}
