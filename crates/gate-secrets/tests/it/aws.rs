//! AWS Secrets Manager, played by moto (PyPI), and what is sent to it.

use crate::Asked;
use crate::moto::Moto;
use crate::server::Server;
use serde_json::{Value, json};
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

#[test]
fn moto_gives_texts_fields_and_rotated_values() {
    let Some(moto) = Moto::start("secretsmanager") else {
        return;
    };
    moto.boto3(
        "create_secret(Name='prod/openai', SecretString='{\"key\": \"first\", \"org\": \"o\"}')",
    );
    moto.boto3("create_secret(Name='plain', SecretString='a text')");
    let asked = Asked::new(store(&moto.address), &KEYS);
    assert_eq!(asked.ask("prod/openai", Some("key")), Ok("first".into()));
    assert_eq!(asked.ask("plain", None), Ok("a text".into()));
    let said = asked.ask("missing", None).unwrap_err();
    assert!(said.ends_with("there is no such secret"), "{said}");
    moto.boto3("put_secret_value(SecretId='prod/openai', SecretString='{\"key\": \"second\"}')");
    asked.hands.advance(Duration::from_secs(60));
    asked.keeper.look();
    assert!(asked.keeper.changed());
    assert_eq!(asked.ask("prod/openai", Some("key")), Ok("second".into()));
}
