//! `tidegate plan`: what a file would change, and what that would do to traffic.

use super::document::Source;
use super::server::Place;
use super::show;
use crate::output;
use clap::Args;
use gate_api::types::{DocumentInput, Mode, Verdict};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The exit code for a plan that changes something.
const CHANGES: u8 = 2;

/// Options of `plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanOptions {
    /// The file, and whose it is.
    #[command(flatten)]
    pub(super) what: DocumentOptions,
    /// Print the plan as JSON.
    #[arg(long)]
    pub(super) json: bool,
    /// Where.
    #[command(flatten)]
    pub(super) place: Place,
}

/// A file of resources, and whose it is.
#[derive(Debug, Args)]
pub(crate) struct DocumentOptions {
    /// The resources, in YAML or JSON, without `gateway`.
    pub(super) file: PathBuf,
    /// Who owns these resources; `file:` and the file's name without its ending when left out.
    #[arg(long, value_name = "NAME")]
    manager: Option<String>,
    /// Keep resources of the same owner that the file does not name.
    #[arg(long)]
    keep: bool,
    /// Take over resources that others own.
    #[arg(long)]
    take_over: bool,
}

impl DocumentOptions {
    /// What the API is sent.
    pub(super) fn input(&self, source: &Source) -> DocumentInput {
        let manager = self.manager.clone().unwrap_or_else(|| owner(&self.file));
        DocumentInput {
            mode: match self.keep {
                true => Mode::Merge,
                false => Mode::Sync,
            },
            take_over: self.take_over,
            ..DocumentInput::sync(source.document.clone(), manager)
        }
    }
}

/// Who owns what a file holds.
fn owner(file: &Path) -> String {
    let name = file.file_stem().map(|stem| stem.to_string_lossy());
    format!("file:{}", name.as_deref().unwrap_or("main"))
}

/// Runs the command.
pub(crate) fn plan(options: &PlanOptions) -> Result<ExitCode, String> {
    let source = Source::read(&options.what.file)?;
    let (client, environment) = options.place.open()?;
    let input = options.what.input(&source);
    let plan = client
        .plan(&environment, &input)
        .map_err(|error| show::refusal_of(&error, &source))?;
    if options.json {
        output::print_json(&plan)?;
    } else {
        source.tell(&plan.findings);
        output::print(&show::plan(&environment, &plan))?;
    }
    Ok(match (plan.verdict, plan.is_empty()) {
        (Verdict::Forbidden, _) => ExitCode::FAILURE,
        (Verdict::Allowed, false) => ExitCode::from(CHANGES),
        (Verdict::Allowed, true) => ExitCode::SUCCESS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_owned_under_its_name_without_ending() {
        for (file, expected) in [
            ("gate.yaml", "file:gate"),
            ("./conf/shop.v2.json", "file:shop.v2"),
            ("/", "file:main"),
        ] {
            assert_eq!(owner(Path::new(file)), expected);
        }
    }
}
