//! Notifications that arrive: real receivers on loopback, a real mail server, the command line.
//!
//! What outlives a gateway that is killed is in `follow/notices.rs`.

mod mail;

use crate::support::{Answer, Gateway, Reply, Seen, Upstream, command, curl, eventually};
use aws_lc_rs::hmac;
use serde_json::{Value, json};
use std::time::Duration;

/// A receiver that takes everything.
fn receiver() -> Upstream {
    Upstream::start(|_| Reply::text("taken"))
}

fn url(receiver: &Upstream, path: &str) -> String {
    format!("http://{}{path}", receiver.address)
}

/// Asks the admin API for something.
#[track_caller]
fn post(gateway: &Gateway, path: &str, body: &Value) -> Answer {
    let url = format!("http://{}/api/v1{path}", gateway.address("admin"));
    let body = body.to_string();
    curl(&[&url, "-H", "content-type: application/json", "-d", &body])
}

#[track_caller]
pub(super) fn alert(gateway: &Gateway, labels: Value, on: bool) {
    let text = format!("something about {labels}");
    let body = json!({ "labels": labels, "text": text, "on": on });
    post(gateway, "/notifications/alerts", &body).expect(202);
}

#[track_caller]
fn notices(gateway: &Gateway) -> Value {
    let url = format!("http://{}/api/v1/notifications", gateway.address("admin"));
    curl(&[&url]).expect(200).json()
}

fn bodies(seen: &[Seen]) -> Vec<Value> {
    let read = |one: &Seen| serde_json::from_slice(&one.body).expect("JSON");
    seen.iter().map(read).collect()
}

/// Waits until so many messages have come, and hands them out.
#[track_caller]
fn arrived(receiver: &Upstream, count: usize) -> Vec<Value> {
    eventually(&format!("{count} messages arrive"), || {
        receiver.seen().len() >= count
    });
    bodies(&receiver.seen())
}

/// The command line against a gateway's admin address.
#[track_caller]
fn cli(gateway: &Gateway, arguments: &[&str]) -> String {
    let server = format!("http://{}", gateway.address("admin"));
    let mut command = command(arguments);
    let output = command.args(["--server", &server]).output().unwrap();
    let (said, errors) = (output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {errors}");
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn alerts_are_grouped_inhibited_silenced_and_escalated() {
    let (first, second) = (receiver(), receiver());
    let receivers = json!({
        "first": { "webhook": {
            "url": url(&first, "/hook?a=1"), "sign": { "env": "SIGN" },
            "authorization": { "env": "BEARER" },
        } },
        "second": { "webhook": { "url": url(&second, "/") } },
    });
    let people = json!({
        "receivers": ["second"], "begins": "2026-01-05T08:00:00Z", "time_zone": "Europe/Berlin",
    });
    let all = json!({
        "group_by": ["incident"], "wait": "500ms", "interval": "1s",
        "inhibitions": [{
            "source": { "kind": "cause" }, "target": { "kind": "effect" }, "equal": ["incident"],
        }],
        "steps": [{ "receivers": ["first"] }, { "after": "3s", "rotations": ["people"] }],
    });
    let gateway = Gateway::with(
        &format!(
            "receivers: {receivers}\nrotations: {{ people: {people} }}\n\
             notifications: {{ all: {all} }}\n"
        ),
        "",
        &[("SIGN", "signing secret"), ("BEARER", "Bearer token-1")],
    );
    let silence = cli(
        &gateway,
        &[
            "silences",
            "add",
            "service=noisy",
            "--for",
            "1h",
            "--reason",
            "known",
        ],
    );
    let id = silence.split_whitespace().next().unwrap().to_owned();
    alert(&gateway, json!({ "incident": "7", "kind": "cause" }), true);
    alert(
        &gateway,
        json!({ "incident": "7", "kind": "cause", "n": "2" }),
        true,
    );
    alert(&gateway, json!({ "incident": "7", "kind": "effect" }), true);
    alert(
        &gateway,
        json!({ "incident": "7", "service": "noisy" }),
        true,
    );
    let messages = arrived(&first, 1);
    // One message with both causes: the effect is hidden by them, the noisy one by the silence.
    assert_eq!(
        messages[0]["alerts"].as_array().unwrap().len(),
        2,
        "{messages:#?}"
    );
    assert_eq!(messages[0]["group"]["incident"], "7");
    let seen = first.seen().remove(0);
    assert_eq!(seen.target, "/hook?a=1");
    assert_eq!(seen.header("authorization"), Some("Bearer token-1"));
    let key = messages[0]["idempotency_key"].as_str().unwrap();
    assert_eq!(seen.header("idempotency-key"), Some(key));
    let signature = seen.header("tidegate-signature").unwrap();
    let (time, sign) = signature.split_once(",v1=").unwrap();
    let signed = [&time.as_bytes()[2..], b".", &seen.body].concat();
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, b"signing secret"),
        &signed,
    );
    let tag: String = tag
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(sign, tag);
    // Nobody acknowledges: whoever is on call is told as well.
    let escalated = arrived(&second, 1);
    assert_eq!(escalated[0]["step"], 1);
    assert_eq!(escalated[0]["thread"], messages[0]["thread"]);
    // The silence ends: what it hid is said.
    let shown = cli(&gateway, &["silences", "list"]);
    assert!(shown.contains(&id) && shown.contains("known"), "{shown}");
    cli(&gateway, &["silences", "end", &id]);
    eventually("what was silent is said", || {
        let said = [first.seen(), second.seen()].concat();
        let mut said = bodies(&said).into_iter();
        said.any(|one| one["alerts"].to_string().contains("noisy"))
    });
    let shown = notices(&gateway);
    assert_eq!(
        shown["stored"], false,
        "a file rules here, and there is no store"
    );
    assert_eq!(shown["groups"].as_array().unwrap().len(), 1);
    assert_eq!(
        shown["on_call"],
        json!([{ "rotation": "people", "receiver": "second" }])
    );
    assert_eq!(shown["silences"], json!([]));
    let listed = cli(&gateway, &["notifications", "list"]);
    assert!(listed.contains("incident=7"), "{listed}");
    // It ends.
    for labels in [
        json!({ "incident": "7", "kind": "cause" }),
        json!({ "incident": "7", "kind": "cause", "n": "2" }),
        json!({ "incident": "7", "kind": "effect" }),
        json!({ "incident": "7", "service": "noisy" }),
    ] {
        alert(&gateway, labels, false);
    }
    eventually("the end is said", || {
        let all = bodies(&[first.seen(), second.seen()].concat());
        all.iter().any(|one| one["on"] == false)
    });
    let page = gateway.metrics();
    assert!(
        page.contains(
            "tidegate_notification_attempts_total{receiver=\"first\",outcome=\"arrived\"}"
        ),
        "{page}"
    );
}

