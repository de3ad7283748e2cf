//! `tidegate actions`: what is done about trouble for a while.

use super::server::ServerOptions;
use super::show::{self, line};
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand};
use gate_api::types::{ActInput, ActState};
use gate_model::resources::GatewayAction;
use gate_model::units::{Percent, Period};
use std::process::ExitCode;

/// The commands about actions.
#[derive(Debug, Subcommand)]
pub(crate) enum ActionsCommand {
    /// Show what is in force.
    List(ListOptions),
    /// Call an endpoint no more, as long as another can be called.
    Eject(EjectOptions),
    /// Call a provider only where nothing else can take a call.
    FailOver(FailOverOptions),
    /// Take the environment back by one revision; without `tidegate confirm`, it goes forward again.
    RollBack(RollBackOptions),
    /// Refuse the least important exchanges with 503.
    Shed(ShedOptions),
    /// Let an upstream have so many requests in flight.
    Concurrency(ConcurrencyOptions),
    /// Let no changes pass.
    Freeze(FreezeOptions),
    /// Undo an action before its time is over.
    Undo(UndoOptions),
}

/// Options of `actions list`.
#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of everything that is done.
#[derive(Debug, Args)]
pub(crate) struct ForOptions {
    /// For how long, such as `10m`; a day at most.
    #[arg(long = "for", value_name = "TIME")]
    lasts: Period,
    /// Why; kept in the audit log.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `actions eject`.
#[derive(Debug, Args)]
pub(crate) struct EjectOptions {
    /// The upstream.
    upstream: String,
    /// The endpoint; the one that fails most when left out.
    endpoint: Option<String>,
    #[command(flatten)]
    more: ForOptions,
}

/// Options of `actions fail-over`.
#[derive(Debug, Args)]
pub(crate) struct FailOverOptions {
    /// The provider.
    provider: String,
    #[command(flatten)]
    more: ForOptions,
}

/// Options of `actions roll-back`.
#[derive(Debug, Args)]
pub(crate) struct RollBackOptions {
    #[command(flatten)]
    more: ForOptions,
}

/// Options of `actions shed`.
#[derive(Debug, Args)]
pub(crate) struct ShedOptions {
    /// Which exchanges, as CEL expressions; the least important first.
    #[arg(required = true, value_name = "EXPRESSION")]
    low: Vec<String>,
    /// Of this route only.
    #[arg(long)]
    route: Option<String>,
    /// Share of them.
    #[arg(long, default_value = "100 %")]
    share: Percent,
    #[command(flatten)]
    more: ForOptions,
}

/// Options of `actions concurrency`.
#[derive(Debug, Args)]
pub(crate) struct ConcurrencyOptions {
    /// The upstream.
    upstream: String,
    /// How many requests, in each gateway.
    most: u32,
    #[command(flatten)]
    more: ForOptions,
}

/// Options of `actions freeze`.
#[derive(Debug, Args)]
pub(crate) struct FreezeOptions {
    /// Of this route only.
    #[arg(long)]
    route: Option<String>,
    #[command(flatten)]
    more: ForOptions,
}

/// Options of `actions undo`.
#[derive(Debug, Args)]
pub(crate) struct UndoOptions {
    /// The action.
    id: String,
    /// Why; kept in the audit log.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Runs the command.
pub(crate) fn run(command: &ActionsCommand) -> Result<ExitCode, String> {
    let (action, more) = match command {
        ActionsCommand::List(options) => return list(options),
        ActionsCommand::Undo(options) => return undo(options),
        ActionsCommand::Eject(options) => {
            let (upstream, endpoint) = (options.upstream.clone(), options.endpoint.clone());
            (GatewayAction::Eject { upstream, endpoint }, &options.more)
        }
        ActionsCommand::FailOver(options) => {
            let provider = options.provider.clone();
            (GatewayAction::FailOver { provider }, &options.more)
        }
        ActionsCommand::RollBack(options) => (GatewayAction::RollBack {}, &options.more),
        ActionsCommand::Shed(options) => {
            let action = GatewayAction::Shed {
                route: options.route.clone(),
                low: options.low.clone(),
                levels: None,
                share: options.share,
            };
            (action, &options.more)
        }
        ActionsCommand::Concurrency(options) => {
            let (upstream, most) = (options.upstream.clone(), options.most);
            (GatewayAction::Concurrency { upstream, most }, &options.more)
        }
        ActionsCommand::Freeze(options) => {
            let route = options.route.clone();
            (GatewayAction::Freeze { route }, &options.more)
        }
    };
    act(action, more)
}

fn act(action: GatewayAction, more: &ForOptions) -> Result<ExitCode, String> {
    let input = ActInput {
        action,
        lasts: more.lasts,
        reason: more.reason.clone(),
    };
    let begun = more.server.client()?.act(&input);
    let begun = begun.map_err(|error| show::refusal(&error))?;
    let text = format!(
        "{}: {}, until {}\n",
        line(&begun.id),
        line(&begun.text),
        line(&begun.until)
    );
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn list(options: &ListOptions) -> Result<ExitCode, String> {
    let found = options.server.client()?.actions();
    let found = found.map_err(|error| show::refusal(&error))?;
    if options.json {
        output::print_json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    table(&found)
}

fn undo(options: &UndoOptions) -> Result<ExitCode, String> {
    let left = options
        .server
        .client()?
        .undo_action(&options.id, &options.reason);
    table(&left.map_err(|error| show::refusal(&error))?)
}

fn table(found: &[ActState]) -> Result<ExitCode, String> {
    let mut table = Table::new(&["ACTION", "DOES", "SINCE", "UNTIL", "BY", "REASON"]);
    for one in found {
        table.row(vec![
            line(&one.id),
            line(&one.text),
            line(&one.since),
            line(&one.until),
            line(&one.by),
            line(&one.reason),
        ]);
    }
    output::print(&table.finish())?;
    Ok(ExitCode::SUCCESS)
}
