//! Sign-ins against a provider that answers what a test says, tokens that it refreshes, and ways
//! that attackers try.

use super::*;
use crate::testing::{Harness, Script, VerdictExt};
use crate::testing_tokens::{jwk, token};
use gate_flow::{FetchError, Fetched};
use gate_kit::http::Response;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

const ISSUER: &str = "https://id.example.com";
const TOKEN: &str = "https://id.example.com/token";
/// The harness' clock starts here.
const NOW: u64 = 86_400;

fn json_of(body: &Value) -> Result<Fetched, FetchError> {
    Ok(Fetched {
        status: 200,
        max_age: None,
        body: body.to_string().into_bytes(),
    })
}

fn harness() -> Harness {
    let mut harness = Harness::new();
    for (name, value) in [
        ("SECRET", "s"),
        ("COOKIE", "0123456789abcdef0123456789abcdef"),
    ] {
        harness.secrets.insert(name.into(), value.into());
    }
    let described = json!({
        "issuer": ISSUER, "authorization_endpoint": "https://id.example.com/auth",
        "token_endpoint": TOKEN, "jwks_uri": "https://id.example.com/keys",
        "userinfo_endpoint": "https://id.example.com/me",
        "end_session_endpoint": "https://id.example.com/end",
    });
    let services = &harness.services;
    let well_known = "https://id.example.com/.well-known/openid-configuration";
    services.answer(well_known, json_of(&described));
    let keys = json!({ "keys": [jwk(1, "k")] });
    services.answer("https://id.example.com/keys", json_of(&keys));
    harness
}

fn policy(harness: &Harness, rest: &str) -> Arc<dyn Policy> {
    harness.policy::<AuthOidc>(&settings(rest))
}

fn settings(rest: &str) -> String {
    format!(
        "{{ issuer: '{ISSUER}', client_id: shop, client_secret: {{ env: SECRET }}, \
         cookie_secrets: [{{ env: COOKIE }}], {rest} }}"
    )
}

/// What a browser keeps.
#[derive(Default, Clone)]
struct Jar(HashMap<String, String>);

impl Jar {
    fn take(&mut self, headers: &gate_kit::http::Headers) {
        for line in headers.all(HeaderId::SetCookie) {
            let line = std::str::from_utf8(line).expect("text");
            assert!(line.contains("; Path=/; HttpOnly; SameSite=Lax"), "{line}");
            assert!(line.ends_with("; Secure"), "{line}");
            let (name, rest) = line.split_once('=').expect("a cookie");
            match line.contains("Max-Age=0;") {
                true => drop(self.0.remove(name)),
                false => {
                    let value = rest.split(';').next().unwrap_or_default();
                    self.0.insert(name.to_owned(), value.to_owned());
                }
            }
        }
    }

    fn header(&self) -> String {
        let pairs = self.0.iter().map(|(name, value)| format!("{name}={value}"));
        let mut pairs: Vec<_> = pairs.collect();
        pairs.push("other=1".to_owned());
        pairs.join("; ")
    }
}

/// A request of a browser with its cookies; the exchange, and what became of it.
fn browse(
    harness: &Harness,
    policy: &Arc<dyn Policy>,
    jar: &mut Jar,
    line: &str,
) -> (Exchange, Result<Option<Response>, Fault>) {
    let head = format!(
        "{line}\naccept: text/html\ncookie: {}\nx-user: root",
        jar.header()
    );
    let mut exchange = harness.exchange(&head);
    let verdict = harness.request(policy, &mut exchange);
    jar.take(&exchange.response_headers);
    let result = match verdict {
        Verdict::Next => Ok(None),
        Verdict::Reply(response) => Ok(Some(*response)),
        Verdict::Refuse(fault) => Err(*fault),
        Verdict::Wait(_) => panic!("harness waits"),
    };
    (exchange, result)
}

fn location(response: &Response) -> String {
    let location = response.head.headers.get_str(HeaderId::Location);
    location.expect("a location").to_owned()
}

fn parameter(url: &str, name: &str) -> String {
    let query = url.split_once('?').expect("a query").1;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let found = pairs.find(|(key, _)| key == name);
    found
        .unwrap_or_else(|| panic!("{name} in {url}"))
        .1
        .into_owned()
}

fn id_token(nonce: &str, more: &Value) -> String {
    let mut claims = json!({
        "iss": ISSUER, "aud": "shop", "sub": "ada", "sid": "s1", "nonce": nonce,
        "exp": NOW + 600, "iat": NOW, "groups": ["staff"],
    });
    for (name, value) in more.as_object().expect("an object") {
        claims[name] = value.clone();
    }
    token(1, "k", &claims)
}

