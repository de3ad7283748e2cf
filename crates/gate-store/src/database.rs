//! The little that we ask of a database, so that its statements are written once.

use crate::StoreError;
use std::time::Duration;

/// A parameter or a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A whole number (`BIGINT`).
    Int(i64),
    /// A text (`TEXT`).
    Text(String),
    /// Bytes ([`Database::BYTES`]).
    Bytes(Vec<u8>),
}

impl Value {
    /// The number; zero for anything else.
    #[must_use]
    pub fn int(&self) -> i64 {
        match self {
            Value::Int(number) => *number,
            _ => 0,
        }
    }

    /// The number, when there is one.
    #[must_use]
    pub fn optional_int(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The text; empty for anything else.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Value::Text(text) => text,
            _ => "",
        }
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Value::Bytes(bytes.to_vec())
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Self {
        text.map_or(Value::Null, Value::from)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<Option<i64>> for Value {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Value::Null, Value::Int)
    }
}

/// What engines say differently.
#[derive(Debug)]
pub struct Dialect {
    /// How a column is declared that counts rows by itself.
    pub sequence: &'static str,
    /// How a column of numbers is declared that its table is kept by.
    pub place: &'static str,
    /// How a table is declared that is kept by its key; empty where none is.
    pub clustered: &'static str,
    /// How a column of bytes is declared.
    pub bytes: &'static str,
    /// Opens a transaction that will write.
    pub begin: &'static str,
    /// Wakes those who [wait](Database::wait) once the open transaction is committed; empty where a
    /// commit does so by itself.
    pub wake: &'static str,
    /// Said before writes that a power cut may undo whole, and after them. Empty where such writes
    /// are no cheaper than others.
    pub fleeting: [&'static str; 2],
    /// Asked after something was deleted whose bytes must not stay in the store's files, outside of a
    /// transaction; answered with 0 when they are gone. Empty where nobody can promise that.
    pub erasing: &'static str,
}

/// How often others who read an old state are waited for, and how long each time.
const ERASE_TRIES: usize = 20;
const ERASE_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// Whether no byte of what was deleted is left in the store's files. Where others read what was before,
/// for a second at most: it is asked again until then.
pub(crate) fn erase<D: Database>(database: &mut D) -> bool {
    let ask = database.dialect().erasing;
    if ask.is_empty() {
        return false;
    }
    for round in 0..ERASE_TRIES {
        if round > 0 {
            std::thread::sleep(ERASE_PAUSE);
        }
        let rows = database.query(ask, &[]).unwrap_or_default();
        if rows.first().is_some_and(|row| row[0].int() == 0) {
            return true;
        }
    }
    false
}

/// A connection to a database. Parameters are `$1`, `$2` ... and first appear in this order.
pub trait Database: Send {
    /// What this engine says in words of its own.
    fn dialect(&self) -> &'static Dialect;

    /// Runs statements without parameters or results.
    ///
    /// # Errors
    /// [`StoreError`]; an open transaction has failed then.
    fn script(&mut self, sql: &str) -> Result<(), StoreError>;

    /// Runs a statement and says how many rows it changed.
    ///
    /// # Errors
    /// [`StoreError`]; an open transaction has failed then.
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError>;

    /// Runs a statement and returns its rows. Outside of a transaction it may only read, because it
    /// may be run twice.
    ///
    /// # Errors
    /// [`StoreError`]; an open transaction has failed then.
    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>, StoreError>;

    /// Waits until somebody else may have committed something since the last call, at most so long;
    /// the first call does not wait. It is a hint: it may come late, for nothing, or not at all.
    ///
    /// # Errors
    /// [`StoreError`] when nobody can tell.
    fn wait(&mut self, at_most: Duration) -> Result<(), StoreError>;
}

// Behind one pointer, so that what is written over databases is compiled once.
impl Database for Box<dyn Database> {
    fn dialect(&self) -> &'static Dialect {
        (**self).dialect()
    }

    fn script(&mut self, sql: &str) -> Result<(), StoreError> {
        (**self).script(sql)
    }

    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        (**self).execute(sql, values)
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        (**self).query(sql, values)
    }

    fn wait(&mut self, at_most: Duration) -> Result<(), StoreError> {
        (**self).wait(at_most)
    }
}

/// Runs `work` in one transaction; nothing has happened when it fails.
///
/// # Errors
/// What `work` or the commit failed with. After an unreachable commit it is not known whether it
/// took effect, which is why every write here may be repeated.
pub fn transaction<D: Database, T, E: From<StoreError>>(
    database: &mut D,
    work: impl FnOnce(&mut D) -> Result<T, E>,
) -> Result<T, E> {
    let begin = database.dialect().begin;
    database.script(begin)?;
    let result = work(database).and_then(|done| {
        database.script("COMMIT")?;
        Ok(done)
    });
    if result.is_err() {
        // The connection may be gone; the transaction is then, too.
        let _ = database.script("ROLLBACK");
    }
    result
}

/// Runs `work`, whose commits may be undone by a power cut, though never in part and never by the
/// end of a process: what is written again within seconds anyway. The next lasting commit makes
/// them last, too.
///
/// # Errors
/// What `work` failed with.
pub fn fleeting<D: Database, T, E: From<StoreError>>(
    database: &mut D,
    work: impl FnOnce(&mut D) -> Result<T, E>,
) -> Result<T, E> {
    let [before, after] = database.dialect().fleeting;
    if before.is_empty() {
        return work(database);
    }
    database.script(before)?;
    let result = work(database);
    let lasting = database.script(after);
    let done = result?;
    lasting?;
    Ok(done)
}
