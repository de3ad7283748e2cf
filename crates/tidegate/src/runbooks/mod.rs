//! Runbooks, run: the loop around [`gate_ops::runbook`], and actions in force.
//!
//! What is under way is one desk in the store ([`stored`]), which every gateway of an environment reads:
//! each puts the actions on it in force in its own process and lets them end by themselves. One
//! gateway leads, under the lease that rollouts and incidents are led under: it starts runs for
//! incidents and events ([`triggers`]), does what each run orders ([`work`], [`orders`]) and stores that a step is
//! begun before it is done. [`command`] runs programs that the operator allowed, [`acts`] does what an
//! action means for the store, [`figures`] is what checks look at, [`answer`] what the admin API asks.
//!
//! A gateway without a store keeps its runs in memory and loses them when it ends.

mod acts;
mod answer;
mod command;
mod figures;
mod orders;
mod stored;
mod told;
mod triggers;
mod work;

pub(crate) use answer::Book;

use crate::follow::{self, Followed, OpenStore};
use crate::incidents::Shelf;
use gate_kit::random;
use gate_ops::notify::Alert;
use gate_proxy::process::Process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use stored::Stored;

/// The environment of a gateway that follows none.
const NO_ENVIRONMENT: &str = "file";

/// What runs are told to and read from besides the store.
pub(crate) struct Neighbours {
    /// Where incidents are kept.
    pub incidents: Arc<Shelf>,
    /// Who tells people.
    pub alerts: SyncSender<Alert>,
}

/// The loop; it ends when this is dropped.
pub(crate) struct Runbooks {
    /// Where runs are kept.
    pub stored: Arc<Stored>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Runbooks {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        // A store that hangs must not keep the process alive; the thread ends with it.
        if let Some(thread) = self.thread.take().filter(JoinHandle::is_finished) {
            let _ = thread.join();
        }
    }
}

/// Starts the loop.
///
/// # Errors
/// When there is no thread to be had.
pub(crate) fn start(
    process: &Arc<Process>,
    followed: Option<&Arc<Followed>>,
    open: Option<OpenStore>,
    neighbours: Neighbours,
) -> Result<Runbooks, String> {
    let environment = followed.map_or(NO_ENVIRONMENT, |followed| &followed.environment);
    let shelf = Shelf::new(environment, open);
    let stored = Arc::new(Stored::new(shelf, followed.is_some()));
    let instance = followed.map_or_else(follow::instance, |followed| followed.instance.clone());
    let life = format!("{instance}-{:08x}", random::bits() >> 32);
    let ends = Arc::new(AtomicBool::new(false));
    let mut work = work::Work::new(process, &stored, (instance, life), neighbours);
    let until = ends.clone();
    let thread = std::thread::Builder::new()
        .name("runbooks".into())
        .spawn(move || work.run(&until))
        .map_err(|error| format!("cannot run runbooks: {error}"))?;
    Ok(Runbooks {
        stored,
        ends,
        thread: Some(thread),
    })
}
