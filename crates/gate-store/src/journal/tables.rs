//! The journal's statements, the same over SQLite and PostgreSQL.

use super::keys::Keys;
use super::{Event, NewEvent};
use crate::StoreError;
use crate::database::{Database, Value, transaction};
use aws_lc_rs::digest::{SHA256, digest};
use std::collections::HashMap;
use std::fmt::Write;

/// Events that one statement writes or looks for; a statement for one serves the rest.
const AT_ONCE: usize = 32;
const COLUMNS: [&str; 10] = [
    "place", "node", "sequence", "at_ms", "key", "kind", "consumer", "digest", "hash", "payload",
];
/// How far clocks of nodes may be apart for [`before`], in milliseconds.
const SKEW_MS: i64 = 60_000;

/// Writes a group in one transaction; the place of each event, also of one whose key was there.
pub(super) fn append<D: Database>(
    database: &mut D,
    node: &str,
    at_ms: i64,
    events: &[NewEvent],
) -> Result<Vec<u64>, StoreError> {
    transaction(database, |database| {
        let end = wait_for_writers(database)?;
        let mut known = places(database, events)?;
        let (mut found, mut new) = (Vec::with_capacity(events.len()), Vec::new());
        for event in events {
            let next = end + 1 + signed(new.len() as u64);
            let place = *known.entry(&event.key).or_insert(next);
            if place == next {
                new.push(event);
            }
            found.push(place.unsigned_abs());
        }
        if new.is_empty() {
            return Ok(found);
        }
        write(database, node, at_ms, end, &new)?;
        let wake = database.dialect().wake;
        if !wake.is_empty() {
            database.script(wake)?;
        }
        Ok(found)
    })
}

/// Waits until nobody else appends, and returns the newest place; until the open transaction ends,
/// nobody else does. Places are thus in the order of commits, and a reader that has seen one will see
/// no lower one later. Taken after everything else that a transaction waits for.
pub(super) fn wait_for_writers<D: Database>(database: &mut D) -> Result<i64, StoreError> {
    let wait = "UPDATE journal_end SET place = place WHERE name = 'journal' RETURNING place";
    let end = one(database, wait, &[])?;
    let end = end.ok_or_else(|| StoreError::Broken("the journal has no end".into()))?;
    Ok(end[0].int())
}

/// Writes events behind `end`, whose keys are new, within the transaction that waits for writers.
pub(super) fn write<D: Database>(
    database: &mut D,
    node: &str,
    at_ms: i64,
    end: i64,
    events: &[&NewEvent],
) -> Result<(), StoreError> {
    let head = "SELECT sequence, hash FROM journal_node WHERE node = $1";
    let head = one(database, head, &[node.into()])?;
    let (mut sequence, mut previous) = match &head {
        Some(row) => (row[0].int(), bytes(&row[1])),
        None => (0, [0; 32].into()),
    };
    let keys = Keys::for_writing(database, events, end, at_ms)?;
    let mut rows = Vec::with_capacity(events.len());
    for (event, place) in events.iter().zip(end + 1..) {
        sequence += 1;
        let payload = keys.seal(event)?;
        let digest = digest(&SHA256, &payload);
        let row = Event {
            place: place.unsigned_abs(),
            node: node.to_owned(),
            sequence: sequence.unsigned_abs(),
            at_ms,
            key: event.key.to_string(),
            kind: event.kind.to_string(),
            consumer: event.consumer.to_string(),
            digest: digest.as_ref().to_vec(),
            hash: Vec::new(),
            payload: None,
        };
        previous = row.chained(&previous);
        rows.push([
            place.into(),
            node.into(),
            sequence.into(),
            at_ms.into(),
            row.key.into(),
            row.kind.into(),
            row.consumer.into(),
            Value::Bytes(row.digest),
            (&*previous).into(),
            (&*payload).into(),
        ]);
    }
    insert(database, &rows)?;
    let set = "INSERT INTO journal_node VALUES ($1, $2, $3) ON CONFLICT (node)
               DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash";
    database.execute(set, &[node.into(), sequence.into(), (&*previous).into()])?;
    let set = "UPDATE journal_end SET place = $1 WHERE name = 'journal'";
    database.execute(set, &[(end + signed(rows.len() as u64)).into()])?;
    Ok(())
}

/// `($1, $2), ($3, $4) ...`
pub(super) fn placeholders(rows: usize, columns: usize) -> String {
    let mut text = String::new();
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=columns {
            let comma = if column == 1 { "" } else { ", " };
            // Writing to a string does not fail.
            let _ = write!(text, "{comma}${}", row * columns + column);
        }
        text.push(')');
    }
    text
}

fn insert<D: Database>(database: &mut D, rows: &[[Value; 10]]) -> Result<(), StoreError> {
    let columns = COLUMNS.join(", ");
    let (full, rest) = rows.as_chunks::<AT_ONCE>();
    for (chunks, size) in [(full.as_flattened(), AT_ONCE), (rest, 1)] {
        let values = placeholders(size, COLUMNS.len());
        let sql = format!("INSERT INTO journal ({columns}) VALUES {values}");
        for chunk in chunks.chunks(size) {
            database.execute(&sql, chunk.as_flattened())?;
        }
    }
    Ok(())
}

