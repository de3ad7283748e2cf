//! What an item may take and fill in, and how many jobs go before another.

use super::{Desk, failing, over};
use crate::support::{Reply, Upstream};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn an_item_has_its_time_and_fields_that_a_request_can_have() {
    let upstream = Upstream::start(|seen| match &*seen.target {
        "/slow/1" => Reply::text("late").after(Duration::from_secs(20)),
        _ => Reply::text("done"),
    });
    let desk = Desk::start(&over(&upstream.address));
    let slow = desk.submit(&json!({
        "path": "/slow/{{index}}", "count": 3, "timeout": "1s", "attempts": 2, "pause": "10ms",
    }));
    desk.until(&slow, "failed");
    let ended: Vec<(bool, String)> = desk
        .results(&slow)
        .iter()
        .map(|one| {
            let reason = one["reason"].as_str().unwrap().to_owned();
            (one["succeeded"] == true, reason)
        })
        .collect();
    let well = (true, String::new());
    assert_eq!(ended, [well.clone(), (false, "timeout".into()), well]);
    assert_eq!(desk.show(&slow)["job"]["retries"], 1);
    // What an item fills in is no more of a request than what stands there.
    let filled = desk.submit(&json!({
        "path": "/x", "items": ["a", "b\r\nx-other: c"], "headers": { "x-part": "{{item}}" },
    }));
    desk.until(&filled, "failed");
    let results = desk.results(&filled);
    assert_eq!(results[0]["succeeded"], true);
    let reason = results[1]["reason"].as_str().unwrap();
    assert!(reason.contains("its field `x-part`"), "{reason}");
    let seen = upstream.seen();
    let of = seen.iter().filter(|seen| seen.target == "/x");
    assert_eq!(of.count(), 1, "nothing of the other was sent");
}

#[test]
fn a_job_waits_for_twenty_others_and_for_no_more() {
    let upstream = Upstream::echo();
    let desk = Desk::start(&over(&upstream.address));
    let parents: Vec<Value> = (0..21)
        .map(|n| json!({ "job": desk.submit(&json!({ "path": format!("/parent/{n}") })) }))
        .collect();
    let after = |count: usize| json!({ "path": "/child", "after": parents[..count] });
    let child = desk.submit(&after(20));
    desk.until(&child, "succeeded");
    let seen = upstream.seen();
    let at = |path: &str| seen.iter().position(|seen| seen.target == path);
    let last = (0..20).map(|n| at(&format!("/parent/{n}")).unwrap()).max();
    assert!(at("/child") > last, "{last:?}");
    let path = desk.node.path().join("job.json");
    std::fs::write(&path, after(21).to_string()).unwrap();
    let refused = desk.run(&["submit", &path.display().to_string()], 1);
    assert!(refused.contains("20 others at most"), "{refused}");
}

/// Nobody follows for an item, so that one that is sent elsewhere has failed, as a webhook has.
#[test]
fn an_item_that_is_sent_elsewhere_fails() {
    let upstream = failing(&[("/moved/0", 302, 9)]);
    let desk = Desk::start(&over(&upstream.address));
    let id = desk.submit(&json!({ "path": "/moved/{{index}}", "count": 2, "attempts": 3 }));
    desk.until(&id, "failed");
    let results = desk.results(&id);
    assert_eq!(results[0]["reason"], "status_302");
    assert_eq!(results[1]["succeeded"], true);
    let tried = upstream.seen();
    let tried = tried.iter().filter(|seen| seen.target == "/moved/0");
    assert_eq!(tried.count(), 1, "it is not tried again");
}
