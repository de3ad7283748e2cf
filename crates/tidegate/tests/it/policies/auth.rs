//! Who gets in: `auth_key`, `auth_jwt`, `access`.

use super::{OTHER, SESAME, echoing, with};
use crate::support::{Gateway, Reply, Upstream, eventually};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gate_kit::clock::Clock;
use gate_model::units::Timestamp;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

#[test]
fn auth_key_takes_keys_from_headers_and_query() {
    let gateway =
        echoing("[{ auth_key: { headers: [authorization, x-api-key], query: api_key } }]");
    for arguments in [
        &["-H", "authorization: Bearer open-sesame"][..],
        &["-H", "x-api-key: open-sesame"],
    ] {
        let echo = gateway.curl("/a", arguments).expect(200);
        assert!(
            !echo.body.contains("sesame"),
            "the upstream never sees it: {}",
            echo.body
        );
    }
    let echo = gateway.curl("/a?b=1&api_key=open-sesame", &[]).expect(200);
    assert!(echo.body.starts_with("GET /a?b=1\n"), "{}", echo.body);

    let missing = gateway.curl("/a", &[]).expect(401);
    assert_eq!(missing.json()["code"], "credential_missing");
    assert_eq!(
        missing.header("content-type"),
        Some("application/problem+json")
    );
    let wrong = gateway
        .curl("/a", &["-H", "x-api-key: open-sesamf"])
        .expect(401);
    assert_eq!(wrong.json()["code"], "credential_invalid");
}

#[test]
fn a_key_is_rotated_with_an_overlap_and_the_old_one_ends_by_itself() {
    let gateway = echoing("[{ auth_key: {} }]");
    let status = |key: &str| {
        let field = format!("authorization: Bearer {key}");
        gateway.curl("/a", &["-H", &field]).status
    };
    let bank = format!("  bank: {{ keys: [{{ sha256: {OTHER} }}] }}\n");
    let keys = |old: &str, new: &str| {
        gateway.rewrite(|text| {
            let (before, _) = text.split_once("consumers:\n").unwrap();
            let (_, after) = text.split_once("upstreams:").unwrap();
            format!(
                "{before}consumers:\n  shop: {{ keys: [{{ sha256: {SESAME}, id: old{old} }}{new}] }}\nupstreams:{after}"
            )
        });
    };
    gateway.rewrite(|text| text.replace(&bank, ""));
    eventually("the new key is not known yet", || {
        status("other-key") == 401
    });
    let new = format!(", {{ sha256: {OTHER}, id: new }}");
    keys("", &new);
    eventually("the new key is known", || status("other-key") == 200);
    assert_eq!(status("open-sesame"), 200, "both count");
    let end = Timestamp::from_unix_s(Clock::System.unix().as_secs() + 4);
    keys(&format!(", expires: '{end}'"), &new);
    eventually("the old key has ended", || status("open-sesame") == 401);
    assert_eq!(status("other-key"), 200);
}

/// An issuer's key.
struct Issuer {
    pair: EcdsaKeyPair,
    kid: &'static str,
}

impl Issuer {
    fn new(kid: &'static str) -> Self {
        let made = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        let pair = made.unwrap();
        Self { pair, kid }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
            "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
        })
    }

    fn token(&self, change: impl FnOnce(&mut Value)) -> String {
        let now = gate_kit::clock::Clock::System.unix().as_secs();
        let mut claims = json!({
            "iss": "https://id.test", "aud": "orders", "sub": "anna", "client": "shop",
            "scope": "orders:read orders:write", "exp": now + 300, "iat": now,
        });
        change(&mut claims);
        let head = json!({ "alg": "ES256", "typ": "JWT", "kid": self.kid });
        let [head, claims] = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let signed = format!("{head}.{claims}");
        let signature = self
            .pair
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn status(gateway: &Gateway, token: &str) -> u16 {
    let header = format!("authorization: Bearer {token}");
    gateway.curl("/", &["-H", &header]).status
}

/// A gateway that knows this issuer, and hands consumer and subject on.
fn knowing(issuer: &Issuer) -> Gateway {
    let keys = json!({ "keys": [issuer.jwk()] });
    echoing(&format!(
        "[{{ auth_jwt: {{ keys: {{ inline: {keys} }}, issuer: \"https://id.test\", \
         audiences: [orders], claims: {{ scope: {{ contains: \"orders:read\" }} }}, \
         consumer_claim: client, claims_to_headers: {{ sub: x-user }} }} }}, \
         {{ headers: {{ request: {{ set: {{ x-consumer: \"${{consumer.name}}\" }} }} }} }}]"
    ))
}

#[test]
fn auth_jwt_lets_a_good_token_in_and_keeps_it() {
    let issuer = Issuer::new("a");
    let gateway = knowing(&issuer);
    let header = format!("authorization: Bearer {}", issuer.token(|_| {}));
    let forged = ["-H", &header, "-H", "x-user: forged"];
    let echo = gateway.curl("/", &forged).expect(200).body;
    assert!(echo.contains("x-user: anna\n"), "{echo}");
    assert!(echo.contains("x-consumer: shop\n"), "{echo}");
    assert!(!echo.contains("forged"), "{echo}");
    assert!(!echo.contains("authorization"), "the token stays: {echo}");
}

#[test]
fn auth_jwt_checks_signature_claims_and_times() {
    let (issuer, stranger) = (Issuer::new("a"), Issuer::new("a"));
    let gateway = knowing(&issuer);
    let with = |claim: &'static str, value: Value| {
        status(&gateway, &issuer.token(|claims| claims[claim] = value))
    };
    assert_eq!(with("sub", "bert".into()), 200);
    assert_eq!(with("exp", 1_000_000.into()), 401, "expired");
    assert_eq!(with("iss", "https://evil.test".into()), 401);
    assert_eq!(with("aud", "bills".into()), 401);
    let scope = with("scope", "orders:write".into());
    assert!(matches!(scope, 401 | 403), "{scope}");
    assert_eq!(with("client", "nobody".into()), 403, "no such consumer");
    let other = status(&gateway, &stranger.token(|_| {}));
    assert_eq!(other, 401, "another's signature");
    gateway.curl("/", &[]).expect(401);
}

