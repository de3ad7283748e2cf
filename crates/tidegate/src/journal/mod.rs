//! The journal of this process: opened where there is a store, closed when the process ends.
//!
//! Whoever appends takes it from [`gate_proxy::process::Shared::journal`]. What is written with the
//! store's own transactions (audit lines, ledger entries, incidents) does not pass through it; see
//! decision 0034.

mod command;

pub(crate) use command::{JournalCommand, run};

use crate::config::Secrets;
use gate_proxy::money::store::open_journal;
use gate_proxy::process::Process;
use gate_store::Journal;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long the end of the process waits for what was appended.
const PATIENCE: Duration = Duration::from_secs(5);

/// The open journal; dropped, it writes what waits and ends.
pub(crate) struct Kept(Option<Arc<Journal>>);

/// Opens the journal of a process, where it has a store. The store need not answer.
///
/// # Errors
/// Why it cannot be opened, for people.
pub(crate) fn open(process: &Process, folder: &Path) -> Result<Kept, String> {
    let shared = process.shared();
    let snapshot = shared.snapshot.load();
    let Some(settings) = &snapshot.resources.gateway.store else {
        return Ok(Kept(None));
    };
    let journal = open_journal(settings, &Secrets, folder, &shared.clock);
    let journal = journal.map_err(|error| format!("gateway.store: the journal: {error}"))?;
    let journal = Arc::new(journal);
    // It is set here alone, once in the life of a process.
    let _ = shared.journal.set(journal.clone());
    Ok(Kept(Some(journal)))
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(journal) = &self.0
            && !journal.close(PATIENCE)
        {
            tracing::error!(
                "the journal's last events were not written; nobody was told they were"
            );
        }
    }
}
