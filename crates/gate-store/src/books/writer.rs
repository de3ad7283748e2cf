//! The one thread that talks to the store: it writes in groups, fetches slices, and says that the
//! process lives.
//!
//! A commit that fails is repeated with whatever has come since; what it holds is unique by the
//! calls' ids, so that repeating does no harm. While the store is down everybody who waits is told
//! at once. A store that holds what cannot be stops the writer for good.

use super::queue::{Open, Queue};
use super::{Connect, Shared, usage};
use crate::StoreError;
use crate::instance::EXPIRY_MS;
use crate::instance::Instance;
use crate::ledger::{Batch, CallerRow, Charge, Granted, LeaseRequest, Store};
use gate_kit::clock::Moment;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Reservations that are taken up under one lock.
const COPIED: usize = 64;
/// How long entries gather when nobody waits for a slice.
const LINGER: Duration = Duration::from_millis(25);
/// How often a process with leases looks at what others want.
const TICK: Duration = Duration::from_millis(200);
/// How often it says that it lives otherwise, and looks for dead ones.
const BEAT: Duration = Duration::from_secs(4);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_millis(200);
/// How often old entries are forgotten.
const PRUNE: Duration = Duration::from_secs(3600);
/// How long quotas are kept after their period began, in seconds: longer than any month.
const QUOTAS_S: i64 = 40 * 86_400;
/// Before others take leases for lost, this process stops using them.
const MARGIN: Duration = Duration::from_secs(5);

