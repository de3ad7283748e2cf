//! Sessions that last: refreshed, signed out here and elsewhere, large.

use super::*;

#[test]
fn tokens_are_refreshed_once_for_all_who_carry_the_old_cookie() {
    let harness = harness();
    let policy = policy(&harness, "access_token: x-token");
    let jar = signed_in(&harness, &policy);
    harness.hands.advance(Duration::from_secs(290));
    let renewed = json!({ "access_token": "at2", "refresh_token": "rt2", "expires_in": 300 });
    harness.services.answer_only(TOKEN, json_of(&renewed));
    let before = harness.services.fetched.borrow().len();
    let mut last = Jar::default();
    for _ in 0..3 {
        last = jar.clone();
        let (exchange, result) = browse(&harness, &policy, &mut last, "GET /page");
        assert!(result.expect("lets on").is_none());
        let token = exchange.request.head.headers.get_named("x-token");
        assert_eq!(token, Some(&b"at2"[..]));
    }
    assert_eq!(harness.services.fetched.borrow().len(), before + 1);
    assert_ne!(last.header(), jar.header());
    // The provider is down: the session goes on. It refuses: the session is over.
    harness.hands.advance(Duration::from_secs(300));
    let down = Err(FetchError("down".into()));
    harness.services.answer_only(TOKEN, down);
    let (_, result) = browse(&harness, &policy, &mut last, "GET /page");
    assert!(result.expect("goes on").is_none());
    harness.hands.advance(Duration::from_secs(61));
    let refused = Ok(Fetched {
        status: 400,
        max_age: None,
        body: b"{\"error\":\"invalid_grant\"}".to_vec(),
    });
    harness.services.answer_only(TOKEN, refused);
    let (_, result) = browse(&harness, &policy, &mut last, "GET /page");
    assert!(result.expect("led").is_some());
    assert!(!last.0.contains_key("tidegate_login"));
}

#[test]
fn signing_out_ends_the_session_here_and_at_the_provider() {
    let harness = harness();
    let policy = policy(&harness, "after_logout: /bye");
    let mut jar = signed_in(&harness, &policy);
    let copy = jar.clone();
    let evil = "GET /.tidegate/oidc/logout\nsec-fetch-site: cross-site";
    let (_, result) = browse(&harness, &policy, &mut jar, evil);
    let refused = result.map(|_| ()).map_err(|fault| fault.code);
    assert_eq!(refused, Err(FaultCode::Forbidden));
    let (_, result) = browse(&harness, &policy, &mut jar, "POST /.tidegate/oidc/logout");
    let led = location(&result.expect("led").expect("led"));
    assert!(led.starts_with("https://id.example.com/end?client_id=shop&id_token_hint=ey"));
    assert_eq!(
        parameter(&led, "post_logout_redirect_uri"),
        "https://example.com/bye"
    );
    assert!(jar.0.is_empty());
    let (_, result) = browse(&harness, &policy, &mut copy.clone(), "GET /page");
    assert!(
        result.expect("led").is_some(),
        "a copy of the cookie is worth nothing"
    );
    let (_, result) = browse(&harness, &policy, &mut jar, "GET /.tidegate/oidc/logout");
    assert_eq!(location(&result.expect("led").expect("led")), "/bye");
}

#[test]
fn the_provider_tells_who_signed_out_elsewhere() {
    let harness = harness();
    let policy = policy(&harness, "");
    let events = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    let notice = |claims: Value| {
        let mut all = json!({ "iss": ISSUER, "aud": "shop", "iat": NOW, "exp": NOW + 120 });
        for (name, value) in claims.as_object().expect("an object") {
            all[name] = value.clone();
        }
        let mut exchange = harness.exchange("POST /.tidegate/oidc/backchannel");
        let body = format!("logout_token={}", token(1, "k", &all));
        exchange.request.body = Script::of(&[&body]).body();
        let verdict = harness.request(&policy, &mut exchange);
        match verdict {
            Verdict::Reply(response) => response.head.status,
            verdict => verdict.refused().expect("refused").code.status(),
        }
    };
    let goes_on = |jar: &Jar| {
        let (_, result) = browse(&harness, &policy, &mut jar.clone(), "GET /page");
        result.expect("an answer").is_none()
    };
    let jar = signed_in(&harness, &policy);
    for (claims, status) in [
        (json!({ "sid": "s1" }), 400),
        (json!({ "sid": "s1", "events": {} }), 400),
        (json!({ "sid": "s1", "events": events, "nonce": "n" }), 400),
        (
            json!({ "sid": "s1", "events": events, "aud": "other" }),
            400,
        ),
        (json!({ "sid": "s2", "events": events }), 200),
        (json!({ "sub": "eve", "events": events }), 200),
    ] {
        assert_eq!(notice(claims.clone()), status, "{claims}");
        assert!(goes_on(&jar), "{claims}");
    }
    assert_eq!(notice(json!({ "sid": "s1", "events": events })), 200);
    assert!(!goes_on(&jar));
    harness.hands.advance(Duration::from_secs(1));
    let later = signed_in_with(&harness, &policy, &json!({ "sid": "s3" }));
    assert!(goes_on(&later));
    assert_eq!(notice(json!({ "sub": "ada", "events": events })), 200);
    assert!(!goes_on(&later));
}

#[test]
fn large_sessions_are_split_and_shrink_again() {
    let harness = harness();
    let policy = policy(&harness, "claims_to_headers: { note: x-note }");
    let note = "x".repeat(6_000);
    let mut jar = signed_in_with(&harness, &policy, &json!({ "note": note }));
    assert!(
        jar.0.len() > 1 && jar.0.contains_key("tidegate_login.1"),
        "{:?}",
        jar.0.keys()
    );
    let (exchange, result) = browse(&harness, &policy, &mut jar, "GET /");
    assert!(result.expect("lets on").is_none());
    let told = exchange.request.head.headers.get_named("x-note");
    assert_eq!(told.map(<[u8]>::len), Some(6_000));
    assert_eq!(
        exchange.request.head.headers.get_named("cookie"),
        Some(&b"other=1"[..])
    );
    let led = begin(&harness, &policy, &mut jar, "/.tidegate/oidc/login");
    let back = come_back(&harness, &policy, &mut jar, &led, &tokens(&led, &json!({})));
    assert!(back.is_ok());
    assert_eq!(jar.0.len(), 1, "{:?}", jar.0.keys());
}
