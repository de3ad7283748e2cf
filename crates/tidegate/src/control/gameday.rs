//! `tidegate gameday`: a written plan brings a failure about in an environment, and its incident scores
//! what was noticed of it: how soon, whether its place was named, and how soon all was well again.
//!
//! It needs traffic, and makes none. The failure ends with the command, by its own end where the
//! command is killed, and as soon as somebody stops it. The score is the gateway's, read from the
//! incident, which keeps it.

use super::server::Place;
use super::show::{self, line};
use crate::output;
use crate::table::Table;
use clap::Args;
use gate_admin::convert::time;
use gate_api::client::{Client, Seen};
use gate_api::types::{ExperimentState, GameDay, GameDayInput};
use gate_kit::clock::Clock;
use gate_model::document::{Document, Path as Field, from_node};
use gate_model::resources::Experiment;
use gate_model::units::Period;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// How long a change may take to be in force, and its incident to be open.
const IN_FORCE: Duration = Duration::from_secs(60);
/// The incident shows what has recovered this much later at most.
const LATE: Duration = Duration::from_secs(15);
/// Who manages what it puts into the environment.
const MANAGER: &str = "api";
/// Runs that are shown.
const SHOWN: usize = 10;

/// Options of `gameday`.
#[derive(Debug, Args)]
pub(crate) struct GamedayOptions {
    /// The plan: `name`, `experiment` (a resource of that kind), `objective`, and where wanted
    /// `detect_within`, `recover_within` and `names`. Without one, what was noticed of all experiments
    /// is shown.
    plan: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Where.
    #[command(flatten)]
    place: Place,
}

/// What is tried, and what is hoped for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GamePlan {
    /// Its name, which the experiment has too.
    name: String,
    /// What goes wrong.
    experiment: Experiment,
    /// The promise that has to notice.
    objective: String,
    /// How soon.
    #[serde(default = "minute")]
    detect_within: Period,
    /// How soon all has to be well again once it ends.
    #[serde(default = "minute")]
    recover_within: Period,
    /// What has to be named as its place; what the experiment's scope names when left out.
    #[serde(default)]
    names: Vec<String>,
}

fn minute() -> Period {
    Period::from_seconds(60)
}

