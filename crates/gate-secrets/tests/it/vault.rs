//! Vault: versions, namespaces, three ways to sign in, tokens that end, and a server that is down.

use crate::Asked;
use crate::server::{Seen, Server};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a Vault holds and hands out.
#[derive(Default)]
struct Vault {
    value: Mutex<String>,
    logins: AtomicU64,
    /// Tokens of logins before this one are refused.
    revoked_before: AtomicU64,
}

fn errors(status: u16, text: &str) -> Option<(u16, String)> {
    Some((status, json!({ "errors": [text] }).to_string()))
}

/// Answers as the documentation of Vault says, with one secret at `app/openai` in both engines.
fn answer(vault: &Vault, seen: &Seen) -> Option<(u16, String)> {
    assert_eq!(seen.header("x-vault-request"), Some("true"));
    if let Some(method) = seen.target.strip_prefix("/v1/auth/") {
        let asked: Value = serde_json::from_str(&seen.body).unwrap();
        let right = match method {
            "approle/login" => asked == json!({ "role_id": "gate", "secret_id": "sid-secret" }),
            "k8s/login" => asked == json!({ "role": "gate", "jwt": "the-account-jwt" }),
            _ => false,
        };
        if seen.method != "POST" || !right {
            return errors(400, "invalid role or secret ID");
        }
        let number = vault.logins.fetch_add(1, Ordering::SeqCst);
        let token = format!("hvs.login{number}");
        let auth = json!({ "client_token": token, "lease_duration": 300, "renewable": true });
        return Some((200, json!({ "auth": auth }).to_string()));
    }
    let token = seen.header("x-vault-token").unwrap_or_default();
    let by_login = token
        .strip_prefix("hvs.login")
        .and_then(|n| n.parse::<u64>().ok());
    let counts = by_login.is_some_and(|n| n >= vault.revoked_before.load(Ordering::SeqCst));
    if token != "hvs.root" && !counts {
        return errors(403, "permission denied");
    }
    let value = vault.value.lock().unwrap().clone();
    let data = json!({ "key": value, "other": "leave-me" });
    match (
        &*seen.method,
        &*seen.target,
        seen.header("x-vault-namespace"),
    ) {
        ("GET", "/v1/secret/data/app/openai", None)
        | ("GET", "/v1/kv/data/app/openai", Some("team")) => {
            let data = json!({ "data": data, "metadata": { "version": 3 } });
            Some((200, json!({ "data": data }).to_string()))
        }
        ("GET", "/v1/old/app/openai", None) => Some((
            200,
            json!({ "data": data, "lease_duration": 2764800 }).to_string(),
        )),
        _ => errors(404, "no handler for route"),
    }
}

fn start() -> (Server, Arc<Vault>) {
    let vault = Arc::new(Vault::default());
    *vault.value.lock().unwrap() = "first-value".into();
    let held = vault.clone();
    (Server::start(move |seen| answer(&held, seen)), vault)
}

fn store(server: &Server, auth: Value) -> Value {
    json!({ "vault": { "address": server.address, "auth": auth, "timeout": "500ms" } })
}

fn by_token(server: &Server) -> Asked {
    let store = store(server, json!({ "token": { "env": "VAULT_TOKEN" } }));
    Asked::new(store, &[("VAULT_TOKEN", "hvs.root")])
}

#[test]
fn both_versions_mounts_and_namespaces_are_read() {
    let (server, _) = start();
    assert_eq!(
        by_token(&server).ask("app/openai", Some("key")),
        Ok("first-value".into())
    );
    let mut other = store(&server, json!({ "token": { "env": "T" } }));
    other["vault"]["mount"] = json!("kv");
    other["vault"]["namespace"] = json!("team");
    let other = Asked::new(other, &[("T", "hvs.root")]);
    assert_eq!(
        other.ask("/app/openai", Some("key")),
        Ok("first-value".into())
    );
    let mut first = store(&server, json!({ "token": { "env": "T" } }));
    first["vault"]["mount"] = json!("old");
    first["vault"]["version"] = json!(1);
    let first = Asked::new(first, &[("T", "hvs.root")]);
    assert_eq!(
        first.ask("app/openai", Some("key")),
        Ok("first-value".into())
    );
}

#[test]
fn what_is_wrong_names_store_and_path_and_nothing_else() {
    let (server, _) = start();
    let asked = by_token(&server);
    let wrong = |path: &str, field: Option<&str>| asked.ask(path, field).unwrap_err();
    assert_eq!(
        wrong("app/missing", Some("key")),
        "`app/missing` of `the-store` cannot be read: there is no such secret"
    );
    assert_eq!(
        wrong("app/openai", Some("kee")),
        "`app/openai` of `the-store` cannot be read: it has no field `kee`"
    );
    assert!(wrong("app/openai", None).ends_with("it has several fields; say which by `field`"));
    assert!(wrong("../sys/raw", Some("key")).ends_with("it is no path of a secret"));
    let store = store(&server, json!({ "token": { "env": "T" } }));
    let refused = Asked::new(store.clone(), &[("T", "hvs.wrong")]);
    let said = refused.ask("app/openai", Some("key")).unwrap_err();
    assert!(
        said.ends_with("the service answered with status 403"),
        "{said}"
    );
    assert!(
        !said.contains("hvs.wrong") && !said.contains("permission"),
        "{said}"
    );
    let unset = Asked::new(store, &[]);
    assert!(
        unset
            .ask("app/openai", None)
            .unwrap_err()
            .ends_with("T is not set")
    );
}

