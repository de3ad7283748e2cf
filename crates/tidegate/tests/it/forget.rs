//! Forgetting a consumer through the program: what it published and called is gone, to the last byte,
//! and what others did stays.

mod guide;
mod kept;

use crate::support::gateway::command;
use crate::support::{Gateway, curl, eventually, tidegate};
use serde_json::{Value, json};
use std::path::Path;

/// The consumers' names, which stand in plain text in files of the lake, and what each of them sent.
const ADA: (&str, &str) = ("ada-who-asks", "the secret of ada");
const BOB: (&str, &str) = ("bob-who-stays", "the secret of bob");

fn configuration() -> String {
    let routes = "\
        \x20 events: { match: { path: /events }, policies: [{ auth_key: {} }], target: { events: {} } }\n\
        \x20 orders: { match: { path: /orders }, policies: [{ auth_key: {} }, \
        { record_bodies: { request: true, response: true } }], \
        target: { fixed: { status: 200, body: taken } } }\n";
    let lake = "lake: { to: { directory: { path: lake } }, bodies: {} }";
    configured(lake, routes)
}

/// A gateway with a store, more of `gateway`, both consumers and these routes.
fn configured(gateway: &str, routes: &str) -> String {
    // Of `one` and `two`.
    let keys = [
        "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
        "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3",
    ];
    format!(
        "gateway: {{ admin: {{ address: \"127.0.0.1:0\" }}, \
         store: {{ engine: {{ sqlite: {{ path: store/state.db }} }} }}, {gateway} }}\n\
         listeners: {{ public: {{ address: \"127.0.0.1:0\" }} }}\n\
         consumers: {{ {}: {{ keys: [{{ sha256: \"{}\" }}] }}, {}: {{ keys: [{{ sha256: \"{}\" }}] }} }}\n\
         routes:\n{routes}",
        ADA.0, keys[0], BOB.0, keys[1]
    )
}

/// All bytes of a folder's files.
fn bytes_of(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(bytes_of(&path)),
            // A file may be replaced while it is looked at.
            false => all.extend(std::fs::read(path).unwrap_or_default()),
        }
    }
    all
}

fn has(folder: &Path, text: &str) -> bool {
    let bytes = bytes_of(folder);
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

/// What the journal can still be read of.
fn journal(gateway: &Gateway) -> String {
    let file = gateway.file().display().to_string();
    let output = tidegate(&["journal", "show", &file, "--behind", "0", "--json"]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// How many rows and bodies the lake has of a consumer.
fn rows(gateway: &Gateway, consumer: &str) -> [u64; 2] {
    let lake = gateway.path().join("lake").display().to_string();
    ["records", "bodies"].map(|table| {
        let sql = format!("SELECT count(*) FROM {table} WHERE consumer = '{consumer}'");
        let output = tidegate(&["query", "--lake", &lake, "--format", "json", &sql]);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        answer["rows"][0][0].as_u64().unwrap_or(0)
    })
}

/// Runs `tidegate forget`; whether it succeeded, and what it said.
fn forget(gateway: &Gateway, arguments: &[&str]) -> (bool, String) {
    let server = format!("http://{}", gateway.address("admin"));
    let mut command = command(&[&["forget"], arguments].concat());
    let output = command.env("TIDEGATE_SERVER", server).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text.into_owned())
}

#[test]
fn what_a_consumer_left_is_gone_and_what_others_left_is_not() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("store")).unwrap();
    std::fs::write(folder.path().join("gate.yaml"), configuration()).unwrap();
    let gateway = Gateway::run_in(folder.into(), &[], &[]);
    for ((_, secret), key) in [(ADA, "one"), (BOB, "two")] {
        let key = format!("authorization: Bearer {key}");
        let event = json!({
            "specversion": "1.0", "id": secret, "source": "/shop", "type": "placed",
            "data": { "text": secret },
        });
        let kind = "content-type: application/cloudevents+json";
        let text = event.to_string();
        gateway
            .curl("/events", &["-H", &key, "-H", kind, "-d", &text])
            .expect(202);
        for _ in 0..3 {
            let kind = "content-type: text/plain";
            gateway
                .curl("/orders", &["-H", &key, "-H", kind, "-d", secret])
                .expect(200);
        }
    }
    let (lake, store) = (gateway.path().join("lake"), gateway.path().join("store"));
    for (name, _) in [ADA, BOB] {
        eventually("rows and bodies are in the lake", || {
            let [records, bodies] = rows(&gateway, name);
            records == 4 && bodies > 0
        });
        assert!(has(&lake, name), "names stand in dictionaries");
    }
    let read = journal(&gateway);
    assert!(read.contains(ADA.1) && read.contains(BOB.1), "{read}");
    let bodies = rows(&gateway, BOB.0)[1];

    let (is_done, said) = forget(&gateway, &[ADA.0]);
    assert!(is_done, "{said}");
    assert!(
        said.contains("journal: payloads of 1 events destroyed") && said.contains("lake: "),
        "{said}"
    );
    assert_eq!(rows(&gateway, ADA.0), [0, 0]);
    assert!(!has(&lake, ADA.0), "a file of the lake has its name");
    assert_eq!(rows(&gateway, BOB.0), [4, bodies]);
    let events: Vec<Value> = serde_json::from_str(&journal(&gateway)).unwrap();
    let of = |name: &str| -> Vec<&Value> {
        let own = |event: &&Value| event["consumer"] == name;
        events.iter().filter(own).collect()
    };
    assert!(of(ADA.0).iter().all(|event| event["payload"].is_null()));
    assert_eq!(of(BOB.0)[0]["payload"]["data"]["text"], BOB.1);
    // Payloads lie sealed; the key is what could have opened them.
    assert!(!has(&store, "\"text\":\"the secret of ada\""));

    // It is in the audit log, by whom, when it was asked for and when it was over.
    let audit = |name: &str| -> Vec<Value> {
        let lines = events.iter().filter(|event| event["kind"] == "audit");
        let lines = lines.map(|event| event["payload"].clone());
        let subject = format!("consumers/{name}");
        lines.filter(|line| line["subject"] == subject).collect()
    };
    let lines = audit(ADA.0);
    let said: Vec<_> = lines
        .iter()
        .map(|line| (&line["action"], &line["outcome"]))
        .collect();
    let action = json!("forget");
    let both = [(&action, &json!("asked")), (&action, &json!("done"))];
    assert_eq!(said, both, "{lines:?}");
    assert!(audit(BOB.0).is_empty());

    // Asked for again, there is nothing left; the gateway tells of both, and refuses what is no name.
    let (is_done, said) = forget(&gateway, &[ADA.0, "--json"]);
    let again: Value = serde_json::from_str(&said).unwrap_or_default();
    assert!(is_done && again["state"] == "done", "{said}");
    let steps = again["steps"].as_array().unwrap();
    for place in ["journal", "lake"] {
        let step = steps.iter().find(|step| step["place"] == place).unwrap();
        assert_eq!(
            (&step["state"], &step["count"]),
            (&json!("done"), &json!(0))
        );
    }
    let url = format!("http://{}/api/v1/forgotten", gateway.address("admin"));
    let all = curl(&[&url]).expect(200).json();
    assert_eq!(all["items"].as_array().unwrap().len(), 2, "{all}");
    let kind = "content-type: application/json";
    curl(&[&url, "-H", kind, "-d", r#"{"consumer":""}"#]).expect(422);
    assert_eq!(rows(&gateway, BOB.0), [4, bodies]);
}
