//! Spend that is out of the usual, through the program: two weeks of a ledger, and then a loop that calls a
//! dear model for one consumer.

use super::fleet::{self, Fleet};
use crate::events::own::of;
use crate::support::{Reply, Upstream, curl, eventually, eventually_within, tidegate};
use gate_kit::clock::Clock;
use gate_model::units::Money;
use gate_store::ledger::{Charges, Entry, ExchangeId, Facts, Tokens};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const HOUR_MS: i64 = 3_600_000;

/// Two weeks up to the last hour, in each of which two consumers of a team spend two and three dollars.
fn two_weeks() -> Vec<Entry> {
    let hour = i64::try_from(Clock::System.unix().as_millis()).unwrap() / HOUR_MS;
    let facts = |consumer: &str| {
        Arc::new(Facts {
            consumer: consumer.into(),
            key: "main".into(),
            team: "shop".into(),
            route: "ai".into(),
            model: "assistant".into(),
            provider: "p".into(),
            provider_model: "gpt-4o".into(),
            tag: "search".into(),
            revision: 1,
        })
    };
    let consumers = [("ada", facts("ada"), 2), ("bob", facts("bob"), 3)];
    let of_hour = |hour: i64| {
        consumers.iter().map(move |(name, facts, dollars)| Entry {
            exchange: ExchangeId::from(&*format!("{name}-{hour}")),
            at_ms: hour * HOUR_MS + 60_000,
            facts: facts.clone(),
            outcome: "ok",
            tokens: Tokens::default(),
            estimated: 0,
            cost: Some(Money::from_picodollars(dollars * 1_000_000_000_000)),
            charges: Charges::default(),
            calls: 1,
            held: Vec::new(),
        })
    };
    (hour - 14 * 24..hour).flat_map(of_hour).collect()
}

/// Each call costs ten dollars: four million tokens at 2.50 dollars a million.
fn dear() -> Upstream {
    let answer = json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": "hi" }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 4_000_000, "completion_tokens": 0, "total_tokens": 4_000_000 },
    });
    let answer = answer.to_string();
    Upstream::start(move |_| Reply::text(&*answer).header("content-type", "application/json"))
}

fn document(provider: &Upstream) -> Value {
    // Of `one` and `two`.
    let keys = [
        "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
        "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3",
    ];
    let consumer = |key: &str| json!({ "team": "shop", "keys": [{ "id": "main", "sha256": key }] });
    let base = format!("http://{}/v1", provider.address);
    json!({
        "listeners": { "public": { "address": "127.0.0.1:0" } },
        "consumers": { "ada": consumer(keys[0]), "bob": consumer(keys[1]) },
        "providers": { "p": { "openai": { "base_url": base, "credentials": [{ "env": "KEY" }] } } },
        "models": { "assistant": { "targets": [{ "provider": "p", "model": "gpt-4o" }] } },
        "routes": { "ai": {
            "match": { "path": "/v1/{*rest}" },
            "policies": [{ "auth_key": {} }],
            "target": { "models": ["assistant"] },
        } },
    })
}

#[test]
fn a_loop_that_spends_is_suspected_and_traced() {
    for fleet in Fleet::all() {
        let provider = dear();
        let revision = fleet.apply(document(&provider)).number;
        fleet.settle(two_weeks());
        let folder = fleet.folder("a", ", tag_header: x-tag");
        let node = fleet.restart(folder, &[("KEY", "sk")]);
        fleet.acks_of(revision, 1);
        let suspicions = || {
            let answer = fleet::admin(&node, "/api/v1/usage/suspicions").expect(200);
            answer.json()["items"].as_array().unwrap().clone()
        };
        assert_eq!(suspicions(), [] as [Value; 0], "two weeks as usual");
        let url = format!("http://{}/v1/chat/completions", node.late_address("public"));
        let body = r#"{"model":"assistant","messages":[{"role":"user","content":"hi"}]}"#;
        for (key, tag, calls) in [("one", "runaway", 5), ("two", "search", 0)] {
            let headers = [
                format!("authorization: Bearer {key}"),
                format!("x-tag: {tag}"),
            ];
            for _ in 0..calls {
                let kind = "content-type: application/json";
                let arguments = ["-H", &headers[0], "-H", &headers[1], "-H", kind, "-d", body];
                curl(&[&[&*url], &arguments[..]].concat()).expect(200);
            }
        }
        let mut found = Vec::new();
        eventually("it is suspected", || {
            found = suspicions();
            // Fifty dollars, unless an hour ends between two of the calls.
            let spent = found.first().and_then(|one| one["spent"].as_f64());
            spent.is_some_and(|spent| spent >= 30.0)
        });
        // The team, the model and the whole spend no more than that explains.
        assert_eq!(found.len(), 1, "{found:?}");
        let one = &found[0];
        assert_eq!(
            (&one["of"], &one["name"]),
            (&json!("consumer"), &json!("ada"))
        );
        assert_eq!(one["until"], Value::Null);
        let (expected, high) = (
            one["expected"].as_f64().unwrap(),
            one["high"].as_f64().unwrap(),
        );
        assert!((1.5..2.5).contains(&expected) && high < 10.0, "{one}");
        let part = |column: &str| -> Value {
            let parts = one["parts"].as_array().unwrap().iter();
            let is_it = |part: &&Value| part["column"] == column;
            parts.clone().find(is_it).cloned().unwrap_or_default()
        };
        for (column, name, is_new) in [
            ("tag", "runaway".to_owned(), true),
            ("key", "ada/main".to_owned(), false),
            ("model", "assistant".to_owned(), false),
        ] {
            let part = part(column);
            assert_eq!(
                (&part["name"], &part["is_new"]),
                (&json!(name), &json!(is_new))
            );
            assert!(part["share"].as_f64().unwrap() > 0.9, "{part}");
        }
        assert_eq!(part("revision")["name"], revision.to_string());
        let text = one["text"].as_str().unwrap();
        assert!(text.contains("100 % tag `runaway` (new)"), "{text}");
        // The command, beside the gateway, says the same.
        let file = node.file().display().to_string();
        let output = tidegate(&["usage", &file, "--unusual", "--json"]);
        assert!(output.status.success(), "{output:?}");
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(&said, one);
        // It is an alert that pages nobody, and an event.
        let mut raised = Vec::new();
        eventually_within(Duration::from_secs(150), "it is told as an event", || {
            raised = of(&fleet.journal(), "tidegate.alert.raised");
            raised.retain(|event| event["data"]["labels"]["alertname"] == "SpendUnusual");
            !raised.is_empty()
        });
        assert_eq!(raised.len(), 1, "{raised:?}");
        let labels = &raised[0]["data"]["labels"];
        assert_eq!(
            (&labels["name"], &labels["severity"]),
            (&json!("ada"), &json!("ticket"))
        );
        // It may have been told before the last call.
        let text = raised[0]["data"]["text"].as_str().unwrap();
        assert!(text.starts_with("consumer `ada` spent "), "{text}");
    }
}
