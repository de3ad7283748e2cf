//! `tidegate jobs`: work in bulk over the gateway's own routes.

use super::server::ServerOptions;
use super::show::{self, line};
use crate::again::Again;
use crate::config;
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand};
use gate_api::client::ClientError;
use gate_api::types::{JobDetail, JobInput, JobSummary};
use std::fmt::Write;
use std::io::{IsTerminal, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How often it is looked how far a job is.
const LOOK: Duration = Duration::from_millis(500);
/// Characters of a bar.
const BAR: u64 = 30;

/// The commands about jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// Submit a job that a file describes, in YAML or JSON.
    Submit(SubmitOptions),
    /// Show jobs, the newest first.
    List(ListOptions),
    /// Show batches that callers handed in, the newest first, and who runs them. One that this gateway
    /// runs is a job of the same id.
    Batches(Listed),
    /// Show a job, with what went wrong or twice.
    Show(JobOptions),
    /// Show how far a job is until it has ended; exit code 0 where it succeeded. Where the gateway does
    /// not answer any more it is asked again, for ten minutes.
    Watch(JobOptions),
    /// Start no more items of a job until it is resumed.
    Pause(JobOptions),
    /// Go on with a job that was paused.
    Resume(JobOptions),
    /// End a job once what is under way has ended.
    Cancel(JobOptions),
    /// Print what items answered, one JSON object a line, in their order.
    Results(ResultsOptions),
}

/// Options of `jobs submit`.
#[derive(Debug, Args)]
pub(crate) struct SubmitOptions {
    /// What to run.
    file: PathBuf,
    /// Submitting under the same key finds the job that it submitted first.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Show how far it is until it has ended; exit code 0 where it succeeded.
    #[arg(long)]
    watch: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `jobs list`.
#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    /// Of this queue only.
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// Which of them.
    #[command(flatten)]
    listed: Listed,
}

