//! `tidegate experiments`: failures that are brought about on purpose, and the way to end them.

use super::server::ServerOptions;
use super::show::{self, line};
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand};
use gate_api::types::{Experiment, ExperimentState};
use std::process::ExitCode;

/// The commands about experiments.
#[derive(Debug, Subcommand)]
pub(crate) enum ExperimentsCommand {
    /// Show how a gateway's experiments stand.
    List(ListOptions),
    /// End an experiment now, on every gateway of the environment, until its resource is another.
    Stop(StopOptions),
}

/// Options of `experiments list`.
#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `experiments stop`.
#[derive(Debug, Args)]
pub(crate) struct StopOptions {
    /// The experiment.
    name: String,
    /// Why; kept in the audit log.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Runs the command.
pub(crate) fn run(command: &ExperimentsCommand) -> Result<ExitCode, String> {
    match command {
        ExperimentsCommand::List(options) => list(options),
        ExperimentsCommand::Stop(options) => stop(options),
    }
}

fn list(options: &ListOptions) -> Result<ExitCode, String> {
    let found = options.server.client()?.experiments();
    let found = found.map_err(|error| show::refusal(&error))?;
    if options.json {
        output::print_json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let columns = [
        "EXPERIMENT",
        "INJECTS",
        "SCOPE",
        "STATE",
        "ENDS",
        "STRUCK",
        "SPARED",
        "BAD",
    ];
    let mut table = Table::new(&columns);
    for one in &found {
        table.row(vec![
            line(&one.name),
            line(&one.inject),
            line(&scope(one)),
            word(one.state).to_owned(),
            line(one.ends.as_deref().unwrap_or("-")),
            one.strikes.to_string(),
            one.spared.to_string(),
            format!("{} of {}", one.bad, one.seen),
        ]);
    }
    output::print(&table.finish())?;
    Ok(ExitCode::SUCCESS)
}

fn scope(one: &Experiment) -> String {
    let fields = one.scope.iter();
    let fields: Vec<String> = fields
        .map(|(field, value)| format!("{field}={value}"))
        .collect();
    fields.join(" ")
}

const fn word(state: ExperimentState) -> &'static str {
    match state {
        ExperimentState::Awaited => "awaited",
        ExperimentState::Running => "running",
        ExperimentState::Ended => "ended",
        ExperimentState::Stopped => "stopped",
        ExperimentState::StoppedByGuard => "stopped by its guard",
        ExperimentState::StoppedByBudget => "stopped for an error budget",
    }
}

fn stop(options: &StopOptions) -> Result<ExitCode, String> {
    let client = options.server.client()?;
    let stopped = client.stop_experiment(&options.name, &options.reason);
    let stopped = stopped.map_err(|error| show::refusal(&error))?;
    let text = format!(
        "{} is {} after {} strikes\n",
        line(&stopped.name),
        word(stopped.state),
        stopped.strikes
    );
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
