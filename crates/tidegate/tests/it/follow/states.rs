//! Terraform states over the command line and Terraform's own protocol.

use super::commands::Desk;
use super::fleet::Fleet;
use crate::support::{Answer, curl};
use serde_json::{Value, json};

/// A key for tests.
pub(super) const KEY: &str = "k1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// Settings of a store that has it.
pub(super) const WITH_KEY: &str = ", key: { file: keys }";

fn url(desk: &Desk, rest: &str) -> String {
    format!("{}/api/v1/state/{rest}", desk.url())
}

/// Writes a state of a serial, as Terraform does; `rest` is its name and perhaps a lock.
pub(super) fn write(desk: &Desk, rest: &str, serial: u64) -> Answer {
    let body = json!({ "version": 4, "serial": serial, "lineage": "l", "resources": [serial] });
    send(desk, "POST", rest, &body)
}

/// Reads the newest version of a state.
pub(super) fn read(desk: &Desk, name: &str) -> Answer {
    curl(&[&url(desk, name)])
}

fn send(desk: &Desk, method: &str, rest: &str, body: &Value) -> Answer {
    let (url, body) = (url(desk, rest), body.to_string());
    let kind = "content-type: application/json";
    curl(&["-X", method, "-H", kind, "-d", &body, &url])
}

fn lock(desk: &Desk, id: &str) -> Answer {
    let lock = json!({
        "ID": id, "Operation": "OperationTypeApply", "Info": "", "Who": format!("{id}@host"),
        "Version": "1.9.0", "Created": "2026-11-22T00:00:00Z", "Path": "",
    });
    send(desk, "LOCK", "network", &lock)
}

#[test]
fn states_are_listed_shown_unlocked_and_restored() {
    let desk = Desk::on(Fleet::sqlite(), WITH_KEY, &[("keys", KEY)]);
    assert!(desk.run(&["state", "list"], 0).starts_with("STATE"));
    assert_eq!(desk.json(&["state", "list"]), json!([]));
    for serial in 1..=2 {
        write(&desk, "network", serial).expect(200);
    }
    lock(&desk, "ada").expect(200);
    lock(&desk, "bob").expect(423);
    write(&desk, "network?ID=bob", 3).expect(423);
    let listed = desk.json(&["state", "list"]);
    let state = &listed[0];
    assert_eq!(
        (&state["name"], &state["version"]),
        (&json!("network"), &json!(2))
    );
    assert_eq!(state["lock"]["Who"], "ada@host");
    let table = desk.run(&["state", "list"], 0);
    assert!(table.contains("ada@host"), "{table}");

    shown(&desk);
    unlocked(&desk);
    let told = desk.run(&["state", "restore", "network", "1"], 0);
    assert!(told.contains("version 3, serial 3"), "{told}");
    let now = read(&desk, "network").expect(200).json();
    assert_eq!(
        (&now["serial"], &now["resources"]),
        (&json!(3), &json!([1]))
    );
    for wrong in [
        &["state", "show", "nowhere"][..],
        &["state", "show", "network", "--at", "9"],
        &["state", "restore", "network", "9"],
        &["state", "restore", "nowhere", "1"],
        &["state", "unlock", "nowhere", "ada"],
    ] {
        let told = desk.run(wrong, 1);
        assert!(told.contains("not_found"), "{wrong:?} {told}");
    }
    let audit = desk.run(&["audit"], 0);
    assert!(audit.contains("states/network"), "{audit}");
}

/// What `state show` says of two versions.
fn shown(desk: &Desk) {
    let newest: Value = serde_json::from_str(&desk.run(&["state", "show", "network"], 0)).unwrap();
    assert_eq!(newest["serial"], 2);
    let first = desk.run(&["state", "show", "network", "--at", "1"], 0);
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(
        (&first["serial"], &first["resources"]),
        (&json!(1), &json!([1]))
    );
    let versions = desk.json(&["state", "show", "network", "--versions"]);
    assert_eq!(versions.as_array().unwrap().len(), 2);
    assert_eq!(versions[0]["serial"], 2);
    assert!(
        desk.run(&["state", "show", "network", "--versions"], 0)
            .contains("SHA-256")
    );
}

/// A lock keeps a restore off, and goes only by its own name.
fn unlocked(desk: &Desk) {
    let told = desk.run(&["state", "restore", "network", "1"], 1);
    assert!(told.contains("locked by ada@host"), "{told}");
    let told = desk.run(&["state", "unlock", "network", "bob"], 1);
    assert!(told.contains("another lock is held: ada"), "{told}");
    let told = desk.run(&["state", "unlock", "network", "ada"], 0);
    assert!(told.contains("network is unlocked"), "{told}");
    let told = desk.run(&["state", "unlock", "network", "ada"], 1);
    assert!(told.contains("not locked"), "{told}");
    // Who had it is refused from then on.
    let late = write(desk, "network?ID=ada", 3);
    assert!((400..500).contains(&late.status), "{late:?}");
}