#[test]
fn roles_sign_in_once_and_again_when_their_token_ends() {
    let (server, vault) = start();
    let auth = json!({ "app_role": { "role_id": "gate", "secret_id": { "env": "S" } } });
    let asked = Asked::new(store(&server, auth), &[("S", "sid-secret")]);
    let look = || {
        asked.hands.advance(Duration::from_secs(61));
        asked.ask("app/openai", Some("key"))
    };
    assert_eq!(look(), Ok("first-value".into()));
    assert_eq!(look(), Ok("first-value".into()));
    assert_eq!(
        vault.logins.load(Ordering::SeqCst),
        1,
        "the token is used again"
    );
    vault.revoked_before.store(1, Ordering::SeqCst);
    assert_eq!(look(), Ok("first-value".into()));
    assert_eq!(
        vault.logins.load(Ordering::SeqCst),
        2,
        "a refused token is replaced"
    );
    asked.hands.advance(Duration::from_secs(200));
    assert_eq!(look(), Ok("first-value".into()));
    assert_eq!(
        vault.logins.load(Ordering::SeqCst),
        3,
        "one at its end is not tried"
    );

    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "the-account-jwt\n").unwrap();
    let auth = json!({ "kubernetes": { "role": "gate", "mount": "k8s", "token": token } });
    let asked = Asked::new(store(&server, auth), &[]);
    assert_eq!(
        asked.ask("app/openai", Some("key")),
        Ok("first-value".into())
    );
    let auth = json!({ "app_role": { "role_id": "gate", "secret_id": { "env": "S" } } });
    let wrong = Asked::new(store(&server, auth), &[("S", "sid-wrong")]);
    let said = wrong.ask("app/openai", Some("key")).unwrap_err();
    assert!(
        said.contains("signing in failed: the service answered with status 400"),
        "{said}"
    );
}

#[test]
fn one_question_serves_every_field_until_it_is_old() {
    let (server, vault) = start();
    let asked = by_token(&server);
    assert_eq!(
        asked.ask("app/openai", Some("key")),
        Ok("first-value".into())
    );
    assert_eq!(
        asked.ask("app/openai", Some("other")),
        Ok("leave-me".into())
    );
    assert_eq!(server.seen().len(), 1);
    *vault.value.lock().unwrap() = "second-value".into();
    assert_eq!(
        asked.ask("app/openai", Some("key")),
        Ok("first-value".into())
    );
    assert!(!asked.keeper.changed());
    asked.keeper.look();
    assert_eq!(server.seen().len(), 1, "it is not time to look");
    asked.hands.advance(Duration::from_secs(60));
    asked.keeper.look();
    assert!(asked.keeper.changed());
    assert!(!asked.keeper.changed(), "told once");
    assert_eq!(
        asked.ask("app/openai", Some("key")),
        Ok("second-value".into())
    );
}

#[test]
fn a_service_that_is_down_keeps_its_last_values() {
    let (server, vault) = start();
    let asked = by_token(&server);
    assert_eq!(
        asked.ask("app/openai", Some("key")),
        Ok("first-value".into())
    );
    server.down(true);
    asked.hands.advance(Duration::from_secs(60));
    asked.keeper.look();
    assert_eq!(
        asked.ask("app/openai", Some("key")),
        Ok("first-value".into())
    );
    assert!(!asked.keeper.changed());
    let first = by_token(&server).ask("app/openai", Some("key"));
    let said = first.unwrap_err();
    assert!(
        said.starts_with("`app/openai` of `the-store` cannot be read: "),
        "{said}"
    );
    *vault.value.lock().unwrap() = "second-value".into();
    server.down(false);
    asked.hands.advance(Duration::from_secs(6));
    asked.keeper.look();
    assert!(asked.keeper.changed());
    assert_eq!(
        asked.ask("app/openai", Some("key")),
        Ok("second-value".into())
    );
}

#[test]
fn a_service_that_is_silent_is_not_waited_for_twice() {
    let server = Server::start(|_| None);
    let asked = by_token(&server);
    let started = std::time::Instant::now();
    let said = asked.ask("app/openai", Some("key")).unwrap_err();
    assert!(
        said.ends_with("the service did not answer within 500ms"),
        "{said}"
    );
    for path in ["a", "b", "c", "d"] {
        assert!(
            asked
                .ask(path, None)
                .unwrap_err()
                .ends_with("did not answer in time")
        );
    }
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn answers_are_bounded_and_nonsense_is_refused() {
    for body in [
        "x".repeat(2 << 20),
        "[]".into(),
        json!({ "data": "x" }).to_string(),
    ] {
        let server = Server::start(move |_| Some((200, body.clone())));
        let said = by_token(&server)
            .ask("app/openai", Some("key"))
            .unwrap_err();
        assert!(said.len() < 200, "{said}");
    }
}
