//! The official Python SDKs of OpenAI (Chat Completions and Responses) and Anthropic as callers.
//!
//! `sdk.py` beside this file makes the calls; here are the gateway in front of the demo's stand-in
//! or of recorded traffic, and the virtual environment with the SDKs. Where no package registry can
//! be reached, a line says what was skipped.

mod agents;
mod batch_apis;
mod batches;
mod bedrock;
mod endpoints;
mod equivalence;
mod forms;
mod gemini;
mod http3;
mod llama;
mod relayed;
mod retold;
mod stumbles;
mod tools;
mod vendors;
mod vercel;

use crate::demo::Demo;
use crate::support::{Gateway, Reply, Upstream};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The SDKs, at the versions that the tests were written with.
const PACKAGES: &str = include_str!("requirements.txt");
/// Recordings per provider; more only repeat the same shapes.
const RECORDINGS: usize = 60;

/// A Python with the SDKs, made once; `None` when they cannot be had here.
fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    PYTHON.get_or_init(|| venv("sdk", PACKAGES)).as_deref()
}

/// A Python environment of this name with these packages, one a line; `None` when they cannot be had
/// here, which a line says.
pub(crate) fn venv(name: &str, wanted: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let python = folder.join("bin/python");
    let installed = folder.join("installed");
    if std::fs::read_to_string(&installed).is_ok_and(|found| found == wanted) {
        return Some(python);
    }
    let made = Command::new("python3")
        .args(["-m", "venv"])
        .arg(&folder)
        .output();
    if !made.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: 1 file of checks: python3 -m venv does not work here");
        return None;
    }
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--no-compile",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    let output = pip
        .args(wanted.lines())
        .output()
        .expect("the environment has a Python");
    if !output.status.success() {
        eprintln!("skipped: 1 file of checks: pip cannot install what is needed: {output:?}");
        return None;
    }
    std::fs::write(installed, wanted).expect("written");
    Some(python)
}

/// Runs `sdk.py`; returns how many checks were right, and fails with those that were not.
#[track_caller]
fn run(python: &Path, job: &Value) -> usize {
    run_script(python, "tests/it/sdk/sdk.py", job)
}

/// Runs one of the scripts beside this file.
#[track_caller]
fn run_script(python: &Path, script: &str, job: &Value) -> usize {
    said(python, script, job).len()
}

/// The same; what it said of each check.
#[track_caller]
fn said(python: &Path, script: &str, job: &Value) -> Vec<String> {
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(script));
    run_command(command, job)
}

/// Runs a script that takes a job and prints a line per check; what it said of each.
#[track_caller]
fn run_command(mut command: Command, job: &Value) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("job.json");
    std::fs::write(&file, job.to_string()).unwrap();
    // Scripts share a module, whose compiled form would stand beside the sources.
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    // No SDK may find settings of the machine.
    for (name, _) in std::env::vars().filter(|(name, _)| {
        name.contains("API") || name.contains("AWS") || name.ends_with("_proxy")
    }) {
        command.env_remove(name);
    }
    let output = command.arg(file).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let failed: Vec<_> = said
        .lines()
        .filter(|line| !line.starts_with("ok "))
        .collect();
    assert!(output.status.success(), "{output:?}");
    assert!(
        failed.is_empty(),
        "{} failed:\n{}",
        failed.len(),
        failed.join("\n")
    );
    let right = said.lines().filter_map(|line| line.strip_prefix("ok "));
    right.map(str::to_owned).collect()
}

