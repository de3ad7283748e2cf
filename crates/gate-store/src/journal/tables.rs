//! The journal's statements, the same over SQLite and PostgreSQL.

use super::group::{COLUMNS, Group, HASH};
use super::keys::Keys;
use super::{Event, Mark, NewEvent};
use crate::StoreError;
use crate::database::{Database, Value, transaction};
use aws_lc_rs::digest::{self, SHA256};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::LazyLock;

/// Keys that one statement writes or looks for; a statement for one serves the rest.
const AT_ONCE: usize = 32;
/// Rows that are read at once at most, so that what is read is bounded by bytes as well.
const ROWS: i64 = 256;
/// How far clocks of nodes may be apart for [`before`], in milliseconds.
const SKEW_MS: i64 = 60_000;

/// Writes a group in one transaction; the place of each event, also of one whose key was there.
pub(super) fn append<D: Database>(
    database: &mut D,
    node: &str,
    at_ms: i64,
    events: &[Digested<'_>],
) -> Result<Vec<u64>, StoreError> {
    transaction(database, |database| {
        let end = wait_for_writers(database)?;
        let numbered = number(database, end, events)?;
        if !numbered.new.is_empty() {
            write(database, node, at_ms, end, &numbered.new)?;
            let wake = database.dialect().wake;
            if !wake.is_empty() {
                database.script(wake)?;
            }
        }
        Ok(numbered.places)
    })
}

/// An event, with the digest of its payload where somebody has made that already.
pub(super) type Digested<'a> = (&'a NewEvent, Option<[u8; HASH]>);

/// Events with their places.
struct Numbered<'a> {
    places: Vec<u64>,
    /// Those whose keys are new, in order.
    new: Vec<Digested<'a>>,
}

/// Gives events their places behind `end`, and keeps keys that are new.
fn number<'a, D: Database>(
    database: &mut D,
    end: i64,
    events: &[Digested<'a>],
) -> Result<Numbered<'a>, StoreError> {
    let end = end.unsigned_abs();
    let (numbered, keys) = give_places(end, events, HashMap::with_capacity(events.len()));
    if insert_keys(database, &keys)? == keys.len() as u64 {
        return Ok(numbered);
    }
    // Some were there before, which is seldom: places are given anew.
    let known = take_back(database, end, &keys)?;
    let (numbered, keys) = give_places(end, events, known);
    match insert_keys(database, &keys)? == keys.len() as u64 {
        true => Ok(numbered),
        false => Err(StoreError::Broken(
            "keys of the journal that are there and are not".into(),
        )),
    }
}

/// Gives places to the events whose keys are not known, and says what these keys and places are.
fn give_places<'a>(
    end: u64,
    events: &[Digested<'a>],
    mut known: HashMap<&'a str, u64>,
) -> (Numbered<'a>, Vec<(&'a str, u64)>) {
    let (mut places, mut new) = (Vec::with_capacity(events.len()), Vec::new());
    let mut keys = Vec::with_capacity(events.len());
    for &(event, digest) in events {
        let next = end + 1 + new.len() as u64;
        let place = *known.entry(&event.key).or_insert(next);
        if place == next {
            new.push((event, digest));
            keys.push((&*event.key, next));
        }
        places.push(place);
    }
    (Numbered { places, new }, keys)
}

/// Takes keys away that lie behind `end`, and says where the others of them are.
fn take_back<'a, D: Database>(
    database: &mut D,
    end: u64,
    keys: &[(&'a str, u64)],
) -> Result<HashMap<&'a str, u64>, StoreError> {
    let mut known = HashMap::new();
    for &(key, _) in keys {
        let sql = "SELECT place FROM journal_place WHERE key = $1";
        let Some(row) = one(database, sql, &[key.into()])? else {
            continue;
        };
        let place = row[0].int().unsigned_abs();
        if place <= end {
            known.insert(key, place);
        } else {
            forget_keys(database, &[key])?;
        }
    }
    Ok(known)
}

