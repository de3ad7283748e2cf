//! Requests and tokens per time of consumers, teams and providers: several callers together, and
//! providers that are passed over.

use super::{
    Answer, CHAT, Caller, Gateway, Ledger, REQUEST, Reply, SQLITE, answering, code, digest,
    document, nowhere,
};
use crate::cassettes::Provider;
use crate::support::eventually;
use std::net::SocketAddr;

/// Two consumers of one team, the first with two keys; `shop`, `desk` and `team` are settings.
fn callers(one: SocketAddr, two: SocketAddr, shop: &str, desk: &str, team: &str) -> String {
    let yaml = document(
        one,
        two,
        SQLITE,
        &format!("teams: {{ sales: {{ {team} }} }}\n"),
    );
    let (secret, other, third) = (digest("secret"), digest("other"), digest("third"));
    let keys = format!("    keys: [{{ sha256: {secret}, id: web }}]\n");
    assert!(yaml.contains(&keys));
    yaml.replace(
        &keys,
        &format!(
            "    keys: [{{ sha256: {secret}, id: web }}, {{ sha256: {other}, id: app }}]\n    {shop}\n  \
             desk:\n    team: sales\n    keys: [{{ sha256: {third}, id: desk }}]\n    {desk}\n"
        ),
    )
}

fn post(gateway: &Gateway, secret: &str) -> Answer {
    let mut caller = Caller::new(gateway);
    caller.headers = format!("authorization: Bearer {secret}\r\n");
    caller.post(CHAT, REQUEST)
}

/// Seconds after which a call that was refused may be made again.
fn refused(answer: &Answer, whose: &str) -> u64 {
    let status = (answer.status, &*code(answer));
    assert_eq!(status, (429, "rate_limited"), "{answer:?}");
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains(whose), "{text}");
    let after = answer.header("retry-after").map(str::parse);
    after.expect("there is Retry-After").expect("in seconds")
}

#[test]
fn the_keys_of_a_consumer_share_its_requests() {
    let provider = answering();
    let yaml = callers(
        provider.address,
        nowhere(),
        "limits: { requests: 2/h }",
        "",
        "",
    );
    let ledger = Ledger::of(&yaml);
    let calls = ["secret", "other"].map(|key| post(&ledger.gateway, key).status);
    assert_eq!(calls, [200, 200]);
    for key in ["secret", "other"] {
        let after = refused(&post(&ledger.gateway, key), "this consumer");
        // One of two comes back in half an hour.
        assert!((1_700..=1_800).contains(&after), "{after}");
    }
    assert_eq!(
        post(&ledger.gateway, "third").status,
        200,
        "another consumer"
    );
    assert_eq!(provider.calls(), 3);
}

#[test]
fn the_consumers_of_a_team_share_its_requests_and_a_refusal_takes_nothing() {
    let provider = answering();
    let own = "limits: { requests: 1/h }";
    let team = "limits: { requests: 2/m }";
    let ledger = Ledger::of(&callers(provider.address, nowhere(), "", own, team));
    assert_eq!(post(&ledger.gateway, "third").status, 200);
    // `desk` has reached its own limit; its refusals leave the team's other request where it is.
    for _ in 0..5 {
        let after = refused(&post(&ledger.gateway, "third"), "this consumer");
        assert!((3_500..=3_600).contains(&after), "{after}");
    }
    assert_eq!(post(&ledger.gateway, "secret").status, 200);
    let after = refused(&post(&ledger.gateway, "other"), "this team");
    assert!((1..=30).contains(&after), "{after}");
    assert_eq!(provider.calls(), 2);
}

#[test]
fn the_tokens_of_a_team_are_those_that_its_calls_used() {
    let provider = answering();
    let team = "limits: { tokens: 1000/h }";
    let ledger = Ledger::of(&callers(provider.address, nowhere(), "", "", team));
    // 1,050 are used, of which the request shows a few only.
    assert_eq!(post(&ledger.gateway, "secret").status, 200);
    eventually("the team's tokens are used up", || {
        post(&ledger.gateway, "third").status == 429
    });
    refused(&post(&ledger.gateway, "other"), "this team");
}

/// A gateway whose provider `one` has these settings, and `two` those; both without a store.
fn providers(one: (&Provider, &str), two: (&Provider, &str)) -> Gateway {
    let yaml = document(one.0.address, two.0.address, SQLITE, "");
    let mut yaml = yaml.replace(&format!("store: {{ {SQLITE}, tag_header: X-Job }}"), "");
    for (name, settings) in [("ONE", one.1), ("TWO", two.1)] {
        let written = format!("credentials: [{{ env: {name} }}]");
        assert!(yaml.contains(&written));
        yaml = yaml.replace(&written, &format!("{written}, {settings}"));
    }
    Gateway::start(&yaml)
}

