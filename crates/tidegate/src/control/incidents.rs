//! `tidegate incidents`: what goes wrong and went wrong, who does what about it, and what is learnt.

use super::server::ServerOptions;
use super::show::{self, line};
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand, ValueEnum};
use gate_api::types::{
    ActionItemInput, ActionItemState, IncidentDetail, IncidentLife, IncidentLifeInput,
    IncidentRole, IncidentRoleInput, IncidentTextInput, Postmortem, PostmortemInput,
};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `incidents`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct IncidentsCommand {
    /// What else to do than to list them.
    #[command(subcommand)]
    command: Option<IncidentCommand>,
    /// How many, at most 1,000.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: usize,
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// The commands about one incident.
#[derive(Debug, Subcommand)]
pub(crate) enum IncidentCommand {
    /// Show an incident with its facts.
    Show(ShowOptions),
    /// Take a role, or hand it over.
    Assign(AssignOptions),
    /// Say a word to the public, on the status page.
    Update(TextOptions),
    /// Note what was done.
    Note(TextOptions),
    /// Judge how bad it is.
    Triage(TriageOptions),
    /// Say that it burns no more as it did.
    Mitigate(ShowOptions),
    /// Say that it is over.
    Resolve(ShowOptions),
    /// Say that what is to be learnt has been written down.
    Review(ShowOptions),
    /// Print the postmortem, drafted from the facts.
    Postmortem(PostmortemOptions),
    /// List what is to be done after incidents, or say that something is.
    Actions(ActionsOptions),
}

/// Options of the commands that name an incident.
#[derive(Debug, Args)]
pub(crate) struct ShowOptions {
    /// The incident, as `tidegate incidents` lists it.
    id: String,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Parts that people take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Decides.
    Commander,
    /// Speaks to those outside.
    Communications,
    /// Acts.
    Operations,
}

impl Role {
    const fn shown(self) -> IncidentRole {
        match self {
            Self::Commander => IncidentRole::Commander,
            Self::Communications => IncidentRole::Communications,
            Self::Operations => IncidentRole::Operations,
        }
    }
}

/// Options of `incidents assign`.
#[derive(Debug, Args)]
pub(crate) struct AssignOptions {
    /// The incident, as `tidegate incidents` lists it.
    id: String,
    /// The role.
    #[arg(value_enum)]
    role: Role,
    /// Who has it from now on.
    who: String,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `incidents update` and `note`.
#[derive(Debug, Args)]
pub(crate) struct TextOptions {
    /// The incident, as `tidegate incidents` lists it.
    id: String,
    /// The text.
    text: String,
    /// As whom it is said.
    #[arg(long, value_enum, default_value = "operations")]
    role: Role,
    /// Print the incident as JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `incidents triage`.
#[derive(Debug, Args)]
pub(crate) struct TriageOptions {
    /// The incident, as `tidegate incidents` lists it.
    id: String,
    /// How bad it is, from 1, the worst, to 4.
    #[arg(long, value_name = "NUMBER")]
    severity: u8,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// How a postmortem is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Text with sections.
    Markdown,
    /// A page with curves, that prints.
    Html,
    /// Everything, with what must be written differently.
    Json,
}

/// Options of `incidents postmortem`.
#[derive(Debug, Args)]
pub(crate) struct PostmortemOptions {
    /// The incident, as `tidegate incidents` lists it.
    id: String,
    /// Take what people add from this file first: JSON with `overview`, `contributing`, `well`,
    /// `badly` and `actions`.
    #[arg(long, value_name = "PATH")]
    from: Option<PathBuf>,
    /// Publish it, unless it makes a person a cause.
    #[arg(long)]
    publish: bool,
    /// How it is printed.
    #[arg(long, value_enum, default_value = "markdown")]
    format: Format,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `incidents actions`.
#[derive(Debug, Args)]
pub(crate) struct ActionsOptions {
    /// The incident of the item that changes.
    #[arg(requires = "number")]
    id: Option<String>,
    /// The item that changes, by its number.
    #[arg(requires = "state")]
    number: Option<u64>,
    /// Where it is from now on.
    #[arg(value_enum)]
    state: Option<ItemState>,
    /// List those that are closed too.
    #[arg(long)]
    all: bool,
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Where an action item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ItemState {
    /// To be done.
    Open,
    /// Done.
    Done,
    /// Will not be done.
    Dropped,
}

/// Runs the command.
pub(crate) fn incidents(options: &IncidentsCommand) -> Result<ExitCode, String> {
    match &options.command {
        None => list(options),
        Some(IncidentCommand::Show(options)) => {
            let found = options.server.client()?.incident(&options.id);
            told(&found.map_err(|error| show::refusal(&error))?, options.json)
        }
        Some(IncidentCommand::Assign(options)) => {
            let input = IncidentRoleInput {
                role: options.role.shown(),
                who: options.who.clone(),
            };
            let client = options.server.client()?;
            let now = client.assign_incident_role(&options.id, &input);
            told(&now.map_err(|error| show::refusal(&error))?, options.json)
        }
        Some(IncidentCommand::Update(options)) => say(options, true),
        Some(IncidentCommand::Note(options)) => say(options, false),
        Some(IncidentCommand::Triage(options)) => {
            let input = IncidentLifeInput {
                severity: Some(options.severity),
                ..IncidentLifeInput::default()
            };
            let now = options
                .server
                .client()?
                .set_incident_life(&options.id, &input);
            told(&now.map_err(|error| show::refusal(&error))?, options.json)
        }
        Some(IncidentCommand::Mitigate(options)) => go(options, IncidentLife::Mitigated),
        Some(IncidentCommand::Resolve(options)) => go(options, IncidentLife::Resolved),
        Some(IncidentCommand::Review(options)) => go(options, IncidentLife::Reviewed),
        Some(IncidentCommand::Postmortem(options)) => postmortem(options),
        Some(IncidentCommand::Actions(options)) => actions(options),
    }
}

fn list(options: &IncidentsCommand) -> Result<ExitCode, String> {
    let found = options
        .server
        .client()?
        .incidents(options.limit.clamp(1, 1000));
    let found = found.map_err(|error| show::refusal(&error))?;
    if options.json {
        output::print_json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["INCIDENT", "STATE", "SEVERITY", "BEGAN", "FAILED", "WHAT"]);
    for one in &found {
        table.row(vec![
            line(&one.id),
            one.life.as_str().to_owned(),
            one.severity
                .map_or_else(|| "-".to_owned(), |it| it.to_string()),
            line(&one.began),
            format!("{} of {}", one.bad, one.total),
            line(&one.headline),
        ]);
    }
    output::print(&table.finish())?;
    Ok(ExitCode::SUCCESS)
}

fn go(options: &ShowOptions, life: IncidentLife) -> Result<ExitCode, String> {
    let input = IncidentLifeInput {
        life: Some(life),
        ..IncidentLifeInput::default()
    };
    let now = options
        .server
        .client()?
        .set_incident_life(&options.id, &input);
    told(&now.map_err(|error| show::refusal(&error))?, options.json)
}

fn say(options: &TextOptions, is_public: bool) -> Result<ExitCode, String> {
    let input = IncidentTextInput {
        text: options.text.clone(),
        role: options.role.shown(),
    };
    let client = options.server.client()?;
    let now = match is_public {
        true => client.update_incident(&options.id, &input),
        false => client.note_incident_action(&options.id, &input),
    };
    told(&now.map_err(|error| show::refusal(&error))?, options.json)
}

fn postmortem(options: &PostmortemOptions) -> Result<ExitCode, String> {
    let client = options.server.client()?;
    if let Some(path) = &options.from {
        let name = path.display();
        let text = std::fs::read(path).map_err(|error| format!("{name}: {error}"))?;
        let input: PostmortemInput =
            serde_json::from_slice(&text).map_err(|error| format!("{name}: {error}"))?;
        let written = client.put_postmortem(&options.id, &input);
        written.map_err(|error| show::refusal(&error))?;
    }
    let found = match options.publish {
        true => client.publish_postmortem(&options.id),
        false => client.postmortem(&options.id),
    };
    let found: Postmortem = found.map_err(|error| show::refusal(&error))?;
    match options.format {
        Format::Json => output::print_json(&found)?,
        Format::Html => output::print(&found.html)?,
        Format::Markdown => output::print(&found.markdown)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn actions(options: &ActionsOptions) -> Result<ExitCode, String> {
    let client = options.server.client()?;
    let found = match (&options.id, options.number, options.state) {
        (Some(id), Some(number), Some(state)) => {
            let state = match state {
                ItemState::Open => ActionItemState::Open,
                ItemState::Done => ActionItemState::Done,
                ItemState::Dropped => ActionItemState::Dropped,
            };
            client.set_action_item(id, number, ActionItemInput { state })
        }
        _ => client.action_items(),
    };
    let mut found = found.map_err(|error| show::refusal(&error))?;
    if !options.all && options.id.is_none() {
        found.retain(|item| item.state == ActionItemState::Open);
    }
    if options.json {
        output::print_json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["INCIDENT", "NUMBER", "TEAM", "STATE", "DUE", "WHAT"]);
    for item in &found {
        table.row(vec![
            line(&item.incident),
            item.number.to_string(),
            line(&item.team),
            item.state.as_str().to_owned(),
            line(item.due.as_deref().unwrap_or("-")),
            line(&item.text),
        ]);
    }
    output::print(&table.finish())?;
    Ok(ExitCode::SUCCESS)
}

fn told(found: &IncidentDetail, as_json: bool) -> Result<ExitCode, String> {
    match as_json {
        true => output::print_json(found)?,
        false => output::print(&describe(found))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(found: &IncidentDetail) -> String {
    let one = &found.incident;
    let severity = one
        .severity
        .map_or_else(|| "not judged".to_owned(), |it| it.to_string());
    let over = one.recovered.as_deref().unwrap_or("not yet");
    let mut text = format!(
        "{}\n  what        {}\n  state       {}\n  severity    {severity}\n  began       {}\n  \
         noticed     {}\n  over        {}\n  failed      {} of {} exchanges, {} consumers\n",
        line(&one.id),
        line(&one.headline),
        one.life.as_str(),
        line(&one.began),
        line(&one.opened),
        line(over),
        one.bad,
        one.total,
        one.consumers,
    );
    for (name, set) in [
        ("objectives", &one.objectives),
        ("routes", &one.routes),
        ("revisions", &one.revisions),
    ] {
        if !set.is_empty() {
            let _ = writeln!(text, "  {name:<11} {}", line(&set.join(", ")));
        }
    }
    for (role, who) in &found.roles {
        let _ = writeln!(text, "  {role:<11} {}", line(who));
    }
    if !found.is_durable {
        text += "  kept        in this process only: it has no store\n";
    }
    let mut table = Table::new(&["FACT", "TIME", "WHAT"]);
    for fact in &found.facts {
        table.row(vec![fact.id.to_string(), line(&fact.at), line(&fact.text)]);
    }
    let _ = write!(text, "\n{}", table.finish());
    if !found.hypotheses.is_empty() {
        text += "\nWhat could be so:\n";
    }
    for one in &found.hypotheses {
        let _ = writeln!(text, "  {}. {}", one.number, line(&one.text));
    }
    for one in &found.similar {
        let share = (one.share * 100.0).round();
        let _ = writeln!(text, "\nAlike: {} ({share} %)", line(&one.id));
    }
    text
}
