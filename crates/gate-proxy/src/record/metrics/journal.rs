//! Families about the journal: what this process appended to it, and what waits.

use super::exposition::{Exposition, Kind};
use gate_store::journal::Counts;

/// Writes them; nothing without a journal.
pub fn page(page: &mut Exposition, counts: Option<Counts>) {
    let Some(counts) = counts else { return };
    let counters = [
        (
            "tidegate_journal_events",
            "Events that this gateway appended to the journal and that are on the disk.",
            counts.events,
        ),
        (
            "tidegate_journal_groups",
            "Transactions in which it did so; events over groups is how many shared a sync.",
            counts.groups,
        ),
        (
            "tidegate_journal_refused",
            "Events that were refused: too many waited, or the event could not be kept.",
            counts.refused,
        ),
        (
            "tidegate_journal_failed",
            "Events that the store failed to take; whoever appended them was told.",
            counts.failed,
        ),
    ];
    for (name, help, count) in counters {
        page.single(name, Kind::Counter, "", help, count);
    }
    let help = "Events that wait to be written to the journal.";
    let name = "tidegate_journal_waiting";
    page.single(name, Kind::Gauge, "", help, counts.waiting);
}

/// Writes every family once: what the reference shows.
pub fn example(page: &mut Exposition) {
    self::page(page, Some(Counts::default()));
}
