//! Jobs as rows: submitted, wished for, written by who leads.

use super::{JobQuery, JobRow, JobSave, NewJob, NoteRow, OPEN_MAX, SPEC_MAX, pages, results};
use crate::StoreError;
use crate::control::row::{Row, before, clean, limit, number, row, rows};
use crate::control::{Answer, ControlError, Lease, fleet};
use crate::database::{Database, Value, transaction};
use crate::journal::{NewEvent, own};
use serde_json::json;

const COLUMNS: &str = "id, environment, number, key, queue, team, owner, name, folder, items, state, \
    is_over, wish, progress, submitted_ms, changed_ms";
/// Longest name, key or id.
const NAME_MAX: usize = 1 << 10;
/// Longest reason that is kept.
const REASON_MAX: usize = 2 << 10;

fn read(row: &mut Row) -> Result<JobRow, StoreError> {
    Ok(JobRow {
        id: row.text(),
        environment: row.text(),
        number: row.number(),
        key: row.text(),
        queue: row.text(),
        team: row.text(),
        owner: row.text(),
        name: row.text(),
        folder: row.text(),
        items: row.number(),
        state: row.text(),
        is_over: row.flag(),
        wish: row.text(),
        progress: row.text(),
        submitted_ms: row.time(),
        changed_ms: row.time(),
    })
}

pub(super) fn submit<D: Database>(database: &mut D, job: &NewJob<'_>) -> Answer<(String, bool)> {
    let words = [
        job.id, job.key, job.queue, job.team, job.owner, job.name, job.folder,
    ];
    if job.spec.len() > SPEC_MAX || words.iter().any(|word| word.len() > NAME_MAX) {
        return Err(ControlError::TooLarge {
            what: "job",
            bytes: job.spec.len(),
            limit: SPEC_MAX,
        });
    }
    transaction(database, |database| {
        // Whoever comes second waits here for the first.
        let desk = touch(database, job.environment)?;
        let known = "SELECT id FROM job WHERE environment = $1 AND key = $2";
        let key = [job.environment.into(), clean(job.key, NAME_MAX).into()];
        let id = |row: &mut Row| Ok(row.text());
        if let Some(id) = self::row(database, known, &key, id)? {
            return Ok((id, false));
        }
        let open = "SELECT COUNT(*) FROM job WHERE environment = $1 AND is_over = 0";
        let count = |row: &mut Row| Ok(row.number());
        let open = self::row(database, open, &[job.environment.into()], count)?;
        if open.unwrap_or(0) >= OPEN_MAX as u64 {
            return Err(ControlError::Exists(format!(
                "most that may be under way ({OPEN_MAX} jobs)"
            )));
        }
        let offsets = job.offsets.map(|offsets| {
            let bytes: Vec<u8> = offsets.iter().flat_map(|at| at.to_le_bytes()).collect();
            Value::Bytes(bytes)
        });
        database.execute(
            "INSERT INTO job (id, environment, number, key, queue, team, owner, name, folder, items,
             state, is_over, wish, spec, progress, offsets, submitted_ms, changed_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'waiting', 0, '', $11, '', $12, $13,
             $14)",
            &[
                job.id.into(),
                job.environment.into(),
                number(desk),
                clean(job.key, NAME_MAX).into(),
                clean(job.queue, NAME_MAX).into(),
                clean(job.team, NAME_MAX).into(),
                clean(job.owner, NAME_MAX).into(),
                clean(job.name, NAME_MAX).into(),
                clean(job.folder, NAME_MAX).into(),
                number(job.items.into()),
                clean(job.spec, SPEC_MAX).into(),
                offsets.unwrap_or(Value::Null),
                job.now_ms.into(),
                job.now_ms.into(),
            ],
        )?;
        Ok((job.id.to_owned(), true))
    })
}

