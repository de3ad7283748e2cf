//! Before a call: what it can cost at most is reserved, or it is refused.

use super::facts::{View, shared};
use super::limits::Meters;
use super::settle::{Input, Reserved};
use super::{Billed, Purse, Treasury};
use bytes::Bytes;
use gate_ai::Dialect;
use gate_ai::tokens::{Reach, reach};
use gate_flow::{Exchange, Fault};
use gate_model::fault::FaultCode;
use gate_model::units::{Money, Pieces};
use gate_store::books::{Part, Unit};
use gate_store::ledger::{ExchangeId, Facts};
use gate_store::{Account, Books, Hold, Refusal};
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

/// The tag of copies that are compared and served to nobody.
const SHADOW: &str = "shadow";
/// Longest tag that is kept.
const TAG_MAX: usize = 64;

/// A request to a model, as far as money is concerned.
pub struct Asked<'a> {
    /// The caller's dialect.
    pub dialect: Dialect,
    /// The request, where it has been read whole.
    pub body: Option<&'a Bytes>,
    /// What of the body decides how much it can come to, where that is known already.
    pub reach: Option<Reach>,
    /// Whether it declares tools.
    pub has_tools: bool,
    /// Most tokens to produce, when that is bounded.
    pub max_tokens: Option<u64>,
    /// The most that it can come to besides tokens.
    pub pieces: Option<&'a Pieces>,
    /// How many providers may be paid for the one call: two where it is hedged or continued.
    pub copies: i64,
}

impl Treasury {
    /// Reserves the most that a call to the exchange's model can cost. Providers whose budget has
    /// no room are barred in the exchange's facts.
    ///
    /// # Errors
    /// The fault to answer with; nothing is reserved then.
    pub async fn reserve(
        self: &Arc<Self>,
        exchange: &mut Exchange,
        asked: &Asked<'_>,
    ) -> Result<(), Fault> {
        if self.is_idle() {
            return Ok(());
        }
        let purse = self.purse(exchange);
        let input = Input::of(asked);
        let limits = purse.and_then(|purse| purse.limits.clone());
        if let Some(limits) = &limits {
            let now = exchange.services.clock().now();
            limits.take(input.tokens(), now)?;
        }
        let facts = self.facts(exchange);
        let held = match &self.books {
            Some(books) => self.hold(books, exchange, asked, purse, &facts).await,
            None => Ok((None, Owners::new())),
        };
        let (hold, owners) = match held {
            Ok(held) => held,
            Err(fault) => {
                give_back(limits.as_ref(), &input, exchange);
                return Err(fault);
            }
        };
        let reserved = Reserved {
            treasury: self.clone(),
            clock: exchange.services.clock().clone(),
            hold,
            owners,
            facts,
            limits,
            input,
            copies: asked.copies,
            max_tokens: asked.max_tokens,
            answers: asked.reach.map_or(1, |reach| reach.answers),
            extending: None,
        };
        exchange.reservation = Some(Box::new(reserved));
        Ok(())
    }

    /// The caller's own budgets and limits; a copy of a call takes nothing from them.
    pub(super) fn purse(&self, exchange: &Exchange) -> Option<&Purse> {
        if exchange.trial.is_copied() {
            return None;
        }
        let caller = exchange.caller.as_ref()?;
        let purses = self.purses.get(&caller.name)?;
        purses.get(caller.key.as_deref().unwrap_or_default())
    }

    pub(super) fn facts(&self, exchange: &Exchange) -> Arc<Facts> {
        let record = &exchange.record;
        if exchange.trial.is_copied() {
            let tag = Arc::from(SHADOW);
            return shared(&View {
                route: record.route.as_ref(),
                model: record.target.as_ref(),
                tag: Some(&tag),
                revision: record.revision,
                ..View::default()
            });
        }
        let header = self.tag_header.as_deref();
        let tag = header.and_then(|name| exchange.request.head.headers.get_named(name));
        let tag = tag.map(tag_of);
        if let (Some(tag), Some(ai)) = (&tag, &exchange.ai) {
            ai.borrow_mut().tag = Some(tag.clone());
        }
        let view = View {
            consumer: record.consumer.as_ref(),
            key: record.key.as_ref(),
            team: record.team.as_ref(),
            route: record.route.as_ref(),
            model: record.target.as_ref(),
            tag: tag.as_ref(),
            revision: record.revision,
            ..View::default()
        };
        shared(&view)
    }

