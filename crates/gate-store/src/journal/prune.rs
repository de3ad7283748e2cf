//! Taking old events away from the front, so that the rest stays verifiable.
//!
//! What goes leaves an anchor for each node: the number and the hash of its last event that went. The
//! chains are checked from there. An event of the journal says the same, in the same transaction, so
//! that events which somebody else took away cannot be passed off as this. A piece that is broken never
//! goes: it is evidence. Nor does what a reader has not read.

use super::chain::Heads;
use super::group::Group;
use super::tables::{
    bytes, forget_keys, groups, pruned, read_by_all, set_mark, signed, wait_for_writers,
};
use super::{Event, Fault, Mark, own};
use crate::StoreError;
use crate::database::{Database, transaction};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Fewer events than this do not go: each time that some go one is written.
const PIECE_MIN: usize = 100;

/// After how long nothing is kept any more for a reader that nobody has heard of, in milliseconds: 30
/// days, as long as the position is known of a subscriber that is configured no more.
const GONE_MS: i64 = 30 * 86_400_000;

/// What became of the front of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pruned {
    /// So many events went.
    Events(u64),
    /// None did, because the chain is broken there.
    Broken(Fault),
}

/// Where the chains begin.
#[derive(Debug, Default)]
pub(super) struct Anchors {
    /// The place up to which events went; 0 when none did.
    pub(super) through: u64,
    /// The last that went of each node.
    pub(super) heads: Heads,
}

/// What the event says that confirms anchors.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Said {
    through: u64,
    /// Number and hash, in hexadecimal, by node.
    nodes: BTreeMap<String, (u64, String)>,
}

impl Anchors {
    pub(super) fn read<D: Database>(database: &mut D) -> Result<Self, StoreError> {
        let mut anchors = Self {
            through: pruned(database)?,
            ..Self::default()
        };
        if anchors.through == 0 {
            return Ok(anchors);
        }
        let sql = "SELECT name, sequence, hash FROM journal_mark WHERE kind = 'anchor'";
        for row in database.query(sql, &[])? {
            let head = (row[1].int().unsigned_abs(), bytes(&row[2]).into());
            anchors.heads.0.insert(row[0].text().to_owned(), head);
        }
        Ok(anchors)
    }

    fn said(&self) -> Said {
        let nodes = self.heads.0.iter();
        let node = |(node, (sequence, hash)): (&String, &(u64, Vec<u8>))| {
            (node.clone(), (*sequence, hexadecimal(hash)))
        };
        Said {
            through: self.through,
            nodes: nodes.map(node).collect(),
        }
    }

    /// Whether this event says that retention took away what is before the anchors.
    pub(super) fn is_confirmed_by(&self, event: &Event) -> bool {
        event.kind == own::PRUNED
            && event.key.starts_with(own::MARK)
            && event.payload.as_ref().is_some_and(|payload| {
                serde_json::from_slice::<Said>(payload).is_ok_and(|said| said == self.said())
            })
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

pub(super) fn prune<D: Database>(
    database: &mut D,
    before_ms: i64,
    most: usize,
    now_ms: i64,
) -> Result<Pruned, StoreError> {
    let behind = pruned(database)?;
    let is_old = |group: &Group| group.at_ms < before_ms;
    // Looked at without waiting for writers, because there is seldom anything to do.
    if !groups(database, behind, 1)?.first().is_some_and(is_old) {
        return Ok(Pruned::Events(0));
    }
    transaction(database, |database| {
        let end = wait_for_writers(database)?;
        let mut anchors = Anchors::read(database)?;
        let read_by_all = read_by_all(database, now_ms.saturating_sub(GONE_MS), now_ms)?;
        let last = read_by_all.unwrap_or(u64::MAX).min(end.unsigned_abs());
        let is_kept = |group: &Group| !is_old(group) || group.place > last;
        let (mut taken, mut keys) = (0, Vec::new());
        'all: while taken < most as u64 {
            let left = usize::try_from(most as u64 - taken).unwrap_or(most);
            let groups = groups(database, anchors.through, left)?;
            if groups.is_empty() {
                break;
            }
            for group in groups {
                // One goes whole, and one does whatever `most` says.
                let is_too_much = taken > 0 && taken + group.events > most as u64;
                if is_kept(&group) || is_too_much {
                    break 'all;
                }
                let events = match anchors.heads.follow(&group, anchors.through) {
                    Ok(events) => events,
                    Err(fault) => return Ok(Pruned::Broken(fault)),
                };
                anchors.through = group.place;
                taken += group.events;
                let looked_up = |event: &Event| !event.key.starts_with(own::MARK);
                let events = events.into_iter().filter(looked_up);
                keys.extend(events.map(|event| event.key));
            }
        }
        if taken < most.min(PIECE_MIN) as u64 {
            return Ok(Pruned::Events(0));
        }
        take(database, &anchors, &keys, end, now_ms)?;
        Ok(Pruned::Events(taken))
    })
}

fn take<D: Database>(
    database: &mut D,
    anchors: &Anchors,
    keys: &[String],
    end: i64,
    now_ms: i64,
) -> Result<(), StoreError> {
    let through = anchors.through;
    let sql = "DELETE FROM journal_group WHERE place <= $1";
    database.execute(sql, &[signed(through).into()])?;
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    forget_keys(database, &keys)?;
    set_mark(database, Mark::Pruned, "", through, (0, &[]))?;
    for (node, (sequence, hash)) in &anchors.heads.0 {
        set_mark(database, Mark::Anchor, node, 0, (*sequence, hash))?;
    }
    let event = own::event(own::PRUNED, format_args!("{through}"), "", &anchors.said());
    own::append_behind(database, end, now_ms, &[event])
}