/// Says that something of an environment's jobs changed; a number that no job of it has.
fn touch<D: Database>(database: &mut D, environment: &str) -> Answer<u64> {
    database.execute(
        "INSERT INTO job_desk (environment, version, number) VALUES ($1, 1, 1)
         ON CONFLICT (environment) DO UPDATE SET version = job_desk.version + 1,
         number = job_desk.number + 1",
        &[environment.into()],
    )?;
    let sql = "SELECT number FROM job_desk WHERE environment = $1";
    let number = row(database, sql, &[environment.into()], |row: &mut Row| {
        Ok(row.number())
    })?;
    let wake = database.dialect().wake;
    if !wake.is_empty() {
        database.script(wake)?;
    }
    Ok(number.unwrap_or(1))
}

pub(super) fn one<D: Database>(database: &mut D, id: &str) -> Answer<Option<JobRow>> {
    let sql = format!("SELECT {COLUMNS} FROM job WHERE id = $1");
    row(database, &sql, &[id.into()], read)
}

pub(super) fn spec<D: Database>(database: &mut D, id: &str) -> Answer<Option<String>> {
    let sql = "SELECT spec FROM job WHERE id = $1";
    row(database, sql, &[id.into()], |row: &mut Row| Ok(row.text()))
}

pub(super) fn offsets<D: Database>(database: &mut D, id: &str) -> Answer<Vec<u64>> {
    let sql = "SELECT offsets FROM job WHERE id = $1";
    let bytes = row(database, sql, &[id.into()], |row: &mut Row| Ok(row.bytes()))?;
    let bytes = bytes.unwrap_or_default();
    let (numbers, _) = bytes.as_chunks::<8>();
    Ok(numbers.iter().map(|one| u64::from_le_bytes(*one)).collect())
}

pub(super) fn page<D: Database>(database: &mut D, query: &JobQuery<'_>) -> Answer<Vec<JobRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM job WHERE environment = $1 AND ($2 = '' OR owner = $3)
         AND ($4 = '' OR queue = $5) AND is_over <= $6 AND number < $7
         ORDER BY number DESC LIMIT $8"
    );
    let values = [
        query.environment.into(),
        query.owner.into(),
        query.owner.into(),
        query.queue.into(),
        query.queue.into(),
        i64::from(!query.open).into(),
        before(query.before),
        limit(query.limit),
    ];
    rows(database, &sql, &values, read)
}

pub(super) fn version<D: Database>(database: &mut D, environment: &str) -> Answer<u64> {
    let sql = "SELECT version FROM job_desk WHERE environment = $1";
    let version = row(database, sql, &[environment.into()], |row: &mut Row| {
        Ok(row.number())
    })?;
    Ok(version.unwrap_or(0))
}

pub(super) fn wish<D: Database>(
    database: &mut D,
    id: &str,
    wish: &str,
    now_ms: i64,
) -> Answer<bool> {
    transaction(database, |database| {
        let sql = "SELECT environment FROM job WHERE id = $1";
        let environment = row(database, sql, &[id.into()], |row: &mut Row| Ok(row.text()))?;
        let Some(environment) = environment else {
            return Ok(false);
        };
        touch(database, &environment)?;
        // Who wants it cancelled is not overheard because somebody else wants it to go on.
        let sql = "UPDATE job SET wish = CASE WHEN wish = 'cancel' THEN wish ELSE $1 END,
                   changed_ms = $2 WHERE id = $3 AND is_over = 0";
        let values = [wish.into(), now_ms.into(), id.into()];
        Ok(database.execute(sql, &values)? == 1)
    })
}

pub(super) fn save<D: Database>(
    database: &mut D,
    lease: &Lease,
    jobs: &[JobSave],
    now_ms: i64,
) -> Answer<()> {
    transaction(database, |database| {
        fleet::must_lead(database, lease)?;
        let mut events = Vec::new();
        for job in jobs {
            pages::mark(database, job)?;
            results::write(database, &job.id, &job.results)?;
            write_notes(database, job, now_ms)?;
            if let Some(event) = transition(database, job, now_ms)? {
                events.push(event);
                events.extend(job.told.clone());
            }
            database.execute(
                "UPDATE job SET state = $1, is_over = $2, progress = $3, changed_ms = $4,
                 wish = CASE WHEN wish = $5 THEN '' ELSE wish END WHERE id = $6",
                &[
                    job.state.as_str().into(),
                    i64::from(job.is_over).into(),
                    clean(&job.progress, SPEC_MAX).into(),
                    now_ms.into(),
                    job.done.as_str().into(),
                    job.id.as_str().into(),
                ],
            )?;
        }
        own::append(database, now_ms, &events)?;
        Ok(())
    })
}

