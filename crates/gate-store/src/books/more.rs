//! Reserving again for a call that has a reservation: one provider more is asked than was foreseen. And
//! the patience with which slices are waited for.

use super::{Account, PATIENCE, Refusal, Reserved, SLOW, Shared, Short, Unit};
use std::pin::pin;
use std::sync::Arc;

/// Adds to an open reservation, as often as it is asked to.
///
/// What is added is not written down anew: as with any reservation of the last milliseconds, the
/// lease that it is taken from answers for it when the process dies.
pub struct More {
    pub(super) shared: Arc<Shared>,
    pub(super) place: usize,
    pub(super) number: u64,
    /// Each with what one call takes of it.
    pub(super) parts: Vec<(Arc<Account>, i64)>,
    /// When it was reserved for, in UNIX milliseconds: what is added belongs to the same periods.
    pub(super) at_ms: i64,
}

impl More {
    /// Reserves once more in those parts of the reservation that are `wanted`, by their positions, or in
    /// none. Waits as [`Books::hold`](super::Books::hold) does, and may be dropped midway.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is added then, nor where the reservation has ended.
    pub async fn take(&self, wanted: impl Fn(usize) -> bool) -> Result<(), Refusal> {
        let amount = |(at, (_, amount)): (usize, &(_, i64))| if wanted(at) { *amount } else { 0 };
        let amounts: Vec<i64> = self.parts.iter().enumerate().map(amount).collect();
        self.add(&amounts).await
    }

    /// Reserves what is short of one more call, where so much has been `used` already, by the position
    /// of the part and what it counts.
    ///
    /// # Errors
    /// As [`take`](Self::take).
    pub async fn cover(&self, used: impl Fn(usize, Unit) -> i64) -> Result<(), Refusal> {
        let amounts: Vec<i64> = {
            let queue = self.shared.queue();
            let call = queue.open.get(self.place);
            let call = call.filter(|(number, _)| *number == self.number);
            let reserved = |at: usize| Some(call?.1.parts.get(at)?.2);
            let parts = self.parts.iter().enumerate();
            let short = |(at, (account, one)): (usize, &(Arc<Account>, i64))| {
                let wanted = used(at, account.unit()).saturating_add(*one);
                wanted.saturating_sub(reserved(at).unwrap_or(0)).max(0)
            };
            parts.map(short).collect()
        };
        self.add(&amounts).await
    }

    /// Reserves these amounts in the parts, or nothing.
    async fn add(&self, amounts: &[i64]) -> Result<(), Refusal> {
        let shared = &self.shared;
        let parts = || {
            let all = self.parts.iter().zip(amounts);
            let some = all.filter(|(_, amount)| **amount > 0);
            some.map(|((account, _), amount)| (account, *amount))
        };
        if parts().next().is_none() {
            return Ok(());
        }
        let reserve = |asks| {
            let now = shared.clock.now();
            let reserved = shared.reserve_at(parts(), asks, now, self.at_ms);
            reserved.map(|(taken, ..)| taken)
        };
        let taken: Reserved = shared.patiently(reserve).await?;
        let added = {
            let mut queue = shared.queue();
            let call = queue.open.get_mut(self.place);
            let call = call.filter(|(number, _)| *number == self.number);
            call.is_some_and(|(_, call)| add(&mut call.parts, &taken))
        };
        if added {
            return Ok(());
        }
        let now = shared.clock.now();
        for (account, period, amount) in &taken {
            account.settle(*period, *amount, 0, now);
        }
        let account = self.parts.first().map(|(account, _)| account);
        Err(account.map_or(Refusal::Full, |account| account.exhausted(shared.unix_s())))
    }

    /// The position of the part of this budget.
    #[must_use]
    pub fn position(&self, budget: &str) -> Option<usize> {
        let named = |(account, _): &(Arc<Account>, i64)| &**account.name() == budget;
        self.parts.iter().position(named)
    }
}

impl Shared {
    /// Tries until there is an outcome; while a slice is too small, waits for the writer.
    pub(super) async fn patiently<T>(
        &self,
        attempt: impl Fn(bool) -> Result<T, Short>,
    ) -> Result<T, Refusal> {
        let mut until = None;
        // What a call is short of is asked for once; again when the writer has taken that up.
        let mut asks = true;
        loop {
            let account = match attempt(asks) {
                Ok(outcome) => return Ok(outcome),
                Err(Short::Refused(refusal)) => return Err(refusal),
                Err(Short::Wait(account)) => account,
            };
            let until = *until.get_or_insert_with(|| tokio::time::Instant::now() + PATIENCE);
            let mut changed = pin!(account.changed());
            changed.as_mut().enable();
            // What came between the two looks is not missed.
            match attempt(false) {
                Ok(outcome) => return Ok(outcome),
                Err(Short::Refused(refusal)) => return Err(refusal),
                Err(Short::Wait(_)) => {}
            }
            self.ask();
            // In steps, so that a commit that hangs is noticed.
            let step = until.min(tokio::time::Instant::now() + SLOW);
            let woken = tokio::time::timeout_at(step, changed).await.is_ok();
            asks = woken;
            if !woken && tokio::time::Instant::now() >= until {
                return Err(account.exhausted(self.unix_s()));
            }
        }
    }
}

/// Adds what was taken; false when a budget's periods are others since the parts were reserved.
fn add(parts: &mut Reserved, taken: &Reserved) -> bool {
    let place = |(account, period, _): &(Arc<Account>, i64, i64)| {
        let mut all = parts.iter();
        all.position(|(known, of, _)| Arc::ptr_eq(known, account) && of == period)
    };
    let places: Option<Vec<usize>> = taken.iter().map(place).collect();
    let Some(places) = places else { return false };
    for (at, (_, _, amount)) in places.into_iter().zip(taken) {
        parts[at].2 += amount;
    }
    true
}
