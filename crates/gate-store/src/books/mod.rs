//! A process's own side of the ledger: calls are reserved here without asking the store.
//!
//! Of every budget in use the process leases a slice from the store: a 128th of the limit, or what a
//! single call needs. A reservation takes from the slice at hand, under one short lock; only when
//! the slice is too small it waits for the writer ([`writer`](self)), which fetches more. What calls
//! cost is queued and written in groups. The store's sum of leases never exceeds what a budget has
//! left, so that all gateways together never reserve more than the limit.
//!
//! **Bounds.** Spending exceeds a limit only by what single calls cost beyond their reservation.
//! A call is refused only when less is left than it needs, not counting what other gateways hold;
//! these give back what they do not use within half a second of a shortage, and a gateway that has
//! died holds at most one slice per budget for 20 s at most.

mod account;
mod count;
mod hold;
mod more;
mod period;
mod queue;
mod usage;
mod writer;

pub use account::{Account, AccountState, BudgetSpec, Standing, Unit};
pub use count::{Counted, quota_name};
pub use hold::{Hold, Leg, Settlement, Share};
pub use more::More;
pub use period::{period_end, period_start};
pub use usage::{SPAN_DAYS, Usage};

use crate::StoreError;
use crate::ledger::{CallerRow, ExchangeId, Facts, Store};
use account::Free;
use gate_kit::clock::{Clock, Moment};
use gate_kit::order::Order;
use gate_model::units::Money;
use hold::Call;
use queue::Queue;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Most calls that may wait to be written down, open ones included.
const PLACES: usize = 65_536;
/// A commit that takes longer counts as a store that is down.
const SLOW: Duration = Duration::from_millis(400);
/// How long a call waits for a slice that others may give back.
const PATIENCE: Duration = Duration::from_millis(700);

/// What happens to calls under a budget while the store cannot be reached and the slice at hand is
/// used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenDown {
    /// They are refused.
    #[default]
    Closed,
    /// Each gateway may spend one more slice of each budget, which can exceed the limit by that.
    OpenLocal,
}

/// How books are kept.
#[derive(Debug, Clone, Default)]
pub struct BooksOptions {
    /// While the store is down.
    pub when_down: WhenDown,
    /// How long settled entries are kept; for ever when `None`.
    pub retention: Option<Duration>,
}

/// Why a call may not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A budget has not enough left.
    Exhausted {
        /// The budget.
        budget: Arc<str>,
        /// When its period ends, in UNIX seconds.
        until_unix_s: Option<i64>,
    },
    /// The store is down, and the slice at hand is used up.
    Unavailable,
    /// Too many calls wait to be written down.
    Full,
}

/// Makes the store; called again after it has been lost.
pub type Connect = Box<dyn FnMut() -> Result<Box<dyn Store>, StoreError> + Send>;

/// Counts that are written down with the books: what has changed since it was asked last.
pub type CallerSource = Box<dyn Fn() -> Vec<CallerRow> + Send>;

/// The books of a process. Workers share them.
pub struct Books {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    clock: Clock,
    options: BooksOptions,
    queue: Mutex<Queue>,
    callers: Mutex<Option<CallerSource>>,
    /// Where somebody shows it.
    usage: OnceLock<Arc<Usage>>,
    arrived: Condvar,
    accounts: Mutex<HashMap<Arc<str>, Arc<Account>>>,
    /// Calls that are open or not yet written.
    places: AtomicUsize,
    lost: AtomicU64,
    down: AtomicBool,
    /// When the commit in progress began, in nanoseconds of [`Moment`]; 0 for none.
    busy_since: AtomicU64,
    /// Until when leases may be used, as a [`Moment`]: others take them for lost later than that.
    leases_until: AtomicU64,
    /// What the UNIX time is ahead of the monotonic one.
    offset_ms: AtomicI64,
    events: AtomicU64,
    /// Calls that were ever written, in the order in which they were queued.
    written: AtomicU64,
}

/// What is wrong with a reservation.
enum Short {
    Refused(Refusal),
    /// The slice of this account is too small; the writer may fetch more.
    Wait(Arc<Account>),
}

/// What was taken from an account: of which period, and how much.
type Taken = (Arc<Account>, i64, i64);