/// What the journal is told where a job comes into another state.
fn transition<D: Database>(
    database: &mut D,
    job: &JobSave,
    now_ms: i64,
) -> Answer<Option<NewEvent>> {
    let Some(known) = one(database, &job.id)?.filter(|known| known.state != job.state) else {
        return Ok(None);
    };
    let said = json!({
        "id": known.id,
        "environment": known.environment,
        "queue": known.queue,
        "team": known.team,
        "owner": known.owner,
        "name": known.name,
        "items": known.items,
        "from": known.state,
        "state": job.state,
        "is_over": job.is_over,
        "changed_ms": now_ms,
    });
    // A job may come into a state more than once, but never at the place of a write that stayed.
    let which = format_args!("{}/{}/{}/{now_ms}", known.id, job.state, known.changed_ms);
    Ok(Some(own::event(own::JOB, which, &known.owner, &said)))
}

fn write_notes<D: Database>(database: &mut D, job: &JobSave, now_ms: i64) -> Answer<()> {
    if job.notes.is_empty() {
        return Ok(());
    }
    let last = "SELECT MAX(place) FROM job_note WHERE job = $1";
    let last = row(
        database,
        last,
        &[job.id.as_str().into()],
        |row: &mut Row| Ok(row.number()),
    )?;
    let mut place = last.unwrap_or(0);
    for (item, attempt, kind, reason) in &job.notes {
        place += 1;
        database.execute(
            "INSERT INTO job_note (job, place, item, attempt, kind, reason, at_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            &[
                job.id.as_str().into(),
                number(place),
                number((*item).into()),
                number((*attempt).into()),
                (*kind).into(),
                clean(reason, REASON_MAX).into(),
                now_ms.into(),
            ],
        )?;
    }
    Ok(())
}

pub(super) fn notes<D: Database>(
    database: &mut D,
    id: &str,
    behind: u64,
    most: usize,
) -> Answer<Vec<NoteRow>> {
    let sql = "SELECT place, item, attempt, kind, reason, at_ms FROM job_note
               WHERE job = $1 AND place > $2 ORDER BY place LIMIT $3";
    let read = |row: &mut Row| {
        Ok(NoteRow {
            place: row.number(),
            item: row.number(),
            attempt: row.number(),
            kind: row.text(),
            reason: row.text(),
            at_ms: row.time(),
        })
    };
    rows(
        database,
        sql,
        &[id.into(), number(behind), limit(most)],
        read,
    )
}

pub(super) fn prune<D: Database>(database: &mut D, before_ms: i64, most: usize) -> Answer<u64> {
    let sql = "SELECT id FROM job WHERE is_over = 1 AND changed_ms < $1 ORDER BY number LIMIT $2";
    let old = rows(
        database,
        sql,
        &[before_ms.into(), limit(most)],
        |row: &mut Row| Ok(row.text()),
    )?;
    let mut gone = 0;
    for id in old {
        gone += u64::from(remove(database, &id)?);
    }
    Ok(gone)
}

pub(super) fn remove<D: Database>(database: &mut D, id: &str) -> Answer<bool> {
    transaction(database, |database| {
        let sql = "DELETE FROM job WHERE id = $1 AND is_over = 1";
        if database.execute(sql, &[id.into()])? == 0 {
            return Ok(false);
        }
        for table in ["job_page", "job_note", "job_result"] {
            let sql = format!("DELETE FROM {table} WHERE job = $1");
            database.execute(&sql, &[id.into()])?;
        }
        Ok(true)
    })
}
