//! What rules decide, in which order, and what they leave in the record.

use super::*;
use crate::testing::{Harness, Script, VerdictExt};
use gate_flow::AccessMatch;
use std::path::Path;
use std::time::Duration;

#[path = "mmdb_tests.rs"]
mod mmdb;

fn refusal(settings: &str) -> String {
    let finding = Harness::new().compile::<Access>(settings).err();
    finding.expect("refused").to_string()
}

/// The fault with which a request is refused, if it is.
fn refused(harness: &Harness, policy: &Arc<dyn Policy>, exchange: &mut Exchange) -> Option<Fault> {
    harness.request(policy, exchange).refused()
}

/// Which rules fitted, as `name action`.
fn fitted(exchange: &Exchange) -> Vec<String> {
    let text = |fit: &AccessMatch| format!("{} {}", fit.rule, fit.action.as_str());
    let facts = exchange.record.access.as_deref();
    facts
        .map(|facts| facts.matches.iter().map(text).collect())
        .unwrap_or_default()
}

fn from(harness: &Harness, address: &str, head: &str) -> Exchange {
    let mut exchange = harness.exchange(head);
    exchange.address = address.parse().unwrap();
    exchange
}

#[test]
fn settings_that_cannot_act_are_refused() {
    for (settings, says) in [
        ("{}", "nothing is looked at"),
        ("allow: [10.0.0.0/33]", "`10.0.0.0/33` is neither"),
        ("allow: [10.0.0.0/33]", "at allow"),
        ("deny: [example.com]", "at deny"),
        ("deny: [10.1.0.0/8]", "did you mean `10.0.0.0/8`"),
        ("rules: [{ name: a, then: count }]", "looks at nothing"),
        (
            "rules: [{ name: a, countries: [DE], then: block }]",
            "names no file",
        ),
        (
            "rules: [{ name: a, countries: [Germany], then: block }]",
            "no country code",
        ),
        (
            "rules: [{ name: a, networks: ['64496'], then: block }]",
            "no autonomous system",
        ),
        (
            "rules: [{ name: a, labelled: [x], then: block }]",
            "no rule before it gives",
        ),
        (
            "rules: [{ name: a, methods: [PUT], label: 'a b', then: count }]",
            "is no label",
        ),
        (
            "rules: [{ name: a, methods: [PUT], then: block }, { name: a, methods: [GET], then: block }]",
            "two rules are called",
        ),
        ("hints: { agent: Content-Length }", "at hints"),
        (
            "{ databases: [gone.mmdb], hints: { country: x-country } }",
            "cannot be read",
        ),
    ] {
        let finding = refusal(settings);
        assert!(finding.contains(says), "{settings}: {finding}");
    }
}

#[test]
fn denied_wins_over_allowed_and_others_are_refused() {
    let harness = Harness::new();
    let policy = harness.policy::<Access>(
        "{ allow: [10.0.0.0/8, 192.0.2.7, '2001:db8::/32'], deny: [10.66.0.0/16, '2001:db8:bad::/48'],
           rules: [{ name: all, addresses: [0.0.0.0/0, '::/0'], then: allow }] }",
    );
    for (address, refused) in [
        ("10.66.0.1", true),
        ("::ffff:10.66.0.1", true),
        ("9.255.255.255", true),
        ("11.0.0.0", true),
        ("192.0.2.8", true),
        ("2001:db8:bad::1", true),
        ("2001:db9::", true),
        ("::10.0.0.1", true),
        ("10.0.0.0", false),
        ("10.255.255.255", false),
        ("::ffff:10.1.2.3", false),
        ("192.0.2.7", false),
        ("2001:db8:1::1", false),
    ] {
        let mut exchange = from(&harness, address, "GET /");
        let fault = super::tests::refused(&harness, &policy, &mut exchange);
        let code = fault.map(|fault| fault.code);
        assert_eq!(
            code,
            refused.then_some(FaultCode::AddressForbidden),
            "{address}"
        );
    }
}

#[test]
fn mapped_blocks_are_ipv4_blocks() {
    let harness = Harness::new();
    let policy = harness.policy::<Access>("deny: ['::ffff:10.0.0.0/104']");
    for (address, expected) in [("10.9.9.9", true), ("11.0.0.1", false), ("::1", false)] {
        let mut exchange = from(&harness, address, "GET /");
        let fault = refused(&harness, &policy, &mut exchange);
        assert_eq!(fault.is_some(), expected, "{address}");
    }
}

