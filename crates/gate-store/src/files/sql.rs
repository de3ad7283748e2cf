//! Files and batches in the databases.

use super::{Answer, BatchRow, DATA_MAX, FileRow, FilesError, FilesStore, PAGE_MAX, Page, Quota};
use crate::StoreError;
use crate::database::{Database, Value, transaction};

/// The one implementation, over whichever database.
pub struct SqlFiles<D>(D);

impl<D: Database> SqlFiles<D> {
    /// Over a database, whose tables are brought up to date.
    ///
    /// # Errors
    /// What [`crate::schema::migrate`] says.
    pub fn open(mut database: D) -> Result<Self, StoreError> {
        crate::schema::migrate(&mut database)?;
        Ok(Self(database))
    }
}

const FILE: &str = "number, id, owner, name, purpose, bytes, created_ms, expires_ms";
const BATCH: &str = "number, id, owner, api, state, is_over, data, version, created_ms, changed_ms";
/// What stands for never, so that the databases compare it.
const NEVER: i64 = i64::MAX;

fn int(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn count(value: &Value) -> u64 {
    u64::try_from(value.int()).unwrap_or(0)
}

fn limit(wanted: usize) -> Value {
    int(wanted.clamp(1, PAGE_MAX) as u64)
}

/// Text without NUL, which PostgreSQL's TEXT cannot hold.
fn clean(text: &str) -> Value {
    Value::Text(text.replace('\0', "\u{fffd}"))
}

fn text(row: &[Value], at: usize) -> String {
    row.get(at).map_or("", Value::text).to_owned()
}

fn number(row: &[Value], at: usize) -> i64 {
    row.get(at).map_or(0, Value::int)
}

fn file_of(row: &[Value]) -> FileRow {
    let natural = |at| u64::try_from(number(row, at)).unwrap_or(0);
    FileRow {
        number: natural(0),
        id: text(row, 1),
        owner: text(row, 2),
        name: text(row, 3),
        purpose: text(row, 4),
        bytes: natural(5),
        created_ms: number(row, 6),
        expires_ms: Some(number(row, 7)).filter(|at| *at != NEVER),
    }
}

fn batch_of(row: &[Value]) -> BatchRow {
    let natural = |at| u64::try_from(number(row, at)).unwrap_or(0);
    BatchRow {
        number: natural(0),
        id: text(row, 1),
        owner: text(row, 2),
        api: text(row, 3),
        state: text(row, 4),
        is_over: number(row, 5) != 0,
        data: text(row, 6),
        version: natural(7),
        created_ms: number(row, 8),
        changed_ms: number(row, 9),
    }
}

fn insert_file<D: Database>(database: &mut D, row: &FileRow) -> Result<u64, StoreError> {
    database.execute(
        "INSERT INTO kept_file (id, owner, name, purpose, bytes, created_ms, expires_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        &[
            clean(&row.id),
            clean(&row.owner),
            clean(&row.name),
            clean(&row.purpose),
            int(row.bytes),
            row.created_ms.into(),
            row.expires_ms.unwrap_or(NEVER).into(),
        ],
    )
}

/// Files of an owner and their bytes.
fn used_by<D: Database>(database: &mut D, owner: &str) -> Result<(u64, u64), StoreError> {
    // PostgreSQL's sum of BIGINT is a NUMERIC.
    let sql = "SELECT COUNT(*), CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM kept_file
               WHERE owner = $1";
    let rows = database.query(sql, &[clean(owner)])?;
    let row = rows.first();
    let of = |at: usize| row.and_then(|row| row.get(at)).map_or(0, count);
    Ok((of(0), of(1)))
}

impl<D: Database> SqlFiles<D> {
    /// A page of either table.
    fn page(
        &mut self,
        (table, columns, of): (&str, &str, &str),
        page: &Page<'_>,
    ) -> Answer<Vec<Vec<Value>>> {
        let (order, beyond, mut from) = match page.oldest_first {
            true => ("ASC", ">", 0),
            false => ("DESC", "<", i64::MAX),
        };
        if let Some(after) = page.after {
            let sql = format!("SELECT number FROM {table} WHERE id = $1 AND owner = $2");
            let rows = self.0.query(&sql, &[clean(after), clean(page.owner)])?;
            // An empty page would say that nothing is left.
            let row = rows.first().ok_or(FilesError::Absent)?;
            from = number(row, 0);
        }
        let sql = format!(
            "SELECT {columns} FROM {table}
             WHERE owner = $1 AND ($2 = '' OR {of} = $3) AND number {beyond} $4
             ORDER BY number {order} LIMIT $5"
        );
        let values = [
            clean(page.owner),
            clean(page.of),
            clean(page.of),
            from.into(),
            limit(page.limit),
        ];
        Ok(self.0.query(&sql, &values)?)
    }
}

impl<D: Database> FilesStore for SqlFiles<D> {
    fn add_file(&mut self, row: &FileRow, quota: &Quota) -> Answer<()> {
        transaction(&mut self.0, |database| {
            let (files, bytes) = used_by(database, &row.owner)?;
            if files >= quota.files || bytes.saturating_add(row.bytes) > quota.bytes {
                return Err(FilesError::Quota);
            }
            insert_file(database, row)?;
            Ok(())
        })
    }

    fn file(&mut self, owner: &str, id: &str) -> Answer<Option<FileRow>> {
        let sql = format!("SELECT {FILE} FROM kept_file WHERE id = $1 AND owner = $2");
        let rows = self.0.query(&sql, &[clean(id), clean(owner)])?;
        Ok(rows.first().map(|row| file_of(row)))
    }

