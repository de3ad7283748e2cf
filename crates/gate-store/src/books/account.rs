//! One budget as this process sees it: the slice that it leases, and what is taken from it.

use super::Refusal;
use super::period::{period_end, period_start};
use crate::ledger::{Granted, LeaseRequest};
use gate_kit::clock::Moment;
use gate_model::resources::BudgetPeriod;
use gate_model::units::TimeZone;
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// A slice is this part of a limit.
const SLICES: i64 = 128;
/// A budget without calls for this long gives its slice back.
const IDLE: Duration = Duration::from_secs(5);
/// How long a budget that was found exhausted is not asked about again.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// What a budget counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Picodollars.
    Money,
    /// Tokens, input and output together.
    Tokens,
    /// Requests, which are counted when they are let in ([`super::Books::count`]).
    Requests,
}

/// What a budget allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetSpec {
    /// Its name, under which the store keeps it.
    pub name: Arc<str>,
    /// What it counts.
    pub unit: Unit,
    /// How much, in its unit.
    pub limit: i64,
    /// For how long.
    pub period: BudgetPeriod,
    /// The time zone in which periods begin.
    pub zone: TimeZone,
    /// Amounts whose crossing is an event.
    pub thresholds: SmallVec<[i64; 2]>,
}

impl BudgetSpec {
    /// When the period began that a UNIX second lies in.
    fn start(&self, unix_s: i64) -> i64 {
        period_start(self.period, &self.zone, unix_s)
    }

    /// When the period ends that began then.
    fn end(&self, start: i64) -> Option<i64> {
        period_end(self.period, &self.zone, start)
    }
}

/// What is left of an account, as far as is known in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// In its unit; what other processes have spent since the last commit is not known.
    pub remaining: i64,
    /// When the period began, in UNIX seconds.
    pub since_unix_s: i64,
    /// When it ends, in UNIX seconds; never for `None`.
    pub until_unix_s: Option<i64>,
}

/// What is known about a budget's current period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountState {
    /// The budget.
    pub name: Arc<str>,
    /// What it counts.
    pub unit: Unit,
    /// How much it allows.
    pub limit: i64,
    /// Settled by everybody, as of the last commit.
    pub settled: i64,
    /// Charged for reservations of dead processes, as of the last commit.
    pub unsettled: i64,
    /// Reserved by calls of this process.
    pub reserved: i64,
}

/// What may be reserved from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Free {
    /// The slice; the store answers and may give more.
    Leased,
    /// The store is down: the slice while it is `valid`, and one `more` of its size.
    Rest { valid: bool, more: bool },
}

/// One budget of this process.
pub struct Account {
    name: Arc<str>,
    /// What it counts, which every call asks several times.
    unit: AtomicU8,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    spec: BudgetSpec,
    /// A period that is known, from its first second to before its last: calendars are asked once.
    span: Range<i64>,
    periods: SmallVec<[Period; 1]>,
}

#[derive(Debug, Default)]
struct Period {
    start: i64,
    /// The slice.
    leased: i64,
    /// Taken from it by open calls.
    reserved: i64,
    /// Taken from it by calls that have ended and are not written yet.
    used: i64,
    /// The part of `used` that no entry says, and that the writer has not taken up.
    counted: i64,
    /// What calls went short of since the writer looked last.
    demand: i64,
    /// When a call reserved or settled last.
    last: Option<Moment>,
    /// When the store last gave less than was asked for.
    denied: Option<Moment>,
    /// Others went short within the last second.
    wanted: bool,
    /// As of the last commit.
    settled: i64,
    unsettled: i64,
    others: i64,
    /// What nobody held as of the last commit, and what was given back since.
    spare: i64,
    /// What the last call reserved: so much is kept at hand for the next one.
    most: i64,
    /// Nothing has been heard from the store yet.
    unheard: bool,
}

impl Period {
    const fn rest(&self) -> i64 {
        self.leased - self.reserved - self.used
    }

    /// Whether the slice of this limit is running out, and more may be had.
    fn is_low(&self, limit: i64) -> bool {
        self.denied.is_none() && self.rest() < self.most.max(slice(limit) / 4)
    }
}

