//! What this gateway's kept records say about an incident: the curve, when it began, the first exchange
//! that failed, who was touched and where it is.

use gate_ops::attribution::{Attribution, Cells, Conjunction, Settings, attribute};
use gate_ops::incident::{Incident, Moment, Onset, onset};
use gate_ops::slo::Count;
use gate_proxy::record::recent::line::Line;
use gate_proxy::record::recent::replay;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Most rows that one look reads, the newest ones.
const ROWS_MAX: u64 = 60_000;
/// How long before it was opened an incident may have begun, in milliseconds.
pub(super) const BEFORE_MS: u64 = 600_000;
/// Dimensions of where something is, in the order of [`Event::values`].
pub(super) const DIMENSIONS: [&str; 8] = [
    "revision", "route", "provider", "model", "endpoint", "consumer", "status", "fault",
];
/// Those that say how an exchange ended and not where: no part of an attribution, because every bad
/// one has them.
const OUTCOMES: [&str; 2] = ["status", "fault"];
/// What the curve is counted by.
const SECOND_MS: u64 = 1000;
const PICODOLLARS_PER_MICRO: u64 = 1_000_000;

/// A finished exchange, as far as incidents care.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// The record's identity.
    pub id: String,
    /// When it ended, in UNIX milliseconds: that is when it was counted.
    pub at_ms: u64,
    /// Whether it failed through no fault of its caller.
    pub is_bad: bool,
    /// What it cost, in millionths of a dollar.
    pub money_micros: u64,
    /// Values of [`DIMENSIONS`]; empty where it has none.
    pub values: [String; DIMENSIONS.len()],
}

impl Event {
    fn of(id: &dyn std::fmt::Display, line: &Line<'_>) -> Self {
        let ai = line.ai.as_deref();
        let endpoint = line.attempts.last().map(|attempt| attempt.0.to_string());
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let cost = ai.and_then(|ai| ai.cost).unwrap_or(0);
        let cost = u64::try_from(cost).unwrap_or(0);
        Self {
            id: id.to_string(),
            at_ms: (line.started_us + line.duration_us) / 1000,
            is_bad: line.status >= 500 || line.status == 0 && line.fault.is_some(),
            money_micros: cost / PICODOLLARS_PER_MICRO,
            values: [
                line.revision.to_string(),
                text(line.route.as_deref()),
                text(ai.and_then(|ai| ai.provider.as_deref())),
                text(ai.map(|ai| &*ai.model)),
                endpoint.unwrap_or_default(),
                text(line.consumer.as_deref()),
                line.status.to_string(),
                text(line.fault.as_deref()),
            ],
        }
    }

    /// The value of a dimension.
    pub(crate) fn value(&self, dimension: &str) -> &str {
        let index = DIMENSIONS.iter().position(|name| *name == dimension);
        index.map_or("", |index| &self.values[index])
    }

    fn is_in(&self, cell: &[Conjunction]) -> bool {
        // A dimension that records do not have says nothing against it.
        let holds = |cause: &Conjunction| {
            let mut known = cause
                .iter()
                .filter(|(key, _)| DIMENSIONS.contains(&key.as_str()));
            known.all(|(key, value)| self.value(key) == value)
        };
        cell.is_empty() || cell.iter().any(holds)
    }
}

/// The newest exchanges that ended since a time, in the order in which they were written. Empty where
/// none are kept.
pub(crate) fn events(folder: Option<&Path>, since_ms: u64) -> Vec<Event> {
    let mut events = Vec::new();
    let visited = folder.map(|folder| {
        replay(folder, ROWS_MAX, |_, place, line| {
            let event = Event::of(place, line);
            if event.at_ms >= since_ms {
                events.push(event);
            }
        })
    });
    if let Some(Err(error)) = visited {
        tracing::warn!(%error, "incidents are written without records");
    }
    events
}

