//! The thread that runs jobs, where its gateway leads them.
//!
//! Order matters. What starts is stored before it is called, so that whoever comes next knows what may
//! have been called. What ended counts only once the ledger has written what it cost; only then its mark
//! and its result are stored, in one transaction, under the lease. A kill between any two of these makes
//! an item be called again, which is written down, and charged once, because both calls are charged under
//! the item's id.

mod take_up;

use super::call::{self, Ended};
use super::inputs::Inputs;
use super::room::{ROOM, Room};
use super::seen::Eyes;
use super::shelf::{Shelf, now_ms, signed};
use super::told;
use gate_kit::order::Gather;
use gate_ops::job::{Board, Change, NoteKind, Outcome, Start};
use gate_proxy::process::Process;
use gate_proxy::record::metrics::JobCounts;
use gate_store::control::{ControlError, Lease};
use gate_store::jobs::{ItemResult, JobSave};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// How often it is looked what is to be done.
const LOOK_MS: u64 = 250;
/// How long is waited for what is to be written next.
const SHORT: Duration = Duration::from_millis(3);
const LONG: Duration = Duration::from_millis(50);
/// The same where nothing is under way.
const IDLE: Duration = Duration::from_millis(250);
/// How long is waited after a store that did not answer.
const BACKOFF: Duration = Duration::from_secs(1);
/// How long a lease lasts without being renewed, and how often it is, in milliseconds; as for rollouts.
const LEASE_MS: i64 = 3_000;
const RENEW_MS: u64 = 1_000;
/// How long items under way are waited for when the process ends.
const END: Duration = Duration::from_secs(5);
/// How long jobs are kept that have ended, and how often old ones are looked for, in milliseconds.
const KEPT_MS: i64 = 30 * 86_400_000;
const PRUNE_MS: u64 = 3_600_000;
/// Jobs that are forgotten in one step.
const PRUNE_MOST: usize = 100;

/// The thread's own.
pub(super) struct Work {
    process: Arc<Process>,
    shelf: Arc<Shelf>,
    instance: String,
    counts: Arc<JobCounts>,
    eyes: Eyes,
    /// Who leads the jobs of each folder; `""` for those that need none.
    leases: BTreeMap<String, Lease>,
    renew_ms: u64,
    /// Whether nothing was to be done when it was looked last.
    is_resting: bool,
    look_ms: u64,
    prune_ms: u64,
    /// The version of the store's jobs that was taken up last.
    seen: Option<u64>,
    board: Board,
    inputs: BTreeMap<String, Inputs>,
    /// Wishes that were done and are not yet stored as done, by job.
    done: BTreeMap<String, String>,
    /// What ended, behind which mark of the ledger.
    finished: VecDeque<(u64, Ended)>,
    /// What is to be written, by the folder whose lease it is written under; it is tried again until it
    /// is, or another leads.
    pending: BTreeMap<String, Vec<JobSave>>,
    /// What starts once that is written.
    starts: Vec<Start>,
    under_way: usize,
    room: Room,
    sender: mpsc::Sender<Ended>,
    receiver: mpsc::Receiver<Ended>,
}

impl Work {
    pub(super) fn new(
        process: &Arc<Process>,
        shelf: &Arc<Shelf>,
        instance: String,
        counts: Arc<JobCounts>,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(ROOM);
        Self {
            process: process.clone(),
            shelf: shelf.clone(),
            instance,
            counts,
            eyes: Eyes::default(),
            leases: BTreeMap::new(),
            renew_ms: 0,
            is_resting: false,
            look_ms: 0,
            prune_ms: 0,
            seen: None,
            board: Board::default(),
            inputs: BTreeMap::new(),
            done: BTreeMap::new(),
            finished: VecDeque::new(),
            pending: BTreeMap::new(),
            starts: Vec::new(),
            under_way: 0,
            room: Room::default(),
            sender,
            receiver,
        }
    }

