//! AWS Secrets Manager, played by moto (PyPI), and what is sent to it.

use crate::Asked;
use crate::server::{Server, listens};
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const KEYS: [(&str, &str); 2] = [("ID", "AKIAEXAMPLE"), ("KEY", "aws-secret-key")];

fn store(address: &str) -> Value {
    json!({ "aws_secrets_manager": {
        "region": "eu-west-1", "address": address, "timeout": "10s",
        "access_key_id": { "env": "ID" }, "secret_access_key": { "env": "KEY" }
    } })
}

#[test]
fn questions_are_signed_for_the_region_and_the_service() {
    let server = Server::start(|_| Some((200, json!({ "SecretString": "v" }).to_string())));
    let asked = Asked::new(store(&server.address), &KEYS);
    assert_eq!(asked.ask("prod/openai", None), Ok("v".into()));
    let seen = &server.seen()[0];
    assert_eq!((&*seen.method, &*seen.target), ("POST", "/"));
    assert_eq!(
        seen.header("x-amz-target"),
        Some("secretsmanager.GetSecretValue")
    );
    assert_eq!(
        seen.header("content-type"),
        Some("application/x-amz-json-1.1")
    );
    assert_eq!(seen.body, r#"{"SecretId":"prod/openai"}"#);
    let signature = seen.header("authorization").unwrap();
    assert!(
        signature.contains("Credential=AKIAEXAMPLE/19700101/eu-west-1/secretsmanager/"),
        "{signature}"
    );
    assert!(signature.contains("host;"), "{signature}");
    assert!(!format!("{seen:?}").contains("aws-secret-key"));
}

/// moto's server, ended when dropped.
struct Moto(Child, u16);

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts moto with a secret; nothing where it is not installed.
fn moto() -> Option<Moto> {
    let found = Command::new("python3")
        .args(["-c", "import moto.server"])
        .output();
    if !found.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut command = Command::new("python3");
    command.args([
        "-m",
        "moto.server",
        "-H",
        "127.0.0.1",
        "-p",
        &port.to_string(),
    ]);
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let moto = Moto(child, port);
    for _ in 0..600 {
        if listens(port) {
            return Some(moto);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("moto does not listen");
}

/// Has boto3, which moto brings along, do something.
fn boto3(moto: &Moto, call: &str) {
    let script = format!(
        "import boto3\nc = boto3.client('secretsmanager', region_name='eu-west-1', \
         endpoint_url='http://127.0.0.1:{}', aws_access_key_id='a', aws_secret_access_key='b')\nc.{call}",
        moto.1
    );
    let output = Command::new("python3")
        .args(["-c", &script])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn moto_gives_texts_fields_and_rotated_values() {
    let Some(moto) = moto() else {
        eprintln!("skipped: moto (PyPI) is not installed, AWS Secrets Manager is not played");
        return;
    };
    boto3(
        &moto,
        "create_secret(Name='prod/openai', SecretString='{\"key\": \"first\", \"org\": \"o\"}')",
    );
    boto3(&moto, "create_secret(Name='plain', SecretString='a text')");
    let asked = Asked::new(store(&format!("http://127.0.0.1:{}", moto.1)), &KEYS);
    assert_eq!(asked.ask("prod/openai", Some("key")), Ok("first".into()));
    assert_eq!(asked.ask("plain", None), Ok("a text".into()));
    let said = asked.ask("missing", None).unwrap_err();
    assert!(said.ends_with("there is no such secret"), "{said}");
    boto3(
        &moto,
        "put_secret_value(SecretId='prod/openai', SecretString='{\"key\": \"second\"}')",
    );
    asked.hands.advance(Duration::from_secs(60));
    asked.keeper.look();
    assert!(asked.keeper.changed());
    assert_eq!(asked.ask("prod/openai", Some("key")), Ok("second".into()));
}
