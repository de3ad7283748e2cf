//! `tidegate journal`: what is in the journal of a configuration's store, whether it is whole, and
//! forgetting a consumer. It asks the store itself, beside gateways that may run.

use crate::config::Secrets;
use crate::output;
use crate::stored;
use crate::table::Table;
use clap::{Args, Subcommand};
use gate_api::types::one_line;
use gate_kit::clock::Clock;
use gate_model::units::Timestamp;
use gate_proxy::events::environment_of;
use gate_proxy::money::store::{open_control, open_reading};
use gate_store::control::NewAudit;
use gate_store::journal::{Event, Forgotten, ReadJournal};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Most events that are shown.
const SHOWN_MAX: usize = 1_000;

/// The commands about the journal.
#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// Show events of the journal, the newest unless told from where.
    Show(ShowOptions),
    /// Hold every event against its chain; exit code 1 where one is not what it was.
    Verify(VerifyOptions),
    /// Destroy the key of a consumer, and with it the payloads of its events in the journal. Its
    /// usage in the ledger stays until `gateway.store.retention` ends.
    Forget(ForgetOptions),
}

/// Options of `journal show`.
#[derive(Debug, Args)]
pub(crate) struct ShowOptions {
    /// The configuration whose `gateway.store` is asked.
    file: PathBuf,
    /// Show those behind this place, in order; 0 is before the first.
    #[arg(long, value_name = "PLACE", conflicts_with = "since")]
    behind: Option<u64>,
    /// Show those that were written at or after this time, in order.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Show those of this kind alone, among those that would be shown.
    #[arg(long)]
    kind: Option<String>,
    /// How many events, at most 1,000.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
    /// Print JSON, with what the events carry.
    #[arg(long)]
    json: bool,
}

/// Options of `journal verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyOptions {
    /// The configuration whose `gateway.store` is asked.
    file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Options of `journal forget`.
#[derive(Debug, Args)]
pub(crate) struct ForgetOptions {
    /// The configuration whose `gateway.store` is asked.
    file: PathBuf,
    /// The consumer's name.
    consumer: String,
}

/// Runs the command.
///
/// # Errors
/// One sentence on what failed.
pub(crate) fn run(command: &JournalCommand) -> Result<ExitCode, String> {
    match command {
        JournalCommand::Show(options) => show(options),
        JournalCommand::Verify(options) => verify(options),
        JournalCommand::Forget(options) => forget(options),
    }
}

fn open(file: &std::path::Path) -> Result<Box<dyn ReadJournal>, String> {
    let (settings, folder) = stored::settings(file)?;
    open_reading(&settings, &Secrets, &folder).map_err(told)
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "errors are mapped by value where they come from"
)]
fn told(error: impl ToString) -> String {
    error.to_string()
}

fn show(options: &ShowOptions) -> Result<ExitCode, String> {
    let mut journal = open(&options.file)?;
    let count = options.limit.clamp(1, SHOWN_MAX);
    let behind = match (options.behind, &options.since) {
        (Some(place), _) => place,
        (None, Some(time)) => {
            let time: Timestamp = time
                .parse()
                .map_err(|error| format!("--since {time}: {error}"))?;
            let ms = time.unix_s().saturating_mul(1000);
            let ms = i64::try_from(ms).unwrap_or(i64::MAX);
            journal.place_at(ms).map_err(told)?
        }
        (None, None) => {
            let end = journal.end().map_err(told)?;
            end.saturating_sub(count as u64)
        }
    };
    let mut events = journal.behind(behind, count).map_err(told)?;
    if let Some(kind) = &options.kind {
        events.retain(|event| event.kind == *kind);
    }
    if options.json {
        let events: Vec<Value> = events.into_iter().map(said).collect();
        output::print_json(&events)?;
        return Ok(ExitCode::SUCCESS);
    }
    let columns = ["PLACE", "AT", "NODE", "KIND", "KEY", "CONSUMER", "BYTES"];
    let mut table = Table::new(&columns);
    for event in &events {
        let bytes = event.payload.as_ref();
        table.row(vec![
            event.place.to_string(),
            time(event.at_ms),
            one_line(&event.node),
            one_line(&event.kind),
            one_line(&event.key),
            one_line(&event.consumer),
            bytes.map_or("forgotten".to_owned(), |bytes| bytes.len().to_string()),
        ]);
    }
    output::print(&table.finish())?;
    Ok(ExitCode::SUCCESS)
}