#[test]
fn a_provider_whose_requests_are_spent_is_passed_over() {
    let (one, two) = (answering(), answering());
    let limits = "limits: { requests: 2/h }";
    let gateway = providers((&one, limits), (&two, "limits: { requests: 1/h }"));
    for _ in 0..3 {
        assert_eq!(post(&gateway, "secret").status, 200);
    }
    assert_eq!((one.calls(), two.calls()), (2, 1));
    // The one of them that has room first says when.
    let after = refused(&post(&gateway, "secret"), "No provider");
    assert!((1_700..=1_800).contains(&after), "{after}");
    assert_eq!((one.calls(), two.calls()), (2, 1));
    let metrics = gateway.metrics();
    assert!(
        metrics.contains("tidegate_ai_passed_over_total"),
        "{metrics}"
    );
}

#[test]
fn a_provider_whose_tokens_are_spent_is_passed_over() {
    let (one, two) = (answering(), answering());
    let gateway = providers((&one, "limits: { tokens: 2000/h }"), (&two, ""));
    for calls in [(1, 0), (2, 0)] {
        assert_eq!(post(&gateway, "secret").status, 200);
        assert_eq!((one.calls(), two.calls()), calls);
    }
    // 2,100 have been used, once the second call is settled.
    eventually("the other one is asked", || {
        post(&gateway, "secret").status == 200 && two.calls() > 0
    });
    let asked = one.calls();
    assert_eq!(post(&gateway, "secret").status, 200);
    assert_eq!(one.calls(), asked);
}

#[test]
fn tries_that_fail_count_for_a_provider_and_cost_it_no_tokens() {
    let (one, two) = (answering(), answering());
    one.set(Reply {
        status: 400,
        headers: "content-type: application/json\r\n".into(),
        pieces: vec![br#"{"error":{"code":"insufficient_quota","message":"x"}}"#.to_vec()],
    });
    let long = REQUEST.replace("\"x\"", &format!("\"{}\"", "word ".repeat(200)));
    let ask = |gateway: &Gateway| {
        let mut caller = Caller::new(gateway);
        caller.headers = "authorization: Bearer secret\r\n".into();
        caller.post(CHAT, &long).status
    };
    let gateway = providers((&one, "limits: { requests: 1/h }"), (&two, ""));
    assert_eq!([ask(&gateway), ask(&gateway)], [200, 200]);
    assert_eq!((one.calls(), two.calls()), (1, 2));
    // About 250 tokens are taken for each try and given back, so that others fit.
    let gateway = providers((&one, "limits: { tokens: 300/h }"), (&two, ""));
    let asked = one.calls();
    one.set(Reply {
        status: 503,
        headers: "content-type: application/json\r\n".into(),
        pieces: vec![br#"{"error":{"message":"busy"}}"#.to_vec()],
    });
    eventually(
        "tries whose tokens were given back come three times",
        || {
            assert_eq!(ask(&gateway), 200);
            one.calls() >= asked + 3
        },
    );
}

#[test]
fn a_single_target_is_limited_as_well() {
    let (one, two) = (answering(), answering());
    let fallback = "\n    fallback: [{ provider: two, model: second }]";
    let yaml = document(one.address, two.address, SQLITE, "");
    assert!(yaml.contains(fallback));
    let yaml = yaml.replace(fallback, "").replace(
        "credentials: [{ env: ONE }]",
        "credentials: [{ env: ONE }], limits: { requests: 1/h }",
    );
    let ledger = Ledger::of(&yaml);
    assert_eq!(post(&ledger.gateway, "secret").status, 200);
    let after = refused(&post(&ledger.gateway, "secret"), "No provider");
    assert!((3_500..=3_600).contains(&after), "{after}");
    assert_eq!(one.calls(), 1);
}

#[test]
fn wrong_limits_are_errors_with_the_nearest_name() {
    let yaml = callers(nowhere(), nowhere(), "SHOP", "", "TEAM");
    let yaml = yaml.replace("env: ONE }]", "env: ONE }], PROVIDER");
    for (place, settings, word) in [
        ("SHOP", "limits: { request: 1/s }", "requests"),
        ("TEAM", "limits: { token: 1/s }", "tokens"),
        ("PROVIDER", "limits: { tokns: 1/s }", "tokens"),
        ("PROVIDER", "limit: { tokens: 1/s }", "limits"),
        ("PROVIDER", "limits: { tokens: 0/s }", "0/s"),
    ] {
        let mut yaml = yaml.replace(place, settings);
        for other in ["SHOP", "TEAM", ", PROVIDER"] {
            yaml = yaml.replace(other, "");
        }
        let error = Gateway::try_start(&yaml).err().expect(settings).to_string();
        assert!(error.contains(word), "{settings}: {error}");
    }
}
