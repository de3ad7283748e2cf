//! Brings events over that an older version kept as a row each.

use super::group::{Group, HASH};
use super::tables::{bytes, insert, insert_keys, set_mark};
use super::{Mark, own};
use crate::StoreError;
use crate::database::{Database, Value};
use std::collections::BTreeMap;

/// Events that are taken at once.
const AT_ONCE: i64 = 200;

/// A node's chain: the number of its newest event, and its hash.
type Chain = (u64, Vec<u8>);

/// Makes groups of the rows of `journal`, which are taken away there. The chains begin anew where they
/// begin, as groups are hashed otherwise than events were.
pub(crate) fn pack<D: Database>(database: &mut D) -> Result<(), StoreError> {
    let mut chains: BTreeMap<String, Chain> = BTreeMap::new();
    for row in database.query("SELECT node, sequence, hash FROM journal_anchor", &[])? {
        let (node, chain) = (row[0].text(), (number(&row[1]), bytes(&row[2]).into_vec()));
        set_mark(database, Mark::Anchor, node, 0, (chain.0, &chain.1))?;
        chains.insert(node.to_owned(), chain);
    }
    for row in database.query("SELECT name, place FROM journal_end", &[])? {
        let mark = match row[0].text() {
            "pruned" => Mark::Pruned,
            _ => Mark::End,
        };
        set_mark(database, mark, "", number(&row[1]), (0, &[]))?;
    }
    let mut behind = 0;
    loop {
        let sql = "SELECT place, node, sequence, at_ms, key, kind, consumer, digest, payload
                   FROM journal WHERE place > $1 ORDER BY place LIMIT $2";
        let rows = database.query(sql, &[behind.into(), AT_ONCE.into()])?;
        let Some(last) = rows.last() else { break };
        behind = last[0].int();
        take(database, &rows, &mut chains)?;
    }
    for (node, (sequence, hash)) in &chains {
        set_mark(database, Mark::Node, node, 0, (*sequence, hash))?;
    }
    database.script("DELETE FROM journal")
}

fn number(value: &Value) -> u64 {
    value.int().unsigned_abs()
}

fn take<D: Database>(
    database: &mut D,
    rows: &[Vec<Value>],
    chains: &mut BTreeMap<String, Chain>,
) -> Result<(), StoreError> {
    let mut groups = Vec::new();
    let mut open = Group::default();
    let mut keys = Vec::new();
    for row in rows {
        let (place, sequence) = (number(&row[0]), number(&row[2]));
        let (node, at_ms) = (row[1].text(), row[3].int());
        let words = [row[4].text(), row[5].text(), row[6].text()];
        let (digest, payload) = (bytes(&row[7]), bytes(&row[8]));
        if digest.len() != HASH {
            return Err(StoreError::Broken(
                "an event's digest in the journal".into(),
            ));
        }
        if !words[0].starts_with(own::MARK) {
            keys.push((words[0], place));
        }
        let follows = open.node == node
            && open.at_ms == at_ms
            && open.place + 1 == place
            && open.sequence + 1 == sequence;
        if !follows || !open.push(words, &digest, &payload)? {
            groups.push(std::mem::take(&mut open));
            (open.node, open.at_ms) = (node.to_owned(), at_ms);
            open.push(words, &digest, &payload)?;
        }
        (open.place, open.sequence) = (place, sequence);
    }
    groups.push(open);
    groups.retain(|group| group.events > 0);
    for group in &mut groups {
        let before = chains
            .get(&group.node)
            .map_or(&[0; HASH][..], |(_, hash)| hash);
        group.hash = group.chained(before);
        let chain = (group.sequence, group.hash.clone());
        chains.insert(group.node.clone(), chain);
    }
    insert(database, groups)?;
    insert_keys(database, &keys)?;
    Ok(())
}
