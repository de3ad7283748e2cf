//! The guide to events: its configuration runs, and its command says what stands behind it.

use crate::readme::{BINARY, blocks, free_ports, root, shell};
use crate::support::gateway::Running;
use std::process::Command;

#[test]
fn the_guide_to_events_works() {
    let ports = free_ports();
    let guide = root().join("docs/guides/react-to-events.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let guide = guide.replace("127.0.0.1:8080", &ports[0]);
    let folder = tempfile::tempdir().unwrap();
    let fenced = |kind: &str| {
        let (_, rest) = guide.split_once(&format!("```{kind}\n")).unwrap();
        rest.split_once("```").unwrap().0.to_owned()
    };
    let file = folder.path().join("gate.yaml");
    std::fs::write(&file, fenced("yaml complete")).unwrap();
    let process = Running::start(Command::new(BINARY).arg("run").arg(&file));
    process.line_with("listening");
    let said = |block: &str| {
        let output = shell(folder.path(), block).output().unwrap();
        assert!(output.status.success(), "{block}: {output:?}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let blocks = blocks(&guide);
    let [publish] = &blocks[..] else {
        panic!("{blocks:#?}");
    };
    let wanted: serde_json::Value = serde_json::from_str(&fenced("json")).unwrap();
    // Again: it is there already.
    for _ in 0..2 {
        assert_eq!(said(publish), wanted);
    }
    let broken = said(&publish.replace("\"parts\":3", "\"parts\":0"));
    assert_eq!(broken["code"], "event_invalid");
    assert_eq!(broken["errors"][0]["pointer"], "/parts");
}
