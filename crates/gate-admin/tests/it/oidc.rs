//! An identity provider's tokens, and signing in with a browser, against a provider that signs.

use crate::issuer::{Fault, Issuer, Key, encode, now_s, unsigned};
use crate::support::{Server, json_of, open};
use gate_api::client::{Reply, Seen};
use gate_api::problem::Code;
use gate_api::types::{AuditOutcome, Authentication, EnvironmentInput, Role};
use gate_model::resources::Admin;
use serde_json::{Value, json};

/// Settings that trust a provider.
fn trusting(issuer: &Issuer, more: Value) -> Admin {
    let mut oidc = json!({
        "issuer": issuer.url,
        "audiences": ["tidegate-api"],
        "grants": {
            "look": { "role": "viewer" },
            "deploy": { "role": "operator", "environments": ["staging"], "teams": ["shop"] },
            "own": { "role": "admin", "states": ["net-*"] },
        },
    });
    for (name, value) in more.as_object().unwrap() {
        oidc[name] = value.clone();
    }
    Admin {
        oidc: Some(serde_json::from_value(oidc).unwrap()),
        ..open()
    }
}

fn claims(issuer: &Issuer, more: Value) -> Value {
    let mut claims = json!({
        "iss": issuer.url, "aud": "tidegate-api", "sub": "ada", "exp": now_s() + 300,
        "groups": ["deploy", "nobody-knows"],
    });
    for (name, value) in more.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

#[test]
fn tokens_are_taken_by_the_keys_of_the_issuer_and_carry_their_groups_rights() {
    let issuer = Issuer::start();
    let keys = json!({ "keys": { "url": format!("{}/keys", issuer.url) } });
    for more in [keys, json!({})] {
        let server = Server::start(trusting(&issuer, more));
        for id in ["r", "e"] {
            let client = server.as_key(&issuer.token(id, &claims(&issuer, json!({}))));
            let me = client.me().unwrap();
            assert_eq!((&*me.actor, me.role), ("ada", Role::Operator));
            assert_eq!(me.authentication, Authentication::Oidc);
            assert_eq!(
                me.environments.as_deref(),
                Some(&["staging".to_owned()][..])
            );
            assert_eq!(me.teams.as_deref(), Some(&["shop".to_owned()][..]));
            let input = EnvironmentInput::default();
            client
                .put_environment("staging", Seen::Any, &input)
                .unwrap();
            let refused = client.put_environment("production", Seen::Any, &input);
            assert!(refused.unwrap_err().problem().unwrap().is(Code::Forbidden));
        }
        // The highest role of several groups, and groups in one text.
        let own = claims(
            &issuer,
            json!({ "groups": ["look", "own"], "aud": ["x", "tidegate-api"] }),
        );
        let me = server.as_key(&issuer.token("r", &own)).me().unwrap();
        assert_eq!(
            (me.role, me.states),
            (Role::Admin, Some(vec!["net-*".to_owned()]))
        );
        let look = claims(&issuer, json!({ "groups": "look else" }));
        let viewer = server.as_key(&issuer.token("e", &look));
        assert_eq!(viewer.me().unwrap().role, Role::Viewer);
        let refused = viewer.lock("staging", "mine").unwrap_err();
        assert!(refused.problem().unwrap().is(Code::Forbidden));
        let audit = server.as_key(&issuer.token("r", &own)).audit(50).unwrap();
        assert!(
            audit
                .iter()
                .any(|line| line.actor == "ada" && line.action == "putEnvironment")
        );
    }
}

#[test]
fn whatever_does_not_come_from_the_issuer_for_this_gateway_is_refused() {
    let issuer = Issuer::start();
    let server = Server::start(trusting(&issuer, json!({})));
    let good = claims(&issuer, json!({}));
    let with = |more: Value| issuer.token("r", &claims(&issuer, more));
    let signed = issuer.token("r", &good);
    let (head, signature) = signed.rsplit_once('.').unwrap();
    let other = unsigned(
        &json!({ "alg": "RS256", "kid": "r" }),
        &claims(&issuer, json!({ "sub": "eve" })),
    );
    let none = unsigned(&json!({ "alg": "none" }), &good);
    let none_named = unsigned(&json!({ "alg": "none", "kid": "r" }), &good);
    let hmac = unsigned(&json!({ "alg": "HS256", "kid": "r" }), &good);
    let mixed = unsigned(&json!({ "alg": "ES256", "kid": "r" }), &good);
    let before = issuer.asked();
    for (what, token) in [
        ("another audience", with(json!({ "aud": "another" }))),
        ("no audience", with(json!({ "aud": null }))),
        (
            "another issuer",
            with(json!({ "iss": "https://id.example" })),
        ),
        ("expired", with(json!({ "exp": now_s() - 31 }))),
        ("never expires", with(json!({ "exp": null }))),
        ("not yet", with(json!({ "nbf": now_s() + 100 }))),
        ("no name", with(json!({ "sub": null }))),
        ("no groups", with(json!({ "groups": null }))),
        (
            "groups of nobody",
            with(json!({ "groups": ["nobody-knows"] })),
        ),
        ("alg none", format!("{none}.")),
        ("alg none with a key", format!("{none_named}.")),
        (
            "a symmetric algorithm",
            format!("{hmac}.{}", encode(b"guess")),
        ),
        ("another family's algorithm", format!("{mixed}.{signature}")),
        ("another's claims", format!("{other}.{signature}")),
        ("no signature", format!("{head}.")),
        ("an unknown key", Key::rsa().token("unknown", &good)),
        (
            "another's key under a known name",
            Key::rsa().token("r", &good),
        ),
        ("no token", "a.b.c".to_owned()),
    ] {
        let error = server.as_key(&token).me().unwrap_err();
        // Somebody who keeps on failing is told to wait; the next one is another.
        let problem = error.problem().unwrap();
        let told = problem.is(Code::Unauthenticated) || problem.is(Code::RateLimited);
        assert!(told, "{what}: {problem}");
    }
    // An unknown key asks once, not each time.
    assert!(issuer.asked() <= before + 2, "{}", issuer.asked());
    server.as_key(&signed).me().unwrap();
}

/// Settings with which people sign in by a browser.
fn signing_in(issuer: &Issuer) -> Admin {
    let sign_in = json!({
        "client_id": "tidegate", "client_secret": { "env": "SECRET" }, "scopes": ["groups"],
        "session": "10m",
    });
    trusting(issuer, json!({ "sign_in": sign_in }))
}

const NAVIGATION: [(&str, &str); 2] = [
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "cross-site"),
];

