//! Answers of the server, what is kept of them, and outages.

use super::*;
use crate::testing::{Harness, VerdictExt};
use gate_flow::{FetchError, Fetched};
use gate_kit::http::HeaderId;
use serde_json::json;

const URL: &str = "https://id.example.com/introspect";
/// The harness' clock starts here.
const NOW: u64 = 86_400;

fn harness() -> Harness {
    let mut harness = Harness::new().callers(&[("shop", Some("sales"), &[])]);
    harness.secrets.insert("SECRET".into(), "s:1".into());
    harness
}

fn settings(rest: &str) -> String {
    format!("{{ url: '{URL}', client_id: gate, client_secret: {{ env: SECRET }}, {rest} }}")
}

fn says(body: &Value) -> Result<Fetched, FetchError> {
    Ok(Fetched {
        status: 200,
        max_age: None,
        body: body.to_string().into_bytes(),
    })
}

fn ask(harness: &Harness, policy: &Arc<dyn Policy>, token: &str) -> Result<Exchange, Fault> {
    let head = format!("GET /\nauthorization: Bearer {token}\nx-user: admin");
    let mut exchange = harness.exchange(&head);
    let verdict = harness.request(policy, &mut exchange);
    verdict.refused().map_or(Ok(exchange), Err)
}

#[test]
fn tokens_that_are_not_good_are_refused() {
    for (body, rest, reason) in [
        (json!({ "active": false, "sub": "ada" }), "", "not active"),
        (json!({ "active": true, "exp": NOW }), "", "has expired"),
        (
            json!({ "active": true, "nbf": NOW + 1 }),
            "",
            "not valid yet",
        ),
        (
            json!({ "active": true, "iss": "you" }),
            "issuer: me",
            "another issuer",
        ),
        (
            json!({ "active": true }),
            "audiences: [a]",
            "another audience",
        ),
        (
            json!({ "active": true, "scope": "write" }),
            "claims: { scope: { contains: read } }",
            "required claim",
        ),
    ] {
        let harness = harness();
        harness.services.answer(URL, says(&body));
        let policy = harness.policy::<AuthIntrospection>(&settings(rest));
        for _ in 0..2 {
            let fault = ask(&harness, &policy, "t").err().expect(reason);
            assert_eq!(fault.code, FaultCode::CredentialInvalid);
            assert!(fault.detail.contains(reason), "{}", fault.detail);
        }
    }
    for body in [json!([]), json!({ "active": "true" }), json!({})] {
        let harness = harness();
        harness.services.answer(URL, says(&body));
        let policy = harness.policy::<AuthIntrospection>(&settings(""));
        let fault = ask(&harness, &policy, "t").err().expect("no answer");
        assert_eq!(fault.code, FaultCode::PolicyFailed, "{body}");
    }
}

#[test]
fn answers_are_kept_for_a_while_and_never_beyond_the_token() {
    let harness = harness();
    let good = json!({ "active": true, "sub": "ada", "client_id": "shop", "exp": NOW + 30 });
    harness.services.answer(URL, says(&good));
    let policy = harness.policy::<AuthIntrospection>(&settings(
        "cache: { good: 60s, bad: 10s, entries: 2 }, consumer_claim: client_id, \
         claims_to_headers: { sub: x-user }",
    ));
    let fetches = || harness.services.fetched.borrow().len();
    for _ in 0..3 {
        let exchange = ask(&harness, &policy, "one").expect("good");
        let headers = &exchange.request.head.headers;
        assert_eq!(headers.all_named("x-user").collect::<Vec<_>>(), [b"ada"]);
        assert_eq!(headers.get(HeaderId::Authorization), None);
        assert_eq!(exchange.record.consumer.as_deref(), Some("shop"));
    }
    assert_eq!(fetches(), 1);
    let asked = harness.services.fetched.borrow()[0]
        .post
        .clone()
        .expect("a form");
    assert_eq!(asked.body, b"token=one&token_type_hint=access_token");
    let basic = (
        "authorization".to_owned(),
        "Basic Z2F0ZTpzJTNBMQ==".to_owned(),
    );
    assert_eq!(asked.headers, [basic]);
    harness.hands.advance(Duration::from_secs(30));
    harness
        .services
        .answer_only(URL, says(&json!({ "active": false })));
    assert!(ask(&harness, &policy, "one").is_err());
    assert!(ask(&harness, &policy, "one").is_err());
    assert_eq!(fetches(), 2, "a bad answer is kept, too");
    // Only so many are remembered; those that count are not pushed out.
    for token in ["two", "three", "three", "one"] {
        assert!(ask(&harness, &policy, token).is_err());
    }
    assert_eq!(fetches(), 5);
}

#[test]
fn nobody_comes_in_while_the_server_is_down() {
    for answer in [
        Err(FetchError("connection refused".into())),
        Ok(Fetched {
            status: 401,
            max_age: None,
            body: b"{\"active\":true}".to_vec(),
        }),
    ] {
        let harness = harness();
        harness.services.answer(URL, answer);
        let policy = harness.policy::<AuthIntrospection>(&settings("optional: true"));
        let fault = ask(&harness, &policy, "t").err().expect("down");
        assert_eq!(fault.code, FaultCode::PolicyFailed);
        assert!(!fault.detail.contains("s:1"));
        let nobody = harness.request(&policy, &mut harness.exchange("GET /"));
        assert!(nobody.is_next(), "nobody needs no answer");
    }
}

#[test]
fn hostile_tokens_are_refused_without_asking() {
    let harness = harness();
    let policy = harness.policy::<AuthIntrospection>(&settings(""));
    for token in ["", "a b", &"x".repeat(TOKEN_BYTES_MAX + 1)] {
        assert!(ask(&harness, &policy, token).is_err());
    }
    let missing = harness.request(&policy, &mut harness.exchange("GET /"));
    let missing = missing.refused().expect("no token");
    assert_eq!(missing.code, FaultCode::CredentialMissing);
    assert!(harness.services.fetched.borrow().is_empty());
    for settings in [
        "{ url: 'http://id.example/i', client_id: a, client_secret: { env: SECRET } }".to_owned(),
        settings("cache: { timeout: 0s }"),
        settings("headers: []"),
    ] {
        assert!(
            harness.compile::<AuthIntrospection>(&settings).is_err(),
            "{settings}"
        );
    }
}
