//! Where subscribers are in the journal, what people want of them, and dead letters. What it means is the
//! engine's business; here it is kept.

use super::row::{Row, clean, limit, number, row, rows};
use super::{Answer, ControlError, Lease, NewAudit, audit, fleet, revision};
use crate::StoreError;
use crate::database::{Database, transaction};
use serde::Serialize;

/// Most bytes of a desk, of a course, of a name or key, and of a reason.
const DESK_MAX: usize = 16 << 20;
const COURSE_MAX: usize = 4 << 20;
const NAME_MAX: usize = 1 << 10;
const REASON_MAX: usize = 1 << 10;
/// Most courses of an environment: those of subscribers and of replays.
pub const COURSES_MAX: usize = 20_000;

/// Which course: a subscriber's own, or that of a replay of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct CourseId {
    /// The subscriber.
    pub subscriber: String,
    /// Which of its replays, from 1; 0 for the subscriber itself.
    pub replay: u64,
}

/// A course as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CourseRow {
    /// Which it is.
    pub id: CourseId,
    /// All of it, as JSON.
    pub data: String,
    /// Whether it has come to its end.
    pub is_over: bool,
    /// When it was last written, in UNIX milliseconds.
    pub changed_ms: i64,
}

/// A course to write.
#[derive(Debug, Clone, Copy)]
pub struct CourseSave<'a> {
    /// Which it is.
    pub id: &'a CourseId,
    /// All of it, as JSON; at most 4 MiB.
    pub data: &'a str,
    /// Whether it has come to its end.
    pub is_over: bool,
}

/// An event that could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetterRow {
    /// The subscriber.
    pub subscriber: String,
    /// Its place in the journal.
    pub place: u64,
    /// What it is known by there.
    pub key: String,
    /// What happened.
    pub kind: String,
    /// Why it could not be delivered.
    pub reason: String,
    /// How many attempts there were.
    pub attempts: u64,
    /// Whether it is to be delivered again.
    pub is_redriven: bool,
    /// Since when it is dead, in UNIX milliseconds.
    pub at_ms: i64,
}

/// How many dead letters a subscriber has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetterCount {
    /// The subscriber.
    pub subscriber: String,
    /// How many.
    pub count: u64,
    /// How many of them are to be delivered again.
    pub redriven: u64,
    /// The lowest place among them.
    pub first: u64,
}

/// What became of deliveries, to be written at once.
#[derive(Debug, Clone, Copy)]
pub struct DeliveriesSave<'a> {
    /// The environment.
    pub environment: &'a str,
    /// The lease that the caller acts under.
    pub lease: &'a Lease,
    /// Courses that changed.
    pub courses: &'a [CourseSave<'a>],
    /// Dead letters, in place of those that were there.
    pub dead: &'a [DeadLetterRow],
    /// Dead letters that are no more: they were delivered.
    pub gone: &'a [(String, u64)],
    /// Courses to forget, with the dead letters of subscribers.
    pub forgotten: &'a [CourseId],
    /// Now, in UNIX milliseconds.
    pub now_ms: i64,
}

/// Which dead letters of a subscriber are to be delivered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redrive {
    /// The one of this place.
    Place(u64),
    /// Those that are dead since this time, in UNIX milliseconds; 0 for all.
    Since(i64),
}

pub(super) fn desk<D: Database>(
    database: &mut D,
    environment: &str,
) -> Answer<Option<(u64, String)>> {
    let sql = "SELECT version, data FROM delivery_desk WHERE environment = $1";
    row(database, sql, &[environment.into()], |row: &mut Row| {
        Ok((row.number(), row.text()))
    })
}

pub(super) fn version<D: Database>(database: &mut D, environment: &str) -> Answer<u64> {
    let sql = "SELECT version FROM delivery_desk WHERE environment = $1";
    let version = row(database, sql, &[environment.into()], |row: &mut Row| {
        Ok(row.number())
    })?;
    Ok(version.unwrap_or(0))
}

