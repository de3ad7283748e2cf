//! Schedules through the program: what is due is published once, whoever leads, and what was missed
//! is made up for as the schedule says.

use super::{STORE, read};
use crate::support::{Gateway, eventually_within};
use gate_store::journal::Event;
use serde_json::Value;
use std::collections::HashSet;
use std::time::Duration;

/// Longer than a lease of a gateway that was killed.
const PATIENCE: Duration = Duration::from_secs(90);

const SCHEDULES: &str = r#"
schedules:
  tick:
    at: { every: 1s }
    missed: all
    missed_max: 1000
    target: { event: { type: com.example.tick, subject: clock, data: { a: 1 } } }
  stopped:
    at: { every: 1s }
    paused: true
    target: { event: { type: com.example.stopped } }
"#;

fn ticks(events: &[Event]) -> Vec<Value> {
    let ticks = events
        .iter()
        .filter(|event| event.kind == "com.example.tick");
    ticks
        .map(|event| serde_json::from_slice(event.payload.as_deref().unwrap()).unwrap())
        .collect()
}

#[test]
fn a_schedule_publishes_and_goes_on_where_a_killed_gateway_ended() {
    let mut gateway = Gateway::with(SCHEDULES, STORE, &[]);
    eventually_within(PATIENCE, "three runs", || ticks(&read(&gateway)).len() >= 3);
    gateway.process.child.kill().unwrap();
    gateway.process.ended();
    let before = ticks(&read(&gateway));
    let gateway = Gateway::run_in(gateway.folder.clone(), &[], &[]);
    eventually_within(PATIENCE, "it goes on", || {
        ticks(&read(&gateway)).len() >= before.len() + 3
    });
    let events = read(&gateway);
    assert!(
        events
            .iter()
            .all(|event| event.kind != "com.example.stopped")
    );
    let told = ticks(&events);
    let first = &told[0];
    assert_eq!(first["source"], "urn:tidegate:schedule:file/tick");
    assert_eq!(
        (&first["subject"], &first["data"]["a"]),
        (&"clock".into(), &1.into())
    );
    assert_eq!(first["id"], first["time"]);
    // Every second from the first to the last, none twice: nothing was missed over the kill.
    let ids: Vec<&str> = told.iter().map(|one| one["id"].as_str().unwrap()).collect();
    let seconds: HashSet<u64> = ids
        .iter()
        .map(|id| id.parse::<gate_model::units::Timestamp>().unwrap().unix_s())
        .collect();
    assert_eq!(seconds.len(), ids.len(), "{ids:?}");
    let (least, most) = (seconds.iter().min().unwrap(), seconds.iter().max().unwrap());
    assert_eq!(most - least + 1, seconds.len() as u64, "{ids:?}");
}
