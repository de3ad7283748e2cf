//! Services: they get tokens with their own credentials from `oidc-provider`, as JWTs and opaque.

use super::gateway;
use crate::support::curl;
use crate::support::provider::Provider;
use serde_json::{Value, json};

/// A token that the client gets with its secret.
fn token(provider: &Provider, more: &[&str]) -> String {
    let url = format!("{}/token", provider.url);
    let mut arguments = vec![
        "-u",
        "tidegate:secret",
        "-d",
        "grant_type=client_credentials",
        &url,
    ];
    arguments.extend(more);
    let answer = curl(&arguments).expect(200).json();
    answer["access_token"].as_str().expect("a token").to_owned()
}

fn register(provider: &mut Provider) {
    provider.register(&json!({
        "client_secret": "secret", "redirect_uris": [], "response_types": [],
        "grant_types": ["client_credentials"],
    }));
}

#[test]
fn a_jwt_of_a_certified_provider_is_verified_with_its_keys() {
    let Some(mut provider) = Provider::start() else {
        return;
    };
    register(&mut provider);
    let mut issuers = serde_json::Map::new();
    let trusted = json!({ "keys": { "discovery": true }, "audiences": ["urn:orders"] });
    issuers.insert(provider.url.clone(), trusted);
    let policies = json!([{ "auth_jwt": {
        "issuers": issuers, "cache": { "allow_private": ["127.0.0.1"] },
        "claims": { "scope": { "contains": "orders:read" } }, "consumer_claim": "client_id",
        "claims_to_headers": { "client_id": "x-client" },
    } }]);
    let gateway = gateway(&policies, &[]);
    let good = token(
        &provider,
        &["-d", "resource=urn:orders", "-d", "scope=orders:read"],
    );
    let narrow = token(&provider, &["-d", "resource=urn:orders"]);
    let ask = |token: &str| gateway.curl("/a", &["-H", &format!("authorization: Bearer {token}")]);
    for _ in 0..2 {
        let echo = ask(&good).expect(200);
        assert!(echo.body.contains("x-client: tidegate"), "{}", echo.body);
        assert!(!echo.body.contains("Bearer"), "{}", echo.body);
    }
    assert_eq!(
        ask(&narrow).expect(401).json()["code"],
        "credential_invalid"
    );
    let (head, _) = good.rsplit_once('.').expect("a signature");
    ask(&format!("{head}.AAAA")).expect(401);
}

#[test]
fn an_opaque_token_is_asked_about() {
    let Some(mut provider) = Provider::start() else {
        return;
    };
    register(&mut provider);
    let policies = json!([{ "auth_introspection": {
        "url": format!("{}/token/introspection", provider.url), "client_id": "tidegate",
        "client_secret": { "env": "CLIENT_SECRET" }, "cache": { "allow_private": ["127.0.0.1"] },
        "consumer_claim": "client_id", "claims_to_headers": { "client_id": "x-client" },
    } }]);
    let gateway = gateway(&policies, &[("CLIENT_SECRET", "secret")]);
    let good = token(&provider, &[]);
    let ask = |token: &str| gateway.curl("/a", &["-H", &format!("authorization: Bearer {token}")]);
    let echo = ask(&good).expect(200);
    assert!(echo.body.contains("x-client: tidegate"), "{}", echo.body);
    let wrong: Value = ask("made-up").expect(401).json();
    assert_eq!(wrong["code"], "credential_invalid");
}
