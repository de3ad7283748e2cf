//! `tidegate demo`: the lines it prints work as they are printed.

use crate::console::{browser, console, run};
use crate::support::gateway::{Running, command};
use crate::support::{curl, eventually_within};
use rustix::process::Signal;
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A running demo.
pub(crate) struct Demo {
    pub(crate) process: Running,
    lines: Vec<String>,
}

impl Demo {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let process = Running::start(&mut command(&[&["demo"], arguments].concat()));
        process.line_with("curl http://");
        let mut lines = Vec::new();
        crate::support::eventually("three lines to try", || {
            let all = process.lines();
            lines = all
                .into_iter()
                .filter(|line| line.starts_with("curl "))
                .collect();
            lines.len() == 3
        });
        Self { process, lines }
    }

    /// Runs a printed line in a shell, as it is.
    #[track_caller]
    fn paste(&self, line: &str) -> String {
        let output = Command::new("sh").args(["-c", line]).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The gateway's base URL and its key.
    pub(crate) fn gateway(&self) -> (String, String) {
        let line = &self.lines[0];
        let url = line.split(' ').next_back().unwrap();
        let url = url.strip_suffix("/orders/1001").unwrap();
        let key = line.split("Bearer ").nth(1).unwrap();
        let key = key.split('\'').next().unwrap();
        (url.to_owned(), key.to_owned())
    }
}

