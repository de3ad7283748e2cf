//! Commands that end by themselves: what they print, and their exit codes.

use crate::support::gateway::command;
use crate::support::tidegate;
use serde_json::Value;
use std::process::{Output, Stdio};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Checks a configuration and returns the exit code with everything that was written.
fn check(configuration: &str, arguments: &[&str]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gate.yaml"), configuration).unwrap();
    let mut command = command(&["check", "gate.yaml"]);
    let output = command
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .unwrap();
    let both = text(&output.stdout) + &text(&output.stderr);
    (output.status.code().unwrap(), both)
}

const VALID: &str = "\
listeners: { public: { address: \"127.0.0.1:0\" } }
routes: { all: { match: { path: \"/{*rest}\" }, target: { fixed: { status: 200 } } } }
";

#[test]
fn check_accepts_what_is_right() {
    assert_eq!(check(VALID, &[]), (0, "gate.yaml: valid\n".to_owned()));
    assert_eq!(check(VALID, &["--json"]), (0, "[]\n".to_owned()));
}

#[test]
fn check_says_where_what_and_what_instead() {
    let wrong = VALID.replace("/{*rest}\" }", "/{*rest}\" }, polices: []");
    let (code, said) = check(&wrong, &[]);
    assert_eq!(code, 1, "{said}");
    assert!(
        said.starts_with("gate.yaml:2:47: error[unknown_field]: "),
        "{said}"
    );
    assert!(said.contains("`polices`"), "{said}");
    assert!(said.contains("expected one of"), "{said}");
    assert!(said.contains("did you mean `policies`?"), "{said}");
    assert!(said.ends_with("gate.yaml: 1 error\n"), "{said}");

    let (code, said) = check(&wrong, &["--json"]);
    let found: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (code, &found[0]["line"], &found[0]["column"]),
        (1, &2.into(), &47.into())
    );
    assert_eq!(found[0]["severity"], "error");
}

#[test]
fn check_collects_every_error_at_its_place() {
    let wrong = "\
listeners: { public: { address: here } }
upstreams: { orders: { endpoints: [\"127.0.0.1:1\"] } }
routes:
  a: { match: { path: /a }, target: { upstream: order } }
  b: { match: { path: /b }, policies: [{ limits: { rate: 1/s } }], target: { fixed: { status: 200 } } }
  c: { match: { path: /c }, policies: [{ access: {}, when: 'request.methd == 1' }], target: { fixed: { status: 200 } } }
";
    let (code, said) = check(wrong, &[]);
    assert_eq!(code, 1);
    for line in [
        "gate.yaml:1:",
        "gate.yaml:4:",
        "gate.yaml:5:",
        "gate.yaml:6:",
    ] {
        assert!(said.contains(line), "{line} in {said}");
    }
    for near in ["`orders`", "`limit`", "method"] {
        assert!(said.contains(near), "{near} in {said}");
    }
}

#[test]
fn check_warns_of_missing_secrets_and_refuses_missing_files() {
    let configuration = format!(
        "{VALID}providers: {{ gpt: {{ openai: {{ credentials: [{{ env: SURELY_NOT_SET_HERE }}] }} }} }}\n\
         models: {{ m: {{ targets: [{{ provider: gpt, model: x }}] }} }}\n"
    );
    let (code, said) = check(&configuration, &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("warning[secret_missing]"), "{said}");
    assert!(said.contains("SURELY_NOT_SET_HERE"), "{said}");

    let output = tidegate(&["check", "/surely/not/there.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("/surely/not/there.yaml"));
}

#[test]
fn check_refuses_public_keys_that_are_not_there() {
    let configuration = "listeners: { public: { address: \"127.0.0.1:0\" } }\n\
        routes:\n  all:\n    policies: [{ auth_jwt: { keys: { file: /surely/not/jwks.json } } }]\n    \
        target: { fixed: { status: 200, body: ok } }\n";
    let (code, said) = check(configuration, &[]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("cannot read /surely/not/jwks.json"), "{said}");
    assert!(
        said.contains("routes.all.policies[0].auth_jwt.keys"),
        "{said}"
    );
}

#[test]
fn check_refuses_what_is_no_document() {
    for wrong in [
        "a: [1, 2",
        "a: 1\na: 2\n",
        "- 1\n",
        "a: &x [1]\nb: *x\n\u{0}",
    ] {
        let (code, said) = check(wrong, &[]);
        assert_eq!(code, 1, "{wrong:?}: {said}");
        assert!(said.contains("gate.yaml:"), "{wrong:?}: {said}");
    }
}

#[test]
fn the_schema_knows_every_component() {
    let output = tidegate(&["schema"]);
    assert!(output.status.success());
    let schema = json(&output);
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    let choices = |name: &str| -> Vec<String> {
        let choices = schema["$defs"][name]["oneOf"].as_array().expect("choices");
        let required = choices.iter().map(|choice| &choice["required"][0]);
        required
            .map(|name| name.as_str().unwrap().to_owned())
            .collect()
    };
    let policies = choices("Policy");
    for name in [
        "access",
        "auth_jwt",
        "auth_key",
        "auth_sigv4",
        "compress",
        "cors",
        "guard",
        "headers",
        "limit",
        "mirror",
        "redirect",
        "request_id",
        "rewrite",
        "timeout",
    ] {
        assert!(policies.iter().any(|known| known == name), "{name}");
    }
    let providers = choices("Provider");
    for name in [
        "anthropic",
        "bedrock",
        "compatible",
        "gemini",
        "openai",
        "vertex",
    ] {
        assert!(providers.iter().any(|known| known == name), "{name}");
    }
    assert!(providers.len() >= 24, "{providers:?}");
    let policy = schema["$defs"]["Policy"]["oneOf"].as_array().unwrap();
    assert!(
        policy
            .iter()
            .all(|choice| choice["properties"]["when"].is_object())
    );
    assert!(
        policy
            .iter()
            .all(|choice| choice["additionalProperties"] == false)
    );
}

#[test]
fn a_reader_that_leaves_ends_a_command_quietly() {
    for arguments in [&["schema"][..], &["completions", "bash"], &["--help"]] {
        let mut command = command(arguments);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(text(&output.stderr), "", "{arguments:?}");
        assert!(
            output.status.success(),
            "{arguments:?}: {:?}",
            output.status
        );
    }
}

#[test]
fn explain_prints_one_field() {
    let output = tidegate(&["explain", "routes.match.host"]);
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("wildcard"));
    let policy = text(&tidegate(&["explain", "routes.policies.limit.rate"]).stdout);
    assert!(policy.contains("rate"), "{policy}");
    assert!(text(&tidegate(&["explain"]).stdout).contains("upstreams"));

    let output = tidegate(&["explain", "upstream.endpoints"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("did you mean `upstreams`?"));
}

#[test]
fn a_new_key_is_accepted_by_the_snippet_it_comes_with() {
    let output = tidegate(&["keys", "new", "--consumer", "the shop"]);
    let said = text(&output.stdout);
    let key = said
        .lines()
        .find_map(|line| line.strip_prefix("#   "))
        .unwrap();
    assert!(key.starts_with("tg_") && key.len() == 3 + 43, "{key}");
    let (code, checked) = check(&format!("{VALID}{said}"), &[]);
    assert_eq!(code, 0, "{checked}");
    assert!(said.contains("\"the shop\":"), "{said}");

    let first = json(&tidegate(&["keys", "new", "--json"]));
    let second = json(&tidegate(&["keys", "new", "--json"]));
    assert_ne!(first["key"], second["key"]);
    assert_eq!(first["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(
        tidegate(&["keys", "new", "--consumer", ""]).status.code(),
        Some(1)
    );
}

#[test]
fn version_tells_what_this_is() {
    let about = json(&tidegate(&["version", "--json"]));
    assert_eq!(about["version"], env!("CARGO_PKG_VERSION"));
    assert!(
        about["target"]
            .as_str()
            .unwrap()
            .contains(std::env::consts::ARCH)
    );
    let said = text(&tidegate(&["version"]).stdout);
    assert!(
        said.starts_with(concat!("tidegate ", env!("CARGO_PKG_VERSION"))),
        "{said}"
    );
}

#[test]
fn every_shell_has_completions_that_it_can_read() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&tidegate(&["completions", shell]).stdout);
        assert!(
            script.contains("tidegate") && script.contains("explain"),
            "{shell}"
        );
    }
    let script = tidegate(&["completions", "bash"]).stdout;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("completion");
    std::fs::write(&file, script).unwrap();
    let mut bash = std::process::Command::new("bash");
    let status = bash.arg("-n").arg(&file).status().expect("bash");
    assert!(status.success());
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2() {
    for arguments in [
        &["rum"][..],
        &[],
        &["run"],
        &["keys"],
        &["completions", "dos"],
    ] {
        let output = tidegate(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{arguments:?}"
        );
    }
    assert!(text(&tidegate(&["rum"]).stderr).contains("run"));
}

#[test]
fn nothing_but_a_terminal_gets_colours() {
    for arguments in [
        &["--help"][..],
        &["explain", "routes"],
        &["rum"],
        &["keys", "new"],
    ] {
        let output = tidegate(arguments);
        let both = [output.stdout, output.stderr].concat();
        assert!(!both.contains(&0x1b), "{arguments:?}");
    }
}

#[test]
fn a_terminal_gets_colours_unless_they_are_unwanted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("gate.yaml"), "routs: {}\n").unwrap();
    let said = |setting: &str| {
        // `script` gives the command a terminal.
        let line = format!("{} check gate.yaml", env!("CARGO_BIN_EXE_tidegate"));
        let mut script = std::process::Command::new("script");
        script
            .args(["-qec", &line, "/dev/null"])
            .current_dir(folder.path());
        script
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .env_remove("CI");
        if let Some((name, value)) = setting.split_once('=') {
            script.env(name, value);
        }
        let output = script
            .stdin(Stdio::null())
            .output()
            .expect("script is installed");
        text(&output.stdout)
    };
    assert!(said("").contains("\u{1b}[1;31merror"), "{:?}", said(""));
    let plain = said("NO_COLOR=1");
    assert!(
        plain.contains("error[unknown_field]") && !plain.contains('\u{1b}'),
        "{plain:?}"
    );
}

#[test]
fn check_warns_of_experiments_that_strike_nothing_and_refuses_unknown_objectives() {
    let with = |scope: &str, more: &str| {
        let text = format!(
            "listeners: {{ public: {{ address: \"127.0.0.1:0\" }}, bytes: {{ address: \"127.0.0.1:0\", protocol: tcp }} }}\n\
             upstreams: {{ db: {{ endpoints: [\"127.0.0.1:1\"] }}, web: {{ endpoints: [\"127.0.0.1:2\"] }} }}\n\
             routes:\n  here: {{ match: {{ path: /here }}, target: {{ fixed: {{ status: 200 }} }} }}\n  \
             web: {{ match: {{ path: /web }}, target: {{ upstream: web }} }}\n  \
             db: {{ match: {{ listeners: [bytes] }}, target: {{ upstream: db }} }}\n\
             experiments: {{ x: {{ inject: {{ reset: {{}} }}, for: 1h, scope: {{ {scope} }}{more} }} }}\n"
        );
        check(&text, &[])
    };
    for (scope, field, what) in [
        ("route: here", "route", "answers by itself"),
        ("route: db", "route", "forwards bytes of TCP"),
        (
            "upstream: db",
            "upstream",
            "only routes that forward bytes of TCP",
        ),
    ] {
        let (code, told) = with(scope, "");
        assert_eq!(code, 0, "{told}");
        let place = format!("experiments.x.scope.{field}");
        assert!(
            told.contains("inert_experiment") && told.contains(&place) && told.contains(what),
            "{scope}: {told}"
        );
    }
    for scope in ["route: web", "upstream: web"] {
        assert_eq!(
            with(scope, ""),
            (0, "gate.yaml: valid\n".to_owned()),
            "{scope}"
        );
    }
    let guard = ", stop_at: { bad: 50 %, budget: { objective: other, left: 50 % } }";
    let (code, told) = with("route: web", guard);
    assert_ne!(code, 0, "{told}");
    assert!(
        told.contains("experiments.x.stop_at.budget.objective"),
        "{told}"
    );
}