/// Options of what lists jobs or batches.
#[derive(Debug, Args)]
pub(crate) struct Listed {
    /// Only those that have not ended.
    #[arg(long)]
    open: bool,
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

/// Options of commands about one job.
#[derive(Debug, Args)]
pub(crate) struct JobOptions {
    /// The job.
    id: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `jobs results`.
#[derive(Debug, Args)]
pub(crate) struct ResultsOptions {
    /// The job.
    id: String,
    /// Print bodies alone, one a line.
    #[arg(long)]
    bodies: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Runs the command.
pub(crate) fn run(command: &JobsCommand) -> Result<ExitCode, String> {
    match command {
        JobsCommand::Submit(options) => submit(options),
        JobsCommand::List(options) => list(options),
        JobsCommand::Batches(options) => batches(options),
        JobsCommand::Show(options) => {
            let shown = options.server.client()?.job(&options.id);
            tell(&shown.map_err(|error| show::refusal(&error))?, options.json)
        }
        JobsCommand::Watch(options) => watch(&options.server, &options.id),
        JobsCommand::Pause(options) => wish(options, "pause"),
        JobsCommand::Resume(options) => wish(options, "resume"),
        JobsCommand::Cancel(options) => wish(options, "cancel"),
        JobsCommand::Results(options) => results(options),
    }
}

fn submit(options: &SubmitOptions) -> Result<ExitCode, String> {
    let bytes = config::read(&options.file)?;
    let document = config::parse(&bytes, &options.file);
    let document = document.map_err(|findings| {
        let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        lines.join("\n")
    })?;
    let input = document.read(&gate_model::document::Path::root());
    let mut input: JobInput = input.map_err(|finding| finding.to_string())?;
    if let Some(key) = &options.key {
        input.key.clone_from(key);
    }
    let submitted = options.server.client()?.submit_job(&input);
    let job = submitted.map_err(|error| show::refusal(&error))?;
    if options.watch {
        return watch(&options.server, &job.id);
    }
    match options.json {
        true => output::print_json(&job)?,
        false => output::print(&format!("{}\n", line(&job.id)))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(options: &ListOptions) -> Result<ExitCode, String> {
    let listed = &options.listed;
    let client = listed.server.client()?;
    let found = client.jobs(options.queue.as_deref(), listed.open, listed.limit);
    let found = found.map_err(|error| show::refusal(&error))?;
    if listed.json {
        output::print_json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let heads = [
        "JOB", "NAME", "QUEUE", "TEAM", "STATE", "DONE", "ITEMS", "FAILED", "ENDS", "WHY",
    ];
    let mut table = Table::new(&heads);
    for one in &found {
        let ends = one.ended.as_ref().or(one.estimate.as_ref());
        table.row(vec![
            line(&one.id),
            line(&one.name),
            line(&one.queue),
            line(&one.team),
            line(&one.state),
            (one.succeeded + one.failed).to_string(),
            one.items.to_string(),
            one.failed.to_string(),
            ends.map_or_else(|| "-".to_owned(), |at| line(at)),
            line(&one.reason),
        ]);
    }
    output::print(&table.finish())?;
    Ok(ExitCode::SUCCESS)
}

fn batches(listed: &Listed) -> Result<ExitCode, String> {
    let client = listed.server.client()?;
    let found = client.batches(listed.open, listed.limit);
    let found = found.map_err(|error| show::refusal(&error))?;
    if listed.json {
        output::print_json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let heads = [
        "BATCH", "CONSUMER", "MODEL", "RUN BY", "STATE", "DONE", "ALL", "FAILED", "ENDS",
    ];
    let mut table = Table::new(&heads);
    for one in &found {
        let ends = one.ended.as_ref().or(one.estimate.as_ref());
        let or = |text: Option<&String>, other: &str| {
            text.map_or_else(|| other.to_owned(), |text| line(text))
        };
        table.row(vec![
            line(&one.id),
            line(&one.consumer),
            or(one.model.as_ref(), "several"),
            or(one.provider.as_ref(), "gateway"),
            line(&one.state),
            (one.succeeded + one.failed + one.cancelled + one.expired).to_string(),
            one.requests.to_string(),
            one.failed.to_string(),
            or(ends, "-"),
        ]);
    }
    output::print(&table.finish())?;
    Ok(ExitCode::SUCCESS)
}

fn wish(options: &JobOptions, wish: &str) -> Result<ExitCode, String> {
    let job = options.server.client()?.wish_job(&options.id, wish);
    let job = job.map_err(|error| show::refusal(&error))?;
    match options.json {
        true => output::print_json(&job)?,
        false => output::print(&format!("{}\n", bar(&job)))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// How far a job is, on one line.
fn bar(job: &JobSummary) -> String {
    let done = job.succeeded + job.failed;
    let full = done * BAR / job.items.max(1);
    let empty = BAR.saturating_sub(full);
    let repeat = |text: &str, times: u64| text.repeat(usize::try_from(times).unwrap_or(0));
    let mut text = format!(
        "{} [{}{}] {done}/{} {}",
        line(&job.id),
        repeat("#", full),
        repeat("-", empty),
        job.items,
        line(&job.state),
    );
    if job.failed > 0 {
        let _ = write!(text, ", {} failed", job.failed);
    }
    if let Some(at) = &job.estimate {
        let _ = write!(text, ", likely until {}", line(at));
    }
    text
}

fn watch(server: &ServerOptions, id: &str) -> Result<ExitCode, String> {
    let client = server.client()?;
    let is_terminal = std::io::stdout().is_terminal();
    let mut last = String::new();
    let mut again = Again::new(LOOK);
    let mut has_begun = false;
    loop {
        let job = match client.job(id) {
            Ok(detail) => detail.job,
            // The gateway may be restarted while its jobs go on; who is refused is not told otherwise later.
            Err(error) if has_begun && may_pass(&error) => {
                if is_terminal && !again.is_failing() {
                    output::print("\n")?;
                }
                again.failed(show::refusal(&error))?;
                again.pause();
                continue;
            }
            Err(error) => return Err(show::refusal(&error)),
        };
        has_begun = true;
        again.answered();
        let mut now = bar(&job);
        if !job.is_over && !job.reason.is_empty() {
            let _ = write!(now, ", {}", line(&job.reason));
        }
        if is_terminal {
            output::print(&format!("\r\u{1b}[K{now}"))?;
            let _ = std::io::stdout().flush();
        } else if now != last {
            output::print(&format!("{now}\n"))?;
        }
        last = now;
        if job.is_over {
            if is_terminal {
                output::print("\n")?;
            }
            if !job.reason.is_empty() {
                output::tell(&line(&job.reason));
            }
            return Ok(match job.state.as_str() {
                "succeeded" => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            });
        }
        again.pause();
    }
}

/// Whether the same may be answered when it is asked again.
fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::Settings(_) => false,
        ClientError::Unreachable { .. } | ClientError::Unexpected { .. } => true,
        ClientError::Problem(problem) => problem.status >= 500 || problem.status == 429,
    }
}

fn tell(shown: &JobDetail, json: bool) -> Result<ExitCode, String> {
    if json {
        output::print_json(shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    let job = &shown.job;
    let mut text = format!("{}\n", bar(job));
    let _ = writeln!(
        text,
        "calls {}, queue {}, retries {}, repeats {}",
        line(&shown.calls),
        line(&job.queue),
        job.retries,
        job.repeats
    );
    if !job.reason.is_empty() {
        let _ = writeln!(text, "{}", line(&job.reason));
    }
    for after in &shown.after {
        let how = if after.each { "item by item" } else { "whole" };
        let _ = writeln!(text, "after {} ({how})", line(&after.job));
    }
    for note in &shown.notes {
        let _ = writeln!(
            text,
            "{}  item {} try {}: {}, {}",
            line(&note.at),
            note.item,
            note.attempt + 1,
            line(&note.kind),
            line(&note.reason)
        );
    }
    output::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn results(options: &ResultsOptions) -> Result<ExitCode, String> {
    let client = options.server.client()?;
    let mut cursor = String::new();
    loop {
        let page = client.job_results(&options.id, &cursor);
        let page = page.map_err(|error| show::refusal(&error))?;
        let mut text = String::new();
        for result in &page.items {
            match options.bodies {
                true => text.push_str(&result.body.replace('\n', " ")),
                false => text.push_str(&serde_json::json!(result).to_string()),
            }
            text.push('\n');
        }
        output::print(&text)?;
        match page.next {
            Some(next) if !page.items.is_empty() => cursor = next,
            _ => return Ok(ExitCode::SUCCESS),
        }
    }
}
