//! What this process and its folders keep of consumers, and taking it away: recent records, matches of the
//! firewall, kept answers, callers' files and batches; and jobs, which are in the store.

use super::{Done, LOOK, PATIENCE};
use crate::jobs;
use gate_flow::{Purge, PurgeWhat, Purges, consumer_tag};
use gate_proxy::batches::{DeskPlace, Owner};
use gate_proxy::process::Process;
use gate_proxy::record::recent::forget::Wanted;
use gate_store::jobs::JobQuery;
use std::time::Instant;

/// What is said where batches were under way.
pub(super) const CANCELLED: &str = "what was under way was cancelled";
/// Jobs that are looked at together.
const PAGE: usize = 100;

/// Recent records of consumers, each up to its own moment.
pub(super) fn records(process: &Process, wanted: &Wanted) -> Done {
    let gone = process.shared().readers.forget(wanted, PATIENCE)?;
    Ok((gone.unwrap_or(0), String::new()))
}

/// Answers that are kept in memory and on this disk for a consumer, or that it was the first to ask for.
pub(super) fn answers(process: &Process, consumer: &str, until_ms: u64) -> u64 {
    let purges = process.shared().state.get_or_insert("", Purges::default);
    purges.purge(Purge {
        what: PurgeWhat::Tag(consumer_tag(consumer)),
        route: None,
        soft: false,
        at_ms: until_ms,
    })
}

/// Files and batches of a consumer in this gateway's folder; with `all`, also what the store knows of
/// and no gateway has. Batches that are under way are cancelled, and waited for.
pub(super) fn files(process: &Process, consumer: &str, until_ms: u64, all: bool) -> Done {
    let desk = DeskPlace::of(&process.shared().state).get();
    let desk = desk.ok_or("there is no `gateway.files`")?;
    let until = Instant::now() + PATIENCE;
    let (mut gone, mut note) = (0, String::new());
    loop {
        let owner = Owner::id_of(consumer);
        let asked = desk.ask_now(move |shelf| shelf.forget(&owner, signed(until_ms), all));
        let forgotten = asked
            .ok_or("files and batches are not answered")?
            .map_err(|error| error.to_string())?;
        gone += forgotten.files + forgotten.batches;
        if forgotten.open == 0 {
            return Ok((gone, note));
        }
        note = CANCELLED.to_owned();
        if Instant::now() >= until {
            return Err(format!("{} batches are not over", forgotten.open));
        }
        desk.note_change();
        std::thread::sleep(LOOK);
    }
}

/// Jobs of a consumer with their inputs and results. Those that are under way are cancelled, and waited
/// for.
pub(super) fn jobs(shelf: &jobs::Shelf, consumer: &str, until_ms: u64) -> Done {
    let until = Instant::now() + PATIENCE;
    let mut gone = 0;
    loop {
        let (removed, open) = round(shelf, consumer, signed(until_ms))?;
        gone += removed;
        if open == 0 {
            break;
        }
        if Instant::now() >= until {
            return Err(format!("{open} jobs are not over"));
        }
        std::thread::sleep(LOOK);
    }
    let is_erased = shelf.ask(|store| Ok(store.erase()));
    let note = match is_erased.map_err(|error| error.to_string())? {
        true => String::new(),
        false => "the store's files may hold them in old pages for a while".to_owned(),
    };
    Ok((gone, note))
}

/// Removes what is over and has the rest cancelled; how many went, and how many are not over.
fn round(shelf: &jobs::Shelf, consumer: &str, until_ms: i64) -> Result<(u64, u64), String> {
    let (mut gone, mut open, mut before) = (0, 0, None);
    loop {
        let query = JobQuery {
            environment: &shelf.environment,
            owner: consumer,
            before,
            limit: PAGE,
            ..JobQuery::default()
        };
        let page = shelf.ask(|store| store.jobs(&query));
        let page = page.map_err(|error| error.to_string())?;
        for job in &page {
            before = Some(job.number);
            if job.submitted_ms > until_ms {
                continue;
            }
            let done = match job.is_over {
                true => shelf.ask(|store| store.remove(&job.id)),
                false => shelf.wish(&job.id, "cancel"),
            };
            done.map_err(|error| error.to_string())?;
            match job.is_over {
                true => gone += 1,
                false => open += 1,
            }
        }
        if page.len() < PAGE {
            return Ok((gone, open));
        }
    }
}

fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