    /// Runs until told to end. Items are called by tasks of the runtime, which go on while it is waited
    /// here; the store is asked outside of them, as a client of PostgreSQL has a runtime of its own, which
    /// no task may wait for.
    pub(super) fn run(mut self, ends: &AtomicBool, runtime: &Runtime) {
        let _context = runtime.enter();
        let mut is_down = false;
        while !ends.load(Ordering::Acquire) {
            let wait = match self.step(true) {
                Ok(()) => {
                    is_down = false;
                    self.wait()
                }
                Err(ControlError::NotLeader(_)) => {
                    self.step_down();
                    IDLE
                }
                Err(error) => {
                    if !is_down {
                        tracing::warn!(%error, "jobs wait for the store");
                    }
                    is_down = true;
                    BACKOFF
                }
            };
            runtime.block_on(self.receive(wait));
        }
        self.end(runtime);
    }

    /// How long nothing is to be done unless something ends.
    fn wait(&self) -> Duration {
        match (self.finished.is_empty(), self.under_way) {
            (false, _) => SHORT,
            (true, 1..) => LONG,
            (true, 0) => IDLE,
        }
    }

    /// Takes what ends, waiting for the first at most so long.
    async fn receive(&mut self, wait: Duration) {
        let mut next = tokio::select! {
            first = self.receiver.recv() => first,
            () = self.shelf.wished() => {
                self.look_ms = 0;
                None
            }
            () = tokio::time::sleep(wait) => None,
        };
        while let Some(ended) = next {
            self.under_way = self.under_way.saturating_sub(1);
            // What it cost was given to the books before it ended.
            let mark = self
                .process
                .shared()
                .books
                .as_ref()
                .map_or(0, |books| books.mark());
            self.room.learn(&ended.held);
            // Another may have its place while this one is written down.
            self.board.answered(&ended.job, ended.index, ended.took_ms);
            self.finished.push_back((mark, ended));
            next = self.receiver.try_recv().ok();
        }
    }

    /// Stops starting, and stores what still ends in time.
    fn end(mut self, runtime: &Runtime) {
        let until = Instant::now() + END;
        while self.leads() && Instant::now() < until {
            if self.step(false).is_err() {
                break;
            }
            if self.under_way == 0 && self.finished.is_empty() && self.pending.is_empty() {
                break;
            }
            runtime.block_on(self.receive(SHORT));
        }
        for lease in std::mem::take(&mut self.leases).into_values() {
            if lease.holder == self.instance {
                // Another takes it when it expires, else.
                let _ = self.shelf.ask(|store| store.give_lease(&lease));
            }
        }
    }

    fn leads(&self) -> bool {
        self.leases.keys().any(|folder| self.leads_in(folder))
    }

    /// Whether it leads the jobs that need this folder.
    fn leads_in(&self, folder: &str) -> bool {
        let lease = self.leases.get(folder);
        lease.is_some_and(|lease| lease.is_held_by(&self.instance, signed(now_ms())))
    }

    /// Another leads: what is under way here ends for nothing, and is called again there.
    fn step_down(&mut self) {
        self.leases.clear();
        self.seen = None;
        self.board = Board::default();
        self.inputs.clear();
        self.done.clear();
        self.pending.clear();
        self.starts.clear();
        self.finished.clear();
        self.counts.clear_gauges();
    }

    fn step(&mut self, starts: bool) -> Result<(), ControlError> {
        let now = now_ms();
        if self.rests(now)? {
            return Ok(());
        }
        self.renew(now)?;
        if !self.leads() {
            self.finished.clear();
            if self.seen.is_some() {
                self.step_down();
            }
            return Ok(());
        }
        self.write()?;
        // What could not be written the last time.
        self.dispatch();
        if now >= self.look_ms {
            self.look_ms = now + LOOK_MS;
            self.refresh(now)?;
            self.look(now);
            self.prune(now)?;
        }
        let mut results = self.settle(now);
        let is_draining = self.process.shared().is_draining();
        if starts && !is_draining {
            let open = self.under_way + self.finished.len();
            self.starts = self.board.next(self.room.starts(open), now);
        }
        for change in self.board.take_changes() {
            let results = results.remove(&change.job).unwrap_or_default();
            self.note(&change, results);
        }
        for (id, wish) in std::mem::take(&mut self.done) {
            let mut pending = self.pending.values_mut().flatten();
            match pending.find(|save| save.id == id) {
                Some(save) => save.done = wish,
                // Nothing came of it: it is only taken down.
                None => self.forget_wish(id, wish)?,
            }
        }
        self.write()?;
        self.dispatch();
        Ok(())
    }

