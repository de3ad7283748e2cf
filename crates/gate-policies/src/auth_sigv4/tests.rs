//! Signed requests let in, and everything else refused.

use super::*;
use crate::testing::{Harness, VerdictExt};
use gate_kit::http::RequestHead;
use gate_kit::sigv4::{Credentials, Scope, sign};

const SETTINGS: &str =
    "{ region: eu-west-1, keys: { AKID: { consumer: shop, secret: { env: S } } } }";
/// The clock of a harness stands at one day after the epoch.
const NOW: u64 = 86_400;
const BODY: &[u8] = b"{\"messages\":[]}";

fn harness() -> Harness {
    let mut harness = Harness::new()
        .resources("{ consumers: { shop: { team: retail } } }")
        .callers(&[("shop", Some("retail"), &[])]);
    harness.secrets.insert("S".into(), "secret".into());
    harness
}

/// How a caller signs, each part of which a test may change.
struct Signed<'a> {
    secret: &'a str,
    id: &'a str,
    region: &'a str,
    service: &'a str,
    at: u64,
    hash: String,
}

impl Default for Signed<'_> {
    fn default() -> Self {
        Self {
            secret: "secret",
            id: "AKID",
            region: "eu-west-1",
            service: "bedrock",
            at: NOW,
            hash: body_hash(BODY),
        }
    }
}

impl Signed<'_> {
    fn sign(&self, head: &mut RequestHead) {
        let credentials = Credentials {
            access_key_id: self.id,
            secret: self.secret,
            session_token: Some("a session"),
        };
        let scope = Scope {
            region: self.region,
            service: self.service,
        };
        sign(head, &self.hash, &credentials, &scope, self.at).unwrap();
    }
}

fn check(
    settings: &str,
    signed: &Signed<'_>,
    change: fn(&mut Exchange),
) -> (Result<Option<String>, FaultCode>, Exchange) {
    let harness = harness();
    let policy = harness.policy::<AuthSigv4>(settings);
    let mut exchange =
        harness.exchange("POST /model/a%3A0/converse\ncontent-type: application/json");
    exchange.request.body = Body::Full(Chunk::from(BODY.to_vec()));
    signed.sign(&mut exchange.request.head);
    change(&mut exchange);
    let refused = harness.request(&policy, &mut exchange).refused();
    let caller = exchange
        .caller
        .as_ref()
        .map(|caller| caller.name.to_string());
    (
        refused.map_or(Ok(caller), |fault| Err(fault.code)),
        exchange,
    )
}

#[test]
fn a_signed_request_names_its_consumer_and_loses_its_signature() {
    let (result, mut exchange) = check(SETTINGS, &Signed::default(), |_| {});
    assert_eq!(result, Ok(Some("shop".into())));
    assert_eq!(exchange.record.team.as_deref(), Some("retail"));
    for name in ["authorization", DATE, CONTENT_SHA256, SECURITY_TOKEN] {
        assert!(
            exchange.request.head.headers.get_named(name).is_none(),
            "{name}"
        );
    }
    let body = harness().block_on(async { exchange.request.body.collect(100).await });
    assert_eq!(&body.unwrap()[..], BODY, "the body goes on");
}

#[test]
fn whatever_was_not_signed_so_is_refused() {
    let wrong = Err(FaultCode::CredentialInvalid);
    let with = |signed: Signed<'_>| check(SETTINGS, &signed, |_| {}).0;
    let secret = "other";
    assert_eq!(
        with(Signed {
            secret,
            ..Signed::default()
        }),
        wrong
    );
    assert_eq!(
        with(Signed {
            id: "AKIE",
            ..Signed::default()
        }),
        wrong
    );
    assert_eq!(
        with(Signed {
            region: "eu-west-2",
            ..Signed::default()
        }),
        wrong
    );
    assert_eq!(
        with(Signed {
            service: "s3",
            ..Signed::default()
        }),
        wrong
    );
    assert_eq!(
        with(Signed {
            at: NOW - 301,
            ..Signed::default()
        }),
        wrong
    );
    assert_eq!(
        with(Signed {
            at: NOW + 301,
            ..Signed::default()
        }),
        wrong
    );
    assert!(
        with(Signed {
            at: NOW - 300,
            ..Signed::default()
        })
        .is_ok()
    );
    let hash = body_hash(b"another body");
    assert_eq!(
        with(Signed {
            hash,
            ..Signed::default()
        }),
        wrong
    );
}

#[test]
fn whatever_is_changed_on_the_way_is_refused() {
    let wrong = Err(FaultCode::CredentialInvalid);
    let changes: [fn(&mut Exchange); 6] = [
        |exchange| exchange.request.body = Body::Full(Chunk::from(b"{}".to_vec())),
        |exchange| exchange.request.head.target = "/model/b/converse".into(),
        |exchange| exchange.request.head.authority = "other".into(),
        |exchange| exchange.request.head.headers.remove_named(CONTENT_SHA256),
        |exchange| {
            exchange
                .request
                .head
                .headers
                .append(b"authorization", b"Bearer k")
        },
        |exchange| {
            let long = vec![b'x'; 300_000];
            exchange.request.body = Body::Full(Chunk::from(long));
        },
    ];
    for (i, change) in changes.into_iter().enumerate() {
        assert_eq!(check(SETTINGS, &Signed::default(), change).0, wrong, "{i}");
    }
}

