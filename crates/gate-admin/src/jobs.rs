//! What the API asks about jobs.

use crate::Asker;
use gate_api::problem::Problem;
use gate_api::types::{BatchSummary, JobDetail, JobInput, JobResult, JobSummary};

/// The jobs of the environment that a process follows. What it changes is written down in the audit log.
pub trait JobBook: Send + Sync {
    /// The environment; `file` where a file rules.
    fn environment(&self) -> &str;

    /// Submits a job; the same key finds the same job.
    ///
    /// # Errors
    /// The problem to answer with.
    fn submit(&self, input: &JobInput, by: Asker<'_>) -> Result<JobSummary, Problem>;

    /// Jobs of a queue (empty: of all), the newest first, those before this number, and their numbers.
    ///
    /// # Errors
    /// The problem to answer with.
    fn jobs(
        &self,
        queue: &str,
        open: bool,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, JobSummary)>, Problem>;

    /// Batches that callers handed in, the newest first; with `open`, only those that have not ended.
    ///
    /// # Errors
    /// The problem to answer with.
    fn batches(&self, open: bool, limit: usize) -> Result<Vec<BatchSummary>, Problem>;

    /// A job.
    ///
    /// # Errors
    /// The problem to answer with.
    fn job(&self, id: &str) -> Result<JobDetail, Problem>;

    /// Has a job `pause`, `resume` or `cancel`, as soon as whoever leads hears of it.
    ///
    /// # Errors
    /// The problem to answer with.
    fn wish(&self, id: &str, wish: &str, by: Asker<'_>) -> Result<JobSummary, Problem>;

    /// Results in the order of items, from an item on.
    ///
    /// # Errors
    /// The problem to answer with.
    fn results(&self, id: &str, from: u32, limit: usize) -> Result<Vec<JobResult>, Problem>;
}