    /// Whether there is nothing to do, and nobody has asked for anything since it was looked last: then no
    /// lease is held, so that a gateway without jobs writes nothing.
    fn rests(&mut self, now: u64) -> Result<bool, ControlError> {
        let is_empty = self.board.ids().next().is_none() && self.pending.is_empty();
        if !is_empty || self.under_way > 0 || !self.finished.is_empty() {
            self.is_resting = false;
            return Ok(false);
        }
        if now >= self.look_ms || !self.is_resting {
            let environment = &self.shelf.environment;
            let version = self.shelf.ask(|store| store.version(environment))?;
            self.is_resting = version == 0 || self.seen == Some(version);
            if self.is_resting {
                self.look_ms = now + LOOK_MS;
                self.counts.clear_gauges();
                self.prune(now)?;
            }
        }
        Ok(self.is_resting)
    }

    fn renew(&mut self, now: u64) -> Result<(), ControlError> {
        if now < self.renew_ms {
            return Ok(());
        }
        let environment = &self.shelf.environment;
        let own = self.shelf.folder.as_ref();
        let own = own.map(|folder| {
            (
                format!("jobs/{environment}/{}", folder.id),
                folder.id.clone(),
            )
        });
        let all = [(format!("jobs/{environment}"), String::new())];
        for (name, folder) in all.into_iter().chain(own) {
            let instance = &self.instance;
            let taken = self
                .shelf
                .ask(|store| store.take_lease(&name, instance, signed(now), LEASE_MS))?;
            let known = self.leases.get(&folder);
            if let Some(known) = known.filter(|known| known.token != taken.token) {
                // Whoever led meanwhile may have gone on with what is on our board.
                if known.holder == self.instance {
                    self.step_down();
                    return Ok(());
                }
                // What is to be taken up is another's no longer.
                self.seen = None;
            }
            self.leases.insert(folder, taken);
        }
        self.renew_ms = now + RENEW_MS;
        Ok(())
    }

    fn look(&mut self, now: u64) {
        let ours: BTreeMap<String, u32> = self
            .board
            .lanes()
            .into_iter()
            .map(|lane| {
                let own = self.board.in_flight(Some(&lane));
                (lane, u32::try_from(own).unwrap_or(u32::MAX))
            })
            .into_map();
        let seen = self.eyes.look(&self.process, &ours);
        self.board
            .look(|lane| seen.get(lane).copied().unwrap_or_default(), now);
        self.counts.clear_gauges();
        for id in self.board.ids() {
            let Some((spec, progress)) = self.board.job(id) else {
                continue;
            };
            let own = self.board.in_flight_of(id) as u64;
            let left = u64::from(spec.count.saturating_sub(progress.ended()));
            self.counts.of(&spec.queue, |count| {
                *count.open.entry(progress.state.as_str()).or_default() += 1;
                count.in_flight += own;
                count.waiting += left.saturating_sub(own);
            });
        }
    }

    fn prune(&mut self, now: u64) -> Result<(), ControlError> {
        if now < self.prune_ms {
            return Ok(());
        }
        let before = signed(now).saturating_sub(KEPT_MS);
        let gone = self.shelf.ask(|store| store.prune(before, PRUNE_MOST))?;
        // Where there may be more, the next step goes on: one must not wait for all of them.
        if gone < PRUNE_MOST as u64 {
            self.prune_ms = now + PRUNE_MS;
        }
        Ok(())
    }

    /// Counts what ended and was charged. What items answered that ended for good, by job.
    fn settle(&mut self, now: u64) -> BTreeMap<String, Vec<ItemResult>> {
        let written = match &self.process.shared().books {
            Some(books) => books.written(),
            None => u64::MAX,
        };
        let is_draining = self.process.shared().is_draining();
        let mut results: BTreeMap<String, Vec<ItemResult>> = BTreeMap::new();
        while let Some((_, ended)) = self.finished.pop_front_if(|(mark, _)| *mark <= written) {
            // The gateway ends, not the item: whoever comes next calls it again.
            if is_draining && ended.result.reason == "lost" {
                continue;
            }
            if let Some((spec, _)) = self.board.job(&ended.job)
                && matches!(ended.outcome, Outcome::Refused { .. })
            {
                self.eyes.refused(&spec.lane);
            }
            self.board
                .ended(&ended.job, ended.index, &ended.outcome, now);
            results.entry(ended.job).or_default().push(ended.result);
        }
        results
    }

