//! Reserving again for a call that has a reservation: one provider more is asked than was foreseen.

use super::{Account, Refusal, Reserved, Shared};
use std::sync::Arc;

/// Adds to an open reservation, as often as it is asked to.
///
/// What is added is not written down anew: as with any reservation of the last milliseconds, the
/// lease that it is taken from answers for it when the process dies.
pub struct More {
    pub(super) shared: Arc<Shared>,
    pub(super) place: usize,
    pub(super) number: u64,
    pub(super) parts: Vec<(Arc<Account>, i64)>,
}

impl More {
    /// Reserves once more in those parts of the reservation that are `wanted`, by their positions, or in
    /// none. Waits as [`Books::hold`](super::Books::hold) does, and may be dropped midway.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is added then, nor where the reservation has ended.
    pub async fn take(&self, wanted: impl Fn(usize) -> bool) -> Result<(), Refusal> {
        let (shared, wanted) = (&self.shared, &wanted);
        let parts = || {
            let all = self.parts.iter().enumerate();
            let some = all.filter(|(at, _)| wanted(*at));
            some.map(|(_, (account, amount))| (account, *amount))
        };
        let reserve = |asks| shared.reserve(parts(), asks).map(|(taken, ..)| taken);
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

/// Adds what was taken; false when a period has ended since the parts were reserved.
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
