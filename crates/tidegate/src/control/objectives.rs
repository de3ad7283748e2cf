//! `tidegate objectives`: how promises stand, objectives in other formats, and who may pass the gate.

use super::server::{Place, ServerOptions};
use super::show::{self, line};
use crate::table::Table;
use crate::{config, output};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand, ValueEnum};
use gate_api::types::{
    DurationsState, FreezeInput, GateState, ObjectiveState, OverrideInput, QuantileState,
};
use gate_flow::SecretSource;
use gate_kit::clock::Clock;
use gate_model::document::NodeKind;
use gate_model::resources::Resources;
use gate_model::units::Period;
use gate_ops::slo::{Definition, Metrics, Objective, Override, openslo, prometheus, sloth};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code when something was not taken over.
const INCOMPLETE: u8 = 3;

/// Options of `objectives`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ObjectivesCommand {
    /// What to do; lists objectives when left out.
    #[command(subcommand)]
    command: Option<ObjectiveCommand>,
    /// How to list.
    #[command(flatten)]
    list: ListOptions,
}

#[derive(Debug, Subcommand)]
enum ObjectiveCommand {
    /// Show how an objective stands, and where it fails.
    Show(ShowOptions),
    /// Write a document's objectives as OpenSLO v1.
    Export(FileOptions),
    /// Write OpenSLO v1 documents as objectives, and list what was not taken over; exit code 3 when
    /// there is something in that list.
    Import(FileOptions),
    /// Write the alert rules of a document's objectives for another monitor.
    Rules(RulesOptions),
    /// Show what is frozen in an environment, and what may pass all the same.
    Gate(GateOptions),
    /// Let no changes of a route, or of anything, pass for a while.
    Freeze(FreezeOptions),
    /// End a freeze.
    Thaw(ThawOptions),
    /// Sign that a revision may pass in spite of a spent budget or a freeze.
    Override(OverrideOptions),
    /// Print a new key for signing, and its public half for `gateway.admin.override_keys`.
    NewKey,
}

/// Options of the list.
#[derive(Debug, Args)]
struct ListOptions {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `objectives show`.
#[derive(Debug, Args)]
struct ShowOptions {
    /// The objective.
    name: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Which gateway.
    #[command(flatten)]
    server: ServerOptions,
}

/// Options of `objectives export` and `objectives import`.
#[derive(Debug, Args)]
struct FileOptions {
    /// The file.
    file: PathBuf,
}

/// Options of `objectives rules`.
#[derive(Debug, Args)]
struct RulesOptions {
    /// The configuration.
    file: PathBuf,
    /// For whom.
    #[arg(long = "for", value_enum, value_name = "MONITOR")]
    monitor: MonitorKind,
}

/// Who evaluates rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum MonitorKind {
    /// Rules that decide as this gateway does.
    Prometheus,
    /// A specification (`prometheus/v1`), from which Sloth makes rules of its own.
    Sloth,
}

/// Options of `objectives gate`.
#[derive(Debug, Args)]
struct GateOptions {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Where.
    #[command(flatten)]
    place: Place,
}

/// Options of `objectives freeze`.
#[derive(Debug, Args)]
struct FreezeOptions {
    /// The route; everything when left out.
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Why; shown to whoever is refused.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// For how long, at most 90d.
    #[arg(long = "for", value_name = "PERIOD")]
    lasts: Period,
    /// Where.
    #[command(flatten)]
    place: Place,
}

/// Options of `objectives thaw`.
#[derive(Debug, Args)]
struct ThawOptions {
    /// The route; the freeze of everything when left out.
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Where.
    #[command(flatten)]
    place: Place,
}

/// Options of `objectives override`.
#[derive(Debug, Args)]
struct OverrideOptions {
    /// Digest of what may pass, as the refusal and `tidegate plan --json` show it.
    #[arg(long)]
    digest: String,
    /// Name of the key in `gateway.admin.override_keys`.
    #[arg(long, value_name = "NAME")]
    by: String,
    /// File with the key, as `tidegate objectives new-key` prints it.
    #[arg(long, value_name = "PATH")]
    signing_key: PathBuf,
    /// Why; written into the audit log.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// For how long it may pass.
    #[arg(long = "for", value_name = "PERIOD", default_value = "1h")]
    lasts: Period,
    /// Where.
    #[command(flatten)]
    place: Place,
}

