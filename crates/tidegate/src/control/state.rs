//! `tidegate state`: Terraform states that a gateway keeps.

use super::server::ServerOptions;
use super::show::{self, line};
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand};
use gate_api::client::{Client, ClientError};
use gate_api::types::{State, StateVersion};
use std::process::ExitCode;

/// The commands about states.
#[derive(Debug, Subcommand)]
pub(crate) enum StateCommand {
    /// List states with their locks.
    List(ListOptions),
    /// Print what a state holds, which may be secret; or list its versions.
    Show(ShowOptions),
    /// Take a lock away whose holder has gone. The holder's next write is refused.
    Unlock(UnlockOptions),
    /// Write an older version again, as the newest.
    Restore(RestoreOptions),
}

/// Options of `state list`.
#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `state show`.
#[derive(Debug, Args)]
pub(crate) struct ShowOptions {
    /// The state.
    name: String,
    /// An older version; the newest when left out.
    #[arg(long, value_name = "VERSION", conflicts_with = "versions")]
    at: Option<u64>,
    /// List its versions instead, the newest first.
    #[arg(long)]
    versions: bool,
    /// Print the list as JSON.
    #[arg(long, requires = "versions")]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `state unlock`.
#[derive(Debug, Args)]
pub(crate) struct UnlockOptions {
    /// The state.
    name: String,
    /// The lock's identity, as `state list` shows it, so that no other lock is taken by mistake.
    id: String,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `state restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreOptions {
    /// The state.
    name: String,
    /// The version to write again.
    #[arg(value_name = "VERSION")]
    at: u64,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Runs the command.
pub(crate) fn run(command: &StateCommand) -> Result<ExitCode, String> {
    let refusal = |error: ClientError| show::refusal(&error);
    match command {
        StateCommand::List(options) => {
            let states = options.server.client()?.states().map_err(refusal)?;
            if options.json {
                output::print_json(&states)?;
            } else {
                output::print(&list(&states))?;
            }
        }
        StateCommand::Show(options) => show(&options.server.client()?, options)?,
        StateCommand::Unlock(options) => {
            let client = options.server.client()?;
            client
                .unlock_state(&options.name, &options.id)
                .map_err(refusal)?;
            output::print(&format!("{} is unlocked.\n", options.name))?;
        }
        StateCommand::Restore(options) => {
            let client = options.server.client()?;
            let state = client
                .restore_state(&options.name, options.at)
                .map_err(refusal)?;
            let (version, serial) = (number(state.version), number(state.serial));
            output::print(&format!(
                "Version {} of {} is written again as version {version}, serial {serial}.\n",
                options.at, options.name
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(client: &Client, options: &ShowOptions) -> Result<(), String> {
    let refusal = |error: ClientError| show::refusal(&error);
    if options.versions {
        let versions = client.state_versions(&options.name).map_err(refusal)?;
        return match options.json {
            true => output::print_json(&versions),
            false => output::print(&self::versions(&versions)),
        };
    }
    let bytes = client.state(&options.name, options.at).map_err(refusal)?;
    output::print(&format!("{}\n", String::from_utf8_lossy(&bytes).trim_end()))
}

fn list(states: &[State]) -> String {
    let mut table = Table::new(&["STATE", "VERSION", "SERIAL", "WRITTEN", "LOCK", "HELD BY"]);
    for state in states {
        let lock = state.lock.as_ref();
        table.row(vec![
            line(&state.name),
            number(state.version),
            number(state.serial),
            line(state.updated.as_deref().unwrap_or_default()),
            line(lock.map_or("", |lock| &lock.id)),
            line(lock.map_or("", |lock| &lock.who)),
        ]);
    }
    table.finish()
}

fn versions(versions: &[StateVersion]) -> String {
    let mut table = Table::new(&["VERSION", "SERIAL", "WRITTEN", "BY", "BYTES", "SHA-256"]);
    for version in versions {
        table.row(vec![
            version.version.to_string(),
            version.serial.to_string(),
            line(&version.at),
            line(&version.author),
            version.bytes.to_string(),
            line(&version.digest),
        ]);
    }
    table.finish()
}

fn number(number: Option<u64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}
