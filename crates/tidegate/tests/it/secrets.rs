//! Secrets of a service, through the running gateway: used, rotated, kept while the service is
//! down, and shown nowhere.

use crate::support::gateway::command;
use crate::support::{Gateway, Reply, Upstream, eventually};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

const ANSWER: &str = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

/// A Vault with one secret, which is down where it has none.
fn vault(value: &Arc<Mutex<Option<String>>>) -> Upstream {
    let value = value.clone();
    Upstream::start(move |seen| {
        let known = seen.header("x-vault-token") == Some("hvs.the-vault-token");
        match value.lock().unwrap().as_deref() {
            _ if !known => Reply::text("{}").status(403),
            None => Reply::text("{\"errors\":[\"sealed-nonsense\"]}").status(503),
            Some(value) => Reply::text(format!(
                "{{\"data\":{{\"data\":{{\"key\":\"{value}\"}},\"metadata\":{{}}}}}}"
            )),
        }
    })
}

fn configuration(vault: &Upstream, provider: &Upstream) -> String {
    format!(
        "secret_stores: {{ vault: {{ vault: {{ address: \"http://{}\", auth: {{ token: {{ env: VAULT_TOKEN }} }}, refresh: 1s }} }} }}\n\
         providers: {{ p: {{ vllm: {{ base_url: \"http://{}/v1\", credentials: [{{ from: {{ store: vault, path: app/p, field: key }} }}] }} }} }}\n\
         models: {{ m: {{ targets: [{{ provider: p, model: m }}] }} }}\n\
         routes: {{ ai: {{ match: {{ path: \"/v1/{{*rest}}\" }}, target: {{ models: [m] }} }} }}\n",
        vault.address, provider.address
    )
}

/// Calls the model, and returns the credential that the provider saw.
fn used(gateway: &Gateway, provider: &Upstream) -> String {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let kind = "content-type: application/json";
    let path = "/v1/chat/completions";
    gateway.curl(path, &["-H", kind, "-d", body]).expect(200);
    let seen = provider.seen();
    let last = seen.last().and_then(|seen| seen.header("authorization"));
    last.unwrap_or_default().to_owned()
}

#[test]
fn a_secret_is_used_rotated_and_outlives_its_service() {
    let value = Arc::new(Mutex::new(Some("first-hush-value".to_owned())));
    let vault = vault(&value);
    let provider =
        Upstream::start(|_| Reply::text(ANSWER).header("content-type", "application/json"));
    let text = configuration(&vault, &provider);
    let gateway = Gateway::with(&text, "", &[("VAULT_TOKEN", "hvs.the-vault-token")]);
    let used = || used(&gateway, &provider);
    assert_eq!(used(), "Bearer first-hush-value");
    *value.lock().unwrap() = Some("second-hush-value".to_owned());
    eventually("the new value is used", || {
        used() == "Bearer second-hush-value"
    });
    *value.lock().unwrap() = None;
    gateway.process.line_with("its last value stays in use");
    assert_eq!(used(), "Bearer second-hush-value");
    gateway.rewrite(|text| text.replace("routes:", "# changed\nroutes:"));
    gateway.process.line_with("configuration applied");
    assert_eq!(used(), "Bearer second-hush-value", "also over a reload");

    // Without a last value nothing starts.
    let mut again = command(&["run", "--log", "json"]);
    again
        .arg(gateway.file())
        .env("VAULT_TOKEN", "hvs.the-vault-token");
    let output = again.output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("missing_secret") && said.contains("`app/p` of `vault`"),
        "{said}"
    );

    // `check` asks nobody.
    let asked = vault.seen().len();
    let mut check = command(&["check"]);
    let output = check
        .arg(gateway.file())
        .env_remove("VAULT_TOKEN")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(
        vault.seen().len() <= asked + 2,
        "only the running gateway asks"
    );

    let everywhere = [gateway.process.lines().join("\n"), gateway.metrics(), said].join("\n");
    for hidden in ["hush-value", "the-vault-token", "sealed-nonsense"] {
        assert!(!everywhere.contains(hidden), "{hidden} in {everywhere}");
    }
}

/// Stores a secret for `{ stored: app/p }`.
fn set(file: &std::path::Path, value: &str) -> String {
    use std::io::Write as _;
    let mut command = command(&["secrets", "set"]);
    let command = command.arg(file).arg("app/p").stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(value.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_stored_secret_is_sealed_used_and_changed() {
    let provider =
        Upstream::start(|_| Reply::text(ANSWER).header("content-type", "application/json"));
    let folder = tempfile::tempdir().unwrap();
    let new_key = command(&["secrets", "new-key"]).output().unwrap();
    std::fs::write(folder.path().join("ring"), &new_key.stdout).unwrap();
    let text = format!(
        "gateway: {{ admin: {{ address: \"127.0.0.1:0\" }}, store: {{ engine: {{ sqlite: {{ path: gate.db }} }}, key: {{ file: ring }} }} }}\n\
         listeners: {{ public: {{ address: \"127.0.0.1:0\" }} }}\n\
         providers: {{ p: {{ vllm: {{ base_url: \"http://{}/v1\", credentials: [{{ stored: app/p }}] }} }} }}\n\
         models: {{ m: {{ targets: [{{ provider: p, model: m }}] }} }}\n\
         routes: {{ ai: {{ match: {{ path: \"/v1/{{*rest}}\" }}, target: {{ models: [m] }} }} }}\n",
        provider.address
    );
    let file = folder.path().join("gate.yaml");
    std::fs::write(&file, text).unwrap();
    let set = |value: &str| set(&file, value);
    assert_eq!(set("first-hush-value\n"), "app/p is stored, version 1\n");
    let gateway = Gateway::run_in(Arc::new(folder), &[], &[]);
    let used = || used(&gateway, &provider);
    assert_eq!(used(), "Bearer first-hush-value");
    assert_eq!(set("second-hush-value"), "app/p is stored, version 2\n");
    eventually("the new value is used", || {
        used() == "Bearer second-hush-value"
    });
    let mut list = command(&["secrets", "list"]);
    let listed = String::from_utf8(list.arg(gateway.file()).output().unwrap().stdout).unwrap();
    assert_eq!(listed, "app/p (version 2, key key-1)\n");
    for entry in std::fs::read_dir(gateway.path()).unwrap().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap();
        let found = bytes.windows(10).any(|window| window == b"hush-value");
        assert!(!found, "in clear in {:?}", entry.path());
    }
    assert!(!gateway.process.lines().join("\n").contains("hush-value"));
}
