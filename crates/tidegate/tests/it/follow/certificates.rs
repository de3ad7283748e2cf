//! Certificates of gateways that share a store: one orders, all answer the authority and serve.

use super::fleet::{Fleet, fixed};
use super::states::KEY;
use crate::acme;
use crate::support::eventually;
use serde_json::json;
use std::net::SocketAddr;

#[test]
fn one_gateway_orders_and_all_answer_and_serve_also_after_a_renewal() {
    for fleet in Fleet::all() {
        let (world, authority) = acme::authority();
        *authority.life.lock().unwrap() = (-3600, 3600);
        let settings = acme::settings(&authority, "{ http: {} }", ", renew_before: 10m");
        let nodes = ["a", "b"].map(|name| {
            let settings = format!("workers: 1, {settings}");
            let folder = fleet.folder_with(name, &settings, "", ", key: { file: keys }");
            std::fs::write(folder.path().join("keys"), KEY).unwrap();
            fleet.restart(folder, &[])
        });
        let mut document = fixed("served");
        document["listeners"]["secure"] =
            json!({ "address": "127.0.0.1:0", "tls": { "names": ["a.example.com"] } });
        fleet.variables(&[]);
        let revision = fleet.apply(document);
        fleet.acks_of(revision.number, 2);
        // The authority asks both, whoever orders.
        let fronts: Vec<SocketAddr> = nodes
            .iter()
            .map(|node| {
                let [plain, secure] = ["public", "secure"].map(|name| node.late_address(name));
                acme::lead(&world, &plain, &secure)
            })
            .collect();
        let all_serve_another_than = |before: &Option<Vec<u8>>| {
            let mut leaf = None;
            eventually("both serve the same new certificate", || {
                let leaves: Vec<_> = fronts
                    .iter()
                    .map(|front| acme::served(*front, "a.example.com"))
                    .collect();
                leaf.clone_from(&leaves[0]);
                leaf.is_some() && leaf != *before && leaves.iter().all(|one| *one == leaf)
            });
            leaf
        };
        let first = all_serve_another_than(&None);
        assert_eq!(authority.orders(), 1, "one of the two ordered");
        // It comes due, and the one after it holds for long enough not to.
        *authority.life.lock().unwrap() = (-3600, 30 * 86_400);
        for node in &nodes {
            node.rewrite(|text| text.replace("renew_before: 10m", "renew_before: 2h"));
        }
        all_serve_another_than(&first);
        assert_eq!(authority.orders(), 2, "one of the two renewed");
        for node in &nodes {
            for line in node.process.lines() {
                assert!(!line.contains("PRIVATE KEY"), "{line}");
            }
        }
    }
}
