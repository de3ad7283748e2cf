//! Failures on purpose, through real traffic: what callers, retries, records and metrics see of them,
//! what bounds them, and that nobody else is touched.

#[path = "experiments/models.rs"]
mod models;

use crate::support::{Answer, Gateway, Upstream, eventually, ok, read_answer};
use gate_proxy::process::StartError;
use std::io::Write;
use std::time::{Duration, Instant};

/// Two routes to an upstream each, and these experiments (as YAML flow mappings by name).
fn document(a: &Upstream, b: &Upstream, retries: u32, experiments: &str) -> String {
    format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         upstreams:\n\
         \x20 a: {{ endpoints: ['{}'], retry: {{ attempts: {retries} }}, outlier: {{ failures: 1000 }} }}\n\
         \x20 b: {{ endpoints: ['{}'], retry: {{ attempts: {retries} }} }}\n\
         routes:\n  a: {{ match: {{ path: /a }}, target: {{ upstream: a }} }}\n\
         \x20 b: {{ match: {{ path: /b }}, target: {{ upstream: b }} }}\n\
         experiments:\n{experiments}\n",
        a.address, b.address
    )
}

fn one(inject: &str, more: &str) -> String {
    format!("  x: {{ inject: {inject}, scope: {{ upstream: a }}, for: 1h{more} }}")
}

const BODY: &str = "a body of some length, which is long enough to see what becomes of it";

fn servers() -> (Upstream, Upstream) {
    (
        Upstream::http(|_, _| ok(BODY)),
        Upstream::http(|_, _| ok(BODY)),
    )
}

fn start(inject: &str, more: &str) -> (Gateway, Upstream, Upstream) {
    let (a, b) = servers();
    let gateway = Gateway::start(&document(&a, &b, 0, &one(inject, more)));
    (gateway, a, b)
}

/// The value of a sample of the experiment `x`.
fn sample(gateway: &Gateway, family: &str) -> u64 {
    let page = gateway.metrics();
    let start = format!("{family}{{experiment=\"x\"");
    let line = page.lines().find(|line| line.starts_with(&start));
    let value = line.and_then(|line| line.rsplit(' ').next());
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

fn struck(gateway: &Gateway) -> u64 {
    sample(gateway, "tidegate_experiment_injections_total")
}

/// That route `b` is as if there were no experiment.
fn untouched(gateway: &Gateway) {
    let before = struck(gateway);
    let answer = gateway.get("/b");
    assert_eq!((answer.status, answer.text()), (200, BODY));
    assert!(answer.complete);
    assert_eq!(struck(gateway), before);
}

/// What a caller gets names no experiment.
fn is_silent(answer: &Answer) {
    assert!(!answer.head.contains("experiment"), "{answer:?}");
    assert!(!String::from_utf8_lossy(&answer.body).contains("experiment"));
}

#[test]
fn a_delayed_try_begins_later() {
    let (gateway, a, _b) = start("{ delay: { duration: 150ms, jitter: 10ms } }", "");
    let started = Instant::now();
    let answer = gateway.get("/a");
    assert!(started.elapsed() >= Duration::from_millis(150));
    assert_eq!((answer.status, answer.text()), (200, BODY));
    assert!(!a.last_seen().is_empty());
    assert_eq!(struck(&gateway), 1);
    untouched(&gateway);
}

#[test]
fn a_delay_beyond_the_time_limit_is_a_timeout() {
    let (a, b) = servers();
    let text = document(&a, &b, 0, &one("{ delay: { duration: 1h } }", ""));
    let text = text.replacen("endpoints", "timeouts: { first_byte: 100ms }, endpoints", 1);
    let gateway = Gateway::start(&text);
    let answer = gateway.get("/a");
    assert_eq!(answer.status, 504);
    is_silent(&answer);
    assert_eq!(a.accepted(), 0, "the try had not begun");
    eventually("the delay is over", || {
        sample(&gateway, "tidegate_experiment_active") == 0
    });
}

#[test]
fn an_aborted_try_is_answered_and_not_sent() {
    let (gateway, a, _b) = start("{ abort: { status: 503 } }", "");
    let answer = gateway.get("/a");
    assert_eq!(answer.status, 503);
    is_silent(&answer);
    assert_eq!(a.accepted(), 0);
    untouched(&gateway);
}

#[test]
fn retries_go_where_nothing_is_wrong() {
    let bad = Upstream::http(|_, _| ok("from the one"));
    let good = Upstream::http(|_, _| ok("from the other"));
    for inject in ["{ reset: {} }", "{ abort: { status: 503 } }"] {
        let gateway = Gateway::start(&format!(
            "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
             upstreams: {{ up: {{ endpoints: ['{0}', '{1}'], balance: {{ round_robin: {{}} }}, \
             retry: {{ attempts: 1, budget: 100 % }}, outlier: {{ failures: 1000 }} }} }}\n\
             routes: {{ all: {{ target: {{ upstream: up }} }} }}\n\
             experiments: {{ x: {{ inject: {inject}, scope: {{ upstream: up, endpoint: '{0}' }}, \
             for: 1h }} }}\n",
            bad.address, good.address
        ));
        for _ in 0..6 {
            let answer = gateway.get("/");
            assert_eq!((answer.status, answer.text()), (200, "from the other"));
        }
        assert!(struck(&gateway) >= 3, "{inject}");
    }
    assert_eq!(bad.accepted(), 0);
}

#[test]
fn what_is_reset_counts_against_the_endpoint() {
    let (bad, good) = servers();
    let gateway = Gateway::start(&format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         upstreams: {{ up: {{ endpoints: ['{0}', '{1}'], balance: {{ round_robin: {{}} }}, \
         retry: {{ attempts: 0 }}, outlier: {{ failures: 3, ejection: 1h, share: 50 % }} }} }}\n\
         routes: {{ all: {{ target: {{ upstream: up }} }} }}\n\
         experiments: {{ x: {{ inject: {{ reset: {{}} }}, for: 1h, \
         scope: {{ upstream: up, endpoint: '{0}' }} }} }}\n",
        bad.address, good.address
    ));
    let statuses: Vec<u16> = (0..20).map(|_| gateway.get("/").status).collect();
    let failed = statuses.iter().filter(|status| **status == 502).count();
    assert_eq!(failed, 3, "{statuses:?}");
    assert_eq!(struck(&gateway), 3, "the endpoint was ejected");
    assert_eq!(statuses[10..], [200; 10]);
}