/// A browser without a window: it keeps the cookies of one server and follows no redirection.
struct Browser<'a> {
    server: &'a Server,
    cookies: Vec<(String, String)>,
}

impl<'a> Browser<'a> {
    fn new(server: &'a Server) -> Self {
        let cookies = Vec::new();
        Self { server, cookies }
    }

    fn get(&mut self, path: &str, more: &[(&str, &str)]) -> Reply {
        let cookies = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        let mut headers = more.to_vec();
        if !cookies.is_empty() {
            headers.push(("Cookie", &cookies));
        }
        let reply = self
            .server
            .client()
            .send("GET", path, &headers, b"")
            .unwrap();
        for (_, set) in reply
            .headers
            .iter()
            .filter(|(name, _)| name == "set-cookie")
        {
            let (pair, attributes) = set.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert!(attributes.contains("HttpOnly"), "{set}");
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        reply
    }

    /// Goes to the provider and comes back to this path.
    fn at_provider(&mut self, issuer: &Issuer) -> String {
        let begun = self.get("/api/v1/session/oidc", &[]);
        assert_eq!(begun.status, 303, "{begun:?}");
        let door = begun.header("location").unwrap();
        let path = door.strip_prefix(&issuer.url).unwrap();
        let provider = gate_api::Endpoint::new(&issuer.url).unwrap();
        let back = provider.call("GET", path, &[], b"", 1 << 20).unwrap();
        let back = back.header("location").unwrap();
        back.strip_prefix(&self.server.url).unwrap().to_owned()
    }

    fn me(&mut self) -> (u16, Value) {
        json_of(&self.get("/api/v1/me", &[]))
    }
}

fn leads_to(reply: &Reply) -> &str {
    assert_eq!(reply.status, 303, "{reply:?}");
    reply.header("location").unwrap()
}

#[test]
fn a_browser_signs_in_at_the_provider_and_has_a_session() {
    let issuer = Issuer::start();
    let server = Server::start(signing_in(&issuer));
    let mut browser = Browser::new(&server);
    let (status, means) = json_of(&browser.get("/api/v1/session", &[]));
    let right = json!({ "keys": false, "tokens": true, "oidc": true });
    assert_eq!((status, means), (200, right));
    let back = browser.at_provider(&issuer);
    let reply = browser.get(&back, &NAVIGATION);
    assert_eq!(leads_to(&reply), "/");
    let cookies: Vec<_> = reply
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie")
        .collect();
    let session = &cookies
        .iter()
        .find(|(_, set)| set.starts_with("tidegate_session"))
        .unwrap()
        .1;
    assert!(
        session.contains("; HttpOnly; SameSite=Strict; "),
        "{session}"
    );
    let lasting = session.split("Max-Age=").nth(1).unwrap();
    assert!(
        (1..=600).contains(&lasting.parse::<u32>().unwrap()),
        "{session}"
    );
    let names: Vec<_> = browser.cookies.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["tidegate_session"], "the other was used up");
    let (status, me) = browser.me();
    assert_eq!(
        (status, &me["actor"], &me["role"]),
        (200, &json!("ada"), &json!("operator"))
    );
    assert_eq!(me["authentication"], "session");
    assert_eq!(me["environments"], json!(["staging"]));
    // The same answer is taken once: the code is used up, and so is the cookie.
    assert_eq!(
        leads_to(&browser.get(&back, &NAVIGATION)),
        "/#/?sign_in=bad_origin"
    );
    // A role that is taken from a group is taken from its sessions at once.
    let mut lower = signing_in(&issuer);
    lower.oidc.as_mut().unwrap().grants.remove("deploy");
    server.api.configure(lower).unwrap();
    assert_eq!(browser.me().0, 401);
}

