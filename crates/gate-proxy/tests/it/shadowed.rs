//! Comparisons before the first step, through real sockets: what is copied, what is compared, what
//! it costs, and that nobody waits for it or is served by it.

use crate::rollouts::{ID, ask_models, assistant, begin, orders, provider, roll_out, strategy};
use crate::support::{Gateway, Upstream, eventually, ok, read_answer};
use gate_model::resources::{Rollout as Strategy, Shadow, Signal};
use gate_model::units::Percent;
use gate_ops::rollout::Phase;
use std::io::Write;
use std::time::{Duration, Instant};

/// Everything is copied, POST as well.
fn shadow() -> Shadow {
    Shadow {
        share: Percent::HUNDRED,
        copies: 50,
        bodies: true,
        methods: vec!["POST".into()],
        spend: Percent::HUNDRED,
        ..Shadow::default()
    }
}

fn comparing(shadow: Shadow) -> Strategy {
    Strategy {
        shadow: Some(shadow),
        ..strategy(&[Signal::Errors])
    }
}

/// Answers with what was sent, in capitals where `loud`.
fn echo(loud: bool) -> Upstream {
    Upstream::http(move |_, body| {
        let body = String::from_utf8_lossy(body);
        match loud {
            true => ok(&body.to_uppercase()),
            false => ok(&body),
        }
    })
}

fn post(gateway: &Gateway, body: &str) -> String {
    let length = body.len();
    let head = format!("POST /orders/1 HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n");
    let mut stream = gateway.connect();
    stream.write_all(head.as_bytes()).unwrap();
    // The body comes in pieces, as bodies do.
    let (one, other) = body.split_at(length / 2);
    stream.write_all(one.as_bytes()).unwrap();
    stream.write_all(other.as_bytes()).unwrap();
    read_answer(&mut stream).text().to_owned()
}

#[test]
fn a_method_with_effects_is_copied_where_it_is_named() {
    let (current, same, other) = (echo(false), echo(false), echo(true));
    let control = orders(current.address);
    let gateway = Gateway::start(&control);
    let ask = |gateway: &Gateway| assert_eq!(post(gateway, "what is sent"), "what is sent");
    let differs = comparing(shadow());
    let rollout = roll_out(&gateway, &control, &orders(other.address), &differs, ask);
    assert_eq!(rollout.phase, Phase::RolledBack, "{}", rollout.reason);
    assert!(other.last_seen().starts_with("POST /orders/1"));
    assert!(other.last_seen().contains("x-tidegate-mirror: 1"));

    // Not named, or too large: not copied.
    for shadow in [
        Shadow {
            methods: vec![],
            ..shadow()
        },
        Shadow {
            request: gate_model::units::ByteSize::from_kibibytes(0),
            ..shadow()
        },
    ] {
        let before = same.accepted();
        begin(
            &gateway,
            &control,
            &orders(same.address),
            &comparing(shadow),
            0.0,
        )
        .unwrap();
        (0..20).for_each(|_| ask(&gateway));
        gateway.process.end_trial();
        assert_eq!(same.accepted(), before);
    }
    begin(
        &gateway,
        &control,
        &orders(same.address),
        &comparing(shadow()),
        0.0,
    )
    .unwrap();
    (0..20).for_each(|_| ask(&gateway));
    eventually("copies are compared", || {
        let counts = gateway.process.shared().trials.counts(ID);
        let answers = counts.iter().find(|row| row.signal == "answers");
        answers.is_some_and(|row| (row.candidate.total, row.candidate.bad) == (20, 0))
    });
}

#[test]
fn nobody_waits_for_a_copy() {
    let current = echo(false);
    let slow = Upstream::http(|_, _| {
        std::thread::sleep(Duration::from_secs(5));
        ok("late")
    });
    let control = orders(current.address);
    let gateway = Gateway::start(&control);
    begin(
        &gateway,
        &control,
        &orders(slow.address),
        &comparing(shadow()),
        0.0,
    )
    .unwrap();
    let began = Instant::now();
    (0..40).for_each(|_| assert_eq!(post(&gateway, "now"), "now"));
    // Waiting for them would take 200 s.
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "{:?}",
        began.elapsed()
    );
    eventually("copies were sent", || slow.accepted() > 0);
}

