//! Subscribers, told: the loop around [`gate_ops::event::delivery`].
//!
//! One gateway of an environment leads, under a lease in the store. It reads the journal ([`reader`]) for
//! every subscriber from where each is ([`roll`]), hands events to targets on threads ([`crew`], [`send`])
//! and keeps what became of them ([`keep`]): in one transaction, under its lease, a tenth of a second
//! after it happened at the latest. A gateway that dies leaves what it had not kept to the next one, which
//! delivers it again under the same key. What people want (pauses, replays) is a desk in the store that
//! any gateway writes ([`stored`]); [`answer`] is what the admin API asks.
//!
//! Without a store there is no journal, and no subscriber.

mod answer;
mod crew;
mod keep;
mod lead;
mod reader;
mod roll;
mod roster;
mod send;
mod stored;
mod work;

pub(crate) use answer::Book;

use crate::follow::{self, Followed};
use crate::incidents::Shelf;
use crate::jobs;
use crate::secrets::Kept;
use gate_kit::random;
use gate_proxy::process::Process;
use reader::Reader;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use stored::Stored;

/// The environment of a gateway that follows none.
const NO_ENVIRONMENT: &str = "file";

/// The loop; it ends when this is dropped.
pub(crate) struct Subscribers {
    /// Where people's wishes and positions are kept; none without a store.
    stored: Option<Arc<Stored>>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Subscribers {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Release);
        // A store that hangs must not keep the process alive; the thread ends with it.
        if let Some(thread) = self.thread.take().filter(JoinHandle::is_finished) {
            let _ = thread.join();
        }
    }
}

/// Starts the loop, where there is a store. `jobs` is where those are kept that events start.
///
/// # Errors
/// When there is no thread to be had.
pub(crate) fn start(
    process: &Arc<Process>,
    followed: Option<&Arc<Followed>>,
    kept: Kept,
    folder: &Path,
    jobs: Option<Arc<jobs::Shelf>>,
) -> Result<Arc<Subscribers>, String> {
    let ends = Arc::new(AtomicBool::new(false));
    let gateway = &process.shared().snapshot.load().resources.gateway;
    let (Some(open), Some(read)) = (
        follow::opener(gateway, folder),
        reader::opener(gateway, folder),
    ) else {
        return Ok(Arc::new(Subscribers {
            stored: None,
            ends,
            thread: None,
        }));
    };
    let environment = followed.map_or(NO_ENVIRONMENT, |followed| &followed.environment);
    let stored = Arc::new(Stored {
        shelf: Shelf::new(environment, Some(open.clone())),
        read: read.clone(),
    });
    let instance = followed.map_or_else(follow::instance, |followed| followed.instance.clone());
    // Another life of this gateway is another holder: what it had begun is not this one's.
    let holder = format!("{instance}-{:08x}", random::bits() >> 32);
    let means = send::Means::new(process, kept, folder, jobs);
    let own = Shelf::new(environment, Some(open));
    let mut work = work::Work::new(process, own, holder, Reader::new(read, environment), means);
    let until = ends.clone();
    let thread = std::thread::Builder::new()
        .name("subscribers".into())
        .spawn(move || work.run(&until))
        .map_err(|error| format!("cannot tell subscribers: {error}"))?;
    Ok(Arc::new(Subscribers {
        stored: Some(stored),
        ends,
        thread: Some(thread),
    }))
}
