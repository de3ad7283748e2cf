//! Objectives: which exchanges count, which are good, and what a configuration may say about them.

use crate::cassettes::{self, Caller, Provider};
use crate::guarded;
use crate::support::{Gateway, Upstream, eventually, ok};
use gate_flow::{Cells, Events, Score};
use std::io::Write;
use std::sync::Arc;

fn score(gateway: &Gateway, objective: &str) -> Arc<Score> {
    let all = gateway.process.shared().state.all::<Score>();
    let own = all.into_iter().find(|(name, _)| name == objective);
    own.unwrap_or_else(|| panic!("nothing counts for {objective}"))
        .1
}

fn counted(gateway: &Gateway, objective: &str) -> (u64, u64) {
    let events = Events::between(0, score(gateway, objective).reading());
    (events.total, events.bad)
}

fn document(upstream: &Upstream, objectives: &str) -> String {
    format!(
        "gateway: {{ workers: 2 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         consumers: {{ storefront: {{ team: shop }} }}\n\
         upstreams: {{ up: {{ endpoints: ['{}'] }} }}\n\
         routes:\n  orders: {{ match: {{ path: '/orders/{{*rest}}' }}, target: {{ upstream: up }} }}\n  \
         other: {{ match: {{ path: '/other' }}, target: {{ upstream: up }} }}\n\
         objectives:\n{objectives}",
        upstream.address
    )
}

/// Answers as the path says: `/orders/503` with that status.
fn obedient() -> Upstream {
    Upstream::http(|head, _| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        match path.rsplit('/').next().and_then(|last| last.parse().ok()) {
            Some(status @ 400..=599_u16) => {
                format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n")
            }
            _ => ok("fine"),
        }
    })
}

const ORDERS: &str = "  orders-available: { route: orders, target: 99.9 % }\n  \
     fast: { target: 99 %, indicator: { latency: { within: 1h } } }\n  \
     small: { target: 90 %, route: orders, good: 'record.response_bytes < 4' }\n";