/// Keeps where events are by their keys; how many of these were not there.
pub(super) fn insert_keys<D: Database>(
    database: &mut D,
    keys: &[(&str, u64)],
) -> Result<u64, StoreError> {
    static SQL: [LazyLock<String>; 2] = [
        LazyLock::new(|| keys_sql(AT_ONCE)),
        LazyLock::new(|| keys_sql(1)),
    ];
    let [sql, sql_of_one] = SQL.each_ref().map(|sql| sql.as_str());
    let (full, rest) = keys.as_chunks::<AT_ONCE>();
    let mut new = 0;
    let mut values = Vec::with_capacity(2 * AT_ONCE);
    let full = full.iter().map(|keys| (sql, &keys[..]));
    let rest = rest.chunks(1).map(|key| (sql_of_one, key));
    for (sql, keys) in full.chain(rest) {
        values.clear();
        for &(key, place) in keys {
            values.extend([key.into(), signed(place).into()]);
        }
        new += database.execute(sql, &values)?;
    }
    Ok(new)
}

fn keys_sql(keys: usize) -> String {
    let values = placeholders(keys, 2);
    format!("INSERT INTO journal_place (key, place) VALUES {values} ON CONFLICT DO NOTHING")
}

/// Forgets where events were.
pub(super) fn forget_keys<D: Database>(database: &mut D, keys: &[&str]) -> Result<(), StoreError> {
    let (full, rest) = keys.as_chunks::<AT_ONCE>();
    for (keys, size) in [(full.as_flattened(), AT_ONCE), (rest, 1)] {
        let sql = format!(
            "DELETE FROM journal_place WHERE key IN {}",
            placeholders(1, size)
        );
        for some in keys.chunks(size) {
            let some: Vec<Value> = some.iter().map(|&key| key.into()).collect();
            database.execute(&sql, &some)?;
        }
    }
    Ok(())
}

/// Waits until nobody else appends, and returns the newest place; until the open transaction ends,
/// nobody else does. Places are thus in the order of commits, and a reader that has seen one will see
/// no lower one later. Taken after everything else that a transaction waits for.
pub(super) fn wait_for_writers<D: Database>(database: &mut D) -> Result<i64, StoreError> {
    let wait = "UPDATE journal_mark SET place = place WHERE kind = 'end' AND name = ''
                RETURNING place";
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
    events: &[Digested<'_>],
) -> Result<(), StoreError> {
    let head = "SELECT sequence, hash FROM journal_mark WHERE kind = 'node' AND name = $1";
    let head = one(database, head, &[node.into()])?;
    let (sequence, hash) = match &head {
        Some(row) => (row[0].int().unsigned_abs(), bytes(&row[1])),
        None => (0, [0; HASH].into()),
    };
    let consumers = events.iter().map(|(event, _)| &*event.consumer);
    let keys = Keys::for_writing(database, consumers, end, at_ms)?;
    let mut chain = Chain {
        node,
        at_ms,
        place: end.unsigned_abs(),
        sequence,
        hash: hash.into(),
    };
    let mut groups = Vec::new();
    let mut open = Group::default();
    for (event, made) in events {
        let payload = keys.seal(event)?;
        let made = made.unwrap_or_else(|| digest(&payload));
        let words: [&str; 3] = [&event.key, &event.kind, &event.consumer];
        if !open.push(words, &made, &payload)? {
            groups.push(chain.close(std::mem::take(&mut open)));
            open.push(words, &made, &payload)?;
        }
    }
    groups.push(chain.close(open));
    insert(database, groups)?;
    let Chain {
        place,
        sequence,
        hash,
        ..
    } = chain;
    set_mark(database, Mark::Node, node, place, (sequence, &hash))?;
    set_mark(database, Mark::End, "", place, (0, &[]))
}

/// SHA-256.
pub(super) fn digest(payload: &[u8]) -> [u8; HASH] {
    let digest = digest::digest(&SHA256, payload);
    // It has as many bytes.
    digest.as_ref().try_into().unwrap_or([0; HASH])
}

/// A node's chain, and the end of all, as groups are put behind them.
struct Chain<'a> {
    node: &'a str,
    at_ms: i64,
    place: u64,
    sequence: u64,
    hash: Vec<u8>,
}