#[test]
fn auth_jwt_refuses_tokens_without_or_with_a_confused_algorithm() {
    let issuer = Issuer::new("a");
    let gateway = knowing(&issuer);
    let good = issuer.token(|_| {});
    assert_eq!(status(&gateway, &good), 200);
    let claims = good.split('.').nth(1).unwrap();
    // A HMAC whose secret is the public key, which everybody knows.
    let secret = hmac::Key::new(hmac::HMAC_SHA256, issuer.pair.public_key().as_ref());
    for algorithm in ["none", "None", "HS256"] {
        let head = json!({ "alg": algorithm, "kid": "a" }).to_string();
        let signed = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(head));
        let tag = hmac::sign(&secret, signed.as_bytes());
        let tag = URL_SAFE_NO_PAD.encode(tag.as_ref());
        for signature in ["", &tag] {
            let token = format!("{signed}.{signature}");
            assert_eq!(status(&gateway, &token), 401, "{token}");
        }
    }
}

#[test]
fn auth_jwt_reads_a_file() {
    let issuer = Issuer::new("f");
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let keys = json!({ "keys": [issuer.jwk()] }).to_string();
    std::fs::write(folder.path().join("jwks.json"), keys).unwrap();
    let text = "gateway: { admin: { address: \"127.0.0.1:0\" } }\n\
        listeners: { public: { address: \"127.0.0.1:0\" } }\n\
        routes: { all: { match: { path: \"/{*rest}\" }, policies: [{ auth_jwt: { keys: { file: jwks.json } } }], target: { fixed: { status: 200 } } } }\n";
    std::fs::write(folder.path().join("gate.yaml"), text).unwrap();
    let gateway = Gateway::run_in(folder, &[], &[]);
    assert_eq!(status(&gateway, &issuer.token(|_| {})), 200);
    assert_eq!(status(&gateway, &Issuer::new("f").token(|_| {})), 401);
}

#[test]
fn auth_jwt_follows_a_rotation_of_the_issuers_keys() {
    let (old, new) = (Issuer::new("old"), Issuer::new("new"));
    let served = Arc::new(Mutex::new(json!({ "keys": [old.jwk()] }).to_string()));
    let serving = served.clone();
    let jwks = Upstream::start(move |_| {
        let body = serving.lock().unwrap().clone();
        Reply::text(body).header("content-type", "application/json")
    });
    let gateway = echoing(&format!(
        "[{{ auth_jwt: {{ keys: {{ url: \"http://{}/jwks\" }}, cache: {{ min: 1s, max: 1s, allow_private: [127.0.0.1] }} }} }}]",
        jwks.address
    ));
    assert_eq!(status(&gateway, &old.token(|_| {})), 200);
    for _ in 0..5 {
        assert_eq!(status(&gateway, &old.token(|_| {})), 200);
    }
    assert!(
        jwks.seen().len() <= 3,
        "the set is kept: {}",
        jwks.seen().len()
    );
    *served.lock().unwrap() = json!({ "keys": [new.jwk()] }).to_string();
    eventually("the new key counts", || {
        status(&gateway, &new.token(|_| {})) == 200
    });
    eventually("the old key is gone", || {
        status(&gateway, &old.token(|_| {})) == 401
    });
}

#[test]
fn auth_jwt_does_not_fetch_from_this_machine_unless_told() {
    let issuer = Issuer::new("a");
    let jwks = Upstream::start(|_| Reply::text("{\"keys\":[]}"));
    let policy = format!(
        "[{{ auth_jwt: {{ keys: {{ url: \"http://{}/\" }} }} }}]",
        jwks.address
    );
    let gateway = echoing(&policy);
    let answered = status(&gateway, &issuer.token(|_| {}));
    assert!(answered >= 400, "{answered}");
    assert!(jwks.seen().is_empty(), "nothing was asked");
}

#[test]
fn ip_allows_and_refuses_by_address() {
    echoing("[{ access: { allow: [127.0.0.0/8] } }]")
        .curl("/", &[])
        .expect(200);
    let refused = echoing("[{ access: { deny: [127.0.0.1] } }]")
        .curl("/", &[])
        .expect(403);
    assert_eq!(refused.json()["code"], "address_forbidden");
    let other = echoing("[{ access: { allow: [10.0.0.0/8] } }]");
    other.curl("/", &[]).expect(403);
    other
        .curl("/", &["-H", "x-forwarded-for: 10.1.2.3"])
        .expect(403);
}

#[test]
fn ip_believes_trusted_proxies_only() {
    let upstream = Upstream::echo();
    let policies = "[{ access: { allow: [10.0.0.0/8] } }]";
    let gateway = with(
        &upstream,
        policies,
        ", trusted_proxies: [127.0.0.0/8, 192.0.2.0/24]",
    );
    let from = |chain: &str| {
        let header = format!("x-forwarded-for: {chain}");
        gateway.curl("/", &["-H", &header]).status
    };
    assert_eq!(from("10.1.2.3"), 200);
    assert_eq!(
        from("10.1.2.3, 192.0.2.7"),
        200,
        "through two proxies of ours"
    );
    assert_eq!(
        from("10.1.2.3, 203.0.113.9"),
        403,
        "the nearest stranger counts"
    );
    assert_eq!(from("203.0.113.9"), 403);
}
