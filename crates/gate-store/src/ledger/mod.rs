//! The ledger: what every call cost, open reservations, and what is left of budgets.
//!
//! Entries are only ever added. A call is part of one entry of kind `settle`, which stands for all
//! calls of one commit that differ in nothing (`group.rs`); one whose process died before it could
//! settle has one of kind `unsettled`, at the reserved amount, which a late `settle`
//! or a `release` takes back. Everything may be repeated: a call's id makes its entry unique, and
//! leases are set, not changed. Writing is in [`commit`](self), what the journal is told in
//! `carry.rs`, after crashes in `recover.rs`, reading in [`usage`].

mod callers;
mod carry;
mod commit;
mod group;
mod id;
mod recover;
mod rows;
mod spend;
pub mod usage;

pub use callers::{CallerRow, UsedApi};
pub use id::ExchangeId;
pub use recover::Recovered;
pub use spend::SpendRow;
pub use usage::{BalanceRow, UnsettledRow, UsageBy, UsageQuery, UsageRow};

use crate::database::Database;
use crate::journal::NewEvent;
use crate::{Instance, StoreError};
use gate_model::units::Money;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The outcome of what has an id of its own and is never summed with others: a batch, which may be
/// seen again by anybody.
pub const BATCH: &str = "batch";

/// Who called what through whom; empty where that is not known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// The consumer.
    pub consumer: Arc<str>,
    /// The consumer's key, by its id.
    pub key: Arc<str>,
    /// The team that pays.
    pub team: Arc<str>,
    /// The route.
    pub route: Arc<str>,
    /// The model that was asked for.
    pub model: Arc<str>,
    /// The provider that was called.
    pub provider: Arc<str>,
    /// The provider's name for the model.
    pub provider_model: Arc<str>,
    /// A word of the caller's own.
    pub tag: Arc<str>,
    /// The revision that served it; 0 where that is not known.
    pub revision: u64,
}

/// A part of a reservation or of a cost, in one budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// The budget, as `consumer/storefront/daily`.
    pub budget: Arc<str>,
    /// When its period began, in UNIX seconds; 0 for budgets without end.
    pub period: i64,
    /// Picodollars or tokens, as the budget counts.
    pub amount: i64,
}

/// Charges of one call: one for each budget it falls under.
pub type Charges = SmallVec<[Charge; 2]>;

/// An open reservation, so that a crash does not lose it.
#[derive(Debug, Clone)]
pub struct HoldRow {
    /// The call's id.
    pub exchange: ExchangeId,
    /// When it was made, in UNIX milliseconds.
    pub at_ms: i64,
    /// Whose it is.
    pub facts: Arc<Facts>,
    /// The most that the call can cost, where prices are known.
    pub cost: Option<Money>,
    /// What is reserved.
    pub charges: Charges,
}

/// What a call consumed and cost, or several that differ in nothing a reader asks for.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The call's id; of several, the first one's.
    pub exchange: ExchangeId,
    /// When it ended, in UNIX milliseconds.
    pub at_ms: i64,
    /// Whose it is.
    pub facts: Arc<Facts>,
    /// How it ended.
    pub outcome: &'static str,
    /// Tokens.
    pub tokens: Tokens,
    /// Calls whose tokens were estimated, because the provider did not say.
    pub estimated: i64,
    /// What it cost; `None` when there is no price for it.
    pub cost: Option<Money>,
    /// What it is charged with.
    pub charges: Charges,
    /// How many calls it is.
    pub calls: i64,
    /// Those of them for which a [`HoldRow`] may have been written.
    pub held: Vec<ExchangeId>,
}

impl Entry {
    /// Adds calls that differ in nothing a reader asks for: in facts, outcome, second, budgets, and in
    /// whether they have a price.
    pub(crate) fn add(
        &mut self,
        tokens: &Tokens,
        estimated: i64,
        cost: Option<Money>,
        calls: i64,
        charged: impl Iterator<Item = i64>,
    ) {
        let sum = &mut self.tokens;
        for (sum, one) in [
            (&mut sum.input, tokens.input),
            (&mut sum.output, tokens.output),
            (&mut sum.cached, tokens.cached),
            (&mut sum.written, tokens.written),
            (&mut sum.reasoning, tokens.reasoning),
        ] {
            *sum = sum.saturating_add(one);
        }
        self.estimated += estimated;
        self.calls += calls;
        self.cost = self.cost.zip(cost).map(|(sum, one)| sum + one);
        for (sum, one) in self.charges.iter_mut().zip(charged) {
            sum.amount = sum.amount.saturating_add(one);
        }
    }
}

/// Tokens of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// All input.
    pub input: i64,
    /// All output.
    pub output: i64,
    /// Input read from the provider's cache.
    pub cached: i64,
    /// Input written to it.
    pub written: i64,
    /// Output spent on thinking.
    pub reasoning: i64,
}

