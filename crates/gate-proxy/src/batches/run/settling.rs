//! Results wait for the ledger.

use super::log::Done;
use crate::process::Process;
use gate_store::Books;
use std::collections::VecDeque;
use std::sync::Arc;

/// Results that wait for the ledger; while there are as many, nothing more is asked.
const SETTLING_MAX: usize = 1_024;

/// Results whose cost is on its way to the ledger. They count only once it is written there, so that
/// none is without its entry after a kill.
pub(super) struct Settling {
    books: Option<Arc<Books>>,
    waiting: VecDeque<(u64, Done)>,
}

impl Settling {
    pub(super) fn of(process: &Process) -> Self {
        Self {
            books: process.shared().books.clone(),
            waiting: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, ended: Done) {
        let mark = self.books.as_ref().map_or(0, |books| books.mark());
        self.waiting.push_back((mark, ended));
    }

    /// Those whose cost is written.
    pub(super) fn take(&mut self) -> Vec<Done> {
        let written = self
            .books
            .as_ref()
            .map_or(u64::MAX, |books| books.written());
        let ready = self.waiting.partition_point(|(mark, _)| *mark <= written);
        self.waiting
            .drain(..ready)
            .map(|(_, ended)| ended)
            .collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < SETTLING_MAX
    }
}
