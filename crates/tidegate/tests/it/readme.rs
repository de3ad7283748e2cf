//! Every command of the README is run as it stands there.
//!
//! The commands run in a folder that looks like the repository after a build: `cargo run` and
//! `target/release/tidegate` are the binary under test, `./test` is known to run (this is it), and
//! the provider is a server of this test.

use crate::examples;
use crate::support::gateway::Running;
use crate::support::{Answer, curl, eventually_within};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_tidegate");

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The shell blocks of a Markdown file.
pub(crate) fn blocks(text: &str) -> Vec<String> {
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

pub(crate) fn shell(folder: &Path, block: &str) -> Command {
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

pub(crate) fn free_ports() -> [String; 2] {
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

/// A folder in which [`shell`] finds the program.
pub(crate) fn installed() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("target/release")).unwrap();
    symlink(BINARY, folder.path().join("target/release/tidegate")).unwrap();
    folder
}

/// The first configuration of a guide that stands for itself, in a folder with the program.
fn configured(guide: &str) -> tempfile::TempDir {
    let folder = installed();
    let (_, rest) = guide.split_once("```yaml complete\n").unwrap();
    let (configuration, _) = rest.split_once("```").unwrap();
    std::fs::write(folder.path().join("gateway.yaml"), configuration).unwrap();
    folder
}

/// What Claude and a server of one's own are called here, in guides.
fn served(guide: &str, name: &str, claude: &str, own: &str, ports: &[String; 2]) -> String {
    let text = std::fs::read_to_string(root().join("docs/guides").join(guide)).unwrap();
    let here = format!("{name}: {{ base_url: \"http://{claude}/v1\", credentials");
    text.replace("127.0.0.1:8080", &ports[0])
        .replace("127.0.0.1:4000", &ports[0])
        .replace("127.0.0.1:9090", &ports[1])
        .replace("127.0.0.1:8000", own)
        .replace(&format!("{name}: {{ credentials"), &here)
}

/// A chat with `assistant`, as the consumer of the guides.
fn chat(address: &str, more: &[&str]) -> Answer {
    let url = format!("http://{address}/v1/chat/completions");
    let body =
        r#"{"model":"assistant","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;
    let fields = [
        "authorization: Bearer secret",
        "content-type: application/json",
    ];
    let mut arguments = vec![&*url, "-d", body, "-H", fields[0], "-H", fields[1]];
    arguments.extend(more);
    curl(&arguments)
}

#[test]
fn the_guide_to_budgets_works() {
    let claude = examples::anthropic("sk-ant-your-key");
    let ports = free_ports();
    let guide = served(
        "budgets-that-hold.md",
        "anthropic",
        &claude.address,
        "127.0.0.1:1",
        &ports,
    );
    // Whatever the day is.
    let guide = guide.replace("--since 2026-11-01", "--since 2020-01-01");
    let folder = configured(&guide);
    let said = |block: &str| {
        let output = shell(folder.path(), block).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().unwrap(), text)
    };
    let run = "exec tidegate run gateway.yaml";
    let mut run = shell(folder.path(), run);
    let process = Running::start(run.env("ANTHROPIC_API_KEY", "sk-ant-your-key"));
    process.line_with("health and metrics");
    for _ in 0..3 {
        chat(&ports[0], &["-H", "x-job: night"]).expect(200);
    }
    let blocks = blocks(&guide);
    let [who, unusual, reconcile, release] = &blocks[..] else {
        panic!("{blocks:#?}");
    };
    let ledger = || -> Vec<serde_json::Value> {
        let (_, text) = said("tidegate usage gateway.yaml --by day,provider-model --json");
        let rows = text.lines().map(serde_json::from_str);
        rows.collect::<Result<_, _>>().unwrap()
    };
    let patience = std::time::Duration::from_secs(30);
    eventually_within(patience, "every call is in the ledger", || {
        ledger().iter().any(|row| row["calls"] == 3)
    });
    let (code, text) = said(who);
    let named = [
        "shop",
        "assistant",
        "night",
        "shop-monthly",
        "web-daily",
        "claude-daily",
    ];
    assert!(
        code == 0 && named.iter().all(|name| text.contains(name)),
        "{text}"
    );
    assert_eq!(said(unusual).0, 0);
    // A bill that agrees with the ledger, and one that does not.
    let row = &ledger()[0];
    let (day, cost) = (
        row["day"].as_str().unwrap(),
        row["cost_usd"].as_str().unwrap(),
    );
    let bill = |cost: &str| {
        let text = format!("date,model,amount_usd\n{day},claude-sonnet-4-5,{cost}\n");
        std::fs::write(folder.path().join("bill.csv"), text).unwrap();
        said(reconcile)
    };
    let (code, text) = bill(cost);
    assert!(
        code == 0 && text.contains(cost) && text.contains(day),
        "{code} {text}"
    );
    let (code, text) = bill("7");
    assert!(code == 1 && text.contains(day), "{code} {text}");
    let (code, _) = said(release);
    assert_eq!(code, 0, "a call that is not unsettled is said to be none");
}

#[test]
fn the_guide_from_litellm_works() {
    let claude = examples::anthropic("sk-ant-your-key");
    // Nothing of OpenAI's can be reached.
    let own = examples::openai("");
    let ports = free_ports();
    let name = "move-from-litellm.md";
    let guide = served(name, "anthropic", &claude.address, &own.address, &ports);
    let guide = guide.replace(
        "openai: { credentials",
        "openai: { base_url: \"http://127.0.0.1:1/v1\", credentials",
    );
    let folder = configured(&guide);
    let (_, theirs) = guide.split_once("```yaml\n# LiteLLM\n").unwrap();
    let (theirs, _) = theirs.split_once("```").unwrap();
    std::fs::write(folder.path().join("config.yaml"), theirs).unwrap();
    let blocks = blocks(&guide);
    let [import] = &blocks[..] else {
        panic!("{blocks:#?}");
    };
    let output = shell(folder.path(), import).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    // What the import leaves to people is said, with its line.
    assert!(matches!(output.status.code(), Some(0 | 3)), "{told}");
    let imported = std::fs::read_to_string(folder.path().join("imported.yaml")).unwrap();
    for word in [
        "assistant",
        "local",
        "gpt-5",
        "claude-sonnet-4-5",
        "llama-3.3-70b",
    ] {
        assert!(imported.contains(word), "{word}: {imported}");
    }
    let mut run = shell(folder.path(), "exec tidegate run gateway.yaml");
    run.env("OPENAI_API_KEY", "sk")
        .env("ANTHROPIC_API_KEY", "sk-ant-your-key");
    let process = Running::start(&mut run);
    process.line_with("listening");
    let answer = chat(&ports[0], &[]).expect(200).json();
    assert_eq!(answer["choices"][0]["message"]["content"], "from anthropic");
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
