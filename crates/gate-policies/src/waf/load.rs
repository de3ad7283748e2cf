//! Rule files from disk. What the same files made is kept as long as a policy uses it, so that routes
//! share it and reloads that do not change it cost nothing.

use super::WafConfig;
use gate_flow::CompileContext;
use gate_kit::order::Order;
use gate_waf::{Files, Loader, Problem, RECOMMENDED, RuleSet};
use rustc_hash::FxHasher;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Most bytes of one file.
const FILE_MAX: u64 = 16 * 1024 * 1024;
/// Most files of one pattern.
const FILES_MAX: usize = 1000;
/// Most problems that are told at once.
const TOLD_MAX: usize = 10;

type Refusal = (Option<&'static str>, String);

/// Rule sets in use, by what they were made of.
#[derive(Default)]
struct Known {
    sets: Mutex<HashMap<(u64, u64), Weak<RuleSet>>>,
}

/// The rules of a policy.
pub(super) fn rules(
    config: &WafConfig,
    context: &CompileContext<'_>,
) -> Result<Arc<RuleSet>, Refusal> {
    let files = read_all(config, context)?;
    let known = context.state.get_or_insert("", Known::default);
    let disk = Disk;
    let print = fingerprint(config, &files);
    let mut sets = known.sets.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(rules) = sets.get(&print).and_then(Weak::upgrade) {
        return Ok(rules);
    }
    let mut loader = Loader::new(&disk);
    loader.add("recommended.conf", RECOMMENDED);
    let folder = context.folder.join("directives");
    loader.add(&folder.to_string_lossy(), &config.directives);
    for (file, text) in &files {
        loader.add(&file.to_string_lossy(), text);
    }
    let rules = loader
        .finish()
        .map_err(|problems| (Some("rules"), told(&problems)))?;
    // Compiled here, on the control thread, so that no request waits for a pattern.
    rules
        .prepare()
        .map_err(|problems| (Some("rules"), told(&problems)))?;
    let rules = Arc::new(rules);
    sets.retain(|_, set| set.strong_count() > 0);
    sets.insert(print, Arc::downgrade(&rules));
    Ok(rules)
}

/// All rule files with their texts, in order.
fn read_all(
    config: &WafConfig,
    context: &CompileContext<'_>,
) -> Result<Vec<(PathBuf, String)>, Refusal> {
    let mut files = Vec::new();
    let refusal = |message: String| (Some("rules"), message);
    for pattern in &config.rules {
        for file in expand(&context.resolve(pattern)).map_err(refusal)? {
            let text = read(&file).map_err(refusal)?;
            let text = String::from_utf8(text)
                .map_err(|_| refusal(format!("{} is no UTF-8", file.display())))?;
            files.push((file, text));
        }
    }
    Ok(files)
}

/// What a rule set is made of, data files besides: these are told by their times.
fn fingerprint(config: &WafConfig, files: &[(PathBuf, String)]) -> (u64, u64) {
    let mut hashers = (FxHasher::default(), FxHasher::default());
    1_u8.hash(&mut hashers.1);
    for hasher in [&mut hashers.0, &mut hashers.1] {
        config.directives.hash(hasher);
        for (file, text) in files {
            file.hash(hasher);
            text.hash(hasher);
            for beside in beside(file) {
                beside.hash(hasher);
            }
        }
    }
    (hashers.0.finish(), hashers.1.finish())
}

/// Size and time of the data files beside a rule file.
fn beside(file: &Path) -> Vec<(PathBuf, u64, Option<std::time::SystemTime>)> {
    let entries = file
        .parent()
        .and_then(|folder| std::fs::read_dir(folder).ok());
    let mut found = Vec::new();
    for entry in entries.into_iter().flatten().flatten() {
        let path = entry.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "data")
            && let Ok(meta) = entry.metadata()
        {
            found.push((path, meta.len(), meta.modified().ok()));
        }
    }
    found.order();
    found
}

fn told(problems: &[Problem]) -> String {
    let mut lines: Vec<String> = problems
        .iter()
        .take(TOLD_MAX)
        .map(ToString::to_string)
        .collect();
    if problems.len() > TOLD_MAX {
        lines.push(format!("and {} more", problems.len() - TOLD_MAX));
    }
    lines.join("; ")
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let told = |error: std::io::Error| format!("{} cannot be read: {error}", file.display());
    let length = std::fs::metadata(file).map_err(told)?.len();
    if length > FILE_MAX {
        return Err(format!("{} has more than {FILE_MAX} bytes", file.display()));
    }
    std::fs::read(file).map_err(told)
}

/// The files that a path means, whose last part may hold `*`.
fn expand(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let name = pattern
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    if !name.contains('*') {
        return Ok(vec![pattern.to_owned()]);
    }
    let folder = pattern.parent().unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder)
        .map_err(|error| format!("{} cannot be read: {error}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| {
        file.file_name()
            .is_some_and(|file| matches(&name, &file.to_string_lossy()))
    });
    files.order();
    match files.len() {
        0 => Err(format!("no file is meant by {}", pattern.display())),
        1..=FILES_MAX => Ok(files),
        _ => Err(format!(
            "{} means more than {FILES_MAX} files",
            pattern.display()
        )),
    }
}

/// Whether a name is meant by a pattern with `*` for any letters.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|name| {
            (0..=name.len()).any(|at| name.is_char_boundary(at) && matches(rest, &name[at..]))
        }),
    }
}

/// Files beside the file that names them.
struct Disk;

impl Files for Disk {
    fn read(&self, name: &str, from: &str) -> Result<Vec<u8>, String> {
        read(
            &Path::new(from)
                .parent()
                .unwrap_or(Path::new("."))
                .join(name),
        )
    }

    fn list(&self, pattern: &str, from: &str) -> Result<Vec<String>, String> {
        let folder = Path::new(from).parent().unwrap_or(Path::new("."));
        let files = expand(&folder.join(pattern))?;
        Ok(files
            .iter()
            .map(|file| file.to_string_lossy().into_owned())
            .collect())
    }
}
