//! The official A2A SDK on both sides of the gateway: `agents.py` is the caller, `agents_server.py`
//! the agent.

use super::{python, run_script};
use crate::support::gateway::Running;
use crate::support::{Gateway, eventually};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

#[test]
fn an_agent_is_called_through_its_rewritten_card() {
    let Some(python) = python() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/sdk/agents_server.py");
    let agent = Running::start(Command::new(python).arg(script).arg("agents-own"));
    let line = agent.line_with("port ");
    let port = line.split(' ').next_back().unwrap_or_default();
    let gateway = Gateway::with(
        &format!(
            "consumers: {{ tester: {{ keys: [{{ sha256: {SESAME} }}] }} }}\n\
             agents:\n  travel: {{ url: \"http://127.0.0.1:{port}/travel\", credential: {{ secret: {{ env: AGENT }} }} }}\n\
             routes:\n  agents:\n    match: {{ path: \"/agents/travel/{{*rest}}\" }}\n    \
             policies: [{{ auth_key: {{}} }}]\n    target: {{ agent: travel }}\n",
            SESAME = crate::policies::SESAME,
        ),
        ", access_log: {}",
        &[("AGENT", "agents-own")],
    );
    let job = json!({ "url": gateway.url("/agents/travel") });
    let checks = run_script(python, "tests/it/sdk/agents.py", &job);
    assert_eq!(checks, 2 + 6 * 5 + 4 + 1);
    eventually("every call has its row", || {
        let lines = gateway.process.lines();
        let rows: Vec<Value> = lines
            .iter()
            .filter_map(|l| serde_json::from_str(l).ok())
            .collect();
        let has = |method: &str| {
            rows.iter().any(|row| {
                row["rpc"]["protocol"] == "a2a"
                    && row["rpc"]["method"] == method
                    && row["rpc"]["server"] == "travel"
            })
        };
        [
            "SendMessage",
            "SendStreamingMessage",
            "GetTask",
            "message/send",
            "message/stream",
        ]
        .iter()
        .all(|method| has(method))
    });
}
