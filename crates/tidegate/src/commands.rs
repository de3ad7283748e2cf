//! The command line as clap reads it: every command, option and help text.

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;

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
    /// Print what this binary is.
    Version(VersionOptions),
    /// Print completions for a shell.
    Completions(CompletionsOptions),
}

/// The commands about keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Print a new key once, with the hash that the configuration needs. Nothing is stored.
    New(NewKeyOptions),
}

/// Options of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// The configuration, in YAML or JSON; applied again on SIGHUP and whenever it changes.
    pub(crate) file: PathBuf,
    /// Unix socket through which listening sockets pass from a running gateway to this one, and
    /// later from this one to its successor. Its folder must exist.
    #[arg(long, value_name = "PATH")]
    pub(crate) handover: Option<PathBuf>,
    /// How the operator's log is written to standard error.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log: LogFormat,
    /// Least severity that is logged.
    #[arg(long, value_enum, default_value_t = LogLevel::Info)]
    pub(crate) log_level: LogLevel,
}

/// Options of `health`.
#[derive(Debug, Args)]
pub(crate) struct HealthOptions {
    /// The configuration whose `gateway.admin.address` is asked.
    pub(crate) file: Option<PathBuf>,
    /// Address and port to ask instead.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Option<String>,
}

/// How the operator's log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Least severity that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
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
pub(crate) struct CheckOptions {
    /// The configuration, in YAML or JSON.
    pub(crate) file: PathBuf,
    /// Print findings as a JSON array.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// Port of the gateway on 127.0.0.1; 0 lets the system choose.
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Port of health and metrics on 127.0.0.1; 0 lets the system choose.
    #[arg(long, default_value_t = 0)]
    pub(crate) admin_port: u16,
    /// Print the configuration that the demo runs on, too.
    #[arg(long)]
    pub(crate) print_config: bool,
}

/// Options of `explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainOptions {
    /// The field, such as `routes.match.host`; the whole configuration when left out.
    #[arg(default_value = "")]
    pub(crate) path: String,
}

/// Options of `keys new`.
#[derive(Debug, Args)]
pub(crate) struct NewKeyOptions {
    /// Name of the consumer that the key belongs to.
    #[arg(long, value_name = "NAME", default_value = "new-consumer")]
    pub(crate) consumer: String,
    /// Print key and hash as JSON.
    #[arg(long)]
    pub(crate) json: bool,
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