/// Writes the desk that people change; returns its new version.
pub(super) fn save_desk<D: Database>(
    database: &mut D,
    environment: &str,
    expected: u64,
    data: &str,
    line: &NewAudit<'_>,
    now_ms: i64,
) -> Answer<u64> {
    revision::fits("desk of subscribers", data.len(), DESK_MAX)?;
    transaction(database, |database| {
        audit::wait_for_writers(database)?;
        let current = version(database, environment)?;
        if current != expected {
            return Err(ControlError::Stale { expected, current });
        }
        database.execute(
            "INSERT INTO delivery_desk (environment, data, version, changed_ms)
             VALUES ($1, $2, $3, $4) ON CONFLICT (environment) DO UPDATE SET
             data = excluded.data, version = excluded.version, changed_ms = excluded.changed_ms",
            &[
                environment.into(),
                clean(data, DESK_MAX).into(),
                number(current + 1),
                now_ms.into(),
            ],
        )?;
        audit::append(database, line, now_ms)?;
        Ok(current + 1)
    })
}

pub(super) fn courses<D: Database>(database: &mut D, environment: &str) -> Answer<Vec<CourseRow>> {
    let sql = format!(
        "SELECT subscriber, replay, data, is_over, changed_ms FROM delivery_course
         WHERE environment = $1 ORDER BY subscriber, replay LIMIT {COURSES_MAX}"
    );
    rows(database, &sql, &[environment.into()], |row: &mut Row| {
        Ok(CourseRow {
            id: CourseId {
                subscriber: row.text(),
                replay: row.number(),
            },
            data: row.text(),
            is_over: row.flag(),
            changed_ms: row.time(),
        })
    })
}

/// Writes what became of deliveries, all or nothing.
pub(super) fn save<D: Database>(database: &mut D, save: &DeliveriesSave<'_>) -> Answer<()> {
    for course in save.courses {
        revision::fits("course of a subscriber", course.data.len(), COURSE_MAX)?;
    }
    transaction(database, |database| {
        fleet::must_lead(database, save.lease)?;
        for course in save.courses {
            database.execute(
                "INSERT INTO delivery_course (environment, subscriber, replay, data, is_over,
                 changed_ms) VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (environment, subscriber, replay) DO UPDATE SET
                 data = excluded.data, is_over = excluded.is_over,
                 changed_ms = excluded.changed_ms",
                &[
                    save.environment.into(),
                    clean(&course.id.subscriber, NAME_MAX).into(),
                    number(course.id.replay),
                    course.data.into(),
                    i64::from(course.is_over).into(),
                    save.now_ms.into(),
                ],
            )?;
        }
        for dead in save.dead {
            bury(database, save.environment, dead)?;
        }
        for (subscriber, place) in save.gone {
            database.execute(
                "DELETE FROM dead_letter
                 WHERE environment = $1 AND subscriber = $2 AND place = $3",
                &[
                    save.environment.into(),
                    subscriber.as_str().into(),
                    number(*place),
                ],
            )?;
        }
        for id in save.forgotten {
            forget(database, save.environment, id)?;
        }
        Ok(())
    })
}

fn forget<D: Database>(database: &mut D, environment: &str, id: &CourseId) -> Answer<()> {
    let own = [environment.into(), id.subscriber.as_str().into()];
    if id.replay == 0 {
        let sql = "DELETE FROM dead_letter WHERE environment = $1 AND subscriber = $2";
        database.execute(sql, &own)?;
    }
    let [environment, subscriber] = own;
    database.execute(
        "DELETE FROM delivery_course
         WHERE environment = $1 AND subscriber = $2 AND replay = $3",
        &[environment, subscriber, number(id.replay)],
    )?;
    Ok(())
}

fn bury<D: Database>(database: &mut D, environment: &str, dead: &DeadLetterRow) -> Answer<()> {
    database.execute(
        "INSERT INTO dead_letter (environment, subscriber, place, key, kind, reason, attempts,
         is_redriven, at_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (environment, subscriber, place) DO UPDATE SET
         reason = excluded.reason, attempts = excluded.attempts,
         is_redriven = excluded.is_redriven, at_ms = excluded.at_ms",
        &[
            environment.into(),
            clean(&dead.subscriber, NAME_MAX).into(),
            number(dead.place),
            clean(&dead.key, NAME_MAX).into(),
            clean(&dead.kind, NAME_MAX).into(),
            clean(&dead.reason, REASON_MAX).into(),
            number(dead.attempts),
            i64::from(dead.is_redriven).into(),
            dead.at_ms.into(),
        ],
    )?;
    Ok(())
}

