//! Tokens against the policy: refusals first, then rotation, outages and public test vectors.

use super::*;
use crate::testing::{Harness, VerdictExt};
use crate::testing_tokens::{encode, jwk, pair, signed, token};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::KeyPair;
use gate_flow::{FetchError, Fetched};
use gate_kit::http::HeaderId;
use serde_json::{Value, json};
use std::time::Duration;

const URL: &str = "https://id.example.com/jwks";
/// The harness' clock starts here.
const NOW: u64 = 86_400;

fn good() -> Value {
    json!({ "iss": "me", "aud": ["a", "orders"], "exp": NOW + 60, "sub": "u1", "scope": "x read" })
}

/// Good claims with some of them replaced; `null` removes one.
fn with(changes: Value) -> Value {
    let mut claims = good();
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
    }
    claims
}

fn inline(rest: &str) -> String {
    let set = json!({ "keys": [jwk(1, "k1")] });
    format!("{{ keys: {{ inline: {set} }}, issuer: me, audiences: [orders], {rest} }}")
}

fn remote(rest: &str) -> String {
    format!("{{ keys: {{ url: '{URL}' }}, {rest} }}")
}

fn set(keys: &[Value], max_age: Option<u64>) -> Result<Fetched, FetchError> {
    let body = json!({ "keys": keys }).to_string().into_bytes();
    Ok(Fetched {
        status: 200,
        max_age,
        body,
    })
}

fn down() -> Result<Fetched, FetchError> {
    Err(FetchError("connection refused".into()))
}

fn ask(harness: &Harness, policy: &Arc<dyn Policy>, token: &str) -> Result<Exchange, Fault> {
    let mut exchange = harness.exchange(&format!("GET /\nauthorization: Bearer {token}"));
    let verdict = harness.request(policy, &mut exchange);
    verdict.refused().map_or(Ok(exchange), Err)
}

fn detail(harness: &Harness, policy: &Arc<dyn Policy>, token: &str) -> String {
    ask(harness, policy, token).map_or_else(|fault| fault.to_string(), |_| "passes".into())
}

#[test]
fn settings_that_would_not_protect_are_refused() {
    let oct = json!({ "keys": [{ "kty": "oct", "k": encode([7; 32]) }] });
    let short = json!({ "keys": [{ "kty": "oct", "k": encode([7; 31]) }] });
    let encryption =
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": "AA", "use": "enc" }] });
    for (settings, message) in [
        ("{}".into(), "keys"),
        (remote("algorithms: []"), "no token could pass"),
        (remote("algorithms: [none]"), "algorithms"),
        (
            remote("algorithms: [HS256]"),
            "secrets that are written inline",
        ),
        (remote("clock_skew: 1h"), "at most 10m"),
        (remote("headers: []"), "neither header nor cookie"),
        (remote("cache: { timeout: 0s }"), "above zero"),
        (remote("claims: { a: { like: b } }"), "like"),
        (
            "{ keys: { url: 'ftp://x' } }".into(),
            "neither https:// nor http://",
        ),
        ("{ keys: { file: none.json } }".into(), "does not exist"),
        ("{ keys: { inline: {} } }".into(), "no JWK Set"),
        (
            format!("{{ keys: {{ inline: {encryption} }} }}"),
            "can verify",
        ),
        (
            format!("{{ keys: {{ inline: {oct} }} }}"),
            "`algorithms` names HS256",
        ),
        (
            format!("{{ keys: {{ inline: {short} }}, algorithms: [HS256] }}"),
            "can verify",
        ),
        (inline("algorithms: [RS256]"), "no key fits"),
    ] {
        let finding = Harness::new()
            .compile::<AuthJwt>(&settings)
            .err()
            .expect(&settings);
        assert!(
            finding.to_string().contains(message),
            "{settings}: {finding}"
        );
    }
}

