//! How long exchanges took, over two gateways of one store and over restarts.

use super::fleet::{self, Fleet, fixed};
use super::load;
use crate::support::{Gateway, Reply, Upstream, eventually_within, tidegate};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const ERROR: f64 = 0.010_831;
/// What the upstream lets callers of the slow path wait, in seconds.
const SLOW_S: f64 = 0.06;

fn document(upstream: &Upstream) -> Value {
    let mut document = fixed("unused");
    document["upstreams"] = json!({ "service": { "endpoints": [upstream.address] } });
    document["routes"] = json!({ "all": {
        "match": { "path": "/{*rest}" }, "target": { "upstream": "service" },
    } });
    let latency = json!({ "latency": { "within": "300ms" } });
    document["objectives"] = json!({
        "fast": { "route": "all", "target": "99 %", "indicator": latency },
        "available": { "route": "all", "target": "99 %" },
    });
    document
}

fn ask(node: &Gateway, path: &str, times: usize) {
    let mut stream = TcpStream::connect(node.late_address("public")).unwrap();
    stream.set_read_timeout(Some(MINUTE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
    for _ in 0..times {
        load::one(&mut stream, &request).unwrap();
    }
}

fn objective(node: &Gateway, name: &str) -> Value {
    fleet::admin(node, &format!("/api/v1/objectives/{name}")).json()
}

fn took(node: &Gateway) -> Value {
    objective(node, "fast")["durations"].clone()
}

fn counts(node: &Gateway, count: u64) -> bool {
    let took = took(node);
    took["count"] == count && took["is_stored"] == true
}

fn quantiles(of: &Value) -> Vec<(f64, f64)> {
    let all = of["quantiles"].as_array().unwrap().iter();
    let pair = |one: &Value| {
        (
            one["quantile"].as_f64().unwrap(),
            one["seconds"].as_f64().unwrap(),
        )
    };
    all.map(pair).collect()
}

/// Requests at or below bounds in seconds, as a gateway's metrics page says.
fn buckets(node: &Gateway) -> Vec<(f64, u64)> {
    let page = node.metrics();
    let begin = "tidegate_request_duration_seconds_bucket{";
    let ours = page
        .lines()
        .filter(|line| line.starts_with(begin) && line.contains("\"all\""));
    let bucket = |line: &str| {
        let bound = line.split("le=\"").nth(1)?.split('"').next()?;
        let bound = bound.parse().unwrap_or(f64::INFINITY);
        Some((bound, line.split_whitespace().nth(1)?.parse().ok()?))
    };
    ours.filter_map(bucket).collect()
}

fn end(mut node: Gateway) -> Arc<tempfile::TempDir> {
    node.process.signal(rustix::process::Signal::TERM);
    assert!(node.process.ended().success());
    node.folder.clone()
}

#[test]
fn quantiles_are_of_all_gateways_and_outlive_them() {
    for fleet in Fleet::all() {
        let upstream = Upstream::start(|seen| match &*seen.target {
            "/slow" => Reply::text("yes").after(Duration::from_secs_f64(SLOW_S)),
            _ => Reply::text("yes"),
        });
        let (a, b) = (fleet.node("a", &[]), fleet.node("b", &[]));
        fleet.variables(&[]);
        let revision = fleet.apply(document(&upstream));
        fleet.acks_of(revision.number, 2);
        ask(&a, "/quick", 40);
        ask(&b, "/slow", 60);
        let all_of = |node: &Gateway| buckets(node).last().map(|last| last.1);
        eventually_within(MINUTE, "a counts", || all_of(&a) == Some(40));
        eventually_within(MINUTE, "b counts", || all_of(&b) == Some(60));
        let (of_a, of_b) = (buckets(&a), buckets(&b));
        // At an orderly end everything is written; the other gateway's own is as it is now.
        let folder_b = end(b);
        eventually_within(MINUTE, "one shows both", || counts(&a, 100));
        let before = quantiles(&took(&a));
        assert_eq!(
            before.iter().map(|one| one.0).collect::<Vec<_>>(),
            [0.5, 0.9, 0.99]
        );
        for (share, seconds) in &before {
            // Sixty of a hundred waited for the slow path.
            assert!(*seconds >= SLOW_S * (1.0 - ERROR), "{share}: {seconds}");
            // And it lies where the sum of both gateways' plain histograms has it.
            let rank = (share * 100.0).ceil() as u64;
            let sums: Vec<(f64, u64)> = (of_a.iter().zip(&of_b))
                .map(|(one, two)| (one.0, one.1 + two.1))
                .collect();
            let at = sums.iter().position(|(_, count)| *count >= rank).unwrap();
            let low = if at == 0 { 0.0 } else { sums[at - 1].0 };
            let range = low * (1.0 - ERROR)..=sums[at].0 * (1.0 + ERROR);
            assert!(
                range.contains(seconds),
                "{share}: {seconds} is not in {range:?}"
            );
        }
        let shown = tidegate(&[
            "objectives",
            "show",
            "fast",
            "--server",
            &format!("http://{}", a.address("admin")),
        ]);
        let text = String::from_utf8(shown.stdout).unwrap();
        assert!(
            text.contains("p50 ") && text.contains("100 of all gateways"),
            "{text}"
        );
        // Others have none.
        let other = objective(&a, "available");
        assert!(other["total"].is_u64() && other["durations"].is_null());
        // After both began anew, nothing is lost and nothing counts twice.
        let folder_a = end(a);
        let (a, b) = (fleet.restart(folder_a, &[]), fleet.restart(folder_b, &[]));
        for node in [&a, &b] {
            eventually_within(MINUTE, "it goes on", || counts(node, 100));
            assert_eq!(quantiles(&took(node)), before, "on {}", fleet.name());
        }
        ask(&a, "/quick", 5);
        eventually_within(MINUTE, "what is new is added", || counts(&a, 105));
    }
}
