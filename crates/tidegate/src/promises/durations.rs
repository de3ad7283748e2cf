//! How long exchanges took, of all gateways of the store and of their earlier lives: for objectives of
//! latency and of time to first token.
//!
//! Nothing is counted for it: each process has the histograms of its metrics. Once a minute and at its
//! orderly end it writes those that such objectives are about, a row per route or model and life, so that
//! a kill loses at most a minute of them. They are read when somebody looks, and never in the loop of
//! every second. Rows of lives that are over are added up into one, as those of counts are ([`stored`]).
//! Verdicts never come from here.
//!
//! [`stored`]: super::stored

use super::Promises;
use crate::follow::OpenStore;
use gate_api::types::{DurationsState, QuantileState};
use gate_kit::durations::{Durations, ERROR, PACKED_MAX};
use gate_ops::slo::{Definition, Good, Scope};
use gate_proxy::process::Process;
use gate_proxy::record::metrics::Subject;
use gate_store::control::{ControlError, ControlStore, DURATIONS_BYTES_MAX, DurationsRow, PAST};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

/// How often histograms are written that have grown, in seconds.
const WRITE_S: u64 = 60;
/// How often those are written that have not: a life that has written nothing for a day is over.
const SAME_S: u64 = 3_600;
/// Most histograms that are looked at within a second.
const LOOKS_MAX: usize = 100;
/// Subjects whose rows are added up at a time.
const FOLDS_MAX: usize = 20;
/// What is shown.
const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

const _: () = assert!(
    PACKED_MAX <= DURATIONS_BYTES_MAX,
    "the store takes whatever is packed"
);

/// What the durations of an objective are of. None for other indicators, and where it is about less than
/// a route or a model: durations are kept by those alone.
pub(super) fn subject(of: &Definition) -> Option<Subject> {
    let Scope {
        route,
        model,
        provider,
        consumer,
        team,
    } = &of.scope;
    let is_less = provider.is_some() || consumer.is_some() || team.is_some();
    match &of.good {
        Good::Latency { .. } if !is_less && model.is_none() => Some(Subject::Route(route.clone())),
        Good::TimeToFirstToken { .. } if !is_less && route.is_none() => {
            Some(Subject::FirstToken(model.clone()))
        }
        _ => None,
    }
}

/// As the store has it.
fn key(of: &Subject) -> String {
    match of {
        Subject::Route(None) => "routes".to_owned(),
        Subject::Route(Some(route)) => format!("route/{route}"),
        Subject::FirstToken(None) => "first_tokens".to_owned(),
        Subject::FirstToken(Some(model)) => format!("first_token/{model}"),
    }
}

/// Where durations are found: in this process, and in its store.
#[derive(Default)]
pub(super) struct Clocked {
    process: Mutex<Weak<Process>>,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    open: OpenStore,
    /// A connection of its own, for who looks; opened when first needed.
    store: Option<Box<dyn ControlStore>>,
    environment: String,
    node: String,
}

impl Clocked {
    /// Asks that process.
    pub(super) fn ask(&self, process: Weak<Process>) {
        *lock(&self.process) = process;
    }

    /// Asks that store for what others saw.
    pub(super) fn keep(&self, open: OpenStore, environment: &str, node: &str) {
        *lock(&self.kept) = Some(Kept {
            open,
            store: None,
            environment: environment.to_owned(),
            node: node.to_owned(),
        });
    }

    /// What this process saw.
    fn own(&self, of: &Subject) -> Durations {
        let process = lock(&self.process).upgrade();
        process.map_or_else(Durations::default, |process| {
            process.shared().readers.metrics().durations(of)
        })
    }

    /// Adds what others saw; whether they could be asked.
    fn add_others(&self, sum: &mut Durations, of: &Subject) -> bool {
        let mut kept = lock(&self.kept);
        let Some(kept) = kept.as_mut() else {
            return false;
        };
        match kept.rows(&key(of)) {
            Ok(rows) => {
                let others = rows.iter().filter(|row| row.node != kept.node);
                others.filter_map(read).for_each(|one| sum.merge(&one));
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the store does not say how long exchanges took elsewhere");
                false
            }
        }
    }
}

impl Kept {
    fn rows(&mut self, subject: &str) -> Result<Vec<DurationsRow>, ControlError> {
        let mut store = match self.store.take() {
            Some(store) => store,
            None => (self.open)()?,
        };
        // A connection that failed is not used again.
        let rows = store.durations_of(&self.environment, subject)?;
        self.store = Some(store);
        Ok(rows)
    }
}

