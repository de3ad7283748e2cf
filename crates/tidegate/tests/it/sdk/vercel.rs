//! Vercel's AI SDK, from npm, as a caller of every vendor's package.

use super::run_command;
use super::vendors::{answers, vendors};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;

const FILES: [(&str, &str); 3] = [
    ("package.json", include_str!("vercel/package.json")),
    (
        "package-lock.json",
        include_str!("vercel/package-lock.json"),
    ),
    ("vercel.mjs", include_str!("vercel/vercel.mjs")),
];

/// A folder with the script and its packages, made once; `None` where they cannot be had.
fn packages() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vercel");
    let installed = folder.join("installed");
    std::fs::create_dir_all(&folder).expect("a folder");
    for (name, text) in FILES {
        std::fs::write(folder.join(name), text).expect("written");
    }
    if std::fs::read_to_string(&installed).is_ok_and(|found| found == FILES[1].1) {
        return Some(folder);
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]);
    match npm.current_dir(&folder).output() {
        Ok(output) if output.status.success() => {
            std::fs::write(installed, FILES[1].1).expect("written");
            Some(folder)
        }
        Ok(output) => {
            eprintln!("skipped: 1 file of checks: npm cannot install the AI SDK: {output:?}");
            None
        }
        Err(error) => {
            eprintln!("skipped: 1 file of checks: npm: {error}");
            None
        }
    }
}

#[test]
fn vercels_ai_sdk_works_with_every_vendors_package() {
    let Some(folder) = packages() else { return };
    let upstream = answers();
    let models = ["claude", "command", "gemini", "gpt", "mistral"];
    let kinds = ["anthropic", "cohere", "gemini", "openai", "mistral"];
    let models: Vec<_> = models.into_iter().zip(kinds).collect();
    let gateway = vendors(&upstream, &models, "");
    let job = json!({ "url": gateway.url(""), "key": "open-sesame" });
    let mut node = Command::new("node");
    node.arg(folder.join("vercel.mjs"));
    assert_eq!(run_command(node, &job).len(), 7 * 4 + 4);
}
