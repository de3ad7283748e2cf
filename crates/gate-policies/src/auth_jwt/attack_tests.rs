//! Attacks by a token's header, several issuers, and what is remembered of tokens.

use super::*;

/// Keys that a token brings along or points to, and names of keys that are something else than names
/// (RFC 8725 section 3.10): never used, never fetched.
#[test]
fn keys_out_of_the_tokens_header_never_count() {
    let harness = Harness::new();
    harness
        .services
        .answer(URL, set(&[jwk(1, "k1")], Some(3600)));
    let forged = |header: Value| {
        signed(&header, &good(), |message| {
            pair(2).sign(message).as_ref().to_vec()
        })
    };
    let evil = "https://evil.example/keys";
    harness.services.answer(evil, set(&[jwk(2, "k2")], None));
    for settings in [inline(""), remote("")] {
        let policy = harness.policy::<AuthJwt>(&settings);
        for header in [
            json!({ "alg": "EdDSA", "jwk": jwk(2, "k1") }),
            json!({ "alg": "EdDSA", "kid": "k1", "jwk": jwk(2, "k1") }),
            json!({ "alg": "EdDSA", "jku": evil, "kid": "k2" }),
            json!({ "alg": "EdDSA", "x5u": evil }),
            json!({ "alg": "EdDSA", "x5c": ["MIIB"] }),
            json!({ "alg": "EdDSA", "kid": "../../../../dev/null" }),
            json!({ "alg": "EdDSA", "kid": evil }),
            json!({ "alg": "EdDSA", "kid": "k1' OR '1'='1" }),
            json!({ "alg": "EdDSA", "kid": "k1\u{0}" }),
        ] {
            let refusal = detail(&harness, &policy, &forged(header.clone()));
            assert!(
                refusal.starts_with("credential_invalid"),
                "{header}: {refusal}"
            );
        }
        // The empty secret that a path to nothing would read as.
        let empty = |message: &[u8]| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, b"");
            hmac::sign(&key, message).as_ref().to_vec()
        };
        let header = json!({ "alg": "HS256", "kid": "/dev/null" });
        let refusal = detail(&harness, &policy, &signed(&header, &good(), empty));
        assert!(refusal.contains("algorithm is not allowed"), "{refusal}");
    }
    let fetched = harness.services.fetched.borrow();
    assert!(fetched.iter().all(|request| request.url == URL));
}

#[test]
fn several_issuers_are_told_apart() {
    let harness = Harness::new();
    let (one, two) = ("https://one.example", "https://two.example");
    let described = json!({
        "issuer": two, "authorization_endpoint": "https://two.example/a",
        "token_endpoint": "https://two.example/t", "jwks_uri": "https://two.example/keys",
    });
    let description = Ok(Fetched {
        status: 200,
        max_age: None,
        body: described.to_string().into_bytes(),
    });
    let well_known = "https://two.example/.well-known/openid-configuration";
    harness.services.answer(well_known, description);
    let keys = set(&[jwk(2, "k")], None);
    harness.services.answer("https://two.example/keys", keys);
    let first = json!({ "keys": [jwk(1, "k")] });
    let policy = harness.policy::<AuthJwt>(&format!(
        "{{ audiences: [orders], issuers: {{ '{one}': {{ keys: {{ inline: {first} }} }}, \
         '{two}': {{ keys: {{ discovery: true }}, audiences: [partner] }} }} }}"
    ));
    let claims = |issuer: &str, audience: &str| with(json!({ "iss": issuer, "aud": audience }));
    for (seed, issuer, audience, expected) in [
        (1, one, "orders", "passes"),
        (2, two, "partner", "passes"),
        (2, two, "orders", "another audience"),
        (1, one, "partner", "another audience"),
        (2, one, "orders", "signature is not valid"),
        (1, two, "partner", "signature is not valid"),
        (1, "https://three.example", "orders", "another issuer"),
    ] {
        // Twice: what is remembered of a token holds no longer than its demands.
        for _ in 0..2 {
            let refusal = detail(
                &harness,
                &policy,
                &token(seed, "k", &claims(issuer, audience)),
            );
            assert!(
                refusal.contains(expected),
                "{seed} {issuer} {audience}: {refusal}"
            );
        }
    }
    assert_eq!(harness.services.fetched.borrow().len(), 2);
    for settings in [
        format!(
            "{{ keys: {{ inline: {first} }}, issuers: {{ a: {{ keys: {{ inline: {first} }} }} }} }}"
        ),
        format!("{{ issuer: a, issuers: {{ a: {{ keys: {{ inline: {first} }} }} }} }}"),
        "{ keys: { discovery: true } }".to_owned(),
        "{ issuers: { a: { keys: { discovery: true } } } }".to_owned(),
    ] {
        assert!(harness.compile::<AuthJwt>(&settings).is_err(), "{settings}");
    }
}

#[test]
fn a_token_that_is_remembered_ends_when_it_says_and_with_its_keys() {
    let harness = Harness::new();
    harness
        .services
        .answer(URL, set(&[jwk(1, "k1")], Some(3600)));
    let policy = harness.policy::<AuthJwt>(&remote("cache: { min: 1s, max: 10s }"));
    let good = token(1, "k1", &good());
    let lasting = token(1, "k1", &with(json!({ "exp": NOW + 9_999 })));
    for token in [&good, &good, &lasting] {
        assert_eq!(detail(&harness, &policy, token), "passes");
    }
    harness.hands.advance(Duration::from_secs(90));
    harness
        .services
        .answer_only(URL, set(&[jwk(2, "k2")], Some(3600)));
    assert!(detail(&harness, &policy, &good).contains("has expired"));
    harness.settle();
    let refusal = detail(&harness, &policy, &lasting);
    assert!(refusal.contains("no key fits"), "{refusal}");
}

#[test]
fn what_one_policy_has_verified_counts_for_another_by_its_own_rules() {
    let harness = Harness::new();
    harness
        .services
        .answer(URL, set(&[jwk(1, "k1")], Some(3600)));
    let lax = harness.policy::<AuthJwt>(&remote(""));
    let strict = harness.policy::<AuthJwt>(&remote("algorithms: [ES256]"));
    let token = token(1, "k1", &good());
    assert_eq!(detail(&harness, &lax, &token), "passes");
    let refusal = detail(&harness, &strict, &token);
    assert!(refusal.contains("algorithm is not allowed"), "{refusal}");
}
