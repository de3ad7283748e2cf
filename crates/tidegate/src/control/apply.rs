//! `tidegate apply`: a file becomes an environment's next revision.
//!
//! What is applied is based on what was there when the command began: whoever is faster wins, and
//! the other is told what has changed.

use super::document::Source;
use super::plan::DocumentOptions;
use super::server::Place;
use super::show;
use crate::output;
use clap::Args;
use gate_api::client::Seen;
use gate_api::types::{Canary, Verdict};
use gate_model::units::{Period, Timestamp};
use std::process::ExitCode;

/// Options of `apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyOptions {
    /// The file, and whose it is.
    #[command(flatten)]
    what: DocumentOptions,
    /// Serve a share of requests with it first: the name of a `rollouts` resource, or its settings as
    /// JSON.
    #[arg(long, value_name = "ROLLOUT")]
    canary: Option<String>,
    /// Go back by itself unless confirmed within this time, such as `10m`.
    #[arg(long, value_name = "PERIOD")]
    confirm_within: Option<Period>,
    /// Name of the open incident that it mends: then a spent error budget does not hold it up.
    #[arg(long, value_name = "INCIDENT")]
    fixes: Option<String>,
    /// What to say about it in the list of revisions.
    #[arg(long, short, value_name = "TEXT", default_value = "")]
    message: String,
    /// The commit that the file was taken from.
    #[arg(long, value_name = "COMMIT")]
    source_commit: Option<String>,
    /// When that commit was made, such as 2026-11-22T10:30:00Z: lead time counts from it.
    #[arg(long, value_name = "TIME")]
    committed_at: Option<Timestamp>,
    /// Apply only if the environment is at this generation still, as `tidegate env show` prints it.
    #[arg(long, value_name = "GENERATION")]
    if_match: Option<u64>,
    /// Only show what would change.
    #[arg(long)]
    dry_run: bool,
    /// Print what became of it as JSON.
    #[arg(long)]
    json: bool,
    /// Where.
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
pub(crate) fn apply(options: &ApplyOptions) -> Result<ExitCode, String> {
    let source = Source::read(&options.what.file)?;
    let (client, environment) = options.place.open()?;
    let refused = |error| show::refusal_of(&error, &source);
    let mut input = options.what.input(&source);
    input.fixes.clone_from(&options.fixes);
    if options.dry_run {
        let plan = client.plan(&environment, &input).map_err(refused)?;
        if options.json {
            output::print_json(&plan)?;
        } else {
            source.tell(&plan.findings);
            output::print(&show::plan(&environment, &plan))?;
        }
        return Ok(match plan.verdict {
            Verdict::Allowed => ExitCode::SUCCESS,
            Verdict::Forbidden => ExitCode::FAILURE,
        });
    }
    input.message.clone_from(&options.message);
    input.source_commit.clone_from(&options.source_commit);
    input.committed_at = options.committed_at;
    input.canary = options.canary.as_deref().map(canary).transpose()?;
    input.confirm_within = options.confirm_within;
    let seen = match options.if_match {
        Some(generation) => generation,
        None => {
            client
                .environment(&environment)
                .map_err(refused)?
                .generation
        }
    };
    let applied = client
        .apply(&environment, Seen::Generation(seen), &input)
        .map_err(refused)?;
    if options.json {
        output::print_json(&applied)?;
        return Ok(ExitCode::SUCCESS);
    }
    source.tell(&applied.plan.findings);
    output::print(&show::plan(&environment, &applied.plan))?;
    output::print(&show::applied(&applied))?;
    Ok(ExitCode::SUCCESS)
}

/// A rollout by name, or its settings.
pub(super) fn canary(text: &str) -> Result<Canary, String> {
    if !text.trim_start().starts_with('{') {
        return Ok(Canary::Rollout(text.to_owned()));
    }
    let settings = serde_json::from_str(text).map_err(|error| format!("--canary: {error}"))?;
    Ok(Canary::Settings(settings))
}