#[test]
fn a_truncated_body_breaks_off() {
    let (gateway, _a, _b) = start("{ truncate: { after: 10B } }", "");
    let answer = gateway.get("/a");
    assert_eq!((answer.status, answer.text()), (200, &BODY[..10]));
    assert!(!answer.complete);
    is_silent(&answer);
    untouched(&gateway);
}

#[test]
fn a_corrupted_body_keeps_its_length() {
    let (gateway, _a, _b) = start("{ corrupt: { share: 1 % } }", "");
    let answer = gateway.get("/a");
    assert!(answer.complete);
    assert_eq!(answer.body.len(), BODY.len());
    let wrong = answer.body.iter().zip(BODY.as_bytes());
    assert_eq!(wrong.filter(|(is, was)| is != was).count(), 1);
    untouched(&gateway);
}

#[test]
fn a_throttled_body_is_slow_and_whole() {
    let (gateway, _a, _b) = start("{ throttle: { rate: 200B } }", "");
    let started = Instant::now();
    let answer = gateway.get("/a");
    // 69 bytes in pieces of 20, the last of which nobody waits behind.
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!((answer.status, answer.text()), (200, BODY));
    assert!(answer.complete);
    untouched(&gateway);
}

#[test]
fn a_scope_is_kept() {
    let (a, b) = servers();
    let gateway = Gateway::start(&document(
        &a,
        &b,
        0,
        "  x: { inject: { abort: { status: 500 } }, for: 1h, \
         scope: { route: a, when: 'request.headers[\"x-try\"] == \"yes\"' } }",
    ));
    let ask = |path: &str, value: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\nx-try: {value}\r\n\r\n");
        gateway.send(&request).status
    };
    assert_eq!(ask("/a", "yes"), 500);
    assert_eq!(ask("/a", "no"), 200);
    assert_eq!(ask("/b", "yes"), 200);
    assert_eq!(gateway.get("/a").status, 200, "no value spares");
}