#[test]
fn the_path_counts_as_the_caller_sent_it() {
    let (result, _) = check(SETTINGS, &Signed::default(), |exchange| {
        let sent = exchange.request.head.target.clone();
        exchange.record.original_target = Some(sent.into());
        exchange.request.head.target = "/elsewhere".into();
    });
    assert_eq!(result, Ok(Some("shop".into())));
}

#[test]
fn unsigned_bodies_pass_only_where_that_is_allowed() {
    let signed = || Signed {
        hash: UNSIGNED_PAYLOAD.into(),
        ..Signed::default()
    };
    let refused = Err(FaultCode::CredentialInvalid);
    assert_eq!(check(SETTINGS, &signed(), |_| {}).0, refused);
    let allowing = SETTINGS.replace("region", "unsigned_payload: true, region");
    assert!(check(&allowing, &signed(), |_| {}).0.is_ok());
}

#[test]
fn bodies_signed_in_chunks_are_refused_with_a_reason() {
    let harness = harness();
    let allowing = SETTINGS.replace("region", "unsigned_payload: true, region");
    let policy = harness.policy::<AuthSigv4>(&allowing);
    let mut exchange = harness.exchange("PUT /bucket/a");
    let signed = Signed {
        hash: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD".into(),
        ..Signed::default()
    };
    signed.sign(&mut exchange.request.head);
    let fault = harness.request(&policy, &mut exchange).refused().unwrap();
    assert_eq!(fault.code, FaultCode::CredentialInvalid);
    assert!(format!("{fault:?}").contains("in chunks"), "{fault:?}");
}

#[test]
fn presigned_urls_are_taken_where_that_is_allowed() {
    // Botocore's own URLs come through the program's tests; this one is made for the harness's clock.
    let url = "/a?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F19700102%2Feu-west-1%2Fbedrock%2Faws4_request&X-Amz-Date=19700102T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=";
    let wrong = format!("GET {url}{}", "0".repeat(64));
    let ask = |settings: &str| {
        let harness = harness();
        let policy = harness.policy::<AuthSigv4>(settings);
        let mut exchange = harness.exchange(&wrong);
        let fault = harness.request(&policy, &mut exchange).refused();
        fault.map(|fault| fault.code)
    };
    assert_eq!(ask(SETTINGS), Some(FaultCode::CredentialMissing));
    let taking = SETTINGS.replace("region", "presigned_max: 15m, region");
    assert_eq!(ask(&taking), Some(FaultCode::CredentialInvalid));
    let shorter = SETTINGS.replace("region", "presigned_max: 59s, region");
    assert_eq!(ask(&shorter), Some(FaultCode::CredentialInvalid));
    for wrong in ["0s", "8d"] {
        let settings = SETTINGS.replace("region", &format!("presigned_max: {wrong}, region"));
        assert!(
            harness().compile::<AuthSigv4>(&settings).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn bodies_are_read_up_to_the_limit() {
    let narrow = SETTINGS.replace("region", "body_max: 4B, region");
    let (result, _) = check(&narrow, &Signed::default(), |_| {});
    assert_eq!(result, Err(FaultCode::BodyTooLarge));
}

#[test]
fn callers_without_a_signature_are_refused_or_pass_unnamed() {
    fn bearer(exchange: &mut Exchange) {
        let headers = &mut exchange.request.head.headers;
        headers.remove_named("authorization");
        headers.append(b"authorization", b"Bearer k");
    }
    let missing = Err(FaultCode::CredentialMissing);
    assert_eq!(check(SETTINGS, &Signed::default(), bearer).0, missing);
    let optional = SETTINGS.replace("region", "optional: true, region");
    assert_eq!(check(&optional, &Signed::default(), bearer).0, Ok(None));
    let wrong = Signed {
        secret: "no",
        ..Signed::default()
    };
    let refused = Err(FaultCode::CredentialInvalid);
    assert_eq!(check(&optional, &wrong, |_| {}).0, refused);
}

#[test]
fn settings_that_let_nobody_in_are_refused() {
    for (settings, message) in [
        ("{ region: a, keys: {} }", "nobody could sign"),
        ("{ region: a/b, keys: {} }", "no region"),
        (
            "{ region: a, keys: { K: { consumer: x, secret: { env: S } } } }",
            "no consumer `x`",
        ),
        (
            "{ region: a, keys: { K: { consumer: shop, secret: { env: T } } } }",
            "the variable T is not set",
        ),
        (
            "{ region: a, keys: { K: { consumer: shop, secret: plain } } }",
            "",
        ),
    ] {
        let finding = harness()
            .compile::<AuthSigv4>(settings)
            .err()
            .expect(settings);
        assert!(finding.to_string().contains(message), "{finding}");
    }
}
