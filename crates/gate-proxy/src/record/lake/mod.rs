//! The lake's end of records: a queue, a thread that writes, a thread that keeps.
//!
//! Workers queue the rows that logs get too; one thread makes columns of them and writes a file about
//! twice a second ([`convert`], `gate_lake::writer`); another keeps the lake while this gateway holds
//! its lock ([`keeper`]). A full queue, or a place that does not answer for long, costs rows, which
//! are counted, and never a request.

mod convert;
mod fresh;
mod keeper;
mod place;

use super::finished_within;
use super::row::Row;
use convert::Converter;
pub use fresh::Freshness;
use fresh::Watch;
use gate_flow::SecretSource;
use gate_kit::clock::{Clock, Moment};
use gate_kit::queue::BoundedQueue;
use gate_lake::catalog::Catalog;
use gate_lake::keep::Forgotten;
use gate_lake::redact::Redaction;
use gate_lake::schema::Dataset;
use gate_lake::writer::Writer;
use gate_model::resources::{Gateway, Resources};
use keeper::{Keeping, Order};
pub(crate) use place::check as check_bucket;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Rows that may wait. A row takes about 1 KiB, at most 12 KiB and what is recorded of bodies.
const ROWS_MAX: usize = 32 * 1024;
/// Rows taken at a time.
const BATCH: usize = 2048;
/// How long rows gather in the queue, so that a busy gateway wakes the thread 50 times a second.
const LINGER: Duration = Duration::from_millis(20);
/// How long the thread sleeps on an empty queue.
const PATIENCE: Duration = Duration::from_millis(100);
/// How old rows may get before they are written: with what writing takes, they are found within a
/// second.
const AGE_MAX: Duration = Duration::from_millis(500);
/// How long after a failure the place is left alone.
const PAUSE: Duration = Duration::from_secs(2);

/// What has become of rows, for the metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LakeCounts {
    /// Rows that are in the lake.
    pub rows: u64,
    /// Rows lost: the queue was full, the door refused them, or the place did not answer for long.
    pub dropped: u64,
    /// Files that were written with them.
    pub files: u64,
    /// Bytes of those files.
    pub bytes: u64,
    /// How long the oldest row that is not in the lake has waited; zero where none waits.
    pub lag: Duration,
    /// Settled files of the lake, where this gateway keeps it.
    pub settled_files: u64,
    /// Bytes of settled files of the lake, where this gateway keeps it.
    pub settled_bytes: u64,
    /// Passes of keeping the lake that failed.
    pub keep_failures: u64,
}

/// A lake that can be written, checked and not yet in use.
pub(super) struct LakeTarget {
    catalog: Arc<Catalog>,
    redactions: [Redaction; 2],
    converter: Converter,
    keeping: Keeping,
    has_bodies: bool,
}

impl std::fmt::Debug for LakeTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LakeTarget").finish_non_exhaustive()
    }
}

impl LakeTarget {
    /// Opens the place of `gateway.lake`; none where there is no lake. A bucket is not asked: a
    /// store that is away for a while stops no gateway from starting. A relative path starts from
    /// `folder`.
    ///
    /// # Errors
    /// A sentence on what is wrong with the settings or the folder.
    pub(super) fn open(
        gateway: &Gateway,
        folder: &Path,
        secrets: &dyn SecretSource,
        clock: &Clock,
    ) -> Result<Option<Self>, String> {
        let Some(settings) = &gateway.lake else {
            return Ok(None);
        };
        let objects = place::open(&settings.to, folder, secrets, clock)?;
        let key = settings.hash_key.as_ref();
        let key = key
            .map(|key| place::secret(key, secrets, folder))
            .transpose()?;
        let key = key.as_ref().map(String::as_bytes);
        let unset = gate_model::resources::LakeSet::default();
        let bodies = settings.bodies.as_ref().unwrap_or(&unset);
        let redaction = |dataset, set: &gate_model::resources::LakeSet| {
            Redaction::new(dataset, &set.drop, &set.hash, key)
                .map_err(|error| format!("`gateway.lake`: {error}"))
        };
        let redactions = [
            redaction(Dataset::Records, &settings.records)?,
            redaction(Dataset::Bodies, bodies)?,
        ];
        let keep = [&settings.records, bodies].map(|set| set.keep.map(|keep| keep.duration()));
        let node = settings.node.clone().unwrap_or_else(place::host_name);
        let catalog = Arc::new(Catalog::new(objects));
        Ok(Some(Self {
            keeping: Keeping::new(catalog.clone(), keep, redactions.clone(), node.clone()),
            converter: Converter::new(node, gateway.environment.clone()),
            catalog,
            redactions,
            has_bodies: settings.bodies.is_some(),
        }))
    }
}

/// The lake's queue and its threads, which start with the first target.
pub struct LakeWriter {
    shared: Arc<Shared>,
    threads: [Mutex<Option<JoinHandle<()>>>; 2],
}

