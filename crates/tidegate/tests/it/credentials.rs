//! What the gateway shows to upstreams: tokens that are kept and renewed, signatures, keys.

use crate::examples::Example;
use crate::support::{Gateway, Reply, Upstream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A token server that counts what it gives: `t1`, `t2` ...
fn issuer() -> (Upstream, Arc<AtomicUsize>) {
    let given = Arc::new(AtomicUsize::new(0));
    let counter = given.clone();
    let server = Upstream::start(move |seen| {
        let form = String::from_utf8_lossy(&seen.body).into_owned();
        // `shop:p&ss` encoded as RFC 6749 section 2.3.1 has it: `shop:p%26ss`.
        let known = seen.header("authorization") == Some("Basic c2hvcDpwJTI2c3M=");
        if !known || !form.contains("grant_type=client_credentials") {
            return Reply::text(r#"{"error":"invalid_client"}"#).status(401);
        }
        let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
        let token =
            format!(r#"{{"access_token":"t{number}","token_type":"Bearer","expires_in":3600}}"#);
        Reply::text(token).header("content-type", "application/json")
    });
    (server, given)
}

#[test]
fn upstream_credentials() {
    let (issuer, given) = issuer();
    let partner = Upstream::start(|seen| match seen.header("authorization") {
        // The first token was revoked.
        Some("Bearer t1") => Reply::text("no").status(401),
        Some(other) => Reply::text([other.as_bytes(), b" ", &seen.body].concat()),
        None => Reply::text("nothing shown").status(400),
    });
    let verifier = Gateway::with(
        "consumers: { front: {} }\n\
         routes: { r: { policies: [{ auth_sigv4: { region: eu-central-1, service: lambda, keys: \
         { AKIDEXAMPLE: { consumer: front, secret: { env: SECRET } } } } }], \
         target: { fixed: { status: 200, body: signed } } } }",
        "",
        &[("SECRET", "aws-secret")],
    );
    let maps = Upstream::echo();
    let gateway = Example::new("upstream-credentials.yaml")
        .replace("127.0.0.1:9001", &partner.address)
        .replace("127.0.0.1:9002", &issuer.address)
        .replace("127.0.0.1:9003", verifier.address("public"))
        .replace("127.0.0.1:9004", &maps.address)
        .run(&[
            ("PARTNER_SECRET", "p&ss"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "aws-secret"),
            ("MAPS_KEY", "maps-key"),
        ]);
    // What was refused for its token was not done, so that also a POST is sent again, whole.
    let own = ["-H", "authorization: Bearer mine", "-d", "the body"];
    let answer = gateway.curl("/partner/orders", &own).expect(200);
    assert_eq!(answer.body, "Bearer t2 the body");
    for _ in 0..3 {
        assert_eq!(
            gateway.curl("/partner/orders", &[]).expect(200).body,
            "Bearer t2 "
        );
    }
    assert_eq!(given.load(Ordering::SeqCst), 2, "a token serves many calls");
    let signed = gateway.curl("/function/a%20b?z=1&a=%2F", &["-d", "{\"n\":1}"]);
    assert_eq!(signed.expect(200).body, "signed");
    let echoed = gateway
        .curl("/maps/x", &["-H", "x-api-key: mine"])
        .expect(200)
        .body;
    assert!(
        echoed.contains("x-api-key: maps-key\n") && !echoed.contains("mine"),
        "{echoed}"
    );
}

#[test]
fn what_clouds_say_decides_what_is_repeated() {
    let upstream = Upstream::start(|seen| {
        let count = seen.header("x-case").unwrap_or_default().to_owned();
        match count.as_str() {
            "throttled" => {
                Reply::text(r#"{"__type":"com.amazonaws#ThrottlingException"}"#).status(400)
            }
            "busy" => Reply::text("<Error><Code>SlowDown</Code></Error>").status(503),
            "quota" => Reply::text(r#"{"__type":"ServiceQuotaExceededException"}"#).status(503),
            "expired" => Reply::text(r#"{"__type":"ExpiredTokenException"}"#).status(400),
            _ => Reply::text("ok"),
        }
    });
    let gateway = Gateway::with(
        &format!(
            "upstreams: {{ u: {{ endpoints: ['{}'], credential: {{ key: {{ header: x-key, secret: \
             {{ env: KEY }} }} }}, retry: {{ attempts: 1, on: [unavailable, too_many], budget: 100 % }} }} }}\n\
             routes: {{ r: {{ target: {{ upstream: u }} }} }}",
            upstream.address
        ),
        "",
        &[("KEY", "k")],
    );
    for (case, status, tries) in [
        ("throttled", 400, 2),
        ("busy", 503, 2),
        // A 503 that no waiting helps.
        ("quota", 503, 1),
        // A key cannot be made afresh: the gateway's own credential is refused.
        ("expired", 502, 1),
        ("fine", 200, 1),
    ] {
        let before = upstream.seen().len();
        let answer = gateway.curl("/", &["-H", &format!("x-case: {case}")]);
        assert_eq!(answer.status, status, "{case}: {}", answer.body);
        assert_eq!(upstream.seen().len() - before, tries, "{case}");
    }
}

#[test]
fn a_token_that_cannot_be_had_is_told() {
    let issuer = Upstream::start(|_| Reply::text(r#"{"error":"invalid_client"}"#).status(401));
    let upstream = Upstream::echo();
    let gateway = Gateway::with(
        &format!(
            "upstreams: {{ u: {{ endpoints: ['{}'], credential: {{ oauth_client: {{ token_url: \
             'http://{}/token', client_id: c, secret: {{ env: SECRET }}, allow_private: ['127.0.0.1'] \
             }} }} }} }}\nroutes: {{ r: {{ target: {{ upstream: u }} }} }}",
            upstream.address, issuer.address
        ),
        "",
        &[("SECRET", "s")],
    );
    let answer = gateway.curl("/", &[]).expect(502);
    assert_eq!(answer.json()["code"], "upstream_rejected");
    assert!(
        !answer.body.contains("invalid_client"),
        "callers are told nothing of it"
    );
    assert!(
        upstream.seen().is_empty(),
        "nothing is sent without a credential"
    );
}