#[test]
fn bad_tokens_are_refused() {
    let harness = Harness::new();
    let policy = harness.policy::<AuthJwt>(&inline("claims: { scope: { contains: read } }"));
    let ed = |message: &[u8]| pair(1).sign(message).as_ref().to_vec();
    // The classic confusion: the public key as an HMAC secret.
    let confused = |message: &[u8]| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, pair(1).public_key().as_ref());
        hmac::sign(&key, message).as_ref().to_vec()
    };
    let made = |header: Value| signed(&header, &good(), ed);
    let twice = format!(
        "{}.{}",
        encode(r#"{"alg":"none","alg":"EdDSA"}"#),
        encode(good().to_string())
    );
    for (token, reason) in [
        ("x".into(), "has no signature"),
        ("a.b".into(), "has no payload"),
        ("a.b.c.d".into(), "too many parts"),
        ("!.b.c".into(), "no base64url"),
        ("x".repeat(TOKEN_TOO_LONG), "too long"),
        (made(json!({ "alg": "none" })), "algorithm is not allowed"),
        (made(json!({ "alg": "eddsa" })), "algorithm is not allowed"),
        (made(json!({ "kid": "k1" })), "header is not valid"),
        (
            made(json!({ "alg": "EdDSA", "crit": ["b64"], "b64": false })),
            "needs an extension",
        ),
        (made(json!({ "alg": "RS256", "kid": "k1" })), "no key fits"),
        (made(json!({ "alg": "EdDSA", "kid": "k2" })), "no key fits"),
        (
            signed(&json!({ "alg": "HS256" }), &good(), confused),
            "algorithm is not allowed",
        ),
        (
            format!("{twice}.{}", encode(ed(twice.as_bytes()))),
            "header is not valid",
        ),
        (token(2, "k1", &good()), "signature is not valid"),
        (token(1, "k1", &json!([])), "no object"),
        (
            token(1, "k1", &with(json!({ "exp": null }))),
            "never expires",
        ),
        (token(1, "k1", &with(json!({ "exp": "soon" }))), "no number"),
        (
            token(1, "k1", &with(json!({ "exp": NOW - 30 }))),
            "has expired",
        ),
        (
            token(1, "k1", &with(json!({ "nbf": NOW + 31 }))),
            "not valid yet",
        ),
        (
            token(1, "k1", &with(json!({ "iss": "you" }))),
            "another issuer",
        ),
        (
            token(1, "k1", &with(json!({ "iss": null }))),
            "another issuer",
        ),
        (
            token(1, "k1", &with(json!({ "aud": "order" }))),
            "another audience",
        ),
        (
            token(1, "k1", &with(json!({ "aud": null }))),
            "another audience",
        ),
        (
            token(1, "k1", &with(json!({ "scope": "reader x" }))),
            "required claim",
        ),
        (
            token(1, "k1", &with(json!({ "scope": null }))),
            "required claim",
        ),
    ] {
        let mut exchange = harness.exchange(&format!("GET /\nauthorization: Bearer {token}"));
        let fault = harness
            .request(&policy, &mut exchange)
            .refused()
            .expect(reason);
        assert_eq!(fault.code, FaultCode::CredentialInvalid, "{reason}");
        assert!(
            fault.detail.contains(reason),
            "{token}: {} instead of {reason}",
            fault.detail
        );
        let challenge = exchange.response_headers.get_str(HeaderId::WwwAuthenticate);
        assert_eq!(challenge, Some("Bearer error=\"invalid_token\""));
        assert!(
            !format!("{fault:?}").contains("eyJ"),
            "tokens are not logged"
        );
    }
}
const TOKEN_TOO_LONG: usize = gate_identity::jose::TOKEN_BYTES_MAX + 1;

#[test]
fn a_good_token_passes_and_is_removed() {
    let harness = Harness::new();
    for (settings, claims) in [
        (inline(""), good()),
        (
            inline(""),
            with(json!({ "aud": "orders", "exp": NOW as f64 - 29.5, "nbf": NOW + 30 })),
        ),
        (
            inline("require_expiry: false"),
            with(json!({ "exp": null })),
        ),
        (
            inline("claims: { /r/x: { contains: y }, n: { equals: 3 }, z: { present: false } }"),
            with(json!({ "r": { "x": ["y"] }, "n": 3 })),
        ),
    ] {
        let policy = harness.policy::<AuthJwt>(&settings);
        for id in ["k1", ""] {
            let header = if id.is_empty() {
                json!({ "alg": "EdDSA" })
            } else {
                json!({ "alg": "EdDSA", "kid": id })
            };
            let token = signed(&header, &claims, |m| pair(1).sign(m).as_ref().to_vec());
            let exchange = ask(&harness, &policy, &token).unwrap_or_else(|fault| panic!("{fault}"));
            assert!(
                exchange.request.head.headers.is_empty(),
                "the token is removed"
            );
        }
    }
}

