//! The official MCP SDK on both sides of the gateway: `tools.py` is the client, `tools_server.py`
//! the servers, over HTTP and as processes.

use super::{python, run_script};
use crate::support::gateway::Running;
use crate::support::{Gateway, eventually};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const SCRIPT: &str = "tests/it/sdk/tools.py";
/// SHA-256 of `limited`.
const LIMITED: &str = "7b508dace774f8adc1b121c1812b740904be6dfd37e3b5e3579bc81fbf6f5553";

fn server_script() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder
        .join("tests/it/sdk/tools_server.py")
        .display()
        .to_string()
}

/// A server over HTTP, and where it listens. `kind` is `http` for streams or `json`.
fn serve(python: &Path, kind: &str, name: &str) -> (Running, String) {
    let mut command = Command::new(python);
    let running = Running::start(command.args([server_script().as_str(), kind, name]));
    let line = running.line_with("port ");
    let port = line.split(' ').next_back().unwrap_or_default();
    (running, format!("http://127.0.0.1:{port}/mcp"))
}

fn gateway(servers: &str, uses: &str, secrets: &[(&str, &str)]) -> Gateway {
    Gateway::with(
        &format!(
            "consumers:\n  tester: {{ keys: [{{ sha256: {SESAME} }}] }}\n  \
             limited: {{ keys: [{{ sha256: {LIMITED}, tools: [one__ec*, two__nothing] }}], tools: [one__*] }}\n\
             mcp_servers:\n{servers}\n\
             routes:\n  tools:\n    match: {{ path: /mcp }}\n    policies: [{{ auth_key: {{}} }}]\n    \
             target: {{ mcp: [{uses}] }}\n",
            SESAME = crate::policies::SESAME,
        ),
        ", access_log: {}",
        secrets,
    )
}

fn stdio(python: &Path, name: &str, more: &str) -> String {
    let (python, script) = (python.display(), server_script());
    format!(
        "  {name}: {{ stdio: {{ command: \"{python}\", args: [\"{script}\", stdio, {name}], timeouts: {{ list: 30s }}{more} }} }}\n"
    )
}

/// The rows of calls in the access log.
fn rows(gateway: &Gateway) -> Vec<Value> {
    let lines = gateway.process.lines();
    let rows = lines
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok());
    rows.filter(|row: &Value| row["rpc"].is_object()).collect()
}

#[test]
fn tools_of_several_servers_stand_behind_one_endpoint() {
    let Some(python) = python() else { return };
    let (_one, one) = serve(python, "http", "one");
    let (_two, two) = serve(python, "http", "two");
    let servers = format!(
        "  one: {{ http: {{ url: \"{one}\" }} }}\n  two: {{ http: {{ url: \"{two}\" }} }}\n{}  \
         dead: {{ http: {{ url: \"http://127.0.0.1:1/mcp\" }} }}\n",
        stdio(python, "three", ""),
    );
    let gateway = gateway(
        &servers,
        "{ server: one }, { server: two }, { server: three }, { server: dead }",
        &[],
    );
    let job =
        json!({ "what": "tools", "url": gateway.url("/mcp"), "servers": ["one", "two", "three"] });
    let checks = run_script(python, SCRIPT, &job);
    assert_eq!(checks, 2 * (4 + 3 * 9 + 8) + 6);
    eventually("every call has its row", || {
        let rows = rows(&gateway);
        let has = |method: &str, server: &str, tool: &str, outcome: &str| {
            rows.iter().any(|row| {
                let rpc = &row["rpc"];
                rpc["method"] == method
                    && rpc["server"] == server
                    && rpc["tool"] == tool
                    && rpc["outcome"] == outcome
            })
        };
        let failed = rows
            .iter()
            .any(|row| row["rpc"]["failed_servers"] == json!(["dead"]));
        ["one", "two", "three"].iter().all(|server| {
            has("tools/call", server, "echo", "ok")
                && has("tools/call", server, "fail", "tool_error")
                && has("tools/call", server, "ask", "ok")
        }) && failed
    });
    let metrics = gateway.metrics();
    for text in [
        "gen_ai_tool_name=\"echo\"",
        "gen_ai_tool_name=\"_other\"",
        "tidegate_rpc_server_failures_total{tidegate_server=\"dead\"}",
    ] {
        assert!(metrics.contains(text), "no {text} in {metrics}");
    }
    assert!(!metrics.contains("made_up"));
}

#[test]
fn a_process_gets_its_secrets_is_restarted_and_logged_without_them() {
    let Some(python) = python() else { return };
    let more = ", env: { TOKEN: { env: SERVERS_OWN } }, restart: { base: 200ms, most: 1s }";
    let gateway = gateway(
        &stdio(python, "one", more),
        "{ server: one }",
        &[("SERVERS_OWN", "very-secret"), ("GATEWAYS_OWN", "hidden")],
    );
    let call = |tool: &str, arguments: Value| json!({ "do": "call", "tool": tool, "arguments": arguments });
    let steps = [
        call("one__environment", json!({ "variable": "TOKEN" })),
        call("one__environment", json!({ "variable": "GATEWAYS_OWN" })),
        call("one__crash", json!({})),
        json!({ "do": "sleep", "seconds": 3 }),
        call("one__echo", json!({ "text": "again" })),
    ];
    let job = json!({ "what": "steps", "url": gateway.url("/mcp"), "steps": steps });
    let said = super::said(python, SCRIPT, &job);
    let code = "error -32000 {'code': 'upstream_reset'}";
    assert_eq!(said, ["very-secret", "nothing", code, "one: again"]);
    let logged = gateway.process.line_with("going down");
    assert!(logged.contains("[redacted]"), "{logged}");
    let lines = gateway.process.lines();
    assert!(!lines.iter().any(|line| line.contains("very-secret")));
}

#[test]
fn a_server_that_answers_with_documents_and_credentials_of_its_own() {
    let Some(python) = python() else { return };
    let (_server, url) = serve(python, "json", "one");
    let servers = format!(
        "  one: {{ http: {{ url: \"{url}\", credential: {{ secret: {{ env: OWN }}, header: x-token }} }} }}\n"
    );
    let gateway = gateway(
        &servers,
        "{ server: one, prefix: \"\" }",
        &[("OWN", "servers-own")],
    );
    let shown =
        |field: &str| json!({ "do": "call", "tool": "shown", "arguments": { "field": field } });
    let steps = [
        shown("x-token"),
        shown("authorization"),
        json!({ "do": "cancel", "tool": "hang" }),
        shown("accept"),
    ];
    let job = json!({ "what": "steps", "url": gateway.url("/mcp"), "steps": steps });
    let said = super::said(python, SCRIPT, &job);
    let accept = "application/json, text/event-stream";
    assert_eq!(said, ["servers-own", "nothing", "cancelled", accept]);
}
