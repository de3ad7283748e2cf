//! The two ends of the wire against each other: what the generator counts is what the mock said,
//! and a wrong answer ends a run.

use std::time::Duration;

use gate_bench::load::{LoadError, Mark, Outcome, Pace, Plan, Stop, run};
use gate_bench::scenario;
use gate_bench::subject::Kind;
use gate_bench::upstream::{EVENTS_PER_STREAM, Upstream};

fn plan(upstream: &Upstream, name: &str, count: u64) -> Plan {
    let scenario = scenario::find(name)[0];
    Plan {
        address: upstream.address(),
        tls: None,
        connections: 4,
        request: scenario.request(Kind::Direct),
        pace: Pace::Closed,
        stop: Stop::Answers {
            count,
            deadline: Duration::from_secs(60),
        },
    }
}

fn check(plan: &Plan) -> Outcome {
    let mut marks = Vec::new();
    let outcome = run(plan, &mut |mark| marks.push(mark)).expect("the mock answers rightly");
    assert_eq!(marks, [Mark::Start, Mark::End]);
    outcome
}

#[test]
fn every_answer_is_counted_once() {
    let upstream = Upstream::start(None).expect("loopback");
    for name in ["json-1k", "json-16k", "chat", "chat-translated"] {
        let outcome = check(&plan(&upstream, name, 500));
        assert_eq!((outcome.answers, outcome.reconnects), (500, 0), "{name}");
        assert_eq!(outcome.latency.len(), 500, "{name}");
    }
}

#[test]
fn streams_are_counted_by_event_at_every_pace() {
    let upstream = Upstream::start(None).expect("loopback");
    for name in ["stream-coalesced", "stream-burst"] {
        let outcome = check(&plan(&upstream, name, 40));
        assert_eq!(outcome.events, 40 * EVENTS_PER_STREAM, "{name}");
    }
    let mut outcome = check(&plan(&upstream, "stream-paced", 4));
    assert_eq!(outcome.events, 4 * EVENTS_PER_STREAM);
    let [first] = outcome.first_byte.quantiles_us([1.0]);
    let [whole] = outcome.latency.quantiles_us([0.0]);
    assert!(whole > 4_000_000.0, "202 pauses of 20 ms, not {whole} us");
    assert!(first < whole / 2.0, "the first event comes before the last");
}

#[test]
fn an_open_loop_keeps_its_schedule() {
    let upstream = Upstream::start(None).expect("loopback");
    let mut plan = plan(&upstream, "json-1k", 100);
    plan.pace = Pace::Open { rate: 200.0 };
    let outcome = check(&plan);
    // 100 requests at 200 per second span 495 ms; a slow machine may only be later.
    assert!(
        outcome.elapsed >= Duration::from_millis(490),
        "{:?}",
        outcome.elapsed
    );
    assert_eq!(outcome.answers, 100);
}

#[test]
fn a_wrong_answer_ends_the_run() {
    let upstream = Upstream::start(None).expect("loopback");
    let right = plan(&upstream, "stream-burst", 10);
    let mut wrong_status = right.clone();
    wrong_status.request.expect.status = 201;
    let mut wrong_length = right.clone();
    wrong_length.request.expect.body_bytes = Some(1);
    let mut wrong_events = right.clone();
    wrong_events.request.expect.events = Some(EVENTS_PER_STREAM + 1);
    for plan in [wrong_status, wrong_length, wrong_events] {
        let error = run(&plan, &mut |_| {}).expect_err("the expectation is wrong");
        assert!(matches!(error, LoadError::Wrong(_)), "{error}");
    }
}

#[test]
fn an_upstream_that_is_gone_ends_the_run() {
    let upstream = Upstream::start(None).expect("loopback");
    let plan = plan(&upstream, "json-1k", 10);
    drop(upstream);
    let error = run(&plan, &mut |_| {}).expect_err("nobody listens");
    assert!(matches!(error, LoadError::Io(..)), "{error}");
}