/// What records say about one incident.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Events by second.
    pub series: Vec<Moment>,
    /// When it began, in UNIX milliseconds, and the counts on both sides.
    pub onset: Option<(u64, Onset)>,
    /// The first one that failed since then: when, and which.
    pub first_bad: Option<(u64, String)>,
    /// Events and bad ones since it began.
    pub count: Count,
    /// Consumers of bad ones.
    pub consumers: BTreeSet<String>,
    /// What bad ones cost.
    pub money_micros: u64,
    /// Where they are.
    pub attribution: Option<Attribution>,
}

/// Reads what there is to say about an incident.
pub(super) fn seen(incident: &Incident, all: &[Event]) -> Seen {
    let from_ms = incident.opened_ms.saturating_sub(BEFORE_MS);
    let is_route = |event: &&Event| {
        event.at_ms >= from_ms
            && (incident.routes.is_empty() || incident.routes.contains(event.value("route")))
    };
    let scope: Vec<&Event> = all.iter().filter(is_route).collect();
    let series = by_second(&scope);
    let counts: Vec<Count> = series.iter().map(|one| one.count).collect();
    let onset = onset(&counts).map(|found| (series[found.index].at_ms, found));
    let mut seen = Seen {
        series,
        onset,
        ..Seen::default()
    };
    // A place that no bad exchange here is in was named by counts with other words.
    let is_hit = scope
        .iter()
        .any(|event| event.is_bad && event.is_in(&incident.cell));
    let cell: &[Conjunction] = if is_hit { &incident.cell } else { &[] };
    // What a revision failed is its own from its first exchange on, also in the second before the
    // one in which the share changed.
    let of_revision = !cell.is_empty() && cell.iter().all(|cause| cause.contains_key("revision"));
    let first_of_cell = scope
        .iter()
        .filter(|event| of_revision && event.is_bad && event.is_in(cell))
        .map(|event| event.at_ms)
        .min()
        .unwrap_or(u64::MAX);
    // Within its own second too: that second began before the revision served.
    if let Some((at_ms, _)) = &mut seen.onset
        && first_of_cell < at_ms.saturating_add(SECOND_MS)
    {
        *at_ms = first_of_cell;
    }
    // Where nothing was before, it began with the first that failed.
    let known_ms = incident.facts.iter().find_map(|fact| match fact.what {
        gate_ops::incident::What::Onset { .. } => Some(fact.at_ms),
        _ => None,
    });
    let begun_ms = known_ms.or(seen.onset.map(|(at_ms, _)| at_ms));
    let begun_ms = begun_ms.unwrap_or(from_ms).min(first_of_cell);
    for event in scope.iter().filter(|event| event.at_ms >= begun_ms) {
        let is_bad = event.is_bad && event.is_in(cell);
        seen.count = Count::new(seen.count.total + 1, seen.count.bad + u64::from(is_bad));
        if !is_bad {
            continue;
        }
        seen.money_micros = seen.money_micros.saturating_add(event.money_micros);
        let consumer = event.value("consumer");
        if !consumer.is_empty() {
            seen.consumers.insert(consumer.to_owned());
        }
        if seen
            .first_bad
            .as_ref()
            .is_none_or(|(at, _)| event.at_ms < *at)
        {
            seen.first_bad = Some((event.at_ms, event.id.clone()));
        }
    }
    if seen.count.bad > 0 {
        seen.attribution = Some(place(&scope, begun_ms, u64::MAX));
    }
    seen
}

/// Where the excess of bad events is in a time, against the time before.
pub(crate) fn place(events: &[&Event], from_ms: u64, until_ms: u64) -> Attribution {
    let places = DIMENSIONS.len() - OUTCOMES.len();
    let mut cells = Cells::new(&DIMENSIONS[..places]);
    for event in events.iter().filter(|event| event.at_ms < until_ms) {
        let values: Vec<&str> = event.values[..places].iter().map(String::as_str).collect();
        let count = Count::new(1, u64::from(event.is_bad));
        match event.at_ms < from_ms {
            true => cells.before(&values, count),
            false => cells.now(&values, count),
        }
    }
    said_once(attribute(&cells, &Settings::default()))
}

