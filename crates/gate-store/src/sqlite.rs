//! SQLite, the embedded store: one file, write-ahead log, every commit on the disk.
//!
//! WAL needs memory that all users of the file share, which network file systems do not give
//! (<https://www.sqlite.org/wal.html>, "all processes ... must be on the same host"); they are
//! refused. `synchronous=FULL` makes a commit wait for the disk, so that a power cut loses nothing
//! that was acknowledged.

use crate::StoreError;
use crate::database::{Database, Dialect, Value};
use crate::slow;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, ToSql};
use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long another process (a predecessor that drains, `tidegate usage`) may hold the file.
const BUSY: Duration = Duration::from_secs(2);
/// How long those wait who need not answer at once: a change of configuration, its followers.
/// A commit waits for the disk, and eight builds beside it made that take over 2 s.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries to begin while somebody else writes.
const STAY_PAUSE: Duration = Duration::from_micros(500);
/// Between two tries to turn the write-ahead log on.
const BUSY_PAUSE: Duration = Duration::from_millis(5);
/// Between two looks at whether another has committed.
const WAIT_PAUSE: Duration = Duration::from_millis(50);

/// Numbers that Linux gives file systems whose files live on other machines, with their names
/// (linux/magic.h, statfs(2)).
const REMOTE: &[(u64, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "kAFS"),
    (0x0bd0_0bd0, "Lustre"),
    (0x6573_5546, "FUSE"),
];

/// A connection to a file.
pub struct Sqlite {
    connection: Connection,
    /// The count of others' commits when somebody waited last.
    commits: Option<i64>,
}

impl Sqlite {
    /// Opens a file, made when it does not exist; its folder must.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] on a network file system or when it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let unusable = |problem: String| {
            StoreError::Unusable(format!("the store `{}` {problem}", path.display()))
        };
        let folder = match path.parent() {
            Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
            Some(folder) => folder,
            None => return Err(unusable("is no file".into())),
        };
        let found = rustix::fs::statfs(folder)
            .map_err(|error| unusable(format!("cannot be opened: its folder: {error}")))?;
        #[allow(
            clippy::cast_sign_loss,
            reason = "a number of 32 bits whose sign differs by system"
        )]
        let number = u64::from(found.f_type as u32);
        if let Some((_, name)) = REMOTE.iter().find(|(known, _)| *known == number) {
            return Err(unusable(format!(
                "lies on a network file system ({name}), where SQLite may lose what was \
                 committed; use a local disk, or PostgreSQL"
            )));
        }
        let mut connection = Connection::open(path)
            .map_err(|error| unusable(format!("cannot be opened: {error}")))?;
        let prepared = connection
            .busy_handler(Some(stay))
            .and_then(|()| write_ahead(&connection))
            .and_then(|mode| {
                connection.pragma_update(None, "synchronous", "FULL")?;
                // What is deleted is overwritten, so that whoever is forgotten is so in the file, too
                // (<https://www.sqlite.org/pragma.html#pragma_secure_delete>); it answers with a row.
                let on = "PRAGMA secure_delete=ON";
                connection.query_row(on, [], |_| Ok(()))?;
                connection.set_prepared_statement_cache_capacity(64);
                Ok(mode)
            });
        match prepared {
            Ok(mode) if mode.eq_ignore_ascii_case("wal") => Ok(Self {
                connection,
                commits: None,
            }),
            Ok(mode) => Err(unusable(format!(
                "has no write-ahead log here, but `{mode}`"
            ))),
            Err(error) => Err(unusable(format!("cannot be used: {error}"))),
        }
    }

    /// A database in memory, which ends with this connection: for what a process without a store
    /// remembers of its own.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when SQLite refuses.
    pub fn in_memory() -> Result<Self, StoreError> {
        let opened = Connection::open_in_memory();
        let connection = opened.map_err(|error| StoreError::Unusable(error.to_string()))?;
        Ok(Self {
            connection,
            commits: None,
        })
    }

    /// The same connection, waiting longer for others who write: for the control plane, whose
    /// threads may, beside the ledger.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] when SQLite refuses.
    pub fn patient(mut self) -> Result<Self, StoreError> {
        let set = self.connection.busy_handler(Some(stay_long));
        set.map_err(|error| StoreError::Unusable(error.to_string()))?;
        Ok(self)
    }
}

