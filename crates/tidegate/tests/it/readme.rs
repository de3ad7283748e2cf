//! Every command of the README is run as it stands there.
//!
//! The commands run in a folder that looks like the repository after a build: `cargo run` and
//! `target/release/tidegate` are the binary under test, `./test` is known to run (this is it), and
//! the provider is a server of this test.

use crate::examples;
use crate::support::eventually_within;
use crate::support::gateway::Running;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

const BINARY: &str = env!("CARGO_BIN_EXE_tidegate");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The shell blocks of a Markdown file.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines() {
        match (&mut open, line) {
            (None, "```sh") => open = Some(String::new()),
            (Some(_), "```") => blocks.extend(open.take()),
            (Some(block), line) => *block += &format!("{line}\n"),
            (None, _) => {}
        }
    }
    blocks
}

fn script(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A folder in which the README's commands can be run, with providers and ports of this test.
fn workplace([openai, anthropic]: [&str; 2], [public, admin]: &[String; 2]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["bin", "examples", "target/release"] {
        std::fs::create_dir_all(path(name)).unwrap();
    }
    let entries = std::fs::read_dir(examples::folder()).unwrap().flatten();
    for entry in entries.filter(|entry| entry.path().is_file()) {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let here = |kind: &str, address: &str| {
            format!("{kind}: {{ base_url: \"http://{address}/v1\", credentials")
        };
        let text = text
            .replace("openai: { credentials", &here("openai", openai))
            .replace("anthropic: { credentials", &here("anthropic", anthropic));
        let text = text
            .replace("127.0.0.1:8080", public)
            .replace("127.0.0.1:9090", admin);
        std::fs::write(path("examples").join(entry.file_name()), text).unwrap();
    }
    symlink(BINARY, path("target/release/tidegate")).unwrap();
    // `cargo run --release -- ARGUMENTS` builds and runs the default binary.
    let cargo = format!(
        "#!/bin/sh\n[ \"$1 $2 $3\" = \"run --release --\" ] || exit 64\nshift 3\nexec {BINARY} \"$@\"\n"
    );
    script(&path("bin/cargo"), &cargo);
    script(&path("test"), "#!/bin/sh\ntouch test-was-run\n");
    folder
}

fn shell(folder: &Path, block: &str) -> Command {
    let mut shell = Command::new("bash");
    let path = std::env::var("PATH").unwrap_or_default();
    let own = folder.join("bin").display().to_string();
    // What an earlier block exported stays in a person's terminal.
    let built = folder.join("target/release").display().to_string();
    shell.env("PATH", format!("{own}:{built}:{path}"));
    shell
        .args(["-euo", "pipefail", "-c", block])
        .current_dir(folder);
    shell
}

fn free_ports() -> [String; 2] {
    [(); 2].map(|()| {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().to_string()
    })
}

#[test]
fn the_guide_to_claude_and_gpt_works() {
    let gpt = examples::openai("sk-your-key");
    let claude = examples::anthropic("sk-ant-your-key");
    let ports = free_ports();
    let folder = workplace([&gpt.address, &claude.address], &ports);
    let guide = root().join("docs/guides/call-claude-and-gpt.md");
    let blocks = blocks(&std::fs::read_to_string(guide).unwrap());
    assert_eq!(blocks.len(), 4, "{blocks:#?}");
    let mut running = None;
    for block in blocks {
        let block = block
            .replace("127.0.0.1:8080", &ports[0])
            .replace("127.0.0.1:9090", &ports[1]);
        if running.is_none() {
            let (before, last) = block.trim_end().rsplit_once('\n').unwrap();
            let block = format!("{before}\nexec {last}");
            let process = Running::start(&mut shell(folder.path(), &block));
            process.line_with("health and metrics");
            running = Some(process);
            continue;
        }
        let output = shell(folder.path(), &block).output().unwrap();
        assert!(output.status.success(), "{block}: {output:?}");
        let said = String::from_utf8_lossy(&output.stdout);
        let both = said.contains("from openai") && said.contains("from anthropic");
        assert!(
            both || said.contains("gen_ai_client_token_usage_sum"),
            "{said}"
        );
    }
}

#[test]
fn the_guide_to_a_first_objective_works() {
    let ports = free_ports();
    let [nowhere, _] = free_ports();
    let guide =
        std::fs::read_to_string(root().join("docs/guides/your-first-objective.md")).unwrap();
    let guide = guide
        .replace("127.0.0.1:8080", &ports[0])
        .replace("127.0.0.1:9090", &ports[1])
        .replace("127.0.0.1:9001", &nowhere);
    let folder = tempfile::tempdir().unwrap();
    let (_, rest) = guide.split_once("```yaml complete\n").unwrap();
    let (configuration, _) = rest.split_once("```").unwrap();
    std::fs::write(folder.path().join("gate.yaml"), configuration).unwrap();
    std::fs::create_dir_all(folder.path().join("target/release")).unwrap();
    symlink(BINARY, folder.path().join("target/release/tidegate")).unwrap();
    let blocks = blocks(&guide);
    let [run, ask, look, fail, look_again, export] = &blocks[..] else {
        panic!("{blocks:#?}");
    };
    let run = format!("exec {}", run.trim());
    let process = Running::start(&mut shell(folder.path(), &run));
    process.line_with("health and metrics");
    let said = |block: &str| {
        let output = shell(folder.path(), block).output().unwrap();
        assert!(output.status.success(), "{block}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(said(ask), "fine".repeat(20));
    let patience = std::time::Duration::from_secs(30);
    let shows = |block: &str, words: &[&str]| {
        eventually_within(patience, &format!("{words:?}"), || {
            // Before the first second is over, there is nothing to show.
            let output = shell(folder.path(), block).output().unwrap();
            let shown = String::from_utf8(output.stdout).unwrap();
            words.iter().all(|word| shown.contains(word))
        });
    };
    shows(
        look,
        &[
            "0 bad of 20 exchanges",
            "100.0 % of the error budget is left",
        ],
    );
    said(fail);
    shows(
        look_again,
        &[
            "20 bad of 20 exchanges",
            "alerts: page",
            "suspicion",
            "orders-fast",
        ],
    );
    said(export);
    let wrote = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(wrote("rules.yaml").contains("alert: ObjectiveBurns"));
    assert!(wrote("sloth.yaml").contains("version: prometheus/v1"));
    assert!(wrote("openslo.yaml").contains("apiVersion: 'openslo/v1'"));
}

#[test]
fn every_command_of_the_readme_works() {
    let provider = examples::openai("sk-your-key");
    let ports = free_ports();
    let folder = workplace([&provider.address, "127.0.0.1:1"], &ports);
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let blocks = blocks(&readme);
    assert_eq!(blocks.len(), 7, "{blocks:#?}");
    let mut running = Vec::new();
    for block in blocks {
        let block = block
            .replace("127.0.0.1:8080", &ports[0])
            .replace("127.0.0.1:9090", &ports[1]);
        let ready = match () {
            () if block.contains("-- demo") => Some("curl http://"),
            () if block.contains("tidegate run ") => Some("health and metrics"),
            () => None,
        };
        if let Some(ready) = ready {
            // The last command stays in the foreground; `exec` lets the test end it.
            let (before, last) = block
                .trim_end()
                .rsplit_once('\n')
                .unwrap_or(("", block.trim_end()));
            let block = format!("{before}\nexec {last}");
            let process = Running::start(&mut shell(folder.path(), &block));
            process.line_with(ready);
            running.push(process);
            continue;
        }
        let output = shell(folder.path(), &block).output().unwrap();
        assert!(output.status.success(), "{block}: {output:?}");
        let said = String::from_utf8_lossy(&output.stdout);
        if block.contains("chat/completions") {
            assert!(said.contains("from openai"), "{said}");
            assert!(
                said.contains("tidegate_requests_total{route=\"ai\""),
                "{said}"
            );
        }
    }
    assert_eq!(running.len(), 3);
    assert!(folder.path().join("test-was-run").exists());
    let schema = std::fs::read(folder.path().join("schema.json")).unwrap();
    assert!(
        serde_json::from_slice::<serde_json::Value>(&schema)
            .unwrap()
            .is_object()
    );
}

#[test]
fn the_two_commands_of_the_set_up_exist() {
    // What stands behind the two names that the test above replaces.
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("default-members = [\"crates/tidegate\"]"));
    let test = root().join("test");
    assert!(std::fs::metadata(&test).unwrap().permissions().mode() & 0o111 != 0);
    assert!(
        std::fs::read_to_string(&test)
            .unwrap()
            .contains("cargo test --workspace")
    );
    let status = Command::new("bash").arg("-n").arg(&test).status().unwrap();
    assert!(status.success());
}

#[test]
fn the_guide_to_batches_works() {
    let provider = examples::openai("");
    let ports = free_ports();
    let guide = root().join("docs/guides/run-50000-prompts-overnight.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let guide = guide
        .replace("127.0.0.1:8080", &ports[0])
        .replace("127.0.0.1:9090", &ports[1])
        .replace("127.0.0.1:8000", &provider.address);
    let folder = tempfile::tempdir().unwrap();
    let (_, rest) = guide.split_once("```yaml complete\n").unwrap();
    let (configuration, _) = rest.split_once("```").unwrap();
    std::fs::write(folder.path().join("gate.yaml"), configuration).unwrap();
    std::fs::create_dir_all(folder.path().join("target/release")).unwrap();
    symlink(BINARY, folder.path().join("target/release/tidegate")).unwrap();
    let blocks = blocks(&guide);
    let [run, prompts, create, watch, morning] = &blocks[..] else {
        panic!("{blocks:#?}");
    };
    let run = format!("exec {}", run.trim());
    let process = Running::start(&mut shell(folder.path(), &run));
    process.line_with("health and metrics");
    let said = |block: &str| {
        let output = shell(folder.path(), block).output().unwrap();
        assert!(output.status.success(), "{block}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(said(prompts).contains("500 prompts.jsonl"));
    let created = said(create);
    assert!(created.contains("\"status\":\"validating\""), "{created}");
    let watched = said(watch);
    assert!(watched.contains("gateway"), "{watched}");
    assert!(watched.contains("500/500 succeeded"), "{watched}");
    assert!(said(morning).contains("500 results.jsonl"));
    assert_eq!(provider.seen().len(), 500);
}
