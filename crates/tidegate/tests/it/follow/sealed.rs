//! What the store keeps encrypted, while its keys change or cannot be had.

use super::commands::Desk;
use super::fleet::{self, Fleet, fixed};
use super::states::{self, WITH_KEY};
use crate::support::gateway::{command, tidegate};
use crate::support::moto::Moto;
use crate::support::{Reply, Upstream, eventually};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const SECRET: &str = "hush-hush-value";

/// A key as `secrets new-key` prints it.
fn new_key(arguments: &[&str]) -> String {
    let output = tidegate(&[&["secrets", "new-key"], arguments].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Stores a secret; the exit code and what was said.
fn set(file: &str, name: &str) -> (Option<i32>, String) {
    let mut command = command(&["secrets", "set", file, name]);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let written = child.stdin.take().unwrap().write_all(SECRET.as_bytes());
    let output = child.wait_with_output().unwrap();
    // Who refuses at once does not read.
    drop(written);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[track_caller]
fn stored(file: &str, name: &str) {
    let (code, said) = set(file, name);
    assert_eq!(code, Some(0), "{said}");
}

/// A document that needs a stored secret.
fn with_stored(name: &str) -> Value {
    let mut document = fixed("it opens");
    document["providers"] = json!({ "x": { "openai": { "credentials": [{ "stored": name }] } } });
    document
}

#[test]
fn keys_change_while_gateways_run_and_the_old_one_retires() {
    for fleet in Fleet::all() {
        let (old, new) = (new_key(&["k1"]), new_key(&["k2"]));
        let desk = Desk::on(fleet, WITH_KEY, &[("keys", &old)]);
        let (file, keys) = (desk.file(), desk.node.path().join("keys"));
        stored(&file, "one");
        stored(&file, "two");
        for serial in 1..=3 {
            states::write(&desk, "network", serial).expect(200);
        }
        // The new key seals, the old one still opens.
        std::fs::write(&keys, format!("{new}\n{old}\n")).unwrap();
        let told = desk.run(&["secrets", "rewrap", &file], 0);
        assert!(
            told.contains("5 data keys are wrapped under k2 so far"),
            "{told}"
        );
        assert!(
            told.contains("every data key is wrapped under k2"),
            "{told}"
        );
        let again = desk.run(&["secrets", "rewrap", &file], 0);
        assert!(!again.contains("so far"), "{again}");
        // The old key goes; the gateway that runs takes notice by itself.
        std::fs::write(&keys, &new).unwrap();
        assert_eq!(
            states::read(&desk, "network").expect(200).json()["serial"],
            3
        );
        let first = desk.run(&["state", "show", "network", "--at", "1"], 0);
        assert!(
            first.contains("\"serial\": 1") || first.contains("\"serial\":1"),
            "{first}"
        );
        states::write(&desk, "network", 4).expect(200);
        let listed = desk.run(&["secrets", "list", &file], 0);
        assert!(
            listed.contains("key k2") && !listed.contains("k1"),
            "{listed}"
        );
        let document = desk.write("shop.json", &with_stored("one").to_string());
        desk.run(&["apply", &document], 0);
        fleet::eventually_serves(&desk.node, "it opens");
        let audit = desk.run(&["audit"], 0);
        assert!(audit.contains("secret.rewrap"), "{audit}");
        // A ring that lacks the key changes nothing, and names it.
        std::fs::write(&keys, new_key(&["k3"])).unwrap();
        let told = desk.run(&["secrets", "rewrap", &file], 1);
        assert!(told.contains("`k2`") && !told.contains(SECRET), "{told}");
        std::fs::write(&keys, &new).unwrap();
        assert_eq!(
            states::read(&desk, "network").expect(200).json()["serial"],
            4
        );
    }
}

/// `gateway.store.key` in AWS KMS at an address.
fn in_kms(address: &str, key: &str) -> String {
    format!(
        ", key: {{ aws_kms: {{ region: eu-west-1, key: {key}, wrapped: {{ file: wrapped }}, \
         access_key_id: {{ file: id }}, secret_access_key: {{ file: secret }}, \
         address: \"{address}\" }} }}"
    )
}

const ACCESS: [(&str, &str); 2] = [("id", "AKIAEXAMPLE"), ("secret", "aws-secret-key")];

#[test]
fn a_kms_that_is_down_costs_only_what_is_sealed() {
    let up = Arc::new(AtomicBool::new(false));
    let answers = up.clone();
    let kms = Upstream::start(move |_| match answers.load(Ordering::SeqCst) {
        false => Reply::text("{\"message\":\"hush\"}").status(503),
        true => {
            let (_, plain) = states::KEY.split_once(' ').unwrap();
            Reply::text(json!({ "Plaintext": plain }).to_string())
        }
    });
    let settings = in_kms(&format!("http://{}", kms.address), "alias/gate");
    let files = [&ACCESS[..], &[("wrapped", "k1 AQ==")]].concat();
    let desk = Desk::on(Fleet::sqlite(), &settings, &files);
    // It starts, is changed and serves.
    let document = desk.write("shop.json", &fixed("served").to_string());
    desk.run(&["apply", &document], 0);
    fleet::eventually_serves(&desk.node, "served");
    assert_eq!(fleet::admin(&desk.node, "/readyz").status, 200);
    let refused = states::write(&desk, "network", 1).expect(503);
    assert_eq!(refused.json()["code"], "store_unavailable", "{refused:?}");
    assert!(!refused.body.contains("hush"), "{refused:?}");
    let (code, said) = set(&desk.file(), "one");
    assert!(code == Some(1) && said.contains("AWS KMS"), "{said}");
    assert!(
        !said.contains(SECRET) && !said.contains("aws-secret-key"),
        "{said}"
    );
    // It is asked again by itself; what it said is remembered.
    up.store(true, Ordering::SeqCst);
    eventually("states can be written", || {
        states::write(&desk, "network", 1).status == 200
    });
    up.store(false, Ordering::SeqCst);
    states::write(&desk, "network", 2).expect(200);
    assert_eq!(
        states::read(&desk, "network").expect(200).json()["serial"],
        2
    );
    fleet::serves(&desk.node, "served");
}

#[test]
fn keys_in_kms_are_made_used_changed_and_outlive_a_restart() {
    let Some(moto) = Moto::start("kms") else {
        return;
    };
    let key = moto.boto3("create_key()['KeyMetadata']['KeyId']");
    let fleet = Fleet::sqlite();
    let folder = fleet.folder("a", &in_kms(&moto.address, &key));
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    for (name, text) in ACCESS {
        write(name, text);
    }
    let wrapped = |id: &str, file: &Path| new_key(&[id, "--config", file.to_str().unwrap()]);
    let file = folder.path().join("gate.yaml");
    let old = wrapped("k1", &file);
    write("wrapped", &old);
    let mut desk = Desk::in_folder(fleet, folder.clone());
    states::write(&desk, "network", 1).expect(200);
    stored(&desk.file(), "one");
    desk.kill();
    assert_eq!(
        states::read(&desk, "network").expect(200).json()["serial"],
        1
    );
    let new = wrapped("k2", &file);
    write("wrapped", &format!("{new}\n{old}"));
    let told = desk.run(&["secrets", "rewrap", &desk.file()], 0);
    assert!(
        told.contains("every data key is wrapped under k2"),
        "{told}"
    );
    write("wrapped", &new);
    desk.kill();
    assert_eq!(
        states::read(&desk, "network").expect(200).json()["serial"],
        1
    );
    let document = desk.write("shop.json", &with_stored("one").to_string());
    desk.run(&["apply", &document], 0);
    fleet::eventually_serves(&desk.node, "it opens");
}
