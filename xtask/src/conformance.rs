//! `cargo xtask conformance [SUITE ...]`: the suites that the field trusts, as a table of scores; all of
//! them unless some are named. What each one is and where its data comes from is in
//! `conformance/SUITE/README.md`, the scores beside other programs' in `conformance/results`. The
//! tests themselves hold the bars; each prints a line that begins with `SCORE` and an area, and a
//! line that begins with `skipped: ` where its corpus or its runner is absent. What was skipped is
//! counted at the end and never counts as passed.

mod cache_tests;
mod crs;
mod previous;

use std::env;
use std::path::Path;
use std::process::Command;

/// A suite: its name and how it runs from the top folder, which gives how many of its parts were
/// skipped.
type Suite = (&'static str, fn(&Path) -> Result<usize, String>);

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
    ("acme", |root| {
        let alone = passing(root, &["gate-acme"], "keeping");
        let running = passing(root, &["tidegate"], "acme");
        Ok(alone? + running?)
    }),
    ("providers", |root| passing(root, &["tidegate"], "identity")),
    ("api-diff", |root| {
        let mut cargo = cargo(root);
        cargo.args(["test", "--package", "gate-contract", "--lib", "diff::"]);
        counted(cargo.args(["--", "--show-output"]))
    }),
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
    let (mut missed, mut skipped, mut suites) = (Vec::new(), Vec::new(), 0);
    for (name, run) in SUITES {
        if !arguments.is_empty() && !arguments.iter().any(|wanted| wanted == name) {
            continue;
        }
        println!("== {name}");
        suites += 1;
        match run(root) {
            Ok(0) => {}
            Ok(parts) => skipped.push(format!("{name} ({parts})")),
            Err(problem) => missed.push(format!("{name}: {problem}")),
        }
    }
    let whole = suites - skipped.len() - missed.len();
    println!("== {whole} of {suites} suites ran whole and passed");
    if !skipped.is_empty() {
        println!("skipped in part or whole  {}", skipped.join(", "));
    }
    match missed.is_empty() {
        true => Ok(()),
        false => Err(missed.join("\n")),
    }
}

/// Two versions of the binary on one store.
fn versions(root: &Path) -> Result<usize, String> {
    let Some(binary) = previous::binary(root)? else {
        return Ok(1);
    };
    let mut cargo = suite(root, &["tidegate"], "follow::versions");
    scored(cargo.arg("--ignored").env("TIDEGATE_PREVIOUS", binary))
}

/// Tests of some packages that run in `./test`, too.
fn tests(root: &Path, packages: &[&str], name: &str) -> Result<usize, String> {
    scored(&mut suite(root, packages, name))
}

/// Tests that take too long for `./test`.
fn bars(root: &Path, package: &str, name: &str) -> Result<usize, String> {
    scored(suite(root, &[package], name).arg("--include-ignored"))
}

/// Tests that pass or fail, without a score.
fn passing(root: &Path, packages: &[&str], name: &str) -> Result<usize, String> {
    counted(&mut suite(root, packages, name))
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

/// Runs tests that print scores, and prints those; how many parts were skipped.
fn scored(tests: &mut Command) -> Result<usize, String> {
    let text = output(tests)?;
    match rows(&text).is_empty() {
        false => Ok(told(&text)),
        true => Err("no test printed a score".to_owned()),
    }
}

/// Runs tests without scores, and prints how many passed; how many parts were skipped.
fn counted(tests: &mut Command) -> Result<usize, String> {
    let text = output(tests)?;
    let skipped = told(&text);
    match passed(&text) {
        0 => Err("no test ran".to_owned()),
        passed => {
            println!("{:<24} {passed} tests", "passed");
            Ok(skipped)
        }
    }
}

/// Prints scores and what was skipped; the number of the latter.
fn told(text: &str) -> usize {
    let rows = rows(text);
    for (area, score) in &rows {
        println!("{area:<24} {score}");
    }
    rows.iter().filter(|(area, _)| *area == "skipped").count()
}

/// What tests printed.
fn output(tests: &mut Command) -> Result<String, String> {
    let output = tests
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(text),
        false => Err(format!("a bar was missed:\n{text}")),
    }
}

/// How many tests passed in all of these programs.
fn passed(text: &str) -> usize {
    let results = text
        .lines()
        .filter_map(|line| line.strip_prefix("test result: ok. "));
    let counts = results.filter_map(|line| line.split(' ').next()?.parse::<usize>().ok());
    counts.sum()
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
        let text = "test result: ok. 3 passed; 0 failed\nx\ntest result: ok. 4 passed; 0 failed\n";
        assert_eq!(passed(text), 7);
    }
}