    /// Prepares a change to be written, and counts it.
    fn note(&mut self, change: &Change, results: Vec<ItemResult>) {
        let ended: BTreeSet<u32> = change.ended.iter().map(|(index, _)| *index).into_set();
        let inputs = self.inputs.get(&change.job);
        let queue = inputs.map_or_else(String::new, |inputs| inputs.order.spec.queue.clone());
        let (name, items) = inputs.map(Inputs::called).unwrap_or_default();
        let folder = inputs.map_or_else(String::new, |inputs| inputs.order.folder().to_owned());
        let owner = inputs.and_then(|inputs| inputs.order.call.consumer.clone());
        let state = change.progress.state;
        self.counts.of(&queue, |count| {
            if state.is_over() {
                *count.ended.entry(state.as_str()).or_default() += 1;
            }
            let well = change.ended.iter().filter(|(_, well)| *well).count() as u64;
            count.succeeded += well;
            count.failed += change.ended.len() as u64 - well;
            for note in &change.notes {
                match note.kind {
                    NoteKind::Retry => count.retries += 1,
                    NoteKind::Repeat => count.repeats += 1,
                    NoteKind::Failure => {}
                }
            }
        });
        let told = state.is_over().then(|| {
            self.inputs.remove(&change.job);
            let job: [&str; 4] = [&self.shelf.environment, &change.job, &name, &queue];
            told::done(job, owner.as_deref(), items, &change.progress)
        });
        let notes = change.notes.iter();
        let notes = notes.map(|note| {
            (
                note.index,
                note.attempt,
                note.kind.as_str(),
                note.reason.clone(),
            )
        });
        self.pending.entry(folder).or_default().push(JobSave {
            id: change.job.clone(),
            state: state.as_str().to_owned(),
            is_over: state.is_over(),
            progress: serde_json::to_string(&change.progress).unwrap_or_default(),
            started: change.started.clone(),
            ended: change.ended.clone(),
            // What a try answered that is followed by another is not the item's result.
            results: results
                .into_iter()
                .filter(|result| ended.contains(&result.index))
                .collect(),
            notes: notes.collect(),
            done: String::new(),
            told,
        });
    }

    /// A wish that changed nothing is done, too.
    fn forget_wish(&mut self, id: String, wish: String) -> Result<(), ControlError> {
        let Some(row) = self.shelf.job(&id)? else {
            return Ok(());
        };
        self.pending.entry(row.folder).or_default().push(JobSave {
            id,
            state: row.state,
            is_over: row.is_over,
            progress: row.progress,
            done: wish,
            ..JobSave::default()
        });
        Ok(())
    }

    fn write(&mut self) -> Result<(), ControlError> {
        while let Some((folder, pending)) = self.pending.first_key_value() {
            let Some(lease) = self.leases.get(folder) else {
                return Err(ControlError::NotLeader("jobs".into()));
            };
            self.shelf
                .ask(|store| store.save(lease, pending, signed(now_ms())))?;
            self.pending.pop_first();
        }
        Ok(())
    }

    /// Calls what is stored as started.
    fn dispatch(&mut self) {
        for start in std::mem::take(&mut self.starts) {
            let Some(inputs) = self.inputs.get_mut(&start.job) else {
                continue;
            };
            self.under_way += 1;
            let order = inputs.order.clone();
            let place = (start.index, start.attempt);
            let (process, sender) = (self.process.clone(), self.sender.clone());
            let asked = inputs.asked(start.index, &self.shelf);
            let bytes = asked.as_ref().map_or(0, |asked| asked.body.len());
            let held = self.room.hold(bytes);
            tokio::spawn(async move {
                let ended = match asked {
                    Ok(asked) => call::call(process, order, place, asked, held).await,
                    Err(reason) => Ended::unasked(start, &reason, held),
                };
                // Whoever listened has ended; the item is called again by who comes next.
                let _ = sender.send(ended).await;
            });
        }
    }
}
