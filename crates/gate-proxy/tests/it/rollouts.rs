//! Guarded rollouts through real sockets: the engine on the counts of a real gateway, without
//! anybody's help. What the control plane adds (stores, several gateways) is tested with it.

use crate::support::{Answer, Gateway, Upstream, eventually, ok, read_answer, read_head};
use gate_model::resources::{Rollout as Strategy, Shadow, Signal, Sticky};
use gate_model::units::{Percent, Period};
use gate_ops::rollout::{Phase, Report, Rollout, touched};
use gate_proxy::process::StartError;
use gate_proxy::trials::TrialStart;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

pub(crate) const ID: &str = "r-1";

pub(crate) fn strategy(signals: &[Signal]) -> Strategy {
    Strategy {
        steps: [20, 50].map(Percent::from_percents).to_vec(),
        step_minimum: Period::from_millis(200),
        step_patience: Period::from_seconds(60),
        signals: signals.to_vec(),
        // Fewer exchanges have to show that a share is small than that it is the same.
        negligible: Percent::from_percents(5),
        ..Strategy::default()
    }
}

/// Begins a trial of `candidate` for the routes that differ.
pub(crate) fn begin(
    gateway: &Gateway,
    control: &str,
    candidate: &str,
    strategy: &Strategy,
    share: f64,
) -> Result<Vec<String>, StartError> {
    let read = |yaml: &str| crate::support::parse(yaml);
    let json = |yaml: &str| {
        let text = gate_model::document::canonical_json(&read(yaml).root);
        serde_json::from_str(&text).unwrap()
    };
    let routes = touched(&json(control), &json(candidate)).unwrap();
    gateway.process.begin_trial(&TrialStart {
        rollout: ID,
        revision: 2,
        document: &read(candidate),
        strategy,
        routes: Some(&routes),
        step: 0,
        share,
    })?;
    Ok(routes)
}

/// Rolls `candidate` out under the traffic that `ask` makes until it is over, as the leader does.
pub(crate) fn roll_out(
    gateway: &Gateway,
    control: &str,
    candidate: &str,
    strategy: &Strategy,
    ask: impl Fn(&Gateway) + Sync,
) -> Rollout {
    let share = match strategy.shadow {
        Some(_) => 0.0,
        None => strategy.shares()[0],
    };
    let routes = begin(gateway, control, candidate, strategy, share).unwrap();
    let mut rollout = Rollout::new(strategy.clone(), routes, 1, 0).unwrap();
    let began = Instant::now();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                ask(gateway);
            }
        });
        while !rollout.phase.is_over() && began.elapsed() < Duration::from_secs(50) {
            std::thread::sleep(Duration::from_millis(50));
            let report = Report {
                instance: "one".into(),
                rows: gateway.process.shared().trials.counts(ID),
            };
            let now_ms = u64::try_from(began.elapsed().as_millis()).unwrap();
            if rollout.observe(&[report], now_ms).is_some() {
                gateway
                    .process
                    .step_trial(ID, rollout.step, rollout.share());
            }
        }
        if rollout.phase == Phase::Promoted {
            gateway.reload(candidate).unwrap();
        }
        gateway.process.end_trial();
        ended.store(true, Ordering::Relaxed);
    });
    rollout
}

/// A document whose route `orders` goes to one upstream and `other` to nobody.
pub(crate) fn orders(upstream: SocketAddr) -> String {
    format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         upstreams: {{ orders: {{ endpoints: ['{upstream}'], retry: {{ attempts: 1 }} }} }}\n\
         routes:\n  orders: {{ match: {{ path: '/orders/{{*rest}}' }}, target: {{ upstream: orders }} }}\n  \
         other: {{ match: {{ path: /other }}, target: {{ fixed: {{ status: 200 }} }} }}\n"
    )
}

pub(crate) fn failing() -> Upstream {
    Upstream::http(|_, _| "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n".into())
}

/// A hundred requests over one connection.
pub(crate) fn ask_orders(gateway: &Gateway) {
    let mut stream = gateway.connect();
    for _ in 0..100 {
        let request = b"GET /orders/1 HTTP/1.1\r\nhost: test\r\n\r\n";
        stream.write_all(request).unwrap();
        read_answer(&mut stream);
    }
}

