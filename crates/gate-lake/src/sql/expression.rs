//! Keys of groups that are expressions: rows are grouped by the columns that an expression reads, which
//! the native scan does, the expression is computed once for each of these groups, and groups for which
//! it comes to the same are thrown together. Quantiles come along, because sketches can be added.
//!
//! That pays where few values are in the columns, or in spans of a time. Where there are too many, or
//! something is in an expression that might not be the same each time, SQLite makes every row.

use super::rewrite::{KEYWORDS, SCALARS};
use super::shape::{Grouping, KEY, key_of};
use super::token::{Placed, Token};
use super::{Shared, Table, authorise, functions};
use crate::scan::{Groups, Key, KeyValue, QueryError};
use rusqlite::types::{Null, ValueRef};
use rusqlite::{Connection, Statement, ToSql};
use rustc_hash::FxHashMap;

/// Groups of columns for each group that there may be.
pub(super) const GROUPS_EACH: usize = 10;
/// Most tokens of a native key.
const KEY_TOKENS: [usize; 4] = [6, 4, 3, 1];
/// Room that a key takes beside its text, about.
const KEY_BYTES: usize = 96;
/// Expressions between two looks at the clock.
const LOOK_EVERY: usize = 4096;

/// What stands beside `/` without another meaning.
const BINDING: [&str; 8] = ["*", "/", "%", "-", "||", "~", "+", "."];

/// An expression with its columns, and spans of them, as columns of groups. Keys that are not among
/// `keys` yet are added. None where it is not understood, or reads no column.
pub(super) fn over_keys(
    tokens: &[Placed],
    sql: &str,
    table: &Table,
    keys: &mut Vec<Key>,
) -> Option<String> {
    let (mut written, mut at, mut reads) = (String::new(), 0, false);
    while let Some(placed) = tokens.get(at) {
        if !written.is_empty() {
            written.push(' ');
        }
        if let Some((key, length)) = key_at(tokens, at, table) {
            let known = keys.iter().position(|known| *known == key);
            let index = known.unwrap_or_else(|| {
                keys.push(key);
                keys.len() - 1
            });
            written.push_str(&format!("{KEY}{index}"));
            (at, reads) = (at + length, true);
            continue;
        }
        match &placed.token {
            Token::Word(word) => {
                let calls = tokens.get(at + 1).is_some_and(|next| next.token.is("("));
                let scalar = calls && SCALARS.contains(&word.as_str());
                (scalar || KEYWORDS.contains(&word.as_str())).then_some(())?;
            }
            // Another moment each time that it is computed.
            Token::Text(text) if text.eq_ignore_ascii_case("now") => return None,
            Token::Text(text) if text.contains(KEY) => return None,
            _ => {}
        }
        written.push_str(&sql[placed.start..placed.end]);
        at += 1;
    }
    reads.then_some(written)
}

/// The longest native key that begins here.
fn key_at(tokens: &[Placed], at: usize, table: &Table) -> Option<(Key, usize)> {
    KEY_TOKENS.into_iter().find_map(|length| {
        let key = key_of(tokens.get(at..at + length)?, table)?;
        let after = tokens.get(at + length).map(|next| &next.token);
        if length == 1 && after.is_some_and(|next| next.is("(")) {
            return None;
        }
        if matches!(key, Key::Divided(..)) {
            let before = at.checked_sub(1).map(|before| &tokens[before].token);
            let binds = |token: &Token| BINDING.iter().any(|symbol| token.is(symbol));
            if before.is_some_and(binds) || after.is_some_and(|next| next.is("||")) {
                return None;
            }
        }
        Some((key, length))
    })
}

/// Throws groups together by what expressions over their keys come to; the keys of what is left. None
/// where that takes too much, or what it comes to is neither a number, a text nor nothing.
pub(super) fn throw_together(
    groups: &mut Groups,
    shape: &Grouping,
    table: &Table,
    shared: &Shared,
    now_us: i64,
) -> Result<Option<Vec<Vec<KeyValue>>>, QueryError> {
    let Some(expressions) = &shape.made else {
        return Ok(None);
    };
    let Ok(mut connection) = Connection::open_in_memory() else {
        return Ok(None);
    };
    let Ok(mut statement) = prepared(&mut connection, expressions, shape, table, now_us) else {
        return Ok(None);
    };
    let mut known: FxHashMap<Vec<KeyValue>, u32> = FxHashMap::default();
    let (mut into, mut bytes) = (Vec::with_capacity(groups.count()), 0);
    for number in 0..groups.count() {
        if number % LOOK_EVERY == 0 {
            shared.allowance.check()?;
        }
        let Some(key) = computed(&mut statement, &groups.key(number)) else {
            return Ok(None);
        };
        let next = known.len() as u32;
        let place = *known.entry(key).or_insert_with_key(|key| {
            bytes += key.iter().map(size).sum::<usize>();
            next
        });
        if shared.allowance.bytes(bytes).is_err() || shared.allowance.groups(known.len()).is_err() {
            return Ok(None);
        }
        into.push(place);
    }
    groups.throw_together(&into, known.len());
    let mut keys: Vec<(Vec<KeyValue>, u32)> = known.into_iter().collect();
    keys.sort_unstable_by_key(|(_, place)| *place);
    Ok(Some(keys.into_iter().map(|(key, _)| key).collect()))
}

/// The statement that computes the expressions, whose parameters are the keys of a group.
fn prepared<'a>(
    connection: &'a mut Connection,
    expressions: &[String],
    shape: &Grouping,
    table: &Table,
    now_us: i64,
) -> rusqlite::Result<Statement<'a>> {
    functions::register(connection, now_us)?;
    connection.authorizer(Some(authorise))?;
    let mut sql = format!("SELECT {}", expressions.join(", "));
    // The last first, so that no name is the beginning of another.
    for (index, key) in shape.keys.iter().enumerate().rev() {
        // A cast has the affinity that the column has.
        let column = table.dataset.columns()[key.column()];
        let kind = match super::condition::numeric(column.kind) {
            true => "INTEGER",
            false => "TEXT",
        };
        let cast = format!("CAST(?{} AS {kind})", index + 1);
        sql = sql.replace(&format!("{KEY}{index}"), &cast);
    }
    connection.prepare(&sql)
}

fn size(value: &KeyValue) -> usize {
    match value {
        KeyValue::Text(text) => KEY_BYTES + 2 * text.len(),
        _ => KEY_BYTES,
    }
}

/// What the expressions come to for one group.
fn computed(statement: &mut Statement<'_>, key: &[KeyValue]) -> Option<Vec<KeyValue>> {
    for (index, value) in key.iter().enumerate() {
        let value: &dyn ToSql = match value {
            KeyValue::Missing => &Null,
            KeyValue::Number(number) => number,
            // Bytes that are no text would be cast to one.
            KeyValue::Text(text) => &std::str::from_utf8(text).ok()?,
        };
        statement.raw_bind_parameter(index + 1, value).ok()?;
    }
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    let row = rows.next().ok()??;
    let value = |column: usize| match row.get_ref(column).ok()? {
        ValueRef::Null => Some(KeyValue::Missing),
        ValueRef::Integer(number) => Some(KeyValue::Number(number)),
        ValueRef::Text(text) => Some(KeyValue::Text(text.into())),
        // Numbers with a fraction are the same as whole ones, now and then.
        ValueRef::Real(_) | ValueRef::Blob(_) => None,
    };
    (0..columns).map(value).collect()
}