#[test]
fn every_exchange_of_the_route_counts_once() {
    let upstream = obedient();
    let gateway = Gateway::start(&document(&upstream, ORDERS));
    for number in 0..1000 {
        let status = match number % 10 {
            0 => "503",
            1 => "404",
            _ => "1",
        };
        gateway.get(&format!("/orders/{status}"));
    }
    gateway.get("/other");
    gateway.get("/nowhere");
    // The answer may be there before its record has closed.
    eventually("all are counted", || counted(&gateway, "fast").0 == 901);
    assert_eq!(counted(&gateway, "orders-available"), (1000, 100));
    // What failed says nothing about how fast answers are.
    assert_eq!(counted(&gateway, "fast"), (901, 0));
    // Of all, those with an answer of four bytes.
    assert_eq!(counted(&gateway, "small"), (1000, 800));
    let cells = gateway
        .process
        .shared()
        .state
        .get_or_insert("", Cells::default);
    let own = cells.take();
    let own = own
        .iter()
        .filter(|one| &*one.objective == "orders-available");
    let mut by_status: std::collections::BTreeMap<u16, (u32, u32)> = Default::default();
    for one in own {
        assert_eq!(
            one.place.endpoint.as_deref(),
            Some(&*upstream.address.to_string())
        );
        let sum = by_status.entry(one.place.status).or_default();
        *sum = (sum.0 + one.total, sum.1 + one.bad);
    }
    let expected = [(200, (800, 0)), (404, (100, 0)), (503, (100, 100))];
    assert_eq!(by_status.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn counts_go_on_over_a_reload() {
    let upstream = obedient();
    let first = document(&upstream, ORDERS);
    let gateway = Gateway::start(&first);
    gateway.get("/orders/503");
    eventually("it is counted", || {
        counted(&gateway, "orders-available") == (1, 1)
    });
    let stays = score(&gateway, "orders-available");
    gateway.reload(&first.replace("99.9 %", "99 %")).unwrap();
    gateway.get("/orders/1");
    eventually("it goes on", || {
        counted(&gateway, "orders-available") == (2, 1)
    });
    assert!(Arc::ptr_eq(&stays, &score(&gateway, "orders-available")));
    // Without objectives nothing is counted, and nothing is kept.
    drop(stays);
    let without = first.split("objectives:").next().unwrap();
    gateway.reload(without).unwrap();
    gateway.get("/orders/503");
    eventually("it is forgotten", || {
        gateway.process.shared().state.sweep();
        gateway.process.shared().state.all::<Score>().is_empty()
    });
}

#[test]
fn who_goes_away_is_not_bad_and_what_we_cannot_reach_is() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = dead.local_addr().unwrap();
    drop(dead);
    let silent = Upstream::raw(|stream, _| {
        // Reads what there is and never answers, until the other side goes away.
        let mut stream = stream;
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let yaml = document(&silent, "  o: { target: 99 %, route: orders }\n").replace(
        "target: { upstream: up } }\nobjectives",
        "target: { upstream: dead } }\nobjectives",
    );
    let yaml = yaml.replace(
        "upstreams: {",
        &format!("upstreams: {{ dead: {{ endpoints: ['{address}'] }},"),
    );
    let yaml = yaml + "  unreachable: { target: 99 %, route: other }\n";
    let gateway = Gateway::start(&yaml);
    let mut caller = gateway.connect();
    caller
        .write_all(b"GET /orders/1 HTTP/1.1\r\nhost: test\r\n\r\n")
        .unwrap();
    eventually("it has arrived", || silent.accepted() > 0);
    drop(caller);
    eventually("it has ended", || counted(&gateway, "o") == (1, 0));
    assert_eq!(gateway.get("/other").status, 502);
    eventually("it is counted", || {
        counted(&gateway, "unreachable") == (1, 1)
    });
}

#[test]
fn what_is_wrong_is_said_at_its_place() {
    let upstream = obedient();
    let complaints = |objective: &str| {
        let yaml = document(&upstream, &format!("  o: {objective}\n"));
        let error = Gateway::try_start(&yaml).err().expect("a complaint");
        error.to_string()
    };
    for (objective, parts) in [
        (
            "{ target: 99 %, route: order }",
            &[
                "objectives.o.route",
                "there is no route `order`",
                "did you mean `orders`?",
            ][..],
        ),
        (
            "{ target: 99 %, consumer: storefrnt, team: shp }",
            &[
                "objectives.o.consumer",
                "did you mean `storefront`?",
                "objectives.o.team",
                "`shop`",
            ],
        ),
        (
            "{ target: 99 %, model: m, provider: p }",
            &["there is no model `m`", "there is no provider `p`"],
        ),
        ("{ target: 100 % }", &["objectives.o.target"]),
        (
            "{ target: 99 %, window: 500d }",
            &["objectives.o.window", "400 days"],
        ),
        (
            "{ target: 99 %, good: 'record.stats < 500' }",
            &["objectives.o.good", "record.status"],
        ),
        (
            "{ target: 99 %, good: 'true', indicator: { latency: { within: 1s } } }",
            &["objectives.o.good", "not by both"],
        ),
        (
            "{ target: 99 %, indicator: { quality: { detector: pii } } }",
            &["objectives.o.indicator.quality.detector", "`pii`"],
        ),
        (
            "{ target: 99 %, indicator: { speed: {} } }",
            &["objectives.o.indicator", "speed"],
        ),
    ] {
        let said = complaints(objective);
        for part in parts {
            assert!(said.contains(part), "{objective}: {part} is not in\n{said}");
        }
    }
}

#[test]
fn quality_is_what_a_detector_finds() {
    let provider = Provider::start();
    let text = cassettes::document("compatible", provider.address, &["m"]);
    let guard =
        "{ rules: [{ name: rude, find: { patterns: [email] }, at: [response], action: observe }] }";
    let models = format!("policies: [{{ guard: {guard} }}], target: {{ models:");
    let promised =
        "objectives:\n  polite: { target: 99 %, indicator: { quality: { detector: rude } } }\n";
    let gateway = Gateway::start(&format!(
        "{}{promised}",
        text.replace("target: { models:", &models)
    ));
    let mut caller = Caller::new(&gateway);
    let dialect = gate_ai::Dialect::ChatCompletions;
    for (stream, answer) in [
        (false, "jane@example.com"),
        (false, "fine"),
        (true, "ask jane@example.com about it"),
        (true, "fine, too"),
        (true, "fine again"),
    ] {
        provider.set(guarded::answer(stream, answer, None));
        let body = guarded::request(dialect, stream, &guarded::PLAIN);
        caller.post(guarded::path(dialect, stream), &body);
    }
    eventually("each answer counts by its verdict", || {
        counted(&gateway, "polite") == (5, 2)
    });
}