impl Chain<'_> {
    fn close(&mut self, mut group: Group) -> Group {
        self.place += group.events;
        self.sequence += group.events;
        (group.place, group.sequence) = (self.place, self.sequence);
        (group.node, group.at_ms) = (self.node.to_owned(), self.at_ms);
        group.hash = group.chained(&self.hash);
        self.hash.clone_from(&group.hash);
        group
    }
}

/// Writes rows.
pub(super) fn insert<D: Database>(database: &mut D, groups: Vec<Group>) -> Result<(), StoreError> {
    let sql = "INSERT INTO journal_group
                   (place, events, node, sequence, at_ms, hash, heads, payloads)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    for group in groups {
        database.execute(sql, &group.row())?;
    }
    Ok(())
}

/// Writes down where something is.
pub(super) fn set_mark<D: Database>(
    database: &mut D,
    mark: Mark,
    name: &str,
    place: u64,
    (sequence, hash): (u64, &[u8]),
) -> Result<(), StoreError> {
    let sql = "INSERT INTO journal_mark (kind, name, place, sequence, hash)
               VALUES ($1, $2, $3, $4, $5) ON CONFLICT (kind, name) DO UPDATE
               SET place = excluded.place, sequence = excluded.sequence, hash = excluded.hash";
    let values = [
        mark.name().into(),
        name.into(),
        signed(place).into(),
        signed(sequence).into(),
        hash.into(),
    ];
    database.execute(sql, &values)?;
    Ok(())
}

/// The place of a mark that has no name; 0 where there is none.
fn mark<D: Database>(database: &mut D, mark: Mark) -> Result<u64, StoreError> {
    let sql = "SELECT place FROM journal_mark WHERE kind = $1 AND name = ''";
    let row = one(database, sql, &[mark.name().into()])?;
    Ok(row.map_or(0, |row| row[0].int().unsigned_abs()))
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

/// The groups that hold the first so many events behind a place, or fewer where there are many rows.
pub(super) fn groups<D: Database>(
    database: &mut D,
    behind: u64,
    count: usize,
) -> Result<Vec<Group>, StoreError> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    // Looked for without what is in them.
    let sql = "SELECT place FROM journal_group WHERE place > $1 ORDER BY place LIMIT $2";
    let rows = database.query(sql, &[signed(behind).into(), count.min(ROWS).into()])?;
    let mut places = rows.iter().map(|row| row[0].int());
    let most = signed(behind).saturating_add(count);
    let Some(through) = places
        .clone()
        .find(|place| *place >= most)
        .or(places.next_back())
    else {
        return Ok(Vec::new());
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM journal_group WHERE place > $1 AND place <= $2 ORDER BY place"
    );
    let rows = database.query(&sql, &[signed(behind).into(), through.into()])?;
    Ok(rows.into_iter().map(Group::of).collect())
}

/// The events behind a place, in order, with payloads as they are kept; as many as there are, up to
/// `count`.
pub(super) fn read<D: Database>(
    database: &mut D,
    behind: u64,
    count: usize,
) -> Result<Vec<Event>, StoreError> {
    let mut events: Vec<Event> = Vec::new();
    let mut from = behind;
    while events.len() < count {
        let groups = groups(database, from, count - events.len())?;
        let Some(last) = groups.last() else { break };
        from = last.place;
        for group in &groups {
            let unpacked = group.unpack(behind);
            events.extend(unpacked.ok_or_else(|| unreadable(group))?);
        }
    }
    events.truncate(count);
    Ok(events)
}

pub(super) fn unreadable(group: &Group) -> StoreError {
    StoreError::Broken(format!("events of the journal up to {}", group.place))
}