/// Leaves out what says nothing: values that an exchange does not have, and places that hold exactly
/// what a wider one before them holds.
fn said_once(mut found: Attribution) -> Attribution {
    let mut said: Vec<(Count, Vec<Conjunction>)> = Vec::new();
    for answer in &mut found.answers {
        for cause in &mut answer.causes {
            cause.retain(|_, value| !value.is_empty());
        }
    }
    let within = |wide: &Conjunction, narrow: &Conjunction| {
        wide.iter()
            .all(|(key, value)| narrow.get(key) == Some(value))
    };
    found.answers.retain(|answer| {
        let is_empty = answer.causes.iter().any(Conjunction::is_empty);
        let is_same = said.iter().any(|(count, causes)| {
            let holds = |cause| causes.iter().any(|wide| within(wide, cause));
            *count == answer.count && answer.causes.iter().all(holds)
        });
        said.push((answer.count, answer.causes.clone()));
        !is_empty && !is_same
    });
    found
}

/// Events by second, without gaps, so that a second without traffic is one.
pub(crate) fn by_second(events: &[&Event]) -> Vec<Moment> {
    let mut seconds: BTreeMap<u64, Count> = BTreeMap::new();
    for event in events {
        let count = seconds.entry(event.at_ms / SECOND_MS).or_default();
        *count = Count::new(count.total + 1, count.bad + u64::from(event.is_bad));
    }
    let (first, last) = (seconds.keys().next(), seconds.keys().next_back());
    let (Some(&first), Some(&last)) = (first, last) else {
        return Vec::new();
    };
    let first = first.max((last + 1).saturating_sub(gate_ops::incident::SERIES_MAX as u64));
    (first..=last)
        .map(|second| Moment {
            at_ms: second * SECOND_MS,
            count: seconds.get(&second).copied().unwrap_or_default(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_ops::incident::{Desk, Opening, Query, Signal, Subject};

    fn event(at_ms: u64, revision: &str, is_bad: bool) -> Event {
        let mut event = Event {
            id: at_ms.to_string(),
            at_ms,
            is_bad,
            ..Event::default()
        };
        event.values[0] = revision.to_owned();
        event
    }

    /// An incident at 16 s that is in a revision.
    fn of_revision(revision: &str) -> Incident {
        let mut desk = Desk::default();
        let query = Query {
            of: "records".into(),
            filter: BTreeMap::new(),
            from_ms: 0,
            until_ms: 0,
        };
        let signal = Signal {
            opening: Opening::Page,
            subject: Subject::default(),
            attribution: None,
            query,
            experiment: None,
            text: "it fails".into(),
        };
        desk.hear(signal, 16_000, |_| "inc-1".into());
        let mut incident = desk.incidents().next().unwrap().clone();
        let cause = Conjunction::from([("revision".to_owned(), revision.to_owned())]);
        incident.cell = vec![cause];
        incident
    }

    #[test]
    fn what_a_revision_failed_began_no_earlier_than_its_first_exchange_that_failed() {
        // The revision serves from 10.4 s on.
        let served = |at_ms: u64| match at_ms < 10_400 {
            true => event(at_ms, "1", false),
            false => event(at_ms, "2", true),
        };
        let all: Vec<Event> = (0..300).map(|n| served(n * 50)).collect();
        let found = seen(&of_revision("2"), &all);
        assert_eq!(found.onset.map(|(at_ms, _)| at_ms), Some(10_400));
        assert_eq!(found.first_bad, Some((10_400, "10400".into())));
        // Of another place it is known to the second.
        let found = seen(&of_revision("3"), &all);
        assert_eq!(found.onset.map(|(at_ms, _)| at_ms), Some(10_000));
    }
}
