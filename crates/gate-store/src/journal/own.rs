//! What the store appends by itself, within the transactions that write what the events are about:
//! both are there or neither, in the order of commits, and nothing has to be carried over later.
//!
//! Their kinds are single words and their keys begin with [`MARK`], so that nobody else's are like
//! them. Payloads are JSON. A key is unique by what the event is about, so that it is not looked up.

use super::tables::{wait_for_writers, write};
use super::{NewEvent, WORD_MAX, node};
use crate::StoreError;
use crate::database::Database;
use serde::Serialize;
use std::fmt::Arguments;

/// How keys begin that are the store's own.
pub(super) const MARK: char = '@';

/// A line of the audit log, as it is kept there.
pub(crate) const AUDIT: &str = "audit";
/// An environment at a new generation: what its history says.
pub(crate) const ENVIRONMENT: &str = "environment";
/// An incident at a new version, without what is written about it.
pub(crate) const INCIDENT: &str = "incident";
/// A postmortem at a new version, without its text.
pub(crate) const POSTMORTEM: &str = "postmortem";
/// Entries of the ledger, of one consumer in one commit.
pub(crate) const LEDGER: &str = "ledger";
/// A job that came into a state.
pub(crate) const JOB: &str = "job";
/// A consumer whose key was destroyed.
pub(crate) const FORGOTTEN: &str = "forgotten";
/// Old events that were taken away.
pub(crate) const PRUNED: &str = "pruned";

/// An event of the store's own: what is told apart within its kind by `which`.
pub(crate) fn event(
    kind: &str,
    which: Arguments<'_>,
    consumer: &str,
    payload: &impl Serialize,
) -> NewEvent {
    let mut key = format!("{MARK}{kind}/{which}");
    key.truncate(key.floor_char_boundary(WORD_MAX));
    NewEvent {
        key: key.into(),
        kind: kind.into(),
        consumer: consumer.into(),
        // Rows of ours are structs of texts and numbers, which are JSON.
        payload: serde_json::to_vec(payload).unwrap_or_default().into(),
    }
}

/// Appends events whose keys are new within the open transaction, which waits for nobody else
/// afterwards whom another writer of the journal may wait for.
pub(crate) fn append<D: Database>(
    database: &mut D,
    now_ms: i64,
    events: &[NewEvent],
) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let end = wait_for_writers(database)?;
    append_behind(database, end, now_ms, events)
}

/// The same where the transaction waits for writers already; `end` is the newest place.
pub(super) fn append_behind<D: Database>(
    database: &mut D,
    end: i64,
    now_ms: i64,
    events: &[NewEvent],
) -> Result<(), StoreError> {
    let events: Vec<_> = events.iter().map(|event| (event, None)).collect();
    write(database, node(), now_ms, end, &events)
}
