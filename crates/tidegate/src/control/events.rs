//! `tidegate events`: what is in the journal, and publishing to a gateway.

use super::server::{ServerOptions, endpoint};
use super::show;
use crate::output;
use clap::{Args, Subcommand};
use gate_api::types::JournalEvent;
use gate_kit::random;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How often it is looked for further events.
const LOOK: Duration = Duration::from_millis(300);
/// Events that are asked for at once.
const PAGE: usize = 500;
/// Most bytes of an answer that is shown.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// The commands about events.
#[derive(Debug, Subcommand)]
pub(crate) enum EventsCommand {
    /// Show events of the journal, a line of JSON each.
    List(ListOptions),
    /// Show events as they come, until it is ended.
    Tail(TailOptions),
    /// Publish an event to a gateway's `/events`.
    Publish(PublishOptions),
}

/// Options of `events list`.
#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    /// Those behind this place.
    #[arg(long, value_name = "PLACE", default_value_t = 0)]
    after: u64,
    /// Of this type only.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Most of them.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `events tail`.
#[derive(Debug, Args)]
pub(crate) struct TailOptions {
    /// Begin behind this place; with what comes from now on when left out.
    #[arg(long, value_name = "PLACE")]
    after: Option<u64>,
    /// Of this type only.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// End after so many events.
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `events publish`.
#[derive(Debug, Args)]
pub(crate) struct PublishOptions {
    /// Where events are taken, such as `https://gateway.example.com/events`.
    url: String,
    /// What happened, such as `order.placed`.
    #[arg(long = "type", value_name = "TYPE")]
    kind: String,
    /// Where it happened; a URI reference.
    #[arg(long, value_name = "URI", default_value = "/cli")]
    source: String,
    /// Unique together with the source; a random one when left out.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// To what it happened.
    #[arg(long, value_name = "TEXT")]
    subject: Option<String>,
    /// What it carries, as JSON.
    #[arg(long, value_name = "JSON")]
    data: Option<String>,
    /// File with the key of a consumer; the environment variable TIDEGATE_EVENTS_KEY otherwise.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// PEM file of certificate authorities to trust instead of the public ones.
    #[arg(long, value_name = "FILE")]
    authorities: Option<PathBuf>,
}

/// Runs the command.
pub(crate) fn run(command: &EventsCommand) -> Result<ExitCode, String> {
    match command {
        EventsCommand::List(options) => list(options),
        EventsCommand::Tail(options) => tail(options),
        EventsCommand::Publish(options) => publish(options),
    }
}

fn print(events: &[JournalEvent]) -> Result<(), String> {
    let lines = events.iter().map(|event| format!("{}\n", json!(event)));
    output::print(&lines.collect::<String>())
}

fn list(options: &ListOptions) -> Result<ExitCode, String> {
    let client = options.server.client()?;
    let (mut after, mut left) = (options.after, options.limit);
    while left > 0 {
        let page = client.events(after, options.kind.as_deref(), left.min(PAGE));
        let page = page.map_err(|error| show::refusal(&error))?;
        print(&page.items)?;
        left -= page.items.len().min(left);
        let next = page
            .next
            .and_then(|next| next.parse().ok())
            .unwrap_or(after);
        if next == after {
            break;
        }
        after = next;
    }
    Ok(ExitCode::SUCCESS)
}

fn tail(options: &TailOptions) -> Result<ExitCode, String> {
    let client = options.server.client()?;
    let newest = || client.newest_event().map_err(|error| show::refusal(&error));
    let mut after = match options.after {
        Some(after) => after,
        None => newest()?,
    };
    let mut left = options.count.unwrap_or(u64::MAX);
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(PAGE).min(PAGE);
        let page = client.events(after, options.kind.as_deref(), most);
        let page = page.map_err(|error| show::refusal(&error))?;
        print(&page.items)?;
        left -= page.items.len() as u64;
        let next = page
            .next
            .and_then(|next| next.parse().ok())
            .unwrap_or(after);
        if next == after {
            std::thread::sleep(LOOK);
        }
        after = next;
    }
    Ok(ExitCode::SUCCESS)
}

fn publish(options: &PublishOptions) -> Result<ExitCode, String> {
    let id = options
        .id
        .clone()
        .unwrap_or_else(|| format!("{:016x}", random::bits()));
    let mut event = json!({
        "specversion": "1.0", "id": id, "source": options.source, "type": options.kind,
    });
    if let Some(subject) = &options.subject {
        event["subject"] = subject.as_str().into();
    }
    if let Some(data) = &options.data {
        let read: Result<Value, _> = serde_json::from_str(data);
        event["data"] = read.map_err(|error| format!("`--data` is no JSON: {error}"))?;
    }
    let mut endpoint = endpoint(&options.url, options.authorities.as_deref())?;
    let key = match &options.key_file {
        Some(file) => {
            let read = std::fs::read_to_string(file);
            Some(read.map_err(|error| format!("{}: {error}", file.display()))?)
        }
        None => std::env::var("TIDEGATE_EVENTS_KEY")
            .ok()
            .filter(|key| !key.is_empty()),
    };
    if let Some(key) = &key {
        endpoint = endpoint.with_key(key).map_err(|error| error.to_string())?;
    }
    let headers = [("content-type", "application/cloudevents+json")];
    let body = event.to_string();
    let reply = endpoint.call("POST", "", &headers, body.as_bytes(), ANSWER_BYTES_MAX);
    let reply = reply.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&reply.body);
    match reply.status {
        200..=299 => {
            output::print(&format!("published {id}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        status => Err(format!("not published: status {status}: {}", said.trim())),
    }
}
