//! Jobs: work in bulk as it is kept, so that who runs it may end at any moment.
//!
//! [`JobStore`] is what is asked; [`SqlJobs`] answers over SQLite and PostgreSQL alike. A job's items
//! are marks (started, succeeded, failed) in pages of [`PAGE`]; their results lie in segments beside
//! them, written in the same transaction as the marks, so that an item that has ended has its result.
//! Everything that runs a job writes under the lease of who leads the environment's jobs. What a job
//! asks for and how its items are ordered is not known here: specifications and progress are texts of
//! whoever runs them (`gate_ops::job`).

mod pages;
mod results;
mod rows;

use crate::StoreError;
use crate::control::{Answer, Lease};
use crate::database::Database;
use crate::journal::NewEvent;
use serde::Serialize;

/// Items of a page of marks.
pub const PAGE: u32 = 4_096;
/// Most bytes of a specification.
pub const SPEC_MAX: usize = 16 << 20;
/// Most jobs of an environment that have not ended.
pub const OPEN_MAX: usize = 1_000;

/// A job to keep.
#[derive(Debug, Clone, Copy)]
pub struct NewJob<'a> {
    /// Its id, unique over everything.
    pub id: &'a str,
    /// Its environment.
    pub environment: &'a str,
    /// What submitting it twice is told by: the second finds the first.
    pub key: &'a str,
    /// Its queue.
    pub queue: &'a str,
    /// The team that shares.
    pub team: &'a str,
    /// The consumer whose job it is.
    pub owner: &'a str,
    /// What it is called by people; may be empty.
    pub name: &'a str,
    /// Its items.
    pub items: u32,
    /// All of it, as JSON; at most [`SPEC_MAX`].
    pub spec: &'a str,
    /// The folder without which it cannot be run, by the folder's id; empty where there is none.
    pub folder: &'a str,
    /// Where the first line of each page of items begins in its file, for those that have one.
    pub offsets: Option<&'a [u64]>,
    /// Now, in UNIX milliseconds.
    pub now_ms: i64,
}

/// A job as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JobRow {
    /// Its id.
    pub id: String,
    /// Its environment.
    pub environment: String,
    /// Its place in the order of submission, from 1.
    pub number: u64,
    /// What submitting it twice is told by.
    pub key: String,
    /// Its queue.
    pub queue: String,
    /// The team that shares.
    pub team: String,
    /// The consumer whose job it is.
    pub owner: String,
    /// What it is called by people; may be empty.
    pub name: String,
    /// The folder without which it cannot be run, by the folder's id; empty where there is none.
    pub folder: String,
    /// Its items.
    pub items: u64,
    /// What it awaits, or how it ended.
    pub state: String,
    /// Whether it has ended.
    pub is_over: bool,
    /// What somebody wants of it that is not done yet: `pause`, `resume`, `cancel`, or empty.
    pub wish: String,
    /// Where it stands, as JSON; empty before it was taken up.
    pub progress: String,
    /// When it was submitted, in UNIX milliseconds.
    pub submitted_ms: i64,
    /// When it was last written, in UNIX milliseconds.
    pub changed_ms: i64,
}

/// Which jobs are asked for, the newest first.
#[derive(Debug, Clone, Copy, Default)]
pub struct JobQuery<'a> {
    /// Of this environment.
    pub environment: &'a str,
    /// Of this consumer; of all when empty.
    pub owner: &'a str,
    /// Of this queue; of all when empty.
    pub queue: &'a str,
    /// Only those that have not ended.
    pub open: bool,
    /// Those before this number.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

/// What became of an item, with what it answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ItemResult {
    /// The item.
    pub index: u32,
    /// Whether it succeeded.
    pub well: bool,
    /// The status of the answer; 0 without one.
    pub status: u16,
    /// The id of the call that answered, as its record has it.
    pub request: String,
    /// Why it failed; empty when it did not.
    pub reason: String,
    /// The answer's body.
    pub body: Vec<u8>,
}

/// Something that is written down about an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoteRow {
    /// Its place in the job, from 1.
    pub place: u64,
    /// The item.
    pub item: u64,
    /// Which try, from 0.
    pub attempt: u64,
    /// `retry`, `failure` or `repeat`.
    pub kind: String,
    /// Why.
    pub reason: String,
    /// When, in UNIX milliseconds.
    pub at_ms: i64,
}