#[test]
fn who_acknowledges_stops_the_escalation() {
    let (first, second) = (receiver(), receiver());
    let gateway = Gateway::start(&format!(
        "receivers:\n  first: {{ webhook: {{ url: \"{}\" }} }}\n  second: {{ webhook: {{ url: \"{}\" }} }}\n\
         notifications:\n  all:\n    wait: 100ms\n    interval: 1s\n    \
         steps: [{{ receivers: [first] }}, {{ after: 4s, receivers: [second] }}]\n",
        url(&first, "/"),
        url(&second, "/"),
    ));
    alert(&gateway, json!({ "incident": "1" }), true);
    let thread = arrived(&first, 1)[0]["thread"].as_str().unwrap().to_owned();
    cli(&gateway, &["notifications", "acknowledge", &thread]);
    // Another group that nobody acknowledges marks the time.
    alert(&gateway, json!({ "incident": "2" }), true);
    let escalated = arrived(&second, 1);
    assert_eq!(escalated[0]["group"]["incident"], "2", "{escalated:#?}");
    let shown = notices(&gateway);
    let acknowledged = shown["groups"].as_array().unwrap().iter();
    let acknowledged: Vec<_> = acknowledged
        .filter(|one| one["acknowledged"] == true)
        .collect();
    assert_eq!(acknowledged.len(), 1);
    assert_eq!(acknowledged[0]["thread"], thread.as_str());
}

