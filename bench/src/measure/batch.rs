//! Callers beside a batch: their latency with a large batch under way and without one, in turns.

use super::Session;
use super::fleet::{Fleet, load, setup};
use crate::load::{Expectation, Pace, Request, Stop, probe};
use crate::results::Row;
use crate::scenario::{KEY, Scenario};
use crate::subject::{Kind, Subject};
use gate_kit::clock::Clock;
use serde_json::{Value, json};
use std::time::Duration;

/// Requests of the batch: far more than are run while it is measured.
const ITEMS: usize = 50_000;
/// Connections of callers: more than are ever busy.
const CONNECTIONS: usize = 256;
/// Load before each measured time, so that a batch has found its pace.
const WARM_UP: Duration = Duration::from_secs(3);
/// How long the gateway may take over a call of its batch interface, or a batch to begin or end.
const DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks at a batch.
const LOOK: Duration = Duration::from_millis(100);

/// Quantiles of callers' latency alone and beside the batch, and their ratios.
pub(super) fn batch(session: &Session, scenario: &Scenario, rate: u32) -> Result<Vec<Row>, String> {
    let Some(mut row) = Fleet::gateway_row(session) else {
        return Ok(Vec::new());
    };
    let setup = setup(session, scenario, &[]);
    let mut subject = Subject::start(Kind::Tidegate, &session.places, &setup)?;
    subject.await_serving(&scenario.request(Kind::Tidegate), DEADLINE)?;
    let file = upload(&subject)?;
    let stop = Stop::After {
        warm_up: WARM_UP,
        measured: session.measured,
    };
    let pace = Pace::Open { rate: rate.into() };
    for round in 0..session.rounds {
        let mut quantiles = [[0.0; 2]; 2];
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for index in order {
            let running = match index {
                0 => None,
                _ => Some(begin(&subject, &file)?),
            };
            let clock = Clock::System;
            let (began, before) = (clock.now(), done_of(&subject, running.as_deref())?);
            let request = subject.request(scenario);
            let mut done = load(&mut subject, request, CONNECTIONS, pace, stop)?;
            quantiles[index] = done.outcome.latency.quantiles_us([0.5, 0.99]);
            if let Some(batch) = running {
                let items = done_of(&subject, Some(&batch))? - before;
                let seconds = clock.now().since(began).as_secs_f64();
                if items == 0.0 {
                    return Err("the batch did not move beside callers".to_owned());
                }
                row.add("items_per_s", items / seconds);
                end(&subject, &batch)?;
            }
        }
        let [alone, beside] = quantiles;
        row.add("p50_us", alone[0]);
        row.add("p50_beside_us", beside[0]);
        row.add("p99_us", alone[1]);
        row.add("p99_beside_us", beside[1]);
        row.add("p99_ratio", beside[1] / alone[1]);
    }
    Ok(vec![row])
}

fn ask(
    subject: &Subject,
    method: &str,
    path: &str,
    kind: &str,
    body: &str,
) -> Result<Value, String> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: bench.test\r\nAuthorization: Bearer {KEY}\r\n\
         Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let request = Request {
        bytes: [head.as_bytes(), body.as_bytes()].concat().into(),
        expect: Expectation {
            status: 200,
            body_bytes: None,
            events: None,
        },
    };
    let (answer, body) = probe(subject.address, None, &request, DEADLINE)?;
    let text = String::from_utf8_lossy(&body);
    if answer.status != 200 {
        return Err(format!("{method} {path}: {} {text}", answer.status));
    }
    serde_json::from_str(&text).map_err(|error| format!("{method} {path}: {error}: {text}"))
}

fn text_of(value: &Value, name: &str) -> Result<String, String> {
    let text = value[name].as_str().map(str::to_owned);
    text.ok_or_else(|| format!("no `{name}` in {value}"))
}

/// The file of the batch: short chats.
fn lines() -> String {
    let line = |index| {
        format!(
            "{{\"custom_id\":\"prompt-{index}\",\"method\":\"POST\",\
             \"url\":\"/v1/chat/completions\",\"body\":{{\"model\":\"bench-model\",\
             \"max_tokens\":64,\"messages\":[{{\"role\":\"user\",\
             \"content\":\"Name the colour of part {index}.\"}}]}}}}\n"
        )
    };
    (0..ITEMS).map(line).collect()
}

/// Hands the batch's file in; returns its id.
fn upload(subject: &Subject) -> Result<String, String> {
    let mark = "bench-boundary-0001";
    let body = format!(
        "--{mark}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--{mark}\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"prompts.jsonl\"\r\n\
         Content-Type: application/jsonl\r\n\r\n{}\r\n--{mark}--\r\n",
        lines()
    );
    let kind = format!("multipart/form-data; boundary={mark}");
    text_of(&ask(subject, "POST", "/v1/files", &kind, &body)?, "id")
}

/// Begins a batch and waits until results come.
fn begin(subject: &Subject, file: &str) -> Result<String, String> {
    let order = json!({
        "input_file_id": file,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
    });
    let path = "/v1/batches";
    let made = ask(
        subject,
        "POST",
        path,
        "application/json",
        &order.to_string(),
    )?;
    let id = text_of(&made, "id")?;
    until(subject, &id, "begin", |seen| {
        seen["request_counts"]["completed"].as_f64() > Some(0.0)
    })?;
    Ok(id)
}

fn end(subject: &Subject, batch: &str) -> Result<(), String> {
    let path = format!("/v1/batches/{batch}/cancel");
    ask(subject, "POST", &path, "application/json", "{}")?;
    until(subject, batch, "end", |seen| seen["status"] == "cancelled")
}

fn until(
    subject: &Subject,
    batch: &str,
    what: &str,
    holds: impl Fn(&Value) -> bool,
) -> Result<(), String> {
    let clock = Clock::System;
    let began = clock.now();
    loop {
        let seen = look(subject, batch)?;
        if holds(&seen) {
            return Ok(());
        }
        if clock.now().since(began) > DEADLINE {
            return Err(format!("the batch does not {what}: {seen}"));
        }
        std::thread::sleep(LOOK);
    }
}

fn look(subject: &Subject, batch: &str) -> Result<Value, String> {
    let path = format!("/v1/batches/{batch}");
    ask(subject, "GET", &path, "application/json", "")
}

/// How many requests of a batch are done; none without a batch. All of them must have gone well.
fn done_of(subject: &Subject, batch: Option<&str>) -> Result<f64, String> {
    let Some(batch) = batch else { return Ok(0.0) };
    let seen = look(subject, batch)?;
    let counts = &seen["request_counts"];
    match (counts["completed"].as_f64(), counts["failed"].as_f64()) {
        (Some(done), Some(0.0)) => Ok(done),
        _ => Err(format!("requests of the batch failed: {seen}")),
    }
}