/// Begins a sign-in at a page; where the browser was led.
fn begin(harness: &Harness, policy: &Arc<dyn Policy>, jar: &mut Jar, page: &str) -> String {
    let (_, led) = browse(harness, policy, jar, &format!("GET {page}"));
    location(&led.expect("led").expect("a redirection"))
}

/// Comes back from the provider with a code, for which it gives these tokens.
fn come_back(
    harness: &Harness,
    policy: &Arc<dyn Policy>,
    jar: &mut Jar,
    led: &str,
    tokens: &Value,
) -> Result<Option<Response>, Fault> {
    harness.services.answer_only(TOKEN, json_of(tokens));
    let state = parameter(led, "state");
    let line = format!("GET /.tidegate/oidc/callback?code=c1&state={state}&iss={ISSUER}");
    browse(harness, policy, jar, &line).1
}

fn tokens(led: &str, more: &Value) -> Value {
    json!({
        "id_token": id_token(&parameter(led, "nonce"), more), "access_token": "at1",
        "refresh_token": "rt1", "expires_in": 300,
    })
}

/// A browser that has signed in.
fn signed_in(harness: &Harness, policy: &Arc<dyn Policy>) -> Jar {
    let mut jar = Jar::default();
    let led = begin(harness, policy, &mut jar, "/page?a=1");
    let back = come_back(harness, policy, &mut jar, &led, &tokens(&led, &json!({})));
    assert_eq!(
        location(&back.expect("signed in").expect("led on")),
        "/page?a=1"
    );
    jar
}

#[test]
fn settings_that_would_not_protect_are_refused() {
    let mut harness = harness();
    harness.secrets.insert("SHORT".into(), "short".into());
    for (settings, message) in [
        (
            settings("").replace("env: COOKIE", "env: SHORT"),
            "at least 32",
        ),
        (settings("").replace("[{ env: COOKIE }]", "[]"), "no secret"),
        (
            settings("").replace("https://id", "http://id"),
            "neither an https URL",
        ),
        (settings("path: /a/"), "ends without one"),
        (settings("after_logout: 'http://x'"), "neither a path"),
        (settings("address: 'https://a/'"), "without a path"),
        (settings("cookie: { name: 'a;b' }"), "letters"),
        (
            settings("cookie: { domain: 'a; Secure' }"),
            "name of a host",
        ),
        (settings("session: 0s"), "longer than no time"),
        (
            settings("claims_to_headers: { sub: 'a b' }"),
            "cannot be the name",
        ),
    ] {
        let finding = harness.compile::<AuthOidc>(&settings);
        let finding = finding.err().expect(&settings).to_string();
        assert!(finding.contains(message), "{settings}: {finding}");
    }
}

#[test]
fn a_browser_signs_in_and_its_claims_go_on() {
    let harness = harness();
    let policy = policy(
        &harness,
        "claims: { groups: { contains: staff } }, access_token: authorization, \
         claims_to_headers: { sub: x-user }, parameters: { prompt: login }",
    );
    let mut jar = Jar::default();
    let led = begin(&harness, &policy, &mut jar, "/page?a=1");
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "shop"),
        (
            "redirect_uri",
            "https://example.com/.tidegate/oidc/callback",
        ),
        ("scope", "openid profile email"),
        ("code_challenge_method", "S256"),
        ("prompt", "login"),
    ] {
        assert_eq!(parameter(&led, name), value);
    }
    let back = come_back(&harness, &policy, &mut jar, &led, &tokens(&led, &json!({})));
    assert_eq!(
        location(&back.expect("signed in").expect("led on")),
        "/page?a=1"
    );
    let form = harness
        .services
        .fetched
        .borrow()
        .last()
        .and_then(|one| one.post.clone());
    let form = form.expect("a form");
    assert_eq!(form.headers[0].1, "Basic c2hvcDpz");
    assert!(String::from_utf8_lossy(&form.body).contains("code_verifier="));
    assert_eq!(jar.0.len(), 1, "the sign-in's own cookie is gone");
    assert!(!jar.header().contains("ada"));
    let (exchange, result) = browse(&harness, &policy, &mut jar, "GET /page");
    assert!(result.expect("lets on").is_none());
    let headers = &exchange.request.head.headers;
    assert_eq!(headers.all_named("x-user").collect::<Vec<_>>(), [b"ada"]);
    assert_eq!(headers.get_named("authorization"), Some(&b"Bearer at1"[..]));
    assert_eq!(headers.get_named("cookie"), Some(&b"other=1"[..]));
}

