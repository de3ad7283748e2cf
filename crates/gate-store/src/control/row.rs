//! Rows as the databases give them, read column by column, and values as they take them.

use super::{Answer, PAGE_MAX};
use crate::StoreError;
use crate::database::{Database, Value};
use aws_lc_rs::digest::{SHA256, digest};

/// A row whose columns are taken in their order. A column that is missing reads as nothing.
pub(crate) struct Row(std::vec::IntoIter<Value>);

impl Row {
    fn next(&mut self) -> Value {
        self.0.next().unwrap_or(Value::Null)
    }

    pub(crate) fn text(&mut self) -> String {
        self.optional_text().unwrap_or_default()
    }

    pub(crate) fn optional_text(&mut self) -> Option<String> {
        match self.next() {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number that is never negative.
    pub(crate) fn number(&mut self) -> u64 {
        self.optional_number().unwrap_or(0)
    }

    pub(crate) fn optional_number(&mut self) -> Option<u64> {
        self.optional_time()
            .map(|number| u64::try_from(number).unwrap_or(0))
    }

    pub(crate) fn time(&mut self) -> i64 {
        self.next().int()
    }

    pub(crate) fn optional_time(&mut self) -> Option<i64> {
        self.next().optional_int()
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.next().int() != 0
    }

    pub(crate) fn bytes(&mut self) -> Vec<u8> {
        match self.next() {
            Value::Bytes(bytes) => bytes,
            _ => Vec::new(),
        }
    }
}

/// All rows of a question.
pub(crate) fn rows<D: Database, T>(
    database: &mut D,
    sql: &str,
    values: &[Value],
    read: impl Fn(&mut Row) -> Result<T, StoreError>,
) -> Answer<Vec<T>> {
    let rows = database.query(sql, values)?;
    let read = |row: Vec<Value>| read(&mut Row(row.into_iter()));
    Ok(rows.into_iter().map(read).collect::<Result<_, _>>()?)
}

/// The first row of a question.
pub(crate) fn row<D: Database, T>(
    database: &mut D,
    sql: &str,
    values: &[Value],
    read: impl Fn(&mut Row) -> Result<T, StoreError>,
) -> Answer<Option<T>> {
    Ok(rows(database, sql, values, read)?.into_iter().next())
}

/// A limit of a page as the databases take it.
pub(crate) fn limit(wanted: usize) -> Value {
    number(wanted.clamp(1, PAGE_MAX) as u64)
}

/// A number as the databases take it; those beyond 2^63 - 1 do not occur.
pub(crate) fn number(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The same of one that may be absent; where it bounds a page from above, absent is the largest.
pub(crate) fn optional(value: Option<u64>) -> Value {
    value.map_or(Value::Null, number)
}

/// Where a page that goes downwards begins.
pub(crate) fn before(value: Option<u64>) -> Value {
    number(value.unwrap_or(u64::MAX))
}

/// A text that people wrote, as it is kept: without NUL, which PostgreSQL's TEXT cannot hold, and
/// cut to `most` bytes at a character's edge.
pub(crate) fn clean(text: &str, most: usize) -> String {
    let text = &text[..text.floor_char_boundary(most)];
    text.replace('\0', "\u{fffd}")
}

/// SHA-256 in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hexadecimal(digest(&SHA256, bytes).as_ref())
}

/// Bytes in hexadecimal.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