struct Shared {
    queue: BoundedQueue<Arc<Row>>,
    /// A new target, not yet taken up.
    next: Mutex<Option<LakeTarget>>,
    catalog: Mutex<Option<Arc<Catalog>>>,
    /// Data products, with how fresh they are.
    fresh: Mutex<Watch>,
    /// What the keeping thread is asked for.
    orders: BoundedQueue<Order>,
    clock: Clock,
    rows: AtomicU64,
    lost: AtomicU64,
    files: AtomicU64,
    bytes: AtomicU64,
    settled_files: AtomicU64,
    settled_bytes: AtomicU64,
    keep_failures: AtomicU64,
    /// Since when the oldest row waits, in nanoseconds of the clock; zero for none.
    waits_since: AtomicU64,
}

/// Orders that may wait.
const ORDERS_MAX: usize = 16;

impl LakeWriter {
    pub(super) fn new(clock: Clock) -> Self {
        let shared = Shared {
            queue: BoundedQueue::new(ROWS_MAX),
            next: Mutex::default(),
            catalog: Mutex::default(),
            fresh: Mutex::default(),
            orders: BoundedQueue::new(ORDERS_MAX),
            clock,
            rows: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            settled_files: AtomicU64::new(0),
            settled_bytes: AtomicU64::new(0),
            keep_failures: AtomicU64::new(0),
            waits_since: AtomicU64::new(0),
        };
        Self {
            shared: Arc::new(shared),
            threads: Default::default(),
        }
    }

    /// Rows go to this lake from now on.
    pub(super) fn set_target(&self, target: LakeTarget) -> io::Result<()> {
        *lock(&self.shared.catalog) = Some(target.catalog.clone());
        self.shared
            .orders
            .push(Order::Keep(Box::new(target.keeping.clone())));
        *lock(&self.shared.next) = Some(target);
        let runs: [(&str, fn(&Shared)); 2] = [("lake", write_rows), ("lake-keeper", keeper::run)];
        for (thread, (name, run)) in self.threads.iter().zip(runs) {
            let mut thread = lock(thread);
            if thread.is_none() {
                let shared = self.shared.clone();
                let builder = std::thread::Builder::new().name(name.into());
                *thread = Some(builder.spawn(move || run(&shared))?);
            }
        }
        Ok(())
    }

    /// Measures how fresh these data products are from now on.
    pub(crate) fn watch(&self, resources: &Resources) {
        lock(&self.shared.fresh).set(resources);
    }

    /// How fresh data products are, by name.
    #[must_use]
    pub fn freshness(&self) -> Vec<Freshness> {
        lock(&self.shared.fresh).look(self.shared.clock.unix())
    }

    /// Queues a row, or drops and counts it.
    pub(super) fn push(&self, row: Arc<Row>) {
        self.shared.queue.push(row);
    }

    /// What is in the lake that is written to; none where none is.
    #[must_use]
    pub fn catalog(&self) -> Option<Arc<Catalog>> {
        lock(&self.shared.catalog).clone()
    }

    /// Deletes every row of a consumer, in both data sets, and waits for it. Rows of requests that
    /// end from now on are not among them. Blocks for up to `patience`; never call it on a worker.
    ///
    /// # Errors
    /// A sentence on why it is not known to be done: there is no lake, another gateway keeps it, or
    /// the place does not answer.
    pub fn forget(&self, consumer: &str, patience: Duration) -> Result<Forgotten, String> {
        if self.catalog().is_none() {
            return Err("there is no `gateway.lake`".into());
        }
        let answer = Arc::new(keeper::Answer::default());
        self.shared.orders.push(Order::Forget {
            consumer: consumer.to_owned(),
            patience,
            answer: answer.clone(),
        });
        answer.wait(patience)
    }

    /// What has become of rows.
    #[must_use]
    pub fn counts(&self) -> LakeCounts {
        let shared = &self.shared;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let since = count(&shared.waits_since);
        let lag = match since {
            0 => Duration::ZERO,
            since => shared.clock.now().since(Moment(since)),
        };
        LakeCounts {
            rows: count(&shared.rows),
            dropped: count(&shared.lost) + shared.queue.dropped(),
            files: count(&shared.files),
            bytes: count(&shared.bytes),
            lag,
            settled_files: count(&shared.settled_files),
            settled_bytes: count(&shared.settled_bytes),
            keep_failures: count(&shared.keep_failures),
        }
    }

    /// Takes no more rows and waits until the queued ones are written, up to `patience`.
    pub(super) fn close(&self, patience: Duration) -> bool {
        self.shared.queue.close();
        self.shared.orders.close();
        let written = finished_within(&self.threads[0], patience);
        // A pass that is cut leaves the lake as whole as it was.
        finished_within(&self.threads[1], patience.min(Duration::from_secs(1)));
        written
    }
}

