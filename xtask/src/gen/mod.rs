//! `cargo xtask gen`: everything that is derived from component files, written or compared.
//!
//! Registries come first, because the reference pages need a gateway that builds with them. Each
//! generator is a function from the repository to files; this file writes them, or with `--check`
//! says which are stale and changes nothing. What only a built gateway knows comes from `facts.rs`.

mod components;
mod errors;
mod events;
mod lint;
mod losses;
mod metrics;
mod policies;
mod providers;
mod reference;
mod schema;

use crate::repository;
use serde_json::Value;
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
    let mut stale = differing(root, registries(root)?);
    if stale.is_empty() {
        let pages = pages(root)?;
        stale.extend(superfluous(root, &pages));
        stale.extend(differing(root, pages));
    }
    Ok(stale)
}

fn differing(root: &Path, outputs: Vec<Output>) -> Vec<String> {
    let differs = |(path, text): &Output| !is_current(root, path, text);
    let differing = outputs.into_iter().filter(differs);
    differing.map(|(path, _)| path).collect()
}

fn write_all() -> Result<Vec<String>, String> {
    let root = repository::root();
    let mut written = write(root, registries(root)?)?;
    let pages = pages(root)?;
    for path in superfluous(root, &pages) {
        fs::remove_file(root.join(&path)).map_err(|error| format!("{path}: {error}"))?;
        written.push(path);
    }
    written.extend(write(root, pages)?);
    Ok(written)
}

/// Every page; the registries must be current, because a gateway is built with them.
fn pages(root: &Path) -> Result<Vec<Output>, String> {
    let facts = facts()?;
    let mut pages = errors::pages(&facts)?;
    pages.push(metrics::page(&facts)?);
    pages.push(losses::page(&facts)?);
    pages.push(lint::page(&facts)?);
    pages.extend(events::pages(&facts)?);
    pages.extend(reference::pages(root, &facts)?);
    Ok(pages)
}

#[cfg(test)]
fn facts() -> Result<Value, String> {
    Ok(crate::facts::facts())
}

/// Asks a gateway that is built with the registries as they are now.
#[cfg(not(test))]
fn facts() -> Result<Value, String> {
    let output = repository::cargo()
        .args(["run", "--quiet", "--package", "xtask", "--example", "facts"])
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo run: {error}"))?;
    if !output.status.success() {
        return Err(format!("the example `facts` ended with {}", output.status));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("the example `facts` printed no JSON: {error}"))
}

/// Files in generated folders that nothing generates any more: of components that are gone.
fn superfluous(root: &Path, pages: &[Output]) -> Vec<String> {
    let mut found = Vec::new();
    for folder in [errors::FOLDER, reference::FOLDER] {
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let entries = fs::read_dir(root.join(&folder)).into_iter().flatten();
            for entry in entries.flatten() {
                let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
                if entry.path().is_dir() {
                    folders.push(path);
                } else if !pages.iter().any(|(known, _)| *known == path) {
                    found.push(path);
                }
            }
        }
    }
    found.sort();
    found
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
