//! A file of many lines costs no more memory than one of few. `TIDEGATE_JOB_LINES` makes it longer: the bar
//! is 1,000,000.

use super::{Desk, LONG, over};
use crate::support::{Reply, Upstream, eventually_within};
use gate_store::jobs::{JobStore, NewJob, PAGE, SqlJobs};
use gate_store::sqlite::Sqlite;
use serde_json::json;
use std::fmt::Write;
use std::time::Duration;

/// Most that it may grow by, in KiB.
const GROWTH_MAX: u64 = 24 << 10;

/// What the gateway has in memory, in KiB.
fn resident(desk: &Desk) -> u64 {
    let status = format!("/proc/{}/status", desk.node.process.child.id());
    let status = std::fs::read_to_string(status).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Has a file of so many lines run; the most that was in memory meanwhile.
fn run(desk: &Desk, lines: u32) -> u64 {
    let path = desk.node.path().join(format!("lines{lines}"));
    let (mut text, mut offsets) = (String::new(), Vec::new());
    for index in 0..lines {
        if index % PAGE == 0 {
            offsets.push(text.len() as u64);
        }
        let filler = "y".repeat(100);
        let _ = writeln!(
            text,
            r#"{{"custom_id":"x-{index}","body":{{"n":{index},"t":"{filler}"}}}}"#
        );
    }
    std::fs::write(&path, text).unwrap();
    let id = format!("job-{lines}");
    let spec = json!({
        "spec": {
            "id": id, "number": 1, "queue": "default", "team": "", "count": lines,
            "timeout_ms": 60_000, "submitted_ms": 0,
        },
        "call": { "listener": "public" },
        "input": { "lines": { "file": path, "url": "/x" } },
    });
    let store = Sqlite::open(&desk.node.path().join("store.db")).unwrap();
    let mut store = SqlJobs::open(store).unwrap();
    let job = NewJob {
        id: &id,
        environment: "file",
        key: &id,
        queue: "default",
        team: "",
        owner: "",
        name: "",
        items: lines,
        spec: &spec.to_string(),
        folder: "",
        offsets: Some(&offsets),
        now_ms: 1,
    };
    store.submit(&job).unwrap();
    let mut most = 0;
    // A debug build on a busy machine does some hundred a second.
    let patience = LONG * 10 + Duration::from_secs(u64::from(lines) / 100);
    eventually_within(patience, "it has ended", || {
        most = most.max(resident(desk));
        desk.show(&id)["job"]["is_over"] == true
    });
    assert_eq!(desk.show(&id)["job"]["succeeded"], lines);
    most
}

#[test]
fn memory_is_that_of_what_is_under_way() {
    let lines = std::env::var("TIDEGATE_JOB_LINES").ok();
    let lines = lines.and_then(|text| text.parse().ok()).unwrap_or(6_000);
    let upstream = Upstream::start(|_| Reply::text("x".repeat(200)));
    let desk = Desk::start(&over(&upstream.address));
    run(&desk, 100);
    let few = run(&desk, 500);
    let many = run(&desk, lines);
    println!("{few} KiB with 500 items, {many} KiB with {lines}");
    assert!(
        many < few + GROWTH_MAX,
        "{few} KiB with 500 items, {many} with {lines}"
    );
}
