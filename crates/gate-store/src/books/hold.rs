//! An open reservation, which ends in exactly one settlement, whatever becomes of the call.

use super::account::{Account, Unit};
use super::{More, Reserved, Shared, Taken};
use crate::ledger::{Charge, ExchangeId, Facts, HoldRow, Tokens};
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

impl Share {
    /// All of it.
    fn all(settlement: &Settlement) -> Self {
        Self {
            cost: settlement.cost,
            tokens: settlement.tokens.total(),
        }
    }
}

/// A call to a provider beside the one that answered: its facts, and what it consumed.
pub type Leg = (Arc<Facts>, Settlement);

/// A call as the books know it while it runs.
pub(super) struct Call {
    pub(super) exchange: ExchangeId,
    pub(super) facts: Arc<Facts>,
    /// The most that it can cost.
    pub(super) cost: Option<Money>,
    pub(super) parts: Reserved,
    /// When it was reserved for, in UNIX milliseconds.
    pub(super) at_ms: i64,
    /// Whether the writer has taken up its reservation.
    pub(super) is_noted: bool,
}

impl Call {
    pub(super) fn charge((account, period, amount): &Taken) -> Charge {
        Charge {
            budget: account.name().clone(),
            period: *period,
            amount: *amount,
        }
    }

    /// Its reservation, to be written.
    pub(super) fn row(&self) -> HoldRow {
        HoldRow {
            exchange: self.exchange.clone(),
            at_ms: self.at_ms,
            facts: self.facts.clone(),
            cost: self.cost,
            charges: self.parts.iter().map(Self::charge).collect(),
        }
    }
}

/// An open reservation. Dropped unsettled, it is settled at its amount, as an estimate.
pub struct Hold {
    shared: Arc<Shared>,
    call: State,
}

enum State {
    /// In the queue, where the writer sees it, at this place.
    Open(usize),
    /// Without a reservation, which nobody has to see. Boxed, as what has one is moved more often.
    Bare(Box<Call>),
    Ended,
}

impl Hold {
    pub(super) fn new(shared: Arc<Shared>, call: Call, is_low: bool) -> Self {
        let mut queue = shared.queue();
        let wake = queue.young.is_empty() || (is_low && !queue.demand);
        queue.demand |= is_low;
        let place = queue.open(call);
        drop(queue);
        if wake {
            shared.arrived.notify_one();
        }
        Self {
            shared,
            call: State::Open(place),
        }
    }

    /// Something that was not reserved for, whose place is taken and whose id is given.
    pub(super) fn bare(shared: Arc<Shared>, facts: Arc<Facts>, exchange: ExchangeId) -> Self {
        let call = Call {
            exchange,
            facts,
            cost: None,
            parts: SmallVec::new(),
            at_ms: 0,
            is_noted: false,
        };
        Self {
            shared,
            call: State::Bare(Box::new(call)),
        }
    }

    /// What adds to it the `copies`th part of each of its parts; none where it has no parts.
    #[must_use]
    pub fn more(&self, copies: i64) -> Option<More> {
        let State::Open(place) = self.call else {
            return None;
        };
        let queue = self.shared.queue();
        let (number, call) = queue.open.get(place)?;
        let part = |(account, _, amount): &Taken| (account.clone(), amount / copies.max(1));
        let parts: Vec<_> = call.parts.iter().map(part).collect();
        let (number, at_ms) = (*number, call.at_ms);
        drop(queue);
        (!parts.is_empty()).then(|| More {
            shared: self.shared.clone(),
            place,
            number,
            parts,
            at_ms,
        })
    }

    /// Its call, which nobody else sees from now on.
    fn take(&mut self) -> Option<Call> {
        match std::mem::replace(&mut self.call, State::Ended) {
            State::Open(place) => self.shared.queue().close(place),
            State::Bare(call) => Some(*call),
            State::Ended => None,
        }
    }

    /// Charges all of it to these accounts now, whatever they have left.
    pub(super) fn settle_with(mut self, settlement: &Settlement, accounts: &[Arc<Account>]) {
        let Some(mut call) = self.take() else { return };
        let now = self.shared.clock.now();
        let unix_ms = self.shared.unix_ms(now);
        let of = |account: &Arc<Account>| {
            let period = account.charge(0, unix_ms.div_euclid(1000), now);
            (account.clone(), period, 0)
        };
        call.parts = accounts.iter().map(of).collect();
        let share = Share::all(settlement);
        self.end(call, settlement, now, |_| Some(share));
    }

    /// Ends the reservation with what the call really consumed; every budget bears all of it.
    pub fn settle(mut self, settlement: &Settlement) {
        let Some(call) = self.take() else { return };
        let share = Share::all(settlement);
        self.end(call, settlement, self.shared.clock.now(), |_| Some(share));
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
        let Some(mut call) = self.take() else { return };
        let now = self.shared.clock.now();
        for (number, (facts, settlement)) in legs.iter().enumerate() {
            let leg = Call {
                exchange: call.exchange.leg(number + 1),
                facts: facts.clone(),
                cost: None,
                parts: SmallVec::new(),
                at_ms: 0,
                is_noted: false,
            };
            // Each counts as a place until it has been written.
            self.shared.places.fetch_add(1, Ordering::Relaxed);
            self.shared
                .queue()
                .end(&leg, settlement, self.shared.unix_ms(now));
        }
        call.facts = facts;
        self.end(call, settlement, now, |part| Some(share(part)));
    }

    /// Ends the reservation of a call that was not served, and that no provider bills.
    pub fn cancel(mut self) {
        let Some(call) = self.take() else { return };
        let now = self.shared.clock.now();
        for (account, period, amount) in &call.parts {
            account.settle(*period, *amount, 0, now);
        }
        if call.is_noted {
            self.shared.queue().cancelled.push(call.exchange);
        } else {
            self.shared.places.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Ends it; budgets without a share are charged what was reserved.
    fn end(
        &self,
        mut call: Call,
        settlement: &Settlement,
        now: Moment,
        share: impl Fn(usize) -> Option<Share>,
    ) {
        for (part, (account, period, amount)) in call.parts.iter_mut().enumerate() {
            let used = match (share(part), account.unit()) {
                (None, _) => *amount,
                (Some(share), Unit::Money) => share.cost.map_or(*amount, Money::picodollars),
                (Some(share), Unit::Tokens) => share.tokens,
                (Some(_), Unit::Requests) => 1,
            };
            account.settle(*period, *amount, used, now);
            *amount = used;
        }
        let at_ms = self.shared.unix_ms(now);
        let mut queue = self.shared.queue();
        let wake = queue.entries.is_empty();
        queue.end(&call, settlement, at_ms);
        drop(queue);
        if wake {
            self.shared.arrived.notify_one();
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(call) = self.take() {
            let settlement = Settlement {
                outcome: "lost",
                tokens: Tokens::default(),
                estimated: true,
                cost: call.cost,
            };
            self.end(call, &settlement, self.shared.clock.now(), |_| None);
        }
    }
}