/// What was reserved where.
type Reserved = SmallVec<[Taken; 2]>;

/// One budget that a call falls under, with the most it can cost there.
pub type Part<'a> = (&'a Arc<Account>, i64);

impl Books {
    /// Opens the store and starts the writer. A store that cannot be reached is tried again.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] and [`StoreError::Broken`]: trying again would not help.
    pub fn open(
        mut connect: Connect,
        options: BooksOptions,
        clock: Clock,
    ) -> Result<Arc<Self>, StoreError> {
        let store = match connect() {
            Ok(store) => Some(store),
            Err(StoreError::Unreachable(problem)) => {
                tracing::error!(problem, "the store is down; it is tried again");
                None
            }
            Err(error) => return Err(error),
        };
        let shared = Arc::new(Shared {
            clock,
            options,
            queue: Mutex::default(),
            callers: Mutex::default(),
            usage: OnceLock::new(),
            arrived: Condvar::new(),
            accounts: Mutex::default(),
            places: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            down: AtomicBool::new(store.is_none()),
            busy_since: AtomicU64::new(0),
            leases_until: AtomicU64::new(0),
            offset_ms: AtomicI64::new(0),
            events: AtomicU64::new(0),
            written: AtomicU64::new(0),
        });
        shared.compare_clocks();
        let writer = writer::Writer::new(shared.clone(), connect, store);
        let thread = std::thread::Builder::new()
            .name("ledger".into())
            .spawn(move || writer.run())
            .map_err(|error| StoreError::Unusable(format!("no thread for the ledger: {error}")))?;
        Ok(Arc::new(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        }))
    }

    /// Writes down from now on, every few seconds and at the end, what `source` has counted.
    pub fn watch_callers(&self, source: CallerSource) {
        let mut callers = self
            .shared
            .callers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *callers = Some(source);
    }

    /// How often consumers called APIs, over every process of the store: read every few seconds from
    /// the first time on that this is asked for.
    #[must_use]
    pub fn usage(&self) -> Arc<Usage> {
        self.shared.usage.get_or_init(Arc::default).clone()
    }

    /// The account of a budget; what the budget allows may change over time.
    #[must_use]
    pub fn account(&self, spec: &BudgetSpec) -> Arc<Account> {
        let mut accounts = self.shared.accounts();
        let known = accounts.entry(spec.name.clone());
        let account = known.or_insert_with(|| Arc::new(Account::new(spec)));
        account.configure(spec);
        account.clone()
    }

    /// Reserves the most that a call can cost in every budget it falls under. Waits only when a
    /// slice is too small, and never longer than 700 ms. May be dropped midway.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is reserved then.
    pub async fn hold(
        &self,
        facts: &Arc<Facts>,
        cost: Option<Money>,
        parts: &[Part<'_>],
    ) -> Result<Hold, Refusal> {
        self.hold_as(&ExchangeId::random(), facts, cost, parts)
            .await
    }

    /// The same under an id that is given: whatever else is settled under it, by whichever process, is
    /// charged once.
    ///
    /// # Errors
    /// As [`hold`](Self::hold).
    pub async fn hold_as(
        &self,
        id: &ExchangeId,
        facts: &Arc<Facts>,
        cost: Option<Money>,
        parts: &[Part<'_>],
    ) -> Result<Hold, Refusal> {
        self.shared
            .patiently(|asks| self.try_hold(id, facts, cost, parts, asks))
            .await
    }

    /// The same without waiting; `None` when the store has to be asked.
    #[must_use]
    pub fn hold_now(
        &self,
        id: &ExchangeId,
        facts: &Arc<Facts>,
        cost: Option<Money>,
        parts: &[Part<'_>],
    ) -> Option<Result<Hold, Refusal>> {
        match self.try_hold(id, facts, cost, parts, false) {
            Ok(hold) => Some(Ok(hold)),
            Err(Short::Refused(refusal)) => Some(Err(refusal)),
            Err(Short::Wait(_)) => None,
        }
    }

    fn try_hold(
        &self,
        id: &ExchangeId,
        facts: &Arc<Facts>,
        cost: Option<Money>,
        parts: &[Part<'_>],
        asks: bool,
    ) -> Result<Hold, Short> {
        let shared = &self.shared;
        if !shared.take_place() {
            return Err(Short::Refused(Refusal::Full));
        }
        match shared.reserve(parts.iter().copied(), asks) {
            Ok((parts, at_ms, is_low)) => {
                let call = Call {
                    exchange: id.clone(),
                    facts: facts.clone(),
                    cost,
                    parts,
                    at_ms,
                    is_noted: false,
                };
                Ok(Hold::new(shared.clone(), call, is_low))
            }
            Err(short) => {
                shared.places.fetch_sub(1, Ordering::Relaxed);
                Err(short)
            }
        }
    }

    /// A call that falls under no budget but is written down; none, and counted, when too many
    /// wait.
    #[must_use]
    pub fn unbudgeted(&self, facts: &Arc<Facts>) -> Option<Hold> {
        self.unbudgeted_as(ExchangeId::random(), facts)
    }

    /// The same under an id that is given, as by [`hold_as`](Self::hold_as).
    #[must_use]
    pub fn unbudgeted_as(&self, id: ExchangeId, facts: &Arc<Facts>) -> Option<Hold> {
        let place = self.shared.take_place();
        if !place {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
        place.then(|| Hold::bare(self.shared.clone(), facts.clone(), id))
    }

    /// Whether a budget may have room for this; false when it is known to have none.
    #[must_use]
    pub fn has_room(&self, account: &Arc<Account>, amount: i64) -> bool {
        let now = self.shared.clock.now();
        let unix_s = self.shared.unix_ms(now).div_euclid(1000);
        let free = self.shared.free(now);
        match account.reserve(amount, unix_s, now, free, false) {
            Ok((period, _)) => {
                account.settle(period, amount, 0, now);
                true
            }
            // What the store may still give is not known to be gone.
            Err(exhausted) => !exhausted && free == Free::Leased,
        }
    }

    /// Writes down a call that falls under no budget. Lost, and counted, when too many wait.
    pub fn note(&self, facts: Arc<Facts>, settlement: &Settlement) {
        if self.shared.take_place() {
            let hold = Hold::bare(self.shared.clone(), facts, ExchangeId::random());
            hold.settle(settlement);
        } else {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes down something under an id of its own, charged to `accounts` whatever they have left:
    /// once, however often and by whichever gateway it is said. False, and counted, when too many
    /// calls wait. `id` is never that of a call, and its outcome is [`BATCH`](crate::ledger::BATCH).
    pub fn note_once(
        &self,
        id: &str,
        facts: Arc<Facts>,
        settlement: &Settlement,
        accounts: &[Arc<Account>],
    ) -> bool {
        if !self.shared.take_place() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let entry = Hold::bare(self.shared.clone(), facts, id.into());
        entry.settle_with(settlement, accounts);
        true
    }

    /// A mark behind everything that was settled so far: it is on the disk once [`written`] has come
    /// this far.
    ///
    /// [`written`]: Self::written
    #[must_use]
    pub fn mark(&self) -> u64 {
        self.shared.queue().pushed
    }

    /// Up to which [`mark`](Self::mark) everything is on the disk.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Acquire)
    }

    /// Whether the store can be reached, as far as is known.
    #[must_use]
    pub fn is_up(&self) -> bool {
        !self.shared.is_down(self.shared.clock.now())
    }

    /// Calls under no budget that were not written down.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Thresholds of budgets that this process has reported.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.shared.events.load(Ordering::Relaxed)
    }

    /// Calls that are open or not yet written.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.shared.places.load(Ordering::Relaxed)
    }

    /// What is known here about every budget in use, by name; quotas of requests are none.
    #[must_use]
    pub fn accounts(&self) -> Vec<AccountState> {
        let accounts = self.shared.accounts();
        let unix_s = self.shared.unix_s();
        let states = accounts.values().map(|account| account.state(unix_s));
        let mut states: Vec<_> = states
            .filter(|state| state.unit != Unit::Requests)
            .collect();
        states.order_by(|a, b| a.name.cmp(&b.name));
        states
    }

    /// Writes down what is queued, gives leases back, and ends the writer. Blocks up to
    /// `patience`; true when everything was written.
    pub fn close(&self, patience: Duration) -> bool {
        self.shared.queue().closed = true;
        self.shared.arrived.notify_one();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(thread) = thread else { return true };
        let step = Duration::from_millis(5);
        let mut left = patience;
        while !thread.is_finished() && !left.is_zero() {
            std::thread::sleep(step);
            left = left.saturating_sub(step);
        }
        thread.is_finished() && thread.join().is_ok()
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Account>>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unix_s(&self) -> i64 {
        i64::try_from(self.clock.unix().as_secs()).unwrap_or(i64::MAX)
    }

    /// UNIX milliseconds of a moment without asking the system's clock, which the writer compares
    /// every few seconds.
    fn unix_ms(&self, now: Moment) -> i64 {
        let ms = i64::try_from(now.0 / 1_000_000).unwrap_or(i64::MAX);
        ms.saturating_add(self.offset_ms.load(Ordering::Relaxed))
    }

    /// Compares the system's clock, which people set, with the one that only goes forward.
    fn compare_clocks(&self) {
        let unix_ms = i64::try_from(self.clock.unix().as_millis()).unwrap_or(i64::MAX);
        let now_ms = i64::try_from(self.clock.now().0 / 1_000_000).unwrap_or(i64::MAX);
        let offset = unix_ms.saturating_sub(now_ms);
        self.offset_ms.store(offset, Ordering::Relaxed);
    }

    /// Reserves in all of these or in none; what was taken, when in UNIX milliseconds, and whether
    /// little is left of a slice.
    fn reserve<'a>(
        &self,
        parts: impl Iterator<Item = (&'a Arc<Account>, i64)>,
        asks: bool,
    ) -> Result<(Reserved, i64, bool), Short> {
        let now = self.clock.now();
        self.reserve_at(parts, asks, now, self.unix_ms(now))
    }

    /// The same in the periods that a time lies in, in UNIX milliseconds.
    fn reserve_at<'a>(
        &self,
        parts: impl Iterator<Item = (&'a Arc<Account>, i64)>,
        asks: bool,
        now: Moment,
        unix_ms: i64,
    ) -> Result<(Reserved, i64, bool), Short> {
        let unix_s = unix_ms.div_euclid(1000);
        let free = self.free(now);
        let (mut taken, mut is_low) = (Reserved::new(), false);
        for (account, amount) in parts {
            match account.reserve(amount, unix_s, now, free, asks) {
                Ok((period, low)) => {
                    is_low |= low;
                    taken.push((account.clone(), period, amount));
                }
                Err(exhausted) => {
                    for (account, period, amount) in &taken {
                        account.settle(*period, *amount, 0, now);
                    }
                    return Err(match (exhausted, free) {
                        (true, _) => Short::Refused(account.exhausted(unix_s)),
                        (false, Free::Leased) => Short::Wait(account.clone()),
                        (false, _) => Short::Refused(Refusal::Unavailable),
                    });
                }
            }
        }
        Ok((taken, unix_ms, is_low))
    }

    fn take_place(&self) -> bool {
        let taken = self.places.fetch_add(1, Ordering::Relaxed) < PLACES;
        if !taken {
            self.places.fetch_sub(1, Ordering::Relaxed);
        }
        taken
    }

    /// Has the writer fetch more.
    fn ask(&self) {
        let mut queue = self.queue();
        if !queue.demand {
            queue.demand = true;
            drop(queue);
            self.arrived.notify_one();
        }
    }

    fn is_down(&self, now: Moment) -> bool {
        let since = self.busy_since.load(Ordering::Acquire);
        self.down.load(Ordering::Acquire) || (since != 0 && now.since(Moment(since)) > SLOW)
    }

    /// What may be reserved from right now.
    fn free(&self, now: Moment) -> Free {
        if !self.is_down(now) {
            return Free::Leased;
        }
        let valid = now.0 < self.leases_until.load(Ordering::Acquire);
        match self.options.when_down {
            WhenDown::Closed => Free::Rest { valid, more: false },
            WhenDown::OpenLocal => Free::Rest { valid, more: true },
        }
    }
}
