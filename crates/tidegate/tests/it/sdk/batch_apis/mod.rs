//! Batches at providers with batch APIs of their own, each played by a stand-in that behaves as its vendor's
//! documents say. The vendors' own SDKs talk to the stand-ins too, so that their wire format is not merely
//! our own belief.

mod gemini;
mod mistral;
mod openai;
mod several;

use super::batches::{KEPT, configuration, lines};
use super::{python, said};
use crate::support::{Gateway, Reply, Seen, Upstream, eventually};
use gemini::Gemini;
use mistral::Mistral;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// A stand-in for a vendor.
trait StandIn: Default + Send + 'static {
    /// Its answer to a request.
    fn answer(&mut self, seen: &Seen, address: &str) -> Reply;
}

/// Starts a stand-in, whose address is told to it with every request.
fn stand_in<S: StandIn>() -> (Upstream, Arc<Mutex<S>>) {
    let state: Arc<Mutex<S>> = Arc::default();
    let known = state.clone();
    let upstream = Upstream::start(move |seen| {
        let host = seen.header("host").unwrap_or_default().to_owned();
        known.lock().unwrap().answer(seen, &host)
    });
    (upstream, state)
}

/// JSON as an answer.
fn json(value: &Value) -> Reply {
    Reply::text(value.to_string()).header("content-type", "application/json")
}

/// The lines of a form or a file that are JSON.
fn json_lines(body: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(body).into_owned();
    let lines = text.lines();
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// A gateway that relays batches of the model `fast`, which is this one of a provider of this kind.
fn relaying(upstream: &Upstream, kind: &str, base: &str, model: &str) -> Gateway {
    let text = configuration(&upstream.address)
        .replace("compatible:", &format!("{kind}:"))
        .replace("/v1\" }", &format!("{base}\" }}"))
        .replace("fast-1", model);
    Gateway::with(&text, &kept(), &[])
}

/// Settings of a gateway that relays batches.
fn kept() -> String {
    KEPT.replace("folder: kept,", "folder: kept, relay: true,")
}

/// A line of a file for a batch.
fn chat(id: &str, model: &str, content: &str, more: &Value) -> Value {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": content}]});
    let members = more.as_object().cloned().unwrap_or_default();
    body.as_object_mut().unwrap().extend(members);
    json!({"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": body})
}

/// Writes these lines into a file beside the gateway and hands it in as a batch of this endpoint; its id.
fn hand_in(gateway: &Gateway, endpoint: &str, lines: &[Value]) -> String {
    let file = gateway.path().join("in.jsonl");
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(&file, text).unwrap();
    let file = super::batches::upload(gateway, &file);
    let body = json!({"input_file_id": file, "endpoint": endpoint, "completion_window": "24h"});
    let kind = "content-type: application/json";
    let arguments = [
        "-H",
        super::batches::KEY,
        "-H",
        kind,
        "-d",
        &body.to_string(),
    ];
    let answer = gateway.curl("/v1/batches", &arguments).expect(200).json();
    answer["id"].as_str().unwrap().to_owned()
}

/// Waits until a batch is in this state; how it is shown then.
fn ended(gateway: &Gateway, id: &str, state: &str) -> Value {
    let mut done = Value::Null;
    eventually(&format!("the batch is {state}"), || {
        done = super::batches::batch(gateway, id);
        done["status"] == state
    });
    done
}

/// What the lines of a file of results say: the id, and the text of a chat.
fn texts(gateway: &Gateway, file: &Value) -> Vec<(String, String)> {
    let told = |line: &Value| {
        let text = &line["response"]["body"]["choices"][0]["message"]["content"];
        let text = text.as_str().unwrap_or_default().to_owned();
        (line["custom_id"].as_str().unwrap().to_owned(), text)
    };
    lines(gateway, file).iter().map(told).collect()
}

fn pairs(wanted: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(id, text): &(&str, &str)| ((*id).to_owned(), (*text).to_owned());
    wanted.iter().map(owned).collect()
}

/// How many requests a stand-in has had with this method, and this in their path.
fn asked(upstream: &Upstream, method: &str, part: &str) -> usize {
    let seen = upstream.seen();
    let own = seen.iter().filter(|seen| seen.method == method);
    own.filter(|seen| seen.target.contains(part)).count()
}

/// The vendors' SDKs make, watch, list and cancel batches at the stand-ins, and read their results.
#[test]
fn vendors_sdks_agree_with_the_stand_ins() {
    let Some(python) = python() else { return };
    let (gemini, _) = stand_in::<Gemini>();
    let (mistral, _) = stand_in::<Mistral>();
    let url = |upstream: &Upstream| format!("http://{}", upstream.address);
    let job = json!({"gemini": url(&gemini), "mistral": url(&mistral)});
    let checks = said(python, "tests/it/sdk/batch_apis.py", &job);
    assert_eq!(checks.len(), 5, "{checks:?}");
}