/// Runs the command.
pub(crate) fn gameday(options: &GamedayOptions) -> Result<ExitCode, String> {
    let Some(file) = &options.plan else {
        let (client, _) = options.place.open()?;
        let days = client.game_days().map_err(|error| show::refusal(&error))?;
        match options.json {
            true => output::print_json(&days)?,
            false => output::print(&table(&days))?,
        }
        return Ok(ExitCode::SUCCESS);
    };
    let plan = read(file)?;
    let (client, environment) = options.place.open()?;
    let before = client.objective(&plan.objective);
    let before = before.map_err(|error| show::refusal(&error))?;
    if let Some(alert) = before.alerts.first() {
        let text = format!(
            "`{}` has the alert {} on already: a game day begins where all is well",
            plan.objective, alert.alert
        );
        return Err(text);
    }
    let game = Game {
        client: &client,
        environment: &environment,
        plan: &plan,
    };
    let day = game.play()?;
    if options.json {
        output::print_json(&day)?;
    } else {
        let days = client.game_days().map_err(|error| show::refusal(&error))?;
        output::print(&told(&day, days))?;
    }
    Ok(match day.passed {
        Some(true) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn read(file: &Path) -> Result<GamePlan, String> {
    let name = file.display().to_string();
    let bytes = fs::read(file).map_err(|error| format!("{name}: {error}"))?;
    let document = Document::parse(&bytes, name.as_str()).map_err(|findings| {
        let findings = findings.iter().map(ToString::to_string);
        findings.collect::<Vec<_>>().join("\n")
    })?;
    let plan: GamePlan = from_node(&document.root, &Field::root())
        .map_err(|finding| finding.in_file(&document.file).to_string())?;
    match plan.experiment.problems().first() {
        Some((field, problem)) => Err(format!("{name}: experiment.{field}: {problem}")),
        None => Ok(plan),
    }
}

struct Game<'a> {
    client: &'a Client,
    environment: &'a str,
    plan: &'a GamePlan,
}

impl Game<'_> {
    fn play(&self) -> Result<GameDay, String> {
        let plan = self.plan;
        let resource = (self.environment, "experiments", plan.name.as_str());
        let value = serde_json::to_value(&plan.experiment).map_err(|error| error.to_string())?;
        let unix_ms = i64::try_from(Clock::System.unix().as_millis()).unwrap_or(i64::MAX);
        let since = time(unix_ms);
        let put = self
            .client
            .put_resource(resource, MANAGER, Seen::Any, false, &value);
        put.map_err(|error| show::refusal(&error))?;
        let noticed = self.begun(&since).and_then(|incident| {
            self.notice(&incident)?;
            Ok(incident)
        });
        // Whatever went wrong, the failure ends here.
        let ended = self.end();
        let told = noticed
            .as_ref()
            .map_or(Ok(()), |incident| self.until_ended(incident));
        let gone = self
            .client
            .delete_resource(resource, MANAGER, Seen::Any, false);
        let incident = noticed?;
        ended?;
        told?;
        gone.map_err(|error| show::refusal(&error))?;
        self.recover(&incident)
    }

    fn day(&self, incident: &str) -> Result<GameDay, String> {
        let found = self.client.incident(incident);
        let found = found.map_err(|error| show::refusal(&error))?;
        let none = || format!("no experiment makes the incident {incident}");
        found.game_day.ok_or_else(none)
    }

    /// Waits until the experiment has an incident, and says there what is hoped for.
    fn begun(&self, since: &str) -> Result<String, String> {
        let plan = self.plan;
        let until = Instant::now() + IN_FORCE;
        // Times of one length compare as texts do, to the second: another clock may be a bit behind.
        let is_new = |day: &GameDay| {
            day.experiment == plan.name && day.ended.is_none() && day.began[..19] >= since[..19]
        };
        let incident = loop {
            let days = self.client.game_days();
            let days = days.map_err(|error| show::refusal(&error))?;
            if let Some(day) = days.into_iter().find(is_new) {
                break day.incident;
            }
            if Instant::now() >= until {
                return Err("the experiment did not begin: no gateway has taken it over".to_owned());
            }
            std::thread::sleep(LOOK);
        };
        let input = GameDayInput {
            plan: plan.name.clone(),
            objective: plan.objective.clone(),
            names: plan.names.clone(),
            detect_within: plan.detect_within,
            recover_within: plan.recover_within,
        };
        let planned = self.client.plan_game_day(&incident, &input);
        planned.map_err(|error| show::refusal(&error))?;
        Ok(incident)
    }

    /// Waits until a page is on and the place is named, or it is too late for that.
    fn notice(&self, incident: &str) -> Result<(), String> {
        let began = Instant::now();
        while began.elapsed() < self.plan.detect_within.duration() {
            let day = self.day(incident)?;
            if day.paged_s.is_some() && day.rank.is_some() || day.ended.is_some() {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    fn end(&self) -> Result<(), String> {
        let reason = format!("the game day `{}` is over", self.plan.name);
        let stopped = self.client.stop_experiment(&self.plan.name, &reason);
        let all = self.client.experiments();
        let all = all.map_err(|error| show::refusal(&error))?;
        let mut own = all.iter().filter(|one| one.name == self.plan.name);
        let is_running = own.any(|one| one.state == ExperimentState::Running);
        match stopped {
            // It may have ended by itself.
            Err(error) if is_running => Err(show::refusal(&error)),
            _ => Ok(()),
        }
    }

    /// Waits until the incident says how it ended, for a while: what is deleted says less.
    fn until_ended(&self, incident: &str) -> Result<(), String> {
        let stopped = Instant::now();
        while stopped.elapsed() < LATE && self.day(incident)?.ended.is_none() {
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Waits until exchanges end well again, or it is too late for that.
    fn recover(&self, incident: &str) -> Result<GameDay, String> {
        let ended = Instant::now();
        loop {
            let day = self.day(incident)?;
            let is_late = ended.elapsed() >= self.plan.recover_within.duration() + LATE;
            if day.ended.is_some() && day.recovered_s.is_some() || is_late {
                return Ok(day);
            }
            std::thread::sleep(LOOK);
        }
    }
}

fn table(days: &[GameDay]) -> String {
    let seconds = |s: Option<f64>| s.map_or_else(|| "-".to_owned(), |s| format!("{s:.1} s"));
    let mut table = Table::new(&[
        "BEGAN",
        "EXPERIMENT",
        "INJECTS",
        "SUSPECTED",
        "PAGED",
        "PLACE NAMED",
        "MITIGATED",
        "RECOVERED",
        "PASSED",
        "INCIDENT",
    ]);
    for day in days {
        table.row(vec![
            line(&day.began),
            line(&day.experiment),
            line(&day.inject),
            seconds(day.suspected_s),
            seconds(day.paged_s),
            day.rank
                .map_or_else(|| "no".to_owned(), |rank| format!("as answer {rank}")),
            seconds(day.mitigated_s),
            seconds(day.recovered_s),
            match day.passed {
                None => "-",
                Some(true) => "yes",
                Some(false) => "no",
            }
            .to_owned(),
            line(&day.incident),
        ]);
    }
    table.finish()
}

/// How a game day went, before those of its plan that went before; the newest first.
fn told(day: &GameDay, mut days: Vec<GameDay>) -> String {
    days.retain(|one| one.plan == day.plan);
    days.truncate(SHOWN);
    let verdict = match day.passed {
        Some(true) => "passed",
        _ => "not passed",
    };
    let said = match day.said.is_empty() {
        true => "nothing was said of its place".to_owned(),
        false => format!("its place was said to be: {}", line(&day.said)),
    };
    format!("{}: {verdict}; {said}\n{}", line(&day.plan), table(&days))
}