#[test]
fn the_first_rule_that_fits_and_does_not_count_decides() {
    let harness = Harness::new();
    let policy = harness.policy::<Access>(
        "rules:
           - { name: seen, methods: [GET, POST], label: read, then: count }
           - { name: office, addresses: [10.0.0.0/8], then: allow }
           - { name: admin, paths: ['/admin', '/admin/*'], then: block }
           - { name: scanner, headers: { user-agent: '*SQLMAP*' }, then: block }
           - { name: bare, without: [accept, user-agent], labelled: [read], then: block }",
    );
    let blocked = Some(FaultCode::AccessBlocked);
    for (address, head, expected, rules) in [
        ("10.1.1.1", "GET /admin", None, "seen count, office allow"),
        (
            "192.0.2.1",
            "GET /admin\naccept: a",
            blocked,
            "seen count, admin block",
        ),
        ("192.0.2.1", "PUT /admin/x", blocked, "admin block"),
        ("192.0.2.1", "PUT /administrator", None, ""),
        (
            "192.0.2.1",
            "GET /\nuser-agent: sqlmap/1.8",
            blocked,
            "seen count, scanner block",
        ),
        ("192.0.2.1", "GET /", blocked, "seen count, bare block"),
        ("192.0.2.1", "DELETE /", None, ""),
        ("192.0.2.1", "GET /\naccept: */*", None, "seen count"),
    ] {
        let mut exchange = from(&harness, address, head);
        let fault = refused(&harness, &policy, &mut exchange);
        assert_eq!(fault.map(|fault| fault.code), expected, "{address} {head}");
        assert_eq!(fitted(&exchange).join(", "), rules, "{address} {head}");
    }
}

#[test]
fn what_no_rule_decides_may_be_refused() {
    let harness = Harness::new();
    let policy = harness.policy::<Access>(
        "{ rules: [{ name: reading, methods: [GET, HEAD], then: allow }], otherwise: block }",
    );
    let mut exchange = harness.exchange("GET /");
    assert!(refused(&harness, &policy, &mut exchange).is_none());
    let mut exchange = harness.exchange("POST /");
    let fault = refused(&harness, &policy, &mut exchange).unwrap();
    assert_eq!(
        (fault.code, &*fault.detail),
        (FaultCode::AccessBlocked, "rule otherwise")
    );
}

#[test]
fn a_rate_over_a_label_holds_for_each_caller_and_says_when_to_come_back() {
    let harness = Harness::new();
    let policy = harness.policy::<Access>(
        "rules:
           - { name: tools, agents: [tool, absent], label: automated, then: count }
           - { name: slower, labelled: [automated], rate: 2/m, then: block }",
    );
    let ask = |address: &str, agent: &str| {
        let mut exchange = from(&harness, address, &format!("GET /\nuser-agent: {agent}"));
        refused(&harness, &policy, &mut exchange)
    };
    for _ in 0..2 {
        assert!(ask("192.0.2.1", "curl/8").is_none());
    }
    let fault = ask("192.0.2.1", "curl/8").expect("beyond the rate");
    assert_eq!(fault.code, FaultCode::RateLimited);
    assert_eq!(fault.retry_after, Some(Duration::from_secs(30)));
    assert!(ask("192.0.2.2", "curl/8").is_none(), "another caller");
    assert!(ask("192.0.2.1", "our-app/1").is_none(), "not labelled");
    harness.hands.advance(Duration::from_secs(30));
    assert!(ask("192.0.2.1", "curl/8").is_none(), "room again");
    // A caller's /64 is one caller.
    assert!(ask("2001:db8::1", "curl/8").is_none() && ask("2001:db8::2", "curl/8").is_none());
    assert!(ask("2001:db8::3", "curl/8").is_some());
}

