//! `tidegate revisions`, `diff`, `rollback` and `promote`.

use super::apply::canary;
use super::server::{Place, ServerOptions};
use super::show::{self, line};
use crate::output;
use crate::table::Table;
use clap::Args;
use gate_api::client::Seen;
use gate_api::types::{Applied, PromoteInput, RollbackInput};
use gate_model::units::Period;
use serde_json::Value;
use std::process::ExitCode;

/// Options of `revisions`.
#[derive(Debug, Args)]
pub(crate) struct RevisionsOptions {
    /// How many, at most 1,000.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: usize,
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
    /// Where.
    #[command(flatten)]
    place: Place,
}

/// Options of `diff`.
#[derive(Debug, Args)]
pub(crate) struct DiffOptions {
    /// The earlier revision.
    from: u64,
    /// The later revision.
    to: u64,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `rollback`.
#[derive(Debug, Args)]
pub(crate) struct RollbackOptions {
    /// The revision to go back to; the one before the current when left out.
    #[arg(long, value_name = "REVISION")]
    to: Option<u64>,
    /// Why.
    #[arg(long, short, value_name = "TEXT", default_value = "")]
    message: String,
    /// Print what became of it as JSON.
    #[arg(long)]
    json: bool,
    /// Where.
    #[command(flatten)]
    place: Place,
}

/// Options of `promote`.
#[derive(Debug, Args)]
pub(crate) struct PromoteOptions {
    /// The environment whose revision is taken.
    from: String,
    /// The environment that gets it; the one that `promotes_to` names when left out.
    to: Option<String>,
    /// Serve a share of requests with it first: the name of a `rollouts` resource, or its settings as
    /// JSON.
    #[arg(long, value_name = "ROLLOUT")]
    canary: Option<String>,
    /// Go back by itself unless confirmed within this time, such as `10m`.
    #[arg(long, value_name = "PERIOD")]
    confirm_within: Option<Period>,
    /// What to say about it in the list of revisions.
    #[arg(long, short, value_name = "TEXT", default_value = "")]
    message: String,
    /// Print what became of it as JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Runs `revisions`.
pub(crate) fn revisions(options: &RevisionsOptions) -> Result<ExitCode, String> {
    let (client, environment) = options.place.open()?;
    let limit = options.limit.clamp(1, 1000);
    let found = client.revisions(Some(&environment), limit);
    let found = found.map_err(|error| show::refusal(&error))?;
    if options.json {
        output::print_json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let columns = [
        "REVISION", "CREATED", "CAUSE", "AUTHOR", "DIGEST", "MESSAGE",
    ];
    let mut table = Table::new(&columns);
    for revision in &found {
        let cause = serde_json::to_value(revision.cause).unwrap_or_default();
        table.row(vec![
            revision.number.to_string(),
            line(&revision.created),
            cause.as_str().unwrap_or_default().to_owned(),
            line(&revision.author),
            revision.digest.chars().take(12).collect(),
            line(&revision.message),
        ]);
    }
    output::print(&table.finish())?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `diff`.
pub(crate) fn diff(options: &DiffOptions) -> Result<ExitCode, String> {
    let found = options.server.client()?.diff(options.from, options.to);
    let found = found.map_err(|error| show::refusal(&error))?;
    if options.json {
        output::print_json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = format!("revision {} -> {}\n", found.from, found.to);
    match found.changes.is_empty() {
        true => text.push_str("No difference.\n"),
        false => show::changes(&mut text, &found.changes),
    }
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs `rollback`.
pub(crate) fn rollback(options: &RollbackOptions) -> Result<ExitCode, String> {
    let (client, environment) = options.place.open()?;
    let refused = |error| show::refusal(&error);
    let seen = client.environment(&environment).map_err(refused)?;
    let input = RollbackInput {
        to: options.to,
        message: options.message.clone(),
    };
    let applied = client.rollback(&environment, Seen::Generation(seen.generation), &input);
    print(&applied.map_err(refused)?, options.json)
}

/// Runs `promote`.
pub(crate) fn promote(options: &PromoteOptions) -> Result<ExitCode, String> {
    let input = PromoteInput {
        to: options.to.clone(),
        message: options.message.clone(),
        canary: options.canary.as_deref().map(canary).transpose()?,
        confirm_within: options.confirm_within,
    };
    let applied = options.server.client()?.promote(&options.from, &input);
    let applied = applied.map_err(|error| show::refusal(&error))?;
    print(&applied, options.json)
}

fn print(applied: &Applied, json: bool) -> Result<ExitCode, String> {
    if json {
        let value: Value = serde_json::to_value(applied).map_err(|error| error.to_string())?;
        output::print_json(&value)?;
    } else {
        output::print(&show::plan(&applied.environment.name, &applied.plan))?;
        output::print(&show::applied(applied))?;
    }
    Ok(ExitCode::SUCCESS)
}
