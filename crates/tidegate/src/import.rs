//! `tidegate import`: writes a configuration from another gateway's file.
//!
//! The reading is `gate-import`'s. Here the file is read, and those beside it that it includes
//! (`beside`), the document is checked as
//! `tidegate check` does it, so that nothing is handed out that would not run, and the list of what
//! could not be carried over is printed. Exit codes: 0 when all of it is there, 1 when the file
//! cannot be read, 3 when the document is there and something is in the list.

mod beside;

use crate::{check, config, output};
use clap::{Args, ValueEnum};
use gate_import::{Format, Imported, Note, Outcome};
use gate_model::finding::Finding;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Exit code when something could not be carried over.
const INCOMPLETE: u8 = 3;

/// Options of `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportOptions {
    /// Whose configuration it is.
    #[arg(value_enum)]
    pub(crate) from: From,
    /// The file.
    pub(crate) file: PathBuf,
    /// Write the document there; to standard output when left out. A file that is there stays.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Print document and list as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Whose configuration a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// nginx.conf
    Nginx,
    /// A declarative file of Kong's (decK)
    Kong,
    /// A LiteLLM proxy's config.yaml
    Litellm,
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Printed<'a> {
    document: &'a str,
    notes: &'a [Note],
    findings: &'a [Finding],
}

/// Runs the command.
///
/// # Errors
/// One sentence that names the file and the line.
pub(crate) fn import(options: &ImportOptions) -> Result<ExitCode, String> {
    let bytes = config::read(&options.file)?;
    let format = match options.from {
        From::Nginx => Format::Nginx,
        From::Kong => Format::Kong,
        From::Litellm => Format::LiteLlm,
    };
    let mut beside = beside::Folder::of(&options.file);
    let mut include = |pattern: &str| beside.files(pattern);
    let read = gate_import::import_with(format, &bytes, &mut include);
    let imported = read.map_err(|error| {
        let file = named(&options.file, error.file.as_deref());
        match error.line {
            0 => format!("{file}: {}", error.message),
            line => format!("{file}:{line}: {}", error.message),
        }
    })?;
    let written = options.out.as_deref().unwrap_or(&options.file);
    let findings = findings(&imported.document, written);
    match options.json {
        true => output::print_json(&Printed {
            document: &imported.document,
            notes: &imported.notes,
            findings: &findings,
        })?,
        false => tell(&options.file, &imported, &findings),
    }
    match &options.out {
        Some(out) => write(out, &imported.document)?,
        None if options.json => {}
        None => output::print(&imported.document)?,
    }
    let errors = findings.iter().any(Finding::is_error);
    Ok(match (errors, imported.is_whole()) {
        (true, _) => ExitCode::FAILURE,
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::from(INCOMPLETE),
    })
}

/// The file, or one that it includes.
fn named(file: &Path, included: Option<&str>) -> String {
    let path = included.map(|name| file.with_file_name(name));
    path.as_deref().unwrap_or(file).display().to_string()
}

/// What `tidegate check` says about the document, as if it lay where it will be written.
fn findings(document: &str, written: &Path) -> Vec<Finding> {
    let findings = match config::parse(document.as_bytes(), written) {
        Ok(document) => check::compile(&document, written),
        Err(findings) => findings,
    };
    // That secrets are missing on this machine says nothing about the document.
    let of_document = |finding: &Finding| finding.code != "secret_missing";
    findings.into_iter().filter(of_document).collect()
}

/// Prints the list for people, what needs nothing only as a number.
fn tell(file: &Path, imported: &Imported, findings: &[Finding]) {
    let (needless, told): (Vec<&Note>, Vec<&Note>) = imported
        .notes
        .iter()
        .partition(|note| note.outcome == Outcome::Needless);
    for note in &told {
        let (line, what, word) = (note.line, &note.what, note.outcome.word());
        let file = named(file, note.file.as_deref());
        output::tell(&format!("{file}:{line}: {word}: {what}: {}", note.why));
    }
    let file = file.display();
    findings.iter().for_each(output::tell_finding);
    let (told, needless) = (told.len(), needless.len());
    output::tell(&format!(
        "{file}: {told} to look at, {needless} that need nothing (--json lists them)"
    ));
}

/// Writes a file that is not there yet.
fn write(out: &Path, document: &str) -> Result<(), String> {
    use std::io::Write as _;
    let wrong = |error: std::io::Error| format!("cannot write {}: {error}", out.display());
    let mut file = std::fs::File::create_new(out).map_err(wrong)?;
    file.write_all(document.as_bytes()).map_err(wrong)
}
