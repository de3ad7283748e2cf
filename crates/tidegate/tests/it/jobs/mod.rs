//! Jobs through the program: real gateways, real upstreams, a real store, and kills.

mod failover;
mod forgotten;
mod guide;
mod items;
mod killed;
mod memory;
mod shares;
mod watched;

use crate::support::gateway::command;
use crate::support::{Gateway, Reply, Upstream, eventually, eventually_within};
use gate_store::journal::{ReadJournal, Reading};
use gate_store::sqlite::Sqlite;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a test waits for at most.
const LONG: Duration = Duration::from_secs(120);

/// The key of providers that are not there.
const SECRETS: [(&str, &str); 1] = [("OPENAI_API_KEY", "sk")];

/// A gateway with jobs, and the commands about them.
struct Desk {
    node: Gateway,
}

impl Desk {
    fn start(configuration: &str) -> Self {
        let store = ", store: { engine: { sqlite: { path: store.db } } }";
        Self {
            node: Gateway::with(configuration, store, &SECRETS),
        }
    }

    /// Kills the gateway and starts it again in its folder.
    fn kill(&mut self) {
        let folder = self.node.folder.clone();
        self.node.process.child.kill().unwrap();
        self.node.process.ended();
        self.node = Gateway::run_in(folder, &[], &SECRETS);
    }

    fn output(&self, arguments: &[&str]) -> Output {
        let mut command = command(&[&["jobs"], arguments].concat());
        command.env(
            "TIDEGATE_SERVER",
            format!("http://{}", self.node.address("admin")),
        );
        command.output().expect("the binary runs")
    }

    /// Runs a command of `tidegate jobs` and checks its exit code.
    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32) -> String {
        let output = self.output(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}\n{text}\n{errors}"
        );
        format!("{text}{errors}")
    }

    #[track_caller]
    fn submit(&self, job: &Value) -> String {
        let path = self.node.path().join("job.json");
        std::fs::write(&path, job.to_string()).unwrap();
        let shown = self.run(&["submit", &path.display().to_string()], 0);
        shown.trim().to_owned()
    }

    #[track_caller]
    fn show(&self, id: &str) -> Value {
        let shown = self.output(&["show", id, "--json"]).stdout;
        serde_json::from_slice(&shown).expect("JSON")
    }

    /// The job once it is in a state.
    #[track_caller]
    fn until(&self, id: &str, state: &str) -> Value {
        let mut shown = Value::Null;
        eventually_within(LONG, &format!("{id} is {state}"), || {
            shown = self.show(id);
            shown["job"]["state"] == state
        });
        shown
    }

    #[track_caller]
    fn results(&self, id: &str) -> Vec<Value> {
        let text = self.run(&["results", id], 0);
        text.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }
}

/// Everything goes to one upstream.
fn over(upstream: &str) -> String {
    format!(
        "upstreams: {{ up: {{ endpoints: ['{upstream}'] }} }}\n\
         routes: {{ all: {{ match: {{ path: '/{{*rest}}' }}, target: {{ upstream: up }} }} }}\n"
    )
}

/// Says what it was asked; items of its list fail, so many times each.
fn failing(list: &[(&str, u16, u32)]) -> Upstream {
    let left: BTreeMap<String, (u16, u32)> = list
        .iter()
        .map(|(path, status, times)| ((*path).to_owned(), (*status, *times)))
        .collect();
    let left = Mutex::new(left);
    Upstream::start(move |seen| {
        if let Some((status, times)) = left.lock().unwrap().get_mut(&seen.target)
            && *times > 0
        {
            *times -= 1;
            return Reply::text("no").status(*status);
        }
        let said = json!({ "of": seen.target, "asked": String::from_utf8_lossy(&seen.body) });
        Reply::text(said.to_string())
    })
}

