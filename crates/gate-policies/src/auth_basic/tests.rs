//! Passwords: refusals first, then what is remembered and what the upstream sees.

use super::*;
use crate::testing::{Harness, VerdictExt};

/// `U*U`.
const HASH: &str = "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

fn settings(rest: &str) -> String {
    format!("{{ users: {{ ada: '{HASH}' }}, {rest} }}")
}

fn head(pair: &str) -> String {
    format!(
        "GET /\nx-user: root\nauthorization: Basic {}",
        STANDARD.encode(pair)
    )
}

#[test]
fn settings_that_would_not_protect_are_refused() {
    let mut harness = Harness::new();
    harness.secrets.insert("OLD".into(), "a:$apr1$x$y".into());
    for (settings, message) in [
        ("{}".to_owned(), "no user"),
        ("{ users: { ada: secret } }".to_owned(), "neither bcrypt"),
        (format!("{{ users: {{ 'a:b': '{HASH}' }} }}"), "no name"),
        ("{ files: [{ env: OLD }] }".to_owned(), "line 1"),
        ("{ files: [{ env: NONE }] }".to_owned(), "not set"),
        (settings("realm: 'a\"b'"), "without quotes"),
        (settings("name_header: 'a b'"), "cannot be the name"),
    ] {
        let finding = harness.compile::<AuthBasic>(&settings);
        let finding = finding.err().expect(&settings).to_string();
        assert!(finding.contains(message), "{settings}: {finding}");
        assert!(!finding.contains("secret"));
    }
}

#[test]
fn wrong_credentials_are_refused_with_a_challenge() {
    let harness = Harness::new();
    let policy = harness.policy::<AuthBasic>(&settings("realm: orders"));
    let (missing, invalid) = (FaultCode::CredentialMissing, FaultCode::CredentialInvalid);
    for (head, code) in [
        ("GET /".to_owned(), missing),
        ("GET /\nauthorization: Bearer x".to_owned(), missing),
        ("GET /\nauthorization: Basic !".to_owned(), invalid),
        ("GET /\nauthorization: Basic YWRh".to_owned(), invalid),
        (head("ada:"), invalid),
        (head("ada:u*u"), invalid),
        (head("eve:U*U"), invalid),
        (head(&format!("ada:{}", "x".repeat(2000))), invalid),
        (
            format!("{}\nauthorization: Basic x", head("ada:U*U")),
            invalid,
        ),
    ] {
        for policy in [
            &policy,
            &harness.policy::<AuthBasic>(&settings("optional: true")),
        ] {
            let mut exchange = harness.exchange(&head);
            let verdict = harness.request(policy, &mut exchange);
            let challenge = exchange.response_headers.get_named("www-authenticate");
            match verdict.refused() {
                Some(fault) => {
                    assert_eq!(fault.code, code, "{head}");
                    assert!(challenge.is_some_and(|text| text.starts_with(b"Basic realm=")));
                }
                None => assert_eq!(code, missing, "{head}"),
            }
        }
    }
}

#[test]
fn a_right_password_is_verified_once_in_a_while() {
    let mut harness = Harness::new().callers(&[("ada", Some("shop"), &[])]);
    harness
        .secrets
        .insert("FILE".into(), format!("# people\neve:{HASH}\n"));
    let policy = harness.policy::<AuthBasic>(&settings(
        "files: [{ env: FILE }], consumer: true, name_header: x-user, remember: 10s",
    ));
    let waits = |head: &str| {
        let mut exchange = harness.exchange(head);
        matches!(policy.request(&mut exchange), Verdict::Wait(_))
    };
    assert!(waits(&head("ada:U*U")));
    let mut exchange = harness.exchange(&head("ada:U*U"));
    assert!(harness.request(&policy, &mut exchange).is_next());
    let headers = &exchange.request.head.headers;
    assert_eq!(headers.all_named("x-user").collect::<Vec<_>>(), [b"ada"]);
    assert_eq!(headers.get_named("authorization"), None);
    assert_eq!(exchange.record.team.as_deref(), Some("shop"));
    assert!(!waits(&head("ada:U*U")), "it is remembered");
    assert!(waits(&head("ada:U*V")) && waits(&head("eve:U*U")));
    // Another revision verifies again: its users may be others.
    let other = harness.policy::<AuthBasic>(&settings(""));
    let mut exchange = harness.exchange(&head("ada:U*U"));
    assert!(matches!(other.request(&mut exchange), Verdict::Wait(_)));
    harness.hands.advance(Duration::from_secs(10));
    assert!(waits(&head("ada:U*U")));
    let fault = harness.request(&policy, &mut harness.exchange(&head("eve:U*U")));
    let fault = fault.refused().expect("no consumer");
    assert_eq!(fault.code, FaultCode::Forbidden);
}
