//! Requests that are counted when they are let in, of which no entry is written.
//!
//! A quota of requests is an account like a budget's, so that slices, leases and what happens after
//! a crash are the same. What differs is the end: a request costs one at once, and so many may come
//! that a row for each would be out of proportion. Accounts add them up, and the writer hands the
//! sums over with its batches, each under a number of which the store remembers the last.

use super::{Account, Books, Refusal, Reserved, Shared, Short, Standing};
use std::sync::Arc;

/// What names of quotas begin with, which no budget of a document can be called.
pub(crate) const QUOTA: &str = "quota:";

/// The name under which the store keeps a quota.
#[must_use]
pub fn quota_name(name: &str) -> Arc<str> {
    format!("{QUOTA}{name}").into()
}

/// A request that is set aside in some quotas. Dropped without [`Self::confirm`], it goes back.
#[must_use]
pub struct Counted {
    shared: Arc<Shared>,
    taken: Reserved,
    confirmed: bool,
}

impl Counted {
    /// Counts the request.
    pub fn confirm(mut self) {
        self.confirmed = true;
        let now = self.shared.clock.now();
        for (account, period, amount) in &self.taken {
            account.count(*period, *amount, now);
        }
        if self
            .taken
            .iter()
            .any(|(account, period, _)| account.is_low(*period))
        {
            self.shared.ask();
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.confirmed {
            return;
        }
        let now = self.shared.clock.now();
        for (account, period, amount) in &self.taken {
            account.settle(*period, *amount, 0, now);
        }
    }
}

impl Books {
    /// Sets one request aside in all of these quotas, waiting when a slice is too small, never
    /// longer than 700 ms. May be dropped midway.
    ///
    /// # Errors
    /// [`Refusal`]; nothing is set aside then.
    pub async fn count(&self, quotas: &[Arc<Account>]) -> Result<Counted, Refusal> {
        self.shared
            .patiently(|asks| self.set_aside(quotas, asks))
            .await
    }

    /// The same without waiting; `None` when the store has to be asked.
    #[must_use]
    pub fn try_count(&self, quotas: &[Arc<Account>]) -> Option<Result<Counted, Refusal>> {
        match self.set_aside(quotas, true) {
            Ok(counted) => Some(Ok(counted)),
            Err(Short::Refused(refusal)) => Some(Err(refusal)),
            Err(Short::Wait(_)) => None,
        }
    }

    /// What is left of a quota, as far as is known in this process.
    #[must_use]
    pub fn standing(&self, quota: &Account) -> Standing {
        quota.standing(
            self.shared
                .unix_ms(self.shared.clock.now())
                .div_euclid(1000),
        )
    }

    fn set_aside(&self, quotas: &[Arc<Account>], asks: bool) -> Result<Counted, Short> {
        let parts = quotas.iter().map(|quota| (quota, 1));
        let (taken, ..) = self.shared.reserve(parts, asks)?;
        Ok(Counted {
            shared: self.shared.clone(),
            taken,
            confirmed: false,
        })
    }
}
