//! Targets besides webhooks, each a real server with a client of its own: `peers.py`.

use super::support::{LONG, ids, start, start_with, taker, webhook};
use crate::sdk::venv;
use crate::support::{Running, eventually, eventually_within};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// The servers and clients, at the versions that the tests were written with.
const PACKAGES: &str = include_str!("requirements.txt");

/// A server that runs, with what it told.
struct Peer(Running);

impl Peer {
    fn start(kind: &str) -> Option<Self> {
        let python = venv("peers", PACKAGES)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/subscribers/peers.py");
        let mut command = Command::new(python);
        command.arg(script).arg(kind);
        Some(Peer(Running::start(&mut command)))
    }

    fn told(&self) -> Vec<Value> {
        let lines = self.0.lines().into_iter();
        let told = lines.filter_map(|line| Some(line.strip_prefix("peer ")?.to_owned()));
        told.map(|line| serde_json::from_str(&line).expect("JSON"))
            .collect()
    }

    /// Where it is.
    #[track_caller]
    fn place(&self) -> Value {
        let mut place = Value::Null;
        eventually_within(LONG, "the server is there", || {
            place = self.told().first().cloned().unwrap_or_default();
            !place.is_null()
        });
        place
    }

    /// Waits until so many messages have arrived.
    #[track_caller]
    fn arrived(&self, count: usize) -> Vec<Value> {
        let mut messages = Vec::new();
        eventually_within(LONG, &format!("{count} messages arrive"), || {
            messages = self.told().split_off(1);
            messages.len() >= count
        });
        messages
    }
}

/// A subscriber that begins with the oldest event and tries again soon.
fn told(target: Value) -> Value {
    let retry = json!({ "pause": "100ms", "longest": "500ms", "attempts": 200 });
    json!({ "start": "beginning", "target": target, "retry": retry })
}

#[test]
fn queues_and_buses_of_aws_take_events() {
    let Some(peer) = Peer::start("aws") else {
        return;
    };
    let place = peer.place();
    let access = json!({
        "region": "eu-west-1",
        "access_key_id": { "env": "AWS_ID" }, "secret_access_key": { "env": "AWS_SECRET" },
    });
    let mut ordered = told(json!({ "sqs": { "queue": place["fifo"], "access": access } }));
    ordered["order_by"] = json!("data.of");
    let subscribers = json!({
        "plain": told(json!({ "sqs": { "queue": place["plain"], "access": access } })),
        "ordered": ordered,
        "bus": told(json!({ "eventbridge": {
            "bus": "shop", "address": place["address"], "access": access,
        } })),
    });
    let secrets = [("AWS_ID", "AKIDEXAMPLE"), ("AWS_SECRET", "secret")];
    let (_gateway, tap) = start(&subscribers, &secrets);
    tap.publish("1", "order.placed", json!({ "of": "shop-7" }));
    let messages = peer.arrived(3);
    let of = |queue: &str| -> Value {
        messages
            .iter()
            .find(|one| one["queue"] == queue)
            .cloned()
            .unwrap_or_default()
    };
    assert_eq!(of("plain")["body"]["type"], "order.placed");
    assert_eq!(of("fifo")["body"]["data"]["of"], "shop-7");
    assert_eq!(of("fifo")["attributes"]["MessageGroupId"], "shop-7");
    let key = of("fifo")["attributes"]["MessageDeduplicationId"].clone();
    assert!(
        key.as_str().unwrap_or_default().starts_with("msg_"),
        "{key}"
    );
    let routed = &of("routed")["body"];
    assert_eq!(
        (&routed["source"], &routed["detail-type"]),
        (&json!("/shop"), &json!("order.placed"))
    );
    assert_eq!(routed["detail"]["id"], "1");
}

