//! Sharing counts over the store: what this process counted goes there, what others counted comes from
//! there, and one of all holds the lease to speak.
//!
//! A row belongs to one life of a gateway and only grows, so that it may be written again and read
//! twice. Rows of lives that are long over are added up into one. A store that is down is asked again;
//! meanwhile each gateway knows its own counts and what it heard before, and nobody loses any.

use super::Promises;
use super::durations::Writer;
use crate::follow::OpenStore;
use gate_kit::clock::Clock;
use gate_ops::slo::Rings;
use gate_store::control::{ControlError, ControlStore, PAGE_MAX, PAST, PlacesRow, PromiseRow};
use std::collections::BTreeSet;
use std::time::Duration;

/// How often what was counted last is tried to be written again, and the pause before.
const LAST_TRIES: u32 = 4;
const LAST_PAUSE: Duration = Duration::from_millis(200);
/// How long the right to speak lasts without being renewed, in milliseconds.
const LEASE_MS: i64 = 3_000;
/// Most readings that are written within a second.
const WRITES_MAX: usize = 500;
/// Most pages of others' readings that are read within a second.
const PAGES_MAX: usize = 20;
/// A life that has written nothing for so long is over, in milliseconds.
const OVER_MS: i64 = 86_400_000;
/// A process that could write nothing for so long begins another life: sooner than [`OVER_MS`].
const LOST_MS: i64 = 82_800_000;
/// How often rows of lives that are over are looked for, in seconds.
const FOLD_S: u64 = 60;
/// How often places are told again, in seconds.
const PLACES_S: u64 = 10;
/// Places that were written so long ago say nothing of now, and later they are removed; in milliseconds.
const PLACES_LATE_MS: i64 = 120_000;
const PLACES_FORGOTTEN_MS: i64 = 3_600_000;
/// Objectives whose rows are added up at a time.
const FOLDS_MAX: usize = 100;

/// This process's side of the counts in the store.
pub(super) struct Stored {
    open: OpenStore,
    store: Option<Box<dyn ControlStore>>,
    environment: String,
    node: String,
    /// The last row that was read.
    seen: (u64, String, String),
    /// Whether everything that was there at the start has been read.
    has_begun: bool,
    heard_ms: i64,
    folded_s: u64,
    /// The number up to which everything has been read.
    newest: u64,
    /// The number of the last places that were read, and when this process told its own.
    places: u64,
    placed_s: u64,
    durations: Writer,
    /// Whether it was said that the store does not answer.
    said: bool,
}

impl Stored {
    pub(super) fn new(open: OpenStore, environment: &str, node: String) -> Self {
        Self {
            open,
            store: None,
            durations: Writer::new(environment, node.clone()),
            environment: environment.to_owned(),
            node,
            seen: Default::default(),
            has_begun: false,
            heard_ms: now_ms(),
            folded_s: 0,
            newest: 0,
            places: 0,
            placed_s: 0,
            said: false,
        }
    }

    /// Writes what is due and reads what is new. Whether this gateway speaks for all: alone, as long
    /// as the store does not answer.
    pub(super) fn exchange(&mut self, promises: &Promises, now_s: u64, is_over: bool) -> bool {
        let mut tried = self.try_exchange(promises, now_s, is_over);
        // Nobody writes later what was counted last: a store that is busy for a moment is asked again.
        for _ in 0..if is_over { LAST_TRIES } else { 0 } {
            if tried.is_ok() {
                break;
            }
            std::thread::sleep(LAST_PAUSE);
            tried = self.try_exchange(promises, now_s, is_over);
        }
        match tried {
            Ok(speaks) => {
                (self.said, self.heard_ms) = (false, now_ms());
                speaks
            }
            Err(error) => {
                if !self.said {
                    tracing::warn!(%error, "the store does not answer: objectives count here alone meanwhile");
                }
                (self.said, self.store) = (true, None);
                if now_ms() - self.heard_ms > LOST_MS {
                    tracing::error!(
                        "the store has been away for a day: what was counted meanwhile is not in the sum of all gateways"
                    );
                    promises.watch().forget_own();
                    self.durations.stop();
                    self.node = crate::follow::instance();
                    self.heard_ms = now_ms();
                }
                true
            }
        }
    }

    fn try_exchange(
        &mut self,
        promises: &Promises,
        now_s: u64,
        is_over: bool,
    ) -> Result<bool, ControlError> {
        let mut store = match self.store.take() {
            Some(store) => store,
            None => (self.open)()?,
        };
        self.read(&mut *store, promises)?;
        // Who reads these counts afterwards finds the places that they are from.
        self.tell_places(&mut *store, promises, now_s)?;
        let most = if is_over { usize::MAX } else { WRITES_MAX };
        self.write(&mut *store, promises, most, is_over)?;
        self.durations
            .write(&mut *store, promises, (now_s, now_ms()), is_over)?;
        let lease = format!("promises/{}", self.environment);
        let taken = store.take_lease(&lease, &self.node, now_ms(), LEASE_MS)?;
        let speaks = taken.is_held_by(&self.node, now_ms());
        if is_over && speaks {
            store.give_lease(&taken)?;
        } else if speaks && now_s >= self.folded_s + FOLD_S {
            self.folded_s = now_s;
            self.fold(&mut *store)?;
            let before_ms = now_ms() - OVER_MS;
            super::durations::fold(&mut *store, &self.environment, before_ms, now_ms())?;
        }
        self.store = Some(store);
        Ok(speaks)
    }

