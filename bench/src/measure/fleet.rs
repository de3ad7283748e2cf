//! The subjects of one scenario, all serving, each with its row of figures.

use std::fs;
use std::time::Duration;

use super::Session;
use crate::load::{Mark, Outcome, Pace, Plan, Request, Stop, run};
use crate::process;
use crate::results::Row;
use crate::scenario::{self, Scenario};
use crate::subject::{Kind, Setup, Subject, Variant};

/// Running subjects and their rows, in the same order.
#[derive(Debug)]
pub(super) struct Fleet {
    /// The subjects.
    pub(super) subjects: Vec<Subject>,
    /// Their figures.
    pub(super) rows: Vec<Row>,
    absent: Vec<Row>,
}

/// The names of the gateway's workers begin with it.
const WORKER: &str = "worker-";

/// What one load run of one subject brought.
#[derive(Debug)]
pub(super) struct Round {
    /// The load's figures.
    pub(super) outcome: Outcome,
    /// Time on a core of the subject's processes within the measured time.
    pub(super) cpu: Duration,
    /// The part of it of the gateway's workers.
    pub(super) workers: Duration,
    /// Memory of the subject at the end, connections still open.
    pub(super) memory_mib: f64,
}

impl Fleet {
    /// Starts every subject and checks that its answer is the mock's own.
    pub(super) fn start(
        session: &Session,
        scenario: &Scenario,
        direct: bool,
    ) -> Result<Self, String> {
        let mut fleet = Self {
            subjects: Vec::new(),
            rows: Vec::new(),
            absent: Vec::new(),
        };
        let mut kinds = session.kinds_for(scenario);
        if direct {
            kinds.insert(0, Kind::Direct);
        }
        for kind in kinds {
            if kind != Kind::Direct && !session.places.programs.contains_key(&kind) {
                fleet
                    .absent
                    .push(Row::missing(kind, "missing: not installed".to_owned()));
                continue;
            }
            match Self::start_one(session, scenario, kind) {
                Ok(subject) => {
                    fleet.subjects.push(subject);
                    fleet.rows.push(Row::new(kind));
                }
                Err(problem) if kind == Kind::Direct => return Err(problem),
                Err(problem) => fleet.absent.push(Row::failed(kind, &problem)),
            }
        }
        Ok(fleet)
    }

    fn start_one(session: &Session, scenario: &Scenario, kind: Kind) -> Result<Subject, String> {
        let mut subject = Subject::start(kind, &session.places, &setup(session, scenario, &[]))?;
        let body = subject.await_serving(&subject.request(scenario), kind.start_deadline())?;
        check_body(session, scenario, kind, &body)?;
        if scenario.variant == Variant::Guarded && kind.is_guard() {
            // A firewall that lets everything through is cheap.
            subject.await_serving(&scenario::attack(), kind.start_deadline())?;
        }
        Ok(subject)
    }

    /// The row of a scenario that measures the gateway alone, whose lake and files of earlier runs go;
    /// none where it takes no part.
    #[must_use]
    pub(super) fn gateway_row(session: &Session) -> Option<Row> {
        let takes_part = session.kinds.contains(&Kind::Tidegate);
        let folder = session.places.scratch.join(Kind::Tidegate.name());
        for old in ["lake", "files"] {
            // Where there was no such run there is no such folder.
            let _ = fs::remove_dir_all(folder.join(old));
        }
        takes_part.then(|| Row::new(Kind::Tidegate))
    }

    /// The order of a round: reversed every second one.
    #[must_use]
    pub(super) fn order(&self, round: usize) -> Vec<usize> {
        let forward = 0..self.subjects.len();
        if round.is_multiple_of(2) {
            forward.collect()
        } else {
            forward.rev().collect()
        }
    }

    /// Ends the subjects; returns all rows.
    #[must_use]
    pub(super) fn finish(mut self) -> Vec<Row> {
        self.rows.append(&mut self.absent);
        self.rows
    }
}

/// What a scenario asks of its subjects.
pub(super) fn setup<'a>(
    session: &'a Session,
    scenario: &'a Scenario,
    under: &'a [String],
) -> Setup<'a> {
    Setup {
        variant: scenario.variant,
        document: scenario.document,
        mode: scenario.mode,
        upstream: session.upstream.address(),
        certificate: &session.certificate,
        under,
        crs: &session.places.crs,
    }
}

/// Runs load against one subject and reads its counters at the borders.
pub(super) fn load(
    subject: &mut Subject,
    request: Request,
    connections: usize,
    pace: Pace,
    stop: Stop,
) -> Result<Round, String> {
    let plan = Plan {
        address: subject.address,
        tls: subject.tls.clone(),
        connections,
        request,
        pace,
        stop,
    };
    let id = subject.id();
    let (mut began, mut ended, mut memory_mib) = ([Duration::ZERO; 2], [Duration::ZERO; 2], 0.0);
    let used = || ["", WORKER].map(|name| process::threads_time(id, name));
    let mut mark = |mark| match mark {
        Mark::Start if id != 0 => began = used(),
        Mark::End if id != 0 => {
            ended = used();
            memory_mib = process::memory_mib(id);
        }
        Mark::Start | Mark::End => {}
    };
    let outcome =
        run(&plan, &mut mark).map_err(|error| format!("{}: {error}", subject.kind.name()))?;
    if let Some(process) = &mut subject.process {
        process.check_alive()?;
    }
    Ok(Round {
        outcome,
        cpu: ended[0].saturating_sub(began[0]),
        workers: ended[1].saturating_sub(began[1]),
        memory_mib,
    })
}

/// A body that passed through unchanged must be the mock's; a translated one must be a message.
fn check_body(
    session: &Session,
    scenario: &Scenario,
    kind: Kind,
    body: &[u8],
) -> Result<(), String> {
    if kind == Kind::Tidegate && scenario.ask.is_message() {
        let value: serde_json::Value = serde_json::from_slice(body)
            .map_err(|error| format!("the translated answer is not JSON: {error}"))?;
        if value["type"] == "message" && value["usage"]["output_tokens"] == 198 {
            return Ok(());
        }
        return Err(format!(
            "the translated answer is not an Anthropic message: {value}"
        ));
    }
    if kind.is_ai_only() {
        let value: serde_json::Value = serde_json::from_slice(body)
            .map_err(|error| format!("the answer is not JSON: {error}"))?;
        let choice = &value["choices"][0]["message"]["content"];
        if choice.is_string() && value["usage"]["completion_tokens"] == 198 {
            return Ok(());
        }
        return Err(format!("the answer is not a chat completion: {value}"));
    }
    let mut direct = Subject::start(
        Kind::Direct,
        &session.places,
        &setup(session, scenario, &[]),
    )?;
    let expected = direct.await_serving(
        &scenario.request(Kind::Direct),
        Kind::Direct.start_deadline(),
    )?;
    if body == expected {
        return Ok(());
    }
    Err(format!(
        "{} changed the body: {} bytes instead of {}",
        kind.name(),
        body.len(),
        expected.len()
    ))
}
