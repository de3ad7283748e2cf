//! Reading a configuration: the file, the secrets it refers to, and the registry it may name.

use gate_flow::SecretSource;
use gate_model::document::Document;
use gate_model::environment;
use gate_model::finding::Finding;
use gate_proxy::compile::Registry;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest file of configuration, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Largest file with a secret, in bytes.
const SECRET_BYTES_MAX: u64 = 64 * 1024;
/// Largest file with what is no secret, such as an API's document, in bytes.
const PUBLIC_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What this binary was built with.
pub(crate) const REGISTRY: Registry = Registry {
    policies: gate_policies::POLICIES,
    condition: gate_policies::when::compile,
    model_condition: gate_policies::when::compile_for_models,
    rule: gate_ops::rules::check,
    record_condition: gate_policies::when::compile_for_records,
    objective: gate_ops::slo::check,
    runbook: gate_ops::runbook::problems,
    subscriber: gate_ops::event::delivery::problems,
    schedule: gate_ops::event::schedule::check,
    crossed: Some(crate::events::crossed),
};

/// The bytes of a file of configuration.
///
/// # Errors
/// One sentence that names the file.
pub(crate) fn read(file: &Path) -> Result<Vec<u8>, String> {
    bytes(file, FILE_BYTES_MAX).map_err(|error| format!("cannot read {}: {error}", file.display()))
}

/// Parses what was read from `file`.
///
/// # Errors
/// Everything that keeps it from being a document.
pub(crate) fn parse(bytes: &[u8], file: &Path) -> Result<Document, Vec<Finding>> {
    let document = Document::parse(bytes, &file.display().to_string())?;
    let findings = environment::check_file(&document);
    match findings.is_empty() {
        true => Ok(document),
        false => Err(findings),
    }
}

/// The folder that relative paths in `file` start from.
pub(crate) fn folder(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn bytes(file: &Path, most: u64) -> Result<Vec<u8>, String> {
    let open = std::fs::File::open(file).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    let read = open.take(most + 1).read_to_end(&mut bytes);
    if read.map_err(|error| error.to_string())? as u64 > most {
        return Err(format!("it is larger than {most} bytes"));
    }
    Ok(bytes)
}

/// Secrets from the environment and from files.
pub(crate) struct Secrets;

impl SecretSource for Secrets {
    fn env(&self, name: &str) -> Result<String, String> {
        match std::env::var(name) {
            Ok(value) if !value.is_empty() => Ok(value),
            Ok(_) => Err(format!("the environment variable {name} is empty")),
            Err(std::env::VarError::NotPresent) => {
                Err(format!("the environment variable {name} is not set"))
            }
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(format!("the environment variable {name} is not UTF-8"))
            }
        }
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        text(path, SECRET_BYTES_MAX)
    }

    fn public_file(&self, path: &Path) -> Result<String, String> {
        text(path, PUBLIC_BYTES_MAX)
    }

    fn public_bytes(&self, path: &Path, most: u64) -> Result<Vec<u8>, String> {
        bytes(path, most).map_err(|error| format!("cannot read {}: {error}", path.display()))
    }
}

/// The trimmed text of a file.
fn text(path: &Path, most: u64) -> Result<String, String> {
    let bytes =
        bytes(path, most).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    match String::from_utf8(bytes).map(|text| text.trim().to_owned()) {
        Ok(text) if text.is_empty() => Err(format!("{} is empty", path.display())),
        Ok(text) => Ok(text),
        Err(_) => Err(format!("{} is not UTF-8", path.display())),
    }
}
