//! Gateways killed while they do what the API was asked for: they lead, and another one follows.

use super::commands::Desk;
use super::fleet::{self, Fleet, fixed};
use super::states::{self, KEY, WITH_KEY};
use crate::support::{Gateway, curl, eventually};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How often a gateway is killed on each store, each time a little later in what it was asked for.
const ROUNDS: u32 = 6;

/// Starts something, kills the gateway a while later, starts it again; whether it was acknowledged.
fn killed_during(desk: &mut Desk, mut asking: Command, after_ms: u64) -> bool {
    let asking = asking.stdout(Stdio::null()).stderr(Stdio::null());
    let mut asking = asking.spawn().expect("it runs");
    std::thread::sleep(Duration::from_millis(after_ms));
    let folder = desk.node.folder.clone();
    desk.node.process.child.kill().unwrap();
    desk.node.process.ended();
    let done = asking.wait().expect("it ends").success();
    desk.node = desk.fleet.restart(folder, &[]);
    done
}

/// What a revision answers everything with.
fn body(desk: &Desk, environment: &str) -> Option<String> {
    let revision = desk.api(&format!("/environments/{environment}"))["revision"].clone();
    let document = revision.as_u64().map(|number| {
        let document = desk.api(&format!("/revisions/{number}/document"));
        document["document"]["routes"]["all"]["target"]["fixed"]["body"].clone()
    });
    let body = document.as_ref().and_then(Value::as_str);
    assert_eq!(body.is_some(), document.is_some(), "a document is whole");
    body.map(str::to_owned)
}

fn desks() -> Vec<(Desk, Gateway)> {
    let with_other = |fleet: Fleet| {
        let desk = Desk::on(fleet, WITH_KEY, &[("keys", KEY)]);
        let other = desk.fleet.node("b", &[]);
        (desk, other)
    };
    Fleet::all().into_iter().map(with_other).collect()
}

fn check_audit(desk: &Desk, subject: &str, acknowledged: usize) {
    let audit = desk.json(&["audit", "--limit", "1000"]);
    let lines = audit.as_array().unwrap().iter();
    let lines = lines.filter(|entry| entry["subject"] == subject);
    assert!(lines.count() >= acknowledged, "{audit}");
    eventually("the audit log is whole", || {
        desk.run(&["audit", "verify"], 0).contains("unbroken")
    });
}

#[test]
fn what_the_api_acknowledged_outlives_its_gateway() {
    for (mut desk, other) in desks() {
        let file = desk.write("shop.json", &fixed("body 0").to_string());
        desk.run(&["apply", &file], 0);
        let (mut kept, mut acknowledged) = ("body 0".to_owned(), 1);
        for round in 1..=ROUNDS {
            let new = format!("body {round}");
            let file = desk.write("shop.json", &fixed(&new).to_string());
            let apply = desk.command(&["apply", &file]);
            let done = killed_during(&mut desk, apply, u64::from(round) * 40);
            let now = body(&desk, "main").expect("it has a revision");
            // An apply whose answer was lost may have taken effect; one that was answered must have.
            assert!(
                now == new || (now == kept && !done),
                "{now}, {kept}, {done}"
            );
            fleet::eventually_serves(&desk.node, &now);
            fleet::eventually_serves(&other, &now);
            kept = now;
            acknowledged += usize::from(done);
        }
        check_audit(&desk, "environments/main", acknowledged);
    }
}

#[test]
fn a_promotion_that_was_acknowledged_outlives_its_gateway() {
    for (mut desk, _other) in desks() {
        desk.run(&["env", "set", "main", "--promotes-to", "production"], 0);
        desk.run(&["env", "set", "production"], 0);
        let mut kept = None;
        for round in 1..=ROUNDS {
            let new = format!("body {round}");
            let file = desk.write("shop.json", &fixed(&new).to_string());
            desk.run(&["apply", &file], 0);
            let promote = desk.command(&["promote", "main"]);
            let done = killed_during(&mut desk, promote, u64::from(round) * 30);
            let now = body(&desk, "production");
            let took = now.as_ref() == Some(&new);
            assert!(took || (now == kept && !done), "{now:?}, {kept:?}, {done}");
            if took {
                // Not half of it: the digest is the one of the environment that it came from.
                let digest = |environment: &str| {
                    let environment = desk.api(&format!("/environments/{environment}"));
                    let revision = &environment["revision"];
                    desk.api(&format!("/revisions/{revision}"))["digest"].clone()
                };
                assert_eq!(digest("production"), digest("main"));
            }
            kept = now;
        }
        check_audit(&desk, "environments/production", 1);
    }
}

#[test]
fn a_state_that_was_acknowledged_outlives_its_gateway() {
    for (mut desk, _other) in desks() {
        let mut serial = 0;
        for round in 1..=ROUNDS {
            let new = serial + 1;
            let state = format!(
                r#"{{"version":4,"serial":{new},"lineage":"l","resources":["{}"]}}"#,
                "x".repeat(200_000)
            );
            let file = desk.write("state.json", &state);
            let mut post = Command::new("curl");
            post.args(["-sS", "-f", "-X", "POST", "-d", &format!("@{file}")]);
            post.args(["-H", "content-type: application/json"]);
            post.arg(format!("{}/api/v1/state/network", desk.url()));
            let done = killed_during(&mut desk, post, u64::from(round) * 8);
            let found = states::read(&desk, "network");
            let now = match found.status {
                200 => found.json()["serial"].as_u64().expect("a whole state"),
                _ => 0,
            };
            assert!(
                now == new || (now == serial && !done),
                "{now}, {serial}, {done}"
            );
            if now > 0 {
                assert_eq!(
                    found.json()["resources"][0].as_str().unwrap().len(),
                    200_000
                );
            }
            serial = now;
        }
        // And it can be written as before.
        let url = format!("{}/api/v1/state/network", desk.url());
        assert_ne!(curl(&[&url]).status, 423);
        states::write(&desk, "network", serial + 1).expect(200);
        check_audit(&desk, "states/network", 1);
    }
}
