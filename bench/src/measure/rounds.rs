//! Saturation, live streams and latency: interleaved rounds of load.

use std::time::Duration;

use super::Session;
use super::fleet::{Fleet, load};
use crate::load::{Pace, Stop};
use crate::results::Row;
use crate::scenario::{Ask, Scenario};
use crate::subject::Kind;
use crate::upstream::{EVENTS_PER_STREAM, PACED_GAP};

/// Load before each measured time at saturation.
const WARM_UP: Duration = Duration::from_millis(500);
/// New live streams per second; 37 keeps them out of step with each other's 20 ms.
const STREAMS_PER_SECOND: f64 = 37.0;
/// Connections for live streams: more than are ever live at once.
const STREAM_CONNECTIONS: usize = 256;
/// Connections of the latency scenario.
const LATENCY_CONNECTIONS: usize = 64;

/// CPU per request and requests per second.
pub(super) fn saturation(
    session: &Session,
    scenario: &Scenario,
    connections: usize,
) -> Result<Vec<Row>, String> {
    let mut fleet = Fleet::start(session, scenario, true)?;
    let stop = Stop::After {
        warm_up: WARM_UP,
        measured: session.measured,
    };
    for round in 0..session.rounds {
        for index in fleet.order(round) {
            let (subject, row) = (&mut fleet.subjects[index], &mut fleet.rows[index]);
            let request = subject.request(scenario);
            let mut done = load(subject, request, connections, Pace::Closed, stop)?;
            let answers = done.outcome.answers.max(1) as f64;
            if subject.kind != Kind::Direct {
                row.add("cpu_us", done.cpu.as_secs_f64() * 1e6 / answers);
            }
            row.add("rps", answers / done.outcome.elapsed.as_secs_f64());
            let [p50, p99] = done.outcome.latency.quantiles_us([0.5, 0.99]);
            row.add("p50_us", p50);
            row.add("p99_us", p99);
            if scenario.ask == Ask::Stream {
                row.add(
                    "first_event_p50_us",
                    done.outcome.first_byte.quantiles_us([0.5])[0],
                );
            }
            if subject.kind != Kind::Direct {
                row.add("memory_mib", done.memory_mib);
            }
            if done.outcome.reconnects > 0 {
                row.note = Some(format!("{} reconnects in a round", done.outcome.reconnects));
            }
        }
    }
    Ok(fleet.finish())
}

/// CPU per event and the first event of live streams.
pub(super) fn paced(session: &Session, scenario: &Scenario) -> Result<Vec<Row>, String> {
    let mut fleet = Fleet::start(session, scenario, true)?;
    // As many streams end as begin once the first have run to their end.
    let stream = PACED_GAP * u32::try_from(EVENTS_PER_STREAM).expect("a small number");
    let stop = Stop::After {
        warm_up: stream + WARM_UP,
        measured: session.measured,
    };
    let pace = Pace::Open {
        rate: STREAMS_PER_SECOND,
    };
    for round in 0..session.rounds {
        for index in fleet.order(round) {
            let (subject, row) = (&mut fleet.subjects[index], &mut fleet.rows[index]);
            let request = subject.request(scenario);
            let mut done = load(subject, request, STREAM_CONNECTIONS, pace, stop)?;
            let events = done.outcome.events.max(1) as f64;
            if subject.kind != Kind::Direct {
                row.add("cpu_us_per_event", done.cpu.as_secs_f64() * 1e6 / events);
            }
            row.add("events_per_s", events / done.outcome.elapsed.as_secs_f64());
            let [p50, p99] = done.outcome.first_byte.quantiles_us([0.5, 0.99]);
            row.add("first_event_p50_us", p50);
            row.add("first_event_p99_us", p99);
            if subject.kind != Kind::Direct {
                row.add("memory_mib", done.memory_mib);
            }
        }
    }
    Ok(fleet.finish())
}

/// Latency from the scheduled send, and what it adds to the direct path of the same round.
pub(super) fn latency(
    session: &Session,
    scenario: &Scenario,
    rate: u32,
) -> Result<Vec<Row>, String> {
    let mut fleet = Fleet::start(session, scenario, true)?;
    let stop = Stop::After {
        warm_up: WARM_UP,
        measured: session.measured,
    };
    let pace = Pace::Open { rate: rate.into() };
    for round in 0..session.rounds {
        let mut figures = vec![[0.0; 3]; fleet.subjects.len()];
        for index in fleet.order(round) {
            let (subject, row) = (&mut fleet.subjects[index], &mut fleet.rows[index]);
            let request = subject.request(scenario);
            let mut done = load(subject, request, LATENCY_CONNECTIONS, pace, stop)?;
            figures[index] = done.outcome.latency.quantiles_us([0.5, 0.99, 0.999]);
            if subject.kind != Kind::Direct {
                let answers = done.outcome.answers.max(1) as f64;
                row.add("cpu_us", done.cpu.as_secs_f64() * 1e6 / answers);
            }
        }
        let direct = figures[0];
        for (row, figure) in fleet.rows.iter_mut().zip(&figures) {
            if row.kind == Kind::Direct {
                row.add("p50_us", figure[0]);
                row.add("p99_us", figure[1]);
                row.add("p999_us", figure[2]);
            } else {
                row.add("added_p50_us", figure[0] - direct[0]);
                row.add("added_p99_us", figure[1] - direct[1]);
                row.add("added_p999_us", figure[2] - direct[2]);
            }
        }
    }
    Ok(fleet.finish())
}