/// Runs the command.
///
/// # Errors
/// One text for people.
pub(crate) fn run(options: &ObjectivesCommand) -> Result<ExitCode, String> {
    match &options.command {
        None => list(&options.list),
        Some(ObjectiveCommand::Show(options)) => show(options),
        Some(ObjectiveCommand::Export(options)) => export(options),
        Some(ObjectiveCommand::Import(options)) => import(options),
        Some(ObjectiveCommand::Rules(options)) => rules(options),
        Some(ObjectiveCommand::Gate(options)) => gate(options),
        Some(ObjectiveCommand::Freeze(options)) => freeze(options),
        Some(ObjectiveCommand::Thaw(options)) => thaw(options),
        Some(ObjectiveCommand::Override(options)) => allow(options),
        Some(ObjectiveCommand::NewKey) => new_key(),
    }
}

fn list(options: &ListOptions) -> Result<ExitCode, String> {
    let objectives = options.server.client()?.objectives();
    let objectives = objectives.map_err(|error| show::refusal(&error))?;
    if options.json {
        output::print_json(&objectives)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["OBJECTIVE", "WINDOW", "ALERTS"]);
    table.head(&["TARGET", "LEFT", "BURN", "BAD", "EXCHANGES"]);
    for one in &objectives {
        table.row(vec![
            line(&one.name),
            line(&one.window),
            alerts(one),
            percent(one.target),
            one.budget_left
                .map_or_else(|| "-".into(), |left| format!("{:.1} %", left * 100.0)),
            one.burn
                .map_or_else(|| "-".into(), |burn| format!("{burn:.1}")),
            one.bad.to_string(),
            one.total.to_string(),
        ]);
    }
    output::print(&table.finish())?;
    Ok(ExitCode::SUCCESS)
}

fn alerts(one: &ObjectiveState) -> String {
    let on: Vec<&str> = one
        .alerts
        .iter()
        .map(|alert| alert.alert.as_str())
        .collect();
    match on.is_empty() {
        true => "-".into(),
        false => line(&on.join(",")),
    }
}

fn percent(share: f64) -> String {
    let text = format!("{:.4}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn show(options: &ShowOptions) -> Result<ExitCode, String> {
    let one = options.server.client()?.objective(&options.name);
    let one = one.map_err(|error| show::refusal(&error))?;
    if options.json {
        output::print_json(&one)?;
        return Ok(ExitCode::SUCCESS);
    }
    output::print(&describe(&one))?;
    Ok(ExitCode::SUCCESS)
}

fn describe(one: &ObjectiveState) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}: {} good by {} over {}",
        line(&one.name),
        percent(one.target),
        line(&one.indicator),
        line(&one.window)
    );
    let _ = writeln!(text, "  {} bad of {} exchanges", one.bad, one.total);
    match one.budget_left {
        None => text.push_str("  no exchanges yet: nothing was promised to anybody\n"),
        Some(left) => {
            let _ = writeln!(text, "  {:.1} % of the error budget is left", left * 100.0);
        }
    }
    for burn in &one.burns {
        let _ = writeln!(
            text,
            "  burns {:.1} times as fast as allowed over {}",
            burn.burn,
            line(&burn.window)
        );
    }
    if let Some(forecast) = &one.forecast {
        let _ = match forecast.soonest_s {
            0 => writeln!(text, "  the budget is spent"),
            soonest_s => writeln!(
                text,
                "  spent in {} at this pace",
                Period::from_seconds(soonest_s)
            ),
        };
    }
    if let Some(durations) = &one.durations {
        text.push_str(&took(durations));
    }
    let _ = writeln!(text, "  alerts: {}", alerts(one));
    for place in &one.places {
        let _ = writeln!(text, "  {}", line(&place.text));
    }
    text
}

