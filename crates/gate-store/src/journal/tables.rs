//! The journal's statements, the same over SQLite and PostgreSQL, and its chain.

use super::{Check, Event, Fault, NewEvent};
use crate::StoreError;
use crate::database::{Database, Value, transaction};
use aws_lc_rs::digest::{Context, SHA256, digest};
use std::collections::HashMap;
use std::fmt::Write;

/// Events that one statement writes or looks for; a statement for one serves the rest.
const AT_ONCE: usize = 32;
const COLUMNS: [&str; 10] = [
    "place", "node", "sequence", "at_ms", "key", "kind", "consumer", "digest", "hash", "payload",
];
/// Events that a walk reads at once.
const WALK: usize = 500;

/// Writes a group in one transaction; the place of each event, also of one whose key was there.
pub(super) fn append<D: Database>(
    database: &mut D,
    node: &str,
    at_ms: i64,
    events: &[NewEvent],
) -> Result<Vec<u64>, StoreError> {
    transaction(database, |database| {
        // Whoever comes second waits here for the first, so that places are in the order of commits
        // and a reader that has seen one will see no lower one later.
        let waited = "UPDATE journal_end SET place = place WHERE name = 'journal'";
        if database.execute(waited, &[])? != 1 {
            return Err(StoreError::Broken("the journal has no end".into()));
        }
        let end = "SELECT place FROM journal_end WHERE name = 'journal'";
        let mut end = one(database, end, &[])?.map_or(0, |row| row[0].int());
        let head = "SELECT sequence, hash FROM journal_node WHERE node = $1";
        let head = one(database, head, &[node.into()])?;
        let (mut sequence, mut previous) = match &head {
            Some(row) => (row[0].int(), bytes(&row[1])),
            None => (0, [0; 32].into()),
        };
        let mut known = places(database, events)?;
        let (mut found, mut rows) = (Vec::with_capacity(events.len()), Vec::new());
        for event in events {
            if let Some(place) = known.get(&*event.key) {
                found.push(place.unsigned_abs());
                continue;
            }
            end += 1;
            sequence += 1;
            let digest = digest(&SHA256, &event.payload);
            let row = Event {
                place: end.unsigned_abs(),
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
            let hash = row.chained(&previous);
            known.insert(&event.key, end);
            found.push(end.unsigned_abs());
            rows.push([
                end.into(),
                node.into(),
                sequence.into(),
                at_ms.into(),
                (&*event.key).into(),
                (&*event.kind).into(),
                (&*event.consumer).into(),
                digest.as_ref().into(),
                (&*hash).into(),
                (&*event.payload).into(),
            ]);
            previous = hash;
        }
        if rows.is_empty() {
            return Ok(found);
        }
        insert(database, &rows)?;
        let set = "INSERT INTO journal_node VALUES ($1, $2, $3) ON CONFLICT (node)
                   DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash";
        database.execute(set, &[node.into(), sequence.into(), (&*previous).into()])?;
        let set = "UPDATE journal_end SET place = $1 WHERE name = 'journal'";
        database.execute(set, &[end.into()])?;
        if !D::WAKE.is_empty() {
            database.script(D::WAKE)?;
        }
        Ok(found)
    })
}

/// `($1, $2), ($3, $4) ...`
fn placeholders(rows: usize, columns: usize) -> String {
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

fn one<D: Database>(
    database: &mut D,
    sql: &str,
    values: &[Value],
) -> Result<Option<Vec<Value>>, StoreError> {
    Ok(database.query(sql, values)?.into_iter().next())
}

fn bytes(value: &Value) -> Box<[u8]> {
    match value {
        Value::Bytes(bytes) => bytes.as_slice().into(),
        _ => Box::default(),
    }
}

/// The events behind a place, in order.
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

/// The newest place that an event lies at or before which was written before a time.
pub(super) fn before<D: Database>(database: &mut D, at_ms: i64) -> Result<u64, StoreError> {
    // Clocks of nodes differ, so that the first event at or after the time is what counts.
    let sql = "SELECT MIN(place) FROM journal WHERE at_ms >= $1";
    let first = one(database, sql, &[at_ms.into()])?.and_then(|row| row[0].optional_int());
    match first {
        Some(first) => Ok((first - 1).unsigned_abs()),
        None => end(database),
    }
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

/// Destroys the payloads of a consumer; how many there were.
pub(super) fn forget<D: Database>(database: &mut D, consumer: &str) -> Result<u64, StoreError> {
    let sql = "UPDATE journal SET payload = NULL WHERE consumer = $1 AND consumer <> ''
               AND payload IS NOT NULL";
    database.execute(sql, &[consumer.into()])
}

/// Walks all events, up to those that were there when it began.
pub(super) fn verify<D: Database>(database: &mut D) -> Result<Check, StoreError> {
    let last = end(database)?;
    let mut heads: HashMap<String, (u64, Vec<u8>)> = HashMap::new();
    let mut check = Check::default();
    let mut behind = 0;
    while behind < last {
        let count = usize::try_from(last - behind).unwrap_or(WALK).min(WALK);
        let events = read(database, behind, count)?;
        let is_short = events.len() < count;
        for event in events {
            behind += 1;
            let (sequence, hash) = heads
                .entry(event.node.clone())
                .or_insert_with(|| (0, vec![0; 32]));
            let digest_differs =
                |payload: &Vec<u8>| digest(&SHA256, payload).as_ref() != event.digest;
            let problem = match () {
                () if event.place != behind => "it is not there",
                () if event.sequence != *sequence + 1 => "its node's event before it is not there",
                () if *event.chained(hash) != *event.hash => "it is not as it was written",
                () if event.payload.as_ref().is_some_and(digest_differs) => {
                    "its payload is another"
                }
                () => {
                    check.events += 1;
                    check.destroyed += u64::from(event.payload.is_none());
                    (*sequence, *hash) = (event.sequence, event.hash);
                    continue;
                }
            };
            check.fault = Some(Fault {
                place: behind,
                problem,
            });
            return Ok(check);
        }
        if is_short {
            check.fault = Some(Fault {
                place: behind + 1,
                problem: "it is not there",
            });
            return Ok(check);
        }
    }
    // What the newest of each node is was written down, too; unless others wrote meanwhile.
    let nodes = database.query("SELECT node, hash FROM journal_node", &[])?;
    let is_right = |row: &Vec<Value>| {
        let head = heads.get(row[0].text());
        head.is_some_and(|(_, hash)| *hash == *bytes(&row[1]))
    };
    if end(database)? == last && (nodes.len() != heads.len() || !nodes.iter().all(is_right)) {
        check.fault = Some(Fault {
            place: last,
            problem: "a node's newest event is not the one that was written last",
        });
    }
    check.heads = heads
        .into_iter()
        .map(|(node, (_, hash))| (node, hash))
        .collect();
    check.heads.sort();
    Ok(check)
}

fn signed(place: u64) -> i64 {
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

    /// The hash that belongs to this event behind another.
    fn chained(&self, previous: &[u8]) -> Box<[u8]> {
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
