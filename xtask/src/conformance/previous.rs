//! The binary of the version before this one, built from the repository's own history.
//!
//! Nothing is released yet, so that the version before is a commit; it moves with each release. Where
//! the history does not reach back so far (a shallow clone, a source archive) it is said and left out.

use super::cargo;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version before: what a store may have been written by, and what a downgrade goes back to.
const COMMIT: &str = "2978d10";

/// Builds it, in folders of its own below the target folder; nothing where history does not have it.
pub(super) fn binary(root: &Path) -> Result<Option<PathBuf>, String> {
    let named = format!("{COMMIT}^{{commit}}");
    if !git(root, &["cat-file", "-e", &named])? {
        println!(
            "{:<24} the commit {COMMIT} is not in this history",
            "skipped"
        );
        return Ok(None);
    }
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let folder = target.join("previous").join(COMMIT);
    let (source, build) = (folder.join("source"), folder.join("build"));
    let binary = build.join("debug/tidegate");
    if binary.exists() {
        return Ok(Some(binary));
    }
    let place = source.display().to_string();
    if !source.exists() && !git(root, &["worktree", "add", "--detach", &place, COMMIT])? {
        return Err(format!("{COMMIT} cannot be checked out at {place}"));
    }
    let built = cargo(&source)
        .args(["build", "--locked", "--package", "tidegate"])
        .env("CARGO_TARGET_DIR", &build)
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    // The sources have served; their folder is registered in the repository otherwise.
    git(root, &["worktree", "remove", "--force", &place])?;
    match built.success() {
        true => Ok(Some(binary)),
        false => Err(format!("the version before ({COMMIT}) does not build")),
    }
}

/// Runs git quietly; whether it succeeded.
fn git(root: &Path, arguments: &[&str]) -> Result<bool, String> {
    let status = Command::new("git")
        .args(arguments)
        .current_dir(root)
        .stderr(std::process::Stdio::null())
        .status()
        .map_err(|error| format!("cannot run git: {error}"))?;
    Ok(status.success())
}