impl Promises {
    /// How long what an objective is about took. May ask the store: never call it on a worker.
    pub(crate) fn durations(&self, objective: &str) -> Option<DurationsState> {
        let of = subject(&self.watch().objectives.get(objective)?.definition)?;
        let mut sum = self.clocked.own(&of);
        let is_stored = self.clocked.add_others(&mut sum, &of);
        let quantile = |share| {
            Some(QuantileState {
                quantile: share,
                seconds: sum.quantile(share)?,
            })
        };
        (sum.count() > 0).then(|| DurationsState {
            count: sum.count(),
            quantiles: QUANTILES.into_iter().filter_map(quantile).collect(),
            error: ERROR,
            is_stored,
        })
    }
}

/// Writes what this process saw.
pub(super) struct Writer {
    environment: String,
    node: String,
    /// What is looked at next, and when that list was made.
    due: Vec<Subject>,
    made_s: u64,
    /// How many there were when it was written, and when that was.
    written: HashMap<Subject, (u64, u64)>,
    is_stopped: bool,
}

impl Writer {
    pub(super) fn new(environment: &str, node: String) -> Self {
        Self {
            environment: environment.to_owned(),
            node,
            due: Vec::new(),
            made_s: 0,
            written: HashMap::new(),
            is_stopped: false,
        }
    }

    /// Writes no more: others may have added this life's rows up as those of one that is over, so that a
    /// row with all that it saw would count twice.
    pub(super) fn stop(&mut self) {
        self.is_stopped = true;
    }

    /// Writes what is due; at the end, everything. `now` in seconds and in milliseconds.
    pub(super) fn write(
        &mut self,
        store: &mut dyn ControlStore,
        promises: &Promises,
        (now_s, at_ms): (u64, i64),
        all: bool,
    ) -> Result<(), ControlError> {
        if self.is_stopped {
            return Ok(());
        }
        if all || now_s >= self.made_s + WRITE_S {
            self.made_s = now_s;
            let subjects = promises.watch().subjects();
            self.written.retain(|of, _| subjects.contains(of));
            self.due = subjects.into_iter().collect();
        }
        while !self.due.is_empty() {
            let rest = self.due.len().saturating_sub(LOOKS_MAX);
            let (mut rows, mut counts) = (Vec::new(), Vec::new());
            for of in self.due.drain(rest..) {
                let durations = promises.clocked.own(&of);
                let count = durations.count();
                let is_same = match self.written.get(&of) {
                    None => count == 0,
                    Some((before, at_s)) => count == *before && now_s < at_s + SAME_S,
                };
                let Some(durations) = durations.packed().filter(|_| !is_same) else {
                    continue;
                };
                rows.push(DurationsRow {
                    environment: self.environment.clone(),
                    subject: key(&of),
                    node: self.node.clone(),
                    number: 0,
                    at_ms,
                    durations,
                });
                counts.push((of, (count, now_s)));
            }
            // What could not be written is due again a minute later.
            store.put_durations(&rows)?;
            self.written.extend(counts);
            if !all {
                break;
            }
        }
        Ok(())
    }
}

/// Adds up rows of lives that have written nothing since.
pub(super) fn fold(
    store: &mut dyn ControlStore,
    environment: &str,
    before_ms: i64,
    at_ms: i64,
) -> Result<(), ControlError> {
    for subject in store.crowded_durations(environment, before_ms, FOLDS_MAX)? {
        let rows = store.durations_of(environment, &subject)?;
        let mut over = rows;
        over.retain(|row| row.at_ms < before_ms || row.node == PAST);
        let (mut sum, mut nodes) = (Durations::default(), Vec::new());
        for row in &over {
            if let Some(one) = read(row) {
                sum.merge(&one);
                nodes.push((row.node.clone(), row.number));
            }
        }
        let Some(durations) = sum.packed() else {
            continue;
        };
        let into = DurationsRow {
            environment: environment.to_owned(),
            subject,
            node: PAST.to_owned(),
            number: 0,
            at_ms,
            durations,
        };
        store.fold_durations(&into, &nodes)?;
    }
    Ok(())
}

fn read(row: &DurationsRow) -> Option<Durations> {
    let read = Durations::unpacked(&row.durations);
    if read.is_none() {
        tracing::warn!(
            subject = row.subject,
            node = row.node,
            "durations cannot be read and are left out"
        );
    }
    read
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "durations_tests.rs"]
mod tests;
