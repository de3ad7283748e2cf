//! What readers of the journal ask, on a connection of their own.

use super::keys::{self, Keys};
use super::prune::{self, Pruned};
use super::{Check, Event, chain, tables};
use crate::StoreError;
use crate::database::{Database, transaction};
use std::time::Duration;

/// What forgetting a consumer did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Events whose payload nobody can read any more.
    pub events: u64,
    /// Whether the key was overwritten in the store's files as well. False where another connection
    /// was reading just then (asked again, it is tried again) and on PostgreSQL, whose server keeps old
    /// pages in its own way: its files and archives may hold the key until they are reused.
    pub is_erased: bool,
}

/// What readers ask of the journal. One thread uses it; every call may wait for a disk or a network.
pub trait ReadJournal: Send {
    /// At most `count` events behind a place, in order. There are no gaps, but for old events that
    /// were taken away from the front ([`ReadJournal::pruned`]).
    ///
    /// # Errors
    /// What the store says.
    fn behind(&mut self, place: u64, count: usize) -> Result<Vec<Event>, StoreError>;

    /// The place behind which everything lies that was written at or after a time, in UNIX
    /// milliseconds, by the nodes' clocks; these may be a minute apart.
    ///
    /// # Errors
    /// What the store says.
    fn place_at(&mut self, at_ms: i64) -> Result<u64, StoreError>;

    /// The newest place.
    ///
    /// # Errors
    /// What the store says.
    fn end(&mut self) -> Result<u64, StoreError>;

    /// The place up to which events were taken away, which no reader has to see any more.
    ///
    /// # Errors
    /// What the store says.
    fn pruned(&mut self) -> Result<u64, StoreError>;

    /// Up to where a reader has come: 0 for one that is new.
    ///
    /// # Errors
    /// What the store says.
    fn position(&mut self, reader: &str) -> Result<u64, StoreError>;

    /// Moves a reader. False when it was not at `from`: another process reads under this name. From
    /// then on, what is behind it is kept until it was read. A reader that stays where it is says so by
    /// moving there: one that has not moved for 30 days is forgotten when it holds back what is to go.
    ///
    /// # Errors
    /// What the store says.
    fn advance(&mut self, reader: &str, from: u64, to: u64) -> Result<bool, StoreError>;

    /// Forgets a reader, so that nothing is kept for it any more; false when there was none.
    ///
    /// # Errors
    /// What the store says.
    fn leave(&mut self, reader: &str) -> Result<bool, StoreError>;

    /// Waits until somebody may have appended something since the last call, at most so long; the
    /// first call does not wait. It is a hint: it may come late, for nothing, or not at all.
    ///
    /// # Errors
    /// What the store says.
    fn wait(&mut self, at_most: Duration) -> Result<(), StoreError>;

    /// Destroys the key of a consumer, and with it all payloads that were written for it so far. The
    /// events stay, and the chain; one of kind `forgotten` says to readers what happened. What is
    /// written for the consumer later is sealed under another key.
    ///
    /// # Errors
    /// What the store says; nothing has happened then.
    fn forget(&mut self, consumer: &str, now_ms: i64) -> Result<Forgotten, StoreError>;

    /// Takes at most `most` events away from the front that are older than `before_ms` and that all
    /// readers have read; those that were written together go together, whatever `most` is. None where
    /// fewer than a hundred, or `most`, would go.
    ///
    /// # Errors
    /// What the store says; nothing has happened then.
    fn prune(&mut self, before_ms: i64, most: usize, now_ms: i64) -> Result<Pruned, StoreError>;

    /// Walks all events that are there and holds them against their chains.
    ///
    /// # Errors
    /// What the store says; a broken chain is in the answer.
    fn verify(&mut self) -> Result<Check, StoreError>;
}

/// The one implementation, over whichever database.
pub struct Reading<D>(D);

impl<D: Database> Reading<D> {
    /// Reads over a connection, whose tables must have been brought to their form
    /// ([`crate::schema::migrate`]).
    pub fn new(database: D) -> Self {
        Reading(database)
    }

    /// Moves a reader and has an effect in the same database, both or neither. False when the reader
    /// was not at `from`; there is no effect then.
    ///
    /// # Errors
    /// What the store or `effect` says; nothing has happened then.
    pub fn advance_with(
        &mut self,
        reader: &str,
        from: u64,
        to: u64,
        effect: impl FnOnce(&mut D) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        transaction(&mut self.0, |database| {
            let is_there = tables::advance(database, reader, from, to)?;
            if is_there {
                effect(database)?;
            }
            Ok(is_there)
        })
    }
}

impl<D: Database> ReadJournal for Reading<D> {
    fn behind(&mut self, place: u64, count: usize) -> Result<Vec<Event>, StoreError> {
        let mut events = tables::read(&mut self.0, place, count)?;
        let keys = Keys::for_reading(&mut self.0, &events)?;
        events.iter_mut().for_each(|event| keys.open(event));
        Ok(events)
    }

    fn place_at(&mut self, at_ms: i64) -> Result<u64, StoreError> {
        tables::before(&mut self.0, at_ms)
    }

    fn end(&mut self) -> Result<u64, StoreError> {
        tables::end(&mut self.0)
    }

    fn pruned(&mut self) -> Result<u64, StoreError> {
        tables::pruned(&mut self.0)
    }

    fn position(&mut self, reader: &str) -> Result<u64, StoreError> {
        tables::position(&mut self.0, reader)
    }

    fn advance(&mut self, reader: &str, from: u64, to: u64) -> Result<bool, StoreError> {
        self.advance_with(reader, from, to, |_| Ok(()))
    }

    fn leave(&mut self, reader: &str) -> Result<bool, StoreError> {
        tables::leave(&mut self.0, reader)
    }

    fn wait(&mut self, at_most: Duration) -> Result<(), StoreError> {
        self.0.wait(at_most)
    }

    fn forget(&mut self, consumer: &str, now_ms: i64) -> Result<Forgotten, StoreError> {
        keys::forget(&mut self.0, consumer, now_ms)
    }

    fn prune(&mut self, before_ms: i64, most: usize, now_ms: i64) -> Result<Pruned, StoreError> {
        prune::prune(&mut self.0, before_ms, most, now_ms)
    }

    fn verify(&mut self) -> Result<Check, StoreError> {
        chain::verify(&mut self.0)
    }
}
