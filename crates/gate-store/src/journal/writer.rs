//! The thread that writes: everything that waits, as one transaction.

use super::prune::{self, Pruned};
use super::{Answer, AppendError, Connect, Queued, Shared, group, tables};
use crate::StoreError;
use crate::database::Database;
use gate_kit::clock::{Clock, Moment};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Longest wait for those who were just answered to come again.
const GATHER_MAX: Duration = Duration::from_millis(1);
/// How long nobody has to come before no more is waited for; shorter ones end while threads that were
/// woken wait for a core.
const GAP_MIN: Duration = Duration::from_micros(100);
/// How often it is looked for events that are kept no longer.
const PRUNE: Duration = Duration::from_secs(600);
/// Most events that go at once, between two groups: some milliseconds of work.
const PRUNED: usize = 1_000;

pub(super) struct Writer<D> {
    shared: Arc<Shared>,
    node: String,
    connect: Connect<D>,
    database: Option<D>,
    clock: Clock,
    /// How many may come next: those who were just answered, and those who waited already.
    expected: usize,
    /// How long the last group took to commit.
    took: Duration,
    /// When old events are looked for.
    prunes: Moment,
}

/// What there is to do.
enum Work {
    Group(Vec<Queued>, Vec<oneshot::Sender<Answer>>),
    /// Nothing came for a while.
    Nothing,
    /// The journal is closed and nothing waits.
    Closed,
}

impl<D: Database> Writer<D> {
    pub(super) fn new(
        shared: Arc<Shared>,
        node: String,
        connect: Connect<D>,
        clock: Clock,
    ) -> Self {
        Writer {
            shared,
            node,
            connect,
            database: None,
            prunes: clock.now().plus(PRUNE),
            clock,
            expected: 0,
            took: Duration::ZERO,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let (events, answers) = match self.gather() {
                Work::Group(events, answers) => (events, answers),
                Work::Nothing => {
                    self.prune();
                    continue;
                }
                Work::Closed => break,
            };
            let began = Instant::now();
            let written = self.write(&events);
            self.took = began.elapsed();
            self.expected = events.len() + self.shared.queue().events.len();
            let count = match &written {
                Ok(_) => {
                    self.shared.groups.fetch_add(1, Ordering::Relaxed);
                    &self.shared.written
                }
                Err(_) => &self.shared.failed,
            };
            count.fetch_add(events.len() as u64, Ordering::Relaxed);
            let stop = matches!(written, Err(StoreError::Broken(_)));
            answer(written, answers);
            if stop {
                tracing::error!("the journal's writer has stopped; mend the store and restart");
                break;
            }
            self.prune();
        }
        // Whoever still waits hears that it is closed.
        let mut queue = self.shared.queue();
        queue.closed = true;
        queue.events.clear();
        queue.answers.clear();
    }

    /// Takes a group.
    ///
    /// Those who were answered together come again together, a moment later: a group that did not
    /// wait for them would hold the few who were quicker, and every second sync be spent on those. So
    /// it waits until as many are there as may come, as long as somebody does now and then, and at
    /// most half as long as a commit takes.
    fn gather(&mut self) -> Work {
        let shared = &self.shared;
        let mut queue = shared.queue();
        queue.wakes_at = 1;
        let quiet = |queue: &mut super::Queue| queue.events.is_empty() && !queue.closed;
        let patience = self.prunes.since(self.clock.now());
        (queue, _) = shared
            .arrived
            .wait_timeout_while(queue, patience, quiet)
            .unwrap_or_else(PoisonError::into_inner);
        if queue.events.is_empty() && !queue.closed {
            return Work::Nothing;
        }
        let options = &shared.options;
        let most = (self.took / 2).min(GATHER_MAX);
        let gap = (self.took / 8).max(GAP_MIN).min(most);
        let deadline = Instant::now() + most;
        queue.wakes_at = self.expected.min(options.group_events);
        while queue.events.len() < queue.wakes_at
            && queue.bytes < options.group_bytes
            && !queue.closed
        {
            let (there, left) = (
                queue.events.len(),
                deadline.saturating_duration_since(Instant::now()),
            );
            if left.is_zero() {
                break;
            }
            queue = shared
                .arrived
                .wait_timeout(queue, left.min(gap))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            if queue.events.len() == there {
                break;
            }
        }
        queue.wakes_at = usize::MAX;
        if queue.events.is_empty() {
            return Work::Closed;
        }
        let (mut take, mut bytes) = (0, 0);
        for queued in queue.events.iter().take(options.group_events.max(1)) {
            let length = queued.event.payload.len();
            if take > 0 && bytes + length > options.group_bytes {
                break;
            }
            bytes += length;
            take += 1;
        }
        queue.bytes -= bytes;
        let events = queue.events.drain(..take).collect();
        let answers = queue.answers.drain(..take).collect();
        Work::Group(events, answers)
    }

    fn write(&mut self, events: &[Queued]) -> Result<Vec<u64>, StoreError> {
        let (at_ms, node) = (self.unix_ms(), self.node.clone());
        let events: Vec<_> = (events.iter())
            .map(|queued| (&queued.event, queued.digest))
            .collect();
        let written = tables::append(self.connected()?, &node, at_ms, &events);
        if let Err(error) = &written {
            tracing::error!(%error, events = events.len(), "the journal could not be written");
            // The next group begins on a connection of its own.
            self.database = None;
        }
        written
    }
}

impl<D: Database> Writer<D> {
    fn connected(&mut self) -> Result<&mut D, StoreError> {
        Ok(match &mut self.database {
            Some(database) => database,
            none => none.insert((self.connect)()?),
        })
    }

    fn unix_ms(&self) -> i64 {
        i64::try_from(self.clock.unix().as_millis()).unwrap_or(i64::MAX)
    }

    /// Takes some old events away, when it is time to look for them.
    fn prune(&mut self) {
        let now = self.clock.now();
        if now < self.prunes {
            return;
        }
        self.prunes = now.plus(PRUNE);
        let Some(keep) = self.shared.options.keep else {
            return;
        };
        let now_ms = self.unix_ms();
        let before_ms = now_ms.saturating_sub(i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
        let pruned = self
            .connected()
            .and_then(|database| prune::prune(database, before_ms, PRUNED, now_ms));
        match pruned {
            // There may be more, behind what waits now.
            Ok(Pruned::Events(count)) if count + group::EVENTS as u64 > PRUNED as u64 => {
                self.prunes = now;
            }
            Ok(Pruned::Events(0)) => {}
            Ok(Pruned::Events(events)) => {
                tracing::info!(
                    events,
                    "what is kept no longer was taken away from the journal"
                );
            }
            Ok(Pruned::Broken(fault)) => tracing::error!(
                place = fault.place,
                problem = fault.problem,
                "the journal is broken; nothing of it is taken away"
            ),
            Err(error) => {
                tracing::error!(%error, "old events could not be taken away");
                self.database = None;
            }
        }
    }
}

fn answer(written: Result<Vec<u64>, StoreError>, answers: Vec<oneshot::Sender<Answer>>) {
    match written {
        Ok(places) => {
            for (answer, place) in answers.into_iter().zip(places) {
                // Nobody has to wait.
                let _ = answer.send(Ok(place));
            }
        }
        Err(error) => {
            for answer in answers {
                let _ = answer.send(Err(AppendError::Store(error.clone())));
            }
        }
    }
}
