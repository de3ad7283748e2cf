//! `tidegate subscribers`: who is told of events, and what could not be told.

use super::server::ServerOptions;
use super::show::{self, line};
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand};
use gate_api::types::{RedriveInput, ReplayInput, SubscriberDetail};
use std::fmt::Write;
use std::process::ExitCode;

/// The commands about subscribers.
#[derive(Debug, Subcommand)]
pub(crate) enum SubscribersCommand {
    /// Show subscribers, each with where it is in the journal.
    List(ListOptions),
    /// Show a subscriber with what failed.
    Show(ShowOptions),
    /// Hold a subscriber where it is.
    Pause(HoldOptions),
    /// Let a subscriber go on.
    Resume(HoldOptions),
    /// Show what could not be delivered.
    Dead(DeadOptions),
    /// Have dead letters delivered again.
    Redrive(RedriveOptions),
    /// Tell a subscriber again from an earlier place on, beside what it is told anyway.
    Replay(ReplayOptions),
    /// End a replay.
    CancelReplay(CancelOptions),
}

/// Options of `subscribers list`.
#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `subscribers show`.
#[derive(Debug, Args)]
pub(crate) struct ShowOptions {
    /// The subscriber.
    name: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `subscribers pause` and `subscribers resume`.
#[derive(Debug, Args)]
pub(crate) struct HoldOptions {
    /// The subscriber.
    name: String,
    /// Why; kept in the audit log.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `subscribers dead`.
#[derive(Debug, Args)]
pub(crate) struct DeadOptions {
    /// The subscriber.
    name: String,
    /// Most of them.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    limit: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `subscribers redrive`.
#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = false, args = ["place", "since", "all"])]
pub(crate) struct RedriveOptions {
    /// The subscriber.
    name: String,
    /// The dead letter of this place of the journal.
    #[arg(long, value_name = "PLACE")]
    place: Option<u64>,
    /// Those that are dead since this time, such as `2026-11-22T10:00:00Z`.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// All of them.
    #[arg(long)]
    all: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `subscribers replay`.
#[derive(Debug, Args)]
#[group(id = "begins", required = true, multiple = false, args = ["from", "since"])]
pub(crate) struct ReplayOptions {
    /// The subscriber.
    name: String,
    /// Behind this place of the journal; 0 for the oldest event that is kept.
    #[arg(long, value_name = "PLACE")]
    from: Option<u64>,
    /// From what came at this time on, such as `2026-11-22T10:00:00Z`.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Up to this place; to what is the newest now when left out.
    #[arg(long, value_name = "PLACE")]
    until: Option<u64>,
    /// Why; kept in the audit log.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `subscribers cancel-replay`.
#[derive(Debug, Args)]
pub(crate) struct CancelOptions {
    /// The subscriber.
    name: String,
    /// The replay's number.
    number: u64,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Runs the command.
pub(crate) fn run(command: &SubscribersCommand) -> Result<ExitCode, String> {
    match command {
        SubscribersCommand::List(options) => list(options),
        SubscribersCommand::Show(options) => {
            let shown = options.server.client()?.subscriber(&options.name);
            tell(&shown.map_err(|error| show::refusal(&error))?, options.json)
        }
        SubscribersCommand::Pause(options) => hold(options, "pause"),
        SubscribersCommand::Resume(options) => hold(options, "resume"),
        SubscribersCommand::Dead(options) => dead(options),
        SubscribersCommand::Redrive(options) => {
            let input = RedriveInput {
                place: options.place,
                since: options.since.clone(),
                all: options.all,
            };
            let marked = options.server.client()?.redrive(&options.name, &input);
            let count = marked.map_err(|error| show::refusal(&error))?.count;
            output::print(&format!("{count} dead letters are delivered again\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        SubscribersCommand::Replay(options) => {
            let input = ReplayInput {
                from: options.from,
                since: options.since.clone(),
                until: options.until,
                reason: options.reason.clone(),
            };
            let shown = options.server.client()?.replay(&options.name, &input);
            tell(&shown.map_err(|error| show::refusal(&error))?, false)
        }
        SubscribersCommand::CancelReplay(options) => {
            let client = options.server.client()?;
            let shown = client.cancel_replay(&options.name, options.number);
            tell(&shown.map_err(|error| show::refusal(&error))?, false)
        }
    }
}

fn hold(options: &HoldOptions, action: &str) -> Result<ExitCode, String> {
    let client = options.server.client()?;
    let shown = client.hold_subscriber(&options.name, action, &options.reason);
    tell(&shown.map_err(|error| show::refusal(&error))?, false)
}

fn list(options: &ListOptions) -> Result<ExitCode, String> {
    let found = options.server.client()?.subscribers();
    let found = found.map_err(|error| show::refusal(&error))?;
    if options.json {
        output::print_json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let head = [
        "SUBSCRIBER",
        "TARGET",
        "STATE",
        "PLACE",
        "LAG",
        "OPEN",
        "DELIVERED",
        "DEAD LETTERS",
    ];
    let mut table = Table::new(&head);
    for one in &found {
        table.row(vec![
            line(&one.name),
            line(&one.target),
            line(&one.state),
            one.place.to_string(),
            one.lag.to_string(),
            one.open.to_string(),
            one.delivered.to_string(),
            one.dead_letters.to_string(),
        ]);
    }
    output::print(&table.finish())?;
    Ok(ExitCode::SUCCESS)
}

fn dead(options: &DeadOptions) -> Result<ExitCode, String> {
    let client = options.server.client()?;
    let found = client.dead_letters(&options.name, options.limit);
    let found = found.map_err(|error| show::refusal(&error))?;
    if options.json {
        output::print_json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["PLACE", "DEAD SINCE", "TYPE", "KEY", "ATTEMPTS", "REASON"]);
    for one in &found {
        let again = if one.redriven {
            " (delivered again)"
        } else {
            ""
        };
        table.row(vec![
            one.place.to_string(),
            line(&one.at),
            line(&one.kind),
            line(&one.key),
            one.attempts.to_string(),
            format!("{}{again}", line(&one.reason)),
        ]);
    }
    output::print(&table.finish())?;
    Ok(ExitCode::SUCCESS)
}

fn tell(shown: &SubscriberDetail, json: bool) -> Result<ExitCode, String> {
    if json {
        output::print_json(shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    let one = &shown.subscriber;
    let mut text = format!(
        "{} ({}): {}, at {} of the journal, {} behind\n",
        line(&one.name),
        line(&one.target),
        line(&one.state),
        one.place,
        one.lag
    );
    if let Some(pause) = &one.paused {
        let (by, since, why) = (line(&pause.by), line(&pause.since), line(&pause.reason));
        let _ = writeln!(text, "paused by {by} since {since}: {why}");
    }
    let _ = writeln!(
        text,
        "{} delivered, {} attempts failed, {} passed over, {} open, {} dead letters",
        one.delivered, one.failed, one.repeated, one.open, one.dead_letters
    );
    for failure in &shown.failures {
        let _ = writeln!(
            text,
            "place {}: attempt {} failed, the next is at {}: {}",
            failure.place,
            failure.attempts,
            line(&failure.next),
            line(&failure.reason)
        );
    }
    for replay in &one.replays {
        let _ = writeln!(
            text,
            "replay {}: {}, at {} of {} to {}, {} delivered",
            replay.number,
            line(&replay.state),
            replay.place,
            replay.from,
            replay.until,
            replay.delivered
        );
    }
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