#[test]
fn a_browser_that_did_not_begin_it_is_not_signed_in() {
    let issuer = Issuer::start();
    let server = Server::start(signing_in(&issuer));
    let mut victim = Browser::new(&server);
    // An attacker's answer in a victim's browser: without a sign-in, and within another one.
    let mut attacker = Browser::new(&server);
    let stolen = attacker.at_provider(&issuer);
    assert_eq!(
        leads_to(&victim.get(&stolen, &NAVIGATION)),
        "/#/?sign_in=bad_origin"
    );
    victim.at_provider(&issuer);
    assert_eq!(
        leads_to(&victim.get(&stolen, &NAVIGATION)),
        "/#/?sign_in=bad_origin"
    );
    let guessed = victim
        .at_provider(&issuer)
        .replace("code=code", "code=guess");
    assert_eq!(
        leads_to(&victim.get(&guessed, &NAVIGATION)),
        "/#/?sign_in=unauthenticated"
    );
    assert_eq!(victim.me().0, 401);
    // Another site cannot begin one, nor frame the way back.
    let foreign = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "no-cors"),
    ];
    assert_eq!(victim.get("/api/v1/session/oidc", &NAVIGATION).status, 403);
    assert_eq!(victim.get(&stolen, &foreign).status, 403);
}

#[test]
fn what_the_provider_says_wrongly_lets_nobody_in() {
    let issuer = Issuer::start();
    let server = Server::start(signing_in(&issuer));
    for (fault, word) in [
        (Fault::Nonce, "unauthenticated"),
        (Fault::Audience, "unauthenticated"),
        (Fault::Party, "unauthenticated"),
        (Fault::Subject, "unauthenticated"),
    ] {
        issuer.fail(fault);
        let mut browser = Browser::new(&server);
        let back = browser.at_provider(&issuer);
        let reply = browser.get(&back, &NAVIGATION);
        assert_eq!(leads_to(&reply), format!("/#/?sign_in={word}"));
        assert_eq!(browser.me().0, 401);
    }
    issuer.fail(Fault::None);
    for (more, word) in [
        ("&iss=https://id.example", "unauthenticated"),
        ("&error=access_denied", "unauthenticated"),
    ] {
        let mut browser = Browser::new(&server);
        let back = browser.at_provider(&issuer);
        let reply = browser.get(&format!("{back}{more}"), &NAVIGATION);
        assert_eq!(leads_to(&reply), format!("/#/?sign_in={word}"));
    }
    let mut nobody = signing_in(&issuer);
    nobody.oidc.as_mut().unwrap().grants.remove("deploy");
    server.api.configure(nobody).unwrap();
    let mut browser = Browser::new(&server);
    let back = browser.at_provider(&issuer);
    assert_eq!(
        leads_to(&browser.get(&back, &NAVIGATION)),
        "/#/?sign_in=forbidden"
    );
    let reader = issuer.token("r", &claims(&issuer, json!({ "groups": ["look"] })));
    let audit = server.as_key(&reader).audit(50).unwrap();
    let refusals = audit.iter().filter(|line| line.action == "finishSignIn");
    assert_eq!(
        refusals
            .filter(|line| line.outcome == AuditOutcome::Refused)
            .count(),
        7
    );
}

#[test]
fn where_nobody_signs_in_with_a_browser_that_is_said() {
    let server = Server::start(open());
    let mut browser = Browser::new(&server);
    for path in [
        "/api/v1/session/oidc",
        "/api/v1/session/oidc/callback?code=1",
    ] {
        let (status, problem) = json_of(&browser.get(path, &[]));
        assert_eq!((status, &problem["code"]), (404, &json!("not_found")));
    }
    let mut admin = open();
    let issuer = json!({ "issuer": "http://id.example", "audiences": [], "grants": {} });
    admin.oidc = Some(serde_json::from_value(issuer).unwrap());
    let refused = server.api.configure(admin).unwrap_err();
    assert!(refused.contains("https"), "{refused}");
}
