//! The command line as clap reads it: every command, option and help text.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// The gateway for APIs and AI models that SREs run as code.
#[derive(Debug, Parser)]
#[command(
    name = "tidegate",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway from a file of configuration.
    Run(RunOptions),
    /// Validate a file of configuration without running it.
    Check(CheckOptions),
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// The configuration, in YAML or JSON; applied again on SIGHUP and whenever it changes.
    pub file: PathBuf,
    /// Unix socket through which listening sockets pass from a running gateway to this one, and
    /// later from this one to its successor. Its folder must exist.
    #[arg(long, value_name = "PATH")]
    pub handover: Option<PathBuf>,
    /// How the operator's log is written to standard error.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log: LogFormat,
    /// Least severity that is logged.
    #[arg(long, value_enum, default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,
}

/// How the operator's log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Least severity that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Only what is broken.
    Error,
    /// And what may break.
    Warn,
    /// And what happened to the process.
    Info,
    /// And what happened to connections.
    Debug,
}

/// Options of `check`.
#[derive(Debug, Args)]
pub struct CheckOptions {
    /// The configuration, in YAML or JSON.
    pub file: PathBuf,
    /// Print findings as a JSON array.
    #[arg(long)]
    pub json: bool,
}
