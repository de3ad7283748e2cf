//! `tidegate rollouts`: what is tried on a share of requests, on what evidence, and a person's word.

use super::server::{Place, ServerOptions};
use super::show::{self, line};
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand};
use gate_api::types::{Rollout, RolloutState};
use std::fmt::Write;
use std::process::ExitCode;

/// Rollouts that are listed.
const LISTED: usize = 20;

/// Options of `rollouts`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct RolloutsCommand {
    /// What else to do than to list them.
    #[command(subcommand)]
    command: Option<RolloutCommand>,
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
    /// Where.
    #[command(flatten)]
    place: Place,
}

/// The commands about one rollout.
#[derive(Debug, Subcommand)]
pub(crate) enum RolloutCommand {
    /// Show a rollout with its evidence.
    Show(ShowOptions),
    /// Make its candidate the current revision now.
    Promote(SteerOptions),
    /// Take its candidate out of service now.
    Rollback(SteerOptions),
    /// Leave the share as it is.
    Hold(SteerOptions),
    /// Let it go on by itself again.
    Resume(SteerOptions),
}

/// Options of `rollouts show`.
#[derive(Debug, Args)]
pub(crate) struct ShowOptions {
    /// The rollout, as `tidegate rollouts` lists it.
    id: String,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of the commands that steer a rollout.
#[derive(Debug, Args)]
pub(crate) struct SteerOptions {
    /// The rollout, as `tidegate rollouts` lists it.
    id: String,
    /// Why; kept in the audit log.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Runs the command.
pub(crate) fn rollouts(options: &RolloutsCommand) -> Result<ExitCode, String> {
    match &options.command {
        None => list(options),
        Some(RolloutCommand::Show(options)) => show(options),
        Some(RolloutCommand::Promote(options)) => steer(options, "promote"),
        Some(RolloutCommand::Rollback(options)) => steer(options, "rollback"),
        Some(RolloutCommand::Hold(options)) => steer(options, "hold"),
        Some(RolloutCommand::Resume(options)) => steer(options, "resume"),
    }
}

fn list(options: &RolloutsCommand) -> Result<ExitCode, String> {
    let (client, environment) = options.place.open()?;
    let found = client.rollouts(&environment);
    let mut found = found.map_err(|error| show::refusal(&error))?;
    found.truncate(LISTED);
    if options.json {
        output::print_json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["ROLLOUT", "REVISION", "STATE", "SHARE", "STARTED", "REASON"]);
    for rollout in &found {
        table.row(vec![
            line(&rollout.id),
            rollout.candidate.to_string(),
            word(rollout.state).to_owned(),
            share(rollout),
            line(&rollout.started),
            line(&rollout.reason),
        ]);
    }
    output::print(&table.finish())?;
    Ok(ExitCode::SUCCESS)
}

fn show(options: &ShowOptions) -> Result<ExitCode, String> {
    let found = options.server.client()?.rollout(&options.id);
    let found = found.map_err(|error| show::refusal(&error))?;
    if options.json {
        output::print_json(&found)?;
    } else {
        output::print(&describe(&found))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn steer(options: &SteerOptions, action: &str) -> Result<ExitCode, String> {
    let client = options.server.client()?;
    let now = client.steer(&options.id, action, &options.reason);
    let now = now.map_err(|error| show::refusal(&error))?;
    output::print(&describe(&now))?;
    Ok(ExitCode::SUCCESS)
}

fn describe(rollout: &Rollout) -> String {
    let mut text = format!(
        "{}\n  environment {}\n  revision    {} beside {}\n  state       {}\n  share       {}\n  \
         strategy    {}\n  reason      {}\n",
        line(&rollout.id),
        line(&rollout.environment),
        rollout.candidate,
        rollout.control,
        word(rollout.state),
        share(rollout),
        line(&rollout.strategy),
        line(&rollout.reason),
    );
    let mut table = Table::new(&["ROUTE", "SIGNAL", "CURRENT", "CANDIDATE", "EVIDENCE"]);
    for evidence in &rollout.evidence {
        let arm = |bad: u64, total: u64| format!("{bad} of {total}");
        table.row(vec![
            line(&evidence.slice),
            line(&evidence.signal),
            arm(evidence.control.bad, evidence.control.total),
            arm(evidence.candidate.bad, evidence.candidate.total),
            format!("{:.3}", evidence.e_value),
        ]);
    }
    if !rollout.evidence.is_empty() {
        let _ = write!(text, "\n{}", table.finish());
    }
    text
}

fn share(rollout: &Rollout) -> String {
    format!("{} %", (rollout.share * 10_000.0).round() / 100.0)
}

const fn word(state: RolloutState) -> &'static str {
    match state {
        RolloutState::Running => "running",
        RolloutState::Held => "held",
        RolloutState::Promoted => "promoted",
        RolloutState::RolledBack => "rolled back",
    }
}
