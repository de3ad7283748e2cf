//! The chains: each group's hash over its node's group before, and the walk that holds all against them.

use super::group::{Group, HASH};
use super::keys::Keys;
use super::prune::Anchors;
use super::tables::{end, groups, pruned};
use super::{Check, Event, Fault};
use crate::StoreError;
use crate::database::{Database, Value};
use aws_lc_rs::digest::{SHA256, digest};
use std::collections::BTreeMap;

/// Events that a walk reads at once, at least.
const WALK: usize = 500;
/// How often a walk begins anew because events were taken away in front of it.
const AGAIN_MAX: usize = 10;

/// Each node's newest event so far: its number and its hash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Heads(pub(super) BTreeMap<String, (u64, Vec<u8>)>);

impl Heads {
    /// Takes a group as the next of its node, behind `behind`, and gives its events; or says where it
    /// is wrong.
    pub(super) fn follow(&mut self, group: &Group, behind: u64) -> Result<Vec<Event>, Fault> {
        let (sequence, hash) = match self.0.get(&group.node) {
            Some((sequence, hash)) => (*sequence, &**hash),
            None => (0, &[0; HASH][..]),
        };
        let fault = |place, problem| Err(Fault { place, problem });
        if group.behind() != behind || group.events == 0 {
            return fault(behind + 1, "it is not there");
        }
        if group.sequence != sequence + group.events {
            return fault(behind + 1, "its node's event before it is not there");
        }
        if group.chained(hash) != group.hash {
            return fault(behind + 1, "it is not as it was written");
        }
        let Some(events) = group.unpack(behind) else {
            return fault(behind + 1, "its payload is another");
        };
        let differs = |event: &&Event| {
            let payload = event.payload.as_deref().unwrap_or_default();
            digest(&SHA256, payload).as_ref() != event.digest
        };
        if let Some(event) = events.iter().find(differs) {
            return fault(event.place, "its payload is another");
        }
        let newest = (group.sequence, group.hash.clone());
        self.0.insert(group.node.clone(), newest);
        Ok(events)
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
        let groups = groups(database, behind, WALK)?;
        if groups.is_empty() {
            check.fault = fault(behind + 1, "it is not there");
            return Ok(check);
        }
        for group in groups.iter().take_while(|group| group.behind() < last) {
            let events = match heads.follow(group, behind) {
                Ok(events) => events,
                Err(fault) => {
                    check.fault = Some(fault);
                    return Ok(check);
                }
            };
            let keys = Keys::for_reading(database, &events)?;
            for event in &events {
                check.destroyed += u64::from(!keys.can_open(event));
                is_confirmed |= anchors.is_confirmed_by(event);
            }
            behind = group.place;
            check.events += group.events;
        }
    }
    if !is_confirmed {
        let problem = "it is not there, and no event says that it was to go";
        check.fault = fault(anchors.through, problem);
    }
    // What the newest of each node is was written down, too; unless others wrote meanwhile.
    let nodes = "SELECT name, hash FROM journal_mark WHERE kind = 'node'";
    let nodes = database.query(nodes, &[])?;
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
