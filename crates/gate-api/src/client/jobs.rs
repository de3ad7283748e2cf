//! Jobs.

use super::calls::{NONE, encode};
use super::{Client, ClientError};
use crate::types::{BatchSummary, JobDetail, JobInput, JobResult, JobSummary, Page};

fn job(id: &str, rest: &str) -> String {
    format!("/api/v1/jobs/{}{rest}", encode(id))
}

impl Client {
    /// Submits a job.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn submit_job(&self, input: &JobInput) -> Result<JobSummary, ClientError> {
        self.call("POST", "/api/v1/jobs", &[], Some(input))
    }

    /// The newest jobs, of this queue or of all, at most `limit` (up to 1,000).
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn jobs(
        &self,
        queue: Option<&str>,
        open: bool,
        limit: usize,
    ) -> Result<Vec<JobSummary>, ClientError> {
        let of = queue.map_or_else(String::new, |name| format!("&queue={}", encode(name)));
        let open = if open { "&open=true" } else { "" };
        let path = format!("/api/v1/jobs?limit={limit}{of}{open}");
        let page: Page<JobSummary> = self.call("GET", &path, &[], NONE)?;
        Ok(page.items)
    }

    /// The newest batches that callers handed in, at most `limit` (up to 1,000).
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn batches(&self, open: bool, limit: usize) -> Result<Vec<BatchSummary>, ClientError> {
        let open = if open { "&open=true" } else { "" };
        let path = format!("/api/v1/batches?limit={limit}{open}");
        let page: Page<BatchSummary> = self.call("GET", &path, &[], NONE)?;
        Ok(page.items)
    }

    /// A job.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn job(&self, id: &str) -> Result<JobDetail, ClientError> {
        self.call("GET", &job(id, ""), &[], NONE)
    }

    /// Has a job `pause`, `resume` or `cancel`; it does so within a second.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn wish_job(&self, id: &str, wish: &str) -> Result<JobSummary, ClientError> {
        self.call("POST", &job(id, &format!("/{wish}")), &[], NONE)
    }

    /// Results of a job in the order of its items: a page, and what to ask the next one with.
    ///
    /// # Errors
    /// Every [`ClientError`].
    pub fn job_results(&self, id: &str, cursor: &str) -> Result<Page<JobResult>, ClientError> {
        let at = match cursor {
            "" => String::new(),
            cursor => format!("&cursor={}", encode(cursor)),
        };
        let path = job(id, &format!("/results?limit=1000{at}"));
        self.call("GET", &path, &[], NONE)
    }
}
