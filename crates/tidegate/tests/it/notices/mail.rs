//! E-mail through aiosmtpd, a mail server that shares nothing with ours: `mail_server.py`.

use super::{alert, cli};
use crate::sdk::venv;
use crate::support::{Gateway, Running, eventually};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

fn server(python: &Path, folder: &Path, tls: &str) -> (Running, String) {
    let mut command = Command::new(python);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/notices/mail_server.py");
    command.arg(script).arg(tls);
    command.arg(folder.join("a.pem")).arg(folder.join("a.key"));
    let running = Running::start(&mut command);
    let line = running.line_with("listening ");
    let port = line.rsplit(' ').next().unwrap().to_owned();
    (running, port)
}

/// What the server took, as it told it.
fn mails(server: &Running) -> Vec<Value> {
    let lines = server.lines().into_iter();
    let mails = lines.filter_map(|line| Some(serde_json::from_str(line.strip_prefix("mail ")?)));
    mails.map(|mail| mail.expect("JSON")).collect()
}

#[test]
fn a_mail_server_takes_messages_over_tls_from_who_signs_in() {
    let Some(python) = venv("mail", "aiosmtpd==1.4.6") else {
        return;
    };
    for (tls, word) in [("starttls", "start_tls"), ("implicit", "implicit")] {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.path().join("a.pem"), pair.cert.pem()).unwrap();
        let key = pair.signing_key.serialize_pem();
        std::fs::write(folder.path().join("a.key"), key).unwrap();
        let (server, port) = server(&python, folder.path(), tls);
        let configuration = json!({
            "gateway": { "admin": { "address": "127.0.0.1:0" } },
            "listeners": { "public": { "address": "127.0.0.1:0" } },
            "receivers": {
                "mail": { "email": {
                    "to": ["ops@example.com", "lead@example.com"], "from": "gateway@example.com",
                    "server": format!("localhost:{port}"), "tls": word,
                    "user": "tide", "password": { "env": "MAIL" }, "authorities": "a.pem",
                } },
                "wrong": { "email": {
                    "to": ["ops@example.com"], "from": "gateway@example.com",
                    "server": format!("localhost:{port}"), "tls": word,
                    "user": "tide", "password": { "env": "WRONG" }, "authorities": "a.pem",
                } },
            },
            "notifications": { "all": {
                "wait": "100ms", "interval": "1s", "steps": [{ "receivers": ["mail", "wrong"] }],
            } },
        });
        let file = folder.path().join("gate.yaml");
        std::fs::write(file, configuration.to_string()).unwrap();
        let secrets = [("MAIL", "right password"), ("WRONG", "wrong-password-1")];
        let gateway = Gateway::run_in(folder, &[], &secrets);
        alert(
            &gateway,
            json!({ "incident": "Bücher", "severity": "page" }),
            true,
        );
        eventually("the mail comes", || !mails(&server).is_empty());
        let mail = mails(&server).remove(0);
        assert_eq!(mail["to"], json!(["ops@example.com", "lead@example.com"]));
        assert_eq!(mail["from"], "gateway@example.com");
        let subject = mail["subject"].as_str().unwrap();
        assert!(
            subject.contains("[1 on]") && subject.contains("incident=Bücher"),
            "{mail}"
        );
        assert!(
            mail["text"].as_str().unwrap().contains("something about"),
            "{mail}"
        );
        assert!(
            mail["key"].as_str().unwrap().starts_with("file-all-"),
            "{mail}"
        );
        assert_eq!(mail["tls"], true);
        // A password that is refused is told without being shown.
        let told = gateway.process.line_with("refuses the password");
        assert!(!told.contains("wrong-password-1"), "{told}");
        eventually("what waits says why", || {
            cli(&gateway, &["notifications", "list"]).contains("refuses the password")
        });
        assert_eq!(mails(&server).len(), 1);
    }
}

#[test]
fn what_is_sent_in_clear_is_asked_for() {
    let Some(python) = venv("mail", "aiosmtpd==1.4.6") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (server, port) = server(&python, folder.path(), "none");
    let text = |tls: &str| {
        format!(
            "receivers:\n  mail: {{ email: {{ to: [ops@example.com], from: gateway@example.com, \
             server: \"127.0.0.1:{port}\"{tls} }} }}\n\
             notifications:\n  all: {{ wait: 1ms, interval: 1s, steps: [{{ receivers: [mail] }}] }}\n"
        )
    };
    let gateway = Gateway::start(&text(""));
    alert(&gateway, json!({ "incident": "1" }), true);
    gateway.process.line_with("its server offers no STARTTLS");
    assert_eq!(mails(&server).len(), 0);
    drop(gateway);
    let gateway = Gateway::start(&text(", tls: none"));
    alert(&gateway, json!({ "incident": "2" }), true);
    eventually("the mail comes", || mails(&server).len() == 1);
    assert_eq!(mails(&server)[0]["tls"], false);
}