#[test]
fn inline_secrets_work_when_named() {
    let harness = Harness::new();
    let secret = [7; 32];
    let keys = json!({ "keys": [{ "kty": "oct", "k": encode(secret) }] });
    let policy = harness.policy::<AuthJwt>(&format!(
        "{{ keys: {{ inline: {keys} }}, algorithms: [HS256] }}"
    ));
    let mac = |message: &[u8]| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message)
            .as_ref()
            .to_vec()
    };
    let right = signed(&json!({ "alg": "HS256" }), &good(), mac);
    assert_eq!(detail(&harness, &policy, &right), "passes");
    let other = signed(&json!({ "alg": "HS256" }), &good(), |_| vec![0; 32]);
    assert!(detail(&harness, &policy, &other).contains("signature is not valid"));
}

#[test]
fn tokens_come_from_headers_or_a_cookie() {
    let harness = Harness::new();
    let policy = harness.policy::<AuthJwt>(&inline(
        "headers: [x-token], cookie: session, optional: true",
    ));
    let good = token(1, "k1", &good());
    let run = |head: &str| {
        let mut exchange = harness.exchange(head);
        let code = harness
            .request(&policy, &mut exchange)
            .refused()
            .map(|fault| fault.code);
        let left: Vec<_> = exchange
            .request
            .head
            .headers
            .iter()
            .map(|f| f.1.to_vec())
            .collect();
        (code, left.len())
    };
    let invalid = Some(FaultCode::CredentialInvalid);
    assert_eq!(
        run(&format!("GET /\nx-token: {good}\nx-token: {good}")).0,
        invalid
    );
    assert_eq!(
        run(&format!("GET /\ncookie: session={good}; session=x")).0,
        invalid
    );
    assert_eq!(run("GET /\ncookie: session=x").0, invalid);
    assert_eq!(
        run("GET /\nauthorization: Bearer x\ncookie: a=b"),
        (None, 2),
        "not looked at"
    );
    assert_eq!(run(&format!("GET /\nx-token: {good}")), (None, 0));
    assert_eq!(
        run(&format!("GET /\ncookie: a=b; session={good}")),
        (None, 1)
    );
    let strict = harness.policy::<AuthJwt>(&inline(""));
    let fault = harness
        .request(&strict, &mut harness.exchange("GET /"))
        .refused()
        .unwrap();
    assert_eq!(fault.code, FaultCode::CredentialMissing);
}