const COLUMNS: &str = "subscriber, place, key, kind, reason, attempts, is_redriven, at_ms";

fn read(row: &mut Row) -> Result<DeadLetterRow, StoreError> {
    Ok(DeadLetterRow {
        subscriber: row.text(),
        place: row.number(),
        key: row.text(),
        kind: row.text(),
        reason: row.text(),
        attempts: row.number(),
        is_redriven: row.flag(),
        at_ms: row.time(),
    })
}

pub(super) fn dead_letters<D: Database>(
    database: &mut D,
    environment: &str,
    subscriber: &str,
    before: Option<u64>,
    most: usize,
) -> Answer<Vec<DeadLetterRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM dead_letter
         WHERE environment = $1 AND subscriber = $2 AND place < $3
         ORDER BY place DESC LIMIT $4"
    );
    let values = [
        environment.into(),
        subscriber.into(),
        super::row::before(before),
        limit(most),
    ];
    rows(database, &sql, &values, read)
}

pub(super) fn redriven<D: Database>(
    database: &mut D,
    environment: &str,
    subscriber: &str,
    most: usize,
) -> Answer<Vec<DeadLetterRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM dead_letter
         WHERE environment = $1 AND subscriber = $2 AND is_redriven = 1 ORDER BY place LIMIT $3"
    );
    let values = [environment.into(), subscriber.into(), limit(most)];
    rows(database, &sql, &values, read)
}

pub(super) fn counts<D: Database>(
    database: &mut D,
    environment: &str,
) -> Answer<Vec<DeadLetterCount>> {
    let sql = "SELECT subscriber, COUNT(*), CAST(SUM(is_redriven) AS BIGINT), MIN(place)
               FROM dead_letter WHERE environment = $1 GROUP BY subscriber ORDER BY subscriber";
    rows(database, sql, &[environment.into()], |row: &mut Row| {
        Ok(DeadLetterCount {
            subscriber: row.text(),
            count: row.number(),
            redriven: row.number(),
            first: row.number(),
        })
    })
}

/// Marks dead letters, so that the gateway that leads delivers them again; how many there were.
pub(super) fn redrive<D: Database>(
    database: &mut D,
    environment: &str,
    subscriber: &str,
    which: Redrive,
    line: &NewAudit<'_>,
    now_ms: i64,
) -> Answer<u64> {
    let (column, bound) = match which {
        Redrive::Place(place) => ("place = ", number(place)),
        Redrive::Since(at_ms) => ("at_ms >= ", at_ms.into()),
    };
    transaction(database, |database| {
        audit::wait_for_writers(database)?;
        let marked = database.execute(
            &format!(
                "UPDATE dead_letter SET is_redriven = 1
                 WHERE environment = $1 AND subscriber = $2 AND {column}$3"
            ),
            &[environment.into(), subscriber.into(), bound],
        )?;
        audit::append(database, line, now_ms)?;
        Ok(marked)
    })
}

/// Forgets dead letters of a subscriber that are dead since before a time, and the oldest beyond a
/// number; how many.
pub(super) fn prune<D: Database>(
    database: &mut D,
    environment: &str,
    subscriber: &str,
    before_ms: i64,
    most: u64,
) -> Answer<u64> {
    let old = database.execute(
        "DELETE FROM dead_letter WHERE environment = $1 AND subscriber = $2 AND at_ms < $3",
        &[environment.into(), subscriber.into(), before_ms.into()],
    )?;
    let beyond = database.execute(
        "DELETE FROM dead_letter WHERE environment = $1 AND subscriber = $2 AND at_ms < (
             SELECT COALESCE(MIN(at_ms), 0) FROM (SELECT at_ms FROM dead_letter
             WHERE environment = $1 AND subscriber = $2 ORDER BY at_ms DESC LIMIT $3) AS newest)",
        &[environment.into(), subscriber.into(), number(most)],
    )?;
    Ok(old + beyond)
}
