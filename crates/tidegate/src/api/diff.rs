//! `tidegate api diff OLD NEW`: what changed between two OpenAPI documents.

use crate::{config, output};
use clap::{Args, ValueEnum};
use gate_contract::diff::{Change, Diff, Options, Severity, compare};
use gate_kit::clock::Clock;
use gate_model::document::Document;
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const DAY_S: u64 = 86_400;

/// Options of `api diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffOptions {
    /// The document that callers know (OpenAPI 3.0 or 3.1, YAML or JSON).
    pub(crate) old: PathBuf,
    /// The document that is to take its place.
    pub(crate) new: PathBuf,
    /// Print versions, changes and the proposed version as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Leave changes out that are less than this.
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Level::Info)]
    pub(crate) level: Level,
    /// Least level of a change that makes the exit code 1.
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = FailOn::Breaking)]
    pub(crate) fail_on: FailOn,
    /// Accept changes by this rule, such as `response-header-added`; several are separated by
    /// commas.
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub(crate) ignore: Vec<String>,
    /// Days that must lie between a deprecation and its sunset; deprecations without a sunset are
    /// breaking then.
    #[arg(long, value_name = "DAYS", default_value_t = 0)]
    pub(crate) notice_days: u64,
}

/// Least level of a change that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// Everything.
    Info,
    /// What may break callers, and what does.
    Warning,
    /// What breaks callers.
    Breaking,
}

/// Least level of a change that makes the exit code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Any change.
    Info,
    /// What may break callers, and what does.
    Warning,
    /// What breaks callers.
    Breaking,
    /// Nothing.
    Never,
}

/// Runs the command.
pub(super) fn diff(options: &DiffOptions) -> Result<ExitCode, String> {
    let (old, new) = (read(&options.old)?, read(&options.new)?);
    let by = Options {
        today: Clock::System.unix().as_secs() / DAY_S,
        notice_days: options.notice_days,
    };
    let mut diff = compare(&old, &new, &by);
    diff.changes
        .retain(|change| !options.ignore.contains(&change.rule));
    let least = match options.level {
        Level::Info => Severity::Info,
        Level::Warning => Severity::Warning,
        Level::Breaking => Severity::Breaking,
    };
    let shown: Vec<&Change> = diff
        .changes
        .iter()
        .filter(|change| change.severity >= least)
        .collect();
    match options.json {
        true => output::print_json(&as_json(&diff, &shown))?,
        false => output::print(&as_text(options, &diff, &shown))?,
    }
    let fails = match options.fail_on {
        FailOn::Info => diff.worst() >= Some(Severity::Info),
        FailOn::Warning => diff.worst() >= Some(Severity::Warning),
        FailOn::Breaking => diff.worst() >= Some(Severity::Breaking),
        FailOn::Never => false,
    };
    Ok(if fails {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn read(file: &Path) -> Result<Document, String> {
    let bytes = config::read(file)?;
    let document = Document::parse(&bytes, &file.display().to_string());
    let document = document.map_err(|findings| {
        let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })?;
    match document.root.get("openapi") {
        Some(_) => Ok(document),
        None => Err(format!(
            "{}: it is no OpenAPI document: `openapi` is missing",
            file.display()
        )),
    }
}

fn as_json(diff: &Diff, shown: &[&Change]) -> serde_json::Value {
    json!({
        "old_version": diff.old_version,
        "new_version": diff.new_version,
        "breaking": diff.count(Severity::Breaking),
        "warnings": diff.count(Severity::Warning),
        "infos": diff.count(Severity::Info),
        "proposal": diff.proposal(),
        "changes": shown,
    })
}

fn as_text(options: &DiffOptions, diff: &Diff, shown: &[&Change]) -> String {
    let mut text = String::new();
    for change in shown {
        let (colour, reset) = match change.severity {
            Severity::Breaking => ("\u{1b}[1;31m", "\u{1b}[0m"),
            Severity::Warning => ("\u{1b}[1;33m", "\u{1b}[0m"),
            Severity::Info => ("", ""),
        };
        let operation = change.operation.as_ref();
        let operation =
            operation.map_or_else(String::new, |at| format!("{} {}: ", at.method, at.path));
        let severity = change.severity.as_str();
        // Nothing is lost when a string cannot grow.
        let _ = writeln!(
            text,
            "{colour}{severity}[{}]{reset}: {operation}{}",
            change.rule, change.message
        );
        for (file, place) in [(&options.old, &change.old), (&options.new, &change.new)] {
            if let Some(place) = place {
                let (line, column) = (place.line, place.column);
                let _ = writeln!(
                    text,
                    "  {}:{line}:{column} {}",
                    file.display(),
                    place.pointer
                );
            }
        }
    }
    let count = |severity| diff.count(severity);
    let _ = writeln!(
        text,
        "{} breaking, {} warnings, {} infos",
        count(Severity::Breaking),
        count(Severity::Warning),
        count(Severity::Info)
    );
    if let (Some(was), Some(proposal)) = (&diff.old_version, diff.proposal()) {
        let _ = match proposal.step {
            "none" => writeln!(text, "nothing differs from version {was}"),
            step => writeln!(
                text,
                "the version after {was} is {} ({step})",
                proposal.version
            ),
        };
    }
    text
}
