//! Drift, told to a webhook: a gateway whose file is not what it runs.

use super::support::{LONG, configuration, taker, webhook};
use crate::events::own::conforms;
use crate::support::{Gateway, Upstream, eventually_within};
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

/// What a receiver was told of drift, in order.
fn told(receiver: &Upstream) -> Vec<Value> {
    let seen = receiver.seen();
    let events = seen.iter().map(|one| serde_json::from_slice(&one.body));
    let events: Result<Vec<Value>, _> = events.collect();
    events.expect("structured events")
}

fn sha256(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

#[test]
fn a_file_that_is_not_what_runs_is_told_and_so_is_its_end() {
    let receiver = taker();
    let mut hook = webhook(&receiver);
    hook["target"]["webhook"]["mode"] = json!("structured");
    hook["filter"] = json!({ "pattern": { "type": [{ "prefix": "tidegate.drift." }] } });
    let good = configuration(&json!({}), &json!({ "hook": hook }));
    let gateway = Gateway::run(&good, &[], &[]);
    let bad = good.replace("\"status\":200", "\"status\":\"no\"");
    assert_ne!(good, bad);
    std::fs::write(gateway.file(), &bad).unwrap();
    eventually_within(LONG, "drift is told", || told(&receiver).len() == 1);
    let found = told(&receiver).remove(0);
    conforms(&found, "tidegate.drift.found");
    let data = &found["data"];
    assert_eq!(
        (&data["of"], &data["environment"]),
        (&json!("file"), &json!("file"))
    );
    assert_eq!(
        (&data["wanted"], &data["running"]),
        (&json!(sha256(&bad)), &json!(sha256(&good)))
    );
    assert!(
        data["reason"].as_str().unwrap().contains("status"),
        "{found}"
    );
    // It goes on as before meanwhile.
    assert_eq!(gateway.curl("/", &[]).expect(200).body, "here");

    std::fs::write(gateway.file(), &good).unwrap();
    eventually_within(LONG, "its end is told", || told(&receiver).len() == 2);
    let mended = told(&receiver).remove(1);
    conforms(&mended, "tidegate.drift.mended");
    assert_eq!(mended["source"], found["source"]);
    assert_eq!(
        (&mended["data"]["wanted"], &mended["data"]["since"]),
        (&json!(sha256(&bad)), &data["since"])
    );
}
