//! TLS on the admin address: through curl, through the commands, through Terraform.

use crate::support::certificates::Authority;
use crate::support::gateway::command;
use crate::support::{Answer, Gateway, curl, eventually};
use crate::terraform::mirrored;
use serde_json::json;
use std::process::Output;

/// A gateway that follows an environment and speaks TLS on its admin address.
struct Guarded {
    gateway: Gateway,
    authority: Authority,
}

impl Guarded {
    fn start() -> Self {
        let authority = Authority::new();
        let pair = |name: &str, names: &[&str]| {
            let files = authority.sign(name, names);
            json!({ "chain": files.chain, "key": files.key })
        };
        let first = pair("first", &["localhost", "127.0.0.1"]);
        let second = pair("second", &["admin.example"]);
        let hash = crate::policies::SESAME;
        let text = format!(
            "gateway: {{ environment: main, workers: 1, \
             store: {{ engine: {{ sqlite: {{ path: control.db }} }} }}, \
             admin: {{ address: \"127.0.0.1:0\", tls: {{ certificates: [{first}, {second}] }}, \
             keys: {{ boss: {{ sha256: {hash}, role: admin }} }} }} }}\n"
        );
        Self {
            gateway: Gateway::run(&text, &[], &[]),
            authority,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.gateway.address("admin"))
    }

    fn bundle(&self) -> String {
        self.authority.path().display().to_string()
    }

    fn curl(&self, path: &str, arguments: &[&str]) -> Answer {
        let (url, bundle) = (self.url(path), self.bundle());
        curl(&[&["--cacert", &*bundle, &*url], arguments].concat())
    }

    /// Runs a command as the holder of the key.
    fn run(&self, arguments: &[&str], bundle: Option<&str>) -> Output {
        let mut command = command(arguments);
        command.env("TIDEGATE_SERVER", self.url(""));
        command.env("TIDEGATE_KEY", "open-sesame");
        command.env_remove("TIDEGATE_CA_FILE");
        command.envs(bundle.map(|bundle| ("TIDEGATE_CA_FILE", bundle)));
        command.output().expect("the binary runs")
    }
}

#[test]
fn callers_see_the_certificate_that_fits_and_nothing_in_plain_text() {
    let guarded = Guarded::start();
    let address = guarded.gateway.address("admin").to_owned();
    guarded.curl("/healthz", &[]).expect(200);
    guarded.curl("/metrics", &[]).expect(200);
    // 60: the certificate cannot be verified.
    assert_eq!(curl(&[&guarded.url("/healthz")]).code, 60);
    let plain = curl(&[&format!("http://{address}/healthz")]);
    assert_eq!(plain.status, 0, "{plain:?}");
    let port = address.rsplit_once(':').expect("a port").1;
    let known = format!("admin.example:{port}:127.0.0.1");
    let named = format!("https://admin.example:{port}/healthz");
    let bundle = guarded.bundle();
    curl(&["--cacert", &bundle, "--resolve", &known, &named]).expect(200);
    let announced = guarded.gateway.process.line_with("health and metrics");
    assert!(announced.contains(&guarded.url("")), "{announced}");
}

#[test]
fn a_session_over_tls_is_never_sent_in_plain_text() {
    let guarded = Guarded::start();
    let json = "content-type: application/json";
    let key = r#"{"key":"open-sesame"}"#;
    let sign_in = |more: &[&str]| {
        let arguments = [&["-H", json, "-d", key], more].concat();
        guarded.curl("/api/v1/session", &arguments)
    };
    let answer = sign_in(&[]).expect(200);
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(cookie.contains("; Secure"), "{cookie}");
    let host = guarded.gateway.address("admin");
    sign_in(&["-H", &format!("origin: https://{host}")]).expect(200);
    let other = sign_in(&["-H", &format!("origin: http://{host}")]).expect(403);
    assert_eq!(other.json()["code"], "bad_origin");
}

#[test]
fn commands_and_terraform_trust_the_bundle_that_they_are_given() {
    let guarded = Guarded::start();
    let bundle = guarded.bundle();
    let said = |output: &Output| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!("{}{errors}", String::from_utf8_lossy(&output.stdout))
    };
    let made = guarded.run(&["env", "set", "main"], Some(&bundle));
    assert!(made.status.success(), "{}", said(&made));
    let given = guarded.run(&["env", "list", "--ca-file", &bundle], None);
    assert!(said(&given).contains("main"), "{}", said(&given));
    let untrusting = guarded.run(&["env", "list"], None);
    assert!(!untrusting.status.success());
    assert!(
        said(&untrusting).contains("certificate"),
        "{}",
        said(&untrusting)
    );
    let health = ["health", "--address", &guarded.url("")];
    // Nothing is applied yet, so it is well and not ready.
    let asked = guarded.run(&health, Some(&bundle));
    assert!(said(&asked).contains("not ready (503)"), "{}", said(&asked));
    let refused = guarded.run(&health, None);
    assert!(said(&refused).contains("certificate"), "{}", said(&refused));
    let Some(mut terraform) = mirrored("terraform_over_tls") else {
        return;
    };
    terraform.set("TIDEGATE_CA_FILE", &bundle);
    terraform.set("TIDEGATE_KEY", "open-sesame");
    terraform.write(
        "main.tf",
        &format!(
            r#"
provider "tidegate" {{
  server      = "{}"
  environment = "main"
}}
resource "tidegate_route" "r" {{
  name   = "r"
  match  = {{ path = "/r" }}
  target = {{ fixed = {{ status = 204 }} }}
}}
"#,
            guarded.url("")
        ),
    );
    terraform.must(&["init"]);
    terraform.apply();
}

#[test]
fn certificates_that_change_are_used_by_the_next_caller() {
    let guarded = Guarded::start();
    let other = Authority::new();
    let files = other.sign("first", &["localhost", "127.0.0.1"]);
    let folder = guarded.authority.folder();
    std::fs::copy(&files.chain, folder.join("first.pem")).expect("written");
    std::fs::copy(&files.key, folder.join("first.key")).expect("written");
    let (url, bundle) = (guarded.url("/healthz"), other.path().display().to_string());
    eventually("the new certificate is shown", || {
        curl(&["--cacert", &bundle, &url]).status == 200
    });
    assert_eq!(guarded.curl("/healthz", &[]).status, 0);
    // One that does not fit together is told, and the one before stays.
    std::fs::write(folder.join("first.key"), "no key").expect("written");
    guarded.gateway.process.line_with("admin address: ");
    curl(&["--cacert", &bundle, &url]).expect(200);
}

#[test]
fn a_certificate_that_is_not_there_is_found_before_anything_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("gate.yaml");
    let text = "gateway:\n  admin:\n    address: \"127.0.0.1:0\"\n    tls: { certificates: [{ chain: a.pem, key: a.key }] }\n";
    std::fs::write(&file, text).expect("written");
    let file = file.display().to_string();
    let checked = crate::support::tidegate(&["check", &file]);
    let said = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(!checked.status.success(), "{said}");
    assert!(
        said.contains("gateway.admin.tls") && said.contains("a.pem"),
        "{said}"
    );
    let run = crate::support::tidegate(&["run", &file]);
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(!run.status.success() && said.contains("a.pem"), "{said}");
}