/// How long exchanges took, in a line.
fn took(of: &DurationsState) -> String {
    let one = |quantile: &QuantileState| {
        let milliseconds = quantile.seconds * 1_000.0;
        format!("p{:.0} {milliseconds:.1} ms", quantile.quantile * 100.0)
    };
    let quantiles: Vec<String> = of.quantiles.iter().map(one).collect();
    let place = match of.is_stored {
        true => "all gateways",
        false => "this process alone",
    };
    format!(
        "  took {} (at most {:.1} % beside it; {} of {place})\n",
        quantiles.join(", "),
        of.error * 100.0,
        of.count
    )
}

/// The objectives of a configuration or of a document without `gateway`.
fn definitions(file: &std::path::Path) -> Result<Vec<Definition>, String> {
    let bytes = config::read(file)?;
    let lines = |findings: Vec<gate_model::finding::Finding>| {
        let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    let document = config::parse(&bytes, file).map_err(lines)?;
    let mut root = document.root.clone();
    if let NodeKind::Mapping(kinds) = &mut root.kind {
        kinds.retain(|(kind, _)| &*kind.text == "objectives");
    }
    let only = gate_model::document::Document { root, ..document };
    let resources = Resources::read(&only).map_err(lines)?;
    let mut definitions = Vec::new();
    for (name, objective) in &resources.objectives {
        gate_ops::slo::check(name, objective)
            .map_err(|(field, problem)| format!("objectives.{name}.{field}: {problem}"))?;
        definitions.push(gate_ops::slo::definition(name, objective));
    }
    match definitions.is_empty() {
        true => Err(format!("{} has no objectives", file.display())),
        false => Ok(definitions),
    }
}

fn export(options: &FileOptions) -> Result<ExitCode, String> {
    let definitions = definitions(&options.file)?;
    output::print(&openslo::write(&definitions, &Metrics::default()))?;
    Ok(ExitCode::SUCCESS)
}

fn import(options: &FileOptions) -> Result<ExitCode, String> {
    let bytes = config::read(&options.file)?;
    let text = String::from_utf8(bytes).map_err(|_| "the file is no UTF-8".to_owned())?;
    let parsed = openslo::parse(&text);
    let mut objectives = serde_json::Map::new();
    let mut lacks: Vec<String> = parsed
        .lacks
        .iter()
        .map(|lack| format!("{}: {}", lack.place, lack.message))
        .collect();
    for definition in &parsed.definitions {
        let name = &definition.objective.name;
        match gate_ops::slo::resource(definition) {
            Ok(resource) => {
                let value = serde_json::to_value(&resource).map_err(|error| error.to_string())?;
                objectives.insert(name.clone(), bare(value));
            }
            Err(problem) => lacks.push(format!("`{name}`: {problem}; left out")),
        }
    }
    if objectives.is_empty() && lacks.is_empty() {
        return Err(format!(
            "{} holds no OpenSLO documents",
            options.file.display()
        ));
    }
    output::print_json(&json!({ "objectives": objectives }))?;
    lacks.iter().for_each(|lack| output::tell(&line(lack)));
    Ok(match lacks.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(INCOMPLETE),
    })
}

/// Without fields that say nothing.
fn bare(mut value: Value) -> Value {
    if let Value::Object(fields) = &mut value {
        fields.retain(|_, value| !value.is_null() && *value != json!(""));
    }
    value
}

fn rules(options: &RulesOptions) -> Result<ExitCode, String> {
    let definitions = definitions(&options.file)?;
    let metrics = Metrics::default();
    let own = |definition: &Definition| definition.objective.clone();
    if options.monitor == MonitorKind::Prometheus {
        let objectives: Vec<Objective> = definitions.iter().map(own).collect();
        output::print(&prometheus(&objectives, &metrics))?;
        return Ok(ExitCode::SUCCESS);
    }
    // One specification is of one service.
    let mut services: std::collections::BTreeMap<&str, Vec<Objective>> = Default::default();
    for definition in &definitions {
        let service = match definition.service.as_str() {
            "" => "tidegate",
            service => service,
        };
        services.entry(service).or_default().push(own(definition));
    }
    let texts = services
        .iter()
        .map(|(service, objectives)| sloth(service, objectives, &metrics));
    output::print(&texts.collect::<Vec<_>>().join("---\n"))?;
    Ok(ExitCode::SUCCESS)
}

