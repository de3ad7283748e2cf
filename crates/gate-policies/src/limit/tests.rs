//! The policy on exchanges; the algorithm itself is tested beside the table.

use super::*;
use crate::testing::{Harness, VerdictExt};
use gate_flow::Caller;
use std::time::Duration;

fn refusal(settings: &str) -> String {
    let finding = Harness::new().compile::<Limit>(settings).err();
    finding.expect(settings).to_string()
}

fn pass(harness: &Harness, policy: &Arc<dyn Policy>, exchange: &mut Exchange) -> bool {
    harness.request(policy, exchange).is_next()
}

#[test]
fn settings_that_cannot_act_are_refused() {
    for (settings, message) in [
        ("{}", "neither `rate` nor `rates`"),
        ("{ rate: 5 }", "at rate"),
        ("{ rates: [1/s, 1/m, 1/h, 1/d, 2/d] }", "at most 4"),
        ("{ rate: 5/s, burst: 0 }", "at burst"),
        ("{ rate: 5/s, by: key }", "need the header's name"),
        ("{ rate: 5/s, header: x }", "counts only with"),
        (
            "{ rate: 5/s, by: header, header: 'x y' }",
            "cannot be the name",
        ),
        ("{ rate: 5/s, by: adress }", "at by"),
        ("{ rate: 1/366d, burst: 4000000000 }", "centuries"),
    ] {
        let refusal = refusal(settings);
        assert!(refusal.contains(message), "{settings}: {refusal}");
    }
}

#[test]
fn a_refusal_says_when_to_come_back() {
    let harness = Harness::new();
    let policy = harness.policy::<Limit>("{ by: address, rates: [2/s, 3/m] }");
    for left in [
        "\"2/s\";r=1;t=1, \"3/m\";r=2;t=20",
        "\"2/s\";r=0;t=1, \"3/m\";r=1;t=40",
    ] {
        let mut exchange = harness.exchange("GET /");
        assert!(pass(&harness, &policy, &mut exchange));
        let headers = &exchange.response_headers;
        assert_eq!(headers.get_named("ratelimit"), Some(left.as_bytes()));
        let announced = &b"\"2/s\";q=2;w=1, \"3/m\";q=3;w=60"[..];
        assert_eq!(headers.get_named("ratelimit-policy"), Some(announced));
    }
    let mut exchange = harness.exchange("GET /");
    let fault = harness
        .request(&policy, &mut exchange)
        .refused()
        .expect("two at once");
    assert_eq!(fault.code, FaultCode::RateLimited);
    assert_eq!(fault.retry_after, Some(Duration::from_millis(500)));
    let left = &b"\"2/s\";r=0;t=1, \"3/m\";r=1;t=40"[..];
    assert_eq!(exchange.response_headers.get_named("ratelimit"), Some(left));
    harness.hands.advance(Duration::from_millis(500));
    assert!(
        pass(&harness, &policy, &mut harness.exchange("GET /")),
        "the minute kept its rest"
    );
    harness.hands.advance(Duration::from_millis(500));
    let refused = harness
        .request(&policy, &mut harness.exchange("GET /"))
        .refused();
    assert_eq!(
        refused.and_then(|f| f.retry_after),
        Some(Duration::from_secs(19))
    );
}

#[test]
fn burst_bounds_the_shortest_window_only() {
    let harness = Harness::new();
    let policy = harness.policy::<Limit>("{ rates: [5000/h, 100/s], burst: 2, fields: none }");
    let mut exchange = harness.exchange("GET /");
    assert!(pass(&harness, &policy, &mut exchange) && pass(&harness, &policy, &mut exchange));
    assert!(exchange.response_headers.is_empty());
    let fault = harness
        .request(&policy, &mut exchange)
        .refused()
        .expect("a burst of two");
    assert_eq!(fault.retry_after, Some(Duration::from_millis(10)));
}

#[test]
fn callers_are_told_apart_as_configured() {
    let caller = |name: &str| {
        Some(Arc::new(Caller {
            name: name.into(),
            ..Caller::default()
        }))
    };
    for (settings, same, other) in [
        (
            "by: address",
            ("192.0.2.1", "", "a"),
            ("192.0.2.2", "", "a"),
        ),
        (
            "by: address",
            ("::ffff:192.0.2.1", "", ""),
            ("192.0.2.3", "", ""),
        ),
        (
            "by: consumer",
            ("192.0.2.9", "c1", "b"),
            ("192.0.2.1", "c2", "a"),
        ),
        (
            "by: consumer",
            ("192.0.2.1", "", "b"),
            ("192.0.2.2", "", "a"),
        ),
        (
            "{ by: header, header: x-tenant }",
            ("192.0.2.9", "c9", "a"),
            ("192.0.2.1", "c1", "b"),
        ),
        (
            "{ by: key, header: x-tenant }",
            ("192.0.2.9", "c9", "Bearer a"),
            ("192.0.2.1", "", ""),
        ),
    ] {
        let harness = Harness::new();
        let settings = format!(
            "{{ {}, rate: 1/d }}",
            settings.trim_matches(['{', '}', ' '])
        );
        let policy = harness.policy::<Limit>(&settings);
        let ask = |(address, name, tenant): (&str, &str, &str)| {
            let mut exchange = harness.exchange(&format!("GET /\nx-tenant: {tenant}"));
            if tenant.is_empty() {
                exchange.request.head.headers.remove_named("x-tenant");
            }
            exchange.address = address.parse().unwrap();
            exchange.caller = if name.is_empty() { None } else { caller(name) };
            pass(&harness, &policy, &mut exchange)
        };
        let first = if same.1 == "c1" {
            ("192.0.2.1", "c1", "a")
        } else {
            ("192.0.2.1", "", "a")
        };
        assert!(ask(first), "{settings}");
        assert!(!ask(same), "{settings}: {same:?} counts as the first");
        assert!(ask(other), "{settings}: {other:?} counts alone");
    }
}

#[test]
fn ipv6_callers_count_by_their_64() {
    let harness = Harness::new();
    let policy = harness.policy::<Limit>("{ by: address, rate: 1/d }");
    for (address, passes) in [
        ("2001:db8::1", true),
        ("2001:db8::2", false),
        ("2001:db8:0:1::1", true),
    ] {
        let mut exchange = harness.exchange("GET /");
        exchange.address = address.parse().unwrap();
        assert_eq!(pass(&harness, &policy, &mut exchange), passes, "{address}");
    }
}

#[test]
fn counts_survive_a_reload_unless_the_rates_change() {
    let harness = Harness::new();
    let settings = "{ by: route, rate: 1/d }";
    let before = harness.policy::<Limit>(settings);
    assert!(pass(&harness, &before, &mut harness.exchange("GET /")));
    let after = harness.policy::<Limit>(settings);
    assert!(!pass(&harness, &after, &mut harness.exchange("GET /")));
    let other = harness.policy::<Limit>("{ by: route, rate: 2/d }");
    assert!(pass(&harness, &other, &mut harness.exchange("GET /")));
    let elsewhere = harness.compile_at::<Limit>(1, settings).unwrap();
    assert!(pass(&harness, &elsewhere, &mut harness.exchange("GET /")));
}
