//! Signatures of requests: what is made by `sign` is what is let in here, and nothing else.

use super::*;
use crate::registry::sign::Sign;
use crate::testing::{Harness, Script, VerdictExt, response};
use std::time::Duration;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn harness() -> Harness {
    let mut harness = Harness::new().callers(&[("storefront", Some("shop"), &[])]);
    harness.secrets.insert("SECRET".into(), SECRET.into());
    harness
        .secrets
        .insert("OTHER".into(), SECRET.replace('0', "1"));
    harness
}

fn verifier(harness: &Harness, rest: &str) -> Arc<dyn Policy> {
    let keys = "k: { algorithm: hmac-sha256, secret: { env: SECRET } }";
    harness.policy::<AuthSignature>(&format!("{{ keys: {{ {keys} }}, {rest} }}"))
}

fn signer(harness: &Harness, secret: &str, rest: &str) -> Arc<dyn Policy> {
    harness.policy::<Sign>(&format!(
        "{{ key: {{ env: {secret} }}, key_id: k, algorithm: hmac-sha256, {rest} }}"
    ))
}

const ALL: &str =
    "cover: ['@method', '@authority', '@path', '@query', content-digest], digest: true";

/// A request with a body, signed.
fn signed(harness: &Harness, secret: &str, rest: &str) -> Exchange {
    let mut exchange = harness.exchange("POST /a?b=1\ncontent-type: text/plain");
    exchange.request.body = Script::of(&["hel", "lo"]).body();
    let verdict = harness.request(&signer(harness, secret, rest), &mut exchange);
    assert!(verdict.is_next());
    exchange
}

#[test]
fn settings_that_would_not_protect_are_refused() {
    let harness = harness();
    for (settings, message) in [
        ("{ keys: {} }", "nobody could sign"),
        (
            "{ keys: { k: { algorithm: ed25519, secret: { env: SECRET } } } }",
            "needs `secret`",
        ),
        (
            "{ keys: { k: { algorithm: hmac-sha256 } } }",
            "needs `secret`",
        ),
        ("{ keys: { k: { algorithm: ed25519, public: x } } }", "PEM"),
        ("{ keys: { k: { algorithm: none } } }", "none"),
        (
            "{ keys: { k: { algorithm: hmac-sha256, secret: { env: SECRET }, consumer: x } } }",
            "no consumer",
        ),
        (
            "{ keys: { k: { algorithm: hmac-sha256, secret: { env: SECRET } } }, cover: ['@x'] }",
            "no component",
        ),
    ] {
        let finding = harness.compile::<AuthSignature>(settings);
        let finding = finding.err().expect(settings).to_string();
        assert!(finding.contains(message), "{settings}: {finding}");
    }
    for (rest, message) in [
        ("cover: ['@status']", "for answers"),
        ("cover: ['@method'], on: response", "add `;req`"),
        ("cover: [Date]", "no component"),
        ("cover: [], label: 'a b'", "no label"),
        ("cover: [], algorithm: ed25519", "algorithm"),
    ] {
        let settings =
            format!("{{ key: {{ env: SECRET }}, key_id: k, algorithm: hmac-sha256, {rest} }}");
        let finding = harness.compile::<Sign>(&settings);
        let finding = finding.err().expect(rest).to_string();
        assert!(finding.contains(message), "{rest}: {finding}");
    }
}

#[test]
fn what_sign_signs_is_let_in_until_it_is_too_old() {
    let harness = harness();
    let policy = verifier(&harness, "max_age: 60s");
    for (after, right) in [(0, true), (60, true), (61, false)] {
        let mut exchange = signed(&harness, "SECRET", ALL);
        harness.hands.advance(Duration::from_secs(after));
        let verdict = harness.request(&policy, &mut exchange);
        assert_eq!(verdict.is_next(), right, "{after}");
        if right {
            let headers = &exchange.request.head.headers;
            assert!(headers.get_named("signature").is_none());
            assert!(headers.get_named("signature-input").is_none());
            let body = harness.block_on(exchange.request.body.collect(100));
            assert_eq!(&body.expect("a body")[..], b"hello");
        }
    }
    let mut exchange = signed(&harness, "SECRET", &format!("{ALL}, expires: 5s"));
    harness.hands.advance(Duration::from_secs(5));
    let fault = harness.request(&policy, &mut exchange).refused();
    assert!(fault.expect("expired").detail.contains("has expired"));
}

