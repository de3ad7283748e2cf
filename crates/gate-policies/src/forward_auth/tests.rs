//! What the service is asked, and what its answers come to: refusals and outages first.

use super::*;
use crate::testing::{Harness, Sending, VerdictExt, response};

fn harness() -> Harness {
    Harness::new().resources("upstreams: { auth: { endpoints: ['127.0.0.1:9'] } }")
}

const HEAD: &str = "POST /orders?x=1\nauthorization: Bearer t\nx-user: admin\ncookie: a=b";

#[test]
fn settings_that_would_not_protect_are_refused() {
    for (settings, message) in [
        ("{ upstream: aut }", "did you mean `auth`"),
        ("{ upstream: auth, path: verify }", "starts with a slash"),
        ("{ upstream: auth, timeout: 0s }", "no time"),
        ("{ upstream: auth, pass: [connection] }", "one hop only"),
        ("{ upstream: auth, send: ['a b'] }", "no header name"),
        ("{ upstream: auth, fail: sometimes }", "sometimes"),
    ] {
        let finding = harness().compile::<ForwardAuth>(settings);
        let finding = finding.err().expect(settings).to_string();
        assert!(finding.contains(message), "{settings}: {finding}");
    }
}

#[test]
fn the_services_word_decides() {
    let harness = harness();
    let policy = harness.policy::<ForwardAuth>(
        "{ upstream: auth, path: /verify?a, pass: [x-user], respond: [set-cookie] }",
    );
    let mut replies = harness.services.replies.borrow_mut();
    replies.push_back(response(
        302,
        &[
            ("location", "/sign-in"),
            ("x-secret", "1"),
            ("cache-control", "max-age=9"),
        ],
        Body::Full("go away".to_owned().into()),
    ));
    let good = [("x-user", "ada"), ("set-cookie", "s=1"), ("x-other", "2")];
    replies.push_back(response(200, &good, Body::Empty));
    replies.push_back(response(204, &[], Body::Empty));
    drop(replies);

    let refused = harness
        .request(&policy, &mut harness.exchange(HEAD))
        .reply();
    let headers = &refused.head.headers;
    assert_eq!(refused.head.status, 302);
    assert_eq!(headers.get_named("location"), Some(&b"/sign-in"[..]));
    assert_eq!(headers.get_named("x-secret"), None);
    assert_eq!(headers.get_named("cache-control"), Some(&b"no-store"[..]));
    assert_eq!(refused.body.length(), Some(7));

    let mut exchange = harness.exchange(HEAD);
    assert!(harness.request(&policy, &mut exchange).is_next());
    let headers = &exchange.request.head.headers;
    assert_eq!(headers.all_named("x-user").collect::<Vec<_>>(), [b"ada"]);
    assert_eq!(headers.get_named("x-other"), None);
    let told = exchange.response_headers.get_named("set-cookie");
    assert_eq!(told, Some(&b"s=1"[..]));

    let mut exchange = harness.exchange(HEAD);
    assert!(harness.request(&policy, &mut exchange).is_next());
    let left = exchange.request.head.headers.get_named("x-user");
    assert_eq!(left, None, "nobody makes up who they are");
}

#[test]
fn the_service_is_told_of_the_request_and_never_its_body() {
    let harness = harness();
    let policy = harness.policy::<ForwardAuth>("{ upstream: auth, path: /verify?a }");
    let mut exchange = harness.exchange(HEAD);
    assert!(harness.request(&policy, &mut exchange).is_next());
    let sent = harness.services.sent.borrow();
    let (upstream, head, body) = &sent[0];
    assert_eq!(
        (&**upstream, &*head.target, body.len()),
        ("auth", "/verify?a", 0)
    );
    for (name, value) in [
        ("authorization", "Bearer t"),
        ("cookie", "a=b"),
        ("x-forwarded-method", "POST"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "example.com"),
        ("x-forwarded-uri", "/orders?x=1"),
        ("x-forwarded-for", "192.0.2.1"),
    ] {
        assert_eq!(
            head.headers.get_named(name),
            Some(value.as_bytes()),
            "{name}"
        );
    }
    assert_eq!(head.headers.get_named("x-user"), None);
}

#[test]
fn outages_refuse_unless_failing_open_is_wanted() {
    for (fail, expected) in [("closed", false), ("open", true)] {
        for sending in [Sending::Unreachable, Sending::Silent, Sending::Answered] {
            let harness = harness();
            harness.services.sending.set(sending);
            let down = response(503, &[("x-user", "ada")], Body::Empty);
            harness.services.replies.borrow_mut().push_back(down);
            let settings = format!("{{ upstream: auth, pass: [x-user], fail: {fail} }}");
            let policy = harness.policy::<ForwardAuth>(&settings);
            let mut exchange = harness.exchange(HEAD);
            let verdict = harness.request(&policy, &mut exchange);
            assert_eq!(verdict.is_next(), expected, "{fail} {sending:?}");
            assert_eq!(exchange.request.head.headers.get_named("x-user"), None);
            if !expected {
                let fault = verdict.refused().expect("refused");
                assert_eq!(fault.code, FaultCode::PolicyFailed);
            }
        }
    }
}
