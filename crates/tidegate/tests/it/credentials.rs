//! What the gateway shows to upstreams: tokens that are kept and renewed, signatures, keys.

use crate::examples::Example;
use crate::support::certificates::Authority;
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

/// What clouds say, by the case that is asked for.
fn clouds() -> Upstream {
    Upstream::start(|seen| {
        let count = seen.header("x-case").unwrap_or_default().to_owned();
        match count.as_str() {
            "throttled" => {
                Reply::text(r#"{"__type":"com.amazonaws#ThrottlingException"}"#).status(400)
            }
            "busy" => Reply::text("<Error><Code>SlowDown</Code></Error>").status(503),
            "quota" => Reply::text(r#"{"__type":"ServiceQuotaExceededException"}"#).status(503),
            "expired" => Reply::text(r#"{"__type":"ExpiredTokenException"}"#).status(400),
            "google-exhausted" => Reply::text(
                r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"0.05s"}]}}"#,
            )
            .status(429),
            "google-daily" => Reply::text(
                r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","errors":[{"reason":"dailyLimitExceeded"}]}}"#,
            )
            .status(429),
            "google-unavailable" => {
                Reply::text(r#"[{"error":{"code":500,"status":"UNAVAILABLE"}}]"#).status(500)
            }
            "azure-busy" => Reply::text("")
                .status(503)
                .header("x-ms-error-code", "ServerBusy")
                .header("x-ms-retry-after-ms", "50"),
            "azure-none" => {
                Reply::text(r#"{"error":{"code":"SubscriptionNotFound","message":"m"}}"#).status(503)
            }
            _ => Reply::text("ok"),
        }
    })
}

#[test]
fn what_clouds_say_decides_what_is_repeated() {
    let upstream = clouds();
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
        ("google-exhausted", 429, 2),
        // A 429 that no waiting helps.
        ("google-daily", 429, 1),
        // What a 500 alone would not say.
        ("google-unavailable", 500, 2),
        ("azure-busy", 503, 2),
        ("azure-none", 503, 1),
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

#[test]
fn what_is_refused_for_its_time_is_signed_again() {
    let upstream = Upstream::start(|seen| {
        match seen.header("x-case") {
        Some("skewed") => Reply::text(
            "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>Signature expired: \
             20261122T000000Z is now earlier than 20261122T000100Z</Message></Error></ErrorResponse>",
        )
        .status(403),
        _ => Reply::text(
            "<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated \
             does not match</Message></Error>",
        )
        .status(403),
    }
    });
    let gateway = Gateway::with(
        &format!(
            "upstreams: {{ u: {{ endpoints: ['{}'], credential: {{ sigv4: {{ region: r, service: s, \
             access_key_id: {{ env: ID }}, secret: {{ env: SECRET }} }} }} }} }}\n\
             routes: {{ r: {{ target: {{ upstream: u }} }} }}",
            upstream.address
        ),
        "",
        &[("ID", "AKID"), ("SECRET", "s")],
    );
    for (case, tries) in [("skewed", 2), ("wrong", 1)] {
        let before = upstream.seen().len();
        let ask = ["-H", &format!("x-case: {case}"), "-d", "the body"];
        gateway.curl("/", &ask);
        let seen = upstream.seen().split_off(before);
        assert_eq!(seen.len(), tries, "{case}");
        for one in &seen {
            assert_eq!(one.body, b"the body", "{case}");
            let signature = one.header("authorization").unwrap_or_default();
            assert!(
                signature.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"),
                "{signature}"
            );
        }
    }
}

#[test]
fn an_upstream_that_wants_a_certificate_is_shown_one() {
    let authority = Authority::new();
    let (server, client) = (
        authority.sign("server", &["orders.internal"]),
        authority.sign("client", &["gateway.internal"]),
    );
    let path = |path: &std::path::Path| path.display().to_string();
    let ca = path(&authority.path());
    let service = Gateway::run(
        &format!(
            "gateway: {{ admin: {{ address: \"127.0.0.1:0\" }} }}\n\
             listeners: {{ public: {{ address: \"127.0.0.1:0\", tls: {{ \
             certificates: [{{ chain: \"{}\", key: \"{}\" }}], \
             clients: {{ authorities: \"{ca}\", required: true }} }} }} }}\n\
             routes: {{ all: {{ policies: [{{ auth_mtls: {{ allow: [{{ dns: gateway.internal }}] }} }}], \
             target: {{ fixed: {{ status: 200, body: known }} }} }} }}\n",
            path(&server.chain),
            path(&server.key),
        ),
        &[],
        &[],
    );
    let start = |certificate: &str| {
        Gateway::start(&format!(
            "upstreams: {{ u: {{ endpoints: [\"{}\"], tls: {{ server_name: orders.internal, \
             authorities: \"{ca}\"{certificate} }} }} }}\n\
             routes: {{ r: {{ target: {{ upstream: u }} }} }}",
            service.address("public")
        ))
    };
    let shown = format!(
        ", certificate: {{ chain: \"{}\", key: \"{}\" }}",
        path(&client.chain),
        path(&client.key)
    );
    assert_eq!(start(&shown).curl("/", &[]).expect(200).body, "known");
    start("").curl("/", &[]).expect(502);
}