#[test]
fn nats_takes_events_and_a_stream_says_that_it_has_them() {
    let Some(peer) = Peer::start("nats") else {
        return;
    };
    let place = peer.place();
    let nats = |more: Value| {
        let mut target = json!({
            "server": place["address"], "user": "gateway", "password": { "env": "NATS" },
        });
        for (name, value) in more.as_object().unwrap() {
            target[name] = value.clone();
        }
        told(json!({ "nats": target }))
    };
    let mut nobody = nats(json!({ "subject": "nobody.stores", "jetstream": true }));
    nobody["retry"]["attempts"] = json!(2);
    let mut stranger = nats(json!({ "subject": "core.x", "password": { "env": "WRONG" } }));
    stranger["retry"]["attempts"] = json!(1);
    let subscribers = json!({
        "core": nats(json!({ "subject": "core.{type}" })),
        "stored": nats(json!({
            "subject": "orders.{data.of}", "jetstream": true, "mode": "structured",
        })),
        "nobody": nobody,
        "stranger": stranger,
    });
    let (gateway, tap) = start(&subscribers, &[("NATS", "secret"), ("WRONG", "hunter2")]);
    tap.publish("1", "order.placed", json!({ "of": "a b" }));
    let messages = peer.arrived(2);
    let of = |subject: &str| -> Value {
        let found = messages.iter().find(|one| one["subject"] == subject);
        found
            .cloned()
            .unwrap_or_else(|| panic!("{subject}: {messages:?}"))
    };
    let core = of("core.order.placed");
    assert_eq!(
        (&core["headers"]["ce-id"], &core["body"]),
        (&json!("1"), &json!("{\"of\":\"a b\"}"))
    );
    let stored = of("orders.a_b");
    let event: Value = serde_json::from_str(stored["body"].as_str().unwrap()).unwrap();
    assert_eq!(event["type"], "order.placed");
    assert!(
        stored["headers"]["Nats-Msg-Id"]
            .as_str()
            .unwrap()
            .starts_with("msg_")
    );
    eventually("what no stream stores is a dead letter", || {
        let page = gateway.metrics();
        page.contains("tidegate_subscriber_events_total{subscriber=\"nobody\",outcome=\"dead\"} 1")
            && page.contains(
                "tidegate_subscriber_events_total{subscriber=\"stranger\",outcome=\"dead\"} 1",
            )
    });
    let log = gateway.process.lines().join("\n");
    assert!(
        log.contains("no stream stores") && !log.contains("hunter2"),
        "{log}"
    );
}

#[test]
fn kafka_takes_records_into_the_partition_of_their_key() {
    let Some(peer) = Peer::start("kafka") else {
        return;
    };
    let place = peer.place();
    let mut keyed = told(json!({ "kafka": { "brokers": place["brokers"], "topic": "events" } }));
    keyed["order_by"] = json!("data.of");
    let mut whole = told(json!({ "kafka": {
        "brokers": place["brokers"], "topic": "events", "mode": "structured", "acks": "leader",
    } }));
    whole["filter"] = json!({ "pattern": { "data": { "of": ["b"] } } });
    let (_gateway, tap) = start(&json!({ "keyed": keyed, "whole": whole }), &[]);
    let events: Vec<(String, &str, Value)> = (0..30)
        .map(|n| {
            (
                n.to_string(),
                "order.placed",
                json!({ "of": (["a", "b", "c"][n % 3]), "n": n }),
            )
        })
        .collect();
    tap.publish_all(&events);
    let messages = peer.arrived(40);
    let (binary, whole): (Vec<&Value>, Vec<&Value>) = messages
        .iter()
        .partition(|one| one["headers"]["ce_id"].is_string());
    assert_eq!((binary.len(), whole.len()), (30, 10));
    for key in ["a", "b", "c"] {
        let of_key: Vec<&&Value> = binary.iter().filter(|one| one["key"] == key).collect();
        let partition = &of_key[0]["partition"];
        assert!(
            of_key.iter().all(|one| &one["partition"] == partition),
            "one partition a key"
        );
        let order: Vec<u64> = of_key
            .iter()
            .map(|one| {
                let body: Value = serde_json::from_str(one["body"].as_str().unwrap()).unwrap();
                body["n"].as_u64().unwrap()
            })
            .collect();
        assert!(order.is_sorted(), "in their order: {order:?}");
    }
    assert_eq!(binary[0]["headers"]["ce_type"], "order.placed");
    assert_eq!(binary[0]["headers"]["content-type"], "application/json");
    let event: Value = serde_json::from_str(whole[0]["body"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&event["specversion"], &event["data"]["of"]),
        (&json!("1.0"), &json!("b"))
    );
}

