//! `tidegate api`: contracts of services, and who calls which version of them.

pub(crate) mod callers;
mod diff;

use clap::Subcommand;
use std::process::ExitCode;

/// What `api` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum ApiCommand {
    /// Say what a newer OpenAPI document changes for those who call by the older one; exit code 1
    /// when something breaks them.
    Diff(diff::DiffOptions),
    /// Show who still calls which version, from the store of a configuration.
    Callers(callers::CallersOptions),
}

/// Runs the command.
///
/// # Errors
/// One text for people.
pub(crate) fn api(command: &ApiCommand) -> Result<ExitCode, String> {
    match command {
        ApiCommand::Diff(options) => diff::diff(options),
        ApiCommand::Callers(options) => callers::callers(options),
    }
}
