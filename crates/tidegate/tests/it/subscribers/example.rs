//! The example: an event that is published at the gateway's `/events` reaches who wants it.

use super::support::{arrived, taker};
use crate::examples::Example;
use crate::support::{eventually, tidegate};
use serde_json::{Value, json};

#[test]
fn the_example_tells_a_webhook_and_a_route_of_what_is_published() {
    let (hook, orders) = (taker(), taker());
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let gateway = Example::new("subscribers.yaml")
        .replace("127.0.0.1:8082", &hook.address)
        .replace("127.0.0.1:8081", &orders.address)
        .run(&[("HOOK_SECRET", secret)]);
    // New subscribers begin with what comes once they are there.
    eventually("they are there", || {
        let page = gateway.metrics();
        page.contains("tidegate_subscriber_lag{subscriber=\"hook\"}")
    });
    let url = gateway.url("/events");
    for (id, total) in [("o-1", 120), ("o-2", 20)] {
        let data = json!({ "id": id, "total": total }).to_string();
        let arguments = [
            "events",
            "publish",
            &url,
            "--type",
            "order.placed",
            "--data",
            &data,
        ];
        let output = tidegate(&arguments);
        assert!(output.status.success(), "{output:?}");
    }
    let told = arrived(&hook, 1).remove(0);
    let body: Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!(body, json!({ "text": "Order o-1: 120", "order": "o-1" }));
    assert!(told.header("webhook-signature").unwrap().starts_with("v1,"));
    let refreshed = arrived(&orders, 2);
    assert!(
        refreshed.iter().all(|one| one.target == "/refresh"),
        "{refreshed:?}"
    );
    assert_eq!(hook.seen().len(), 1);
}
