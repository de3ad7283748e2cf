//! Schemathesis (PyPI), an independent reader of the description, against the running API.
//!
//! It makes requests that fit the description and requests that do not, and holds every answer
//! against it: no 5xx, only described statuses, types and shapes, bad input refused, other methods
//! refused with `Allow`. Seed and number of examples are fixed, so that a failure comes again.

use crate::support::{Server, document, open, send};
use gate_api::client::Seen;
use gate_api::types::DocumentInput;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package, at the version that the test was written with.
const PACKAGE: &str = "schemathesis==4.32.5";
/// Examples per operation and phase.
const EXAMPLES: &str = "10";

/// What stands on a journal, jobs and a lake, which this server has none of: a whole gateway is held against
/// its description instead.
const ELSEWHERE: [&str; 8] = [
    "batches",
    "data-products",
    "events",
    "forgotten",
    "jobs",
    "queries",
    "query",
    "subscribers",
];

/// The program, made once; `None` when it cannot be had here.
fn program() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let (python, marker) = (folder.join("bin/python"), folder.join("installed"));
    if std::fs::read_to_string(&marker).is_ok_and(|found| found == PACKAGE) {
        return Some(folder.join("bin/schemathesis"));
    }
    let made = Command::new("python3")
        .args(["-m", "venv"])
        .arg(&folder)
        .output();
    if !made.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: Schemathesis: python3 -m venv does not work here");
        return None;
    }
    let quiet = ["--quiet", "--disable-pip-version-check", PACKAGE];
    let installed = Command::new(&python)
        .args(["-m", "pip", "install", "--no-compile"])
        .args(quiet)
        .output()
        .expect("the environment has a Python");
    if !installed.status.success() {
        eprintln!("skipped: Schemathesis: pip cannot install it: {installed:?}");
        return None;
    }
    std::fs::write(marker, PACKAGE).expect("written");
    Some(folder.join("bin/schemathesis"))
}

/// What the parameters of `schemathesis.toml` name.
fn fill(server: &Server) {
    let client = server.staging();
    for path in ["/a", "/b"] {
        let routes = document(json!({ "routes": { "a": { "path": path } } }));
        let input = DocumentInput::sync(routes, "api");
        client.apply("staging", Seen::Any, &input).unwrap();
    }
    let state = json!({ "version": 4, "serial": 1, "lineage": "a" }).to_string();
    let written = send(&client, "POST", "/api/v1/state/network", state.as_bytes());
    assert_eq!(written.0, 200);
}

#[test]
fn schemathesis_finds_nothing() {
    let Some(program) = program() else { return };
    let server = Server::start(open());
    fill(&server);
    let folder = tempfile::tempdir().unwrap();
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/schemathesis.toml");
    let output = Command::new(program)
        .arg("--config-file")
        .arg(settings)
        .arg("run")
        .arg(format!("{}/api/v1/openapi.json", server.url))
        // The watch never ends; it has tests of its own.
        .args(["--exclude-operation-id", "watch"])
        .arg("--exclude-path-regex")
        .arg(format!("^/api/v1/({})(/|$)", ELSEWHERE.join("|")))
        .args(["--max-examples", EXAMPLES, "--seed", "1", "--no-color"])
        .args(["--continue-on-failure", "--request-timeout", "20"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // A run that tested nothing finds nothing either.
    let tested = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Tested: "))
        .and_then(|number| number.split_whitespace().next()?.parse().ok());
    let described = gate_api::openapi::OPERATIONS.iter();
    let described = described.filter(|one| {
        let first = one.path[1..].split('/').next().unwrap_or_default();
        !matches!(one.method, "LOCK" | "UNLOCK") && !ELSEWHERE.contains(&first)
    });
    // It leaves out the address that it read the description from.
    assert_eq!(tested, Some(described.count() - 2), "{said}");
}
