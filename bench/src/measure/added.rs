//! What one setting adds: two gateways, one with it and one without, in turns.

use super::Session;
use super::fleet::{Fleet, Round, load, setup};
use super::traced::{COUNTED_REQUESTS, SLOW_DEADLINE, count_instructions};
use crate::load::{Pace, Stop};
use crate::results::Row;
use crate::scenario::Scenario;
use crate::subject::{Kind, Subject};
use std::time::Duration;

/// Connections at saturation.
const CONNECTIONS: usize = 32;
/// Load before each measured time.
const WARM_UP: Duration = Duration::from_millis(500);

/// CPU per request, of the whole process and of its workers alone.
pub(super) fn cpu(
    session: &Session,
    scenario: &Scenario,
    without: &'static str,
) -> Result<Vec<Row>, String> {
    let Some(mut row) = Fleet::gateway_row(session) else {
        return Ok(Vec::new());
    };
    let bare = bare(scenario, without);
    // One after the other, so that the second does not empty what the first has opened.
    let mut subjects = Vec::new();
    for one in [&bare, scenario] {
        let setup = setup(session, one, &[]);
        let mut subject = Subject::start(Kind::Tidegate, &session.places, &setup)?;
        subject.await_serving(&one.request(Kind::Tidegate), SLOW_DEADLINE)?;
        subjects.push(subject);
    }
    let stop = Stop::After {
        warm_up: WARM_UP,
        measured: session.measured,
    };
    for round in 0..session.rounds {
        let mut figures = [[0.0; 2]; 2];
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for index in order {
            let subject = &mut subjects[index];
            let request = subject.request(scenario);
            let done = load(subject, request, CONNECTIONS, Pace::Closed, stop)?;
            figures[index] = per_answer(&done);
        }
        let [bare, full] = figures;
        row.add("cpu_us", full[0]);
        row.add("added_us", full[0] - bare[0]);
        row.add("worker_us", full[1]);
        row.add("added_worker_us", full[1] - bare[1]);
    }
    Ok(vec![row])
}

fn per_answer(done: &Round) -> [f64; 2] {
    let answers = done.outcome.answers.max(1) as f64;
    [done.cpu, done.workers].map(|time| time.as_secs_f64() * 1e6 / answers)
}

/// User instructions per request, of the whole process and of its busiest thread alone, which is its
/// one worker.
pub(super) fn instructions(
    session: &Session,
    scenario: &Scenario,
    without: &'static str,
) -> Result<Vec<Row>, String> {
    let Some(mut row) = Fleet::gateway_row(session) else {
        return Ok(Vec::new());
    };
    let bare = bare(scenario, without);
    let mut figures = Vec::new();
    for one in [&bare, scenario] {
        let [short, long] = COUNTED_REQUESTS;
        let few = count_instructions(session, one, Kind::Tidegate, short)?;
        let many = count_instructions(session, one, Kind::Tidegate, long)?;
        let requests = (long - short) as f64;
        let per_request = |few: u64, many: u64| many.saturating_sub(few) as f64 / requests;
        figures.push([
            per_request(few.all, many.all),
            per_request(few.busiest, many.busiest),
        ]);
    }
    row.add("instructions", figures[1][0]);
    row.add("added_instructions", figures[1][0] - figures[0][0]);
    row.add("worker_instructions", figures[1][1]);
    row.add("added_worker_instructions", figures[1][1] - figures[0][1]);
    Ok(vec![row])
}

fn bare(scenario: &Scenario, without: &'static str) -> Scenario {
    Scenario {
        document: without,
        ..*scenario
    }
}