#[test]
fn whatever_is_changed_or_left_out_is_refused() {
    let harness = harness();
    let policy = verifier(&harness, "tag: orders");
    let good = format!("{ALL}, tag: orders");
    type Change = fn(&mut Exchange);
    let changes: [(&str, &str, &str, Change); 9] = [
        ("SECRET", "", "", |_| {}),
        ("SECRET", "", "does not fit", |it| {
            it.request.head.method = gate_kit::http::Method::Put
        }),
        ("SECRET", "", "does not fit", |it| {
            it.request.head.target = "/a?b=2".into()
        }),
        ("SECRET", "", "does not fit", |it| {
            it.request.head.authority = "evil".into()
        }),
        ("SECRET", "", "not the one that was signed", |it| {
            it.request.body = Script::of(&["hullo"]).body();
        }),
        ("OTHER", "", "does not fit", |_| {}),
        (
            "SECRET",
            "cover: ['@method'], digest: true, tag: orders",
            "does not cover",
            |_| {},
        ),
        (
            "SECRET",
            "cover: ['@method', '@target-uri'], tag: orders",
            "the body's digest",
            |_| {},
        ),
        ("SECRET", ALL, "known key", |_| {}),
    ];
    for (secret, rest, reason, change) in changes {
        let rest = if rest.is_empty() { &good } else { rest };
        let mut exchange = signed(&harness, secret, rest);
        change(&mut exchange);
        let fault = harness.request(&policy, &mut exchange).refused();
        match fault {
            Some(fault) => assert!(
                !reason.is_empty() && fault.detail.contains(reason),
                "{rest}: {} instead of {reason}",
                fault.detail
            ),
            None => assert_eq!(reason, "", "{rest}"),
        }
    }
    let nobody = harness.request(&policy, &mut harness.exchange("GET /"));
    let nobody = nobody.refused().expect("no signature");
    assert_eq!(nobody.code, FaultCode::CredentialMissing);
    let mut broken = harness.exchange("GET /\nsignature: x");
    let fault = harness.request(&policy, &mut broken).refused();
    assert_eq!(fault.expect("broken").code, FaultCode::CredentialInvalid);
}

#[test]
fn answers_are_signed_for_the_request_that_they_answer() {
    let harness = harness();
    let policy = signer(
        &harness,
        "SECRET",
        "on: response, cover: ['@status', '\"@method\";req', content-digest], digest: true",
    );
    let mut exchange = harness.exchange("GET /a");
    assert!(harness.request(&policy, &mut exchange).is_next());
    let answer = response(
        200,
        &[
            ("signature", "other=:aGk=:"),
            ("signature-input", "other=()"),
        ],
        Script::of(&["x"]).body(),
    );
    let answer = harness.respond(&policy, &mut exchange, answer);
    let headers = &answer.head.headers;
    let all = gate_identity::signature::signatures(headers).expect("valid");
    assert_eq!(all.len(), 2, "another's signature stays");
    let key = VerificationKey::new(SignatureAlgorithm::HmacSha256, SECRET).expect("a key");
    let asked = &exchange.request.head.headers;
    let mut message = message(&exchange, asked);
    message.response = Some((200, headers));
    let ours = all.iter().find(|one| one.label == "sig1").expect("ours");
    assert_eq!(ours.verify(&message, &key), Ok(()));
    message.response = Some((500, headers));
    assert!(ours.verify(&message, &key).is_err());
}
