//! Quotas that hold over every gateway of a store, as policies see them.
//!
//! Who keeps them is none of a policy's business: it names what is to be counted, sets a request
//! aside before it knows whether the request may pass, and confirms it then. What is not confirmed
//! goes back.

use crate::LocalFuture;
use gate_model::resources::BudgetPeriod;
use gate_model::units::TimeZone;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

/// So many requests in each calendar period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaSpec {
    /// Under which it is kept, the same on every gateway.
    pub name: Arc<str>,
    /// Requests in a period.
    pub limit: u64,
    /// The period.
    pub period: BudgetPeriod,
    /// The time zone in which days, weeks and months begin.
    pub zone: TimeZone,
}

/// Where quotas are kept.
pub trait Quotas: Send + Sync {
    /// Quotas that count the same requests, at most a few.
    fn counter(&self, specs: &[QuotaSpec]) -> Arc<dyn QuotaCounter>;
}

/// Quotas that count the same requests.
pub trait QuotaCounter: Send + Sync {
    /// Sets one request aside in all of them, without waiting; `None` when that has to be waited
    /// for.
    ///
    /// # Errors
    /// Why it may not pass; nothing is set aside then.
    fn try_take(&self) -> Option<Result<Box<dyn QuotaPlace>, QuotaRefusal>>;

    /// The same, after asking the store for more. Waits less than a second. May be dropped.
    ///
    /// # Errors
    /// Why it may not pass; nothing is set aside then.
    fn take(&self) -> LocalFuture<'_, Result<Box<dyn QuotaPlace>, QuotaRefusal>>;

    /// What is left of each, in the order they were named, as far as is known on this gateway.
    fn standings(&self) -> SmallVec<[QuotaStanding; 4]>;
}

/// A request that was set aside; dropped, it goes back.
pub trait QuotaPlace {
    /// Counts it.
    fn confirm(self: Box<Self>);
}

/// Why a request may not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaRefusal {
    /// A quota is used up.
    Exhausted {
        /// Which, by its position.
        index: usize,
        /// Until its period ends.
        wait: Duration,
    },
    /// The store cannot be reached, and what this gateway had is used up.
    Unavailable,
}

/// What is left of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaStanding {
    /// Requests that are left, as far as is known here: other gateways count as well.
    pub remaining: u64,
    /// Until the period ends.
    pub reset: Duration,
    /// Length of the period.
    pub window: Duration,
}
