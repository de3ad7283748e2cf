//! `tidegate env`, `lock`, `unlock` and `confirm`: environments themselves.

use super::server::{Place, ServerOptions};
use super::show::{self, line};
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand};
use gate_api::client::{Client, ClientError, Seen};
use gate_api::types::{AckState, Environment, EnvironmentInput};
use gate_model::document::is_variable_name;
use serde::Serialize;
use std::fmt::Write;
use std::process::ExitCode;

/// The commands about environments.
#[derive(Debug, Subcommand)]
pub(crate) enum EnvCommand {
    /// List environments.
    List(ListOptions),
    /// Show an environment and what its gateways say.
    Show(ShowOptions),
    /// Make an environment, or change its variables and where it is promoted to.
    Set(SetOptions),
    /// Remove an environment; its revisions stay.
    Remove(RemoveOptions),
}

/// Options of `env list`.
#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `env show`.
#[derive(Debug, Args)]
pub(crate) struct ShowOptions {
    /// The environment.
    name: String,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `env set`.
#[derive(Debug, Args)]
pub(crate) struct SetOptions {
    /// The environment; made where it does not exist.
    name: String,
    /// Give a variable a value.
    #[arg(long, value_name = "NAME=VALUE")]
    var: Vec<String>,
    /// Take a variable away.
    #[arg(long, value_name = "NAME")]
    unset: Vec<String>,
    /// The environment that its revisions are promoted to; empty for none.
    #[arg(long, value_name = "NAME")]
    promotes_to: Option<String>,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `env remove`.
#[derive(Debug, Args)]
pub(crate) struct RemoveOptions {
    /// The environment.
    name: String,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `lock`.
#[derive(Debug, Args)]
pub(crate) struct LockOptions {
    /// Why; shown to whoever is refused.
    reason: String,
    /// Where.
    #[command(flatten)]
    place: Place,
}

/// Options of `unlock`.
#[derive(Debug, Args)]
pub(crate) struct UnlockOptions {
    /// Where.
    #[command(flatten)]
    place: Place,
}

/// Options of `confirm`.
#[derive(Debug, Args)]
pub(crate) struct ConfirmOptions {
    /// Where.
    #[command(flatten)]
    place: Place,
}

/// Runs `env`.
pub(crate) fn run(command: &EnvCommand) -> Result<ExitCode, String> {
    match command {
        EnvCommand::List(options) => list(options),
        EnvCommand::Show(options) => show(options),
        EnvCommand::Set(options) => set(options),
        EnvCommand::Remove(options) => remove(options),
    }
}

fn list(options: &ListOptions) -> Result<ExitCode, String> {
    let found = options.server.client()?.environments();
    let found = found.map_err(|error| show::refusal(&error))?;
    if options.json {
        return print_json(&found);
    }
    let mut table = Table::new(&["ENVIRONMENT", "STATE", "PROMOTES TO"]);
    table.head(&["REVISION", "GENERATION"]);
    for environment in &found {
        table.row(vec![
            line(&environment.name),
            state(environment),
            line(environment.promotes_to.as_deref().unwrap_or("-")),
            environment
                .revision
                .map_or_else(|| "-".into(), |n| n.to_string()),
            environment.generation.to_string(),
        ]);
    }
    output::print(&table.finish())?;
    Ok(ExitCode::SUCCESS)
}

/// How an environment is, in a few words.
fn state(environment: &Environment) -> String {
    let mut words = Vec::new();
    if let Some(lock) = &environment.lock {
        words.push(format!("locked by {}", line(&lock.holder)));
    }
    if let Some(until) = &environment.confirm_until {
        words.push(format!("to be confirmed until {}", line(until)));
    }
    if let Some(candidate) = &environment.candidate {
        words.push(format!("tries revision {}", candidate.revision));
    }
    match words.is_empty() {
        true => "steady".to_owned(),
        false => words.join(", "),
    }
}

fn show(options: &ShowOptions) -> Result<ExitCode, String> {
    let client = options.server.client()?;
    let refused = |error| show::refusal(&error);
    let found = client.environment(&options.name).map_err(refused)?;
    let acks = client.acks(&options.name).map_err(refused)?;
    if options.json {
        #[derive(Serialize)]
        struct Shown<'a> {
            environment: &'a Environment,
            acks: &'a [gate_api::types::Ack],
        }
        return print_json(&Shown {
            environment: &found,
            acks: &acks,
        });
    }
    let mut text = describe(&found);
    if !acks.is_empty() {
        let mut table = Table::new(&["GATEWAY", "REVISION", "STATE", "SAID AT", "REASON"]);
        for ack in &acks {
            table.row(vec![
                line(&ack.instance),
                ack.revision.to_string(),
                match ack.state {
                    AckState::Applied => "applied".to_owned(),
                    AckState::Refused => "refused".to_owned(),
                },
                line(&ack.at),
                line(ack.reason.as_deref().unwrap_or("")),
            ]);
        }
        let _ = write!(text, "\n{}", table.finish());
    }
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn describe(environment: &Environment) -> String {
    let number = |n: Option<u64>| n.map_or_else(|| "none".to_owned(), |n| n.to_string());
    let mut text = format!(
        "{}\n  generation  {}\n  revision    {}\n  confirmed   {}\n  state       {}\n",
        line(&environment.name),
        environment.generation,
        number(environment.revision),
        number(environment.stable),
        state(environment),
    );
    if let Some(lock) = &environment.lock {
        let _ = writeln!(
            text,
            "  lock        {} since {}",
            line(&lock.reason),
            line(&lock.since)
        );
    }
    if let Some(next) = &environment.promotes_to {
        let _ = writeln!(text, "  promotes to {}", line(next));
    }
    for (name, value) in &environment.variables {
        let _ = writeln!(text, "  vars.{name} = {}", line(value));
    }
    text
}

fn set(options: &SetOptions) -> Result<ExitCode, String> {
    let client = options.server.client()?;
    let refused = |error| show::refusal(&error);
    let current = existing(&client, &options.name).map_err(refused)?;
    let seen = match &current {
        Some(environment) => Seen::Generation(environment.generation),
        None => Seen::Any,
    };
    let mut input = current.map_or_else(EnvironmentInput::default, |current| EnvironmentInput {
        variables: current.variables,
        promotes_to: current.promotes_to,
    });
    for assignment in &options.var {
        let (name, value) = assignment
            .split_once('=')
            .ok_or_else(|| format!("--var {assignment}: give NAME=VALUE"))?;
        if !is_variable_name(name) {
            return Err(format!(
                "--var {name}: letters, digits and `_` only, no digit first"
            ));
        }
        input.variables.insert(name.to_owned(), value.to_owned());
    }
    for name in &options.unset {
        if input.variables.remove(name).is_none() {
            return Err(format!("--unset {name}: there is no such variable"));
        }
    }
    if let Some(next) = &options.promotes_to {
        input.promotes_to = Some(next.clone()).filter(|next| !next.is_empty());
    }
    let set = client.put_environment(&options.name, seen, &input);
    let set = set.map_err(refused)?;
    if options.json {
        return print_json(&set);
    }
    output::print(&describe(&set))?;
    Ok(ExitCode::SUCCESS)
}

fn remove(options: &RemoveOptions) -> Result<ExitCode, String> {
    let client = options.server.client()?;
    let refused = |error| show::refusal(&error);
    let current = client.environment(&options.name).map_err(refused)?;
    client
        .delete_environment(&options.name, Seen::Generation(current.generation))
        .map_err(refused)?;
    output::print(&format!("{} is removed.\n", line(&options.name)))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `lock`.
pub(crate) fn lock(options: &LockOptions) -> Result<ExitCode, String> {
    let (client, name) = options.place.open()?;
    changed(client.lock(&name, &options.reason))
}

/// Runs `unlock`.
pub(crate) fn unlock(options: &UnlockOptions) -> Result<ExitCode, String> {
    let (client, name) = options.place.open()?;
    changed(client.unlock(&name))
}

/// Runs `confirm`.
pub(crate) fn confirm(options: &ConfirmOptions) -> Result<ExitCode, String> {
    let (client, name) = options.place.open()?;
    let seen = client
        .environment(&name)
        .map_err(|error| show::refusal(&error))?;
    changed(client.confirm(&name, Seen::Generation(seen.generation)))
}

fn changed(result: Result<Environment, ClientError>) -> Result<ExitCode, String> {
    let environment = result.map_err(|error| show::refusal(&error))?;
    output::print(&describe(&environment))?;
    Ok(ExitCode::SUCCESS)
}

/// An environment, if there is one.
fn existing(client: &Client, name: &str) -> Result<Option<Environment>, ClientError> {
    match client.environment(name) {
        Ok(environment) => Ok(Some(environment)),
        Err(error) if error.problem().is_some_and(|problem| problem.status == 404) => Ok(None),
        Err(error) => Err(error),
    }
}

fn print_json(value: &impl Serialize) -> Result<ExitCode, String> {
    output::print_json(value)?;
    Ok(ExitCode::SUCCESS)
}