    /// Reserves in every budget. The input is bounded by the request's bytes; only where that finds
    /// no room are its tokens counted.
    async fn hold(
        &self,
        books: &Arc<Books>,
        exchange: &Exchange,
        asked: &Asked<'_>,
        purse: Option<&Purse>,
        facts: &Arc<Facts>,
    ) -> Result<Held, Fault> {
        let held = self.hold_most(books, exchange, asked, purse, facts, &[]);
        match held.await {
            Err(fault)
                if fault.code == FaultCode::BudgetExceeded && !self.tokenizers.is_empty() =>
            {
                let exact = self.exact_inputs(exchange, asked).await;
                if exact.iter().all(Option::is_none) {
                    return Err(fault);
                }
                let held = self.hold_most(books, exchange, asked, purse, facts, &exact);
                Box::pin(held).await
            }
            held => held,
        }
    }

    /// The same with exact counts of the input, by provider, where there are any.
    async fn hold_most(
        &self,
        books: &Arc<Books>,
        exchange: &Exchange,
        asked: &Asked<'_>,
        purse: Option<&Purse>,
        facts: &Arc<Facts>,
        exact: &[Option<u64>],
    ) -> Result<Held, Fault> {
        let own = purse.map_or(&[][..], |purse| &purse.accounts);
        let model = exchange.record.target.as_ref();
        let billed = model.and_then(|model| self.models.get(model));
        let billed = billed.map_or(&[][..], Vec::as_slice);
        if own.is_empty() && billed.iter().all(|billed| billed.accounts.is_empty()) {
            return Ok((
                books.unbudgeted_as(charged_as(exchange), facts),
                Owners::new(),
            ));
        }
        let reach_of = |body: &Bytes| asked.reach.unwrap_or_else(|| reach(body));
        let body = asked.body.map(|body| (body.len(), reach_of(body)));
        let mut most: SmallVec<[Most; 4]> = SmallVec::new();
        for (at, billed) in billed.iter().enumerate() {
            most.push(Most::of(
                billed,
                asked,
                body,
                exact.get(at).copied().flatten(),
            ));
        }
        let all = most.iter().fold(Most::default(), |sum, one| sum.or(one));
        let cost = (all.cost != Money::MAX).then_some(all.cost);
        let mut barred: Vec<Arc<str>> = Vec::new();
        let id = charged_as(exchange);
        // Each round bars one provider more, or is the last.
        loop {
            let (parts, owners) = parts(books, own, &all, billed, &most, &mut barred);
            if !billed.is_empty() && billed.iter().all(|one| barred.contains(&one.provider)) {
                let budget = billed[0]
                    .accounts
                    .first()
                    .map(|account| account.name().clone());
                return Err(exceeded(&budget.unwrap_or_default(), None, 0));
            }
            let held = match books.hold_now(&id, facts, cost, &parts) {
                Some(held) => held,
                None => Box::pin(books.hold_as(&id, facts, cost, &parts)).await,
            };
            let refusal = match held {
                Ok(hold) => {
                    if let Some(ai) = &exchange.ai {
                        ai.borrow_mut().barred = barred;
                    }
                    return Ok((Some(hold), owners));
                }
                Err(refusal) => refusal,
            };
            match short_provider(&refusal, &parts, &owners) {
                Some(provider) => barred.push(provider),
                None => {
                    let unix_s = exchange.services.clock().unix().as_secs();
                    return Err(refused(&refusal, unix_s));
                }
            }
        }
    }
}

/// What the ledger tells the call by: what somebody gave who may make it again, or a new id.
fn charged_as(exchange: &Exchange) -> ExchangeId {
    let inside = exchange.client.inside.as_deref();
    // A copy that is compared is not the item.
    let given = inside.filter(|_| !exchange.trial.is_copied());
    match given.and_then(|inside| inside.charged_as.clone()) {
        Some(id) => ExchangeId::Named(id),
        None => ExchangeId::random(),
    }
}

/// The provider that each part of a reservation is for; the caller's own without one.
pub(super) type Owners = SmallVec<[Option<Arc<str>>; 2]>;

/// What is reserved where.
type Parts<'a> = SmallVec<[Part<'a>; 4]>;

/// A reservation, and whom its parts are for.
type Held = (Option<Hold>, Owners);

