//! Live figures of this process, counted from its recent records where it keeps any.

use super::{live, records};
use gate_admin::RecordQuery;
use gate_api::types::{Live, RecordSummary};
use gate_kit::clock::Clock;
use gate_proxy::process::Process;
use std::sync::{Mutex, PoisonError};

/// Rows of one page that are counted.
const PAGE: usize = 1000;
/// Most pages that one look reads; a busier gateway's window is shorter.
const PAGES_MAX: usize = 20;

/// The last figures, kept for the second that they were made in.
#[derive(Default)]
pub(super) struct Seen(Mutex<Option<(u64, Live)>>);

impl Seen {
    /// What happened in the last minutes; nothing where no records are kept.
    pub(super) fn live(&self, process: &Process) -> Live {
        let now_s = Clock::System.unix().as_secs();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, live)) = kept.as_ref().filter(|(made, _)| *made == now_s) {
            return live.clone();
        }
        let (rows, whole) = look(process, now_s);
        let live = live::count(&rows, now_s, whole);
        *kept = Some((now_s, live.clone()));
        live
    }
}

/// Rows of the window, newest first, and whether there are all of them.
fn look(process: &Process, now_s: u64) -> (Vec<RecordSummary>, bool) {
    let mut rows = Vec::new();
    let mut query = RecordQuery {
        limit: PAGE,
        ..RecordQuery::default()
    };
    for _ in 0..PAGES_MAX {
        let Ok(page) = records::list(process, &query) else {
            return (rows, true);
        };
        rows.extend(page.items);
        let covered = rows.last().is_some_and(|row| live::covers(row, now_s));
        match page.next {
            Some(next) if !covered => query.cursor = Some(next),
            _ => return (rows, true),
        }
    }
    (rows, false)
}
