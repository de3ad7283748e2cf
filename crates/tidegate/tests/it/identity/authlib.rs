//! A provider made of PyPI's `authlib`: an implementation that shares nothing with ours or with
//! `oidc-provider`. Where Python or the packages cannot be had, a line says what was skipped.

use super::gateway;
use crate::sdk::venv;
use crate::support::{Running, curl};
use serde_json::json;
use std::path::Path;
use std::process::Command;

/// The packages, at the versions that the test was written with.
const PACKAGES: &str = "authlib==1.9.9\nflask==3.1.3";

#[test]
fn tokens_of_authlib_count_by_their_keys_and_by_asking() {
    let Some(python) = venv("authlib", PACKAGES) else {
        return;
    };
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/identity/authlib_provider.py");
    let provider = Running::start(Command::new(python).arg(script));
    let url = provider.line_with("provider at ");
    let url = url.trim_start_matches("provider at ").trim();
    let token = |client: &str| {
        let answer = curl(&[
            "-u",
            client,
            "-d",
            "grant_type=client_credentials",
            "-d",
            "scope=read",
            &format!("{url}/token"),
        ]);
        let answer = answer.expect(200).json();
        answer["access_token"].as_str().expect("a token").to_owned()
    };
    let cache = json!({ "allow_private": ["127.0.0.1"] });
    let jwt = gateway(
        &json!([{ "auth_jwt": {
            "keys": { "discovery": true }, "issuer": url, "audiences": ["urn:orders"],
            "cache": cache, "consumer_claim": "client_id", "claims": { "scope": { "contains": "read" } },
        } }]),
        &[],
    );
    let asked = gateway(
        &json!([{ "auth_introspection": {
            "url": format!("{url}/introspect"), "client_id": "tidegate", "cache": cache,
            "client_secret": { "env": "CLIENT_SECRET" }, "consumer_claim": "client_id",
        } }]),
        &[("CLIENT_SECRET", "secret")],
    );
    let good = token("tidegate:secret");
    for gateway in [&jwt, &asked] {
        let ask =
            |token: &str| gateway.curl("/a", &["-H", &format!("authorization: Bearer {token}")]);
        ask(&good).expect(200);
        // A token of a client that is no consumer here.
        ask(&token("stranger:secret")).expect(403);
        ask("made.up.token").expect(401);
    }
}
