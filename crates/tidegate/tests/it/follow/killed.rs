//! Gateways killed while they apply what the API was asked for.

use super::commands::Desk;
use super::fleet::{self, fixed};
use crate::support::eventually;
use crate::support::gateway::command;
use std::process::Stdio;
use std::time::Duration;

/// How often a gateway is killed, each time a little later in the apply.
const ROUNDS: u32 = 10;

#[test]
fn what_the_api_acknowledged_outlives_its_gateway() {
    let mut desk = Desk::start();
    let file = desk.write("shop.json", &fixed("body 0").to_string());
    desk.run(&["apply", &file], 0);
    let (mut kept, mut acknowledged) = ("body 0".to_owned(), 0);
    for round in 1..=ROUNDS {
        let body = format!("body {round}");
        let file = desk.write("shop.json", &fixed(&body).to_string());
        let mut apply = command(&["apply", &file]);
        apply.env("TIDEGATE_SERVER", desk.url());
        let apply = apply.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut apply = apply.expect("the binary runs");
        std::thread::sleep(Duration::from_millis(u64::from(round) * 40));
        let folder = desk.node.folder.clone();
        desk.node.process.child.kill().unwrap();
        desk.node.process.ended();
        let done = apply.wait().expect("it ends").success();
        desk.node = desk.fleet.restart(folder, &[]);
        let current = desk.api("/environments/main")["revision"].clone();
        let document = desk.api(&format!("/revisions/{current}/document"));
        let now = &document["document"]["routes"]["all"]["target"]["fixed"]["body"];
        let now = now.as_str().expect("a whole document").to_owned();
        // An apply whose answer was lost may have taken effect; one that was answered must have.
        assert!(
            now == body || (now == kept && !done),
            "{now}, {kept}, {done}"
        );
        fleet::eventually_serves(&desk.node, &now);
        kept = now;
        acknowledged += u32::from(done);
    }
    let audit = desk.json(&["audit", "--limit", "1000"]);
    let applies = audit.as_array().unwrap().iter();
    let applies = applies.filter(|entry| entry["subject"] == "environments/main");
    assert!(applies.count() > acknowledged as usize, "{audit}");
    eventually("the audit log is whole", || {
        desk.run(&["audit", "verify"], 0).contains("unbroken")
    });
}
