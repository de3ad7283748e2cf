//! The journal: what must never be lost, in one order, each event chained to its node's event before.
//!
//! [`Journal`] is a process's writer: whoever appends waits for its [`Ticket`], and one thread writes
//! everything that waits as one transaction. What the store writes in transactions of its own (audit
//! lines, ledger entries, incidents) is appended within these ([`own`]). [`ReadJournal`] is what
//! readers ask: events behind a place, and where each reader is. An event is delivered at least once:
//! a reader that ends between its effect and its position sees it again, by the same key. Where the
//! effect is in the same database, [`Reading::advance_with`] makes both one transaction, and the
//! effect happens once. A payload that belongs to a consumer is sealed under that consumer's key
//! ([`keys`]), so that forgetting the consumer is forgetting the key; old events go from the front
//! ([`prune`]). What events mean, who wants them and how they travel is not known here. The format is
//! decision 0034.

mod chain;
mod group;
mod keys;
pub(crate) mod own;
mod pack;
mod prune;
mod reading;
mod tables;
mod writer;

pub(crate) use pack::pack;
pub use prune::Pruned;
pub use reading::{Forgotten, ReadJournal, Reading};

use crate::StoreError;
use crate::database::Database;
use gate_kit::clock::Clock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Most bytes of a key, a kind or a consumer's name.
pub const WORD_MAX: usize = 1 << 10;

/// Most bytes of a payload that is hashed by whoever appends it: some 10 µs.
const EARLY_BYTES: usize = 16 << 10;

/// An event to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// What it is known by, everywhere and as long as it is kept: an event whose key was appended
    /// before is not appended again. At most [`WORD_MAX`] bytes; those that begin with `@` are the
    /// store's own.
    pub key: Box<str>,
    /// What happened, as readers tell events apart. At most [`WORD_MAX`] bytes.
    pub kind: Box<str>,
    /// Whose payload it is, so that it can be destroyed; empty for nobody's.
    pub consumer: Box<str>,
    /// What it carries. One that is a consumer's is kept sealed.
    pub payload: Box<[u8]>,
}

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the order of all events, from 1, without gaps.
    pub place: u64,
    /// Which node wrote it.
    pub node: String,
    /// Its number among the node's events, from 1, without gaps.
    pub sequence: u64,
    /// When, by the node's clock, in UNIX milliseconds.
    pub at_ms: i64,
    /// What it is known by.
    pub key: String,
    /// What happened.
    pub kind: String,
    /// Whose payload it is, or empty.
    pub consumer: String,
    /// SHA-256 of the payload as it is kept, which is sealed where it is a consumer's.
    pub digest: Vec<u8>,
    /// The node's chain behind the events that were written with it: SHA-256 over the hash before
    /// them (32 zeros before the first), node, number and time of the last of them, and keys, kinds,
    /// consumers and digests of all.
    pub hash: Vec<u8>,
    /// What it carries; none once its consumer was forgotten, which leaves the chain whole.
    pub payload: Option<Vec<u8>>,
}

/// What a walk over the journal found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// The place up to which events were taken away; the chains are checked from the hashes that
    /// these left, which an event of the journal confirms.
    pub pruned: u64,
    /// Events that are as they were written.
    pub events: u64,
    /// How many of them have a payload that nobody can read any more.
    pub destroyed: u64,
    /// The hash of each node's newest event. Written down elsewhere, it proves that none before it
    /// changed.
    pub heads: Vec<(String, Vec<u8>)>,
    /// Where the journal is broken first, if it is.
    pub fault: Option<Fault>,
}

/// Where the journal is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The place; of the first event of those that were written together where it is one of them.
    pub place: u64,
    /// What is wrong there.
    pub problem: &'static str,
}

/// How much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalOptions {
    /// Most events that wait to be written.
    pub waiting_events: usize,
    /// Most bytes of their payloads; also the most of one event.
    pub waiting_bytes: usize,
    /// Most events in one transaction.
    pub group_events: usize,
    /// Most bytes of their payloads, unless one alone is longer.
    pub group_bytes: usize,
    /// How long events are kept at least; for ever when `None`.
    pub keep: Option<Duration>,
}

impl Default for JournalOptions {
    /// 16,384 events of 64 MiB wait, 4,096 of 8 MiB are written together, and are kept for ever.
    fn default() -> Self {
        JournalOptions {
            waiting_events: 16_384,
            waiting_bytes: 64 << 20,
            group_events: 4_096,
            group_bytes: 8 << 20,
            keep: None,
        }
    }
}

/// Why an event was not appended, or is not known to be.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// As much waits as may; later there is room.
    #[error("too many events wait for the journal")]
    Full,
    /// It can never be appended.
    #[error("the event cannot be kept: {0}")]
    Refused(&'static str),
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
    /// The store failed. After a failure of the connection the event may be there all the same;
    /// appending it again under its key is always right.
    #[error(transparent)]
    Store(#[from] StoreError),
}

type Answer = Result<u64, AppendError>;

/// The promise of a place. Dropped, the event is written all the same.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Answer>);

impl Ticket {
    /// Waits on a thread of its own until the event is on the disk, and says its place.
    ///
    /// # Errors
    /// [`AppendError`].
    pub fn wait(self) -> Answer {
        self.0.blocking_recv().unwrap_or(Err(AppendError::Closed))
    }

    /// The same in a task. Dropped midway, it changes nothing.
    ///
    /// # Errors
    /// [`AppendError`].
    pub async fn done(self) -> Answer {
        self.0.await.unwrap_or(Err(AppendError::Closed))
    }
}

/// How to connect, again after failures.
pub type Connect<D> = Box<dyn FnMut() -> Result<D, StoreError> + Send>;

/// A process's writer. Its thread ends with it, when all that waits is written or refused.
pub struct Journal {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What a process's writer has done and what it has before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that were written.
    pub events: u64,
    /// Transactions that wrote them.
    pub groups: u64,
    /// Events that wait to be written.
    pub waiting: usize,
    /// Events that were refused because as many waited as may, or could never be kept.
    pub refused: u64,
    /// Events that the store failed to take.
    pub failed: u64,
}

/// This machine's name, which is what the events are chained by that its gateways write: at most 64
/// letters of it, `gateway` where it has none. Two that share a name and a store share a chain.
#[must_use]
pub fn node() -> &'static str {
    static NODE: OnceLock<String> = OnceLock::new();
    NODE.get_or_init(|| {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host: String = host.trim().chars().take(64).collect();
        if host.is_empty() {
            "gateway".into()
        } else {
            host
        }
    })
}