/// Where events are whose keys were written before.
fn places<'a, D: Database>(
    database: &mut D,
    events: &'a [NewEvent],
) -> Result<HashMap<&'a str, i64>, StoreError> {
    let mut found = HashMap::new();
    let sql = |size| {
        let keys = placeholders(1, size);
        format!("SELECT key, place FROM journal WHERE key IN {keys}")
    };
    let (full, rest) = events.as_chunks::<AT_ONCE>();
    for (events, size) in [(full.as_flattened(), AT_ONCE), (rest, 1)] {
        let sql = sql(size);
        for chunk in events.chunks(size) {
            let keys: Vec<Value> = chunk.iter().map(|event| (&*event.key).into()).collect();
            for row in database.query(&sql, &keys)? {
                let event = chunk.iter().find(|event| *event.key == *row[0].text());
                if let Some(event) = event {
                    found.insert(&*event.key, row[1].int());
                }
            }
        }
    }
    Ok(found)
}

pub(super) fn one<D: Database>(
    database: &mut D,
    sql: &str,
    values: &[Value],
) -> Result<Option<Vec<Value>>, StoreError> {
    Ok(database.query(sql, values)?.into_iter().next())
}

pub(super) fn bytes(value: &Value) -> Box<[u8]> {
    match value {
        Value::Bytes(bytes) => bytes.as_slice().into(),
        _ => Box::default(),
    }
}

/// The events behind a place, in order, with payloads as they are kept.
pub(super) fn read<D: Database>(
    database: &mut D,
    behind: u64,
    count: usize,
) -> Result<Vec<Event>, StoreError> {
    let columns = COLUMNS.join(", ");
    let sql = format!("SELECT {columns} FROM journal WHERE place > $1 ORDER BY place LIMIT $2");
    let from = [
        signed(behind).into(),
        i64::try_from(count).unwrap_or(i64::MAX).into(),
    ];
    let rows = database.query(&sql, &from)?;
    Ok(rows.into_iter().map(Event::of).collect())
}

/// The place behind which everything lies that was written at or after a time.
pub(super) fn before<D: Database>(database: &mut D, at_ms: i64) -> Result<u64, StoreError> {
    // Times grow with places, but for how far clocks are apart: what is certainly too old is left out
    // by halves, and the rest is looked at one by one.
    let (mut low, mut high) = (pruned(database)?, end(database)?);
    let certainly = at_ms.saturating_sub(SKEW_MS);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let sql = "SELECT at_ms FROM journal WHERE place = $1";
        match one(database, sql, &[signed(middle).into()])? {
            Some(row) if row[0].int() >= certainly => high = middle - 1,
            // It is older, or has gone since.
            _ => low = middle,
        }
    }
    let sql = "SELECT place FROM journal WHERE place > $1 AND at_ms >= $2 ORDER BY place LIMIT 1";
    match one(database, sql, &[signed(low).into(), at_ms.into()])? {
        Some(first) => Ok((first[0].int() - 1).unsigned_abs()),
        None => end(database),
    }
}

/// The place up to which events were taken away; 0 where none were.
pub(super) fn pruned<D: Database>(database: &mut D) -> Result<u64, StoreError> {
    let sql = "SELECT place FROM journal_end WHERE name = 'pruned'";
    Ok(one(database, sql, &[])?.map_or(0, |row| row[0].int().unsigned_abs()))
}

/// The newest place.
pub(super) fn end<D: Database>(database: &mut D) -> Result<u64, StoreError> {
    let sql = "SELECT place FROM journal_end WHERE name = 'journal'";
    Ok(one(database, sql, &[])?.map_or(0, |row| row[0].int().unsigned_abs()))
}

/// Where a reader is.
pub(super) fn position<D: Database>(database: &mut D, reader: &str) -> Result<u64, StoreError> {
    let sql = "SELECT place FROM journal_reader WHERE name = $1";
    Ok(one(database, sql, &[reader.into()])?.map_or(0, |row| row[0].int().unsigned_abs()))
}

/// Moves a reader within the transaction that is open; false when it was elsewhere.
pub(super) fn advance<D: Database>(
    database: &mut D,
    reader: &str,
    from: u64,
    to: u64,
) -> Result<bool, StoreError> {
    if from == 0 {
        let insert = "INSERT INTO journal_reader VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
        database.execute(insert, &[reader.into(), 0.into()])?;
    }
    let set = "UPDATE journal_reader SET place = $1 WHERE name = $2 AND place = $3";
    let values = [signed(to).into(), reader.into(), signed(from).into()];
    Ok(database.execute(set, &values)? == 1)
}

/// Forgets a reader; false when there was none.
pub(super) fn leave<D: Database>(database: &mut D, reader: &str) -> Result<bool, StoreError> {
    let sql = "DELETE FROM journal_reader WHERE name = $1";
    Ok(database.execute(sql, &[reader.into()])? == 1)
}

pub(super) fn signed(place: u64) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}

impl Event {
    fn of(mut row: Vec<Value>) -> Self {
        let payload = row.pop();
        let text = |at: usize| row[at].text().to_owned();
        Event {
            place: row[0].int().unsigned_abs(),
            node: text(1),
            sequence: row[2].int().unsigned_abs(),
            at_ms: row[3].int(),
            key: text(4),
            kind: text(5),
            consumer: text(6),
            digest: bytes(&row[7]).into(),
            hash: bytes(&row[8]).into(),
            payload: match payload {
                Some(Value::Bytes(bytes)) => Some(bytes),
                _ => None,
            },
        }
    }
}
