//! `tidegate gameday`: a written plan brings a failure about in an environment, and scores what was
//! noticed of it: how soon, whether its place was named, and how soon all was well again.
//!
//! It needs traffic, and makes none. The failure ends with the command, by its own end where the
//! command is killed, and as soon as somebody stops it.

use super::server::Place;
use super::show::{self, line};
use crate::output;
use crate::table::Table;
use clap::Args;
use gate_admin::convert::time;
use gate_api::client::{Client, Seen};
use gate_api::types::{ExperimentState, ObjectiveState};
use gate_kit::clock::Clock;
use gate_model::document::{Document, Path as Field, from_node};
use gate_model::resources::Experiment;
use gate_model::units::Period;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Time between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// How long a change may take to be in force.
const IN_FORCE: Duration = Duration::from_secs(60);
/// Who manages what it puts into the environment.
const MANAGER: &str = "api";
/// Runs that are shown.
const SHOWN: usize = 10;

/// Options of `gameday`.
#[derive(Debug, Args)]
pub(crate) struct GamedayOptions {
    /// The plan: `name`, `experiment` (a resource of that kind), `objective`, and where wanted
    /// `detect_within`, `recover_within` and `names`.
    plan: PathBuf,
    /// The file that a line of JSON is added to.
    #[arg(long, value_name = "FILE", default_value = "gamedays.jsonl")]
    history: PathBuf,
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

/// What a run came to, as the history keeps it.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
struct Score {
    plan: String,
    began: String,
    /// Tries that were struck on the gateway that was asked.
    strikes: u64,
    /// Seconds until an alert; none when there was none in time.
    detected_s: Option<f64>,
    /// Which alert.
    alert: String,
    /// Where the excess was said to be.
    said: String,
    attributed: bool,
    /// Seconds from the end until exchanges ended well and none badly; none when not in time.
    recovered_s: Option<f64>,
    passed: bool,
}

/// Runs the command.
pub(crate) fn gameday(options: &GamedayOptions) -> Result<ExitCode, String> {
    let plan = read(&options.plan)?;
    let (client, environment) = options.place.open()?;
    let before = objective(&client, &plan)?;
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
    let score = game.play()?;
    keep(&options.history, &score)?;
    output::print(&told(&score, &history(&options.history, &score.plan)))?;
    Ok(match score.passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
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

fn objective(client: &Client, plan: &GamePlan) -> Result<ObjectiveState, String> {
    let found = client.objective(&plan.objective);
    found.map_err(|error| show::refusal(&error))
}

struct Game<'a> {
    client: &'a Client,
    environment: &'a str,
    plan: &'a GamePlan,
}

impl Game<'_> {
    fn play(&self) -> Result<Score, String> {
        let plan = self.plan;
        let resource = (self.environment, "experiments", plan.name.as_str());
        let value = serde_json::to_value(&plan.experiment).map_err(|error| error.to_string())?;
        let put = self
            .client
            .put_resource(resource, MANAGER, Seen::Any, false, &value);
        put.map_err(|error| show::refusal(&error))?;
        let unix_ms = i64::try_from(Clock::System.unix().as_millis()).unwrap_or(i64::MAX);
        let mut score = Score {
            plan: plan.name.clone(),
            began: time(unix_ms),
            ..Score::default()
        };
        let noticed = self.begun().and_then(|()| self.notice(&mut score));
        // Whatever went wrong, the failure ends here.
        let ended = self.end(&mut score);
        let gone = self
            .client
            .delete_resource(resource, MANAGER, Seen::Any, false);
        noticed?;
        ended?;
        self.recover(&mut score)?;
        gone.map_err(|error| show::refusal(&error))?;
        score.passed =
            score.detected_s.is_some() && score.attributed && score.recovered_s.is_some();
        Ok(score)
    }

    fn state(&self) -> Result<Option<(ExperimentState, u64)>, String> {
        let all = self.client.experiments();
        let all = all.map_err(|error| show::refusal(&error))?;
        let own = all.into_iter().find(|one| one.name == self.plan.name);
        Ok(own.map(|one| (one.state, one.strikes)))
    }

    fn begun(&self) -> Result<(), String> {
        let until = Instant::now() + IN_FORCE;
        while self.state()?.is_none() {
            if Instant::now() >= until {
                return Err("the experiment did not begin: no gateway has taken it over".to_owned());
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Waits until an alert is on and the place is named.
    fn notice(&self, score: &mut Score) -> Result<(), String> {
        let began = Instant::now();
        let names = self.names();
        while began.elapsed() < self.plan.detect_within.duration() {
            let state = objective(self.client, self.plan)?;
            if let Some(alert) = state.alerts.first()
                && score.detected_s.is_none()
            {
                score.detected_s = Some(began.elapsed().as_secs_f64());
                score.alert.clone_from(&alert.alert);
            }
            if let Some(place) = state.places.first() {
                score.said.clone_from(&place.text);
                score.attributed = names.iter().any(|name| place.text.contains(name));
            }
            if score.detected_s.is_some() && score.attributed {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// What counts as the failure's place.
    fn names(&self) -> Vec<String> {
        if !self.plan.names.is_empty() {
            return self.plan.names.clone();
        }
        let scope = self.plan.experiment.scope.clone();
        let named = [
            scope.route,
            scope.endpoint,
            scope.provider,
            scope.model,
            scope.mcp_server,
            scope.consumer,
        ];
        named.into_iter().flatten().collect()
    }

    fn end(&self, score: &mut Score) -> Result<(), String> {
        let reason = format!("the game day `{}` is over", self.plan.name);
        let stopped = self.client.stop_experiment(&self.plan.name, &reason);
        let state = self.state()?;
        score.strikes = state.map_or(0, |(_, strikes)| strikes);
        match (stopped, state) {
            // It may have ended by itself.
            (Err(error), Some((ExperimentState::Running, _))) => Err(show::refusal(&error)),
            _ => Ok(()),
        }
    }

    /// Waits until exchanges end well and none badly, twice in a row.
    fn recover(&self, score: &mut Score) -> Result<(), String> {
        let ended = Instant::now();
        let mut last = objective(self.client, self.plan)?;
        let mut well: Option<f64> = None;
        while ended.elapsed() < self.plan.recover_within.duration() {
            std::thread::sleep(LOOK);
            let state = objective(self.client, self.plan)?;
            if state.total == last.total {
                continue;
            }
            let at = ended.elapsed().as_secs_f64();
            match (state.bad > last.bad, well) {
                (true, _) => well = None,
                (false, None) => well = Some(at),
                (false, Some(first)) => {
                    score.recovered_s = Some(first);
                    return Ok(());
                }
            }
            last = state;
        }
        Ok(())
    }
}

fn keep(file: &Path, score: &Score) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", file.display());
    let mut row = serde_json::to_string(score).map_err(|error| error.to_string())?;
    row.push('\n');
    let opened = OpenOptions::new().create(true).append(true).open(file);
    opened
        .map_err(failed)?
        .write_all(row.as_bytes())
        .map_err(failed)
}

/// The latest runs of a plan, the newest last.
fn history(file: &Path, plan: &str) -> Vec<Score> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let rows = text
        .lines()
        .filter_map(|row| serde_json::from_str(row).ok());
    let rows: Vec<Score> = rows.filter(|score: &Score| score.plan == plan).collect();
    rows[rows.len().saturating_sub(SHOWN)..].to_vec()
}

fn told(score: &Score, runs: &[Score]) -> String {
    let seconds = |s: Option<f64>| s.map_or_else(|| "no".to_owned(), |s| format!("{s:.1} s"));
    let mut table = Table::new(&[
        "BEGAN",
        "STRUCK",
        "DETECTED",
        "BY",
        "ATTRIBUTED",
        "RECOVERED",
    ]);
    for run in runs {
        table.row(vec![
            line(&run.began),
            run.strikes.to_string(),
            seconds(run.detected_s),
            line(&run.alert),
            if run.attributed { "yes" } else { "no" }.to_owned(),
            seconds(run.recovered_s),
        ]);
    }
    let verdict = if score.passed { "passed" } else { "not passed" };
    let said = match score.said.is_empty() {
        true => "nothing was said of its place".to_owned(),
        false => format!("its place was said to be: {}", line(&score.said)),
    };
    format!(
        "{}: {verdict}; {said}\n{}",
        line(&score.plan),
        table.finish()
    )
}
