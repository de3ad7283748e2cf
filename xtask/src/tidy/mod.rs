//! `cargo xtask tidy`: the rules of the repository that a compiler does not know.
//!
//! Each rule is a function from the files to complaints; this file lists them. The same rules run
//! as a test of xtask. Sizes are in `sizes.rs`, arrows between crates in `layers.rs`.

mod layers;
mod links;
mod places;
mod reasons;
mod sizes;

use crate::generate;
use crate::repository::{self, File};

/// A rule: what it is about, and what it has to say.
type Rule = (&'static str, fn(&[File]) -> Vec<String>);

const RULES: &[Rule] = &[
    ("crates depend only downwards", layers::check),
    ("dependencies have their reasons", reasons::check),
    ("nothing names a machine", places::check),
    ("links in pages lead somewhere", links::check),
    ("crates have one test binary", one_test_binary),
    ("files and functions keep their size", sizes::check),
];

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let root = repository::root();
    let files = repository::files(root)?;
    match arguments {
        [] => {}
        [flag] if flag == "--record" => return sizes::record(root, &files),
        _ => return Err("usage: cargo xtask tidy [--record]".into()),
    }
    for note in sizes::shrunk(&files) {
        println!("tidy: {note}");
    }
    let mut complaints = complaints(&files);
    let stale = generate::stale()?;
    complaints.extend(
        stale
            .iter()
            .map(|path| format!("{path}: stale; run `cargo xtask gen`")),
    );
    if complaints.is_empty() {
        println!("tidy: {} files in order", files.len());
        return Ok(());
    }
    for complaint in &complaints {
        println!("tidy: {complaint}");
    }
    Err(format!("{} things are not in order", complaints.len()))
}

fn complaints(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (rule, check) in RULES {
        let broken = check(files).into_iter();
        complaints.extend(broken.map(|complaint| format!("{complaint} [{rule}]")));
    }
    complaints
}

/// Linking dominates the time that tests take to build, so a crate has at most one binary of them.
fn one_test_binary(files: &[File]) -> Vec<String> {
    let mut binaries: Vec<(&str, &str)> = Vec::new();
    for file in files {
        let Some((owner, name)) = file.path.split_once("/tests/") else {
            continue;
        };
        let is_binary = match name.split_once('/') {
            None => name.ends_with(".rs"),
            Some((_, rest)) => rest == "main.rs",
        };
        if is_binary && !owner.contains("/src") {
            binaries.push((owner, &file.path));
        }
    }
    let repeated = binaries.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    repeated
        .map(|pair| format!("{}: a second test binary beside {}", pair[1].1, pair[0].1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files as a rule sees them.
    pub(super) fn files(list: &[(&str, &str)]) -> Vec<File> {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        list.iter().map(file).collect()
    }

    #[test]
    fn the_repository_is_in_order() {
        let files = repository::files(repository::root()).unwrap();
        assert!(files.len() > 100, "the repository was not found");
        let complaints = complaints(&files);
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    }

    #[test]
    fn generated_files_are_current() {
        let stale = generate::stale().unwrap();
        assert!(stale.is_empty(), "run `cargo xtask gen`: {stale:?}");
    }

    #[test]
    fn a_second_test_binary_is_refused() {
        let one = files(&[
            ("crates/a/tests/it.rs", ""),
            ("crates/a/tests/it/more.rs", ""),
            ("crates/b/tests/it/main.rs", ""),
        ]);
        assert!(one_test_binary(&one).is_empty());
        let two = files(&[("crates/a/tests/it.rs", ""), ("crates/a/tests/two.rs", "")]);
        assert_eq!(one_test_binary(&two).len(), 1);
    }
}