#[test]
fn items_are_filled_in_tried_again_and_read_in_order() {
    let upstream = failing(&[
        ("/parts/3", 503, 2),
        ("/parts/5", 400, 9),
        ("/parts/7", 503, 9),
    ]);
    let desk = Desk::start(&over(&upstream.address));
    let items: Vec<Value> = (0..40)
        .map(|n| json!({ "name": format!("part {n}") }))
        .collect();
    let job = json!({
        "name": "parts", "key": "once", "path": "/parts/{{index}}", "items": items,
        "body": { "text": "{{item.name}} of {{job}}", "n": "{{index}}" },
        "pause": "10ms", "headers": { "x-part": "{{index}}" },
    });
    let id = desk.submit(&job);
    assert_eq!(desk.submit(&job), id, "the key finds the same job");
    let watched = desk.run(&["watch", &id], 1);
    assert!(
        watched.contains("40/40 failed") && watched.contains("2 items failed"),
        "{watched}"
    );
    let shown = desk.show(&id);
    let job = &shown["job"];
    assert_eq!((&job["succeeded"], &job["failed"]), (&json!(38), &json!(2)));
    assert_eq!((&job["retries"], &job["repeats"]), (&json!(4), &json!(0)));
    let notes = shown["notes"].as_array().unwrap();
    let of = |item: u64| -> Vec<&str> {
        let of = notes.iter().filter(|note| note["item"] == item);
        of.map(|note| note["kind"].as_str().unwrap()).collect()
    };
    assert_eq!(of(3), ["retry", "retry"]);
    assert_eq!(of(5), ["failure"], "it would not pass");
    assert_eq!(of(7), ["retry", "retry", "failure"]);
    let results = desk.results(&id);
    let numbers: Vec<u64> = results
        .iter()
        .map(|one| one["item"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (0..40).collect::<Vec<_>>());
    let body: Value = serde_json::from_str(results[11]["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["of"], "/parts/11");
    let asked: Value = serde_json::from_str(body["asked"].as_str().unwrap()).unwrap();
    assert_eq!(
        asked,
        json!({ "text": format!("part 11 of {id}"), "n": 11 })
    );
    assert_eq!(
        (&results[5]["status"], &results[5]["reason"]),
        (&json!(400), &json!("status_400"))
    );
    let seen = upstream.seen();
    let one = seen.iter().find(|seen| seen.target == "/parts/9").unwrap();
    assert_eq!(one.header("x-part"), Some("9"));
    assert_eq!(one.header("x-request-id"), Some(&*format!("job/{id}/9")));
    let metrics = desk.node.metrics();
    for line in [
        "tidegate_job_items_total{queue=\"default\",outcome=\"succeeded\"} 38",
        "tidegate_job_calls_again_total{queue=\"default\",reason=\"retry\"} 4",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[test]
fn jobs_wait_for_jobs_and_take_what_they_answered() {
    let upstream = failing(&[("/cut/1", 400, 9)]);
    let desk = Desk::start(&over(&upstream.address));
    let first = desk.submit(&json!({ "path": "/cut/{{index}}", "count": 3, "failures": 1 }));
    let second = desk.submit(&json!({
        "path": "/label/{{index}}", "count": 3, "body": { "was": "{{parent.of}}" },
        "after": [{ "job": first, "each": true }], "failures": 1,
    }));
    let third = desk.submit(&json!({
        "path": "/gallery", "body": { "parts": "{{parent}}" }, "after": [{ "job": second }],
    }));
    let doomed = desk.submit(&json!({
        "path": "/never/{{index}}", "count": 3, "after": [{ "job": first, "each": true }],
    }));
    desk.until(&third, "succeeded");
    desk.until(&doomed, "failed");
    let shown = desk.until(&second, "succeeded");
    assert!(
        shown["notes"][0]["reason"]
            .as_str()
            .unwrap()
            .starts_with("parent_failed")
    );
    let bodies: BTreeMap<String, String> = upstream
        .seen()
        .into_iter()
        .map(|seen| (seen.target, String::from_utf8(seen.body).unwrap()))
        .collect();
    assert_eq!(bodies["/label/2"], json!({ "was": "/cut/2" }).to_string());
    assert!(!bodies.contains_key("/label/1"), "its parent failed");
    let gallery: Value = serde_json::from_str(&bodies["/gallery"]).unwrap();
    let parts = gallery["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 2);
    assert_eq!(parts[1]["of"], "/label/2");
    let chain = desk.submit(&json!({
        "path": "/chain/{{index}}", "count": 4, "sequential": true, "body": "{{parent}}",
    }));
    desk.until(&chain, "succeeded");
    let order: Vec<String> = upstream
        .seen()
        .into_iter()
        .map(|seen| seen.target)
        .collect();
    let order: Vec<&String> = order
        .iter()
        .filter(|path| path.starts_with("/chain"))
        .collect();
    assert_eq!(order, ["/chain/0", "/chain/1", "/chain/2", "/chain/3"]);
}

#[test]
fn a_job_is_paused_resumed_and_cancelled() {
    let is_open = Arc::new(AtomicBool::new(false));
    let gate = is_open.clone();
    let upstream = Upstream::start(move |_| {
        // Answers once it may, or after so long that the test has failed.
        let until = std::time::Instant::now() + LONG;
        while !gate.load(Ordering::Relaxed) && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        Reply::text("done")
    });
    let desk = Desk::start(&over(&upstream.address));
    let job = |count: u32| json!({ "path": "/x/{{index}}", "count": count, "concurrency": 2 });
    let id = desk.submit(&job(200));
    eventually("its first items are called", || upstream.seen().len() == 2);
    desk.run(&["pause", &id], 0);
    desk.until(&id, "paused");
    is_open.store(true, Ordering::Relaxed);
    eventually("what was under way has ended", || {
        desk.show(&id)["job"]["succeeded"] == 2
    });
    desk.run(&["resume", &id], 0);
    desk.until(&id, "succeeded");
    assert_eq!(upstream.seen().len(), 200);
    is_open.store(false, Ordering::Relaxed);
    let id = desk.submit(&job(200));
    eventually("its first items are called", || {
        upstream.seen().len() == 202
    });
    desk.run(&["cancel", &id], 0);
    desk.until(&id, "cancelling");
    is_open.store(true, Ordering::Relaxed);
    let shown = desk.until(&id, "cancelled");
    assert_eq!(shown["job"]["succeeded"], 2);
    let refused = desk.run(&["cancel", &id], 1);
    assert!(refused.contains("has ended"), "{refused}");
    let listed = desk.run(&["list"], 0);
    assert!(
        listed.contains("cancelled") && listed.contains("succeeded"),
        "{listed}"
    );
}

#[test]
fn a_gateway_that_ends_in_order_hands_its_jobs_on() {
    const ITEMS: usize = 2_000;
    let upstream = Upstream::start(|_| Reply::text("done").after(Duration::from_millis(20)));
    let mut desk = Desk::start(&over(&upstream.address));
    let id = desk.submit(&json!({ "path": "/x/{{index}}", "count": ITEMS }));
    eventually("some were called", || upstream.seen().len() > 40);
    let folder = desk.node.folder.clone();
    desk.node.process.signal(rustix::process::Signal::TERM);
    assert!(desk.node.process.ended().success());
    assert!(upstream.seen().len() < ITEMS, "it ended midway");
    desk.node = Gateway::run_in(folder, &[], &SECRETS);
    let shown = desk.until(&id, "succeeded");
    let repeats = shown["job"]["repeats"].as_u64().unwrap();
    let calls = upstream.seen().len() as u64;
    assert!(
        (ITEMS as u64..=ITEMS as u64 + repeats).contains(&calls),
        "{calls} calls, {repeats} repeats"
    );
    // The journal has the job's end as an event, once.
    let store = Sqlite::open(&desk.node.path().join("store.db")).unwrap();
    let mut journal = Reading::new(store);
    let events = journal.behind(0, 10_000).unwrap();
    let done = events
        .iter()
        .filter(|event| event.kind == "tidegate.job.done");
    assert_eq!(done.count(), 1);
}

#[test]
fn what_cannot_be_run_is_refused_at_once() {
    let upstream = Upstream::echo();
    let desk = Desk::start(&over(&upstream.address));
    for (job, why) in [
        (json!({ "path": "/x", "count": 10_001 }), "1 to 10000 items"),
        (json!({ "path": "/{{item}}" }), "`item` is nothing"),
        (json!({ "path": "x" }), "begins with `/`"),
        (json!({ "path": "/x", "items": [] }), "`items` is empty"),
        (json!({ "path": "/x", "method": "A B" }), "no method"),
        (json!({ "path": "/x", "host": "a b" }), "no host"),
        (
            json!({ "path": "/x", "headers": { "a b": "c" } }),
            "no header field",
        ),
        (
            json!({ "path": "/x", "headers": { "content-length": "5" } }),
            "sets the field",
        ),
        (json!({ "path": "/x", "queue": "none" }), "no queue `none`"),
        (
            json!({ "path": "/x", "consumer": "none" }),
            "no consumer `none`",
        ),
        (
            json!({ "path": "/x", "after": [{ "job": "job-1" }] }),
            "no job `job-1`",
        ),
        (
            json!({ "path": "/x", "listener": "none" }),
            "no listener `none`",
        ),
    ] {
        let path = desk.node.path().join("job.json");
        std::fs::write(&path, job.to_string()).unwrap();
        let said = desk.run(&["submit", &path.display().to_string()], 1);
        assert!(said.contains(why), "{job}: {said}");
    }
    assert!(upstream.seen().is_empty());
}