#[test]
fn a_session_counts_wherever_the_secret_is_known_until_it_ends() {
    let harness = harness();
    let policy = policy(&harness, "");
    let mut jar = signed_in(&harness, &policy);
    let other = self::harness();
    let (_, result) = browse(&other, &self::policy(&other, ""), &mut jar, "GET /page");
    assert!(result.expect("lets on").is_none());
    let mut stranger = self::harness();
    stranger.secrets.insert("COOKIE".into(), "x".repeat(32));
    let (_, result) = browse(
        &stranger,
        &self::policy(&stranger, ""),
        &mut jar.clone(),
        "GET /",
    );
    assert!(result.expect("led").is_some());
    harness.hands.advance(Duration::from_secs(8 * 3600));
    let (_, result) = browse(&harness, &policy, &mut jar, "GET /page");
    assert!(
        location(&result.expect("led").expect("led")).starts_with("https://id.example.com/auth")
    );
}

#[test]
fn answers_that_do_not_belong_to_the_sign_in_are_refused() {
    let harness = harness();
    let policy = policy(&harness, "");
    for (change, reason) in [
        (json!({ "nonce": "other" }), "another sign-in"),
        (json!({ "aud": "other" }), "another audience"),
        (json!({ "iss": "https://evil" }), "another issuer"),
        (json!({ "azp": "other" }), "another client"),
        (json!({ "exp": NOW - 31 }), "has expired"),
        (json!({ "sub": null }), "names nobody"),
    ] {
        let mut jar = Jar::default();
        let led = begin(&harness, &policy, &mut jar, "/");
        let back = come_back(&harness, &policy, &mut jar, &led, &tokens(&led, &change));
        let Err(fault) = back else {
            panic!("{reason}: let in");
        };
        assert_eq!(fault.code, FaultCode::CredentialInvalid);
        assert!(fault.detail.contains(reason), "{}", fault.detail);
        assert!(!jar.0.contains_key("tidegate_login"));
    }
    let mut jar = Jar::default();
    let led = begin(&harness, &policy, &mut jar, "/");
    let good = tokens(&led, &json!({}));
    let state = parameter(&led, "state");
    // Another browser, another state, another issuer, no code, an error of the provider.
    let stolen = come_back(&harness, &policy, &mut Jar::default(), &led, &good);
    assert!(stolen.is_err());
    for query in [
        "code=c1".to_owned(),
        format!("code=c1&state={}", state.replace(&state[8..12], "AAAA")),
        format!("code=c1&state={state}&iss=https://evil"),
        format!("state={state}"),
        format!("state={state}&error=access_denied"),
    ] {
        let line = format!("GET /.tidegate/oidc/callback?{query}");
        let (_, result) = browse(&harness, &policy, &mut jar.clone(), &line);
        assert!(result.is_err(), "{query}");
    }
    harness.hands.advance(Duration::from_secs(600));
    assert!(
        come_back(&harness, &policy, &mut jar, &led, &good).is_err(),
        "too late"
    );
}

#[test]
fn nobody_is_led_to_another_site() {
    let harness = harness();
    let policy = policy(&harness, "");
    for (to, back) in [
        ("/a?b=c", "/a?b=c"),
        ("//evil.example/", "/"),
        ("/%5Cevil.example", "/"),
        ("https://evil.example", "/"),
        ("/a%0d%0ax: y", "/"),
    ] {
        let mut jar = Jar::default();
        let page = format!("/.tidegate/oidc/login?to={}", to.replace('?', "%3F"));
        let led = begin(&harness, &policy, &mut jar, &page);
        let answer = come_back(&harness, &policy, &mut jar, &led, &tokens(&led, &json!({})));
        assert_eq!(
            location(&answer.expect("signed in").expect("led")),
            back,
            "{to}"
        );
    }
    let mut exchange = harness.exchange("POST /orders\naccept: application/json");
    let fault = harness
        .request(&policy, &mut exchange)
        .refused()
        .expect("no page");
    assert_eq!(fault.code, FaultCode::CredentialMissing);
}

fn signed_in_with(harness: &Harness, policy: &Arc<dyn Policy>, more: &Value) -> Jar {
    let mut jar = Jar::default();
    let led = begin(harness, policy, &mut jar, "/");
    let back = come_back(harness, policy, &mut jar, &led, &tokens(&led, more));
    assert!(back.is_ok());
    jar
}

#[path = "session_tests.rs"]
mod sessions;