thread_local! {
    /// When this thread began to wait for the file.
    static WAITS_SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Whether to try again after so many tries. SQLite's own waiting grows to 100 ms between two tries,
/// which misses the moments between the commits of somebody who writes without a pause: a change
/// beside such a ledger took up to 1.8 s, of the 2 s that there are.
fn stay(tries: i32) -> bool {
    stay_for(tries, BUSY)
}

/// The same for those who are in no hurry.
fn stay_long(tries: i32) -> bool {
    stay_for(tries, PATIENCE)
}

fn stay_for(tries: i32, most: Duration) -> bool {
    // The clock and not the tries: on a busy machine a pause takes many times as long.
    let now = Instant::now();
    let since = WAITS_SINCE.get().filter(|_| tries > 0).unwrap_or(now);
    WAITS_SINCE.set(Some(since));
    std::thread::sleep(STAY_PAUSE);
    now.duration_since(since) < most
}

/// Turns the write-ahead log on and returns the mode that the file is in now.
///
/// Processes that turn it on at the same moment each wait for the others' read locks. SQLite sees
/// that at once and answers busy without waiting, so the waiting is done here.
fn write_ahead(connection: &Connection) -> rusqlite::Result<String> {
    let began = Instant::now();
    loop {
        let mode =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0));
        match mode {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && began.elapsed() < BUSY =>
            {
                std::thread::sleep(BUSY_PAUSE);
            }
            mode => return mode,
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl Sqlite {
    fn rows(&self, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(rusqlite::params_from_iter(values))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let value = |index| {
                Ok(match row.get_ref(index)? {
                    ValueRef::Integer(number) => Value::Int(number),
                    ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                    ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
                    _ => Value::Null,
                })
            };
            let values: rusqlite::Result<Vec<Value>> = (0..columns).map(value).collect();
            found.push(values?);
        }
        Ok(found)
    }
}

static DIALECT: Dialect = Dialect {
    sequence: "INTEGER PRIMARY KEY AUTOINCREMENT",
    // Any other type would make a second tree (<https://www.sqlite.org/lang_createtable.html#rowid>).
    place: "INTEGER PRIMARY KEY",
    clustered: " WITHOUT ROWID",
    bytes: "BLOB",
    begin: "BEGIN IMMEDIATE",
    wake: "",
    // Without the wait for the disk, which holds off every other writer of the file for as long as
    // a busy disk takes (<https://www.sqlite.org/pragma.html#pragma_synchronous>).
    fleeting: ["PRAGMA synchronous=NORMAL", "PRAGMA synchronous=FULL"],
    // Deleted bytes are overwritten with zeros anyway; the log begins anew, cut to nothing
    // (<https://www.sqlite.org/pragma.html#pragma_wal_checkpoint>).
    erasing: "PRAGMA wal_checkpoint(TRUNCATE)",
};

impl Database for Sqlite {
    fn dialect(&self) -> &'static Dialect {
        &DIALECT
    }

    fn script(&mut self, sql: &str) -> Result<(), StoreError> {
        Ok(self.connection.execute_batch(sql)?)
    }

    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        slow::timed(sql, || {
            let mut statement = self.connection.prepare_cached(sql)?;
            Ok(statement.execute(rusqlite::params_from_iter(values))? as u64)
        })
    }

    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        slow::timed(sql, || self.rows(sql, values))
    }

    // The number changes when another connection commits
    // (<https://www.sqlite.org/pragma.html#pragma_data_version>); reading it reads one page.
    fn wait(&mut self, at_most: Duration) -> Result<(), StoreError> {
        let began = Instant::now();
        loop {
            let commits = self
                .connection
                .pragma_query_value(None, "data_version", |row| row.get(0))?;
            let left = at_most.saturating_sub(began.elapsed());
            if self.commits.replace(commits) != Some(commits) || left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(WAIT_PAUSE.min(left));
        }
    }
}
