//! The repository as a folder of text files: where it is, what is in it.

use std::env;
use std::fs;
use std::path::Path;

/// Folders that hold nothing of ours.
const SKIPPED: [&str; 7] = [
    ".git",
    ".venv",
    "artifacts",
    "corpus",
    "coverage",
    "node_modules",
    "shared",
];

/// Whether a folder is one that cargo builds into, beside a `Cargo.toml`; folders of sources may be
/// called `target`, too. Cargo's own mark, `CACHEDIR.TAG`, is missing where the folder was there first.
fn is_built(folder: &Path) -> bool {
    folder.ends_with("target") && folder.with_file_name("Cargo.toml").is_file()
}

/// The top folder of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
}

/// The cargo that runs this command, else the one of the path, in the top folder.
pub(crate) fn cargo() -> std::process::Command {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(cargo);
    command.current_dir(root());
    command
}

/// One text file.
pub(crate) struct File {
    /// Path from the top folder, with `/`.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

impl File {
    pub(crate) fn ends_with(&self, end: &str) -> bool {
        self.path.ends_with(end)
    }
}

/// Every text file of the repository, sorted by path. Files that are not UTF-8 are left out.
pub(crate) fn files(root: &Path) -> Result<Vec<File>, String> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().map_err(|error| error.to_string())?;
            if kind.is_dir() {
                if !SKIPPED.contains(&name.as_str()) && !is_built(&path) {
                    folders.push(path);
                }
            } else if kind.is_file()
                // A work tree's `.git` is a file.
                && name != ".git"
                && let Ok(text) = fs::read_to_string(&path)
            {
                let relative = path.strip_prefix(root).map_err(|error| error.to_string())?;
                files.push(File {
                    path: relative.to_string_lossy().replace('\\', "/"),
                    text,
                });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The `//!` lines that a file opens with, without their marks.
pub(crate) fn header(text: &str) -> Vec<&str> {
    text.lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect()
}
