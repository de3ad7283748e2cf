//! Quotas of requests, kept in the books: what policies know as [`Quotas`].

use gate_flow::{
    LocalFuture, QuotaCounter, QuotaPlace, QuotaRefusal, QuotaSpec, QuotaStanding, Quotas,
};
use gate_store::books::{BudgetSpec, Counted, Standing, Unit, quota_name};
use gate_store::{Account, Books, Refusal};
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

/// The shortest wait that is told: a period that ends now has ended by then for every clock.
const WAIT_MIN: Duration = Duration::from_secs(1);

/// Quotas in the books of the process.
pub(crate) struct BookedQuotas {
    books: Arc<Books>,
    clock: gate_kit::clock::Clock,
}

impl BookedQuotas {
    /// Over these books.
    pub(crate) fn new(books: Arc<Books>, clock: gate_kit::clock::Clock) -> Self {
        Self { books, clock }
    }
}

impl Quotas for BookedQuotas {
    fn counter(&self, specs: &[QuotaSpec]) -> Arc<dyn QuotaCounter> {
        let account = |spec: &QuotaSpec| {
            self.books.account(&BudgetSpec {
                name: quota_name(&spec.name),
                unit: Unit::Requests,
                limit: i64::try_from(spec.limit).unwrap_or(i64::MAX),
                period: spec.period,
                zone: spec.zone.clone(),
                thresholds: SmallVec::new(),
            })
        };
        Arc::new(Counter {
            accounts: specs.iter().map(account).collect(),
            books: self.books.clone(),
            clock: self.clock.clone(),
        })
    }
}

struct Counter {
    books: Arc<Books>,
    clock: gate_kit::clock::Clock,
    accounts: Vec<Arc<Account>>,
}

impl Counter {
    fn outcome(
        &self,
        result: Result<Counted, Refusal>,
    ) -> Result<Box<dyn QuotaPlace>, QuotaRefusal> {
        match result {
            Ok(counted) => Ok(Box::new(Place(counted))),
            Err(Refusal::Exhausted {
                budget,
                until_unix_s,
            }) => {
                let is_it = |account: &Arc<Account>| *account.name() == budget;
                Err(QuotaRefusal::Exhausted {
                    index: self.accounts.iter().position(is_it).unwrap_or_default(),
                    wait: self.until(until_unix_s).max(WAIT_MIN),
                })
            }
            Err(Refusal::Unavailable | Refusal::Full) => Err(QuotaRefusal::Unavailable),
        }
    }

    /// How long it is until a UNIX second; for ever is a hundred years.
    fn until(&self, unix_s: Option<i64>) -> Duration {
        let Some(unix_s) = unix_s.and_then(|unix_s| u64::try_from(unix_s).ok()) else {
            return Duration::from_secs(100 * 366 * 86_400);
        };
        Duration::from_secs(unix_s).saturating_sub(self.clock.unix())
    }
}

impl QuotaCounter for Counter {
    fn try_take(&self) -> Option<Result<Box<dyn QuotaPlace>, QuotaRefusal>> {
        let result = self.books.try_count(&self.accounts)?;
        Some(self.outcome(result))
    }

    fn take(&self) -> LocalFuture<'_, Result<Box<dyn QuotaPlace>, QuotaRefusal>> {
        Box::pin(async move { self.outcome(self.books.count(&self.accounts).await) })
    }

    fn standings(&self) -> SmallVec<[QuotaStanding; 4]> {
        let standing = |account: &Arc<Account>| {
            let Standing {
                remaining,
                since_unix_s,
                until_unix_s,
            } = self.books.standing(account);
            let window = until_unix_s.map(|until| until.saturating_sub(since_unix_s));
            let window = window.and_then(|window| u64::try_from(window).ok());
            QuotaStanding {
                remaining: u64::try_from(remaining).unwrap_or_default(),
                reset: self.until(until_unix_s),
                window: Duration::from_secs(window.unwrap_or_default()),
            }
        };
        self.accounts.iter().map(standing).collect()
    }
}

struct Place(Counted);

impl QuotaPlace for Place {
    fn confirm(self: Box<Self>) {
        self.0.confirm();
    }
}