#[test]
fn sdks_talk_to_the_stand_in_in_both_dialects() {
    let Some(python) = python() else { return };
    let demo = Demo::start(&["--print-config"]);
    // The stand-in takes only the credential of its own gateway, so a second gateway goes through
    // the first one, which is a provider of both kinds to it.
    let (url, key) = demo.gateway();
    let gateway = Gateway::with(
        &format!(
            "consumers: {{ tester: {{ keys: [{{ sha256: {SESAME} }}] }} }}\n\
             providers:\n  openai: {{ openai: {{ base_url: \"{url}/v1\", credentials: [{{ env: DEMO_KEY }}] }} }}\n  \
             anthropic: {{ anthropic: {{ base_url: \"{url}/v1\", credentials: [{{ env: DEMO_KEY }}] }} }}\n  \
             nobody: {{ openai: {{ base_url: \"http://127.0.0.1:1/v1\" }} }}\n\
             models:\n  through-chat: {{ targets: [{{ provider: openai, model: assistant }}] }}\n  \
             through-messages: {{ targets: [{{ provider: anthropic, model: assistant-claude }}] }}\n  \
             unreachable: {{ targets: [{{ provider: nobody, model: x }}] }}\n\
             routes:\n  ai:\n    match: {{ path: \"/v1/{{*rest}}\" }}\n    policies:\n      - auth_key: {{}}\n      \
             - limit: {{ by: header, header: x-limited, rate: 1/h }}\n        when: '\"x-limited\" in request.headers'\n    \
             target: {{ models: [through-chat, through-messages, unreachable] }}\n",
            SESAME = crate::policies::SESAME,
        ),
        "",
        &[("DEMO_KEY", &key)],
    );
    let models = ["through-chat", "through-messages"];
    let job = json!({
        "what": "stand-in", "url": gateway.url(""), "key": "open-sesame", "stand_ins": models,
        "models": ["through-chat", "through-messages", "unreachable"],
    });
    let checks = run(python, &job);
    assert_eq!(checks, 2 * 20 + 2 + 10);
}

/// Whole answers that a plain conversation could have got, from one provider.
fn recordings(provider: &str, api: &str) -> Vec<(String, PathBuf, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cassettes");
    let folder = folder.join(provider).join(api);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    files.sort();
    let special = [
        "server_tools",
        "audio",
        "n_choices",
        "documents",
        "citations",
        "refusal",
        "error",
    ];
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).ok()?;
        let kept: Value = serde_json::from_str(&text).ok()?;
        let has = |name: &&str| {
            kept["features"]
                .as_array()
                .is_some_and(|all| all.iter().any(|f| f == name))
        };
        let fits = kept["response"]["status"] == 200
            && kept["response"]["body_text"].is_string()
            && match kept["fidelity"]["response"].as_str() {
                Some("exact") => true,
                // Streams of Responses that a project kept are shortened: their ends repeat what
                // their pieces lack.
                Some("reframed") => api != "responses",
                _ => false,
            }
            && kept["request"]["path"]
                .as_str()
                .is_some_and(|path| path.ends_with(&api_path(api)))
            && !special.iter().any(has);
        let name = kept["id"].as_str()?.to_owned();
        fits.then_some((name, file, kept))
    };
    let mut found: Vec<_> = files.into_iter().filter_map(read).collect();
    // Half of them streams, where there are as many.
    found.sort_by_key(|(_, _, kept)| kept["stream"] != true);
    let streams = found
        .iter()
        .filter(|(_, _, kept)| kept["stream"] == true)
        .count();
    found.drain(RECORDINGS.min(streams).div_ceil(2)..streams);
    found.truncate(RECORDINGS);
    found
}

fn api_path(api: &str) -> String {
    format!("/{}", api.replace('_', "/"))
}

