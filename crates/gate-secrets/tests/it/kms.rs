//! The store's keys under AWS KMS, played by moto (PyPI), and what is sent to it.

use crate::Own;
use crate::moto::Moto;
use crate::server::Server;
use gate_kit::clock::Clock;
use gate_model::resources::AwsKms;
use gate_secrets::kms::Kms;
use serde_json::{Value, json};
use std::path::Path;

fn settings(address: &str, key: &str) -> AwsKms {
    let settings = json!({
        "region": "eu-west-1", "key": key, "address": address, "wrapped": { "env": "WRAPPED" },
        "access_key_id": { "env": "ID" }, "secret_access_key": { "env": "KEY" },
    });
    serde_json::from_value(settings).expect("settings")
}

fn kms(address: &str, key: &str) -> Kms {
    let own = Own::default();
    let pairs = [("ID", "AKIAEXAMPLE"), ("KEY", "aws-secret-key")];
    for (name, value) in pairs {
        own.0.lock().unwrap().insert(name.into(), value.into());
    }
    Kms::new(&settings(address, key), &own, Path::new("."), Clock::System).expect("it is all there")
}

#[test]
fn questions_are_signed_and_name_the_key_and_what_it_is_for() {
    let server = Server::start(|_| {
        let plain = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        Some((200, json!({ "Plaintext": plain }).to_string()))
    });
    let clear = kms(&server.address, "alias/gate").unwrap("k2 AQ==\nk1 Ag==");
    let clear = clear.unwrap();
    assert!(clear.starts_with("k2 AAEC") && clear.contains("\nk1 AAEC"));
    let seen = &server.seen()[0];
    assert_eq!(seen.header("x-amz-target"), Some("TrentService.Decrypt"));
    let signature = seen.header("authorization").unwrap();
    assert!(signature.contains("/eu-west-1/kms/"), "{signature}");
    let body: Value = serde_json::from_str(&seen.body).unwrap();
    let expected = json!({
        "KeyId": "alias/gate", "CiphertextBlob": "AQ==",
        "EncryptionContext": { "tidegate:key": "k2" },
    });
    assert_eq!(body, expected);
}

#[test]
fn what_is_wrong_is_told_without_what_is_secret() {
    let answers = [
        (
            400,
            r##"{"__type":"x#InvalidCiphertextException","message":"hush"}"##,
        ),
        (400, r##"{"__type":"x#NotFoundException"}"##),
        (503, "hush"),
        (200, r#"{"Plaintext":"aHVzaA=="}"#),
        (200, "{}"),
    ];
    let expected = [
        "(InvalidCiphertextException)",
        "no such key",
        "503",
        "32 bytes",
        "32 bytes",
    ];
    for ((status, body), expected) in answers.into_iter().zip(expected) {
        let server = Server::start(move |_| Some((status, body.to_owned())));
        let why = kms(&server.address, "k").unwrap("k1 AQ==").unwrap_err();
        assert!(why.contains(expected) && why.contains("`k1`"), "{why}");
        assert!(!why.contains("hush") && !why.contains("aHVzaA"), "{why}");
    }
    let server = Server::start(|_| None);
    server.down(true);
    let why = kms(&server.address, "k").unwrap("k1 AQ==").unwrap_err();
    assert!(why.contains("AWS KMS cannot be asked"), "{why}");
    // What the gateway proves itself by is missing.
    let own = Own::default();
    let missing = Kms::new(
        &settings("http://x", "k"),
        &own,
        Path::new("."),
        Clock::System,
    );
    assert!(missing.is_err_and(|why| why.contains("ID")));
}

#[test]
fn moto_makes_keys_and_opens_them_under_their_own_names_only() {
    let Some(moto) = Moto::start("kms") else {
        return;
    };
    let key = moto.boto3("create_key()['KeyMetadata']['KeyId']");
    let line = kms(&moto.address, &key).new_line("k1").unwrap();
    let (id, blob) = line.split_once(' ').unwrap();
    assert_eq!(id, "k1");
    let clear = kms(&moto.address, &key).unwrap(&line).unwrap();
    assert!(clear.starts_with("k1 ") && !clear.contains(blob));
    assert_eq!(kms(&moto.address, &key).unwrap(&line), Ok(clear));
    let renamed = kms(&moto.address, &key).unwrap(&format!("k2 {blob}"));
    let renamed = renamed.unwrap_err();
    assert!(renamed.contains("InvalidCiphertext"), "{renamed}");
    let nowhere = kms(&moto.address, "alias/nowhere").new_line("k1");
    assert!(nowhere.unwrap_err().contains("no such key"));
}
