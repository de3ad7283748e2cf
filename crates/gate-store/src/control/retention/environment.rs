//! Old revisions, rollouts and history of one environment.
//!
//! Rollouts go before revisions, because they point to some. A document goes with the last revision
//! that points to it, in the same transaction; writers of revisions wait for that.

use super::{Keep, Pruned, Slice};
use crate::control::row::{Row, limit, number, row, rows};
use crate::control::{Answer, audit};
use crate::database::{Database, Value, transaction};

/// An environment whose past is looked at.
struct Place<'a> {
    slice: &'a Slice<'a>,
    name: &'a str,
    subject: String,
}

/// A revision that may go, with the digests of its documents.
struct Old {
    revision: u64,
    documents: [Option<String>; 3],
}

/// Whether something in use points to the revision `$1`.
const IS_IN_USE: &str = "EXISTS (SELECT 1 FROM environment
        WHERE revision = $1 OR stable = $1 OR candidate = $1)
    OR EXISTS (SELECT 1 FROM rollout WHERE candidate = $1 OR control = $1)";

pub(super) fn prune<D: Database>(
    database: &mut D,
    slice: &Slice<'_>,
    name: &str,
    generation: u64,
    pruned: &mut Pruned,
) -> Answer<()> {
    let place = Place {
        slice,
        name,
        subject: format!("environments/{name}"),
    };
    pruned.rollouts = place.rollouts(database)?;
    place.revisions(database, pruned)?;
    pruned.history = place.history(database, generation)?;
    Ok(())
}

impl Place<'_> {
    /// The newest row of this environment that is not among the newest, by its number.
    fn last_to_go<D: Database>(
        &self,
        database: &mut D,
        table: &str,
        keep: &Keep,
    ) -> Answer<Option<u64>> {
        let sql = format!(
            "SELECT number FROM {table} WHERE environment = $1
             ORDER BY number DESC LIMIT 1 OFFSET $2"
        );
        let values = [self.name.into(), number(keep.newest)];
        row(database, &sql, &values, |row| Ok(row.number()))
    }

    fn rollouts<D: Database>(&self, database: &mut D) -> Answer<u64> {
        let keep = &self.slice.retention.rollouts;
        let Some(before_ms) = keep.before_ms(self.slice.now_ms) else {
            return Ok(0);
        };
        let Some(last) = self.last_to_go(database, "rollout", keep)? else {
            return Ok(0);
        };
        let old = "SELECT id FROM rollout AS r WHERE environment = $1 AND number <= $2
                   AND changed_ms < $3
                   AND NOT EXISTS (SELECT 1 FROM environment AS e WHERE e.rollout = r.id)
                   ORDER BY number LIMIT $4";
        let values = [
            self.name.into(),
            number(last),
            before_ms.into(),
            limit(self.slice.most),
        ];
        let old = rows(database, old, &values, |row: &mut Row| Ok(row.text()))?;
        if old.is_empty() {
            return Ok(0);
        }
        transaction(database, |database| {
            audit::wait_for_writers(database)?;
            let mut gone = 0;
            for id in &old {
                let id = [Value::from(id.as_str())];
                database.execute("DELETE FROM evidence WHERE rollout = $1", &id)?;
                gone += database.execute("DELETE FROM rollout WHERE id = $1", &id)?;
            }
            self.note(database, "retention.rollouts", gone)
        })
    }

    fn revisions<D: Database>(&self, database: &mut D, pruned: &mut Pruned) -> Answer<()> {
        let old = self.old_revisions(database)?;
        if old.is_empty() {
            return Ok(());
        }
        let delete = format!("DELETE FROM revision WHERE number = $1 AND NOT ({IS_IN_USE})");
        let (revisions, documents) = transaction(database, |database| -> Answer<_> {
            audit::wait_for_writers(database)?;
            let (mut revisions, mut documents) = (0, 0);
            for old in &old {
                if database.execute(&delete, &[number(old.revision)])? == 0 {
                    continue;
                }
                revisions += 1;
                for digest in old.documents.iter().flatten() {
                    documents += forget(database, digest)?;
                }
            }
            self.note(database, "retention.revisions", revisions)?;
            Ok((revisions, documents))
        })?;
        pruned.revisions = revisions;
        pruned.documents = documents;
        Ok(())
    }

    fn old_revisions<D: Database>(&self, database: &mut D) -> Answer<Vec<Old>> {
        let keep = &self.slice.retention.revisions;
        let Some(before_ms) = keep.before_ms(self.slice.now_ms) else {
            return Ok(Vec::new());
        };
        let Some(last) = self.last_to_go(database, "revision", keep)? else {
            return Ok(Vec::new());
        };
        let is_in_use = IS_IN_USE.replace("$1", "r.number");
        let sql = format!(
            "SELECT number, digest, managers, files FROM revision AS r
             WHERE environment = $1 AND number <= $2 AND created_ms < $3 AND NOT ({is_in_use})
             ORDER BY number LIMIT $4"
        );
        let values = [
            self.name.into(),
            number(last),
            before_ms.into(),
            limit(self.slice.most),
        ];
        rows(database, &sql, &values, |row: &mut Row| {
            Ok(Old {
                revision: row.number(),
                documents: [Some(row.text()), Some(row.text()), row.optional_text()],
            })
        })
    }

    /// Lines of the history go as old revisions do; a late writer is told less then.
    fn history<D: Database>(&self, database: &mut D, generation: u64) -> Answer<u64> {
        let keep = &self.slice.retention.revisions;
        let Some(before_ms) = keep.before_ms(self.slice.now_ms) else {
            return Ok(0);
        };
        let last = generation.saturating_sub(keep.newest);
        let sql = "SELECT generation FROM environment_history WHERE environment = $1
                   AND generation <= $2 AND at_ms < $3 ORDER BY generation LIMIT $4";
        let values = [
            self.name.into(),
            number(last),
            before_ms.into(),
            limit(self.slice.lines()),
        ];
        let old = rows(database, sql, &values, |row: &mut Row| Ok(row.number()))?;
        let Some(through) = old.last() else {
            return Ok(0);
        };
        // One statement is all or nothing, and nobody writes lines of the past.
        let gone = database.execute(
            "DELETE FROM environment_history
             WHERE environment = $1 AND generation <= $2 AND at_ms < $3",
            &[self.name.into(), number(*through), before_ms.into()],
        )?;
        Ok(gone)
    }

    /// Writes down what went, in the transaction in which it does.
    fn note<D: Database>(&self, database: &mut D, action: &str, gone: u64) -> Answer<u64> {
        if gone > 0 {
            let detail = format!("{gone} old ones");
            let line = self.slice.line(action, &self.subject, &detail);
            audit::append(database, &line, self.slice.now_ms)?;
        }
        Ok(gone)
    }
}

/// Removes a document that no revision points to.
fn forget<D: Database>(database: &mut D, digest: &str) -> Answer<u64> {
    let delete = "DELETE FROM document WHERE digest = $1
                  AND NOT EXISTS (SELECT 1 FROM revision WHERE digest = $1)
                  AND NOT EXISTS (SELECT 1 FROM revision WHERE managers = $1)
                  AND NOT EXISTS (SELECT 1 FROM revision WHERE files = $1)";
    Ok(database.execute(delete, &[digest.into()])?)
}