#[test]
fn claims_name_the_consumer_and_become_headers() {
    let harness = Harness::new().callers(&[("shop", Some("sales"), &[])]);
    let policy = |rest: &str| {
        let common = "consumer_claim: client, claims_to_headers: { sub: x-user, roles: x-roles }";
        harness.policy::<AuthJwt>(&inline(&format!("{common}, {rest}")))
    };
    let run = |policy: &Arc<dyn Policy>, claims: Option<Value>| {
        let mut exchange = harness.exchange("GET /\nX-User: admin\nx-roles: root\nx-other: 1");
        if let Some(claims) = claims {
            let value = format!("Bearer {}", token(1, "k1", &claims));
            exchange
                .request
                .head
                .headers
                .append(b"authorization", value.as_bytes());
        }
        let refused = harness.request(policy, &mut exchange).refused();
        (refused.map(|fault| fault.code), exchange)
    };
    let strict = policy("");
    let (code, _) = run(&strict, Some(with(json!({ "client": "stranger" }))));
    assert_eq!(code, Some(FaultCode::Forbidden));
    let (code, _) = run(&strict, Some(good()));
    assert_eq!(code, Some(FaultCode::Forbidden), "the claim is missing");
    let (code, _) = run(
        &strict,
        Some(with(json!({ "client": "shop", "sub": "a\r\nb: c" }))),
    );
    assert_eq!(
        code,
        Some(FaultCode::CredentialInvalid),
        "no header can be injected"
    );
    let (code, exchange) = run(
        &strict,
        Some(with(json!({ "client": "shop", "roles": ["a", 2] }))),
    );
    assert_eq!(code, None);
    assert_eq!(
        exchange.caller.as_ref().map(|caller| &*caller.name),
        Some("shop")
    );
    assert_eq!(exchange.record.team.as_deref(), Some("sales"));
    let headers = &exchange.request.head.headers;
    assert_eq!(headers.all_named("x-user").collect::<Vec<_>>(), [b"u1"]);
    assert_eq!(headers.all_named("x-roles").collect::<Vec<_>>(), [b"a,2"]);
    assert_eq!(headers.get_named("x-other"), Some(&b"1"[..]));
    let lax = policy("unknown_consumer: anonymous, optional: true");
    for claims in [Some(with(json!({ "sub": null }))), None] {
        let (code, exchange) = run(&lax, claims);
        assert_eq!(code, None);
        assert!(exchange.caller.is_none());
        assert_eq!(
            exchange.request.head.headers.get_named("x-user"),
            None,
            "never the caller's own"
        );
    }
}

#[test]
fn one_fetch_serves_all_who_wait() {
    let harness = Harness::new();
    harness
        .services
        .answer(URL, set(&[jwk(1, "k1")], Some(300)));
    let policy = harness.policy::<AuthJwt>(&remote(""));
    let head = format!("GET /\nauthorization: Bearer {}", token(1, "k1", &good()));
    let mut exchanges: Vec<_> = (0..50).map(|_| harness.exchange(&head)).collect();
    let mut waiting: Vec<_> = exchanges
        .iter_mut()
        .map(|exchange| match policy.request(exchange) {
            Verdict::Wait(later) => later,
            _ => panic!("no keys are known yet"),
        })
        .collect();
    harness.block_on(async {
        for verdict in &mut waiting {
            assert!(verdict.await.is_next());
        }
    });
    assert_eq!(harness.services.fetched.borrow().len(), 1);
    let mut later = harness.exchange(&head);
    assert!(
        policy.request(&mut later).is_next(),
        "known keys need no wait"
    );
    // Another revision of the same settings starts with the keys.
    let reloaded = harness.policy::<AuthJwt>(&remote(""));
    assert!(reloaded.request(&mut harness.exchange(&head)).is_next());
    let asked = harness.services.fetched.borrow();
    assert_eq!(
        (asked[0].timeout, asked[0].bytes_max),
        (Duration::from_secs(5), 512 * 1024)
    );
}

#[test]
fn strangers_do_not_make_the_gateway_fetch() {
    let harness = Harness::new();
    harness.services.answer(URL, set(&[jwk(1, "k1")], None));
    let policy = harness.policy::<AuthJwt>(&remote(""));
    for bad in [
        "",
        "x",
        "a.b.c",
        &signed(&json!({ "alg": "none" }), &good(), |_| vec![]),
    ] {
        assert!(ask(&harness, &policy, bad).is_err());
    }
    assert!(
        harness
            .request(&policy, &mut harness.exchange("GET /"))
            .refused()
            .is_some()
    );
    assert!(harness.services.fetched.borrow().is_empty());
}

