//! Files of more than 400 lines and functions of more than 60 do not become more or longer.
//!
//! What was too long when the rule came is listed in `xtask/ratchet.txt` with its size: it may
//! shrink, not grow. Functions are found by their indentation, which rustfmt keeps.

use crate::repository::File;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

const LIST: &str = "xtask/ratchet.txt";
const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 60;

const HEADER: &str = "\
# Files over 400 lines and functions over 60, with the size they may have.
# They may shrink, not grow. Written by `cargo xtask tidy --record`; a line that is new or larger
# here needs its reason in the commit.
";

/// What is too long: a path, or a path and a function, with its lines.
type Sizes = BTreeMap<String, usize>;

pub(super) fn check(files: &[File]) -> Vec<String> {
    let allowed = allowed(files);
    let mut complaints = Vec::new();
    for (what, lines) in measure(files) {
        match allowed.get(&what) {
            Some(&most) if lines <= most => {}
            Some(&most) => complaints.push(format!("{what}: grew from {most} to {lines} lines")),
            None => complaints.push(format!("{what}: {lines} lines are too many")),
        }
    }
    complaints
}

/// What the list allows and nothing needs any more.
pub(super) fn shrunk(files: &[File]) -> Vec<String> {
    let now = measure(files);
    let less = |(what, most): (String, usize)| {
        let lines = now.get(&what).copied().unwrap_or(0);
        (lines < most).then(|| format!("{what}: shrunk, lower it in {LIST} (`tidy --record`)"))
    };
    allowed(files).into_iter().filter_map(less).collect()
}

/// Writes the list anew.
pub(super) fn record(root: &Path, files: &[File]) -> Result<(), String> {
    let mut out = HEADER.to_owned();
    for (what, lines) in measure(files) {
        let _ = writeln!(out, "{lines} {what}");
    }
    fs::write(root.join(LIST), out).map_err(|error| format!("{LIST}: {error}"))
}

fn allowed(files: &[File]) -> Sizes {
    let list = files.iter().find(|file| file.path == LIST);
    let lines = list.map_or("", |file| &file.text).lines();
    lines
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(lines, what)| Some((what.to_owned(), lines.parse().ok()?)))
        .collect()
}

fn measure(files: &[File]) -> Sizes {
    let mut sizes = Sizes::new();
    for file in files.iter().filter(|file| file.ends_with(".rs")) {
        let lines: Vec<&str> = file.text.lines().collect();
        if lines.len() > FILE_LINES {
            sizes.insert(file.path.clone(), lines.len());
        }
        for (name, length) in functions(&lines) {
            if length > FUNCTION_LINES {
                let largest = sizes.entry(format!("{} {name}", file.path)).or_default();
                *largest = length.max(*largest);
            }
        }
    }
    sizes
}

/// Functions with their lines, from `fn` to the closing brace.
fn functions<'a>(lines: &[&'a str]) -> Vec<(&'a str, usize)> {
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let text = line.trim_start();
        let Some(name) = function_name(text) else {
            continue;
        };
        let indent = &line[..line.len() - text.len()];
        let ends = |line: &&str| line.strip_prefix(indent) == Some("}");
        // Declarations and one-liners end on the line that ends their signature.
        let end = |line: &&&str| line.ends_with(['{', '}', ';']);
        if !lines[start..]
            .iter()
            .find(end)
            .is_some_and(|line| line.ends_with('{'))
        {
            continue;
        }
        if let Some(length) = lines[start..].iter().position(ends) {
            found.push((name, length + 1));
        }
    }
    found
}

fn function_name(text: &str) -> Option<&str> {
    let mut words = text.split(' ');
    loop {
        let word = words.next()?;
        let is_qualifier = word.starts_with("pub") || matches!(word, "const" | "async");
        match word {
            "fn" => break,
            _ if is_qualifier => {}
            _ => return None,
        }
    }
    words.next()?.split(['(', '<']).next()
}

#[cfg(test)]
mod tests {
    use super::super::tests::files;
    use super::*;

    fn function(name: &str, lines: usize) -> String {
        let body = "        work();\n".repeat(lines - 2);
        format!("impl X {{\n    pub(crate) async fn {name}<T>(\n{body}    }}\n}}\n")
            .replace("(\n", "() {\n")
    }

    #[test]
    fn long_functions_are_measured_and_short_ones_are_not() {
        let long = function("long", 61);
        let lines: Vec<&str> = long.lines().collect();
        assert_eq!(functions(&lines), [("long", 61)]);
        let sizes = measure(&files(&[("a.rs", &long), ("b.rs", &function("short", 60))]));
        assert_eq!(
            sizes.into_iter().collect::<Vec<_>>(),
            [("a.rs long".to_owned(), 61)]
        );
    }

    #[test]
    fn declarations_are_no_functions() {
        let text = "trait A {\n    fn a(&self);\n    fn c(&self) {}\n    fn b(&self) -> u8 {\n        1\n    }\n}\n";
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(functions(&lines), [("b", 3)]);
    }

    #[test]
    fn the_list_lets_sizes_shrink_and_not_grow() {
        let with = |allowed: usize, lines: usize| {
            let list = format!("{HEADER}{allowed} a.rs f\n");
            files(&[(LIST, &list), ("a.rs", &function("f", lines))])
        };
        assert!(check(&with(70, 70)).is_empty());
        assert!(shrunk(&with(70, 70)).is_empty());
        assert_eq!(check(&with(70, 71)).len(), 1);
        assert!(check(&with(70, 65)).is_empty());
        assert_eq!(shrunk(&with(70, 65)).len(), 1);
        assert_eq!(check(&files(&[("a.rs", &function("f", 61))])).len(), 1);
        let file = "//\n".repeat(401);
        assert_eq!(check(&files(&[("a.rs", &file)])).len(), 1);
    }
}
