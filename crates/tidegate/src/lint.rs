//! `tidegate lint`: holds files against the field's rules, which say what is valid and still a bad
//! idea.
//!
//! Reads configurations (YAML, JSON) and the Tidegate resources of Terraform files, without compiling
//! any of it. The rules are in `gate-ops`.

use crate::config;
use crate::output;
use clap::{Args, ValueEnum};
use gate_kit::clock::Clock;
use gate_kit::order::Order;
use gate_model::document::Document;
use gate_ops::lint::{Complaint, Level, RULES, Subject, lint as find, parse_terraform, sarif};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options of `lint`.
#[derive(Debug, Args)]
pub(crate) struct LintOptions {
    /// Configurations (YAML, JSON), Terraform files (`.tf`), and folders of such files.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Print complaints as a JSON array.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print a SARIF 2.1.0 report, which code hosts show beside the lines of a change.
    #[arg(long, conflicts_with = "json")]
    pub(crate) sarif: bool,
    /// Leave a rule out, by its code; several are separated by commas.
    #[arg(long, value_name = "CODE", value_delimiter = ',')]
    pub(crate) ignore: Vec<String>,
    /// Least level of a complaint that makes the exit code 1.
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = FailOn::Error)]
    pub(crate) fail_on: FailOn,
}

/// Least level of a complaint that makes the exit code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Whatever is found.
    Note,
    /// Warnings and errors.
    Warning,
    /// Errors.
    Error,
    /// Nothing.
    Never,
}

/// Runs the command.
pub(crate) fn lint(options: &LintOptions) -> Result<ExitCode, String> {
    if let Some(code) = options
        .ignore
        .iter()
        .find(|code| !RULES.iter().any(|rule| rule.code == **code))
    {
        let known: Vec<&str> = RULES.iter().map(|rule| rule.code).collect();
        let near = gate_model::suggest::nearest(code, known);
        let near = near.map(|near| format!("; did you mean `{near}`?"));
        return Err(format!(
            "there is no rule `{code}`{}",
            near.unwrap_or_default()
        ));
    }
    let mut subjects = Vec::new();
    for file in files(&options.files)? {
        subjects.push(subject(&file)?);
    }
    let mut found = find(&subjects, Clock::System.unix().as_secs());
    found.retain(|complaint| !options.ignore.iter().any(|code| code == complaint.code));
    if options.sarif {
        output::print_json(&sarif(&found, env!("CARGO_PKG_VERSION")))?;
    } else if options.json {
        output::print_json(&found)?;
    } else {
        output::print(&text(&found, subjects.len()))?;
    }
    let least = match options.fail_on {
        FailOn::Note => Level::Note,
        FailOn::Warning => Level::Warning,
        FailOn::Error => Level::Error,
        FailOn::Never => return Ok(ExitCode::SUCCESS),
    };
    Ok(
        match found.iter().any(|complaint| complaint.level >= least) {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        },
    )
}

/// The files, and those that folders hold, in order of name.
fn files(given: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for path in given {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let file = entry.map_err(failed)?.path();
            let kind = file.extension().and_then(|extension| extension.to_str());
            if matches!(kind, Some("tf" | "yaml" | "yml")) && file.is_file() {
                inside.push(file);
            }
        }
        inside.order();
        files.append(&mut inside);
    }
    Ok(files)
}

/// A file, read in its language.
fn subject(file: &Path) -> Result<Subject, String> {
    let bytes = config::read(file)?;
    let name = file.display().to_string();
    if file.extension().is_some_and(|extension| extension == "tf") {
        let text = std::str::from_utf8(&bytes);
        let text = text.map_err(|error| format!("{name}: the file is no text: {error}"))?;
        return parse_terraform(text, &name);
    }
    let document = Document::parse(&bytes, &name).map_err(|findings| {
        let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
        findings.join("\n")
    })?;
    Ok(Subject::of_document(document))
}

/// Complaints as people read them.
fn text(found: &[Complaint], files: usize) -> String {
    let mut text = String::new();
    for complaint in found {
        let Complaint {
            code,
            level,
            path,
            file,
            line,
            column,
            message,
        } = complaint;
        let level = level.as_str();
        text.push_str(&format!(
            "{file}:{line}:{column}: {level}[{code}]: {message}\n  at {path}\n"
        ));
        if let Some(rule) = RULES.iter().find(|rule| rule.code == *code) {
            text.push_str(&format!("  help: {}\n", rule.doc));
        }
    }
    let files = match files {
        1 => "1 file".to_owned(),
        files => format!("{files} files"),
    };
    let of = |level| {
        found
            .iter()
            .filter(|complaint| complaint.level == level)
            .count()
    };
    let (errors, warnings, notes) = (of(Level::Error), of(Level::Warning), of(Level::Note));
    text.push_str(&format!(
        "{files}: {errors} errors, {warnings} warnings, {notes} notes\n"
    ));
    text
}
