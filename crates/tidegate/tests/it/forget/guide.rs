//! The guide to what must not be lost, run as it stands there.

use crate::readme::{blocks, free_ports, installed, root, shell};
use crate::support::gateway::Running;

#[test]
fn the_guide_to_what_must_not_be_lost_works() {
    let ports = free_ports();
    let guide =
        std::fs::read_to_string(root().join("docs/guides/what-must-not-be-lost.md")).unwrap();
    let guide = guide
        .replace("127.0.0.1:8080", &ports[0])
        .replace("127.0.0.1:9090", &ports[1])
        // Whatever the day is; what was published instead of who changed something.
        .replace("--since 2026-11-22", "--since 2020-01-01")
        .replace("--kind audit", "--kind order.placed");
    let folder = installed();
    let (_, rest) = guide.split_once("```yaml complete\n").unwrap();
    let (configuration, _) = rest.split_once("```").unwrap();
    std::fs::write(folder.path().join("gate.yaml"), configuration).unwrap();
    let run = "exec tidegate run gate.yaml";
    let process = Running::start(&mut shell(folder.path(), run));
    process.line_with("health and metrics");
    let said = |block: &str| {
        let mut shell = shell(folder.path(), block);
        let output = shell
            .env("TIDEGATE_EVENTS_KEY", "open-sesame")
            .output()
            .unwrap();
        assert!(output.status.success(), "{block}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let publish = |word: &str| {
        said(&format!(
            "tidegate events publish http://{}/events --type order.placed --data '{{\"said\":\"{word}\"}}'",
            ports[0]
        ))
    };
    let blocks = blocks(&guide);
    let [show, forget, alone] = &blocks[..] else {
        panic!("{blocks:#?}");
    };
    publish("first-word");
    let shown = said(show);
    assert!(shown.contains("first-word"), "{shown}");
    let places = said(forget);
    for place in [
        "gateways", "files", "jobs", "records", "answers", "journal", "lake",
    ] {
        assert!(places.contains(place), "{place}: {places}");
    }
    let shown = said(show);
    assert!(
        shown.contains("order.placed") && !shown.contains("first-word"),
        "{shown}"
    );
    // It may go on calling; what comes later has another key, which is destroyed beside the gateway.
    publish("second-word");
    assert!(said(show).contains("second-word"));
    said(alone);
    let shown = said(show);
    assert!(!shown.contains("second-word"), "{shown}");
    let audit = said("tidegate journal show gate.yaml --kind audit --json");
    assert!(audit.contains("forget"), "{audit}");
}
