//! Memory, start-up and size: what a subject costs apart from requests.

use std::fs;
use std::time::Duration;

use gate_kit::clock::Clock;

use super::Session;
use super::fleet::{Fleet, load, setup};
use crate::load::{Pace, Stop};
use crate::process;
use crate::results::Row;
use crate::scenario::Scenario;
use crate::subject::{Kind, Subject};

/// Pause before idle memory is read, so that buffers can go back.
const SETTLE: Duration = Duration::from_secs(2);
/// How long a subject may take to fall back to its resting memory.
const REST: Duration = Duration::from_secs(60);
/// Requests per second while idle connections are served once each.
const IDLE_RATE: f64 = 4000.0;
/// Connections of the memory scenario's load.
const MEMORY_CONNECTIONS: usize = 256;
/// The longest start.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// Memory of idle keep-alive connections, each served once.
pub(super) fn idle(
    session: &Session,
    scenario: &Scenario,
    connections: usize,
) -> Result<Vec<Row>, String> {
    // The generator's side or the proxy's side of each, and the proxy's few upstream ones.
    let needed = connections as u64 + 2000;
    if session.files < needed {
        let why = format!("needs {needed} open files, {} are allowed", session.files);
        let missing = |&kind: &Kind| Row::missing(kind, why.clone());
        return Ok(session.kinds_for(scenario).iter().map(missing).collect());
    }
    let mut fleet = Fleet::start(session, scenario, false)?;
    for (subject, row) in fleet.subjects.iter_mut().zip(&mut fleet.rows) {
        let before = process::memory_mib(subject.id());
        let stop = Stop::Answers {
            count: connections as u64,
            deadline: Duration::from_secs(60),
        };
        let pace = Pace::Open { rate: IDLE_RATE };
        let request = subject.request(scenario);
        // The engine marks the end with every connection open; the pause lies within the mark.
        let held = load_and_hold(subject, request, connections, pace, stop)?;
        row.add("memory_mib", held);
        row.add(
            "kib_per_connection",
            (held - before) * 1024.0 / connections as f64,
        );
    }
    Ok(fleet.finish())
}

fn load_and_hold(
    subject: &mut Subject,
    request: crate::load::Request,
    connections: usize,
    pace: Pace,
    stop: Stop,
) -> Result<f64, String> {
    let plan = crate::load::Plan {
        address: subject.address,
        tls: subject.tls.clone(),
        connections,
        request,
        pace,
        stop,
    };
    let id = subject.id();
    let mut held = 0.0;
    let mut mark = |mark| {
        if mark == crate::load::Mark::End {
            std::thread::sleep(SETTLE);
            held = process::memory_mib(id);
        }
    };
    let outcome = crate::load::run(&plan, &mut mark)
        .map_err(|error| format!("{}: {error}", subject.kind.name()))?;
    if outcome.reconnects > 0 {
        return Err(format!(
            "{} closed {} of the connections that should stay idle",
            subject.kind.name(),
            outcome.reconnects
        ));
    }
    Ok(held)
}

/// Memory when started, at the end of load, and after a minute without any.
pub(super) fn memory(session: &Session, scenario: &Scenario) -> Result<Vec<Row>, String> {
    let mut fleet = Fleet::start(session, scenario, false)?;
    std::thread::sleep(SETTLE);
    for (subject, row) in fleet.subjects.iter_mut().zip(&mut fleet.rows) {
        row.add("idle_mib", process::memory_mib(subject.id()));
        let stop = Stop::After {
            warm_up: Duration::ZERO,
            measured: session.measured,
        };
        let request = subject.request(scenario);
        let done = load(subject, request, MEMORY_CONNECTIONS, Pace::Closed, stop)?;
        row.add("loaded_mib", done.memory_mib);
    }
    std::thread::sleep(REST);
    for (subject, row) in fleet.subjects.iter_mut().zip(&mut fleet.rows) {
        row.add("after_60s_mib", process::memory_mib(subject.id()));
    }
    Ok(fleet.finish())
}

/// From exec (through `setpriv`, some 1 ms) to the first served request.
pub(super) fn start(session: &Session, scenario: &Scenario) -> Result<Vec<Row>, String> {
    let clock = Clock::System;
    let kinds = session.kinds_for(scenario);
    let mut rows: Vec<Row> = kinds.into_iter().map(Row::new).collect();
    for round in 0..session.rounds {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let row = &mut rows[index];
            if !session.places.programs.contains_key(&row.kind) {
                row.note = Some("missing: not installed".to_owned());
                continue;
            }
            let began = clock.now();
            let setup = setup(session, scenario, &[]);
            let mut subject = Subject::start(row.kind, &session.places, &setup)?;
            subject.await_serving(&scenario.request(row.kind), START_DEADLINE)?;
            row.add("start_ms", clock.now().since(began).as_secs_f64() * 1000.0);
        }
    }
    Ok(rows)
}

/// Bytes of each program.
pub(super) fn size(session: &Session) -> Vec<Row> {
    let row = |&kind: &Kind| {
        let metadata = session.places.programs.get(&kind).map(fs::metadata);
        match metadata {
            Some(Ok(metadata)) => {
                let mut row = Row::new(kind);
                row.add("mib", metadata.len() as f64 / (1024.0 * 1024.0));
                row
            }
            _ => Row::missing(kind, "missing: not installed".to_owned()),
        }
    };
    session.kinds.iter().map(row).collect()
}
