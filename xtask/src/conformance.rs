//! `cargo xtask conformance`: the published corpora through the codec and the running gateway, and
//! two versions of the binary on one store, as a table of scores. The tests themselves hold the
//! bars; each prints a line that begins with `SCORE` and an area, and a line that begins with
//! `skipped: ` where its corpus is absent. The version before is built in [`previous`].

mod previous;

use std::env;
use std::path::Path;
use std::process::Command;

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    if let Some(argument) = arguments.first() {
        return Err(format!("conformance does not know {argument}"));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("xtask lies in the workspace")?;
    let corpora = ["--package", "gate-net", "--package", "gate-proxy"];
    let mut cargo = cargo(root);
    cargo.arg("test").args(corpora);
    cargo.args(["--test", "it", "desync", "--", "--show-output"]);
    let corpora = scored(&mut cargo);
    let versions = match previous::binary(root)? {
        None => Ok(()),
        Some(binary) => {
            let mut cargo = self::cargo(root);
            cargo.args([
                "test",
                "--package",
                "tidegate",
                "--test",
                "it",
                "follow::versions",
            ]);
            cargo.args(["--", "--ignored", "--show-output"]);
            scored(cargo.env("TIDEGATE_PREVIOUS", binary))
        }
    };
    corpora.and(versions)
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
