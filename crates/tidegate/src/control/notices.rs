//! `tidegate notifications` and `tidegate silences`: who is told what, and what is not said.

use super::server::ServerOptions;
use super::show::{self, line};
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand};
use gate_api::types::{AcknowledgeInput, LabelMatch, NoticeTest, Notices, SilenceInput};
use gate_model::units::Period;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// The commands about notifications.
#[derive(Debug, Subcommand)]
pub(crate) enum NotificationsCommand {
    /// Show what is on, who is on call, and what has not arrived.
    List(ListOptions),
    /// Have a group in hand: it is not escalated further until something new joins it.
    Acknowledge(AcknowledgeOptions),
    /// Send a receiver a message to try it.
    Test(TestOptions),
}

/// The commands about silences.
#[derive(Debug, Subcommand)]
pub(crate) enum SilencesCommand {
    /// Show silences that hold.
    List(ListOptions),
    /// Silence alerts for a while.
    Add(AddOptions),
    /// End a silence.
    End(EndOptions),
}

/// Options of lists.
#[derive(Debug, Args)]
pub(crate) struct ListOptions {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `notifications acknowledge`.
#[derive(Debug, Args)]
pub(crate) struct AcknowledgeOptions {
    /// The group's thread, as `notifications list` shows it.
    thread: String,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `notifications test`.
#[derive(Debug, Args)]
pub(crate) struct TestOptions {
    /// The receiver.
    receiver: String,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `silences add`.
#[derive(Debug, Args)]
pub(crate) struct AddOptions {
    /// What labels must be, as LABEL=VALUE or LABEL!=VALUE; all must hold.
    #[arg(required = true, value_name = "MATCHER")]
    matchers: Vec<String>,
    /// For how long, such as 2h; at most 90d.
    #[arg(long = "for", value_name = "PERIOD")]
    length: Period,
    /// Why.
    #[arg(long)]
    reason: String,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `silences end`.
#[derive(Debug, Args)]
pub(crate) struct EndOptions {
    /// The silence, as `silences list` shows it.
    id: String,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Runs a command about notifications.
pub(crate) fn notifications(command: &NotificationsCommand) -> Result<ExitCode, String> {
    match command {
        NotificationsCommand::List(options) => list(options)?,
        NotificationsCommand::Acknowledge(options) => {
            let thread = options.thread.clone();
            let client = options.server.client()?;
            let done = client.acknowledge_notice(&AcknowledgeInput { thread });
            done.map_err(|error| show::refusal(&error))?;
            output::print("the group is in hand; nobody further is told\n")?;
        }
        NotificationsCommand::Test(options) => {
            let receiver = options.receiver.clone();
            let client = options.server.client()?;
            let done = client.test_receiver(&NoticeTest { receiver });
            done.map_err(|error| show::refusal(&error))?;
            output::print(&format!(
                "a message to {} is on its way; `tidegate notifications list` says when it does not arrive\n",
                line(&options.receiver)
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(options: &ListOptions) -> Result<(), String> {
    let notices = options.server.client()?.notices();
    let notices = notices.map_err(|error| show::refusal(&error))?;
    if options.json {
        return output::print_json(&notices);
    }
    let mut text = String::new();
    if !notices.stored {
        text.push_str("This gateway has no store: what it knows ends with it.\n");
    }
    for one in &notices.on_call {
        let who = one.receiver.as_deref().unwrap_or("nobody");
        text.push_str(&format!(
            "On call in {}: {}\n",
            line(&one.rotation),
            line(who)
        ));
    }
    let mut table = Table::new(&[
        "NOTIFICATION",
        "GROUP",
        "ON",
        "SAID",
        "STEP",
        "STATE",
        "THREAD",
    ]);
    for group in &notices.groups {
        let on = group.alerts.iter().filter(|alert| alert.on);
        let silent = group.alerts.iter().all(|alert| alert.silenced);
        let state = match (group.acknowledged, silent) {
            (_, true) => "silenced",
            (true, _) => "acknowledged",
            _ => "open",
        };
        table.row(vec![
            line(&group.notification),
            line(&labels(&group.labels)),
            on.count().to_string(),
            group.said.clone().unwrap_or_else(|| "not yet".into()),
            group.step.to_string(),
            state.to_owned(),
            line(&group.thread),
        ]);
    }
    text.push_str(&table.finish());
    text.push_str(&waiting(&notices));
    if notices.lost > 0 {
        text.push_str(&format!(
            "{} alerts or messages were given up\n",
            notices.lost
        ));
    }
    output::print(&text)
}

/// What has not arrived; nothing where all has.
fn waiting(notices: &Notices) -> String {
    if notices.deliveries.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["WAITS", "RECEIVER", "MADE", "ATTEMPTS", "PROBLEM"]);
    for one in &notices.deliveries {
        table.row(vec![
            line(&one.key),
            line(&one.receiver),
            one.made.clone(),
            one.attempts.to_string(),
            line(one.problem.as_deref().unwrap_or_default()),
        ]);
    }
    table.finish()
}

fn labels(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    pairs.join(" ")
}

/// Runs a command about silences.
pub(crate) fn silences(command: &SilencesCommand) -> Result<ExitCode, String> {
    match command {
        SilencesCommand::List(options) => {
            let silences = options.server.client()?.silences();
            let silences = silences.map_err(|error| show::refusal(&error))?;
            if options.json {
                output::print_json(&silences)?;
                return Ok(ExitCode::SUCCESS);
            }
            let mut table = Table::new(&["ID", "ALERTS", "UNTIL", "BY", "REASON"]);
            for one in &silences {
                let matchers: Vec<String> = one.matchers.iter().map(text).collect();
                table.row(vec![
                    line(&one.id),
                    line(&matchers.join(" ")),
                    one.until.clone(),
                    line(&one.by),
                    line(&one.reason),
                ]);
            }
            output::print(&table.finish())?;
        }
        SilencesCommand::Add(options) => {
            let matchers = options.matchers.iter().map(|one| matcher(one));
            let input = SilenceInput {
                matchers: matchers.collect::<Result<_, _>>()?,
                length: options.length,
                reason: options.reason.clone(),
            };
            let silence = options.server.client()?.add_silence(&input);
            let silence = silence.map_err(|error| show::refusal(&error))?;
            output::print(&format!("{} until {}\n", line(&silence.id), silence.until))?;
        }
        SilencesCommand::End(options) => {
            let ended = options.server.client()?.end_silence(&options.id);
            ended.map_err(|error| show::refusal(&error))?;
            output::print("the silence has ended\n")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn text(one: &LabelMatch) -> String {
    let sign = if one.is_not { "!=" } else { "=" };
    format!("{}{sign}{}", one.label, one.value)
}

fn matcher(text: &str) -> Result<LabelMatch, String> {
    let wrong = || format!("`{text}` is no LABEL=VALUE or LABEL!=VALUE");
    let (label, value) = text.split_once('=').ok_or_else(wrong)?;
    let (label, is_not) = match label.strip_suffix('!') {
        Some(label) => (label, true),
        None => (label, false),
    };
    if label.is_empty() {
        return Err(wrong());
    }
    Ok(LabelMatch {
        label: label.to_owned(),
        value: value.to_owned(),
        is_not,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchers_are_read_as_they_are_shown() {
        for written in ["severity=page", "route!=a=b", "team="] {
            assert_eq!(text(&matcher(written).unwrap()), written);
        }
        assert!(matcher("severity").is_err() && matcher("=x").is_err());
    }
}
