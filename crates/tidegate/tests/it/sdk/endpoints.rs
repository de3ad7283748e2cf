//! One call of every endpoint of every official Python SDK, through the gateway to a stand-in for
//! its vendor. `answers.json` has what the vendors answer, after their documents.

use super::vendors::{answers, vendors};
use super::{python, run_script};
use crate::support::Running;
use serde_json::json;
use std::process::Command;

/// Models of the gateway, each at the provider that its vendor's SDK is for.
const MODELS: [(&str, &str); 6] = [
    ("claude", "anthropic"),
    ("command", "cohere"),
    ("gemini", "gemini"),
    ("gpt", "openai"),
    ("mistral", "mistral"),
    ("voice", "voice"),
];

#[test]
fn official_sdks_work_unmodified_at_every_endpoint() {
    let Some(python) = python() else { return };
    let upstream = answers();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/sdk/realtime.py");
    let realtime = Running::start(Command::new(python).arg(script));
    let port = realtime.line_with("port ").replace("port ", "");
    let voice = format!(
        "  voice: {{ openai: {{ base_url: \"http://127.0.0.1:{port}/v1\", credentials: [{{ env: VENDOR_KEY }}] }} }}\n"
    );
    let gateway = vendors(&upstream, &MODELS, &voice);
    let names = MODELS.map(|(name, _)| name);
    let job = json!({ "url": gateway.url(""), "key": "open-sesame", "models": names });
    let checks = run_script(python, "tests/it/sdk/endpoints.py", &job);
    assert_eq!(checks, 24 + 9 + 8 + 12 + 9);
    // Callers' credentials stay here.
    for seen in upstream.seen() {
        assert!(!format!("{:?}", seen.headers).contains("open-sesame"));
    }
}
