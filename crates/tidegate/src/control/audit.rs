//! `tidegate audit`: who did what, and whether the log is whole.

use super::server::ServerOptions;
use super::show::{self, line};
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand};
use gate_api::types::AuditOutcome;
use std::process::ExitCode;

/// Options of `audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditOptions {
    /// What else to do than to show it.
    #[command(subcommand)]
    command: Option<AuditCommand>,
    /// How many entries, at most 1,000; the newest come first.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// The commands about the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check the chain of hashes; exit code 1 where an entry is not what it was.
    Verify(VerifyOptions),
}

/// Options of `audit verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyOptions {
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Runs the command.
pub(crate) fn audit(options: &AuditOptions) -> Result<ExitCode, String> {
    match &options.command {
        Some(AuditCommand::Verify(verify)) => {
            let server = match verify.server.is_named() {
                true => &verify.server,
                false => &options.server,
            };
            self::verify(server, options.json)
        }
        None => list(options),
    }
}

fn list(options: &AuditOptions) -> Result<ExitCode, String> {
    let entries = options.server.client()?.audit(options.limit.clamp(1, 1000));
    let entries = entries.map_err(|error| show::refusal(&error))?;
    if options.json {
        output::print_json(&entries)?;
        return Ok(ExitCode::SUCCESS);
    }
    let columns = [
        "ENTRY", "AT", "ACTOR", "ACTION", "SUBJECT", "OUTCOME", "DETAIL",
    ];
    let mut table = Table::new(&columns);
    for entry in &entries {
        let outcome = match entry.outcome {
            AuditOutcome::Done => "done",
            AuditOutcome::Refused => "refused",
            AuditOutcome::Failed => "failed",
        };
        table.row(vec![
            entry.sequence.to_string(),
            line(&entry.at),
            line(&entry.actor),
            line(&entry.action),
            line(&entry.subject),
            outcome.to_owned(),
            line(&entry.detail),
        ]);
    }
    output::print(&table.finish())?;
    Ok(ExitCode::SUCCESS)
}

fn verify(server: &ServerOptions, json: bool) -> Result<ExitCode, String> {
    let found = server.client()?.verify_audit();
    let found = found.map_err(|error| show::refusal(&error))?;
    let code = match found.intact {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    };
    if json {
        output::print_json(&found)?;
        return Ok(code);
    }
    let text = match found.broken_at {
        Some(entry) => format!("Entry {entry} is not what it was.\n"),
        None if found.intact && found.pruned > 0 => format!(
            "{} entries, unbroken from entry {}; {} before them were kept no longer.\n",
            found.entries,
            found.pruned + 1,
            found.pruned
        ),
        None if found.intact => format!("{} entries, unbroken.\n", found.entries),
        None => "The chain is broken.\n".to_owned(),
    };
    output::print(&text)?;
    if let Some(head) = &found.head {
        output::print(&format!("Head: {}\n", line(head)))?;
    }
    Ok(code)
}
