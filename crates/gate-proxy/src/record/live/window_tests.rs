//! The last minutes, counted from records that are made up.

use super::*;
use crate::record::tests::{ai_record, record};
use gate_model::fault::FaultCode;

/// A whole minute.
const NOW: u64 = 1_800_000_000;

fn lasting(milliseconds: u64, status: u16) -> Record {
    Record {
        duration: Duration::from_millis(milliseconds),
        status,
        ..record()
    }
}

fn close(shown: f64, exact: f64) -> bool {
    (shown - exact).abs() <= exact / 16.0
}

#[test]
fn exchanges_are_counted_in_all_over_time_and_by_name() {
    let mut window = Window::new(NOW - 1000);
    for at in 1..=100 {
        window.add(&lasting(at, 200), NOW - 101 + at);
    }
    window.add(&lasting(500, 502), NOW + 30);
    let live = window.figures(NOW + 30);
    assert_eq!(live.window_s, 270);
    assert_eq!((live.total.requests, live.total.errors), (101, 1));
    assert!(close(live.total.latency_ms.p50, 51.0), "{:?}", live.total);
    assert!(close(live.total.latency_ms.p99, 100.0), "{:?}", live.total);
    let over_time: u64 = live.series.iter().map(|point| point.rates.requests).sum();
    assert_eq!((over_time, live.series.len()), (101, 55));
    for names in [
        &live.routes,
        &live.upstreams,
        &live.consumers,
        &live.revisions,
    ] {
        assert_eq!(names.values().next(), Some(&live.total));
    }
    assert!(live.revisions.contains_key("7") && live.upstreams.contains_key("backend"));
    assert!(live.models.is_empty() && live.providers.is_empty());
}

#[test]
fn calls_to_models_have_tokens_and_a_time_to_the_first_one() {
    let mut window = Window::new(NOW);
    window.add(&ai_record(), NOW);
    let live = window.figures(NOW + 10);
    let model = &live.models["assistant"];
    assert_eq!((model.tokens_in, model.tokens_out), (100, 20));
    assert!(close(model.first_token_ms.p50, 5.0), "{model:?}");
    assert_eq!(&live.providers["claude"], model);
    assert!(live.upstreams.is_empty());
}

#[test]
fn what_is_older_than_the_window_is_forgotten_and_rates_are_over_what_is_covered() {
    let mut window = Window::new(NOW - 10);
    for at in 0..50 {
        window.add(&lasting(1, 200), NOW - 10 + at / 5);
    }
    window.missed(7, NOW - 1);
    let live = window.figures(NOW);
    assert_eq!((live.window_s, live.missed), (10, 7));
    assert!((live.total.per_second - 5.0).abs() < 1e-9, "{live:?}");
    let live = window.figures(NOW + 299);
    assert_eq!((live.total.requests, live.missed), (0, 0));
    assert!(
        live.routes.is_empty() && live.revisions.is_empty(),
        "{live:?}"
    );
    assert_eq!(live.window_s, 299);
    assert!(window.slices.is_empty());
}

#[test]
fn the_whole_is_what_the_names_come_to_at_any_second() {
    let mut window = Window::new(NOW);
    for at in NOW..NOW + 700 {
        window.add(&record(), at);
        let live = window.figures(at);
        assert_eq!(live.routes["orders"].requests, live.total.requests, "{at}");
        assert!(
            (240..=300).contains(&live.total.requests) || at < NOW + 300,
            "{at}"
        );
    }
}

#[test]
fn more_names_than_fit_are_counted_together() {
    let mut window = Window::new(NOW);
    for number in 0..NAMES_MAX + 20 {
        let route = Some(format!("r{number}").into());
        window.add(&Record { route, ..record() }, NOW);
    }
    let live = window.figures(NOW + 1);
    assert_eq!(live.routes.len(), NAMES_MAX + 1);
    assert_eq!(live.routes[OTHER].requests, 20);
}

#[test]
fn a_callers_own_fault_is_no_failure() {
    let with = |fault, status| Record {
        fault: Some(fault),
        ..lasting(1, status)
    };
    assert!(failed(&with(FaultCode::UpstreamReset, 200)));
    assert!(!failed(&with(FaultCode::RateLimited, 429)));
    assert!(!failed(&with(FaultCode::ClientClosed, 499)));
    assert!(failed(&lasting(1, 500)));
}
