//! The threads that attempts run on: as many as there is work for, up to a bound, and none when idle.

use super::send::{Means, Parcel};
use gate_ops::event::delivery::Outcome;
use gate_store::control::CourseId;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most attempts at once.
pub(super) const ATTEMPTS_MAX: usize = 128;
/// How long a thread waits for work before it ends.
const IDLE: Duration = Duration::from_secs(10);

/// How an attempt ended.
pub(super) struct Ended {
    pub(super) id: CourseId,
    pub(super) place: u64,
    /// In which time of leading it was begun.
    pub(super) epoch: u64,
    pub(super) outcome: Outcome,
}

struct Queue {
    parcels: VecDeque<Parcel>,
    threads: usize,
    idle: usize,
    is_over: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
    means: Means,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The threads.
pub(super) struct Crew {
    shared: Arc<Shared>,
    sender: SyncSender<Ended>,
    ended: Receiver<Ended>,
    running: usize,
}

impl Crew {
    pub(super) fn new(means: Means) -> Self {
        let (sender, ended) = sync_channel(ATTEMPTS_MAX);
        let queue = Queue {
            parcels: VecDeque::new(),
            threads: 0,
            idle: 0,
            is_over: false,
        };
        let shared = Shared {
            queue: Mutex::new(queue),
            arrived: Condvar::new(),
            means,
        };
        Crew {
            shared: Arc::new(shared),
            sender,
            ended,
            running: 0,
        }
    }

    /// How many further attempts may begin.
    pub(super) fn room(&self) -> usize {
        ATTEMPTS_MAX.saturating_sub(self.running)
    }

    /// Begins an attempt; how it ends is heard later.
    pub(super) fn begin(&mut self, parcel: Parcel) {
        self.running += 1;
        let mut queue = self.shared.queue();
        queue.parcels.push_back(parcel);
        let is_short = queue.parcels.len() > queue.idle && queue.threads < ATTEMPTS_MAX;
        if is_short {
            queue.threads += 1;
        }
        drop(queue);
        self.shared.arrived.notify_one();
        if is_short {
            let (shared, sender) = (self.shared.clone(), self.sender.clone());
            let thread = std::thread::Builder::new().name("delivery".into());
            if let Err(error) = thread.spawn(move || serve(&shared, &sender)) {
                self.shared.queue().threads -= 1;
                tracing::warn!(%error, "no thread for a delivery; it waits for another");
            }
        }
    }

    /// How attempts ended; waits for the first at most so long.
    pub(super) fn ended(&mut self, at_most: Duration) -> Vec<Ended> {
        let first = self.ended.recv_timeout(at_most).ok();
        let ended: Vec<Ended> = first.into_iter().chain(self.ended.try_iter()).collect();
        self.running = self.running.saturating_sub(ended.len());
        ended
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.is_over = true;
        queue.parcels.clear();
        drop(queue);
        self.shared.arrived.notify_all();
    }
}

fn serve(shared: &Shared, sender: &SyncSender<Ended>) {
    while let Some(parcel) = next(shared) {
        let sent = catch_unwind(AssertUnwindSafe(|| shared.means.send(&parcel)));
        let outcome = sent.unwrap_or_else(|_| Outcome::Failed {
            reason: "the gateway itself failed; its log says how".into(),
            after_ms: None,
        });
        let ended = Ended {
            id: parcel.id,
            place: parcel.place,
            epoch: parcel.epoch,
            outcome,
        };
        // There is room for as many as run; nobody listens where the process ends.
        if sender.send(ended).is_err() {
            break;
        }
    }
    shared.queue().threads -= 1;
}

/// The next parcel; none when there is no work for long.
fn next(shared: &Shared) -> Option<Parcel> {
    let mut queue = shared.queue();
    queue.idle += 1;
    loop {
        if let Some(parcel) = queue.parcels.pop_front() {
            queue.idle -= 1;
            return Some(parcel);
        }
        let waited = shared.arrived.wait_timeout(queue, IDLE);
        let (again, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        queue = again;
        if queue.is_over || (timeout.timed_out() && queue.parcels.is_empty()) {
            queue.idle -= 1;
            return None;
        }
    }
}