/// How many events of a consumer lie behind a place, up to another.
pub(super) fn count_of<D: Database>(
    database: &mut D,
    consumer: &str,
    behind: u64,
    through: u64,
) -> Result<u64, StoreError> {
    let sql = "SELECT place, events, node, sequence, at_ms, hash, heads FROM journal_group
               WHERE place > $1 AND place <= $2 ORDER BY place LIMIT $3";
    let (mut count, mut from) = (0, behind);
    loop {
        let range = [signed(from).into(), signed(through).into(), ROWS.into()];
        let rows = database.query(sql, &range)?;
        let Some(last) = rows.last() else { break };
        from = last[0].int().unsigned_abs();
        for row in rows {
            let group = Group::of(row);
            let heads = group.heads().ok_or_else(|| unreadable(&group))?;
            let its = heads.iter().zip(group.behind() + 1..);
            let its = its.filter(|(head, place)| head.consumer == consumer && *place > behind);
            count += its.count() as u64;
        }
    }
    Ok(count)
}

/// The place behind which everything lies that was written at or after a time.
pub(super) fn before<D: Database>(database: &mut D, at_ms: i64) -> Result<u64, StoreError> {
    // Times grow with places, but for how far clocks are apart: what is certainly too old is left out
    // by halves, and the rest is looked at one by one.
    let (mut low, mut high) = (pruned(database)?, end(database)?);
    let certainly = at_ms.saturating_sub(SKEW_MS);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let sql = "SELECT at_ms FROM journal_group WHERE place >= $1 ORDER BY place LIMIT 1";
        match one(database, sql, &[signed(middle).into()])? {
            Some(row) if row[0].int() >= certainly => high = middle - 1,
            // It is older, or has gone since.
            _ => low = middle,
        }
    }
    let sql = "SELECT place, events FROM journal_group WHERE place > $1 AND at_ms >= $2
               ORDER BY place LIMIT 1";
    match one(database, sql, &[signed(low).into(), at_ms.into()])? {
        Some(first) => Ok((first[0].int() - first[1].int()).unsigned_abs()),
        None => end(database),
    }
}

/// The place up to which events were taken away; 0 where none were.
pub(super) fn pruned<D: Database>(database: &mut D) -> Result<u64, StoreError> {
    mark(database, Mark::Pruned)
}

/// The newest place.
pub(super) fn end<D: Database>(database: &mut D) -> Result<u64, StoreError> {
    mark(database, Mark::End)
}

/// Where a reader is.
pub(super) fn position<D: Database>(database: &mut D, reader: &str) -> Result<u64, StoreError> {
    let sql = "SELECT place FROM journal_position WHERE name = $1";
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
        let insert = "INSERT INTO journal_position (name, place, moves, seen_moves, seen_ms)
                      VALUES ($1, 0, 0, -1, 0) ON CONFLICT (name) DO NOTHING";
        database.execute(insert, &[reader.into()])?;
    }
    let set = "UPDATE journal_position SET place = $1, moves = moves + 1
               WHERE name = $2 AND place = $3";
    let values = [signed(to).into(), reader.into(), signed(from).into()];
    Ok(database.execute(set, &values)? == 1)
}

/// Forgets a reader; false when there was none.
pub(super) fn leave<D: Database>(database: &mut D, reader: &str) -> Result<bool, StoreError> {
    let sql = "DELETE FROM journal_position WHERE name = $1";
    Ok(database.execute(sql, &[reader.into()])? == 1)
}

/// Up to where all readers have read, if there is any. One that has not been asked to move since a time,
/// not even to where it is, is forgotten: nobody reads under its name any more.
pub(super) fn read_by_all<D: Database>(
    database: &mut D,
    gone_ms: i64,
    now_ms: i64,
) -> Result<Option<u64>, StoreError> {
    let sql = "DELETE FROM journal_position
               WHERE moves = seen_moves AND seen_ms < $1 RETURNING name, place";
    for row in database.query(sql, &[gone_ms.into()])? {
        let (reader, place) = (row[0].text(), row[1].int());
        tracing::warn!(
            reader,
            place,
            "a reader of the journal was not heard of for long: nothing is kept for it any more"
        );
    }
    let sql = "UPDATE journal_position SET seen_moves = moves, seen_ms = $1
               WHERE moves <> seen_moves";
    database.execute(sql, &[now_ms.into()])?;
    let row = one(database, "SELECT MIN(place) FROM journal_position", &[])?;
    let place = row.and_then(|row| row[0].optional_int());
    Ok(place.map(i64::unsigned_abs))
}

pub(super) fn signed(place: u64) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}
