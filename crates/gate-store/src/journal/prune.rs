//! Taking old events away from the front, so that the rest stays verifiable.
//!
//! What goes leaves an anchor for each node: the number and the hash of its last event that went. The
//! chains are checked from there. An event of the journal says the same, in the same transaction, so
//! that events which somebody else took away cannot be passed off as this. A piece that is broken never
//! goes: it is evidence. Nor does what a reader has not read.

use super::chain::Heads;
use super::tables::{bytes, one, pruned, read, signed, wait_for_writers};
use super::{Event, Fault, own};
use crate::StoreError;
use crate::database::{Database, transaction};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Fewer events than this do not go: each time that some go one is written.
const PIECE_MIN: usize = 100;

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
        let sql = "SELECT node, sequence, hash FROM journal_anchor";
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
    let is_old = |event: &Event| event.at_ms < before_ms;
    // Looked at without waiting for writers, because there is seldom anything to do.
    if !read(database, behind, 1)?.first().is_some_and(is_old) {
        return Ok(Pruned::Events(0));
    }
    transaction(database, |database| {
        let end = wait_for_writers(database)?;
        let mut anchors = Anchors::read(database)?;
        let read_by_all = "SELECT MIN(place) FROM journal_reader";
        let read_by_all = one(database, read_by_all, &[])?.and_then(|row| row[0].optional_int());
        let last = read_by_all.unwrap_or(end).min(end).unsigned_abs();
        let mut taken = 0;
        for event in read(database, anchors.through, most)? {
            if !is_old(&event) || event.place > last {
                break;
            }
            if let Err(problem) = anchors.heads.follow(&event, anchors.through) {
                let place = anchors.through + 1;
                return Ok(Pruned::Broken(Fault { place, problem }));
            }
            anchors.through = event.place;
            taken += 1;
        }
        if taken < most.min(PIECE_MIN) as u64 {
            return Ok(Pruned::Events(0));
        }
        take(database, &anchors, end, now_ms)?;
        Ok(Pruned::Events(taken))
    })
}

fn take<D: Database>(
    database: &mut D,
    anchors: &Anchors,
    end: i64,
    now_ms: i64,
) -> Result<(), StoreError> {
    let through = signed(anchors.through);
    database.execute("DELETE FROM journal WHERE place <= $1", &[through.into()])?;
    let set = "INSERT INTO journal_end (name, place) VALUES ('pruned', $1)
               ON CONFLICT (name) DO UPDATE SET place = excluded.place";
    database.execute(set, &[through.into()])?;
    for (node, (sequence, hash)) in &anchors.heads.0 {
        let set = "INSERT INTO journal_anchor (node, sequence, hash) VALUES ($1, $2, $3)
                   ON CONFLICT (node) DO UPDATE SET sequence = excluded.sequence,
                   hash = excluded.hash";
        let values = [
            node.as_str().into(),
            signed(*sequence).into(),
            hash[..].into(),
        ];
        database.execute(set, &values)?;
    }
    let event = own::event(own::PRUNED, format_args!("{through}"), "", &anchors.said());
    own::append_behind(database, end, now_ms, &[event])
}
