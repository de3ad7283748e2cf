//! The console: its types, what is pure in it, whether the committed build is what its sources
//! give.
//!
//! The sources are copied into the target folder, so that packages are installed there. Where npm
//! cannot be had, a line says what was skipped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What a build and the tests need of `console/`.
const PARTS: [&str; 8] = [
    "index.html",
    "package.json",
    "package-lock.json",
    "public",
    "src",
    "tests",
    "tsconfig.json",
    "vite.config.mjs",
];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/tidegate lies two folders deep")
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        std::fs::create_dir_all(to).expect("a folder");
        for entry in std::fs::read_dir(from).expect("a folder of ours").flatten() {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        std::fs::copy(from, to).expect("copied");
    }
}

/// A copy of the console with its packages, made once; `None` where they cannot be had.
fn console() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(install).as_deref()
}

fn install() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("console");
    std::fs::create_dir_all(&folder).expect("a folder");
    for part in PARTS {
        let to = folder.join(part);
        if to.is_dir() {
            std::fs::remove_dir_all(&to).expect("removed");
        }
        copy(&repository().join("console").join(part), &to);
    }
    let lock = std::fs::read_to_string(folder.join("package-lock.json")).expect("just copied");
    let installed = folder.join("installed");
    if std::fs::read_to_string(&installed).is_ok_and(|found| found == lock) {
        return Some(folder);
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
    match npm.current_dir(&folder).output() {
        Ok(output) if output.status.success() => {
            std::fs::write(installed, lock).expect("written");
            Some(folder)
        }
        Ok(output) => {
            eprintln!("skipped: 1 file of checks: npm cannot install the console's: {output:?}");
            None
        }
        Err(error) => {
            eprintln!("skipped: 1 file of checks: npm: {error}");
            None
        }
    }
}

/// Runs a program in the copy; the checks that it names, all of which must be right.
#[track_caller]
fn run(folder: &Path, program: &str, arguments: &[&Path]) -> Vec<String> {
    let mut command = Command::new(program);
    let output = command.args(arguments).current_dir(folder).output();
    let output = output.expect("node is here, since npm is");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in said.lines().filter(|line| line.starts_with("skipped: ")) {
        eprintln!("{line}");
    }
    assert!(output.status.success(), "{said}\n{output:?}");
    let right = said.lines().filter_map(|line| line.strip_prefix("ok "));
    right.map(str::to_owned).collect()
}

#[test]
fn sources_have_types_and_give_what_is_committed() {
    let Some(folder) = console() else { return };
    run(folder, "node_modules/.bin/tsc", &[Path::new("--noEmit")]);
    let committed = repository().join("console/dist");
    let stale = [Path::new("tests/stale.mjs"), &committed];
    assert_eq!(run(folder, "node", &stale).len(), 2);
    let schema = repository().join("docs/reference/schema.json");
    let unit = [Path::new("tests/unit.mjs"), &schema];
    assert_eq!(run(folder, "node", &unit).len(), 4);
}
