//! Purges of caches and stops of experiments, heard from the audit log: whatever gateway was asked
//! wrote one line, and every gateway of the environment that comes upon it does the same.

use crate::host::{caches, experiments};
use gate_admin::{PURGE, STOP};
use gate_api::types::{ExperimentStop, PurgeInput};
use gate_proxy::process::Process;
use gate_store::control::{AuditRow, ControlError, ControlStore};
use std::time::Duration;

/// Lines that are read at once.
const PAGE: usize = 100;
/// Most lines that are read back, at start or after a while without the store.
const BACK: usize = 1_000;

/// How far the log was read.
#[derive(Debug, Default)]
pub(super) struct PurgesHeard {
    newest: Option<u64>,
}

impl PurgesHeard {
    /// The newest line that was read; none before the first time.
    pub(super) fn newest(&self) -> Option<u64> {
        self.newest
    }

    /// Reads what is new up to the line `newest`, and forgets and stops what it says. At first that is what was purged before this
    /// process started, for caches that were kept on disk.
    pub(super) fn tick(
        &mut self,
        store: &mut dyn ControlStore,
        process: &Process,
        environment: &str,
        newest: u64,
    ) -> Result<(), ControlError> {
        if self.newest == Some(newest) {
            return Ok(());
        }
        let seen = self.newest.unwrap_or(0);
        let mut before = None;
        let mut lines = Vec::new();
        loop {
            let page = store.audit_lines(before, PAGE)?;
            let full = page.len() == PAGE;
            let fresh: Vec<AuditRow> = page
                .into_iter()
                .filter(|line| line.sequence > seen)
                .collect();
            let more = full && fresh.len() == PAGE;
            before = fresh.last().map(|line| line.sequence);
            lines.extend(fresh);
            if !more || lines.len() >= BACK {
                break;
            }
        }
        let is_purge = |line: &&AuditRow| line.action == PURGE && line.outcome == "done";
        let here = |line: &&AuditRow| line.subject == environment;
        for line in lines.iter().rev().filter(is_purge).filter(here) {
            let at = Duration::from_millis(u64::try_from(line.at_ms).unwrap_or(0));
            match serde_json::from_str::<PurgeInput>(&line.detail) {
                Ok(input) => caches::purge_heard(process, line.sequence, &input, at),
                Err(error) => {
                    tracing::warn!(%error, line = line.sequence, "a purge cannot be read")
                }
            }
        }
        // A stop is for one text of a resource, whenever it was said: a restart brings nothing back.
        let is_stop = |line: &&AuditRow| line.action == STOP && line.outcome == "done";
        for line in lines.iter().filter(is_stop).filter(here) {
            if let Ok(stop) = serde_json::from_str::<ExperimentStop>(&line.detail) {
                experiments::stop(process, &stop);
            }
        }
        self.newest = Some(newest.max(lines.first().map_or(0, |line| line.sequence)));
        Ok(())
    }
}
