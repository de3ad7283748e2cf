//! The console: its types, what is pure in it, whether the committed build is what its sources
//! give, and every page of it in a real browser against the real gateway.
//!
//! The sources are copied into the target folder, so that packages are installed there. Where npm or
//! a browser cannot be had, a line says what was skipped.

use crate::support::{Gateway, Upstream};
use serde_json::json;
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

/// The SHA-256 of `let-me-look`, the key of a viewer.
pub(crate) const GUEST: &str = "57e7341677fe51cc1ef7df1e4b74ea1ee08bead798cc93dd142b070fe7cc9754";

pub(crate) fn repository() -> &'static Path {
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
pub(crate) fn console() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(install).as_deref()
}

fn install() -> Option<PathBuf> {
    packages("console", &repository().join("console"), &PARTS)
}

/// A copy of these parts of a folder with its packages; `None` where they cannot be had.
pub(crate) fn packages(name: &str, from: &Path, parts: &[&str]) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    for part in parts {
        let to = folder.join(part);
        if to.is_dir() {
            std::fs::remove_dir_all(&to).expect("removed");
        }
        copy(&from.join(part), &to);
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
            eprintln!(
                "skipped: 1 file of checks: npm cannot install what {name} needs: {output:?}"
            );
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
pub(crate) fn run(folder: &Path, program: &str, arguments: &[&Path]) -> Vec<String> {
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
    let reference = repository().join("docs/reference");
    let unit = [Path::new("tests/unit.mjs"), &reference];
    assert_eq!(run(folder, "node", &unit).len(), 6);
}

/// Debian's browser, or another that is found; `None` where there is none.
pub(crate) fn browser() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|program| program.is_file());
    if found.is_none() {
        eprintln!("skipped: 1 file of checks: chromium is not installed");
    }
    found
}

/// A gateway that follows the environment `production`, which does not exist yet.
fn follower(admin: &str) -> Gateway {
    let text = format!(
        "gateway: {{ environment: production, workers: 1, \
         admin: {{ address: \"127.0.0.1:0\", rate: 1000{admin} }}, \
         store: {{ engine: {{ sqlite: {{ path: control.db }} }} }}, records: {{ folder: records }}, \
         lake: {{ to: {{ directory: {{ path: lake }} }} }}, files: {{ folder: files }} }}\n"
    );
    Gateway::run(&text, &[], &[])
}

#[test]
fn every_page_works_in_a_browser() {
    let (Some(folder), Some(browser)) = (console(), browser()) else {
        return;
    };
    let upstream = Upstream::echo();
    let open = follower("");
    let hash = crate::policies::SESAME;
    let keys = format!(
        ", keys: {{ boss: {{ sha256: {hash}, role: admin }}, \
         guest: {{ sha256: {GUEST}, role: viewer }} }}"
    );
    let guarded = follower(&keys);
    let admin = |gateway: &Gateway| format!("http://{}", gateway.address("admin"));
    let job = json!({
        "browser": browser, "admin": admin(&open), "environment": "production",
        "upstream": upstream.address, "shots": folder.join("screenshots"),
        "signing": {
            "admin": admin(&guarded),
            "keys": { "admin": "open-sesame", "viewer": "let-me-look" },
        },
    });
    let file = open.path().join("job.json");
    std::fs::write(&file, job.to_string()).expect("written");
    let right = run(folder, "node", &[Path::new("tests/pages/run.mjs"), &file]);
    assert!(right.len() > 100, "{right:#?}");
}
