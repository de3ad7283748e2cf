//! Incidents, written while they happen: the loop around [`gate_ops::incident::Desk`].
//!
//! Every gateway hears the signals that arise in it ([`work`]) and stores what the desk makes of them
//! before anything follows from it; the store's versions keep gateways and people apart. One gateway
//! leads, under the lease that rollouts are led under: it finds what was taken back ([`rollback`]),
//! fills in facts from kept records ([`seen`]) and who else could serve ([`failover`]), sees recovery, sweeps and says what is on. What is
//! left undone when it dies is in the store, so that the next one does it. [`answer`] is what the admin
//! API asks, [`shelf`] is where incidents are kept, [`board`] is the public status page,
//! [`diagnosis`] what an on-call engineer would look at first.
//!
//! A gateway without a store keeps its incidents in memory and loses them when it ends.

mod actions;
pub(crate) mod answer;
mod board;
mod diagnosis;
mod facts;
mod failover;
mod game_day;
mod graph;
mod noted;
mod rollback;
mod seen;
mod shelf;
#[cfg(test)]
mod tests;
mod work;

pub(crate) use noted::{note_run, on_desk};
pub(crate) use shelf::Shelf;

use crate::follow::{self, Followed, OpenStore};
use gate_ops::incident::{Moment, Signal};
use gate_ops::notify::Alert;
use gate_proxy::process::Process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Signals that may wait; senders keep what finds no place, because their alert stays on.
const SIGNALS_MAX: usize = 1024;
/// The environment of a gateway that follows none.
const NO_ENVIRONMENT: &str = "file";

/// Where an objective stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Burn {
    /// How many times as fast as allowed its budget burns.
    pub rate: f64,
    /// Which share of its budget is spent; more than 1 where it is overspent.
    pub spent: f64,
    /// Whether anything about it is on: a page, a ticket, a suspicion.
    pub is_on: bool,
}

/// Where objectives stand, by name; none for one that is not known or has no events.
pub(crate) type Burning = Arc<dyn Fn(&str) -> Option<Burn> + Send + Sync>;

/// What was counted for an objective in each of the last seconds, by its name; empty where it is not
/// known.
pub(crate) type Seconds = Arc<dyn Fn(&str) -> Vec<Moment> + Send + Sync>;

/// What incidents are told to and read from besides the store.
#[derive(Default)]
pub(crate) struct Neighbours {
    /// Who tells people.
    pub alerts: Option<SyncSender<Alert>>,
    /// How objectives burn.
    pub burning: Option<Burning>,
    /// What objectives counted of late.
    pub seconds: Option<Seconds>,
}

/// The loop; it ends when this is dropped.
pub(crate) struct Incidents {
    /// Where incidents are kept.
    pub shelf: Arc<Shelf>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Incidents {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        // A store that hangs must not keep the process alive; the thread ends with it.
        if let Some(thread) = self.thread.take().filter(JoinHandle::is_finished) {
            let _ = thread.join();
        }
    }
}

/// Starts the loop; signals go to the sender.
///
/// # Errors
/// When there is no thread to be had.
pub(crate) fn start(
    process: &Arc<Process>,
    followed: Option<&Arc<Followed>>,
    open: Option<OpenStore>,
    neighbours: Neighbours,
) -> Result<(SyncSender<Signal>, Incidents), String> {
    let environment = followed.map_or(NO_ENVIRONMENT, |followed| &followed.environment);
    let shelf = Arc::new(Shelf::new(environment, open));
    let instance = followed.map_or_else(follow::instance, |followed| followed.instance.clone());
    let (sender, receiver) = sync_channel(SIGNALS_MAX);
    let ends = Arc::new(AtomicBool::new(false));
    let mut work = work::Work::new(
        process,
        &shelf,
        instance,
        followed.is_some(),
        receiver,
        neighbours,
    );
    let until = ends.clone();
    let thread = std::thread::Builder::new()
        .name("incidents".into())
        .spawn(move || work.run(&until))
        .map_err(|error| format!("cannot write incidents: {error}"))?;
    let incidents = Incidents {
        shelf,
        ends,
        thread: Some(thread),
    };
    Ok((sender, incidents))
}
