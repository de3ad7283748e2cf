//! Failures on purpose in an environment: begun by a change, ended by a command on one gateway,
//! which the others hear.

use super::fleet::{self, Fleet, fixed};
use crate::support::{Gateway, command, eventually_within};
use serde_json::json;
use std::time::Duration;

fn experiments(gateway: &Gateway, arguments: &[&str]) -> (bool, String) {
    let arguments = [&["experiments"], arguments].concat();
    let mut command = command(&arguments);
    let server = format!("http://{}", gateway.address("admin"));
    command.env("TIDEGATE_SERVER", server);
    let output = command.output().expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8(text).expect("text"),
    )
}

#[test]
fn a_stop_on_one_gateway_reaches_the_other() {
    for fleet in Fleet::all() {
        let service = crate::http_cache::counting();
        let (a, b) = (fleet.node("a", &[]), fleet.node("b", &[]));
        fleet.variables(&[]);
        let mut document = fixed("unused");
        document["upstreams"] = json!({ "service": { "endpoints": [service.address] } });
        document["routes"] = json!({ "all": {
            "match": { "path": "/{*rest}" }, "target": { "upstream": "service" },
        } });
        document["experiments"] = json!({ "broken": {
            "inject": { "abort": { "status": 503 } }, "scope": { "upstream": "service" }, "for": "1h",
        } });
        let revision = fleet.apply(document);
        fleet.acks_of(revision.number, 2);
        for node in [&a, &b] {
            fleet::eventually_answers(node, &[], 503);
        }
        let (done, text) = experiments(&a, &["list"]);
        let columns = ["broken", "abort", "upstream=service", "running"];
        assert!(
            done && columns.iter().all(|column| text.contains(column)),
            "{text}"
        );
        let (done, text) = experiments(&a, &["stop", "broken", "--reason", "seen enough"]);
        assert!(
            done && text.starts_with("broken is stopped after "),
            "{text}"
        );
        assert_eq!(fleet::ask(&a, &[]).status, 200);
        let stopped = || fleet::ask(&b, &[]).status == 200;
        eventually_within(Duration::from_secs(30), "the other stops", stopped);
        let (done, text) = experiments(&a, &["stop", "broken"]);
        assert!(!done && text.contains("does not run"), "{text}");
        let (done, text) = experiments(&a, &["stop", "other"]);
        assert!(!done && text.contains("there is no experiment"), "{text}");
        let audit = fleet::admin(&a, "/api/v1/audit");
        assert!(audit.body.contains("stopExperiment") && audit.body.contains("seen enough"));
    }
}