impl Tokens {
    /// Input and output together.
    #[must_use]
    pub const fn total(&self) -> i64 {
        self.input.saturating_add(self.output)
    }
}

/// How much of a budget this process wants to hold.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    /// The budget.
    pub budget: Arc<str>,
    /// The period.
    pub period: i64,
    /// The budget's limit as configured now.
    pub limit: i64,
    /// What is to be held after the entries of the same batch have been taken out of it.
    pub target: i64,
    /// Amounts whose crossing is an event.
    pub thresholds: SmallVec<[i64; 2]>,
}

/// What became of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The budget.
    pub budget: Arc<str>,
    /// The period.
    pub period: i64,
    /// Held now.
    pub amount: i64,
    /// Settled by everybody so far.
    pub settled: i64,
    /// Charged for reservations of dead processes.
    pub unsettled: i64,
    /// Held by everybody.
    pub leased: i64,
    /// Somebody else went short within the last second.
    pub wanted: bool,
    /// Thresholds that were crossed just now, reported to one process only.
    pub crossed: SmallVec<[i64; 2]>,
}

/// A threshold of a budget that was crossed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossed {
    /// The budget.
    pub budget: Arc<str>,
    /// When its period began, in UNIX seconds; 0 for budgets without end.
    pub period: i64,
    /// The threshold, in the budget's unit: picodollars or tokens.
    pub threshold: i64,
    /// What is settled.
    pub settled: i64,
    /// What was charged for reservations of dead processes.
    pub unsettled: i64,
    /// When it was seen, in UNIX milliseconds.
    pub at_ms: i64,
}

/// What the journal is told of a crossing, which is once for a budget, period and threshold: nobody else
/// appends an event of that key.
pub type CrossedEvent = fn(&Crossed) -> NewEvent;

/// Everything that is written with one commit.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Now, in UNIX milliseconds.
    pub now_ms: i64,
    /// New reservations.
    pub holds: Vec<HoldRow>,
    /// Calls that have ended.
    pub entries: Vec<Entry>,
    /// Calls that ended without a cost, whose reservations may have been written.
    pub cancelled: Vec<ExchangeId>,
    /// Requests that were counted by quota and period, each time under the next number of this
    /// process.
    pub counts: Vec<(i64, BTreeMap<(Arc<str>, i64), i64>)>,
    /// Leases to set; one for each budget that the entries charge, and those that need more.
    pub leases: Vec<LeaseRequest>,
    /// What of it was handed over before, once for each time that this may have taken effect.
    pub tried: Vec<Reach>,
}

/// How far a batch reached at some time; it only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Reservations.
    pub holds: usize,
    /// Calls that had ended.
    pub entries: usize,
}

impl Batch {
    /// Notes that the batch is being handed over.
    pub fn note_try(&mut self) {
        let reach = Reach {
            holds: self.holds.len(),
            entries: self.entries.len(),
        };
        if self.tried.last() != Some(&reach) {
            self.tried.push(reach);
        }
    }

    /// Calls that have ended whose reservations may have been written, or are in it.
    pub fn ended(&self) -> impl Iterator<Item = &ExchangeId> {
        let held = self.entries.iter().flat_map(|entry| &entry.held);
        held.chain(&self.cancelled)
    }

    /// Empties it for the next commit, with room for what a busy gateway writes and no more.
    pub fn empty(&mut self) {
        fn emptied<T>(rows: &mut Vec<T>) {
            rows.clear();
            rows.shrink_to(1024);
        }
        emptied(&mut self.holds);
        emptied(&mut self.entries);
        emptied(&mut self.cancelled);
        emptied(&mut self.counts);
        self.leases.clear();
        self.tried.clear();
    }
}

/// Durable state. One thread uses it; every call may wait for a disk or a network, with limits.
pub trait Store: Send {
    /// Writes a batch in one transaction. May be repeated when its outcome is unknown.
    ///
    /// # Errors
    /// [`StoreError`]; nothing may have happened then.
    fn commit(&mut self, batch: &Batch) -> Result<Vec<Granted>, StoreError>;

    /// Charges what dead processes left open, at the reserved amounts.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has happened then.
    fn recover(&mut self, now_ms: i64) -> Result<Recovered, StoreError>;

    /// Ends this process's use: its leases go back. Reservations still open stay for recovery.
    ///
    /// # Errors
    /// [`StoreError`]; the leases then go back when they expire.
    fn leave(&mut self) -> Result<(), StoreError>;

    /// What was used, grouped.
    ///
    /// # Errors
    /// [`StoreError`].
    fn usage(&mut self, query: &UsageQuery) -> Result<Vec<UsageRow>, StoreError>;

