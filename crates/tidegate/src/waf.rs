//! `tidegate waf`: checks rule files, and suggests exclusions from access logs.
//!
//! Both work on files alone; no gateway has to run.

use crate::output;
use clap::{Args, Subcommand};
use gate_kit::order::Order;
use gate_waf::{Files, Least, Loader, Observed, RECOMMENDED, Suggestion, Tuner};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Commands of the firewall.
#[derive(Debug, Subcommand)]
pub(crate) enum WafCommand {
    /// Read rule files in SecLang in their order, and say what is wrong with them, with places.
    Check(CheckRules),
    /// Suggest the narrowest exclusions for requests that are in order, from an access log in JSON.
    Tune(TuneOptions),
}

/// Options of `waf check`.
#[derive(Debug, Args)]
pub(crate) struct CheckRules {
    /// Rule files, such as `crs-setup.conf rules/*.conf`.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `waf tune`.
#[derive(Debug, Args)]
pub(crate) struct TuneOptions {
    /// Access logs in JSON, one row a line; `-` is standard input.
    #[arg(required = true)]
    pub(crate) logs: Vec<PathBuf>,
    /// Only this route.
    #[arg(long)]
    pub(crate) route: Option<String>,
    /// Least matches behind a suggestion.
    #[arg(long, default_value_t = 10)]
    pub(crate) matches: u64,
    /// Least different callers behind a suggestion: what one caller sends alone is no evidence.
    #[arg(long, default_value_t = 3)]
    pub(crate) callers: usize,
    /// Print suggestions as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs a command.
pub(crate) fn waf(command: &WafCommand) -> Result<ExitCode, String> {
    match command {
        WafCommand::Check(options) => check(options),
        WafCommand::Tune(options) => tune(options),
    }
}

/// Files beside the file that names them.
struct Beside;

impl Files for Beside {
    fn read(&self, name: &str, from: &str) -> Result<Vec<u8>, String> {
        let file = Path::new(from)
            .parent()
            .unwrap_or(Path::new("."))
            .join(name);
        std::fs::read(&file).map_err(|error| format!("{} cannot be read: {error}", file.display()))
    }
}

fn check(options: &CheckRules) -> Result<ExitCode, String> {
    let mut loader = Loader::new(&Beside);
    loader.add("recommended.conf", RECOMMENDED);
    for file in &options.files {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
        loader.add(&file.to_string_lossy(), &text);
    }
    let loaded = loader.finish();
    match loaded.and_then(|rules| rules.prepare().map(|()| rules)) {
        Ok(rules) => {
            let counts = rules.statistics();
            match options.json {
                true => output::print_json(&json!({
                    "rules": counts.rules, "ids": counts.ids, "filtered": counts.filtered,
                    "inert": counts.inert,
                }))?,
                false => output::print(&format!(
                    "{} rules with {} ids; {} of them run only where a value can match\n",
                    counts.rules, counts.ids, counts.filtered
                ))?,
            }
            if counts.inert > 0 {
                output::tell(&format!(
                    "warning: {} ids protect from nothing here: their rules ask a network (@rbl, \
                     @geoLookup), or look at what earlier requests left (IP, SESSION, ...)",
                    counts.inert
                ));
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(problems) => {
            match options.json {
                true => {
                    let rows = problems.iter().map(|problem| {
                        json!({"file": problem.file, "line": problem.line, "message": problem.message})
                    });
                    output::print_json(&rows.collect::<Vec<Value>>())?;
                }
                false => problems
                    .iter()
                    .for_each(|problem| output::tell(&problem.to_string())),
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Longest row of a log that is read.
const ROW_MAX: u64 = 1024 * 1024;

fn tune(options: &TuneOptions) -> Result<ExitCode, String> {
    let mut tuner = Tuner::default();
    for log in &options.logs {
        let told = |error: std::io::Error| format!("{} cannot be read: {error}", log.display());
        let reader: Box<dyn Read> = match log.as_os_str() == "-" {
            true => Box::new(std::io::stdin()),
            false => Box::new(std::fs::File::open(log).map_err(told)?),
        };
        let mut reader = BufReader::new(reader);
        let mut row = Vec::new();
        loop {
            row.clear();
            if reader
                .by_ref()
                .take(ROW_MAX)
                .read_until(b'\n', &mut row)
                .map_err(told)?
                == 0
            {
                break;
            }
            observe(&mut tuner, &row, options.route.as_deref());
        }
    }
    let least = Least {
        matches: options.matches,
        callers: options.callers,
    };
    let found = tuner.suggest(least);
    match options.json {
        true => output::print_json(&found.iter().map(as_json).collect::<Vec<Value>>())?,
        false => output::print(&as_text(&found, options))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Adds a row's matches; rows that are no JSON or hold none are passed over.
fn observe(tuner: &mut Tuner, row: &[u8], only: Option<&str>) {
    let Ok(row) = serde_json::from_slice::<Value>(row) else {
        return;
    };
    let text = |value: &'_ Value, name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let waf = &row["waf"];
    let (route, consumer, client) = (
        text(&row, "route"),
        text(&row, "consumer"),
        text(&row, "client"),
    );
    if only.is_some_and(|only| only != route) {
        return;
    }
    let refused = matches!(waf["action"].as_str(), Some("blocked" | "detected"));
    for one in waf["matches"].as_array().into_iter().flatten() {
        tuner.add(&Observed {
            route: &route,
            rule: text(one, "rule").parse().unwrap_or(0),
            message: &text(one, "message"),
            variable: &text(one, "variable"),
            shape: &text(one, "shape"),
            caller: if consumer.is_empty() {
                &client
            } else {
                &consumer
            },
            refused,
        });
    }
}

fn as_json(one: &Suggestion) -> Value {
    json!({
        "route": one.route, "rule": one.rule, "target": one.target, "message": one.message,
        "matches": one.matches, "refused": one.refused, "callers": one.callers,
        "shapes": one.shapes, "broad": one.broad,
    })
}

fn as_text(found: &[Suggestion], options: &TuneOptions) -> String {
    if found.is_empty() {
        return format!(
            "Nothing to suggest: no rule matched one variable {} times from {} callers.\n",
            options.matches, options.callers
        );
    }
    let mut text = String::new();
    let mut route = None;
    for one in found_by_route(found) {
        if route != Some(&one.route) {
            route = Some(&one.route);
            text.push_str(&format!("# route {}\nexclude:\n", one.route));
        }
        text.push_str(&format!(
            "  - {}  # {}: {} matches, {} refused, {} callers; seen as {}{}\n",
            entry(one),
            one.message,
            one.matches,
            one.refused,
            one.callers,
            one.shapes.join(" | "),
            if one.broad {
                "; leaves out more than one member, look closer"
            } else {
                ""
            },
        ));
    }
    text
}

/// The entry of a policy's list `exclude`, in YAML.
pub(crate) fn entry(one: &Suggestion) -> String {
    // A name is the caller's text; JSON's strings are YAML's, whatever is in them.
    let target = Value::from(one.target.as_str());
    format!("{{ rule: {}, target: {target} }}", one.rule)
}

fn found_by_route(found: &[Suggestion]) -> Vec<&Suggestion> {
    let mut rows: Vec<&Suggestion> = found.iter().collect();
    rows.order_by(|one, other| one.route.cmp(&other.route));
    rows
}