/// What changed of a job.
#[derive(Debug, Clone, Default)]
pub struct JobSave {
    /// The job.
    pub id: String,
    /// What it awaits, or how it ended.
    pub state: String,
    /// Whether it has ended.
    pub is_over: bool,
    /// Where it stands, as JSON.
    pub progress: String,
    /// Items that were started for the first time.
    pub started: Vec<u32>,
    /// Items that ended, and whether well.
    pub ended: Vec<(u32, bool)>,
    /// What items answered.
    pub results: Vec<ItemResult>,
    /// What is written down: item, try, kind, reason.
    pub notes: Vec<(u32, u32, &'static str, String)>,
    /// The wish that was done with it, or empty.
    pub done: String,
    /// What the journal is told besides, where this brings the job into another state; its key is new.
    pub told: Option<NewEvent>,
}

/// Marks of a page of items, a bit for each, the first the lowest of the first byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRow {
    /// The page, from 0.
    pub page: u32,
    /// Items that started.
    pub started: Vec<u8>,
    /// Items that succeeded.
    pub succeeded: Vec<u8>,
    /// Items that failed.
    pub failed: Vec<u8>,
}

/// Durable jobs. One thread uses it; every call may wait for a disk or a network, with limits. A call
/// that fails has changed nothing, except that after
/// [`StoreError::Unreachable`] it is not known whether a write took effect.
pub trait JobStore: Send {
    /// Keeps a job, unless one of its key is there. The id it is kept under, and whether it is new.
    ///
    /// # Errors
    /// [`crate::ControlError`]: it is too large, too many have not ended, or the store failed.
    fn submit(&mut self, job: &NewJob<'_>) -> Answer<(String, bool)>;

    /// A job.
    ///
    /// # Errors
    /// [`crate::ControlError`].
    fn job(&mut self, id: &str) -> Answer<Option<JobRow>>;

    /// What a job asks for, as it was submitted.
    ///
    /// # Errors
    /// [`crate::ControlError`].
    fn spec(&mut self, id: &str) -> Answer<Option<String>>;

    /// Where each page of a job's items begins in its file; empty for one without.
    ///
    /// # Errors
    /// [`crate::ControlError`].
    fn offsets(&mut self, id: &str) -> Answer<Vec<u64>>;

    /// Jobs, the newest first.
    ///
    /// # Errors
    /// [`crate::ControlError`].
    fn jobs(&mut self, query: &JobQuery<'_>) -> Answer<Vec<JobRow>>;

    /// Grows whenever a job of the environment is submitted or something is wanted of one. One read of
    /// one number.
    ///
    /// # Errors
    /// [`crate::ControlError`].
    fn version(&mut self, environment: &str) -> Answer<u64>;

    /// Asks for something (`pause`, `resume`, `cancel`) of a job that has not ended; whether there is
    /// one.
    ///
    /// # Errors
    /// [`crate::ControlError`].
    fn wish(&mut self, id: &str, wish: &str, now_ms: i64) -> Answer<bool>;

    /// Writes what changed of jobs, all or nothing, as who leads.
    ///
    /// # Errors
    /// [`crate::ControlError::NotLeader`] when another leads, or what the store says.
    fn save(&mut self, lease: &Lease, jobs: &[JobSave], now_ms: i64) -> Answer<()>;

    /// Marks of a job's items from a page on, at most so many pages.
    ///
    /// # Errors
    /// [`crate::ControlError`].
    fn pages(&mut self, id: &str, from: u32, limit: usize) -> Answer<Vec<PageRow>>;

    /// Items of a job that started and did not end, at most so many.
    ///
    /// # Errors
    /// [`crate::ControlError`].
    fn open_items(&mut self, id: &str, limit: usize) -> Answer<Vec<u32>>;

    /// What is written down about a job's items, behind a place, at most so many.
    ///
    /// # Errors
    /// [`crate::ControlError`].
    fn notes(&mut self, id: &str, behind: u64, limit: usize) -> Answer<Vec<NoteRow>>;

    /// Results in the order of items, from an item on: at most so many, and no more once they have so
    /// many bytes. Items that have not ended are left out.
    ///
    /// # Errors
    /// [`crate::ControlError`].
    fn results(
        &mut self,
        id: &str,
        from: u32,
        limit: usize,
        bytes: usize,
    ) -> Answer<Vec<ItemResult>>;

    /// Forgets what a job's items answered, once it is kept elsewhere.
    ///
    /// # Errors
    /// [`crate::ControlError`].
    fn forget_results(&mut self, id: &str) -> Answer<()>;

    /// Takes or renews the lease of who leads, as the control plane's.
    ///
    /// # Errors
    /// [`crate::ControlError`].
    fn take_lease(&mut self, name: &str, holder: &str, now_ms: i64, ttl_ms: i64) -> Answer<Lease>;

    /// Gives a lease back, so that another may lead at once.
    ///
    /// # Errors
    /// [`crate::ControlError`].
    fn give_lease(&mut self, lease: &Lease) -> Answer<()>;

    /// Forgets jobs that ended before a time, with all that is kept of them, at most so many; how many
    /// went.
    ///
    /// # Errors
    /// [`crate::ControlError`].
    fn prune(&mut self, before_ms: i64, limit: usize) -> Answer<u64>;

    /// Forgets one job that has ended, with all that is kept of it; false where there is none, or it has
    /// not ended.
    ///
    /// # Errors
    /// [`crate::ControlError`].
    fn remove(&mut self, id: &str) -> Answer<bool>;

    /// Whether no byte of what was deleted is left in the store's files; waits for a second at most for
    /// those who still read what was before. Never known of PostgreSQL.
    fn erase(&mut self) -> bool;
}

/// The one implementation, over whichever database, on a connection of its own.
pub struct SqlJobs<D> {
    database: D,
}

impl<D: Database> SqlJobs<D> {
    /// Jobs in a database, whose tables are brought up to date.
    ///
    /// # Errors
    /// What [`crate::schema::migrate`] says.
    pub fn open(mut database: D) -> Result<Self, StoreError> {
        crate::schema::migrate(&mut database)?;
        Ok(Self { database })
    }
}

impl<D: Database> JobStore for SqlJobs<D> {
    fn submit(&mut self, job: &NewJob<'_>) -> Answer<(String, bool)> {
        rows::submit(&mut self.database, job)
    }

    fn job(&mut self, id: &str) -> Answer<Option<JobRow>> {
        rows::one(&mut self.database, id)
    }

    fn spec(&mut self, id: &str) -> Answer<Option<String>> {
        rows::spec(&mut self.database, id)
    }

    fn offsets(&mut self, id: &str) -> Answer<Vec<u64>> {
        rows::offsets(&mut self.database, id)
    }

    fn jobs(&mut self, query: &JobQuery<'_>) -> Answer<Vec<JobRow>> {
        rows::page(&mut self.database, query)
    }

    fn version(&mut self, environment: &str) -> Answer<u64> {
        rows::version(&mut self.database, environment)
    }

    fn wish(&mut self, id: &str, wish: &str, now_ms: i64) -> Answer<bool> {
        rows::wish(&mut self.database, id, wish, now_ms)
    }

    fn save(&mut self, lease: &Lease, jobs: &[JobSave], now_ms: i64) -> Answer<()> {
        rows::save(&mut self.database, lease, jobs, now_ms)
    }

    fn pages(&mut self, id: &str, from: u32, limit: usize) -> Answer<Vec<PageRow>> {
        pages::read(&mut self.database, id, from, limit)
    }

    fn open_items(&mut self, id: &str, limit: usize) -> Answer<Vec<u32>> {
        pages::open(&mut self.database, id, limit)
    }

    fn notes(&mut self, id: &str, behind: u64, limit: usize) -> Answer<Vec<NoteRow>> {
        rows::notes(&mut self.database, id, behind, limit)
    }

    fn results(
        &mut self,
        id: &str,
        from: u32,
        limit: usize,
        bytes: usize,
    ) -> Answer<Vec<ItemResult>> {
        results::read(&mut self.database, id, from, limit, bytes)
    }

    fn forget_results(&mut self, id: &str) -> Answer<()> {
        let sql = "DELETE FROM job_result WHERE job = $1";
        self.database.execute(sql, &[id.into()])?;
        Ok(())
    }

    fn take_lease(&mut self, name: &str, holder: &str, now_ms: i64, ttl_ms: i64) -> Answer<Lease> {
        crate::database::transaction(&mut self.database, |database| {
            crate::control::fleet::take(database, name, holder, now_ms, ttl_ms)
        })
    }

    fn give_lease(&mut self, lease: &Lease) -> Answer<()> {
        crate::control::fleet::give(&mut self.database, lease)
    }

    fn prune(&mut self, before_ms: i64, limit: usize) -> Answer<u64> {
        rows::prune(&mut self.database, before_ms, limit)
    }

    fn remove(&mut self, id: &str) -> Answer<bool> {
        rows::remove(&mut self.database, id)
    }

    fn erase(&mut self) -> bool {
        crate::database::erase(&mut self.database)
    }
}