#[test]
fn an_upstream_that_fails_is_taken_back_and_one_that_works_is_promoted() {
    let (good, bad, next) = (
        Upstream::http(|_, _| ok("one")),
        failing(),
        Upstream::http(|_, _| ok("two")),
    );
    let control = orders(good.address);
    let gateway = Gateway::start(&control);
    let strategy = strategy(&[Signal::Errors, Signal::Refusals]);
    let rollout = roll_out(
        &gateway,
        &control,
        &orders(bad.address),
        &strategy,
        ask_orders,
    );
    assert_eq!(rollout.phase, Phase::RolledBack, "{}", rollout.reason);
    assert!(
        rollout.reason.contains("errors on `orders`"),
        "{}",
        rollout.reason
    );
    assert!((0..50).all(|_| gateway.get("/orders/1").text() == "one"));

    let rollout = roll_out(
        &gateway,
        &control,
        &orders(next.address),
        &strategy,
        ask_orders,
    );
    assert_eq!(rollout.phase, Phase::Promoted, "{}", rollout.reason);
    assert!((0..50).all(|_| gateway.get("/orders/1").text() == "two"));
    assert!(
        gateway
            .metrics()
            .contains("tidegate_rollout_readings_total{rollout=\"r-1\",route=\"orders\"")
    );
}

#[test]
fn an_upstream_that_is_slow_is_taken_back() {
    let good = Upstream::http(|_, _| ok("one"));
    let slow = Upstream::http(|_, _| {
        std::thread::sleep(Duration::from_millis(40));
        ok("two")
    });
    let control = orders(good.address);
    let gateway = Gateway::start(&control);
    let strategy = strategy(&[Signal::Errors, Signal::Latency]);
    let rollout = roll_out(
        &gateway,
        &control,
        &orders(slow.address),
        &strategy,
        ask_orders,
    );
    assert_eq!(rollout.phase, Phase::RolledBack, "{}", rollout.reason);
    assert!(
        rollout.reason.contains("latency on `orders`"),
        "{}",
        rollout.reason
    );
}

#[test]
fn a_route_that_is_lost_is_taken_back() {
    let good = Upstream::http(|_, _| ok("one"));
    let control = orders(good.address);
    let candidate = control.replace("/orders/", "/wrong/");
    let gateway = Gateway::start(&control);
    let strategy = strategy(&[Signal::Errors, Signal::Refusals]);
    let rollout = roll_out(&gateway, &control, &candidate, &strategy, ask_orders);
    assert_eq!(rollout.phase, Phase::RolledBack, "{}", rollout.reason);
    assert!(
        rollout.reason.contains("refusals on `orders`"),
        "{}",
        rollout.reason
    );
}

#[test]
fn an_expression_says_what_is_bad() {
    let good = Upstream::http(|_, _| ok("one"));
    let empty = Upstream::http(|_, _| ok(""));
    let control = orders(good.address);
    let gateway = Gateway::start(&control);
    let expressions = [(
        "empty".to_owned(),
        "record.status == 200 && record.response_bytes == 0".to_owned(),
    )];
    let strategy = Strategy {
        expressions: expressions.into(),
        ..strategy(&[Signal::Errors])
    };
    let rollout = roll_out(
        &gateway,
        &control,
        &orders(empty.address),
        &strategy,
        ask_orders,
    );
    assert_eq!(rollout.phase, Phase::RolledBack, "{}", rollout.reason);
    assert!(
        rollout.reason.contains("empty on `orders`"),
        "{}",
        rollout.reason
    );
}

#[test]
fn answers_are_compared_before_the_candidate_serves_anybody() {
    let (one, same) = (
        Upstream::http(|_, _| ok("one")),
        Upstream::http(|_, _| ok("one")),
    );
    let other = Upstream::http(|_, _| ok("eno"));
    let control = orders(one.address);
    let gateway = Gateway::start(&control);
    let shadow = |bodies| {
        Some(Shadow {
            share: Percent::HUNDRED,
            copies: 50,
            bodies,
            ..Shadow::default()
        })
    };
    let strategy = |bodies| Strategy {
        shadow: shadow(bodies),
        ..strategy(&[Signal::Errors])
    };
    let differs = roll_out(
        &gateway,
        &control,
        &orders(other.address),
        &strategy(true),
        ask_orders,
    );
    assert_eq!(differs.phase, Phase::RolledBack, "{}", differs.reason);
    assert!(
        differs.reason.contains("compared answers differ"),
        "{}",
        differs.reason
    );
    assert!(other.last_seen().contains("x-tidegate-mirror: 1"));
    assert_eq!(differs.step, 0);
    let agrees = roll_out(
        &gateway,
        &control,
        &orders(same.address),
        &strategy(true),
        ask_orders,
    );
    assert_eq!(agrees.phase, Phase::Promoted, "{}", agrees.reason);
    // The status alone is the same.
    let control = orders(same.address);
    let agrees = roll_out(
        &gateway,
        &control,
        &orders(other.address),
        &strategy(false),
        ask_orders,
    );
    assert_eq!(agrees.phase, Phase::Promoted, "{}", agrees.reason);
}

