//! Notifications over gateways that are killed: none is lost, and who gets one twice can tell.

use super::fleet::{Fleet, fixed};
use crate::support::{Gateway, Reply, Seen, Upstream, curl, eventually_within};
use gate_kit::random;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Alerts of a run; each is an incident, and so a message, of its own.
const ALERTS: usize = 120;
/// Gateways that are killed in a run.
const KILLS: usize = 6;
/// Longest that the last message may take, failures and their pauses included.
const LONG: Duration = Duration::from_secs(120);

/// What a receiver took, by key: how often, and with which bodies.
type Taken = Arc<Mutex<BTreeMap<String, Vec<Vec<u8>>>>>;

/// A receiver that refuses every fifth message, and notes those that it takes.
fn receiver(taken: &Taken) -> Upstream {
    let (taken, count) = (taken.clone(), Mutex::new(0_u64));
    Upstream::start(move |seen: &Seen| {
        let mut count = count.lock().unwrap();
        *count += 1;
        if *count % 5 == 0 {
            return Reply::text("no").status(503);
        }
        let key = seen.header("idempotency-key").unwrap_or_default();
        let mut taken = taken.lock().unwrap();
        taken
            .entry(key.to_owned())
            .or_default()
            .push(seen.body.clone());
        Reply::text("taken")
    })
}

/// Reports an alert to a gateway; whether it was acknowledged.
fn raise(gateway: &Gateway, incident: usize) -> bool {
    let url = format!(
        "http://{}/api/v1/notifications/alerts",
        gateway.address("admin")
    );
    let body = json!({ "labels": { "incident": incident.to_string() }, "text": "it fails" });
    let kind = "content-type: application/json";
    curl(&[&url, "-H", kind, "-d", &body.to_string()]).status == 202
}

fn run(fleet: &Fleet, seed: u64) {
    random::seed(seed);
    let taken = Taken::default();
    let receiver = receiver(&taken);
    let mut document = fixed("served");
    document["receivers"] =
        json!({ "hook": { "webhook": { "url": format!("http://{}/", receiver.address) } } });
    document["notifications"] = json!({ "all": {
        "wait": "50ms", "interval": "1s", "repeat": "1h", "steps": [{ "receivers": ["hook"] }],
    } });
    let revision = fleet.apply(document);
    let mut nodes = [fleet.node("a", &[]), fleet.node("b", &[])];
    fleet.acks_of(revision.number, 2);
    let kills: BTreeSet<usize> = (0..KILLS)
        .map(|number| number * (ALERTS / KILLS) + random::below(ALERTS / KILLS))
        .collect();
    for incident in 0..ALERTS {
        let mut acknowledged = false;
        while !acknowledged {
            acknowledged = raise(&nodes[random::below(2)], incident);
        }
        if kills.contains(&incident) {
            // At whatever it does then: taking in, storing, sending, settling.
            std::thread::sleep(Duration::from_millis(random::below(600) as u64));
            let node = &mut nodes[random::below(2)];
            let folder = node.folder.clone();
            node.process.child.kill().unwrap();
            node.process.ended();
            *node = fleet.restart(folder, &[]);
        }
    }
    let told = || -> BTreeSet<usize> {
        let taken = taken.lock().unwrap();
        let number = |body: &Vec<u8>| {
            let body: Value = serde_json::from_slice(body).unwrap();
            body["group"]["incident"].as_str().unwrap().parse().unwrap()
        };
        taken.values().flatten().map(number).collect()
    };
    eventually_within(LONG, "every alert is told", || told().len() == ALERTS);
    let taken = taken.lock().unwrap();
    let (messages, kills) = (taken.len(), kills.len());
    let most = taken.values().map(Vec::len).max().unwrap_or(0);
    let twice = taken.values().filter(|bodies| bodies.len() > 1).count();
    println!(
        "{}, seed {seed}: {ALERTS} alerts, {messages} messages, {kills} gateways killed: none \
         lost, {twice} came more than once, {most} times at most",
        fleet.name()
    );
    assert_eq!(messages, ALERTS, "one message each, whatever happens");
    // Of one message there is at most one more for each crash, and it is the same message.
    assert!(most <= 1 + kills, "{most}");
    for (key, bodies) in &*taken {
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{key}");
    }
}

#[test]
fn no_notification_is_lost_though_gateways_are_killed() {
    for (seed, fleet) in Fleet::all().into_iter().enumerate() {
        run(&fleet, seed as u64);
    }
}

#[test]
#[ignore = "minutes: ten further seeds on PostgreSQL, for the figure in docs/results.md"]
fn no_notification_is_lost_over_many_seeds() {
    for seed in 100..110 {
        if let Some(fleet) = Fleet::postgres() {
            run(&fleet, seed);
        }
    }
}
