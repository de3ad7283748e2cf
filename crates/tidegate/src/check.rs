//! `tidegate check`: validates a configuration without binding, connecting or fetching anything.
//!
//! Everything that `run` would refuse is found here, each at its place in the file. A secret that
//! is not there is a warning only: a file is usually checked where its secrets are not.

use crate::commands::CheckOptions;
use crate::config;
use gate_flow::{SecretSource, SharedState};
use gate_kit::clock::Clock;
use gate_model::document::Document;
use gate_model::finding::Finding;
use gate_net::dns::Dns;
use gate_proxy::compile::Compiler;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

/// Runs the command.
pub fn check(options: &CheckOptions) -> Result<ExitCode, String> {
    let bytes = config::read(&options.file)?;
    let (findings, missing) = match config::parse(&bytes, &options.file) {
        Ok(document) => compile(&document, &options.file),
        Err(findings) => (findings, Vec::new()),
    };
    let errors = findings.iter().filter(|finding| finding.is_error()).count();
    if options.json {
        let json = serde_json::to_string_pretty(&findings).map_err(|error| error.to_string())?;
        anstream::println!("{json}");
    } else {
        for finding in &findings {
            anstream::eprintln!("{finding}");
        }
    }
    for sentence in missing {
        anstream::eprintln!("warning[secret_missing]: {sentence}");
    }
    if errors > 0 {
        if !options.json {
            let noun = if errors == 1 { "error" } else { "errors" };
            anstream::eprintln!("{}: {errors} {noun}", options.file.display());
        }
        return Ok(ExitCode::FAILURE);
    }
    if !options.json {
        anstream::println!("{}: valid", options.file.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Findings, and sentences about secrets that are not here.
fn compile(document: &Document, file: &Path) -> (Vec<Finding>, Vec<String>) {
    let (state, clock) = (SharedState::default(), Clock::System);
    let secrets = Lenient::default();
    let compiler = Compiler {
        registry: &config::REGISTRY,
        state: &state,
        secrets: &secrets,
        clock: &clock,
        dns: &Dns::system(clock.clone()),
        folder: &config::folder(file),
    };
    let findings = match compiler.compile(document, 1) {
        Ok(_) => Vec::new(),
        Err(findings) => findings,
    };
    let missing = secrets.missing.into_inner();
    (findings, missing.unwrap_or_else(PoisonError::into_inner))
}

/// Secrets that may be absent: a placeholder stands in, and the absence is told.
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
            Ok("placeholder".to_owned())
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
}