    fn write(
        &self,
        store: &mut dyn ControlStore,
        promises: &Promises,
        most: usize,
        all: bool,
    ) -> Result<(), ControlError> {
        let due = promises.watch().unwritten(most, all);
        let at_ms = now_ms();
        for batch in due.chunks(WRITES_MAX) {
            let row = |one: &super::watch::Unwritten| PromiseRow {
                environment: self.environment.clone(),
                objective: one.objective.to_string(),
                node: self.node.clone(),
                number: 0,
                at_ms,
                counts: one.counts.clone(),
                suspicion: one.suspicion.clone(),
            };
            let rows: Vec<PromiseRow> = batch.iter().map(row).collect();
            store.count_promises(&rows)?;
            let mut watch = promises.watch();
            batch.iter().for_each(|one| watch.written(&one.objective));
        }
        Ok(())
    }

    /// Reads what others have written since the last time.
    fn read(
        &mut self,
        store: &mut dyn ControlStore,
        promises: &Promises,
    ) -> Result<(), ControlError> {
        // Asked first: what comes meanwhile has a greater number, and is read the next time.
        let newest = store.newest_promise()?;
        if self.has_begun && newest <= self.newest {
            return Ok(());
        }
        // Places are written before counts and read after them: whatever was counted has its place.
        if self.read_counts(store, promises)? {
            self.newest = newest;
        }
        let rows = store.places(&self.environment, self.places, PAGE_MAX)?;
        for row in rows {
            self.places = self.places.max(row.number);
            let is_of_late = now_ms() - row.at_ms < PLACES_LATE_MS;
            if row.node != self.node && is_of_late {
                promises.watch().places.hear(&row.node, &row.places);
            }
        }
        Ok(())
    }

    /// Reads what others have counted since the last time; whether that is all of it.
    fn read_counts(
        &mut self,
        store: &mut dyn ControlStore,
        promises: &Promises,
    ) -> Result<bool, ControlError> {
        let (mut anew, mut is_all) = (BTreeSet::new(), false);
        for _ in 0..PAGES_MAX {
            let (number, objective, node) = &self.seen;
            let rows = store.promises((*number, objective, node), &self.environment, PAGE_MAX)?;
            is_all = rows.len() < PAGE_MAX;
            if let Some(last) = rows.last() {
                self.seen = (last.number, last.objective.clone(), last.node.clone());
            }
            let mut watch = promises.watch();
            for row in rows.into_iter().filter(|row| row.node != self.node) {
                if row.node == PAST && self.has_begun {
                    // It stands for lives that were heard of by themselves.
                    anew.insert(row.objective);
                } else if let Some(reading) = reading(&row) {
                    // Whoever begins goes on from what was suspected; later each suspects for itself,
                    // by what it hears.
                    if !self.has_begun && !row.suspicion.is_empty() {
                        watch.resume(&row.objective, &row.suspicion, row.at_ms, now_ms());
                    }
                    watch.hear(&row.objective, &row.node, &reading);
                }
            }
            drop(watch);
            if is_all {
                self.has_begun = true;
                break;
            }
        }
        for objective in anew {
            let rows = store.promises_of(&self.environment, &objective)?;
            let others = rows.iter().filter(|row| row.node != self.node);
            let readings: Vec<(String, Rings)> = others
                .filter_map(|row| Some((row.node.clone(), reading(row)?)))
                .collect();
            promises.watch().hear_all(&objective, &readings);
        }
        Ok(is_all)
    }

    /// Tells the others where exchanges fail here: at once where one has, and now and then as long as
    /// that is not long ago.
    fn tell_places(
        &mut self,
        store: &mut dyn ControlStore,
        promises: &Promises,
        now_s: u64,
    ) -> Result<(), ControlError> {
        let anew = now_s >= self.placed_s + PLACES_S;
        let places = promises.watch().places.told(anew);
        if anew {
            self.placed_s = now_s;
        }
        let Some(places) = places else {
            return Ok(());
        };
        let at_ms = now_ms();
        let row = PlacesRow {
            environment: self.environment.clone(),
            node: self.node.clone(),
            number: 0,
            at_ms,
            places,
        };
        store.put_places(&row, at_ms - PLACES_FORGOTTEN_MS)
    }

    /// Adds up rows of lives that are over.
    fn fold(&self, store: &mut dyn ControlStore) -> Result<(), ControlError> {
        let before_ms = now_ms() - OVER_MS;
        let crowded = store.crowded_promises(&self.environment, before_ms, FOLDS_MAX)?;
        for objective in crowded {
            let rows = store.promises_of(&self.environment, &objective)?;
            let is_over = |row: &&PromiseRow| row.at_ms < before_ms || row.node == PAST;
            let over = rows.iter().filter(is_over);
            let over: Vec<_> = over.filter_map(|row| Some((row, reading(row)?))).collect();
            let mut sum = Rings::default();
            over.iter().for_each(|(_, reading)| sum.add(reading));
            let into = PromiseRow {
                environment: self.environment.clone(),
                objective,
                node: PAST.to_owned(),
                number: 0,
                at_ms: now_ms(),
                counts: sum.encode(),
                suspicion: String::new(),
            };
            let nodes: Vec<(String, u64)> = over
                .iter()
                .map(|(row, _)| (row.node.clone(), row.number))
                .collect();
            store.fold_promises(&into, &nodes)?;
        }
        Ok(())
    }
}

fn reading(row: &PromiseRow) -> Option<Rings> {
    match Rings::decode(&row.counts) {
        Ok(rings) => Some(rings),
        Err(error) => {
            tracing::warn!(objective = row.objective, node = row.node, %error, "counts are left out");
            None
        }
    }
}

fn now_ms() -> i64 {
    i64::try_from(Clock::System.unix().as_millis()).unwrap_or(i64::MAX)
}