#[test]
fn every_receiver_gets_the_shape_that_it_knows() {
    let taker = Upstream::start(|seen| match seen.target.as_str() {
        "/v2/enqueue" => Reply::text("{\"status\":\"success\"}").status(202),
        _ => Reply::text("ok"),
    });
    let gateway = Gateway::with(
        &format!(
            "receivers:\n  pager: {{ pagerduty: {{ routing_key: {{ env: ROUTING }}, url: \"{}\" }} }}\n  \
             chat: {{ slack: {{ url: {{ env: SLACK }} }} }}\n  \
             other: {{ webhook: {{ url: \"{}\", body: alertmanager }} }}\n\
             notifications:\n  all: {{ wait: 100ms, interval: 1s, steps: [{{ receivers: [pager, chat, other] }}] }}\n",
            url(&taker, "/v2/enqueue"),
            url(&taker, "/alertmanager"),
        ),
        "",
        &[
            ("ROUTING", "R0UT1NG"),
            ("SLACK", &url(&taker, "/services/T/B/x")),
        ],
    );
    alert(
        &gateway,
        json!({ "incident": "<9>", "severity": "page" }),
        true,
    );
    arrived(&taker, 3);
    let seen = taker.seen();
    let of = |path: &str| {
        let found = seen.iter().find(|one| one.target == path);
        bodies(&[found.expect(path).clone()]).remove(0)
    };
    let pager = of("/v2/enqueue");
    assert_eq!(
        (
            &pager["routing_key"],
            &pager["event_action"],
            &pager["payload"]["severity"]
        ),
        (&json!("R0UT1NG"), &json!("trigger"), &json!("critical"))
    );
    let dedup_key = pager["dedup_key"].clone();
    let chat = of("/services/T/B/x");
    assert!(
        chat["text"]
            .as_str()
            .unwrap()
            .contains("incident=&lt;9&gt;"),
        "{chat}"
    );
    assert_eq!(chat["blocks"][0]["type"], "section");
    let other = of("/alertmanager");
    assert_eq!(
        (&other["version"], &other["status"]),
        (&json!("4"), &json!("firing"))
    );
    alert(
        &gateway,
        json!({ "incident": "<9>", "severity": "page" }),
        false,
    );
    eventually("PagerDuty is told that it is over", || {
        let seen = taker.seen().into_iter();
        let own: Vec<Seen> = seen.filter(|one| one.target == "/v2/enqueue").collect();
        let resolved =
            |one: &Value| one["event_action"] == "resolve" && one["dedup_key"] == dedup_key;
        bodies(&own).iter().any(resolved)
    });
    let said = cli(&gateway, &["notifications", "test", "chat"]);
    assert!(said.contains("chat"), "{said}");
    eventually("the message to try it comes", || {
        let seen = taker.seen().into_iter();
        let mut own = seen.filter(|one| one.target == "/services/T/B/x");
        own.any(|one| String::from_utf8_lossy(&one.body).contains("tries this receiver"))
    });
}

#[test]
fn a_receiver_that_is_down_costs_only_its_own_messages() {
    let well = receiver();
    // It takes connections and says nothing.
    let hanging = Upstream::start(|_| Reply::text("").after(Duration::from_secs(3_600)));
    let gateway = Gateway::start(&format!(
        "receivers:\n  well: {{ webhook: {{ url: \"{}\" }} }}\n  hanging: {{ webhook: {{ url: \"{}\" }} }}\n  \
         gone: {{ webhook: {{ url: \"http://127.0.0.1:1/\" }} }}\n\
         notifications:\n  bad: {{ wait: 1ms, interval: 1s, steps: [{{ receivers: [hanging, gone] }}] }}\n  \
         good: {{ wait: 1ms, interval: 1s, steps: [{{ receivers: [well] }}] }}\n",
        url(&well, "/"),
        url(&hanging, "/"),
    ));
    for number in 0..60 {
        alert(&gateway, json!({ "incident": number.to_string() }), true);
    }
    let groups: std::collections::BTreeSet<String> = arrived(&well, 60)
        .iter()
        .map(|one| one["group"]["incident"].to_string())
        .collect();
    assert_eq!(groups.len(), 60);
    // Few at once hang, and those that fail say why.
    assert!(hanging.seen().len() <= 2, "{}", hanging.seen().len());
    eventually("why a message did not arrive is shown", || {
        let shown = notices(&gateway);
        let mut waiting = shown["deliveries"].as_array().unwrap().iter();
        waiting.any(|one| one["receiver"] == "gone" && one["problem"].is_string())
    });
}

#[test]
fn what_cannot_reach_anybody_is_refused_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gate.yaml");
    std::fs::write(
        &file,
        "receivers:\n  a: { webhook: { url: \"ftp://x\" } }\n  b: { slack: { url: { env: NOT_THERE_1 } } }\n\
         \x20 c: { email: { to: [\"a@b.c\"], from: \"x\", server: \"h:25\", tls: none, user: u, password: { env: HOME } } }\n\
         rotations:\n  r: { receivers: [nobody], begins: 2026-01-01, turn: 7h }\n\
         notifications:\n  n: { repeat: 1s, steps: [{ receivers: [a], after: 1m }, { rotations: [none] }] }\n\
         deployment_sources:\n  d: { from: { github: { env: NOT_THERE_2 } }, team: shop }\n",
    )
    .unwrap();
    let output = command(&["check", file.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    for wanted in [
        "receivers.a.webhook.url",
        "receivers.c.email.from",
        "receivers.c.email.tls",
        "rotations.r.turn",
        "there is no receiver `nobody`",
        "notifications.n.repeat",
        "notifications.n.steps[0].after",
        "notifications.n.steps[1].after",
        "there is no rotation `none`",
    ] {
        assert!(said.contains(wanted), "{wanted} is not in:\n{said}");
    }
}
