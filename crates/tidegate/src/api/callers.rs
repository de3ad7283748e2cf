//! Who still calls which version of which API: `tidegate api callers`, and the same for the admin
//! API.

use crate::output;
use crate::table::Table;
use crate::usage;
use clap::Args;
use gate_api::types::{VersionCaller, VersionState};
use gate_contract::version::Versions;
use gate_kit::clock::Clock;
use gate_kit::order::Order;
use gate_model::resources::{Resources, Stage};
use gate_model::units::Timestamp;
use gate_store::ledger::CallerRow;
use std::cmp::Reverse;
use std::path::PathBuf;
use std::process::ExitCode;

const DAY_S: u64 = 86_400;
/// How far back callers are shown when nothing is asked for, in days.
pub(crate) const SPAN_DAYS: u64 = 30;

/// Options of `api callers`.
#[derive(Debug, Args)]
pub(crate) struct CallersOptions {
    /// The configuration whose APIs and `gateway.store` are read.
    pub(crate) file: PathBuf,
    /// Only this API.
    #[arg(long, value_name = "NAME")]
    pub(crate) api: Option<String>,
    /// From this day on (UTC); the last 30 days when left out.
    #[arg(long, value_name = "DAY")]
    pub(crate) since: Option<Timestamp>,
    /// Print versions with their callers as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs the command.
pub(super) fn callers(options: &CallersOptions) -> Result<ExitCode, String> {
    let (resources, mut store) = usage::open(&options.file)?;
    let now_s = Clock::System.unix().as_secs();
    let since = options
        .since
        .map_or(now_s / DAY_S - SPAN_DAYS, |time| time.unix_s() / DAY_S);
    let api = options.api.as_deref().unwrap_or_default();
    if !api.is_empty() && !resources.apis.contains_key(api) {
        return Err(format!(
            "{}: there is no API `{api}`",
            options.file.display()
        ));
    }
    let rows = store.callers(api, i64::try_from(since).unwrap_or(0));
    let rows = rows.map_err(|error| error.to_string())?;
    let mut states = states(&resources, &rows, now_s);
    states.retain(|state| api.is_empty() || state.api == api);
    match options.json {
        true => output::print_json(&states)?,
        false => output::print(&text(&states))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Every configured version, and every other that was called, with its callers: by API, the newest
/// version first.
pub(crate) fn states(resources: &Resources, rows: &[CallerRow], now_s: u64) -> Vec<VersionState> {
    let mut states: Vec<VersionState> = Vec::new();
    for (api, resource) in &resources.apis {
        let Some(listed) = &resource.versions else {
            continue;
        };
        // Versions that do not compile are not served either.
        let Ok(versions) = Versions::compile(listed) else {
            continue;
        };
        for version in &versions.list {
            states.push(VersionState {
                api: api.clone(),
                version: version.name.to_string(),
                stage: word(version.stage_at(now_s)).to_owned(),
                deprecated_at: version.deprecated_at().map(moment),
                sunset_at: version.sunset_at().map(moment),
                paused_until: version.refuses(now_s).map(|left| moment(now_s + left)),
                ..VersionState::default()
            });
        }
    }
    let mut rows: Vec<&CallerRow> = rows.iter().collect();
    rows.order_by(|one, other| {
        let key = (&one.api, &one.version, &one.consumer);
        key.cmp(&(&other.api, &other.version, &other.consumer))
    });
    for row in rows {
        let is_it = |state: &VersionState| *state.api == *row.api && *state.version == *row.version;
        let at = states.iter().position(is_it).unwrap_or_else(|| {
            states.push(VersionState {
                api: row.api.to_string(),
                version: row.version.to_string(),
                stage: "unknown".to_owned(),
                ..VersionState::default()
            });
            states.len() - 1
        });
        add(&mut states[at], row);
    }
    for state in &mut states {
        state
            .callers
            .order_by_key(|caller| (Reverse(caller.calls), caller.consumer.clone()));
    }
    // Stable, so that versions keep their order within an API.
    states.order_by(|one, other| one.api.cmp(&other.api));
    states
}

fn add(state: &mut VersionState, row: &CallerRow) {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let consumer = (!row.consumer.is_empty()).then(|| row.consumer.to_string());
    // Rows come by consumer.
    if state.callers.last().map(|caller| &caller.consumer) != Some(&consumer) {
        state.callers.push(VersionCaller {
            consumer,
            ..VersionCaller::default()
        });
    }
    state.calls += count(row.calls);
    let Some(caller) = state.callers.last_mut() else {
        return;
    };
    caller.calls += count(row.calls);
    caller.failed += count(row.failed);
    caller.refused += count(row.refused);
    let last = moment(count(row.last_ms) / 1000);
    caller.last = std::mem::take(&mut caller.last).max(last);
    let route = row.route.to_string();
    if !route.is_empty() && !caller.routes.contains(&route) {
        caller.routes.push(route);
    }
}

/// A time as RFC 3339 writes it, also where it is the beginning of a day.
fn moment(unix_s: u64) -> String {
    let text = Timestamp::from_unix_s(unix_s).to_string();
    match text.contains('T') {
        true => text,
        false => format!("{text}T00:00:00Z"),
    }
}

const fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Preview => "preview",
        Stage::Active => "active",
        Stage::Deprecated => "deprecated",
        Stage::Retired => "retired",
    }
}

fn text(states: &[VersionState]) -> String {
    let day = |time: &Option<String>| {
        let day = time.as_deref().and_then(|time| time.get(..10));
        day.unwrap_or("").to_owned()
    };
    let shown = |name: &str| {
        if name.is_empty() {
            "(none)".to_owned()
        } else {
            name.to_owned()
        }
    };
    let mut table = Table::new(&["api", "version", "stage", "sunset", "consumer", "last call"]);
    table.head(&["calls", "failed", "refused"]);
    for state in states {
        let start = [
            state.api.clone(),
            shown(&state.version),
            state.stage.clone(),
            day(&state.sunset_at),
        ];
        if state.callers.is_empty() {
            let mut cells = start.to_vec();
            cells.extend(["nobody", "", "0", "0", "0"].map(str::to_owned));
            table.row(cells);
        }
        for caller in &state.callers {
            let mut cells = start.to_vec();
            cells.push(shown(caller.consumer.as_deref().unwrap_or_default()));
            cells.push(caller.last.clone());
            cells.extend(
                [caller.calls, caller.failed, caller.refused].map(|count| count.to_string()),
            );
            table.row(cells);
        }
    }
    table.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_model::document::Document;

    fn row(version: &str, consumer: &str, route: &str, calls: i64) -> CallerRow {
        CallerRow {
            day: 20_779,
            api: "orders".into(),
            version: version.into(),
            consumer: consumer.into(),
            route: route.into(),
            calls,
            failed: 1,
            refused: 0,
            last_ms: 1_795_309_200_000 + calls,
        }
    }

    #[test]
    fn versions_are_shown_with_who_calls_them_and_without_anybody() {
        let yaml = "apis: { orders: { openapi: { inline: {} }, target: { api: orders }, versions: { \
                    by: [{ query: v }], list: { 2.0.0: {}, 1.0.0: { deprecated_at: 2026-01-01, \
                    sunset_at: 2027-01-31 } } } } }";
        let document = Document::parse(yaml.as_bytes(), "g.yaml").expect("valid YAML");
        let resources: Resources = Resources::read(&document).expect("valid resources");
        let rows = [
            row("1.0.0", "app", "a", 2),
            row("1.0.0", "shop", "a", 3),
            row("1.0.0", "shop", "b", 4),
            row("0.9.0", "", "a", 1),
        ];
        let states = states(&resources, &rows, 1_795_305_600);
        assert_eq!(
            text(&states),
            "api     version  stage       sunset      consumer  last call             calls  failed  refused\n\
             orders  2.0.0    active                  nobody                              0       0        0\n\
             orders  1.0.0    deprecated  2027-01-31  shop      2026-11-22T01:00:00Z      7       2        0\n\
             orders  1.0.0    deprecated  2027-01-31  app       2026-11-22T01:00:00Z      2       1        0\n\
             orders  0.9.0    unknown                 (none)    2026-11-22T01:00:00Z      1       1        0\n"
        );
        assert_eq!(states[1].callers[0].routes, ["a", "b"]);
    }
}