pub(super) struct Writer {
    shared: Arc<Shared>,
    connect: Connect,
    store: Option<Box<dyn Store>>,
    batch: Batch,
    /// Reservations of calls that were open when the last batch was taken. They are written if these
    /// still are with the next one: most calls end before, and a row that comes and goes costs as much
    /// as the call's entry. Until then a lease answers for them, as for those of the last milliseconds.
    young: Vec<Open>,
    /// Those of the batch before, while they are looked at.
    old: Vec<Open>,
    /// Number of the last sums of counts.
    counts: i64,
    /// When dead processes were looked for last, and so on.
    recovered: Option<Moment>,
    pruned: Option<Moment>,
    beaten: Option<Moment>,
    callers: Callers,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        connect: Connect,
        store: Option<Box<dyn Store>>,
    ) -> Self {
        Self {
            shared,
            connect,
            store,
            batch: Batch::default(),
            young: Vec::new(),
            old: Vec::new(),
            counts: 0,
            recovered: None,
            pruned: None,
            beaten: None,
            callers: Callers::default(),
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let closed = self.gather();
            match self.write(closed) {
                Ok(()) if closed => {
                    self.note_callers();
                    self.leave();
                    return;
                }
                Ok(()) => self.keep_house(),
                Err(StoreError::Broken(problem)) => {
                    self.fail(&StoreError::Broken(problem));
                    tracing::error!("the ledger's writer has stopped; mend the store and restart");
                    return;
                }
                Err(error) => {
                    self.fail(&error);
                    if closed {
                        return;
                    }
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    /// Waits for something to write, or for the time to say that the process lives, and takes it.
    /// True once the books are closed.
    fn gather(&mut self) -> bool {
        let shared = self.shared.clone();
        let active = shared
            .accounts()
            .values()
            .any(|account| account.is_active());
        let patience = match (self.young.is_empty(), active) {
            (false, _) => LINGER,
            (true, true) => TICK,
            (true, false) => BEAT,
        };
        let quiet = |queue: &mut Queue| {
            !queue.closed
                && !queue.demand
                && queue.entries.is_empty()
                && queue.young.is_empty()
                && queue.cancelled.is_empty()
        };
        let queue = shared.queue();
        let (queue, _) = shared
            .arrived
            .wait_timeout_while(queue, patience, quiet)
            .unwrap_or_else(PoisonError::into_inner);
        let (mut queue, _) = shared
            .arrived
            .wait_timeout_while(queue, LINGER, |queue| !queue.closed && !queue.demand)
            .unwrap_or_else(PoisonError::into_inner);
        queue.demand = false;
        let closed = queue.closed;
        std::mem::swap(&mut self.old, &mut self.young);
        std::mem::swap(&mut self.young, &mut queue.young);
        drop(queue);
        if closed {
            self.old.append(&mut self.young);
        }
        // In parts, so that calls wait for a few only.
        for some in self.old.chunks(COPIED) {
            let mut queue = shared.queue();
            for open in some {
                if let Some((number, call)) = queue.open.get_mut(open.place)
                    && *number == open.number
                {
                    call.is_noted = true;
                    self.batch.holds.push(call.row());
                }
            }
        }
        self.old.clear();
        // What ended since its reservation was taken up is told apart where it is written.
        let mut queue = shared.queue();
        take_over(&mut self.batch.entries, &mut queue.entries);
        take_over(&mut self.batch.cancelled, &mut queue.cancelled);
        queue.shrink();
        closed
    }

    fn write(&mut self, closed: bool) -> Result<(), StoreError> {
        let now = self.shared.clock.now();
        if self.store.is_none() {
            self.store = Some((self.connect)()?);
        }
        self.shared.compare_clocks();
        self.batch.now_ms = self.shared.unix_ms(now);
        self.collect();
        let used = used(&self.batch);
        let targets = self.ask(&used, now, closed);
        let empty = self.batch.entries.is_empty()
            && self.batch.holds.is_empty()
            && self.batch.cancelled.is_empty()
            && self.batch.counts.is_empty()
            && self.batch.leases.is_empty();
        let beaten = self.beaten.is_some_and(|at| now.since(at) < BEAT);
        if empty && beaten && !self.shared.down.load(Ordering::Acquire) {
            return Ok(());
        }
        self.shared
            .busy_since
            .store(now.0.max(1), Ordering::Release);
        let store = self
            .store
            .as_mut()
            .ok_or_else(|| StoreError::Unreachable("not connected".into()));
        let result = store.and_then(|store| store.commit(&self.batch));
        self.shared.busy_since.store(0, Ordering::Release);
        if result.is_err() {
            self.batch.note_try();
        }
        let granted = result?;
        self.beaten = Some(now);
        // Counted from before the commit began, so that others wait longer than this process acts.
        let valid = Duration::from_millis(EXPIRY_MS.unsigned_abs()).saturating_sub(MARGIN);
        self.shared
            .leases_until
            .store(now.plus(valid).0, Ordering::Release);
        if self.shared.down.swap(false, Ordering::AcqRel) {
            tracing::info!("the store answers");
        }
        let calls: i64 = self.batch.entries.iter().map(|entry| entry.calls).sum();
        let calls = usize::try_from(calls).unwrap_or(0);
        let ended = calls + self.batch.cancelled.len();
        self.shared
            .written
            .fetch_add(calls as u64, Ordering::AcqRel);
        self.shared.places.fetch_sub(ended, Ordering::Relaxed);
        self.batch.empty();
        self.take(&granted, &targets, &used);
        Ok(())
    }

    /// Takes up what accounts have counted since the last time, under a number of its own.
    fn collect(&mut self) {
        let mut counted = BTreeMap::new();
        for (name, account) in self.shared.accounts().iter() {
            for (period, amount) in account.take_counted() {
                counted.insert((name.clone(), period), amount);
            }
        }
        if !counted.is_empty() {
            self.counts += 1;
            self.batch.counts.push((self.counts, counted));
        }
    }

    /// Fills in what is asked of the store; returns the targets.
    fn ask(&mut self, used: &Used, now: Moment, leave: bool) -> HashMap<(Arc<str>, i64), i64> {
        let unix_s = self.shared.unix_s();
        self.batch.leases.clear();
        for (name, account) in self.shared.accounts().iter() {
            let of = |period: i64| used.get(&(name.clone(), period)).copied().unwrap_or(0);
            self.batch
                .leases
                .extend(account.requests(unix_s, now, of, leave));
        }
        let target = |lease: &LeaseRequest| ((lease.budget.clone(), lease.period), lease.target);
        self.batch.leases.iter().map(target).collect()
    }

    fn take(&mut self, granted: &[Granted], targets: &HashMap<(Arc<str>, i64), i64>, used: &Used) {
        let now = self.shared.clock.now();
        let accounts = self.shared.accounts().clone();
        for granted in granted {
            let Some(account) = accounts.get(&granted.budget) else {
                continue;
            };
            let key = (granted.budget.clone(), granted.period);
            let target = targets.get(&key).copied().unwrap_or(0);
            account.granted(granted, target, used.get(&key).copied().unwrap_or(0), now);
            for amount in &granted.crossed {
                self.shared.events.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    budget = &*granted.budget,
                    threshold = amount,
                    settled = granted.settled,
                    unsettled = granted.unsettled,
                    "a budget has crossed a threshold"
                );
            }
        }
        accounts.values().for_each(|account| account.wake());
    }

    /// Tells everybody that the store does not answer.
    fn fail(&mut self, error: &StoreError) {
        self.store = match self.store.take() {
            // A statement that was refused leaves a connection that works.
            Some(store) if matches!(error, StoreError::Refused(_)) => Some(store),
            _ => None,
        };
        if !self.shared.down.swap(true, Ordering::AcqRel) {
            tracing::error!(%error, "the store is down");
        }
        let accounts = self.shared.accounts().clone();
        accounts.values().for_each(|account| account.wake());
    }

    /// Looks for dead processes now and then, and forgets what is old.
    fn keep_house(&mut self) {
        let now = self.shared.clock.now();
        let due = |last: Option<Moment>, every| last.is_none_or(|at| now.since(at) >= every);
        let now_ms = self.shared.unix_ms(now);
        if due(self.callers.noted, BEAT) {
            self.callers.noted = Some(now);
            self.note_callers();
            self.read_usage();
        }
        let Some(store) = &mut self.store else { return };
        if due(self.recovered, BEAT) {
            self.recovered = Some(now);
            match store.recover(now_ms) {
                Ok(found) if found.instances > 0 => tracing::warn!(
                    processes = found.instances,
                    reservations = found.unsettled,
                    leases = found.leases,
                    "what dead gateways left open is charged as unsettled"
                ),
                Ok(_) => {}
                Err(error) => tracing::error!(%error, "dead gateways could not be looked for"),
            }
        }
        if !due(self.pruned, PRUNE) {
            return;
        }
        self.pruned = Some(now);
        if let Err(error) = store.forget_quotas(now_ms.div_euclid(1000).saturating_sub(QUOTAS_S)) {
            tracing::error!(%error, "quotas of the past could not be forgotten");
        }
        if let Some(retention) = self.shared.options.retention {
            let kept = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
            if let Err(error) = store.prune(now_ms.saturating_sub(kept)) {
                tracing::error!(%error, "old entries could not be forgotten");
            }
        }
    }

    /// Writes down what was counted of callers. What fails is written the next time.
    fn note_callers(&mut self) {
        let source = self
            .shared
            .callers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let rows = source.as_ref().map(|source| source()).unwrap_or_default();
        drop(source);
        self.callers.waiting.add(rows);
        let Some(store) = &mut self.store else { return };
        let rows: Vec<_> = self.callers.waiting.0.values().cloned().collect();
        if rows.is_empty() {
            return;
        }
        match store.note_callers(&self.callers.process, &rows) {
            Ok(()) => self.callers.waiting.0.clear(),
            Err(error) => tracing::error!(%error, "who called which version could not be written"),
        }
    }

    /// Reads how often consumers called APIs, where somebody shows it.
    fn read_usage(&mut self) {
        let Some(usage) = self.shared.usage.get() else {
            return;
        };
        let since = self.shared.unix_s().div_euclid(86_400) - usage::SPAN_DAYS;
        let Some(store) = &mut self.store else { return };
        match store.used_apis(since) {
            Ok(rows) => usage.replace(rows),
            Err(error) => tracing::error!(%error, "usage of APIs could not be read"),
        }
    }

    fn leave(&mut self) {
        if let Some(store) = &mut self.store
            && let Err(error) = store.leave()
        {
            tracing::error!(%error, "leases were not given back; they expire");
        }
    }
}

/// Counts of callers on their way to the store.
struct Callers {
    /// Under which name they are written: that of the process, which connects again under another.
    process: String,
    noted: Option<Moment>,
    waiting: Waiting,
}

impl Default for Callers {
    fn default() -> Self {
        Self {
            process: Instance::this().id,
            noted: None,
            waiting: Waiting::default(),
        }
    }
}

/// Rows that are not written yet, the newest count of each.
#[derive(Default)]
struct Waiting(HashMap<CallerKey, CallerRow>);

/// Day, API, version, consumer, route.
type CallerKey = (i64, Arc<str>, Arc<str>, Arc<str>, Arc<str>);

impl Waiting {
    fn add(&mut self, rows: Vec<CallerRow>) {
        for row in rows {
            let (api, version) = (row.api.clone(), row.version.clone());
            let key = (
                row.day,
                api,
                version,
                row.consumer.clone(),
                row.route.clone(),
            );
            // Counts only grow, and the source bounds how many rows a day has.
            self.0.insert(key, row);
        }
    }
}

/// By budget and period; names of budgets are the operator's, who does not make them collide.
type Used = FxHashMap<(Arc<str>, i64), i64>;

/// What a batch takes out of leases.
fn used(batch: &Batch) -> Used {
    let mut used = Used::default();
    let mut add = |charge: &Charge, amount: i64| {
        let key = (charge.budget.clone(), charge.period);
        let sum = used.entry(key).or_default();
        *sum = sum.saturating_add(amount);
    };
    // Mostly a call falls under the budgets of the call before, which are not looked up again.
    let mut runs: SmallVec<[(&Charge, i64); 4]> = SmallVec::new();
    for entry in &batch.entries {
        for (position, charge) in entry.charges.iter().enumerate() {
            match runs.get_mut(position) {
                Some((first, sum))
                    if Arc::ptr_eq(&first.budget, &charge.budget)
                        && first.period == charge.period =>
                {
                    *sum = sum.saturating_add(charge.amount);
                }
                Some(run) => {
                    let (first, sum) = std::mem::replace(run, (charge, charge.amount));
                    add(first, sum);
                }
                None => runs.push((charge, charge.amount)),
            }
        }
    }
    runs.iter().for_each(|(first, sum)| add(first, *sum));
    for (key, amount) in batch.counts.iter().flat_map(|(_, sums)| sums) {
        let sum = used.entry(key.clone()).or_default();
        *sum = sum.saturating_add(*amount);
    }
    used
}

/// Moves what was queued behind what a failed commit has left; the queue keeps room for as much.
fn take_over<T>(batch: &mut Vec<T>, queued: &mut Vec<T>) {
    match batch.is_empty() {
        true => std::mem::swap(batch, queued),
        false => batch.append(queued),
    }
}