/// Bad ones of the candidate's and the control's pairs, by signal.
fn pairs(gateway: &Gateway, signal: &str) -> (u64, u64, u64) {
    let counts = gateway.process.shared().trials.counts(ID);
    let found = counts.iter().find(|row| row.signal == signal);
    found.map_or((0, 0, 0), |row| {
        (row.candidate.total, row.candidate.bad, row.control.bad)
    })
}

/// The value of a metric of the rollout.
fn metric(gateway: &Gateway, name: &str) -> f64 {
    let page = gateway.metrics();
    let line = format!("{name}{{rollout=\"{ID}\"}} ");
    let value = page.lines().find_map(|it| it.strip_prefix(&line));
    value
        .unwrap_or_else(|| panic!("no {name}: {page}"))
        .parse()
        .unwrap()
}

#[test]
fn a_model_is_compared_by_what_it_says_takes_and_costs() {
    let provider = provider();
    let control = assistant(provider.address, "v1", 1);
    let gateway = Gateway::start(&control);
    // A hundred times as dear, which is within the limit only now and then.
    let candidate = assistant(provider.address, "v3-wordy", 1);
    begin(&gateway, &control, &candidate, &comparing(shadow()), 0.0).unwrap();
    let started = Instant::now();
    while pairs(&gateway, "answers_cost").0 < 3 && started.elapsed() < Duration::from_secs(30) {
        for answer in ask_models(&gateway, "") {
            assert!(
                answer.text().contains("\"completion_tokens\":40"),
                "{answer:?}"
            );
        }
    }
    for signal in ["answers_cost", "answers_tokens"] {
        let (total, by_copy, by_caller) = pairs(&gateway, signal);
        assert!(total >= 3 && by_copy == total && by_caller == 0, "{signal}");
    }
    let (total, differ, _) = pairs(&gateway, "answers");
    assert!(
        total >= 3 && differ == 0,
        "words differ each time: {total} {differ}"
    );
    let (copies, cost) = (
        metric(&gateway, "tidegate_rollout_copies_total"),
        metric(&gateway, "tidegate_rollout_copies_cost_total"),
    );
    // 9 tokens at 1 and 4000 at 2 dollars a million, each.
    assert!(cost > 0.0 && cost <= copies * 0.008_01, "{copies} {cost}");
    let asked = provider.seen.lock().unwrap().len() as f64;
    let own = (asked - copies) * 0.000_089;
    assert!(cost <= own + 64.0 * 0.008_01, "{cost} beside {own}");
    assert!(copies * 10.0 < asked, "{copies} of {asked}");
    gateway.process.end_trial();

    // Where a model says the same each time, what it says is compared.
    let candidate = assistant(provider.address, "v4-other", 1);
    let sure = |gateway: &Gateway| {
        ask_models(gateway, r#","temperature":0"#);
    };
    let rollout = roll_out(&gateway, &control, &candidate, &comparing(shadow()), sure);
    assert_eq!(rollout.phase, Phase::RolledBack, "{}", rollout.reason);
    assert!(
        rollout.reason.contains("answers differ"),
        "{}",
        rollout.reason
    );
    let candidate = assistant(provider.address, "v5", 1);
    let rollout = roll_out(&gateway, &control, &candidate, &comparing(shadow()), sure);
    assert_eq!(rollout.phase, Phase::Promoted, "{}", rollout.reason);
    let told = rollout
        .events
        .iter()
        .any(|event| event.reason.contains("; cost: 0 of"));
    assert!(told, "{:?}", rollout.events);
}

#[test]
fn a_copy_takes_nothing_from_its_callers_limits() {
    let (current, same) = (echo(false), echo(false));
    let limited = |upstream| {
        orders(upstream).replace(
            "target: { upstream: orders }",
            "policies: [{ limit: { by: route, rate: 30/h } }], target: { upstream: orders }",
        )
    };
    let control = limited(current.address);
    let gateway = Gateway::start(&control);
    begin(
        &gateway,
        &control,
        &limited(same.address),
        &comparing(shadow()),
        0.0,
    )
    .unwrap();
    (0..30).for_each(|_| assert_eq!(post(&gateway, "within"), "within"));
    eventually("all were compared", || {
        pairs(&gateway, "answers") == (30, 0, 0)
    });
    assert_ne!(post(&gateway, "beyond"), "beyond");
}