impl Account {
    pub(super) fn new(spec: &BudgetSpec) -> Self {
        Self {
            name: spec.name.clone(),
            unit: AtomicU8::new(spec.unit as u8),
            state: Mutex::new(State {
                spec: spec.clone(),
                span: 0..0,
                periods: SmallVec::new(),
            }),
            changed: Notify::new(),
        }
    }

    pub(super) fn configure(&self, spec: &BudgetSpec) {
        let mut state = self.lock();
        if state.spec != *spec {
            state.spec = spec.clone();
            state.span = 0..0;
            self.unit.store(spec.unit as u8, Ordering::Relaxed);
        }
    }

    /// The budget's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What it counts.
    #[must_use]
    pub fn unit(&self) -> Unit {
        let is = |unit: &Unit| *unit as u8 == self.unit.load(Ordering::Relaxed);
        let units = [Unit::Money, Unit::Tokens, Unit::Requests];
        units.into_iter().find(is).unwrap_or(Unit::Money)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Takes from the slice: the period it was taken from, and whether little is left of the slice and
    /// more may be had. `Err(true)` when asking the store would not help; otherwise the writer is to
    /// fetch as much where the call `asks`.
    pub(super) fn reserve(
        &self,
        amount: i64,
        unix_s: i64,
        now: Moment,
        free: Free,
        asks: bool,
    ) -> Result<(i64, bool), bool> {
        let mut state = self.lock();
        let limit = state.spec.limit;
        let start = state.start(unix_s);
        let period = state.period(start);
        period.last = Some(now);
        let rest = match free {
            Free::Leased => period.rest(),
            Free::Rest { valid, more } => {
                let lost = if valid { 0 } else { period.leased };
                period.rest() - lost + if more { slice(limit) } else { 0 }
            }
        };
        if amount <= rest {
            period.reserved += amount;
            period.most = amount;
            return Ok((start, period.is_low(limit)));
        }
        if amount > limit {
            return Err(true);
        }
        let denied = period.denied.is_some_and(|at| now.since(at) < EXHAUSTED);
        let gone = amount > rest.saturating_add(period.spare);
        if denied && gone && period.others == 0 && free == Free::Leased {
            return Err(true);
        }
        if asks {
            period.demand = period.demand.saturating_add(amount);
        }
        Err(false)
    }

    /// Ends a reservation: `used` of it was spent.
    pub(super) fn settle(&self, start: i64, reserved: i64, used: i64, now: Moment) {
        let mut state = self.lock();
        let period = state.period(start);
        period.reserved -= reserved;
        period.used = period.used.saturating_add(used);
        period.last = Some(now);
    }

    /// Ends a reservation of a request that is let in, of which no entry is written.
    pub(super) fn count(&self, start: i64, amount: i64, now: Moment) {
        let mut state = self.lock();
        let period = state.period(start);
        period.reserved -= amount;
        period.used = period.used.saturating_add(amount);
        period.counted = period.counted.saturating_add(amount);
        period.last = Some(now);
    }

    /// What was counted since this was asked last, by period.
    pub(super) fn take_counted(&self) -> SmallVec<[(i64, i64); 1]> {
        let mut state = self.lock();
        let counted = state
            .periods
            .iter_mut()
            .filter(|period| period.counted != 0);
        let take = |period: &mut Period| (period.start, std::mem::take(&mut period.counted));
        counted.map(take).collect()
    }

    /// What is left of the period that a UNIX second lies in.
    pub(super) fn standing(&self, unix_s: i64) -> Standing {
        let mut state = self.lock();
        let (limit, start) = (state.spec.limit, state.spec.start(unix_s));
        let until_unix_s = state.spec.end(start);
        let period = state.period(start);
        let spent = period.settled + period.unsettled + period.reserved + period.used;
        Standing {
            remaining: (limit - spent).max(0),
            since_unix_s: start,
            until_unix_s,
        }
    }

    /// Takes what was spent without a reservation; the period it falls into.
    pub(super) fn charge(&self, amount: i64, unix_s: i64, now: Moment) -> i64 {
        let start = {
            let mut state = self.lock();
            state.start(unix_s)
        };
        self.settle(start, 0, amount, now);
        start
    }

    pub(super) fn exhausted(&self, unix_s: i64) -> Refusal {
        let state = self.lock();
        Refusal::Exhausted {
            budget: self.name.clone(),
            until_unix_s: state.spec.end(state.spec.start(unix_s)),
        }
    }

    pub(super) fn state(&self, unix_s: i64) -> AccountState {
        let mut state = self.lock();
        let spec = state.spec.clone();
        let start = spec.start(unix_s);
        let period = state.period(start);
        AccountState {
            name: spec.name,
            unit: spec.unit,
            limit: spec.limit,
            settled: period.settled,
            unsettled: period.unsettled,
            reserved: period.reserved,
        }
    }

    /// What to ask of the store. `used` is what the batch takes out of the lease of a period.
    pub(super) fn requests(
        &self,
        unix_s: i64,
        now: Moment,
        used: impl Fn(i64) -> i64,
        leave: bool,
    ) -> SmallVec<[LeaseRequest; 1]> {
        let mut state = self.lock();
        let spec = state.spec.clone();
        let current = spec.start(unix_s);
        state.period(current);
        state.periods.retain(|period| {
            period.start == current || period.leased + period.reserved + period.used != 0
        });
        let mut requests = SmallVec::new();
        for period in &mut state.periods {
            let used = used(period.start);
            let lately = period.last.is_some_and(|at| now.since(at) <= IDLE);
            let idle = leave || period.start != current || !lately;
            let slice = slice(spec.limit).max(period.most);
            let free = match (idle, period.wanted) {
                (true, _) if leave => 0,
                // A call that began in a period that has ended may need more of it.
                (true, _) | (false, true) => period.demand,
                (false, false) => slice.saturating_add(period.demand),
            };
            let quiet = period.leased == 0 && period.demand == 0 && used == 0;
            if quiet && !period.unheard {
                continue;
            }
            let kept = period.leased - used;
            let mut target = (period.reserved + period.used - used).saturating_add(free);
            // Small surpluses stay, so that not every settled call moves the lease.
            if target < kept && kept - target <= slice && !idle && !period.wanted {
                target = kept;
            }
            if target < kept {
                // Given back before the store knows: nobody may take it from here on.
                period.spare = period.spare.saturating_add(kept - target);
                period.leased = target + used;
            }
            period.demand = 0;
            requests.push(LeaseRequest {
                budget: spec.name.clone(),
                period: period.start,
                limit: spec.limit,
                target,
                thresholds: spec.thresholds.clone(),
            });
        }
        requests
    }

    /// Takes in what the store gave.
    pub(super) fn granted(&self, granted: &Granted, target: i64, used: i64, now: Moment) {
        let mut state = self.lock();
        let limit = state.spec.limit;
        let period = state.period(granted.period);
        period.leased = granted.amount;
        period.used -= used;
        period.denied = (granted.amount < target).then_some(now);
        period.others = granted.leased - granted.amount;
        period.spare = (limit - granted.settled - granted.unsettled - granted.leased).max(0);
        period.wanted = granted.wanted;
        period.settled = granted.settled;
        period.unsettled = granted.unsettled;
        period.unheard = false;
    }

    /// Whether the slice is running out, and more may be had.
    pub(super) fn is_low(&self, start: i64) -> bool {
        let mut state = self.lock();
        let limit = state.spec.limit;
        state.period(start).is_low(limit)
    }

    pub(super) fn wake(&self) {
        self.changed.notify_waiters();
    }

    /// Whether a lease is held or calls are open.
    pub(super) fn is_active(&self) -> bool {
        let state = self.lock();
        state
            .periods
            .iter()
            .any(|p| p.leased != 0 || p.used != 0 || p.unheard)
    }
}

impl State {
    /// When the period began that a UNIX second lies in.
    fn start(&mut self, unix_s: i64) -> i64 {
        if !self.span.contains(&unix_s) {
            let start = self.spec.start(unix_s);
            self.span = start..self.spec.end(start).unwrap_or(i64::MAX);
        }
        self.span.start
    }

    fn period(&mut self, start: i64) -> &mut Period {
        let mut periods = self.periods.iter();
        let at = match periods.position(|period| period.start == start) {
            Some(at) => at,
            None => {
                self.periods.push(Period {
                    start,
                    unheard: true,
                    ..Period::default()
                });
                self.periods.len() - 1
            }
        };
        &mut self.periods[at]
    }
}

/// What a process holds of a budget beyond what its calls need.
fn slice(limit: i64) -> i64 {
    (limit / SLICES).max(1)
}