#[test]
fn rotation_is_noticed_at_the_first_new_token_but_seldom() {
    let harness = Harness::new();
    harness
        .services
        .answer(URL, set(&[jwk(1, "k1")], Some(3600)));
    let policy = harness.policy::<AuthJwt>(&remote("require_expiry: false"));
    let claims = with(json!({ "exp": null }));
    assert_eq!(
        detail(&harness, &policy, &token(1, "k1", &claims)),
        "passes"
    );
    harness.hands.advance(Duration::from_secs(31));
    harness
        .services
        .answer_only(URL, set(&[jwk(1, "k1"), jwk(2, "k2")], Some(3600)));
    assert_eq!(
        detail(&harness, &policy, &token(2, "k2", &claims)),
        "passes"
    );
    assert_eq!(harness.services.fetched.borrow().len(), 2);
    for n in 0..100 {
        let refusal = detail(&harness, &policy, &token(3, &format!("x{n}"), &claims));
        assert!(refusal.contains("no key fits"), "{refusal}");
    }
    assert_eq!(
        harness.services.fetched.borrow().len(),
        2,
        "unknown keys are rate-limited"
    );
    harness.hands.advance(Duration::from_secs(31));
    assert!(ask(&harness, &policy, &token(3, "x", &claims)).is_err());
    assert_eq!(harness.services.fetched.borrow().len(), 3);
}

#[test]
fn keys_are_refreshed_aside_and_served_stale_up_to_a_limit() {
    let harness = Harness::new();
    harness
        .services
        .answer(URL, set(&[jwk(1, "k1")], Some(100)));
    let policy = harness.policy::<AuthJwt>(&remote("require_expiry: false, cache: { stale: 10m }"));
    let good = token(1, "k1", &with(json!({ "exp": null })));
    let fetches = || harness.services.fetched.borrow().len();
    assert_eq!(detail(&harness, &policy, &good), "passes");
    harness.hands.advance(Duration::from_secs(79));
    assert_eq!(
        (detail(&harness, &policy, &good), fetches()),
        ("passes".into(), 1)
    );
    // Past four fifths of its life the set is refreshed, and nobody waits for that.
    harness.hands.advance(Duration::from_secs(1));
    let mut exchange = harness.exchange(&format!("GET /\nauthorization: Bearer {good}"));
    assert!(policy.request(&mut exchange).is_next());
    harness.settle();
    assert_eq!(fetches(), 2);
    // The source goes down: the set is served on, with pauses between the attempts.
    harness.services.answer_only(URL, down());
    harness.hands.advance(Duration::from_secs(100));
    for _ in 0..20 {
        assert_eq!(detail(&harness, &policy, &good), "passes");
        harness.settle();
    }
    assert_eq!(fetches(), 3);
    harness.hands.advance(Duration::from_secs(601));
    let fault = ask(&harness, &policy, &good).err().expect("too stale");
    assert_eq!(fault.code, FaultCode::PolicyFailed);
    assert!(
        fault.detail.contains("connection refused"),
        "{}",
        fault.detail
    );
    // It comes back.
    harness
        .services
        .answer_only(URL, set(&[jwk(1, "k1")], None));
    harness.hands.advance(Duration::from_secs(61));
    assert_eq!(detail(&harness, &policy, &good), "passes");
}

#[test]
fn bad_sources_fail_closed() {
    let secret = json!({ "kty": "oct", "k": encode([7; 32]) });
    let html = Ok(Fetched {
        status: 200,
        max_age: None,
        body: b"<html>".to_vec(),
    });
    let missing = Ok(Fetched {
        status: 404,
        max_age: None,
        body: b"{}".to_vec(),
    });
    for (answer, reason) in [
        (down(), "connection refused"),
        (html, "no JSON"),
        (missing, "answered 404"),
        (set(&[], None), "none of its 0 keys"),
        (set(&[secret], None), "none of its 1 keys"),
        (set(&vec![jwk(1, "k"); 65], None), "64 are the most"),
    ] {
        let harness = Harness::new();
        harness.services.answer(URL, answer);
        let policy = harness.policy::<AuthJwt>(&remote(""));
        let fault = ask(&harness, &policy, &token(1, "k1", &good()))
            .err()
            .expect(reason);
        assert_eq!(fault.code, FaultCode::PolicyFailed);
        assert!(fault.detail.contains(reason), "{}", fault.detail);
    }
    let harness = Harness::new();
    harness.services.full.set(true);
    let policy = harness.policy::<AuthJwt>(&remote(""));
    let fault = ask(&harness, &policy, &token(1, "k1", &good()))
        .err()
        .expect("no task");
    assert!(fault.detail.contains("cut short"), "{}", fault.detail);
}

#[path = "attack_tests.rs"]
mod attacks;
