//! `If-Match` on everything that changes an environment: who saw an older one changes nothing, and is
//! told what has happened since.

use crate::support::{Server, document, json_of, open};
use gate_api::client::{Client, Seen};
use gate_api::openapi::OPERATIONS;
use gate_api::types::{Canary, DocumentInput};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn apply(client: &Client, routes: Value, canary: Option<&str>) -> Option<String> {
    let input = DocumentInput {
        canary: canary.map(|name| Canary::Rollout(name.to_owned())),
        ..DocumentInput::sync(document(json!({ "routes": routes })), "api")
    };
    client.apply("staging", Seen::Any, &input).unwrap().rollout
}

/// Everything that heeds `If-Match`: its name, its path, its body.
fn cases(rollout: &str) -> Vec<(&'static str, String, Value)> {
    let at = |rest: &str| format!("/environments/staging{rest}");
    let of = |rest: &str| format!("/rollouts/{rollout}{rest}");
    let document = json!({ "document": { "routes": {} } });
    vec![
        (
            "putEnvironment",
            at(""),
            json!({ "variables": { "A": "1" } }),
        ),
        ("deleteEnvironment", at(""), Value::Null),
        ("putResource", at("/resources/routes/z"), json!({})),
        ("deleteResource", at("/resources/routes/a"), Value::Null),
        ("apply", at("/revisions"), document),
        ("rollback", at("/rollback"), json!({})),
        ("promote", at("/promote"), json!({ "to": "production" })),
        ("confirm", at("/confirm"), json!({})),
        ("lock", at("/lock"), json!({ "reason": "mine" })),
        ("unlock", at("/unlock"), json!({})),
        ("promoteRollout", of("/promote"), json!({})),
        ("rollBackRollout", of("/rollback"), json!({})),
        ("holdRollout", of("/hold"), json!({})),
        ("resumeRollout", of("/resume"), json!({})),
    ]
}

#[test]
fn whoever_saw_an_older_environment_changes_nothing() {
    for server in Server::each(&open()) {
        let client = server.staging();
        apply(&client, json!({ "a": {} }), None);
        let seen = client.environment("staging").unwrap().generation;
        apply(&client, json!({ "a": {}, "b": {} }), None);
        let change = json!({ "a": {}, "b": {}, "c": {} });
        let rollout = apply(&client, change, Some("careful")).unwrap();
        let now = client.environment("staging").unwrap();
        let cases = cases(&rollout);
        let tried: BTreeSet<_> = cases.iter().map(|(id, ..)| *id).collect();
        let known = OPERATIONS.iter().filter(|one| one.precondition);
        assert_eq!(tried, known.map(|one| one.id).collect());
        let tag = format!("\"{seen}\"");
        for (id, path, body) in &cases {
            let operation = OPERATIONS.iter().find(|one| one.id == *id).unwrap();
            let body = match body {
                Value::Null => Vec::new(),
                body => body.to_string().into_bytes(),
            };
            let path = format!("/api/v1{path}");
            let headers = [("If-Match", &*tag)];
            let reply = client.send(operation.method, &path, &headers, &body);
            let (status, problem) = json_of(&reply.unwrap());
            assert_eq!(
                (status, &problem["code"]),
                (412, &json!("stale")),
                "{id} {problem}"
            );
            assert_eq!(problem["generation"], json!(now.generation), "{id}");
            // The revision in force has `b` since; `c` is only tried out.
            assert_eq!(problem["changes"][0]["name"], "b", "{id} {problem}");
            let after = client.environment("staging").unwrap();
            assert_eq!(after.generation, now.generation, "{id}");
        }
        // What was seen last is taken.
        let tag = format!("\"{}\"", now.generation);
        let held = client.send(
            "POST",
            &format!("/api/v1/rollouts/{rollout}/hold"),
            &[("If-Match", &tag)],
            b"{}",
        );
        assert_eq!(held.unwrap().status, 200);
    }
}