/// Deletes every row of a consumer from the lake of these settings, in both data sets, beside
/// gateways that may be running on it. Blocks for up to `patience` until it may begin.
///
/// # Errors
/// A sentence on why it is not known to be done.
pub fn forget(
    gateway: &Gateway,
    folder: &Path,
    secrets: &dyn SecretSource,
    consumer: &str,
    patience: Duration,
) -> Result<Forgotten, String> {
    let clock = Clock::System;
    let target = LakeTarget::open(gateway, folder, secrets, &clock)?;
    let target = target.ok_or("there is no `gateway.lake`")?;
    target.keeping.forget(&clock, consumer, patience)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A writer with what it has counted for a lake that may be another than the one before.
struct Target {
    writer: Writer,
    converter: Converter,
    has_bodies: bool,
    counted: gate_lake::writer::Counts,
    /// When the oldest gathered row was taken.
    since: Option<Moment>,
    /// Until when the place is left alone after a failure.
    rests_until: Option<Moment>,
}

impl Target {
    fn new(target: LakeTarget) -> Self {
        let objects = target.catalog.objects().clone();
        Self {
            writer: Writer::new(objects, target.redactions),
            converter: target.converter,
            has_bodies: target.has_bodies,
            counted: gate_lake::writer::Counts::default(),
            since: None,
            rests_until: None,
        }
    }

    fn add(&mut self, row: &Row, now: Moment, fresh: &mut Watch) {
        self.since.get_or_insert(now);
        let id = self.converter.id(row);
        let ended = row.record.started_unix + row.record.duration;
        let made = self.converter.row(row, id);
        // What the door refuses is counted by the writer.
        let _ = self.writer.push(&made);
        fresh.row(&made, ended);
        if self.has_bodies {
            for body in self.converter.bodies(row, id) {
                let _ = self.writer.push_body(&body);
                fresh.body(&body, ended);
            }
        }
    }

    /// Writes what is due, or makes it small while the place is left alone.
    fn write(&mut self, shared: &Shared, now: Moment) {
        let rests = self.rests_until.is_some_and(|until| now < until);
        let is_old = self.since.is_some_and(|at| now.since(at) >= AGE_MAX);
        if rests && self.writer.is_full() {
            let sealed = self.writer.seal(shared.clock.unix());
            self.count(shared, sealed);
        } else if !rests && (self.writer.is_full() || is_old) {
            self.flush(shared);
        }
    }

    fn flush(&mut self, shared: &Shared) {
        let flushed = self.writer.flush(shared.clock.unix());
        match &flushed {
            Ok(()) => {
                self.since = None;
                self.rests_until = None;
                lock(&shared.fresh).arrived(shared.clock.unix());
            }
            Err(_) => self.rests_until = Some(shared.clock.now().plus(PAUSE)),
        }
        self.count(shared, flushed);
    }

    fn count(&mut self, shared: &Shared, result: io::Result<()>) {
        if let Err(error) = result {
            tracing::warn!(%error, "the lake cannot be written; rows wait");
        }
        let (now, before) = (self.writer.counts(), self.counted);
        let add = |counter: &AtomicU64, now: u64, before: u64| {
            counter.fetch_add(now - before, Ordering::Relaxed);
        };
        add(&shared.rows, now.rows, before.rows);
        add(&shared.files, now.files, before.files);
        add(&shared.bytes, now.bytes, before.bytes);
        let lost = |counts: gate_lake::writer::Counts| counts.lost + counts.refused;
        add(&shared.lost, lost(now), lost(before));
        if lost(now) > lost(before) {
            lock(&shared.fresh).lost();
        }
        self.counted = now;
    }

    /// Gives up what is still not written.
    fn end(&mut self, shared: &Shared) {
        self.flush(shared);
        shared
            .lost
            .fetch_add(self.writer.waiting_rows(), Ordering::Relaxed);
    }
}

/// The thread: gathers, makes columns, writes.
fn write_rows(shared: &Shared) {
    let mut target: Option<Target> = None;
    let mut rows = Vec::new();
    loop {
        let open = shared.queue.drain(&mut rows, BATCH, PATIENCE);
        if let Some(next) = lock(&shared.next).take() {
            if let Some(target) = &mut target {
                target.end(shared);
            }
            target = Some(Target::new(next));
        }
        // The thread starts after the first target was set.
        let Some(target) = &mut target else { return };
        let count = rows.len();
        let now = shared.clock.now();
        let mut fresh = lock(&shared.fresh);
        for row in rows.drain(..) {
            target.add(&row, now, &mut fresh);
        }
        drop(fresh);
        target.write(shared, now);
        let since = target.since.map_or(0, |since| since.0.max(1));
        shared.waits_since.store(since, Ordering::Relaxed);
        if !open {
            target.end(shared);
            return;
        }
        if count > 0 && count < BATCH {
            std::thread::sleep(LINGER);
        }
    }
}
