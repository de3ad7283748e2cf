//! `tidegate lake`: the files that `gateway.lake` keeps, beside gateways that may be running.

use crate::config::{self, Secrets};
use crate::output;
use clap::{Args, Subcommand};
use gate_model::resources::Resources;
use gate_proxy::record::lake;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// What is done with a lake.
#[derive(Debug, Subcommand)]
pub(crate) enum LakeCommand {
    /// Delete every row and body of a consumer, for good.
    Forget(ForgetOptions),
}

/// Options of `tidegate lake forget`.
#[derive(Debug, Args)]
pub(crate) struct ForgetOptions {
    /// The file with `gateway.lake`.
    file: PathBuf,
    /// The consumer, by its name.
    consumer: String,
    /// Most seconds to wait for the gateway that keeps the lake to let go of it.
    #[arg(long, default_value_t = 90)]
    wait: u64,
}

/// Runs the command.
pub(crate) fn lake(command: &LakeCommand) -> Result<ExitCode, String> {
    let LakeCommand::Forget(options) = command;
    let bytes = config::read(&options.file)?;
    let told = |findings: Vec<gate_model::finding::Finding>| {
        let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    let document = config::parse(&bytes, &options.file).map_err(told)?;
    let resources = Resources::read(&document).map_err(told)?;
    let folder = config::folder(&options.file);
    let patience = Duration::from_secs(options.wait);
    let gateway = &resources.gateway;
    let forgotten = lake::forget(gateway, &folder, &Secrets, &options.consumer, patience)?;
    let (rows, files) = (forgotten.rows, forgotten.files);
    let files = format!("{files} files were rewritten or removed");
    output::print(&format!("deleted {rows} rows; {files}\n"))?;
    Ok(ExitCode::SUCCESS)
}
