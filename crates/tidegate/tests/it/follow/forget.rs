//! A consumer that is forgotten on one gateway is forgotten by all of its environment.

use super::change;
use super::fleet::{self, Fleet};
use crate::support::gateway::command;
use crate::support::{Gateway, curl, eventually};

/// Records of the consumer that a gateway has.
fn records(node: &Gateway) -> usize {
    let url = format!(
        "http://{}/api/v1/records?consumer=caller&limit=1000",
        node.address("admin")
    );
    let page = curl(&[&url]).expect(200).json();
    page["items"].as_array().map_or(0, Vec::len)
}

/// Runs `tidegate forget`; whether it succeeded, and what it said.
fn forget(node: &Gateway) -> (bool, String) {
    let mut command = command(&["forget", "caller"]);
    let server = format!("http://{}", node.address("admin"));
    let output = command.env("TIDEGATE_SERVER", server).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text.into_owned())
}

#[test]
fn every_gateway_forgets_what_it_keeps_itself() {
    for fleet in Fleet::all() {
        let keeps = "workers: 1, records: { folder: records }";
        let node = |name: &str| fleet.node_with(name, keeps, "", &[]);
        let (a, b) = (node("a"), node("b"));
        fleet.apply(change::with_key(1));
        let key = format!("authorization: Bearer {}", change::key(1));
        for one in [&a, &b] {
            fleet::eventually_answers(one, &["-H", &key], 200);
            eventually("a record is kept", || records(one) > 0);
        }
        let (is_done, said) = forget(&a);
        assert!(is_done && said.contains("gateways: 1 others"), "{said}");
        assert_eq!((records(&a), records(&b)), (0, 0), "{}", fleet.name());
        // What the consumer does from now on is kept again.
        fleet::eventually_answers(&b, &["-H", &key], 200);
        eventually("a record is kept", || records(&b) > 0);
    }
}
