//! `tidegate cache`: how caches of answers do, and what they are to forget.

use super::server::ServerOptions;
use super::show::{self, line};
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand};
use gate_api::types::PurgeInput;
use std::process::ExitCode;

/// The commands about caches.
#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Show how a gateway's caches do.
    List(ListOptions),
    /// Have every gateway of the environment forget kept answers, within a second.
    Purge(PurgeOptions),
}

/// Options of `cache list`.
#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `cache purge`.
#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = false, args = ["key", "prefix", "tag", "all"])]
pub(crate) struct PurgeOptions {
    /// One place: URL, or host with path and query.
    #[arg(long, value_name = "PLACE")]
    key: Option<String>,
    /// Every place that begins so.
    #[arg(long, value_name = "PLACE")]
    prefix: Option<String>,
    /// Answers that carry this tag (Cache-Tag, Surrogate-Key).
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Everything.
    #[arg(long)]
    all: bool,
    /// Of this route only.
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Make answers stale instead: they may be given while they are asked for again.
    #[arg(long)]
    soft: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Runs the command.
pub(crate) fn run(command: &CacheCommand) -> Result<ExitCode, String> {
    match command {
        CacheCommand::List(options) => list(options),
        CacheCommand::Purge(options) => purge(options),
    }
}

fn list(options: &ListOptions) -> Result<ExitCode, String> {
    let caches = options.server.client()?.caches();
    let caches = caches.map_err(|error| show::refusal(&error))?;
    if options.json {
        output::print_json(&caches)?;
        return Ok(ExitCode::SUCCESS);
    }
    let columns = [
        "CACHE", "ENTRIES", "BYTES", "HITS", "MISSES", "RATIO", "PURGED",
    ];
    let mut table = Table::new(&columns);
    for cache in &caches {
        table.row(vec![
            line(&cache.name),
            cache.entries.to_string(),
            cache.bytes.to_string(),
            cache.hits.to_string(),
            cache.misses.to_string(),
            format!("{:.1} %", cache.hit_ratio * 100.0),
            cache.purged.to_string(),
        ]);
    }
    output::print(&table.finish())?;
    Ok(ExitCode::SUCCESS)
}

fn purge(options: &PurgeOptions) -> Result<ExitCode, String> {
    let input = PurgeInput {
        key: options.key.clone(),
        prefix: options.prefix.clone(),
        tag: options.tag.clone(),
        all: options.all,
        route: options.route.clone(),
        soft: options.soft,
    };
    let purged = options.server.client()?.purge_caches(&input);
    let purged = purged.map_err(|error| show::refusal(&error))?;
    output::print(&format!("{} entries purged here\n", purged.entries))?;
    Ok(ExitCode::SUCCESS)
}
