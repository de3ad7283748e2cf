//! What an on-call engineer would look at, each by itself and all together.

use super::*;
use crate::config::{self, Secrets};
use gate_api::types::{AddressHealth, Headroom, TargetHealth};
use gate_kit::clock::Clock;
use gate_proxy::process::Setup;
use gate_store::control::SqlControl;
use gate_store::sqlite::Sqlite;
use std::sync::Arc;

const NOW: u64 = 1_800_000_000_000;

/// Checks a finding of this kind about this.
#[track_caller]
fn check(findings: &[DiagnosisFinding], kind: &str, subject: &str, state: State, words: &str) {
    let own = |one: &&DiagnosisFinding| one.kind == kind && one.subject == subject;
    let found = findings.iter().find(own);
    let found = found.unwrap_or_else(|| panic!("no {kind} {subject}: {findings:#?}"));
    assert_eq!(found.state, state, "{found:?}");
    assert!(found.text.contains(words), "{found:?}");
}

#[test]
fn endpoints_and_headroom_are_told_with_their_states() {
    let health = ProviderHealth {
        kind: "provider".into(),
        name: "p".into(),
        state: ProviderState::Degraded,
        endpoints: 2,
        available: 1,
        addresses: vec![AddressHealth {
            address: "10.0.0.1:443".into(),
            healthy: false,
            ..AddressHealth::default()
        }],
        targets: vec![TargetHealth {
            model: "m".into(),
            headroom: vec![
                Headroom {
                    credential: "first".into(),
                    requests_left: Some(3),
                    tokens_left: Some(90_000),
                    ..Headroom::default()
                },
                Headroom {
                    credential: "second".into(),
                    requests_left: Some(5_000),
                    ..Headroom::default()
                },
            ],
            ..TargetHealth::default()
        }],
        ..ProviderHealth::default()
    };
    let own = [of_provider(&health)];
    let words = "1 of 2 addresses available";
    check(&own, "provider", "p", State::Doubtful, words);
    assert!(own[0].text.contains("10.0.0.1:443 is unhealthy"));
    let room = of_headroom(&health);
    let told: Vec<(State, &str)> = room.iter().map(|one| (one.state, &*one.text)).collect();
    assert_eq!(
        told,
        [
            (
                State::Doubtful,
                "m by first: 3 requests and 90000 tokens left"
            ),
            (State::Well, "m by second: 5000 requests and ? tokens left"),
        ]
    );
}

#[test]
fn slow_statements_of_the_store_are_told_the_slowest_first() {
    let slow = |sql: &str, took_ms: u64, ago_s: u64| Slow {
        sql: sql.into(),
        took: Duration::from_millis(took_ms),
        ended: Duration::from_millis(NOW - ago_s * 1000),
    };
    let mut findings = Vec::new();
    let all = [
        slow("SELECT 1", 150, 60),
        slow("SELECT 2", 900, 40),
        slow("SELECT 1", 120, 10),
        slow("SELECT 3", 5000, 3600),
    ];
    of_statements(&mut findings, &all, NOW);
    let told: Vec<(&str, &str)> = findings
        .iter()
        .map(|one| (&*one.subject, &*one.text))
        .collect();
    assert_eq!(
        told,
        [
            (
                "SELECT 2",
                "slow 1 times, 900 ms at most, the last time 40 s ago"
            ),
            (
                "SELECT 1",
                "slow 2 times, 150 ms at most, the last time 10 s ago"
            ),
        ]
    );
}

#[test]
fn all_that_may_have_to_do_with_it_is_collected() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("own.pem"), made.cert.pem()).unwrap();
    std::fs::write(
        folder.path().join("own.key"),
        made.signing_key.serialize_pem(),
    )
    .unwrap();
    let text = "gateway: { workers: 1 }\n\
        listeners: { public: { address: \"127.0.0.1:0\", tls: { certificates: [{ chain: own.pem, key: own.key }] } } }\n\
        upstreams: { near: { endpoints: [\"localhost:1\"] }, far: { endpoints: [\"nowhere.invalid:1\"] } }\n\
        mcp_servers: { tools: { http: { url: \"http://127.0.0.1:1/mcp\" } } }\n\
        routes:\n  near: { match: { path: /near }, target: { upstream: near } }\n  \
        far: { match: { path: /far }, target: { upstream: far } }\n  \
        tools: { match: { path: /tools }, target: { mcp: [{ server: tools }] } }\n";
    let document = config::parse(text.as_bytes(), Path::new("test.yaml")).unwrap();
    let setup = Setup {
        registry: config::REGISTRY,
        folder: folder.path().to_owned(),
        secrets: Box::new(Secrets),
        clock: Clock::System,
        inheritance: None,
    };
    let process = Process::start(&document, setup).unwrap();
    let path = folder.path().join("store.db");
    let open: crate::follow::OpenStore =
        Arc::new(move || Ok(Box::new(SqlControl::open(Sqlite::open(&path)?)?)));
    let shelf = Shelf::new("main", Some(open));
    let now_ms = u64::try_from(Clock::System.unix().as_millis()).unwrap();
    let found = diagnose(&process, &shelf, folder.path(), now_ms);
    let of = |kind: &str| found.findings.iter().filter(|one| one.kind == kind).count();
    assert_eq!(
        (of("store"), of("upstream")),
        (1, 2),
        "{:#?}",
        found.findings
    );
    assert!(of("saturation") >= 2);
    check(
        &found.findings,
        "certificate",
        "own.pem",
        State::Well,
        "ends in",
    );
    let far = "nowhere.invalid";
    check(&found.findings, "name", far, State::Bad, "");
    assert_eq!(of("name"), 2);
    let graph: Vec<(&str, &str)> = found
        .dependencies
        .iter()
        .map(|one| (&*one.from, &*one.to))
        .collect();
    for (from, to) in [
        ("routes/near", "upstreams/near"),
        ("routes/tools", "mcp_servers/tools"),
    ] {
        assert!(graph.contains(&(from, to)), "{graph:?}");
    }
}