#[test]
fn the_three_lines_work_as_printed_until_ctrl_c() {
    let mut demo = Demo::start(&[]);
    let order: serde_json::Value = serde_json::from_str(&demo.paste(&demo.lines[0])).unwrap();
    assert_eq!(
        (&order["api"], &order["sample"]),
        (&"v1".into(), &true.into())
    );
    let chat: serde_json::Value = serde_json::from_str(&demo.paste(&demo.lines[1])).unwrap();
    let said = chat["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(said.ends_with("You said: Hello!"), "{said}");
    assert!(chat["usage"]["total_tokens"].as_u64().unwrap() > 0);
    let metrics = demo.paste(&demo.lines[2]);
    assert!(
        metrics.contains("tidegate_requests_total{route=\"orders\""),
        "{metrics}"
    );
    assert!(metrics.contains("gen_ai_client_token_usage"), "{metrics}");

    let (url, key) = demo.gateway();
    let key = format!("authorization: Bearer {key}");
    let second = curl(&[
        &format!("{url}/orders/1001"),
        "-H",
        &key,
        "-H",
        "x-api-version: 2",
    ]);
    assert_eq!(second.expect(200).json()["api"], "v2");
    curl(&[&format!("{url}/orders/1001")]).expect(401);
    curl(&[&format!("{url}/orders/7"), "-H", &key]).expect(404);

    demo.process.signal(Signal::INT);
    assert_eq!(demo.process.ended().code(), Some(0));
    assert_eq!(
        curl(&[&format!("{url}/orders/1001")]).code,
        7,
        "nobody listens any more"
    );
}

#[test]
fn the_stand_in_streams_calls_tools_and_refuses_in_both_dialects() {
    let demo = Demo::start(&[]);
    let (url, key) = demo.gateway();
    let key = format!("authorization: Bearer {key}");
    let post = |path: &str, body: &str| {
        let kind = "content-type: application/json";
        curl(&[&format!("{url}{path}"), "-H", &key, "-H", kind, "-d", body])
    };
    for model in ["assistant", "assistant-claude"] {
        let ask = format!(
            r#"{{"model":"{model}","max_tokens":50,"stream":true,"messages":[{{"role":"user","content":"Hi"}}]}}"#
        );
        let stream = post("/v1/chat/completions", &ask).expect(200);
        assert!(
            stream.body.ends_with("data: [DONE]\n\n"),
            "{model}: {}",
            stream.body
        );
        let stream = post("/v1/messages", &ask).expect(200);
        assert!(
            stream.body.contains("event: message_stop\n"),
            "{model}: {}",
            stream.body
        );

        let tool = r#""tools":[{"name":"look","input_schema":{"type":"object","properties":{"city":{"type":"string"}}}}]"#;
        let ask = format!(
            r#"{{"model":"{model}","max_tokens":50,{tool},"messages":[{{"role":"user","content":"Hi"}}]}}"#
        );
        let call = post("/v1/messages", &ask).expect(200).json();
        assert_eq!(call["stop_reason"], "tool_use", "{model}: {call}");
        assert_eq!(
            call["content"][0]["input"]["city"], "sample",
            "{model}: {call}"
        );
    }
    let unknown = post("/v1/chat/completions", r#"{"model":"x","messages":[]}"#).expect(404);
    assert_eq!(unknown.json()["error"]["code"], "model_not_found");
    let unknown = post(
        "/v1/messages",
        r#"{"model":"x","max_tokens":1,"messages":[]}"#,
    )
    .expect(404);
    assert_eq!(unknown.json()["error"]["type"], "not_found_error");
    let models = curl(&[&format!("{url}/v1/models"), "-H", &key])
        .expect(200)
        .json();
    assert_eq!(models["data"].as_array().unwrap().len(), 2);
}

#[test]
fn the_printed_configuration_is_one_that_check_accepts() {
    let demo = Demo::start(&["--print-config"]);
    let lines = demo.process.lines();
    let config: Vec<_> = lines
        .iter()
        .take_while(|line| !line.starts_with("Tidegate demo"))
        .collect();
    let config: String = config
        .iter()
        .flat_map(|line| [line.as_str(), "\n"])
        .collect();
    assert!(config.contains("sample-openai"), "{config}");
    let (_, key) = demo.gateway();
    assert!(
        !config.contains(&key),
        "only the hash is in the configuration"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("demo.yaml");
    std::fs::write(&file, config).unwrap();
    let output = crate::support::tidegate(&["check", &file.display().to_string()]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_chosen_port_is_used_or_named_as_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = crate::support::tidegate(&["demo", "--port", &port]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains(&port) && said.contains("in use"), "{said}");
    drop(taken);
    let demo = Demo::start(&["--port", &port]);
    assert!(demo.gateway().0.ends_with(&port));
}

/// The name behind which a line of what the scenario left is.
fn left_by<'a>(lines: &'a [String], name: &str) -> &'a str {
    let line = lines
        .iter()
        .rev()
        .find(|line| line.trim_start().starts_with(&format!("{name} ")));
    let line = line.unwrap_or_else(|| panic!("no {name} in {lines:#?}"));
    line.rsplit('/').next().unwrap()
}

#[test]
fn a_bad_revision_is_caught_taken_back_and_explained_in_the_console() {
    let mut demo = Demo::start(&["--scenario", "bad-revision"]);
    let mut lines = Vec::new();
    eventually_within(Duration::from_secs(400), "the scenario is over", || {
        lines = demo.process.lines();
        let is_stuck = |line: &String| line.contains("cannot go on");
        assert!(!lines.iter().any(is_stuck), "{lines:#?}");
        lines.iter().any(|line| line.contains("for the public"))
    });
    let told = lines.join("\n");
    for words in [
        "of requests; with it",
        "Taken back: taken back at",
        "100 % of the excess",
        "the first exchange that failed",
        "the objectives are kept again",
        "Contributing factors",
        "33.3 %",
    ] {
        assert!(told.contains(words), "{words} in {told}");
    }
    let (rollout, incident) = (left_by(&lines, "rollout"), left_by(&lines, "incident"));
    let console_line = lines.iter().find(|line| line.contains("  console "));
    let admin = console_line.unwrap().rsplit(' ').next().unwrap();
    let admin = admin.trim_end_matches('/');
    let shown = curl(&[&format!("{admin}/api/v1/rollouts/{rollout}")]);
    let candidate = shown.expect(200).json()["candidate"].clone();
    // What serves is the release that mends it, for which the gate of changes let it pass.
    let (url, key) = demo.gateway();
    let key = format!("authorization: Bearer {key}");
    for number in 1000..1004 {
        curl(&[&format!("{url}/orders/{number}"), "-H", &key]).expect(200);
    }
    if let (Some(folder), Some(browser)) = (console(), browser()) {
        let job = json!({
            "browser": browser, "admin": admin, "rollout": rollout, "incident": incident,
            "candidate": candidate, "shots": folder.join("screenshots"),
        });
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("job.json");
        std::fs::write(&file, job.to_string()).unwrap();
        let right = run(folder, "node", &[Path::new("tests/scenario.mjs"), &file]);
        assert_eq!(right.len(), 7, "{right:#?}");
    }
    demo.process.signal(Signal::INT);
    assert_eq!(demo.process.ended().code(), Some(0));
}
