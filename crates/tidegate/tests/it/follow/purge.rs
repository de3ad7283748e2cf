//! Purges of caches on one gateway, heard by the others.

use super::fleet::{self, Fleet, fixed};
use crate::http_cache::{cache, counting};
use crate::support::{curl, eventually, eventually_within};
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn a_purge_on_one_gateway_reaches_the_other() {
    for fleet in Fleet::all() {
        let service = counting();
        let (a, b) = (fleet.node("a", &[]), fleet.node("b", &[]));
        fleet.variables(&[]);
        let mut document = fixed("unused");
        document["upstreams"] = json!({ "service": { "endpoints": [service.address] } });
        document["routes"] = json!({ "all": {
            "match": { "path": "/{*rest}" }, "policies": [{ "cache": {} }], "target": { "upstream": "service" },
        } });
        let revision = fleet.apply(document);
        fleet.acks_of(revision.number, 2);
        fleet::eventually_serves(&a, "answer 0 to /");
        fleet::eventually_serves(&b, "answer 1 to /");
        assert!(cache(&a, &["purge", "--tag", "all"]).starts_with("1 entries"));
        let began = Instant::now();
        // Each gateway asks the service again, in whatever order.
        let is_new = || fleet::ask(&b, &[]).body != "answer 1 to /";
        eventually_within(Duration::from_secs(30), "the other forgets", is_new);
        println!("{}: heard after {:?}", fleet.name(), began.elapsed());
        let kept = fleet::ask(&a, &[]).body;
        assert_ne!(kept, "answer 0 to /");
        // What is kept after a purge stays kept, also once the log with that purge has been read.
        let address = format!("http://{}/marker", a.late_address("public"));
        let marker = || curl(&[&address]).expect(200).body;
        let marked = marker();
        assert!(cache(&b, &["purge", "--tag", "path-marker"]).starts_with("0 entries"));
        eventually("the log is read", || marker() != marked);
        assert_eq!(fleet::ask(&a, &[]).body, kept);
    }
}
