//! Two gateways of one store: what fails at the one that does not speak is placed by the one that does.

use super::commands::Desk;
use super::fleet::{self, Fleet, fixed};
use super::load;
use crate::support::{curl, eventually_within};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);

/// The good route, and one that fails.
fn served() -> Value {
    let mut document = fixed("good");
    document["routes"]["broken"] = json!({
        "match": { "path": "/broken" }, "target": { "fixed": { "status": 503, "body": "no" } },
    });
    document["objectives"] = json!({ "kept": { "target": "99 %" } });
    document
}

/// What the API says; null where it cannot say it now.
fn asked(desk: &Desk, path: &str) -> Value {
    let answer = curl(&[&format!("{}/api/v1{path}", desk.url())]);
    match answer.status {
        200 => answer.json(),
        _ => Value::Null,
    }
}

fn counted(desk: &Desk, least: u64) -> bool {
    asked(desk, "/objectives/kept")["total"].as_u64() > Some(least)
}

/// One caller of a path who asks a hundred times a second and leaves the machine to others meanwhile,
/// until this is dropped.
struct Caller(Arc<AtomicBool>);

impl Caller {
    fn start(address: &str, path: &str) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let (until, address) = (ended.clone(), address.to_owned());
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
        std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                let Ok(mut stream) = TcpStream::connect(&address) else {
                    return;
                };
                while !until.load(Ordering::Relaxed) && load::one(&mut stream, &request).is_ok() {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
        });
        Self(ended)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_fails_at_another_gateway_is_placed_by_the_one_that_speaks() {
    for fleet in Fleet::all() {
        // Without records, only what is told over the store can say where it fails.
        let desk = Desk::on(fleet, "", &[]);
        let file = desk.write("shop.json", &served().to_string());
        desk.run(&["apply", &file], 0);
        fleet::eventually_serves(&desk.node, "good");
        let _here = Caller::start(&desk.node.late_address("public"), "/");
        // Whoever counts alone has the right to speak, and keeps it.
        eventually_within(PATIENCE, "the first one counts", || counted(&desk, 300));
        let other = desk.fleet.node("b", &[]);
        fleet::eventually_serves(&other, "good");
        let _well = Caller::start(&other.late_address("public"), "/");
        eventually_within(PATIENCE, "both count", || counted(&desk, 1_500));
        let _broken = Caller::start(&other.late_address("public"), "/broken");
        let mut shown = Value::Null;
        eventually_within(PATIENCE, "an incident is attributed", || {
            let all = asked(&desk, "/incidents");
            let Some(id) = all["items"][0]["id"].as_str() else {
                return false;
            };
            shown = asked(&desk, &format!("/incidents/{id}"));
            shown["hypotheses"]
                .as_array()
                .is_some_and(|all| !all.is_empty())
        });
        let first = &shown["hypotheses"][0];
        assert_eq!(first["cell"][0]["route"], "broken", "{shown}");
        assert!(first["explained"].as_f64() > Some(0.9), "{shown}");
        // Who is asked has seen nothing of it itself.
        let told = desk.run(&["diagnose"], 0);
        assert!(told.contains("route `broken`"), "{told}");
    }
}
