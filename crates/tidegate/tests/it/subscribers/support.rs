//! A gateway with a store whose journal tests append to, and receivers that remember what came.

use crate::support::{Answer, Gateway, Reply, Seen, Upstream, command, curl, eventually_within};
use gate_kit::clock::Clock;
use gate_store::journal::{Journal, JournalOptions, NewEvent};
use gate_store::sqlite::Sqlite;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What a test waits for at most.
pub(super) const LONG: Duration = Duration::from_secs(120);

/// The journal of a store, beside the gateway that has it open.
pub(super) struct Tap(Journal);

impl Tap {
    pub(super) fn new(folder: &Path) -> Self {
        let path = folder.join("gate.db");
        let connect = move || {
            let mut database = Sqlite::open(&path)?.patient()?;
            gate_store::schema::migrate(&mut database)?;
            Ok(database)
        };
        let options = JournalOptions::default();
        let journal = Journal::open("test", Box::new(connect), options, Clock::System);
        Tap(journal.expect("a thread"))
    }

    /// Appends an event; it is safe when this returns. Its place.
    pub(super) fn publish(&self, id: &str, kind: &str, data: Value) -> u64 {
        self.publish_all(&[(id.to_owned(), kind, data)])[0]
    }

    /// Appends events together; their places.
    pub(super) fn publish_all(&self, events: &[(String, &str, Value)]) -> Vec<u64> {
        let append = |(id, kind, data): &(String, &str, Value)| {
            let event = json!({
                "specversion": "1.0", "id": id, "source": "/shop", "type": kind,
                "time": "2026-11-22T10:00:00Z", "data": data,
            });
            let event = NewEvent {
                key: format!("/shop {id}").into(),
                kind: (*kind).into(),
                consumer: "".into(),
                payload: event.to_string().into_bytes().into(),
            };
            self.0.append(event).expect("there is room")
        };
        let tickets: Vec<_> = events.iter().map(append).collect();
        tickets
            .into_iter()
            .map(|ticket| ticket.wait().expect("written"))
            .collect()
    }
}

/// A configuration with a store and these subscribers.
pub(super) fn configuration(more: &Value, subscribers: &Value) -> String {
    let mut whole = json!({
        "gateway": {
            "admin": { "address": "127.0.0.1:0" },
            "store": { "engine": { "sqlite": { "path": "gate.db" } } },
        },
        "listeners": { "public": { "address": "127.0.0.1:0" } },
        "routes": { "all": { "target": { "fixed": { "status": 200, "body": "here" } } } },
        "subscribers": subscribers,
    });
    for (kind, resources) in more.as_object().unwrap() {
        whole[kind] = resources.clone();
    }
    whole.to_string()
}

/// A gateway with these subscribers, and its journal.
pub(super) fn start(subscribers: &Value, secrets: &[(&str, &str)]) -> (Gateway, Tap) {
    start_with(&json!({}), subscribers, secrets)
}

pub(super) fn start_with(
    more: &Value,
    subscribers: &Value,
    secrets: &[(&str, &str)],
) -> (Gateway, Tap) {
    let gateway = Gateway::run(&configuration(more, subscribers), &[], secrets);
    let tap = Tap::new(gateway.path());
    (gateway, tap)
}

/// The same folder again, after its process was killed.
pub(super) fn again(folder: &Arc<tempfile::TempDir>, secrets: &[(&str, &str)]) -> Gateway {
    Gateway::run_in(folder.clone(), &[], secrets)
}

/// A receiver that takes everything.
pub(super) fn taker() -> Upstream {
    Upstream::start(|_| Reply::text("taken"))
}

pub(super) fn url(receiver: &Upstream) -> String {
    format!("http://{}/hook", receiver.address)
}

/// A webhook that begins with the oldest event.
pub(super) fn webhook(receiver: &Upstream) -> Value {
    json!({
        "start": "beginning",
        "target": { "webhook": { "url": url(receiver) } },
        "retry": { "pause": "50ms", "longest": "200ms" },
    })
}

/// How often each event came, by its id.
pub(super) fn ids(seen: &[Seen]) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    let own =
        |one: &&Seen| (one.header("ce-source")).is_some_and(|of| of.starts_with("urn:tidegate:"));
    // What the gateway publishes of itself is nobody's here.
    for one in seen.iter().filter(|one| !own(one)) {
        *found
            .entry(one.header("ce-id").unwrap_or_default().to_owned())
            .or_default() += 1;
    }
    found
}

/// Waits until so many different events have come.
#[track_caller]
pub(super) fn arrived(receiver: &Upstream, count: usize) -> Vec<Seen> {
    eventually_within(LONG, &format!("{count} events arrive"), || {
        ids(&receiver.seen()).len() >= count
    });
    receiver.seen()
}

/// Asks the admin API.
#[track_caller]
pub(super) fn asked(gateway: &Gateway, path: &str) -> Value {
    let url = format!("http://{}/api/v1{path}", gateway.address("admin"));
    curl(&[&url]).expect(200).json()
}

/// Has the admin API do something.
#[track_caller]
pub(super) fn post(gateway: &Gateway, path: &str, body: &Value) -> Answer {
    let url = format!("http://{}/api/v1{path}", gateway.address("admin"));
    let body = body.to_string();
    curl(&[&url, "-H", "content-type: application/json", "-d", &body])
}

/// The command line against a gateway's admin address.
#[track_caller]
pub(super) fn cli(gateway: &Gateway, arguments: &[&str]) -> String {
    let server = format!("http://{}", gateway.address("admin"));
    let mut command = command(arguments);
    let output = command.args(["--server", &server]).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    text
}

/// A subscriber as the API shows it, once it says this of itself.
#[track_caller]
pub(super) fn shows(
    gateway: &Gateway,
    name: &str,
    what: &str,
    mut holds: impl FnMut(&Value) -> bool,
) -> Value {
    let mut shown = Value::Null;
    eventually_within(LONG, what, || {
        shown = asked(gateway, &format!("/subscribers/{name}"));
        holds(&shown)
    });
    shown
}
