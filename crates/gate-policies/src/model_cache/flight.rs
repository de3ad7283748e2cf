//! Requests whose answers are under way, so that the same one asked meanwhile can wait for it.
//!
//! Waiting is looking again every few milliseconds: it needs no wake-up between workers and ends by
//! itself, whatever became of the one who asked first.

use super::key::Key;
use rustc_hash::FxHashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Time between two looks.
pub(super) const STEP: Duration = Duration::from_millis(10);

/// What is under way. Bounded by the exchanges that are open.
#[derive(Default)]
pub(super) struct Flights(Mutex<FxHashSet<Key>>);

/// One request whose answer is under way; it is over when this is dropped.
pub(super) struct Flight {
    flights: Arc<Flights>,
    key: Key,
}

impl Flights {
    /// Begins one, unless the same is under way.
    pub(super) fn begin(self: &Arc<Self>, key: Key) -> Option<Flight> {
        let is_first = self.lock().insert(key);
        let flights = self.clone();
        is_first.then(|| Flight { flights, key })
    }

    /// Whether this one is under way.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.lock().contains(key)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, FxHashSet<Key>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}