#[test]
fn a_route_is_asked_with_all_its_policies() {
    let service = taker();
    let more = json!({
        "consumers": { "events": { "keys": [] } },
        "upstreams": { "service": { "endpoints": [service.address] } },
        "routes": {
            "hook": {
                "match": { "path": "/hook" },
                "policies": [{ "auth_key": {} }],
                "target": { "upstream": "service" },
            },
        },
    });
    let route = |more: Value| {
        let mut target = json!({ "listener": "public", "path": "/hook" });
        for (name, value) in more.as_object().unwrap() {
            target[name] = value.clone();
        }
        let mut one = told(json!({ "route": target }));
        one["retry"]["attempts"] = json!(1);
        one
    };
    let subscribers = json!({
        "known": route(json!({ "consumer": "events" })),
        "unknown": route(json!({})),
    });
    let (gateway, tap) = start_with(&more, &subscribers, &[]);
    tap.publish("1", "order.placed", json!({ "n": 1 }));
    eventually("the service is asked", || !service.seen().is_empty());
    let seen = service.seen().remove(0);
    assert_eq!(
        (seen.method.as_str(), seen.target.as_str()),
        ("POST", "/hook")
    );
    assert_eq!(seen.header("ce-type"), Some("order.placed"));
    assert_eq!(seen.body, br#"{"n":1}"#);
    eventually("nobody is refused", || {
        let page = gateway.metrics();
        page.contains("tidegate_subscriber_events_total{subscriber=\"unknown\",outcome=\"dead\"} 1")
    });
    assert_eq!(
        service.seen().len(),
        1,
        "who is nobody is refused by the route's policy"
    );
}

#[test]
fn another_gateway_is_given_the_event_as_it_is() {
    let other = taker();
    let target = json!({ "gateway": {
        "url": format!("http://{}/events", other.address), "authorization": { "env": "OTHER" },
    } });
    let (_gateway, tap) = start(
        &json!({ "other": told(target) }),
        &[("OTHER", "Bearer key")],
    );
    tap.publish("1", "order.placed", json!({ "n": 1 }));
    eventually("it arrives", || !other.seen().is_empty());
    let seen = other.seen().remove(0);
    assert_eq!(seen.target, "/events");
    assert_eq!(seen.header("authorization"), Some("Bearer key"));
    assert_eq!(
        seen.header("content-type"),
        Some("application/cloudevents+json")
    );
    let event: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(
        (&event["id"], &event["source"]),
        (&json!("1"), &json!("/shop"))
    );
}

#[test]
fn an_e_mail_says_what_happened() {
    let Some(python) = venv("mail", "aiosmtpd==1.4.6") else {
        return;
    };
    let mut command = Command::new(python);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/notices/mail_server.py");
    command.arg(script).args(["none", "-", "-"]);
    let server = Running::start(&mut command);
    let line = server.line_with("listening ");
    let port = line.rsplit(' ').next().unwrap().to_owned();
    let target = json!({ "email": {
        "mail": {
            "to": ["ops@example.com"], "from": "gateway@example.com",
            "server": format!("127.0.0.1:{port}"), "tls": "none",
        },
        "subject": "Order {data.id} placed",
    } });
    let hook = taker();
    let subscribers = json!({ "mail": told(target), "hook": webhook(&hook) });
    let (_gateway, tap) = start(&subscribers, &[]);
    tap.publish("1", "order.placed", json!({ "id": "o-7" }));
    let mails = || -> Vec<Value> {
        let lines = server.lines().into_iter();
        let told = lines.filter_map(|line| serde_json::from_str(line.strip_prefix("mail ")?).ok());
        told.collect()
    };
    eventually("the mail comes", || !mails().is_empty());
    let mail = mails().remove(0);
    assert_eq!(mail["subject"], "Order o-7 placed");
    let text = mail["text"].as_str().unwrap();
    assert!(
        text.contains("type: order.placed") && text.contains("\"id\": \"o-7\""),
        "{text}"
    );
    assert_eq!(ids(&hook.seen()).len().min(1), ids(&hook.seen()).len());
}

/// A user without a password would be signed in as nobody: it is refused where it stands. Issue 7.
#[test]
fn a_user_of_nats_without_a_password_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gate.yaml");
    let checked = |credentials: &str| {
        let text = format!(
            "gateway: {{ store: {{ engine: {{ sqlite: {{ path: ledger.db }} }} }} }}\n\
             subscribers:\n  desk:\n    target:\n      nats:\n        server: 127.0.0.1:4222\n\
             \x20       subject: orders\n{credentials}"
        );
        std::fs::write(&file, text).unwrap();
        let output = crate::support::tidegate(&["check", file.to_str().unwrap()]);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        (output.status.code().unwrap(), said)
    };
    let (code, said) = checked("        user: desk\n");
    assert_eq!(code, 1, "{said}");
    let place = format!("{}:8:15", file.display());
    assert!(said.contains(&place), "{place}: {said}");
    assert!(
        said.contains("subscribers.desk.target.nats.user") && said.contains("`password`"),
        "{said}"
    );
    std::fs::write(folder.path().join("password"), "secret").unwrap();
    let password = "        password: { file: password }\n";
    for good in [
        "",
        // A token.
        password,
        &format!("        user: desk\n{password}"),
    ] {
        let (code, said) = checked(good);
        assert_eq!(code, 0, "{good}: {said}");
    }
}