#[test]
fn a_share_is_a_share() {
    let (gateway, _a, _b) = start("{ abort: { status: 500 } }", ", share: 30 %");
    let mut stream = gateway.connect();
    let mut bad = 0;
    for _ in 0..1_000 {
        stream
            .write_all(b"GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
            .unwrap();
        bad += u32::from(read_answer(&mut stream).status == 500);
    }
    // Six standard deviations to each side.
    assert!((213..=387).contains(&bad), "{bad}");
    assert_eq!(struck(&gateway), u64::from(bad));
}

#[test]
fn a_cap_spares_the_rest() {
    let (gateway, _a, _b) = start("{ delay: { duration: 1h } }", ", most: 2");
    let ask = || {
        let mut stream = gateway.connect();
        stream
            .write_all(b"GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
            .unwrap();
        stream
    };
    let held = [ask(), ask()];
    eventually("both are struck", || {
        sample(&gateway, "tidegate_experiment_active") == 2
    });
    for _ in 0..3 {
        assert_eq!(gateway.get("/a").status, 200);
    }
    assert_eq!(struck(&gateway), 2);
    assert_eq!(sample(&gateway, "tidegate_experiment_spared_total"), 3);
    drop(held);
    eventually("who left is counted out", || {
        sample(&gateway, "tidegate_experiment_active") == 0
    });
}

#[test]
fn its_end_ends_it_and_what_it_holds() {
    let (a, b) = servers();
    let experiments =
        "  x: { inject: { delay: { duration: 1h } }, scope: { upstream: a }, for: 1s }";
    let text = document(&a, &b, 0, experiments);
    let gateway = Gateway::start(&text);
    let started = Instant::now();
    let answer = gateway.get("/a");
    assert_eq!((answer.status, answer.text()), (200, BODY));
    assert!(started.elapsed() >= Duration::from_millis(500), "it held");
    assert_eq!(sample(&gateway, "tidegate_experiment_running"), 0);
    // Not by another revision that has it as it was, either.
    gateway
        .reload(&text.replace("path: /b", "path: /c"))
        .unwrap();
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(struck(&gateway), 1);
}

#[test]
fn a_stop_holds_until_the_resource_is_another() {
    let (a, b) = servers();
    let text = document(&a, &b, 0, &one("{ abort: { status: 500 } }", ""));
    let gateway = Gateway::start(&text);
    assert_eq!(gateway.get("/a").status, 500);
    let experiments = &gateway.process.shared().experiments;
    experiments.stop("x").unwrap();
    assert!(experiments.stop("x").is_err(), "it is over");
    assert!(experiments.stop("y").is_err(), "there is none");
    assert_eq!(gateway.get("/a").status, 200);
    gateway
        .reload(&text.replace("path: /b", "path: /c"))
        .unwrap();
    assert_eq!(gateway.get("/a").status, 200);
    gateway.reload(&text.replace("500", "501")).unwrap();
    assert_eq!(gateway.get("/a").status, 501);
    let without = document(&a, &b, 0, "  {}");
    gateway.reload(&without).unwrap();
    assert_eq!(gateway.get("/a").status, 200);
}

#[test]
fn a_stop_ends_what_it_holds() {
    let (gateway, _a, _b) = start("{ delay: { duration: 1h } }", "");
    let mut stream = gateway.connect();
    stream
        .write_all(b"GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        .unwrap();
    eventually("it is struck", || {
        sample(&gateway, "tidegate_experiment_active") == 1
    });
    gateway.process.shared().experiments.stop("x").unwrap();
    let answer = read_answer(&mut stream);
    assert_eq!((answer.status, answer.text()), (200, BODY));
}

#[test]
fn its_guard_stops_it() {
    let (gateway, _a, _b) = start(
        "{ abort: { status: 500 } }",
        ", stop_at: { bad: 50 %, least: 10 }",
    );
    for _ in 0..10 {
        assert_eq!(gateway.get("/a").status, 500);
    }
    eventually("the guard stopped it", || {
        sample(&gateway, "tidegate_experiment_running") == 0
    });
    assert_eq!(gateway.get("/a").status, 200);
    assert_eq!(struck(&gateway), 10);
}

#[test]
fn the_log_names_it() {
    let folder = std::env::temp_dir().join(format!("tidegate-experiments-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (a, b) = servers();
    let text = document(&a, &b, 0, &one("{ reset: {} }", "")).replacen(
        "workers: 1",
        "workers: 1, access_log: { to: { file: { path: access.log } } }",
        1,
    );
    let gateway = Gateway::start_in(&folder, &text).unwrap_or_else(|error| panic!("{error}"));
    let answer = gateway.get("/a");
    assert_eq!(answer.status, 502);
    is_silent(&answer);
    untouched(&gateway);
    let read = || std::fs::read_to_string(folder.join("access.log")).unwrap_or_default();
    eventually("both rows are written", || read().lines().count() == 2);
    let rows: Vec<serde_json::Value> = read()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows[0]["experiments"], "x");
    assert_eq!(rows[0]["fault"], "upstream_reset");
    assert!(rows[0]["fault_detail"].as_str().unwrap().contains("`x`"));
    assert_eq!(rows[1]["experiments"], serde_json::Value::Null);
    drop(gateway);
    let _ = std::fs::remove_dir_all(&folder);
}

/// The code and place of every finding of a document with this experiment.
fn findings(experiment: &str) -> Vec<(String, String)> {
    let (a, b) = servers();
    let text = document(&a, &b, 0, &format!("  x: {experiment}"));
    match Gateway::try_start(&text) {
        Err(StartError::Findings(findings)) => findings
            .iter()
            .map(|finding| {
                assert!(finding.line > 0, "{finding}");
                (finding.code.to_string(), finding.path.to_string())
            })
            .collect(),
        Err(other) => panic!("{other}"),
        Ok(_) => Vec::new(),
    }
}

#[test]
fn what_cannot_work_is_refused_at_its_place() {
    let invalid = |field: &str| {
        vec![(
            "invalid_experiment".to_owned(),
            format!("experiments.x.{field}"),
        )]
    };
    let of = |inject: &str, scope: &str, more: &str| {
        findings(&format!("{{ inject: {inject}, scope: {scope}, {more} }}"))
    };
    let (reset, here) = ("{ reset: {} }", "{ upstream: a }");
    assert_eq!(of(reset, here, "for: 1h"), []);
    assert_eq!(of(reset, here, "share: 10 %"), invalid("for"));
    assert_eq!(of(reset, here, "for: 25h"), invalid("for"));
    assert_eq!(of(reset, here, "until: 9999-01-01"), invalid("until"));
    assert_eq!(of(reset, here, "for: 1h, most: 0"), invalid("most"));
    assert_eq!(of(reset, here, "for: 1h, share: 0 %"), invalid("share"));
    assert_eq!(of(reset, "{}", "for: 1h"), invalid("scope"));
    assert_eq!(
        of("{ cut_stream: {} }", here, "for: 1h"),
        invalid("scope"),
        "an upstream has no streams of models"
    );
    assert_eq!(
        of("{ abort: { status: 200 } }", here, "for: 1h"),
        invalid("inject")
    );
    let unknown = of(reset, "{ upstream: c }", "for: 1h");
    let expected = ("unknown_reference", "experiments.x.scope.upstream");
    assert_eq!(unknown, [(expected.0.to_owned(), expected.1.to_owned())]);
    let unknown = of(reset, "{ upstream: a, endpoint: 'b:1' }", "for: 1h");
    assert_eq!(unknown[0].1, "experiments.x.scope.endpoint");
    let wrong = of(reset, "{ route: a, when: '1 +' }", "for: 1h");
    assert_eq!(wrong[0].1, "experiments.x.scope.when");
}

/// How many of 40 exchanges failed that both arms of a rollout served.
fn on_trial(control: &str, candidate: &str) -> usize {
    let gateway = Gateway::start(control);
    crate::rollouts::begin(
        &gateway,
        control,
        candidate,
        &crate::rollouts::strategy(&[gate_model::resources::Signal::Errors]),
        0.5,
    )
    .unwrap_or_else(|error| panic!("{error}"));
    let statuses: Vec<u16> = (0..40).map(|_| gateway.get("/a").status).collect();
    let failed = statuses.iter().filter(|status| **status == 500).count();
    gateway.process.end_trial();
    failed
}

#[test]
fn both_arms_of_a_rollout_meet_the_same() {
    let (a, b) = servers();
    let with = document(&a, &b, 0, &one("{ abort: { status: 500 } }", ""));
    let without = document(&a, &b, 0, "  {}");
    // The candidate differs in its upstream, so that it is about the route.
    let other = |text: &str| text.replacen("failures: 1000", "failures: 999", 1);
    assert_eq!(on_trial(&with, &other(&without)), 40);
    assert_eq!(on_trial(&with, &other(&with)), 40);
    assert_eq!(on_trial(&without, &other(&with)), 0);
}
