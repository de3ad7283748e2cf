//! What 10,000 routes and 1,000 consumers cost: `tidegate check` of YAML and of JSON, and a gateway
//! that follows an environment with them.
//!
//! A measurement, and so by name only, of an optimised build:
//! `cargo test --release -p tidegate --test it large -- --ignored --nocapture`.

use super::fleet::{Fleet, admin};
use crate::support::command;
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

const ROUTES: usize = 10_000;
const CONSUMERS: usize = 1_000;
const UPSTREAMS: usize = 200;
/// What compiling may take.
const SECONDS_MAX: f64 = 1.0;
/// What the whole process may take at its peak.
const MIB_MAX: f64 = 200.0;
/// A follower looks at its store this seldom at most.
const LOOKS_S: f64 = 0.5;

fn document() -> Value {
    let named = |kind: &str, count: usize, make: &dyn Fn(usize) -> Value| -> Map<String, Value> {
        (0..count)
            .map(|n| (format!("{kind}-{n:05}"), make(n)))
            .collect()
    };
    json!({
        "consumers": named("consumer", CONSUMERS, &|n| {
            json!({ "team": "shop", "keys": [{ "sha256": format!("{n:064x}") }] })
        }),
        "teams": { "shop": {} },
        "upstreams": named("upstream", UPSTREAMS, &|n| {
            json!({ "endpoints": [format!("10.0.{}.{}:8080", n / 250, n % 250 + 1)] })
        }),
        "routes": named("route", ROUTES, &|n| json!({
            "match": { "host": format!("h{}.example.com", n % 100), "path": format!("/api/{n}/{{id}}") },
            "policies": [{ "auth_key": {} }, { "limit": { "by": "consumer", "rate": "100/s" } }],
            "target": { "upstream": format!("upstream-{:05}", n % UPSTREAMS) },
        })),
    })
}

/// The same as YAML in blocks, as people write it.
fn yaml(value: &Value, depth: usize, out: &mut String) {
    let pad = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                write!(out, "\n{pad}{key}:").unwrap();
                yaml(value, depth + 1, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                // In brackets, as JSON is YAML.
                write!(out, "\n{pad}- {item}").unwrap();
            }
        }
        other => write!(out, " {other}").unwrap(),
    }
}

/// The most memory that a process has had so far, in MiB; zero when it is gone.
fn peak_mib(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// Prints a figure with its verdict; whether it holds.
fn verdict(what: &str, seconds: f64, most: f64, mib: f64) -> bool {
    let holds = seconds <= most && mib <= MIB_MAX;
    let word = if holds { "holds" } else { "FAILS" };
    eprintln!("{what}: {seconds:.2} s (at most {most}), {mib:.0} MiB (at most {MIB_MAX}): {word}");
    holds
}

/// Checks a file; seconds and the peak of memory.
fn check(file: &str) -> (f64, f64) {
    let began = Instant::now();
    let mut child = command(&["check", file])
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut mib: f64 = 0.0;
    let status = loop {
        mib = mib.max(peak_mib(child.id()));
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    assert!(status.success(), "{file}: {status}");
    (began.elapsed().as_secs_f64(), mib)
}

/// The best of some rounds: others use the machine, too.
fn best(rounds: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    rounds.fold((f64::MAX, 0.0), |(seconds, mib), (s, m)| {
        (seconds.min(s), mib.max(m))
    })
}

#[test]
#[ignore = "a measurement: run it by name in an optimised build"]
fn large_documents_compile_within_their_bars() {
    let document = document();
    let folder = tempfile::tempdir().unwrap();
    let mut blocks = String::new();
    yaml(&document, 0, &mut blocks);
    let texts = [
        ("large.yaml", blocks),
        (
            "large.json",
            serde_json::to_string_pretty(&document).unwrap(),
        ),
        ("small.json", document.to_string()),
    ];
    let mut holds = true;
    for (name, text) in texts {
        let file = folder.path().join(name);
        std::fs::write(&file, &text).unwrap();
        let (seconds, mib) = best((0..5).map(|_| check(file.to_str().unwrap())));
        let what = format!("check of {name} ({:.1} MB)", text.len() as f64 / 1e6);
        holds &= verdict(&what, seconds, SECONDS_MAX, mib);
    }
    let fleet = Fleet::all().swap_remove(0);
    let node = fleet.node("a", &[]);
    assert_eq!(admin(&node, "/healthz").status, 200);
    let began = Instant::now();
    let revision = fleet.apply(document);
    let written = began.elapsed().as_secs_f64();
    let began = Instant::now();
    fleet.acks_of(revision.number, 1);
    let seconds = began.elapsed().as_secs_f64();
    eprintln!("writing the revision: {written:.2} s");
    let mib = peak_mib(node.process.child.id());
    holds &= verdict("a revision followed", seconds, SECONDS_MAX + LOOKS_S, mib);
    assert!(holds, "see above");
}
