//! `cargo xtask gen`: everything that is derived from component files, written or compared.
//!
//! Registries come first, because the reference pages need a gateway that builds with them. Each
//! generator is a function from the repository to files; this file writes them, or with `--check`
//! says which are stale and changes nothing.

mod components;
mod errors;
mod policies;
mod providers;
mod reference;
mod schema;

use crate::repository;
use std::fs;
use std::path::Path;

/// A generated file: its path from the top folder, and its text.
type Output = (String, String);

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let check = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => return Err("usage: cargo xtask gen [--check]".into()),
    };
    let stale = if check { stale()? } else { write_all()? };
    if stale.is_empty() {
        println!("gen: everything is up to date");
        return Ok(());
    }
    for path in &stale {
        println!("gen: {} {path}", if check { "stale" } else { "wrote" });
    }
    match check {
        true => Err("generated files are stale; run `cargo xtask gen` and commit".into()),
        false => Ok(()),
    }
}

/// Paths of generated files that differ from what would be generated now.
pub(crate) fn stale() -> Result<Vec<String>, String> {
    let root = repository::root();
    let mut outputs = registries(root)?;
    outputs.extend(errors::pages(root)?);
    let mut stale: Vec<String> = outputs
        .into_iter()
        .filter(|(path, text)| !is_current(root, path, text))
        .map(|(path, _)| path)
        .collect();
    if stale.is_empty() {
        let pages = reference::pages(root)?;
        stale.extend(reference::superfluous(root, &pages));
        stale.extend(
            pages
                .into_iter()
                .filter(|(path, text)| !is_current(root, path, text))
                .map(|(path, _)| path),
        );
    }
    Ok(stale)
}

fn write_all() -> Result<Vec<String>, String> {
    let root = repository::root();
    let mut written = write(root, registries(root)?)?;
    written.extend(write(root, errors::pages(root)?)?);
    let pages = reference::pages(root)?;
    for path in reference::superfluous(root, &pages) {
        fs::remove_file(root.join(&path)).map_err(|error| format!("{path}: {error}"))?;
        written.push(path);
    }
    written.extend(write(root, pages)?);
    Ok(written)
}

fn registries(root: &Path) -> Result<Vec<Output>, String> {
    let mut outputs = Vec::new();
    outputs.extend(policies::registry(root)?);
    outputs.extend(providers::registry(root)?);
    Ok(outputs)
}

fn is_current(root: &Path, path: &str, text: &str) -> bool {
    fs::read_to_string(root.join(path)).is_ok_and(|now| now == text)
}

fn write(root: &Path, outputs: Vec<Output>) -> Result<Vec<String>, String> {
    let mut written = Vec::new();
    for (path, text) in outputs {
        if is_current(root, &path, &text) {
            continue;
        }
        let full = root.join(&path);
        if let Some(folder) = full.parent() {
            fs::create_dir_all(folder).map_err(|error| format!("{path}: {error}"))?;
        }
        fs::write(&full, text).map_err(|error| format!("{path}: {error}"))?;
        written.push(path);
    }
    Ok(written)
}
