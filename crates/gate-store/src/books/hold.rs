//! An open reservation, which ends in exactly one settlement, whatever becomes of the call.

use super::Shared;
use super::account::{Account, Unit};
use crate::ledger::{Charge, Entry, ExchangeId, Facts, HoldRow, Tokens};
use gate_kit::clock::Moment;
use gate_model::units::Money;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What a call consumed in the end.
#[derive(Debug, Clone, Copy)]
pub struct Settlement {
    /// How the call ended: `complete`, `client_closed`, `cut`, `lost` ...
    pub outcome: &'static str,
    /// Tokens.
    pub tokens: Tokens,
    /// Whether they were estimated.
    pub estimated: bool,
    /// What they cost; `None` without a price.
    pub cost: Option<Money>,
}

/// What falls on one budget in the end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Share {
    /// Its part of the cost; what was reserved when unknown.
    pub cost: Option<Money>,
    /// Its part of the tokens.
    pub tokens: i64,
}

/// A call to a provider beside the one that answered: its facts, and what it consumed.
pub type Leg = (Arc<Facts>, Settlement);

/// An open reservation. Dropped unsettled, it is settled at its amount, as an estimate.
pub struct Hold {
    shared: Arc<Shared>,
    facts: Arc<Facts>,
    exchange: ExchangeId,
    cost: Option<Money>,
    /// Account, period, amount.
    parts: SmallVec<[(Arc<Account>, i64, i64); 2]>,
    open: bool,
}

impl Hold {
    pub(super) fn new(
        shared: Arc<Shared>,
        facts: Arc<Facts>,
        cost: Option<Money>,
        parts: SmallVec<[(Arc<Account>, i64, i64); 2]>,
        (exchange, at_ms): (ExchangeId, i64),
    ) -> Self {
        let hold = Self {
            shared,
            facts,
            exchange,
            cost,
            parts,
            open: true,
        };
        let charge = |(account, period, amount): &(Arc<Account>, i64, i64)| Charge {
            budget: account.name().clone(),
            period: *period,
            amount: *amount,
        };
        let row = HoldRow {
            exchange: hold.exchange.clone(),
            at_ms,
            facts: hold.facts.clone(),
            cost,
            charges: hold.parts.iter().map(charge).collect(),
        };
        let low = hold
            .parts
            .iter()
            .any(|(account, period, _)| account.is_low(*period));
        let mut queue = hold.shared.queue();
        let wake = queue.holds.is_empty() || (low && !queue.demand);
        queue.demand |= low;
        queue.holds.push(row);
        drop(queue);
        if wake {
            hold.shared.arrived.notify_one();
        }
        hold
    }

    /// Something that was not reserved for, whose place is taken and whose id is given.
    pub(super) fn bare(shared: Arc<Shared>, facts: Arc<Facts>, exchange: ExchangeId) -> Self {
        Self {
            shared,
            facts,
            exchange,
            cost: None,
            parts: SmallVec::new(),
            open: true,
        }
    }

    /// Charges all of it to these accounts now, whatever they have left.
    pub(super) fn settle_with(mut self, settlement: &Settlement, accounts: &[Arc<Account>]) {
        let now = self.shared.clock.now();
        let unix_ms = self.shared.unix_ms(now);
        let of = |account: &Arc<Account>| {
            let period = account.charge(0, unix_ms.div_euclid(1000), now);
            (account.clone(), period, 0)
        };
        self.parts = accounts.iter().map(of).collect();
        self.settle(settlement);
    }

    /// The call's id in the ledger.
    #[must_use]
    pub fn exchange(&self) -> &ExchangeId {
        &self.exchange
    }

    /// The most that the call can cost, where that is known.
    #[must_use]
    pub fn reserved_cost(&self) -> Option<Money> {
        self.cost
    }

    /// Ends the reservation with what the call really consumed; every budget bears all of it.
    pub fn settle(mut self, settlement: &Settlement) {
        let share = Share {
            cost: settlement.cost,
            tokens: settlement.tokens.total(),
        };
        let now = self.shared.clock.now();
        self.end(settlement, now, |_| Some(share));
    }

    /// The same where other calls to providers belong to it: `share` says what falls on the budget
    /// at each position of the parts that were reserved. `facts` are those of the last call.
    pub fn settle_shares(
        mut self,
        facts: Arc<Facts>,
        settlement: &Settlement,
        legs: &[Leg],
        share: impl Fn(usize) -> Share,
    ) {
        let now = self.shared.clock.now();
        for (number, (facts, settlement)) in legs.iter().enumerate() {
            let exchange = self.exchange.leg(number + 1);
            let entry = self.entry(exchange, facts.clone(), settlement, now);
            // Each entry counts as a place when it has been written.
            self.shared.places.fetch_add(1, Ordering::Relaxed);
            self.shared.queue().push(entry);
        }
        self.facts = facts;
        self.end(settlement, now, |part| Some(share(part)));
    }

    /// Ends the reservation of a call that was not served, and that no provider bills.
    pub fn cancel(mut self) {
        self.open = false;
        let now = self.shared.clock.now();
        for (account, period, amount) in &self.parts {
            account.settle(*period, *amount, 0, now);
        }
        if self.parts.is_empty() {
            self.shared.places.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        self.shared.queue().cancelled.push(self.exchange.clone());
    }

    fn entry(
        &self,
        exchange: ExchangeId,
        facts: Arc<Facts>,
        settlement: &Settlement,
        now: Moment,
    ) -> Entry {
        Entry {
            exchange,
            at_ms: self.shared.unix_ms(now),
            facts,
            outcome: settlement.outcome,
            tokens: settlement.tokens,
            estimated: settlement.estimated,
            cost: settlement.cost,
            charges: SmallVec::new(),
            held: false,
        }
    }

    /// Ends it; budgets without a share are charged what was reserved.
    fn end(
        &mut self,
        settlement: &Settlement,
        now: Moment,
        share: impl Fn(usize) -> Option<Share>,
    ) {
        self.open = false;
        let mut entry = self.entry(self.exchange.clone(), self.facts.clone(), settlement, now);
        entry.held = !self.parts.is_empty();
        for (part, (account, period, reserved)) in self.parts.iter().enumerate() {
            let used = match (share(part), account.unit()) {
                (None, _) => *reserved,
                (Some(share), Unit::Money) => share.cost.map_or(*reserved, Money::picodollars),
                (Some(share), Unit::Tokens) => share.tokens,
                (Some(_), Unit::Requests) => 1,
            };
            account.settle(*period, *reserved, used, now);
            entry.charges.push(Charge {
                budget: account.name().clone(),
                period: *period,
                amount: used,
            });
        }
        let mut queue = self.shared.queue();
        let wake = queue.entries.is_empty();
        queue.push(entry);
        drop(queue);
        if wake {
            self.shared.arrived.notify_one();
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.open {
            let settlement = Settlement {
                outcome: "lost",
                tokens: Tokens::default(),
                estimated: true,
                cost: self.cost,
            };
            self.end(&settlement, self.shared.clock.now(), |_| None);
        }
    }
}