/// What `journal_mark` remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// The newest place.
    End,
    /// The last place that was taken away.
    Pruned,
    /// A node's newest event.
    Node,
    /// A node's last event that was taken away.
    Anchor,
}

impl Mark {
    fn name(self) -> &'static str {
        match self {
            Mark::End => "end",
            Mark::Pruned => "pruned",
            Mark::Node => "node",
            Mark::Anchor => "anchor",
        }
    }
}

struct Shared {
    options: JournalOptions,
    queue: Mutex<Queue>,
    arrived: Condvar,
    groups: AtomicU64,
    written: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

#[derive(Default)]
struct Queue {
    events: Vec<Queued>,
    answers: Vec<oneshot::Sender<Answer>>,
    bytes: usize,
    closed: bool,
    /// How many have to be there before the writer is woken: it does not look up for each.
    wakes_at: usize,
}

/// An event that waits.
struct Queued {
    event: NewEvent,
    digest: Option<[u8; group::HASH]>,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal {
    /// Opens the journal of a node ([`node`]). What `connect` returns must have the tables' newest
    /// form ([`crate::schema::migrate`]); it is called when the first event is there, and again
    /// after failures. Two processes that share a node's name append to one chain.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn open<D: Database + 'static>(
        node: &str,
        connect: Connect<D>,
        options: JournalOptions,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared {
            options,
            queue: Mutex::default(),
            arrived: Condvar::new(),
            groups: AtomicU64::new(0),
            written: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        });
        let writer = writer::Writer::new(shared.clone(), node.to_owned(), connect, clock);
        let thread = std::thread::Builder::new().name("journal".into());
        let thread = thread.spawn(move || writer.run());
        let thread = thread.map_err(|error| StoreError::Unusable(error.to_string()))?;
        Ok(Journal {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Appends an event. It is safe once its ticket says so, and not before.
    ///
    /// # Errors
    /// [`AppendError`] when it cannot even wait.
    pub fn append(&self, event: NewEvent) -> Result<Ticket, AppendError> {
        let queued = self.queue(event);
        if queued.is_err() {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
        }
        queued
    }

    fn queue(&self, event: NewEvent) -> Result<Ticket, AppendError> {
        let options = &self.shared.options;
        let words = [&event.key, &event.kind, &event.consumer];
        if event.key.is_empty() || words.iter().any(|word| word.len() > WORD_MAX) {
            return Err(AppendError::Refused(
                "its key is empty, or a word of it too long",
            ));
        }
        if event.key.starts_with(own::MARK) {
            return Err(AppendError::Refused("its key is one of the store's own"));
        }
        if words.iter().any(|word| word.contains('\0')) {
            return Err(AppendError::Refused("a word of it has a null byte"));
        }
        if event.payload.len() > options.waiting_bytes {
            return Err(AppendError::Refused("its payload is too long"));
        }
        // What is not sealed is hashed here, where others do the same meanwhile, and not by the writer,
        // for whom all of them wait.
        let is_early = event.consumer.is_empty() && event.payload.len() <= EARLY_BYTES;
        let digest = is_early.then(|| tables::digest(&event.payload));
        let (answer, ticket) = oneshot::channel();
        let mut queue = self.shared.queue();
        if queue.closed {
            return Err(AppendError::Closed);
        }
        if queue.events.len() >= options.waiting_events
            || queue.bytes + event.payload.len() > options.waiting_bytes
        {
            return Err(AppendError::Full);
        }
        queue.bytes += event.payload.len();
        queue.events.push(Queued { event, digest });
        queue.answers.push(answer);
        let wakes = queue.events.len() >= queue.wakes_at;
        drop(queue);
        if wakes {
            self.shared.arrived.notify_one();
        }
        Ok(Ticket(ticket))
    }

    /// What it has done since it was opened.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            events: count(&self.shared.written),
            groups: count(&self.shared.groups),
            waiting: self.shared.queue().events.len(),
            refused: count(&self.shared.refused),
            failed: count(&self.shared.failed),
        }
    }

    /// Writes what waits and ends the writer; from now on appends are refused as
    /// [`AppendError::Closed`]. Blocks up to `patience`; true when everything was written or refused.
    pub fn close(&self, patience: Duration) -> bool {
        let Some(thread) = self.end() else {
            return true;
        };
        let step = Duration::from_millis(5);
        let mut left = patience;
        while !thread.is_finished() && !left.is_zero() {
            std::thread::sleep(step);
            left = left.saturating_sub(step);
        }
        thread.is_finished() && thread.join().is_ok()
    }

    /// Tells the writer to end; its thread, the first time.
    fn end(&self) -> Option<JoinHandle<()>> {
        self.shared.queue().closed = true;
        self.shared.arrived.notify_one();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.take()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Some(thread) = self.end() {
            // It has told its panic already; everybody who waits hears `Closed`.
            let _ = thread.join();
        }
    }
}
