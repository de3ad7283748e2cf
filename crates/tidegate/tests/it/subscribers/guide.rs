//! The guide to subscribers, run as it stands there: one target is broken, and gets what it missed.

use super::support::LONG;
use crate::readme::{blocks, free_ports, installed, root, shell};
use crate::support::gateway::Running;
use crate::support::{Reply, Upstream, eventually_within};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What stands between a fence that begins so and its end.
fn fenced<'a>(guide: &'a str, start: &str) -> &'a str {
    let (_, rest) = guide.split_once(&format!("```{start}")).unwrap();
    rest.split_once("```").unwrap().0
}

#[test]
fn the_guide_to_subscribers_works() {
    let is_well = Arc::new(AtomicBool::new(false));
    let known = is_well.clone();
    let fraud = Upstream::start(move |_| match known.load(Ordering::Relaxed) {
        true => Reply::text("taken"),
        false => Reply::text("no").status(400),
    });
    let gallery = Upstream::echo();
    let ports = free_ports();
    let guide = std::fs::read_to_string(root().join("docs/guides/tell-subscribers.md")).unwrap();
    let guide = guide
        .replace("127.0.0.1:8080", &ports[0])
        .replace("127.0.0.1:9901", &ports[1])
        .replace("127.0.0.1:8083", &gallery.address)
        .replace(
            "https://fraud.example",
            &format!("http://{}", fraud.address),
        )
        // Whatever the day is.
        .replace("--since 2026-11-22", "--since 2020-01-01");
    let folder = installed();
    let file = folder.path().join("gate.yaml");
    let configuration = fenced(&guide, "yaml complete\n");
    // The guide's begin with what comes once they are led, which is not waited for here.
    let early = configuration
        .replace("    order_by:", "    start: beginning\n    order_by:")
        .replace(
            "    filter: { cel:",
            "    start: beginning\n    filter: { cel:",
        );
    assert_eq!(early.matches("start: beginning").count(), 2);
    std::fs::write(&file, early).unwrap();
    let run = "exec tidegate run gate.yaml";
    let process = Running::start(&mut shell(folder.path(), run));
    process.line_with("health and metrics");
    let said = |block: &str| {
        let set = format!("export TIDEGATE_SERVER=http://{}\n{block}", ports[1]);
        let output = shell(folder.path(), &set).output().unwrap();
        assert!(output.status.success(), "{block}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let blocks = blocks(&guide);
    let [missed, hold, publish] = &blocks[..] else {
        panic!("{blocks:#?}");
    };
    // Too small for the desk: it stays the gallery's and nobody's.
    said(&publish.replace("\"total\":120", "\"total\":20"));
    let shown = said(&publish.replace("o-1", "o-2"));
    assert!(shown.contains("order.placed"), "{shown}");
    eventually_within(LONG, "the desk has refused the order", || {
        said("tidegate subscribers dead dear-orders").contains("order.placed")
    });
    is_well.store(true, Ordering::Relaxed);
    let text = said(missed);
    for word in ["dear-orders", "gallery", "order.placed"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let bodies = || -> Vec<String> {
        let seen = fraud.seen().into_iter();
        seen.map(|seen| String::from_utf8(seen.body).unwrap())
            .collect()
    };
    eventually_within(LONG, "what was dead is told again", || bodies().len() == 2);
    said(hold);
    eventually_within(LONG, "and what was is told from the beginning", || {
        bodies().len() == 3
    });
    for body in bodies() {
        assert_eq!(body, r#"{"order":"o-2","text":"Order o-2 of 120"}"#);
    }
    let seen = fraud.seen();
    let replayed = |at: usize| {
        seen[at]
            .headers
            .iter()
            .any(|(name, _)| name.contains("replay"))
    };
    assert_eq!([0, 1, 2].map(replayed), [false, false, true], "{seen:?}");
    assert_eq!(seen[0].header("webhook-id"), seen[1].header("webhook-id"));
    said(&publish.replace("order.placed", "com.example.upload.finished"));
    eventually_within(LONG, "the gallery is told by its route", || {
        let seen = gallery.seen();
        seen.iter().any(|seen| seen.target == "/gallery/refresh")
    });
    // Subscribers that start jobs stand in place of these.
    let (before, _) = configuration.split_once("subscribers:").unwrap();
    let (_, of_jobs) = guide.split_once("## Start a job").unwrap();
    let jobs = fenced(of_jobs, "yaml\n");
    let more = "queues: { night: {} }\nconsumers: { gallery: {} }\n";
    std::fs::write(&file, format!("{before}{more}{jobs}")).unwrap();
    assert!(said("tidegate check gate.yaml").contains("valid"));
}
