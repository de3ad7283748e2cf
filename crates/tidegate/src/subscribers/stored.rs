//! What people want of subscribers, as it is in the store, and courses as they are kept there.

use super::reader::Open;
use crate::incidents::Shelf;
use gate_kit::clock::Clock;
use gate_ops::event::delivery::Kept;
use gate_store::StoreError;
use gate_store::control::{ControlError, NewAudit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How often a change is made anew on what another wrote.
const ATTEMPTS: u32 = 10;
/// Most replays of an environment that are known, those that are over too.
pub(super) const REPLAYS_MAX: usize = 200;

/// Why a subscriber stands still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pause {
    pub by: String,
    pub reason: String,
    pub at_ms: u64,
}

/// A subscriber that is started again at an earlier place, beside itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Replay {
    pub subscriber: String,
    pub number: u64,
    /// Behind which place it begins.
    pub from: u64,
    /// Behind which it ends.
    pub until: u64,
    pub by: String,
    pub reason: String,
    pub at_ms: u64,
    #[serde(default)]
    pub is_cancelled: bool,
}

/// What people want.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Desk {
    #[serde(default)]
    pub paused: BTreeMap<String, Pause>,
    #[serde(default)]
    pub replays: Vec<Replay>,
    /// How many replays there ever were.
    #[serde(default)]
    pub replayed: u64,
}

/// What became of a course's events, ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub delivered: u64,
    pub failed: u64,
    pub dead: u64,
    pub repeated: u64,
}

/// A course as the gateway that leads keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CourseData {
    pub kept: Kept,
    #[serde(default)]
    pub counts: Counts,
    /// The newest event that it delivered, and when.
    #[serde(default)]
    pub delivered_ms: Option<u64>,
    /// What came to the journal before this is passed over: where it began was a time that was still to
    /// come.
    #[serde(default)]
    pub begins_ms: Option<i64>,
}

pub(super) fn now_ms() -> u64 {
    u64::try_from(Clock::System.unix().as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// Reads a desk that any gateway wrote.
pub(super) fn read_desk(row: Option<(u64, String)>) -> Result<(u64, Desk), ControlError> {
    let Some((version, data)) = row else {
        return Ok((0, Desk::default()));
    };
    let desk = serde_json::from_str(&data).map_err(|error| {
        // What a newer gateway wrote otherwise must not be overwritten.
        let text = format!("the desk of subscribers cannot be read: {error}");
        ControlError::Store(StoreError::Broken(text))
    })?;
    Ok((version, desk))
}

/// Where people's wishes are kept, for the admin API.
pub(super) struct Stored {
    pub(super) shelf: Shelf,
    /// Opens the journal.
    pub(super) read: Open,
}

impl Stored {
    pub(super) fn environment(&self) -> &str {
        &self.shelf.environment
    }

    pub(super) fn desk(&self) -> Result<(u64, Desk), ControlError> {
        let environment = self.environment();
        read_desk(self.shelf.ask(|store| store.delivery_desk(environment))?)
    }

    /// Changes the desk; what `change` refuses is not stored.
    pub(super) fn change<T, E>(
        &self,
        line: &NewAudit<'_>,
        mut change: impl FnMut(&mut Desk, u64) -> Result<T, E>,
    ) -> Result<Result<T, E>, ControlError> {
        let mut attempt = 0;
        loop {
            let (version, mut desk) = self.desk()?;
            let now_ms = now_ms();
            let done = match change(&mut desk, now_ms) {
                Ok(done) => done,
                Err(error) => return Ok(Err(error)),
            };
            let data = serde_json::json!(desk).to_string();
            let environment = self.environment();
            let saved = self.shelf.ask(|store| {
                store.save_delivery_desk(environment, version, &data, line, signed(now_ms))
            });
            match saved {
                Ok(_) => return Ok(Ok(done)),
                Err(ControlError::Stale { .. }) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }
}
