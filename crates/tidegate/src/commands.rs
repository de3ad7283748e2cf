//! The commands, each of which is a file of its own with its options and what it does.
//!
//! A new command is a line in [`Command`], a line in [`Command::run`], and its file.

use crate::check::{self, CheckOptions};
use crate::demo::{self, DemoOptions};
use crate::health::{self, HealthOptions};
use crate::keys::{self, KeysCommand};
use crate::lint::{self, LintOptions};
use crate::reference::{self, CompletionsOptions, ExplainOptions, VersionOptions};
use crate::run::{self, RunOptions};
use crate::terraform::{self, ProviderOptions};
use crate::usage::{self, UsageCommand};
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The gateway for APIs and AI models that SREs run as code.
#[derive(Debug, Parser)]
#[command(
    name = "tidegate",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway from a file of configuration.
    Run(RunOptions),
    /// Validate a file of configuration without running it.
    Check(CheckOptions),
    /// Hold configurations and Terraform files against rules of good practice.
    Lint(LintOptions),
    /// Ask a running gateway whether it is ready; exit code 0 or 1.
    Health(HealthOptions),
    /// Start a gateway with sample services on this machine, to try it out.
    Demo(DemoOptions),
    /// Print the JSON Schema of the configuration, with which editors complete and check it.
    Schema,
    /// Print the reference of one field of the configuration.
    Explain(ExplainOptions),
    /// Make keys for consumers.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Show what calls to models cost, from the ledger of a configuration's store.
    Usage(Box<UsageCommand>),
    /// Serve Terraform, which starts this by a link named `terraform-provider-tidegate`.
    TerraformProvider(ProviderOptions),
    /// Print what this binary is.
    Version(VersionOptions),
    /// Print completions for a shell.
    Completions(CompletionsOptions),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// One text for people that says what failed.
    pub(crate) fn run(self) -> Result<ExitCode, String> {
        match self {
            Command::Run(options) => run::run(&options),
            Command::Check(options) => check::check(&options),
            Command::Lint(options) => lint::lint(&options),
            Command::Health(options) => health::health(&options),
            Command::Demo(options) => demo::demo(&options),
            Command::Schema => reference::schema(),
            Command::Explain(options) => reference::explain(&options),
            Command::Keys(KeysCommand::New(options)) => keys::new(&options),
            Command::Usage(command) => usage::usage(&command),
            Command::TerraformProvider(options) => terraform::provider(&options),
            Command::Version(options) => reference::version(&options),
            Command::Completions(options) => reference::completions(&options),
        }
    }
}