/// What to reserve where, and whose provider each part is for; the caller's own parts without one.
fn parts<'a>(
    books: &Books,
    own: &'a [Arc<Account>],
    all: &Most,
    billed: &'a [Arc<Billed>],
    most: &[Most],
    barred: &mut Vec<Arc<str>>,
) -> (Parts<'a>, Owners) {
    fn part<'a>(account: &'a Arc<Account>, most: &Most) -> Part<'a> {
        (account, most.of_unit(account.unit()))
    }
    // Pushed one by one, which costs a list this short less than collecting it.
    let (mut parts, mut owners) = (Parts::new(), Owners::new());
    for account in own {
        parts.push(part(account, all));
        owners.push(None);
    }
    for (billed, most) in billed.iter().zip(most) {
        let known = |owner: &Option<Arc<str>>| owner.as_ref() == Some(&billed.provider);
        if barred.contains(&billed.provider) || owners.iter().any(known) {
            continue;
        }
        let wanted = || billed.accounts.iter().map(|one| part(one, most));
        if wanted().all(|(account, amount)| books.has_room(account, amount)) {
            for part in wanted() {
                parts.push(part);
                owners.push(Some(billed.provider.clone()));
            }
        } else {
            barred.push(billed.provider.clone());
        }
    }
    (parts, owners)
}

/// The provider whose budget a refusal is about.
fn short_provider(
    refusal: &Refusal,
    parts: &[Part<'_>],
    owners: &[Option<Arc<str>>],
) -> Option<Arc<str>> {
    let Refusal::Exhausted { budget, .. } = refusal else {
        return None;
    };
    let at = parts
        .iter()
        .position(|(account, _)| account.name() == budget)?;
    owners.get(at)?.clone()
}

/// The most that one provider's model can take of a call.
#[derive(Clone, Copy, Default)]
struct Most {
    cost: Money,
    tokens: i64,
}

impl Most {
    fn of(
        billed: &Billed,
        asked: &Asked<'_>,
        body: Option<(usize, Reach)>,
        exact: Option<u64>,
    ) -> Self {
        let Some(tariff) = &billed.tariff else {
            return Self {
                cost: Money::MAX,
                tokens: i64::MAX,
            };
        };
        let (bound, output) = tariff.tokens(body, asked.max_tokens);
        let input = bound.map(|bound| exact.map_or(bound, |exact| exact.min(bound)));
        let cost = tariff.bound(input, output, asked.pieces).picodollars();
        let tokens = input.map_or(u64::MAX, |input| input.saturating_add(output));
        Self {
            cost: Money::from_picodollars(cost.saturating_mul(asked.copies)),
            tokens: i64::try_from(tokens)
                .unwrap_or(i64::MAX)
                .saturating_mul(asked.copies),
        }
    }

    fn or(self, other: &Self) -> Self {
        Self {
            cost: self.cost.max(other.cost),
            tokens: self.tokens.max(other.tokens),
        }
    }

    const fn of_unit(&self, unit: Unit) -> i64 {
        match unit {
            Unit::Money => self.cost.picodollars(),
            Unit::Tokens => self.tokens,
            Unit::Requests => 1,
        }
    }
}

fn give_back(limits: Option<&Arc<Meters>>, input: &Input, exchange: &Exchange) {
    if let Some(limits) = limits {
        limits.settle(input.tokens(), 0, exchange.services.clock().now());
    }
}

fn refused(refusal: &Refusal, unix_s: u64) -> Fault {
    match refusal {
        Refusal::Exhausted {
            budget,
            until_unix_s,
        } => exceeded(budget, *until_unix_s, unix_s),
        Refusal::Unavailable => Fault::new(FaultCode::BudgetUnavailable)
            .detail("the store is down")
            .retry_after(Duration::from_secs(5)),
        Refusal::Full => Fault::new(FaultCode::BudgetUnavailable)
            .detail("too many calls wait to be written into the ledger")
            .retry_after(Duration::from_secs(1)),
    }
}

fn exceeded(budget: &str, until_unix_s: Option<i64>, unix_s: u64) -> Fault {
    let fault = Fault::new(FaultCode::BudgetExceeded)
        .message("Less is left than this call may cost; a lower limit of output tokens may fit.")
        .detail(format!("budget `{budget}`"));
    let until = until_unix_s.and_then(|until| u64::try_from(until).ok());
    match until {
        Some(until) => fault.retry_after(Duration::from_secs(until.saturating_sub(unix_s).max(1))),
        None => fault,
    }
}

/// What is kept of a tag: enough to group by, nothing that could break a table.
pub(crate) fn tag_of(value: &[u8]) -> Arc<str> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:/".contains(byte);
    let kept = value.iter().copied().filter(plain).take(TAG_MAX);
    kept.map(char::from).collect::<String>().into()
}