// --- models ---------------------------------------------------------------------------------------

/// A provider whose answer depends on what is asked.
pub(crate) fn provider() -> Upstream {
    Upstream::http(|_, body| {
        let body = String::from_utf8_lossy(body);
        if body.contains("broken") {
            return "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n".into();
        }
        if body.contains("hesitant") {
            std::thread::sleep(Duration::from_millis(40));
        }
        let tokens = if body.contains("wordy") { 4000 } else { 40 };
        let said = if body.contains("other") { "n" } else { "y" };
        let usage = format!(r#"{{"prompt_tokens":9,"completion_tokens":{tokens}}}"#);
        let (kind, answer) = match body.contains(r#""stream":true"#) {
            true => (
                "text/event-stream",
                format!(
                    "data: {{\"id\":\"a\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"x\",\
                     \"choices\":[{{\"index\":0,\"delta\":{{\"role\":\"assistant\",\"content\":\"{said}\"}},\
                     \"finish_reason\":\"stop\"}}],\"usage\":{usage}}}\n\ndata: [DONE]\n\n"
                ),
            ),
            false => (
                "application/json",
                format!(
                    r#"{{"id":"a","object":"chat.completion","created":1,"model":"x","choices":[{{"index":0,"message":{{"role":"assistant","content":"{said}"}},"finish_reason":"stop"}}],"usage":{usage}}}"#
                ),
            ),
        };
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        )
    })
}

pub(crate) fn assistant(provider: SocketAddr, model: &str, label: u32) -> String {
    format!(
        "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         providers: {{ p: {{ compatible: {{ base_url: 'http://{provider}/v1', credentials: [{{ env: KEY }}] }} }} }}\n\
         prices: {{ p/*: [{{ per_million: {{ input: 1, output: 2 }} }}] }}\n\
         models: {{ m: {{ targets: [{{ provider: p, model: {model} }}], retry: {{ attempts: 1 }} }} }}\n\
         prompts:\n  hello:\n    versions:\n      1: {{ messages: [{{ role: system, content: fine }}] }}\n      \
         2: {{ messages: [{{ role: system, content: broken }}] }}\n    labels: {{ production: {label} }}\n\
         routes:\n  ai: {{ policies: [{{ prompt: {{ name: hello, label: production }} }}], target: {{ models: [m] }} }}\n"
    )
}

/// Fifty calls over one connection, with more fields in each.
pub(crate) fn ask_models(gateway: &Gateway, more: &str) -> Vec<Answer> {
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"q"}}]{more}}}"#);
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = gateway.connect();
    let ask = |_| {
        stream.write_all(request.as_bytes()).unwrap();
        read_answer(&mut stream)
    };
    (0..50).map(ask).collect()
}

fn ask_assistant(gateway: &Gateway) {
    ask_models(gateway, "");
}

