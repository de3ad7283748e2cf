//! `tidegate check`: validates a configuration without binding, connecting or fetching anything.
//!
//! Everything that `run` would refuse is found here, each at its place in the file. A secret that
//! is not there is a warning only: a file is usually checked where its secrets are not.

use crate::config;
use crate::output;
use clap::Args;
use gate_flow::{Ask, SecretSource, SharedState};
use gate_kit::clock::Clock;
use gate_model::document::{Document, Path as DocumentPath, canonical_json};
use gate_model::finding::Finding;
use gate_model::resources::Resources;
use gate_net::dns::Dns;
use gate_proxy::compile::Compiler;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

/// Options of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckOptions {
    /// The configuration, in YAML or JSON.
    pub(crate) file: PathBuf,
    /// Print findings as a JSON array.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs the command.
pub(crate) fn check(options: &CheckOptions) -> Result<ExitCode, String> {
    let bytes = config::read(&options.file)?;
    let parsed = config::parse(&bytes, &options.file);
    // Its tree is as large, and both are not needed together.
    drop(bytes);
    let findings = match parsed {
        Ok(document) => compile(&document, &options.file),
        Err(findings) => findings,
    };
    let errors = findings.iter().filter(|finding| finding.is_error()).count();
    let file = options.file.display();
    if options.json {
        output::print_json(&findings)?;
    } else {
        for finding in &findings {
            output::tell_finding(finding);
        }
        match errors {
            0 => output::print(&format!("{file}: valid\n"))?,
            1 => output::tell(&format!("{file}: 1 error")),
            _ => output::tell(&format!("{file}: {errors} errors")),
        }
    }
    Ok(match errors {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Errors, or else warnings.
pub(crate) fn compile(document: &Document, file: &Path) -> Vec<Finding> {
    let (state, clock) = (SharedState::default(), Clock::System);
    let secrets = Lenient::default();
    let compiler = Compiler {
        registry: &config::REGISTRY,
        state: &state,
        secrets: &secrets,
        clock: &clock,
        dns: &Dns::system(clock.clone()),
        folder: &config::folder(file),
        books: None,
    };
    let mut findings = match compiler.compile(document, 1) {
        Ok(compiled) => compiled.warnings,
        Err(findings) => findings,
    };
    findings.extend(admin(document, &config::folder(file)));
    findings.extend(unknown_fields(document));
    let missing = secrets.missing.into_inner();
    let missing = missing.unwrap_or_else(PoisonError::into_inner);
    findings.extend(missing.into_iter().map(|sentence| {
        Finding::warning("secret_missing", DocumentPath::root(), sentence).in_file(&document.file)
    }));
    findings
}

/// What is wrong with the files of the admin address. Settings that cannot be read are found when
/// the document is compiled.
fn admin(document: &Document, folder: &Path) -> Option<Finding> {
    let settings = Resources::read(document).ok()?.gateway.admin?;
    let message = crate::admin::tls(&settings, folder).err()?;
    let path = DocumentPath::root().key("gateway").key("admin").key("tls");
    Some(Finding::error("invalid_listener", path, message).locate(document))
}

/// Subscribers whose pattern asks for what no event has.
fn unknown_fields(document: &Document) -> Vec<Finding> {
    let json = serde_json::from_str(&canonical_json(&document.root)).unwrap_or_default();
    let unknown = gate_ops::event::plan::unknown_fields(&json).into_iter();
    let found = unknown.map(|one| {
        let path = DocumentPath::root().key("subscribers").key(one.subscriber);
        let path = path.key("filter").key("pattern").key("data");
        let finding = Finding::error("unknown_event_field", path, one.message);
        let finding = finding.locate(document);
        match one.help {
            Some(help) => finding.help(help),
            None => finding,
        }
    });
    found.collect()
}

/// What stands in for an absent secret.
const PLACEHOLDER: &str = "placeholder";

/// Secrets that may be absent: a placeholder stands in, and the absence is told. Nobody is asked for
/// those that are kept elsewhere.
#[derive(Default)]
struct Lenient {
    missing: Mutex<Vec<String>>,
}

impl Lenient {
    fn or_placeholder(&self, found: Result<String, String>) -> Result<String, String> {
        found.or_else(|sentence| {
            let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
            if !missing.contains(&sentence) {
                missing.push(sentence);
            }
            Ok(PLACEHOLDER.to_owned())
        })
    }
}

impl SecretSource for Lenient {
    fn env(&self, name: &str) -> Result<String, String> {
        self.or_placeholder(config::Secrets.env(name))
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        self.or_placeholder(config::Secrets.file(path))
    }

    fn stored(&self, _: &str) -> Result<String, String> {
        Ok(PLACEHOLDER.to_owned())
    }

    fn ask(&self, _: &Ask<'_>) -> Result<String, String> {
        Ok(PLACEHOLDER.to_owned())
    }

    fn placeholder(&self) -> Option<&str> {
        Some(PLACEHOLDER)
    }

    fn public_file(&self, path: &Path) -> Result<String, String> {
        config::Secrets.public_file(path)
    }

    fn public_bytes(&self, path: &Path, most: u64) -> Result<Vec<u8>, String> {
        config::Secrets.public_bytes(path, most)
    }
}
