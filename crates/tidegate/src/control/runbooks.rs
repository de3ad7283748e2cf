//! `tidegate runbooks`: what is done when something is wrong, step by step.

use super::server::ServerOptions;
use super::show::{self, line};
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand};
use gate_api::types::{RunDetail, RunInput, RunSummary};
use std::fmt::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How often it is looked whether a run has ended.
const LOOK: Duration = Duration::from_millis(300);

/// The commands about runbooks.
#[derive(Debug, Subcommand)]
pub(crate) enum RunbooksCommand {
    /// Show runbooks, each with its last run.
    List(ListOptions),
    /// Start a run; with `--wait`, exit code 0 where it is done, 1 where it ended otherwise.
    Run(RunOptions),
    /// Show runs, the newest first.
    Runs(RunsOptions),
    /// Show what a run saw and did.
    Show(ShowOptions),
    /// Agree to a run.
    Approve(ReasonOptions),
    /// Answer the question of a run.
    Answer(AnswerOptions),
    /// End a run, and undo what it began.
    Cancel(ReasonOptions),
}

/// Options of `runbooks list`.
#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `runbooks run`.
#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    /// The runbook.
    name: String,
    /// Say what it would do, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Of the same runbook, a key starts one run, ever.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Why; kept with the run.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Wait until it has ended, so many seconds at most.
    #[arg(long, value_name = "SECONDS")]
    wait: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `runbooks runs`.
#[derive(Debug, Args)]
pub(crate) struct RunsOptions {
    /// Of this runbook only.
    name: Option<String>,
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

/// Options of `runbooks show`.
#[derive(Debug, Args)]
pub(crate) struct ShowOptions {
    /// The run.
    id: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `runbooks approve` and `runbooks cancel`.
#[derive(Debug, Args)]
pub(crate) struct ReasonOptions {
    /// The run.
    id: String,
    /// Why; kept with the run.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `runbooks answer`.
#[derive(Debug, Args)]
pub(crate) struct AnswerOptions {
    /// The run.
    id: String,
    /// One of its answers.
    answer: String,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Runs the command.
pub(crate) fn run(command: &RunbooksCommand) -> Result<ExitCode, String> {
    let client = |server: &ServerOptions| server.client();
    match command {
        RunbooksCommand::List(options) => list(options),
        RunbooksCommand::Run(options) => start(options),
        RunbooksCommand::Runs(options) => runs(options),
        RunbooksCommand::Show(options) => {
            let shown = client(&options.server)?.runbook_run(&options.id);
            tell(&shown.map_err(|error| show::refusal(&error))?, options.json)
        }
        RunbooksCommand::Approve(options) => {
            let shown = client(&options.server)?.approve_run(&options.id, &options.reason);
            tell(&shown.map_err(|error| show::refusal(&error))?, false)
        }
        RunbooksCommand::Answer(options) => {
            let shown = client(&options.server)?.answer_run(&options.id, &options.answer);
            tell(&shown.map_err(|error| show::refusal(&error))?, false)
        }
        RunbooksCommand::Cancel(options) => {
            let shown = client(&options.server)?.cancel_run(&options.id, &options.reason);
            tell(&shown.map_err(|error| show::refusal(&error))?, false)
        }
    }
}

fn list(options: &ListOptions) -> Result<ExitCode, String> {
    let found = options.server.client()?.runbooks();
    let found = found.map_err(|error| show::refusal(&error))?;
    if options.json {
        output::print_json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&[
        "RUNBOOK",
        "STEPS",
        "STARTED BY",
        "LAST RUN",
        "STATE",
        "ABOUT",
    ]);
    for one in &found {
        let triggers = match one.triggers.is_empty() {
            true => "people".to_owned(),
            false => one.triggers.join(", "),
        };
        let last = one.last.as_ref();
        table.row(vec![
            line(&one.name),
            one.steps.len().to_string(),
            line(&triggers),
            last.map_or_else(|| "-".to_owned(), |run| line(&run.id)),
            last.map_or_else(|| "-".to_owned(), |run| line(&run.state)),
            line(&one.about),
        ]);
    }
    output::print(&table.finish())?;
    Ok(ExitCode::SUCCESS)
}

fn start(options: &RunOptions) -> Result<ExitCode, String> {
    let client = options.server.client()?;
    let input = RunInput {
        key: options.key.clone(),
        dry_run: options.dry_run,
        reason: options.reason.clone(),
    };
    let begun = client.start_run(&options.name, &input);
    let mut shown = begun.map_err(|error| show::refusal(&error))?;
    let Some(wait) = options.wait else {
        return tell(&shown, options.json);
    };
    let until = Instant::now() + Duration::from_secs(wait);
    while !shown.run.is_over && Instant::now() < until {
        std::thread::sleep(LOOK);
        let now = client.runbook_run(&shown.run.id);
        shown = now.map_err(|error| show::refusal(&error))?;
    }
    tell(&shown, options.json)?;
    Ok(match shown.run.state.as_str() {
        "done" => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn runs(options: &RunsOptions) -> Result<ExitCode, String> {
    let client = options.server.client()?;
    let found = client.runbook_runs(options.name.as_deref(), options.limit);
    let found = found.map_err(|error| show::refusal(&error))?;
    if options.json {
        output::print_json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["RUN", "RUNBOOK", "STATE", "BEGAN", "ENDED", "STARTED"]);
    for one in &found {
        table.row(row(one));
    }
    output::print(&table.finish())?;
    Ok(ExitCode::SUCCESS)
}

fn row(one: &RunSummary) -> Vec<String> {
    let dry = if one.dry_run { " (dry run)" } else { "" };
    vec![
        line(&one.id),
        line(&one.runbook),
        format!("{}{dry}", line(&one.state)),
        line(&one.began),
        line(one.ended.as_deref().unwrap_or("-")),
        line(&one.cause),
    ]
}

fn tell(shown: &RunDetail, json: bool) -> Result<ExitCode, String> {
    if json {
        output::print_json(shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    let run = &shown.run;
    let mut text = format!(
        "{} of {}: {}, {} of {} steps\n",
        line(&run.id),
        line(&run.runbook),
        line(&run.state),
        shown.done,
        shown.steps.len()
    );
    for one in &shown.lines {
        let _ = writeln!(
            text,
            "{}  {}: {}",
            line(&one.at),
            line(&one.of),
            line(&one.text)
        );
    }
    if let Some(question) = &shown.question {
        let answers = shown.answers.join(", ");
        let _ = writeln!(text, "it asks: {} ({})", line(question), line(&answers));
    }
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}