#[test]
fn a_body_is_held_to_its_rule_also_where_its_length_is_not_known() {
    let harness = Harness::new();
    let settings = "rules: [{ name: big, paths: [/avatar], larger_than: 4B, then: block }]";
    let policy = harness.policy::<Access>(settings);
    for (body, expected) in [("1234", None), ("12345", Some(FaultCode::AccessBlocked))] {
        let mut exchange = harness.exchange("PUT /avatar");
        exchange.request.body = Body::Full(body.to_owned().into());
        let fault = refused(&harness, &policy, &mut exchange);
        assert_eq!(fault.map(|fault| fault.code), expected, "{body}");
    }
    for (chunks, fits) in [(["12", "34"], true), (["123", "45"], false)] {
        let mut exchange = harness.exchange("PUT /avatar");
        exchange.request.body = Script::of(&chunks).body();
        assert!(refused(&harness, &policy, &mut exchange).is_none());
        let mut body = std::mem::take(&mut exchange.request.body);
        let read = harness.block_on(async move { body.collect(100).await.map(|_| ()) });
        assert_eq!(read.is_ok(), fits, "{chunks:?}");
    }
}

const EUROPE: &str = "EU";

/// A file that knows three blocks.
fn write(path: &Path, country: &str) {
    let rows = [
        mmdb::Row::new("192.0.2.0/24", country, EUROPE, 64496),
        mmdb::Row::new("198.51.100.0/25", "US", "NA", 64497),
        mmdb::Row::new("2001:db8::/32", "JP", "AS", 64498),
    ];
    let whole = path.with_extension("new");
    std::fs::write(&whole, mmdb::database(&rows)).unwrap();
    std::fs::rename(whole, path).unwrap();
}

#[test]
fn countries_and_networks_come_from_the_file_and_change_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("places.mmdb");
    write(&path, "DE");
    let harness = Harness::new().folder(folder.path());
    let policy = harness.policy::<Access>(
        "databases: [places.mmdb]
rules:
  - { name: home, countries: [de], then: allow }
  - { name: hoster, networks: [AS64497], then: block }
  - { name: nowhere, countries: [ZZ], then: block }
hints: { country: X-Country, continent: X-Continent, network: X-Network }",
    );
    let see = |address: &str| {
        let mut exchange = from(&harness, address, "GET /\nX-Country: XX\nx-network: AS1");
        let fault = refused(&harness, &policy, &mut exchange);
        let hint = |name| {
            exchange
                .request
                .head
                .headers
                .get_named(name)
                .map(|v| v.to_vec())
        };
        let hints = ["x-country", "x-continent", "x-network"].map(hint);
        let hints = hints.map(|v| v.map(|v| String::from_utf8(v).unwrap()).unwrap_or_default());
        (
            fault.is_some(),
            fitted(&exchange).join(", "),
            hints.join(" "),
        )
    };
    let seen = |refused, rules: &str, hints: &str| (refused, rules.to_owned(), hints.to_owned());
    assert_eq!(see("192.0.2.9"), seen(false, "home allow", "DE EU AS64496"));
    assert_eq!(
        see("::ffff:192.0.2.9"),
        seen(false, "home allow", "DE EU AS64496")
    );
    assert_eq!(see("2001:db8::9"), seen(false, "", "JP AS AS64498"));
    assert!(see("198.51.100.9").0, "a hoster");
    assert_eq!(see("203.0.113.1").1, "nowhere block");
    // Another file is found within seconds, a broken one is not taken.
    write(&path, "FR");
    harness.hands.advance(Duration::from_secs(6));
    see("192.0.2.9");
    harness.settle();
    assert_eq!(see("192.0.2.9").2, "FR EU AS64496");
    std::fs::write(&path, b"no database").unwrap();
    harness.hands.advance(Duration::from_secs(6));
    see("192.0.2.9");
    harness.settle();
    assert_eq!(see("192.0.2.9").2, "FR EU AS64496");
}

#[test]
fn hints_are_the_gateways_own() {
    let harness = Harness::new();
    let policy = harness.policy::<Access>(
        "rules: [{ name: writes, methods: [POST], label: writes, then: count }]
hints: { agent: X-Agent, labels: X-Labels }",
    );
    let head = "POST /\nx-agent: browser\nx-labels: trusted\nuser-agent: curl/8";
    let mut exchange = harness.exchange(head);
    assert!(refused(&harness, &policy, &mut exchange).is_none());
    let all = |name| {
        exchange
            .request
            .head
            .headers
            .all_named(name)
            .collect::<Vec<_>>()
    };
    assert_eq!(all("x-agent"), [&b"tool"[..]]);
    assert_eq!(all("x-labels"), [&b"writes"[..]]);
    let mut exchange = harness.exchange("GET /\nx-labels: trusted");
    assert!(refused(&harness, &policy, &mut exchange).is_none());
    assert_eq!(exchange.request.head.headers.get_named("x-labels"), None);
}