fn time(at_ms: i64) -> String {
    Timestamp::from_unix_s(at_ms.max(0).unsigned_abs() / 1000).to_string()
}

/// An event with what it carries: as JSON where it is that, else as text; null where it is destroyed.
fn said(event: Event) -> Value {
    let payload = event.payload.map(|payload| {
        serde_json::from_slice::<Value>(&payload)
            .unwrap_or_else(|_| String::from_utf8_lossy(&payload).into_owned().into())
    });
    json!({
        "place": event.place,
        "at": time(event.at_ms),
        "node": event.node,
        "sequence": event.sequence,
        "kind": event.kind,
        "key": event.key,
        "consumer": event.consumer,
        "environment": environment_of(&event.key),
        "hash": hexadecimal(&event.hash),
        "payload": payload,
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn verify(options: &VerifyOptions) -> Result<ExitCode, String> {
    let check = open(&options.file)?.verify().map_err(told)?;
    let code = match check.fault {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::FAILURE,
    };
    if options.json {
        let heads = check.heads.iter();
        let heads: serde_json::Map<String, Value> = heads
            .map(|(node, hash)| (node.clone(), hexadecimal(hash).into()))
            .collect();
        let fault = check.fault.as_ref();
        output::print_json(&json!({
            "events": check.events,
            "pruned": check.pruned,
            "forgotten": check.destroyed,
            "heads": heads,
            "fault": fault.map(|fault| json!({ "place": fault.place, "problem": fault.problem })),
        }))?;
        return Ok(code);
    }
    if let Some(fault) = &check.fault {
        output::print(&format!("Event {}: {}.\n", fault.place, fault.problem))?;
        return Ok(code);
    }
    let mut text = format!("{} events, unbroken", check.events);
    if check.pruned > 0 {
        let (first, before) = (check.pruned + 1, check.pruned);
        text += &format!(" from event {first}; {before} before them were kept no longer");
    }
    if check.destroyed > 0 {
        text += &format!("; {} carry what was forgotten", check.destroyed);
    }
    text += ".\n";
    for (node, hash) in &check.heads {
        text += &format!("Head of {}: {}\n", one_line(node), hexadecimal(hash));
    }
    output::print(&text)?;
    Ok(code)
}

fn forget(options: &ForgetOptions) -> Result<ExitCode, String> {
    let (settings, folder) = stored::settings(&options.file)?;
    let mut journal = open_reading(&settings, &Secrets, &folder).map_err(told)?;
    let now_ms = i64::try_from(Clock::System.unix().as_millis()).unwrap_or(i64::MAX);
    let forgotten = journal.forget(&options.consumer, now_ms).map_err(told)?;
    let Forgotten { events, is_erased } = forgotten;
    let (subject, detail) = (
        format!("consumers/{}", options.consumer),
        format!("{events} events of the journal"),
    );
    // Who may read the store's files may do this, and is not known by name.
    let line = NewAudit {
        actor: "tidegate journal",
        role: "admin",
        action: "journal.forget",
        subject: &subject,
        outcome: "done",
        detail: &detail,
    };
    let mut control = open_control(&settings, &Secrets, &folder).map_err(told)?;
    control.audit(&line, now_ms).map_err(told)?;
    let rest = match is_erased {
        true => "",
        false => {
            "The store's files may still hold the key in old pages: see the guide \"What must not be \
             lost\".\n"
        }
    };
    output::print(&format!(
        "The payloads of {events} events can be read by nobody any more.\n{rest}"
    ))?;
    Ok(ExitCode::SUCCESS)
}
