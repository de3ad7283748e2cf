//! What a change of an API's versions would have done to recent requests.

use super::rows::{Rows, basis, compile};
use gate_api::types::{Effect, What};
use gate_proxy::record::recent::line::Line;
use gate_proxy::replay::Replay;

const DOCUMENT: &str = "
listeners: { main: { address: '127.0.0.1:0' } }
consumers: { old: {} }
upstreams:
  one: { endpoints: ['127.0.0.1:7001'] }
  two: { endpoints: ['127.0.0.1:7002'] }
  other: { endpoints: ['127.0.0.1:7003'] }
apis:
  orders:
    openapi: { inline: { openapi: 3.1.0, info: { title: t, version: 2.0.0 }, paths: { /orders: { get: { operationId: list, responses: {} } } } } }
    policies: [{ version: { api: orders } }]
    target: { api: orders }
    versions:
      by: [{ header: Api-Version }, { query: v }]
      answer: Api-Version
      list:
        1.0.0: { upstream: one }
        1.1.0: { shape: { onto: 2.0.0, operations: [{ both: [{ move: { from: /a, to: /b } }] }] } }
        2.0.0: { upstream: two }
";

/// Calls of 2023-11-14, by the version that they name in the header and in the query.
const CALLS: [(&str, &str, &str); 5] = [
    ("1.0.0", "", "127.0.0.1:7001"),
    ("1.1", "", "127.0.0.1:7002"),
    ("", "?v=2", "127.0.0.1:7002"),
    ("", "", "127.0.0.1:7002"),
    ("", "?v=1.0.0", "127.0.0.1:7001"),
];

fn effect(from: &str, to: &str) -> Effect {
    assert!(DOCUMENT.contains(from), "{from}");
    let rows = Rows::new();
    let current = compile(DOCUMENT);
    let candidate = compile(&DOCUMENT.replace(from, to));
    let basis = basis(&current, 1.0);
    let mut replay = Replay::new(current, candidate, &rows.means());
    for (index, (version, query, endpoint)) in CALLS.into_iter().enumerate() {
        let target = format!("/orders{query}");
        let headers = [("api-version".into(), version.into())];
        let line = Line {
            started_us: 1_700_000_000_000_000 + index as u64,
            listener: "main".into(),
            method: "GET".into(),
            authority: "api.example.com".into(),
            target: (&*target).into(),
            address: "192.0.2.1".into(),
            size: Some(0),
            headers: headers
                .into_iter()
                .filter(|_| !version.is_empty())
                .collect(),
            route: Some("orders.list".into()),
            attempts: vec![(endpoint.into(), 200, None, 10, 20)],
            status: 200,
            revision: 1,
            duration_us: 30,
            ..Line::default()
        };
        replay.row(&basis, &index, &line);
    }
    replay.finish()
}

/// Kind and number of what changed, how many are unknown, how many unchanged.
fn counts(effect: &Effect) -> (Vec<(What, u64)>, u64, u64) {
    let changed = effect.changed.iter();
    let changed = changed.map(|change| (change.what, change.count)).collect();
    (changed, effect.unknown.count, effect.unchanged)
}

#[test]
fn a_plan_says_what_becomes_of_calls_by_version() {
    let one = "1.0.0: { upstream: one }";
    for (from, to, changed, unknown, unchanged) in [
        // Retired then, or by a date: before the calls, and behind them.
        (
            one,
            "1.0.0: { stage: retired, upstream: one }",
            vec![(What::Verdict, 2)],
            0,
            3,
        ),
        (
            one,
            "1.0.0: { sunset_at: 2023-01-01, upstream: one }",
            vec![(What::Verdict, 2)],
            0,
            3,
        ),
        (
            one,
            "1.0.0: { upstream: one, brownouts: [{ from: 2023-11-14, until: 2023-11-15 }] }",
            vec![(What::Verdict, 2)],
            0,
            3,
        ),
        (
            one,
            "1.0.0: { upstream: one, brownouts: [{ from: 2023-11-15, until: 2023-11-16 }] }",
            vec![],
            0,
            5,
        ),
        (
            "        1.0.0: { upstream: one }\n",
            "",
            vec![(What::Verdict, 2)],
            0,
            3,
        ),
        // Announced.
        (
            one,
            "1.0.0: { deprecated_at: 2023-01-01, sunset_at: 2033-01-01, upstream: one }",
            vec![(What::Version, 2)],
            0,
            3,
        ),
        // Another version, or another home of the same.
        (
            "      answer:",
            "      unnamed: { range: '=1.1.0' }\n      answer:",
            vec![(What::Version, 1)],
            0,
            4,
        ),
        (
            "        2.0.0: { upstream: two }",
            "        2.0.0: { upstream: two }\n        2.1.0: { upstream: two }",
            vec![(What::Version, 2)],
            0,
            3,
        ),
        (
            one,
            "1.0.0: { upstream: other }",
            vec![(What::Version, 2)],
            0,
            3,
        ),
        (
            "one: { endpoints: ['127.0.0.1:7001'] }",
            "one: { endpoints: ['127.0.0.1:7009'] }",
            vec![(What::Version, 2)],
            0,
            3,
        ),
        (
            "other: { endpoints: ['127.0.0.1:7003'] }",
            "other: { endpoints: ['127.0.0.1:7009'] }",
            vec![],
            0,
            5,
        ),
        // Who is pinned is none of these callers.
        (
            "      answer:",
            "      pinned: { old: ^1 }\n      answer:",
            vec![],
            0,
            5,
        ),
        // What a shape makes of a body cannot be told, for those whose version has it.
        ("to: /b", "to: /c", vec![], 1, 4),
        // A place of which rows do not keep what stood there.
        ("by: [", "by: [{ header: X-Version }, ", vec![], 5, 0),
    ] {
        let effect = effect(from, to);
        assert_eq!(
            counts(&effect),
            (changed, unknown, unchanged),
            "{to}: {effect:?}"
        );
    }
}

#[test]
fn examples_name_versions() {
    let told = |from: &str, to: &str| {
        let effect = effect(from, to);
        let example = &effect.changed[0].examples[0];
        (example.before.clone(), example.after.clone())
    };
    let pair = |before: &str, after: &str| (before.to_owned(), after.to_owned());
    let one = "1.0.0: { upstream: one }";
    assert_eq!(
        told(one, "1.0.0: { stage: retired, upstream: one }"),
        pair("passes", "version: api_version_retired")
    );
    assert_eq!(
        told(one, "1.0.0: { deprecated_at: 2023-01-01, upstream: one }"),
        pair("orders 1.0.0", "orders 1.0.0, with Deprecation")
    );
    assert_eq!(
        told(one, "1.0.0: { upstream: other }"),
        pair("upstream one", "upstream other")
    );
}