fn gate(options: &GateOptions) -> Result<ExitCode, String> {
    let (client, environment) = options.place.open()?;
    let gate = client
        .gate(&environment)
        .map_err(|error| show::refusal(&error))?;
    if options.json {
        output::print_json(&gate)?;
    } else {
        output::print(&held(&gate))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn held(gate: &GateState) -> String {
    let mut text = String::new();
    let now_s = Clock::System.unix().as_secs();
    let left = |until_s: u64| Period::from_seconds(until_s.saturating_sub(now_s) / 60 * 60);
    for freeze in &gate.freezes {
        let what = freeze
            .route
            .as_deref()
            .map_or("everything".into(), |route| format!("route {route}"));
        let _ = writeln!(
            text,
            "frozen for {}: {}: {}",
            left(freeze.until_s),
            line(&what),
            line(&freeze.reason)
        );
    }
    for word in &gate.overrides {
        let _ = writeln!(
            text,
            "{} may pass for {}: {} ({})",
            line(&word.digest),
            left(word.until_s),
            line(&word.reason),
            line(&word.by)
        );
    }
    if text.is_empty() {
        text.push_str("nothing is frozen\n");
    }
    text
}

fn freeze(options: &FreezeOptions) -> Result<ExitCode, String> {
    let (client, environment) = options.place.open()?;
    let input = FreezeInput {
        route: options.route.clone(),
        reason: options.reason.clone(),
        lasts: options.lasts,
    };
    let gate = client
        .freeze(&environment, &input)
        .map_err(|error| show::refusal(&error))?;
    output::print(&held(&gate))?;
    Ok(ExitCode::SUCCESS)
}

fn thaw(options: &ThawOptions) -> Result<ExitCode, String> {
    let (client, environment) = options.place.open()?;
    let gate = client.thaw(&environment, options.route.as_deref());
    output::print(&held(&gate.map_err(|error| show::refusal(&error))?))?;
    Ok(ExitCode::SUCCESS)
}

fn allow(options: &OverrideOptions) -> Result<ExitCode, String> {
    let text = config::Secrets.file(&options.signing_key)?;
    let seed = STANDARD
        .decode(text.trim())
        .ok()
        .filter(|seed| seed.len() == 32);
    let seed = seed.ok_or_else(|| format!("{} holds no key", options.signing_key.display()))?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|error| error.to_string())?;
    let until_s = Clock::System.unix().as_secs() + options.lasts.microseconds() / 1_000_000;
    let mut word = Override {
        digest: options.digest.clone(),
        by: options.by.clone(),
        reason: options.reason.clone(),
        until_s,
        signature: Vec::new(),
    };
    word.signature = pair.sign(&word.message()).as_ref().to_vec();
    let (client, environment) = options.place.open()?;
    let input = OverrideInput {
        digest: word.digest,
        by: word.by,
        reason: word.reason,
        until_s,
        signature: STANDARD.encode(&word.signature),
    };
    let gate = client
        .allow(&environment, &input)
        .map_err(|error| show::refusal(&error))?;
    output::print(&held(&gate))?;
    Ok(ExitCode::SUCCESS)
}

fn new_key() -> Result<ExitCode, String> {
    let mut seed = [0; 32];
    aws_lc_rs::rand::fill(&mut seed).map_err(|_| "the system gives no randomness".to_owned())?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|error| error.to_string())?;
    output::print(&format!(
        "key: {}\noverride_keys: {}\n",
        STANDARD.encode(seed),
        STANDARD.encode(pair.public_key().as_ref())
    ))?;
    Ok(ExitCode::SUCCESS)
}