    /// What hours cost that were kept, from one on (hours since 1970), in order.
    ///
    /// # Errors
    /// [`StoreError`].
    fn spend_hours(&mut self, since: i64) -> Result<Vec<SpendRow>, StoreError>;

    /// Keeps what an hour cost, where nobody has yet; hours are kept for 32 days.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has happened then.
    fn keep_spend(&mut self, hour: i64, rows: &[SpendRow]) -> Result<(), StoreError>;

    /// When the oldest entry was made, in UNIX milliseconds.
    ///
    /// # Errors
    /// [`StoreError`].
    fn first_entry(&mut self) -> Result<Option<i64>, StoreError>;

    /// What is known about every budget.
    ///
    /// # Errors
    /// [`StoreError`].
    fn balances(&mut self) -> Result<Vec<BalanceRow>, StoreError>;

    /// Charges of calls whose process died, that nobody has taken back; at most 1,000, the oldest
    /// first.
    ///
    /// # Errors
    /// [`StoreError`].
    fn unsettled(&mut self) -> Result<Vec<UnsettledRow>, StoreError>;

    /// Takes an `unsettled` charge back, once the provider's bill says what the call really cost.
    /// Returns whether there was one.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has happened then.
    fn release(&mut self, exchange: &str, now_ms: i64) -> Result<bool, StoreError>;

    /// Writes how often versions of APIs were called on a day, as far as `process` has counted: in
    /// place of what it wrote of that day before. Its name stays when it connects again.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has happened then.
    fn note_callers(&mut self, process: &str, rows: &[CallerRow]) -> Result<(), StoreError>;

    /// How often consumers have called APIs since a day, over all processes; at most 10,000 rows,
    /// those with most calls.
    ///
    /// # Errors
    /// [`StoreError`].
    fn used_apis(&mut self, since_day: i64) -> Result<Vec<UsedApi>, StoreError>;

    /// Who called which version of an API (of all when empty) since a day, counted in days since
    /// 1970, ordered by API, version, consumer and route.
    ///
    /// # Errors
    /// [`StoreError`], also where there are more than 200,000 rows: it gives all or nothing.
    fn callers(&mut self, api: &str, since_day: i64) -> Result<Vec<CallerRow>, StoreError>;

    /// Forgets settled entries from before a time, in UNIX milliseconds; balances stay.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has happened then.
    fn prune(&mut self, before_ms: i64) -> Result<u64, StoreError>;

    /// Forgets quotas of periods that began before a time, in UNIX seconds, and that nobody holds.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has happened then.
    fn forget_quotas(&mut self, before_s: i64) -> Result<u64, StoreError>;
}

/// The one implementation, over whichever database.
pub struct SqlStore<D> {
    database: D,
    instance: Instance,
    /// Others may have taken this process for dead; its late entries take charges back.
    was_lost: bool,
    /// Whether it has said that it lives.
    registered: bool,
    /// Number of its last event in the journal.
    carried: u64,
    /// How thresholds that are crossed are told; they are not where there is none.
    crossed: Option<CrossedEvent>,
}

impl<D: Database> SqlStore<D> {
    /// A store over a database, whose tables are brought up to date.
    ///
    /// # Errors
    /// What [`crate::schema::migrate`] says.
    pub fn open(mut database: D, instance: Instance) -> Result<Self, StoreError> {
        crate::schema::migrate(&mut database)?;
        Ok(Self {
            database,
            instance,
            was_lost: false,
            registered: false,
            carried: 0,
            crossed: None,
        })
    }

    /// The same, which tells the journal of thresholds that are crossed, in the transaction that
    /// crosses them: a process that is killed leaves both or neither.
    #[must_use]
    pub fn telling(mut self, crossed: Option<CrossedEvent>) -> Self {
        self.crossed = crossed;
        self
    }
}

/// Charges as one text: `budget@period=amount`, one a line.
fn write_charges(charges: &[Charge]) -> String {
    let line = |charge: &Charge| format!("{}@{}={}", charge.budget, charge.period, charge.amount);
    let lines: Vec<String> = charges.iter().map(line).collect();
    lines.join("\n")
}

/// The same read back; lines that are no charge break a rule of ours.
fn read_charges(text: &str) -> Result<Charges, StoreError> {
    let charge = |line: &str| {
        let (budget, rest) = line.rsplit_once('@')?;
        let (period, amount) = rest.split_once('=')?;
        Some(Charge {
            budget: budget.into(),
            period: period.parse().ok()?,
            amount: amount.parse().ok()?,
        })
    };
    text.lines()
        .map(|line| charge(line).ok_or_else(|| StoreError::Broken(format!("the charge `{line}`"))))
        .collect()
}