#[test]
fn a_model_whose_first_token_is_late_is_taken_back() {
    let provider = provider();
    let control = assistant(provider.address, "v1", 1);
    let gateway = Gateway::start(&control);
    let strategy = strategy(&[Signal::Errors, Signal::TimeToFirstToken]);
    let candidate = assistant(provider.address, "v2-hesitant", 1);
    let rollout = roll_out(&gateway, &control, &candidate, &strategy, |gateway| {
        ask_models(gateway, r#","stream":true"#);
    });
    assert_eq!(rollout.phase, Phase::RolledBack, "{}", rollout.reason);
    let signal = "time_to_first_token on `ai`";
    assert!(rollout.reason.contains(signal), "{}", rollout.reason);
}

#[test]
fn every_signal_is_counted_on_every_route_that_the_change_touches() {
    let provider = provider();
    let both = |model: &str, body: &str| {
        let page =
            "  page: { match: { path: /page }, target: { fixed: { status: 200, body: B } } }\n";
        assistant(provider.address, model, 1) + &page.replace('B', body)
    };
    let control = both("v1", "one");
    let gateway = Gateway::start(&control);
    let slow = ("slow".to_owned(), "record.duration_ms > 800".to_owned());
    let strategy = Strategy {
        expressions: [slow].into(),
        ..strategy(&Signal::ALL)
    };
    let routes = begin(&gateway, &control, &both("v2", "two"), &strategy, 0.5).unwrap();
    assert_eq!(routes, ["ai", "page"]);
    ask_models(&gateway, r#","stream":true"#);
    (0..50).for_each(|_| assert_eq!(gateway.get("/page").status, 200));
    let of = |slice: &str| -> Vec<(String, u64)> {
        let counts = gateway.process.shared().trials.counts(ID);
        let rows = counts.into_iter().filter(|row| row.slice == slice);
        rows.map(|row| (row.signal, row.control.total + row.candidate.total))
            .collect()
    };
    let all = |names: &[&str]| -> Vec<(String, u64)> {
        names.iter().map(|name| ((*name).to_owned(), 50)).collect()
    };
    let (labels, times) = (
        ["errors", "refusals", "latency"],
        ["time_to_first_token", "cost"],
    );
    let models = [&labels[..], &times, &["slow"]].concat();
    // A record closes a moment after its answer has been read.
    eventually("all are counted", || of("ai") == all(&models));
    let page = [&labels[..], &["slow"]].concat();
    eventually("all are counted", || of("page") == all(&page));
}

#[test]
fn a_version_of_a_model_that_fails_or_costs_more_is_taken_back() {
    let provider = provider();
    let control = assistant(provider.address, "v1", 1);
    let gateway = Gateway::start(&control);
    let strategy = strategy(&[Signal::Errors, Signal::Cost]);
    for (model, signal) in [
        ("v2-broken", "errors on `ai`"),
        ("v3-wordy", "cost on `ai`"),
    ] {
        let candidate = assistant(provider.address, model, 1);
        let rollout = roll_out(&gateway, &control, &candidate, &strategy, ask_assistant);
        assert_eq!(
            rollout.phase,
            Phase::RolledBack,
            "{model}: {}",
            rollout.reason
        );
        assert!(
            rollout.reason.contains(signal),
            "{model}: {}",
            rollout.reason
        );
    }
}

#[test]
fn a_prompt_is_guarded_by_its_label() {
    let provider = provider();
    let control = assistant(provider.address, "v1", 1);
    let gateway = Gateway::start(&control);
    let candidate = assistant(provider.address, "v1", 2);
    let strategy = strategy(&[Signal::Errors]);
    let rollout = roll_out(&gateway, &control, &candidate, &strategy, ask_assistant);
    assert_eq!(rollout.phase, Phase::RolledBack, "{}", rollout.reason);
}

// --- arms -----------------------------------------------------------------------------------------

#[test]
fn a_stream_of_the_candidate_outlives_its_rollback() {
    let good = Upstream::http(|_, _| ok("one"));
    let (go_on, goes_on) = mpsc::channel::<()>();
    let goes_on = Arc::new(std::sync::Mutex::new(goes_on));
    let streaming = Upstream::raw(move |mut stream, _| {
        crate::support::read_request(&mut stream);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(b"5\r\nfirst\r\n").unwrap();
        let waiting = goes_on.lock().unwrap();
        waiting.recv_timeout(Duration::from_secs(10)).unwrap();
        stream.write_all(b"4\r\nlast\r\n0\r\n\r\n").unwrap();
    });
    let control = orders(good.address);
    let gateway = Gateway::start(&control);
    let strategy = strategy(&[Signal::Errors]);
    begin(
        &gateway,
        &control,
        &orders(streaming.address),
        &strategy,
        1.0,
    )
    .unwrap();
    let mut stream = gateway.connect();
    stream
        .write_all(b"GET /orders/1 HTTP/1.1\r\nhost: test\r\n\r\n")
        .unwrap();
    let head = read_head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    gateway.process.end_trial();
    // The next exchange is served by the revision in force, the stream goes on to its end.
    assert_eq!(gateway.get("/orders/1").text(), "one");
    go_on.send(()).unwrap();
    let mut rest = Vec::new();
    while !rest.ends_with(b"0\r\n\r\n") {
        let mut byte = [0];
        std::io::Read::read_exact(&mut stream, &mut byte).unwrap();
        rest.push(byte[0]);
    }
    let rest = String::from_utf8(rest).unwrap();
    assert!(rest.contains("first") && rest.contains("last"), "{rest}");
    // It counts although its trial is over.
    eventually("the stream is counted", || {
        let counts = gateway.process.shared().trials.counts(ID);
        counts.iter().any(|row| row.candidate.total == 1)
    });
}

#[test]
fn only_routes_that_differ_take_part() {
    let (good, bad) = (Upstream::http(|_, _| ok("one")), failing());
    let control = orders(good.address);
    let gateway = Gateway::start(&control);
    let strategy = strategy(&[Signal::Errors]);
    let routes = begin(&gateway, &control, &orders(bad.address), &strategy, 1.0).unwrap();
    assert_eq!(routes, ["orders"]);
    assert!((0..20).all(|_| gateway.get("/other").status == 200));
    assert_eq!(gateway.process.shared().trials.counts(ID), []);
    assert_eq!(gateway.get("/orders/1").status, 500);
    assert_eq!(
        gateway
            .process
            .trial()
            .map(|(_, revision, step)| (revision, step)),
        Some((2, 0))
    );
    gateway.process.end_trial();
    assert_eq!(gateway.get("/orders/1").status, 200);
    assert_eq!(gateway.process.trial(), None);
}

#[test]
fn a_caller_stays_with_its_arm_and_more_of_them_come_with_a_larger_share() {
    let (one, two) = (
        Upstream::http(|_, _| ok("one")),
        Upstream::http(|_, _| ok("two")),
    );
    let control = orders(one.address);
    let gateway = Gateway::start(&control);
    let strategy = Strategy {
        sticky: Some(Sticky::Header {
            name: "x-user".into(),
        }),
        ..strategy(&[Signal::Errors])
    };
    begin(&gateway, &control, &orders(two.address), &strategy, 0.3).unwrap();
    let ask = |user: usize| -> Answer {
        gateway.send(&format!(
            "GET /orders/1 HTTP/1.1\r\nhost: test\r\nx-user: u{user}\r\n\r\n"
        ))
    };
    let arms = || {
        (0..200)
            .map(|user| ask(user).text() == "two")
            .collect::<Vec<_>>()
    };
    let first = arms();
    let candidates = first.iter().filter(|arm| **arm).count();
    assert!((30..=90).contains(&candidates), "{candidates}");
    assert_eq!(arms(), first);
    let counts = gateway.process.shared().trials.counts(ID);
    assert_eq!(counts[0].candidate.total + counts[0].control.total, 200);
    assert!(gateway.process.step_trial(ID, 1, 0.8));
    let later = arms();
    assert!(
        first
            .iter()
            .zip(&later)
            .all(|(before, now)| *now || !before)
    );
    assert!(later.iter().filter(|arm| **arm).count() > candidates);
}

#[test]
fn what_cannot_be_tried_is_refused_and_changes_nothing() {
    let good = Upstream::http(|_, _| ok("one"));
    let control = orders(good.address);
    let gateway = Gateway::start(&control);
    let strategy = strategy(&[Signal::Errors]);
    let listeners = control.replace("address: '127.0.0.1:0'", "address: '127.0.0.1:1'");
    let document = crate::support::parse(&listeners);
    let start = TrialStart {
        rollout: ID,
        revision: 2,
        document: &document,
        strategy: &strategy,
        routes: None,
        step: 0,
        share: 1.0,
    };
    let Err(StartError::Findings(findings)) = gateway.process.begin_trial(&start) else {
        panic!("a change of listeners is tried");
    };
    assert_eq!(findings[0].code, "not_gradual");
    let broken = Strategy {
        expressions: [("slow".to_owned(), "record.duraton_ms > 1".to_owned())].into(),
        ..strategy.clone()
    };
    let document = crate::support::parse(&control);
    let start = TrialStart {
        document: &document,
        strategy: &broken,
        ..start
    };
    let Err(StartError::Findings(findings)) = gateway.process.begin_trial(&start) else {
        panic!("an expression with a wrong name is tried");
    };
    assert!(
        findings[0].to_string().contains("duration_ms"),
        "{}",
        findings[0]
    );
    assert_eq!(
        (gateway.process.trial(), gateway.get("/orders/1").status),
        (None, 200)
    );
}