    fn files(&mut self, page: &Page<'_>) -> Answer<Vec<FileRow>> {
        let rows = self.page(("kept_file", FILE, "purpose"), page)?;
        Ok(rows.iter().map(|row| file_of(row)).collect())
    }

    fn used(&mut self, owner: &str) -> Answer<(u64, u64)> {
        Ok(used_by(&mut self.0, owner)?)
    }

    fn remove_file(&mut self, owner: &str, id: &str) -> Answer<bool> {
        let sql = "DELETE FROM kept_file WHERE id = $1 AND owner = $2";
        Ok(self.0.execute(sql, &[clean(id), clean(owner)])? > 0)
    }

    fn expired_files(&mut self, now_ms: i64, most: usize) -> Answer<Vec<FileRow>> {
        let sql = format!(
            "SELECT {FILE} FROM kept_file WHERE expires_ms <= $1 ORDER BY expires_ms LIMIT $2"
        );
        let rows = self.0.query(&sql, &[now_ms.into(), limit(most)])?;
        Ok(rows.iter().map(|row| file_of(row)).collect())
    }

    fn has_file(&mut self, id: &str) -> Answer<bool> {
        let sql = "SELECT number FROM kept_file WHERE id = $1";
        Ok(!self.0.query(sql, &[clean(id)])?.is_empty())
    }

    fn has_batch(&mut self, id: &str) -> Answer<bool> {
        let sql = "SELECT number FROM kept_batch WHERE id = $1";
        Ok(!self.0.query(sql, &[clean(id)])?.is_empty())
    }

    fn add_batch(&mut self, row: &BatchRow, quota: &Quota) -> Answer<()> {
        if row.data.len() > DATA_MAX {
            return Err(FilesError::TooLarge);
        }
        transaction(&mut self.0, |database| {
            let sql = "SELECT COUNT(*) FROM kept_batch WHERE owner = $1 AND is_over = 0";
            let rows = database.query(sql, &[clean(&row.owner)])?;
            let open = rows.first().and_then(|row| row.first()).map_or(0, count);
            if open >= quota.batches {
                return Err(FilesError::Quota);
            }
            database.execute(
                "INSERT INTO kept_batch (id, owner, api, state, is_over, data, version,
                 created_ms, changed_ms) VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8)
                 ON CONFLICT DO NOTHING",
                &[
                    clean(&row.id),
                    clean(&row.owner),
                    clean(&row.api),
                    clean(&row.state),
                    i64::from(row.is_over).into(),
                    clean(&row.data),
                    row.created_ms.into(),
                    row.created_ms.into(),
                ],
            )?;
            Ok(())
        })
    }

    fn batch(&mut self, owner: &str, id: &str) -> Answer<Option<BatchRow>> {
        let sql = format!("SELECT {BATCH} FROM kept_batch WHERE id = $1 AND owner = $2");
        let rows = self.0.query(&sql, &[clean(id), clean(owner)])?;
        Ok(rows.first().map(|row| batch_of(row)))
    }

    fn batches(&mut self, page: &Page<'_>) -> Answer<Vec<BatchRow>> {
        let rows = self.page(("kept_batch", BATCH, "api"), page)?;
        Ok(rows.iter().map(|row| batch_of(row)).collect())
    }

    fn open_batches(&mut self, folder: &str, most: usize) -> Answer<Vec<BatchRow>> {
        // Those of other folders must not take up the places of this one's.
        let named = format!("%\"folder\":\"{folder}\"%");
        let sql = format!(
            "SELECT {BATCH} FROM kept_batch WHERE is_over = 0 AND data LIKE $1
             ORDER BY number LIMIT $2"
        );
        let rows = self.0.query(&sql, &[clean(&named), limit(most)])?;
        Ok(rows.iter().map(|row| batch_of(row)).collect())
    }

    fn all_batches(&mut self, open: bool, most: usize) -> Answer<Vec<BatchRow>> {
        let sql = format!(
            "SELECT {BATCH} FROM kept_batch WHERE is_over <= $1 ORDER BY number DESC LIMIT $2"
        );
        let rows = self
            .0
            .query(&sql, &[i64::from(!open).into(), limit(most)])?;
        Ok(rows.iter().map(|row| batch_of(row)).collect())
    }

    fn old_batches(&mut self, until_ms: i64, most: usize) -> Answer<Vec<BatchRow>> {
        let sql = format!(
            "SELECT {BATCH} FROM kept_batch WHERE is_over = 1 AND changed_ms < $1
             ORDER BY changed_ms LIMIT $2"
        );
        let rows = self.0.query(&sql, &[until_ms.into(), limit(most)])?;
        Ok(rows.iter().map(|row| batch_of(row)).collect())
    }

    fn save_batch(&mut self, row: &BatchRow, files: &[FileRow], now_ms: i64) -> Answer<u64> {
        if row.data.len() > DATA_MAX {
            return Err(FilesError::TooLarge);
        }
        transaction(&mut self.0, |database| {
            let changed = database.execute(
                "UPDATE kept_batch SET state = $1, is_over = $2, data = $3, changed_ms = $4,
                 version = version + 1 WHERE id = $5 AND version = $6",
                &[
                    clean(&row.state),
                    i64::from(row.is_over).into(),
                    clean(&row.data),
                    now_ms.into(),
                    clean(&row.id),
                    int(row.version),
                ],
            )?;
            if changed == 0 {
                return Err(FilesError::Stale);
            }
            for file in files {
                insert_file(database, file)?;
            }
            Ok(row.version + 1)
        })
    }

    fn remove_batch(&mut self, owner: &str, id: &str) -> Answer<bool> {
        let sql = "DELETE FROM kept_batch WHERE id = $1 AND owner = $2";
        Ok(self.0.execute(sql, &[clean(id), clean(owner)])? > 0)
    }
}