/// A provider that answers with the recording whose name is the model's.
fn replay(recordings: &[(String, PathBuf, Value)]) -> Upstream {
    let answers: Vec<(String, Value)> = recordings
        .iter()
        .map(|(name, _, kept)| (format!("\"{name}\""), kept["response"].clone()))
        .collect();
    Upstream::start(move |seen| {
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        let found = answers.iter().find(|(name, _)| body.contains(name));
        let Some((_, response)) = found else {
            return Reply::text("{}").status(404);
        };
        let text = response["body_text"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let kind = response["headers"]["content-type"].as_str();
        let kind = kind.unwrap_or(if text.starts_with('{') {
            "application/json"
        } else {
            "text/event-stream"
        });
        // Pieces that end anywhere, also inside of a character.
        Reply::text(text).header("content-type", kind).split(331)
    })
}

#[test]
fn sdks_read_recorded_traffic_in_both_dialects() {
    let Some(python) = python() else { return };
    let kinds = [
        ("openai", "chat_completions"),
        ("anthropic", "messages"),
        ("openai", "responses"),
    ];
    let kinds = kinds.map(|(kind, api)| (kind, api, recordings(kind, api)));
    if kinds.iter().any(|(_, _, found)| found.is_empty()) {
        eprintln!("skipped: 1 file of checks: no recordings beside this checkout");
        return;
    }
    let (mut providers, mut models, mut names) = (String::new(), String::new(), Vec::new());
    let (mut asked, mut upstreams) = (Vec::new(), Vec::new());
    for (kind, api, found) in kinds {
        let upstream = replay(&found);
        let address = &upstream.address;
        // Each server speaks one dialect, so that the two others are translated.
        providers += &format!(
            "  {api}: {{ compatible: {{ base_url: \"http://{address}/v1\", dialects: [{api}] }} }}\n"
        );
        for (name, file, _) in found {
            models += &format!("  {name}: {{ targets: [{{ provider: {api}, model: {name} }}] }}\n");
            asked.push(json!({ "kind": kind, "api": api, "file": file, "model": name }));
            names.push(name);
        }
        upstreams.push(upstream);
    }
    let names = names.join(", ");
    let gateway = Gateway::start(&format!(
        "consumers: {{ tester: {{ keys: [{{ sha256: {} }}] }} }}\nproviders:\n{providers}models:\n{models}\
         routes: {{ ai: {{ match: {{ path: \"/v1/{{*rest}}\" }}, policies: [{{ auth_key: {{}} }}], target: {{ models: [{names}] }} }} }}\n",
        crate::policies::SESAME
    ));
    let job = json!({
        "what": "replays", "url": gateway.url(""), "key": "open-sesame", "recordings": asked,
    });
    let checks = run(python, &job);
    assert_eq!(checks, asked.len() * 3);
    eprintln!("recorded answers read in three dialects: {}", asked.len());
}

#[test]
fn structured_answers_reach_the_responses_sdk_from_every_dialect() {
    let Some(python) = python() else { return };
    let said = "{\\\"city\\\":\\\"Oslo\\\",\\\"days\\\":2}";
    let answers = [
        (
            "chat_completions",
            format!(
                "{{\"id\":\"a\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\
                 \"message\":{{\"role\":\"assistant\",\"content\":\"{said}\"}},\"finish_reason\":\"stop\"}}]}}"
            ),
        ),
        (
            "messages",
            format!(
                "{{\"id\":\"a\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"stop_reason\":\"end_turn\",\
                 \"content\":[{{\"type\":\"text\",\"text\":\"{said}\"}}],\"usage\":{{\"input_tokens\":1,\"output_tokens\":1}}}}"
            ),
        ),
    ];
    let (mut providers, mut models, mut upstreams) = (String::new(), String::new(), Vec::new());
    for (api, answer) in answers {
        // What the provider is asked for has the schema, or it gets no answer that follows it.
        let upstream = Upstream::start(move |seen| {
            let body = String::from_utf8_lossy(&seen.body).into_owned();
            match body.contains("\"json_schema\"") && body.contains("\"days\"") {
                true => Reply::text(answer.clone()).header("content-type", "application/json"),
                false => Reply::text(body).status(400),
            }
        });
        providers += &format!(
            "  {api}: {{ compatible: {{ base_url: \"http://{}/v1\", dialects: [{api}] }} }}\n",
            upstream.address
        );
        models += &format!("  m-{api}: {{ targets: [{{ provider: {api}, model: m }}] }}\n");
        upstreams.push(upstream);
    }
    let gateway = Gateway::start(&format!(
        "consumers: {{ tester: {{ keys: [{{ sha256: {} }}] }} }}\nproviders:\n{providers}models:\n{models}\
         routes: {{ ai: {{ match: {{ path: \"/v1/{{*rest}}\" }}, policies: [{{ auth_key: {{}} }}], target: {{ models: [m-chat_completions, m-messages] }} }} }}\n",
        crate::policies::SESAME
    ));
    let job = json!({
        "what": "structured", "url": gateway.url(""), "key": "open-sesame",
        "models": ["m-chat_completions", "m-messages"],
    });
    assert_eq!(run(python, &job), 2);
}
