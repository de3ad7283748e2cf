//! The chains: each event's hash over its node's event before, and the walk that holds all against them.

use super::keys::Keys;
use super::prune::Anchors;
use super::tables::{end, pruned, read};
use super::{Check, Event, Fault};
use crate::StoreError;
use crate::database::{Database, Value};
use aws_lc_rs::digest::{Context, SHA256, digest};
use std::collections::BTreeMap;

/// Events that a walk reads at once.
const WALK: usize = 500;
/// How often a walk begins anew because events were taken away in front of it.
const AGAIN_MAX: usize = 10;

/// Each node's newest event so far: its number and its hash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Heads(pub(super) BTreeMap<String, (u64, Vec<u8>)>);

impl Heads {
    /// Takes an event as the next of its node, behind `behind`, or says what is wrong with it.
    pub(super) fn follow(&mut self, event: &Event, behind: u64) -> Result<(), &'static str> {
        let (sequence, hash) = match self.0.get(&event.node) {
            Some((sequence, hash)) => (*sequence, &**hash),
            None => (0, &[0; 32][..]),
        };
        let differs = |payload: &Vec<u8>| digest(&SHA256, payload).as_ref() != event.digest;
        match () {
            () if event.place != behind + 1 => return Err("it is not there"),
            () if event.sequence != sequence + 1 => {
                return Err("its node's event before it is not there");
            }
            () if *event.chained(hash) != *event.hash => return Err("it is not as it was written"),
            () if event.payload.as_ref().is_some_and(differs) => {
                return Err("its payload is another");
            }
            () => {}
        }
        let newest = (event.sequence, event.hash.clone());
        self.0.insert(event.node.clone(), newest);
        Ok(())
    }
}

/// Walks all events, up to those that were there when it began. Others may write meanwhile, and old
/// ones may go: a walk that finds itself overtaken by that begins anew.
pub(super) fn verify<D: Database>(database: &mut D) -> Result<Check, StoreError> {
    let mut tries = 0;
    loop {
        let check = walk(database)?;
        tries += 1;
        if check.fault.is_none() || tries == AGAIN_MAX || pruned(database)? == check.pruned {
            return Ok(check);
        }
    }
}

fn walk<D: Database>(database: &mut D) -> Result<Check, StoreError> {
    let anchors = Anchors::read(database)?;
    let last = end(database)?;
    let mut heads = anchors.heads.clone();
    let mut check = Check {
        pruned: anchors.through,
        ..Check::default()
    };
    let mut is_confirmed = anchors.through == 0;
    let mut behind = anchors.through;
    let fault = |place, problem| Some(Fault { place, problem });
    while behind < last {
        let count = usize::try_from(last - behind).unwrap_or(WALK).min(WALK);
        let events = read(database, behind, count)?;
        let keys = Keys::for_reading(database, &events)?;
        for event in &events {
            if let Err(problem) = heads.follow(event, behind) {
                check.fault = fault(behind + 1, problem);
                return Ok(check);
            }
            behind += 1;
            check.events += 1;
            check.destroyed += u64::from(!keys.can_open(event));
            is_confirmed |= anchors.is_confirmed_by(event);
        }
        if events.len() < count {
            check.fault = fault(behind + 1, "it is not there");
            return Ok(check);
        }
    }
    if !is_confirmed {
        let problem = "it is not there, and no event says that it was to go";
        check.fault = fault(anchors.through, problem);
    }
    // What the newest of each node is was written down, too; unless others wrote meanwhile.
    let nodes = database.query("SELECT node, hash FROM journal_node", &[])?;
    let is_right = |row: &Vec<Value>| {
        let head = heads.0.get(row[0].text());
        head.is_some_and(|(_, hash)| Value::Bytes(hash.clone()) == row[1])
    };
    if end(database)? == last && (nodes.len() != heads.0.len() || !nodes.iter().all(is_right)) {
        let problem = "a node's newest event is not the one that was written last";
        check.fault = fault(last, problem);
    }
    let head = |(node, (_, hash))| (node, hash);
    check.heads = heads.0.into_iter().map(head).collect();
    Ok(check)
}

impl Event {
    /// The hash that belongs to this event behind another.
    pub(super) fn chained(&self, previous: &[u8]) -> Box<[u8]> {
        let mut hash = Context::new(&SHA256);
        let (sequence, at) = (self.sequence.to_be_bytes(), self.at_ms.to_be_bytes());
        let fields = [
            previous,
            self.node.as_bytes(),
            &sequence,
            &at,
            self.key.as_bytes(),
            self.kind.as_bytes(),
            self.consumer.as_bytes(),
            &self.digest,
        ];
        for field in fields {
            hash.update(&(field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        hash.finish().as_ref().into()
    }
}
