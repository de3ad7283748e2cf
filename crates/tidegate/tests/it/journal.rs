//! The journal of a running gateway: what changes and calls leave in it, through the command that
//! shows it, verifies it and forgets.

use crate::support::gateway::tidegate;
use crate::support::{Gateway, Reply, Upstream, eventually};
use serde_json::Value;

const ANSWER: &str = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

fn shown(gateway: &Gateway, kind: &str) -> Vec<Value> {
    let file = gateway.file();
    let file = file.to_str().unwrap();
    let output = tidegate(&[
        "journal", "show", file, "--behind", "0", "--kind", kind, "--json",
    ]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn told(gateway: &Gateway, command: &str, rest: &[&str]) -> (bool, String) {
    let file = gateway.file();
    let arguments = [&["journal", command, file.to_str().unwrap()], rest].concat();
    let output = tidegate(&arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), text)
}

#[test]
fn what_calls_cost_is_carried_verified_and_forgotten() {
    let provider =
        Upstream::start(|_| Reply::text(ANSWER).header("content-type", "application/json"));
    let text = format!(
        "providers: {{ p: {{ vllm: {{ base_url: \"http://{}/v1\" }} }} }}\n\
         models: {{ m: {{ targets: [{{ provider: p, model: m }}] }} }}\n\
         consumers: {{ ada: {{ keys: [{{ sha256: \"{}\" }}] }} }}\n\
         routes: {{ ai: {{ match: {{ path: \"/v1/{{*rest}}\" }}, policies: [{{ auth_key: {{}} }}], \
         target: {{ models: [m] }} }} }}\n",
        provider.address,
        // Of `hush`.
        "dc8331bcb2283e89d275a1c2fe66f7bf5ac3163ec1967f149dd7e27906365f0c"
    );
    let store = ", store: { engine: { sqlite: { path: state.db } } }";
    let gateway = Gateway::with(&text, store, &[]);
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let headers = [
        "-H",
        "content-type: application/json",
        "-H",
        "authorization: Bearer hush",
    ];
    let call = || {
        gateway.curl(
            "/v1/chat/completions",
            &[&headers[..], &["-d", body]].concat(),
        )
    };
    call().expect(200);
    eventually("the call is in the journal", || {
        !shown(&gateway, "ledger").is_empty()
    });
    let events = shown(&gateway, "ledger");
    assert_eq!(events[0]["consumer"], "ada");
    assert_eq!(events[0]["payload"][0]["input_tokens"], 1);
    let (is_whole, said) = told(&gateway, "verify", &[]);
    assert!(
        is_whole && said.contains("unbroken.") && said.contains("Head of "),
        "{said}"
    );
    let (is_done, said) = told(&gateway, "forget", &["ada"]);
    assert!(is_done && said.contains("of 1 events"), "{said}");
    assert_eq!(shown(&gateway, "ledger")[0]["payload"], Value::Null);
    assert_eq!(
        shown(&gateway, "audit")[0]["payload"]["action"],
        "journal.forget"
    );
    // It goes on beside, under another key.
    call().expect(200);
    eventually("the next call is there, too", || {
        shown(&gateway, "ledger").len() == 2
    });
    assert_eq!(shown(&gateway, "ledger")[1]["payload"][0]["calls"], 1);
    let (is_whole, said) = told(&gateway, "verify", &[]);
    assert!(
        is_whole && said.contains("1 carry what was forgotten"),
        "{said}"
    );
    let metrics = gateway.metrics();
    assert!(metrics.contains("tidegate_journal_waiting 0"), "{metrics}");
}
