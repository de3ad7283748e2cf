//! What the gateway did in the last minutes, for whoever looks.
//!
//! A worker spends one branch on it until somebody looks; from then on, and always where records are
//! kept, it queues the rows of its exchanges, and one thread counts them ([`window`]). Counting goes
//! on for [`WATCHED`] after the last look. A full queue costs figures, which are counted as missed,
//! and never a request. Nothing of it is kept over a restart.

mod spread;
mod traffic;
mod window;

pub use traffic::{TrafficCount, TrafficOf};

use super::finished_within;
use super::row::Row;
use gate_api::types::Live as Figures;
use gate_kit::clock::{Clock, Moment};
use gate_kit::queue::BoundedQueue;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use traffic::Traffic;
use window::Window;

/// How long exchanges are counted after the last look.
pub const WATCHED: Duration = Duration::from_secs(15 * 60);
/// Rows that may wait, of about 1 KiB each.
const ROWS_MAX: usize = 8192;
/// How long rows gather, unless they are many, so that a busy gateway wakes the thread ten times a
/// second and not once per request.
const LINGER: Duration = Duration::from_millis(100);
/// How long the thread sleeps on an empty queue.
const PATIENCE: Duration = Duration::from_secs(5);

/// Counts of the last minutes, and the thread that makes them, which starts with the first look.
pub(super) struct Live {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    /// Whether rows are wanted.
    on: AtomicBool,
    /// Whether they are wanted without anybody looking.
    always: AtomicBool,
    /// Until when somebody counts as looking, as a moment.
    until: AtomicU64,
    queue: BoundedQueue<Arc<Row>>,
    window: Mutex<Window>,
    traffic: Mutex<Traffic>,
    clock: Clock,
}

impl Live {
    pub(super) fn new(clock: Clock) -> Self {
        let window = Window::new(clock.unix().as_secs());
        let shared = Shared {
            on: AtomicBool::new(false),
            always: AtomicBool::new(false),
            until: AtomicU64::new(0),
            queue: BoundedQueue::new(ROWS_MAX),
            window: Mutex::new(window),
            traffic: Mutex::default(),
            clock,
        };
        Self {
            shared: Arc::new(shared),
            thread: Mutex::default(),
        }
    }

    /// Whether rows are wanted.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.shared.on.load(Ordering::Relaxed)
    }

    /// Queues a row, or drops and counts it.
    pub(super) fn push(&self, row: Arc<Row>) {
        self.shared.queue.push(row);
    }

    /// Counts without anybody looking, or no longer.
    pub(super) fn set_always(&self, always: bool) -> io::Result<()> {
        self.shared.always.store(always, Ordering::Relaxed);
        match always {
            true => self.begin(),
            false => Ok(()),
        }
    }

    /// What the last minutes come to; counting begins now if it has not.
    pub(super) fn look(&self) -> Figures {
        let shared = &self.shared;
        let until = shared.clock.now().plus(WATCHED);
        shared.until.store(until.0, Ordering::Relaxed);
        if let Err(error) = self.begin() {
            tracing::error!(%error, "live figures are not counted");
        }
        shared.lock().figures(shared.now_s())
    }

    /// Counts by the second from now on, until [`WATCHED`] after this was called last.
    pub(super) fn watch(&self) -> io::Result<()> {
        let until = self.shared.clock.now().plus(WATCHED);
        self.shared.until.store(until.0, Ordering::Relaxed);
        self.begin()
    }

    /// What went through in these seconds of UNIX time.
    pub(super) fn traffic(&self, of: &TrafficOf, seconds: &Range<u64>) -> TrafficCount {
        self.shared.traffic().count(of, seconds)
    }

    /// Tries by endpoint of an upstream in these seconds, and bad ones of them.
    pub(super) fn endpoints(
        &self,
        upstream: &str,
        seconds: &Range<u64>,
    ) -> Vec<(Arc<str>, u64, u64)> {
        self.shared.traffic().endpoints(upstream, seconds)
    }

    fn begin(&self) -> io::Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let shared = self.shared.clone();
            let run = move || count_rows(&shared);
            let builder = std::thread::Builder::new().name("live".into());
            *thread = Some(builder.spawn(run)?);
        }
        drop(thread);
        let mut window = self.shared.lock();
        if !self.shared.on.swap(true, Ordering::Relaxed) {
            // What was counted before the pause would be taken for what happened in it.
            *window = Window::new(self.shared.now_s());
        }
        Ok(())
    }

    /// Takes no more rows and ends the thread, within `patience`.
    pub(super) fn close(&self, patience: Duration) -> bool {
        self.shared.queue.close();
        finished_within(&self.thread, patience)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_s(&self) -> u64 {
        self.clock.unix().as_secs()
    }

    /// Stops asking for rows when nobody has looked for a while.
    fn rest(&self) {
        let until = Moment(self.until.load(Ordering::Relaxed));
        if !self.always.load(Ordering::Relaxed) && self.clock.now() > until {
            let _window = self.lock();
            self.on.store(false, Ordering::Relaxed);
        }
    }
}

/// The thread: gathers and counts.
fn count_rows(shared: &Shared) {
    let mut rows = Vec::new();
    let mut dropped = 0;
    while shared.queue.drain(&mut rows, ROWS_MAX, PATIENCE) {
        let gathered = !rows.is_empty();
        if gathered {
            let now_s = shared.now_s();
            let mut window = shared.lock();
            let lost = shared.queue.dropped();
            window.missed(lost - std::mem::replace(&mut dropped, lost), now_s);
            let mut traffic = shared.traffic();
            for row in rows.drain(..) {
                window.add(&row.record, now_s);
                traffic.add(&row.record, now_s);
            }
        }
        shared.rest();
        if gathered {
            shared.queue.gather(LINGER);
        }
    }
}
