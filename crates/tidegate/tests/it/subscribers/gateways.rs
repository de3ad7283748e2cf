//! One gateway's events handed on to another: both real, with their own journals.

use super::support::{LONG, asked, configuration, shows, start_with, taker, webhook};
use crate::events::own::conforms;
use crate::support::{Gateway, Upstream, eventually_within};
use serde_json::{Value, json};

/// A gateway that takes events of the consumer `east`, and hands all it has to a hook.
fn receiving(intake: &Value, hook: &Upstream) -> Gateway {
    let mut structured = webhook(hook);
    structured["target"]["webhook"]["mode"] = json!("structured");
    structured["filter"] =
        json!({ "pattern": { "type": [{ "prefix": "tidegate.drift." }, { "prefix": "order." }] } });
    let more = json!({
        "consumers": { "east": { "keys": [
            { "sha256": "12f27fa94cbef259460ca7b4abf73b50ab8ade216ef714aeec3f7957ac270e63" },
        ] } },
        "routes": { "events": {
            "match": { "path": "/events" },
            "policies": [{ "auth_key": {} }],
            "target": { "events": intake },
        } },
    });
    Gateway::run(
        &configuration(&more, &json!({ "hook": structured })),
        &[],
        &[],
    )
}

/// A subscriber that hands on everything to it.
fn handing_on(to: &Gateway) -> Value {
    json!({ "west": {
        "start": "beginning",
        "target": { "gateway": { "url": to.url("/events"), "authorization": { "env": "WEST" } } },
        "retry": { "pause": "50ms", "longest": "200ms" },
    } })
}

const SECRET: (&str, &str) = ("WEST", "Bearer secret-of-shop");

fn told(hook: &Upstream) -> Vec<Value> {
    let seen = hook.seen();
    let read = seen.iter().map(|one| serde_json::from_slice(&one.body));
    read.map(Result::unwrap).collect()
}

/// What a gateway publishes of itself comes to the other's subscribers as it was, once.
#[test]
fn a_gateways_own_events_are_handed_on_to_one_that_names_it() {
    let hook = taker();
    let west = receiving(
        &json!({ "gateways": ["east"], "registered_only": false }),
        &hook,
    );
    let (east, tap) = start_with(&json!({}), &handing_on(&west), &[SECRET]);
    tap.publish("1", "order.placed", json!({ "n": 1 }));
    // A file that cannot be applied is drift, which is told after ten seconds.
    east.rewrite(|text| text.replace("\"status\":200", "\"status\":\"no\""));
    eventually_within(LONG, "both arrive", || told(&hook).len() >= 2);
    let events = told(&hook);
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0]["type"], "order.placed");
    conforms(&events[1], "tidegate.drift.found");
    let source = events[1]["source"].as_str().unwrap();
    assert!(source.starts_with("urn:tidegate:"), "{source}");
    let shown = shows(&east, "west", "nothing is left", |shown| {
        shown["subscriber"]["open"] == 0 && shown["subscriber"]["lag"] == 0
    });
    assert_eq!(shown["subscriber"]["dead"], 0, "{shown}");
}

/// Where it is not named, each is a dead letter after one attempt, and what callers published arrives.
#[test]
fn a_gateways_own_events_are_refused_at_once_elsewhere() {
    let hook = taker();
    let west = receiving(&json!({}), &hook);
    let (east, tap) = start_with(&json!({}), &handing_on(&west), &[SECRET]);
    tap.publish("1", "tidegate.drift.found", json!({}));
    tap.publish("2", "order.placed", json!({}));
    shows(&east, "west", "the first is refused", |shown| {
        shown["subscriber"]["dead"] == 1
    });
    eventually_within(LONG, "the second arrives", || !told(&hook).is_empty());
    let letters = asked(&east, "/subscribers/west/dead-letters");
    let letter = &letters["items"][0];
    assert_eq!(
        (&letter["kind"], &letter["attempts"]),
        (&json!("tidegate.drift.found"), &json!(1))
    );
    let reason = letter["reason"].as_str().unwrap();
    assert!(reason.contains("event_forbidden"), "{letters}");
    assert_eq!(told(&hook)[0]["type"], "order.placed");
}
