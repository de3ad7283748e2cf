//! `cargo xtask conformance [SUITE ...]`: the suites that the field trusts, as a table of scores; all of
//! them unless some are named. What each one is and where its data comes from is in
//! `conformance/SUITE/README.md`, the scores beside other programs' in `conformance/results`. The
//! tests themselves hold the bars; each prints a line that begins with `SCORE` and an area, and a
//! line that begins with `skipped: ` where its corpus or its runner is absent.

mod cache_tests;
mod crs;
mod previous;

use std::env;
use std::path::Path;
use std::process::Command;

/// A suite: its name and how it runs from the top folder.
type Suite = (&'static str, fn(&Path) -> Result<(), String>);

const SUITES: &[Suite] = &[
    ("desync", |root| {
        tests(root, &["gate-net", "gate-proxy"], "desync")
    }),
    ("crs", crs::run),
    ("testssl", |root| bars(root, "gate-proxy", "testssl")),
    ("jose", |root| tests(root, &["gate-identity"], "wycheproof")),
    ("cedar", |root| {
        // `./test` compares a sample.
        let mut cargo = suite(root, &["gate-authz"], "corpus");
        scored(cargo.env("TIDEGATE_CORPUS", "all"))
    }),
    ("cache-tests", cache_tests::run),
    ("versions", versions),
];

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("xtask lies in the workspace")?;
    let known = |name: &&String| !SUITES.iter().any(|(suite, _)| suite == name);
    if let Some(name) = arguments.iter().find(known) {
        let names: Vec<_> = SUITES.iter().map(|(name, _)| *name).collect();
        return Err(format!("no suite {name}; there are {}", names.join(", ")));
    }
    let mut missed = Vec::new();
    for (name, run) in SUITES {
        if !arguments.is_empty() && !arguments.iter().any(|wanted| wanted == name) {
            continue;
        }
        println!("== {name}");
        if let Err(problem) = run(root) {
            missed.push(format!("{name}: {problem}"));
        }
    }
    match missed.is_empty() {
        true => Ok(()),
        false => Err(missed.join("\n")),
    }
}

/// Two versions of the binary on one store.
fn versions(root: &Path) -> Result<(), String> {
    let Some(binary) = previous::binary(root)? else {
        return Ok(());
    };
    let mut cargo = suite(root, &["tidegate"], "follow::versions");
    scored(cargo.arg("--ignored").env("TIDEGATE_PREVIOUS", binary))
}

/// Tests of some packages that run in `./test`, too.
fn tests(root: &Path, packages: &[&str], name: &str) -> Result<(), String> {
    scored(&mut suite(root, packages, name))
}

/// Tests that take too long for `./test`.
fn bars(root: &Path, package: &str, name: &str) -> Result<(), String> {
    scored(suite(root, &[package], name).arg("--include-ignored"))
}

/// The tests of that name in the packages' test programs.
fn suite(root: &Path, packages: &[&str], name: &str) -> Command {
    let mut cargo = cargo(root);
    cargo.arg("test");
    for package in packages {
        cargo.args(["--package", package]);
    }
    cargo.args(["--test", "it", name, "--", "--show-output"]);
    cargo
}

fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root);
    cargo
}

/// Runs tests that print scores, and prints those.
fn scored(tests: &mut Command) -> Result<(), String> {
    let output = tests
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rows = rows(&text);
    for (area, score) in &rows {
        println!("{area:<24} {score}");
    }
    match (output.status.success(), rows.is_empty()) {
        (true, false) => Ok(()),
        (true, true) => Err("no test printed a score".to_owned()),
        (false, _) => Err(format!("a bar was missed:\n{text}")),
    }
}

/// The scores, and what was skipped, by area.
fn rows(text: &str) -> Vec<(&str, &str)> {
    text.lines()
        .filter_map(|line| match line.strip_prefix("SCORE ") {
            Some(score) => score.split_once(": "),
            None => Some(("skipped", line.strip_prefix("skipped: ")?)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_scores_between_the_words_of_tests() {
        let text = "running 1 test\nSCORE desync, codec: 9 of 10\nok\nskipped: x is absent\n";
        let expected = [("desync, codec", "9 of 10"), ("skipped", "x is absent")];
        assert_eq!(rows(text), expected);
    }
}
