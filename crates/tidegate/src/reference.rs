//! `tidegate schema`, `explain`, `version` and `completions`: what this binary knows about itself.

use crate::commands::Cli;
use crate::output;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde::Serialize;
use std::process::ExitCode;

/// Options of `explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainOptions {
    /// The field, such as `routes.match.host`; the whole configuration when left out.
    #[arg(default_value = "")]
    pub(crate) path: String,
}

/// Options of `version`.
#[derive(Debug, Args)]
pub(crate) struct VersionOptions {
    /// Print it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsOptions {
    /// The shell.
    pub(crate) shell: Shell,
}

/// Prints the JSON Schema of the configuration.
pub(crate) fn schema() -> Result<ExitCode, String> {
    output::print(&gate_api::schema())?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the reference of one field.
pub(crate) fn explain(options: &ExplainOptions) -> Result<ExitCode, String> {
    let schema = serde_json::from_str(&gate_api::schema()).map_err(|error| error.to_string())?;
    let text =
        gate_model::explain::explain(&schema, &options.path).map_err(|error| error.to_string())?;
    output::print(&format!("{}\n", text.trim_end()))?;
    Ok(ExitCode::SUCCESS)
}

/// What this binary is.
#[derive(Debug, Serialize)]
struct About {
    version: &'static str,
    /// Set by release builds through `TIDEGATE_COMMIT`.
    commit: Option<&'static str>,
    target: String,
}

impl About {
    fn this() -> Self {
        let libc = match () {
            () if cfg!(target_env = "musl") => "-musl",
            () if cfg!(target_env = "gnu") => "-gnu",
            () => "",
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("TIDEGATE_COMMIT").filter(|commit| !commit.is_empty()),
            target: format!("{}-{}{libc}", std::env::consts::ARCH, std::env::consts::OS),
        }
    }
}

/// Prints what this binary is.
pub(crate) fn version(options: &VersionOptions) -> Result<ExitCode, String> {
    let about = About::this();
    if options.json {
        output::print_json(&about)?;
        return Ok(ExitCode::SUCCESS);
    }
    let commit = about.commit.unwrap_or("commit unknown");
    let (version, target) = (about.version, &about.target);
    output::print(&format!("tidegate {version} ({commit}, {target})\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a shell's completions.
pub(crate) fn completions(options: &CompletionsOptions) -> Result<ExitCode, String> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "tidegate", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
