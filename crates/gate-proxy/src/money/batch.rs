//! What batches cost.
//!
//! Nobody knows what a batch will consume when it is handed in, and it runs for hours beside the
//! gateway; so nothing is reserved for it. It is settled, at the prices for batches, when somebody
//! reads through the gateway what it consumed: OpenAI's batch object once the batch is over,
//! Anthropic's results once they were read to their end. That may happen often and on several
//! gateways; the provider's id of the batch makes its entry in the ledger unique, and a batch that
//! this process has settled already is not counted again in metrics either.
//!
//! Answers that are read one by one are priced one by one, as what a long request costs may be another
//! price than a short one's. OpenAI's object has sums only: where that matters, its cost is a guess
//! by the average request, and marked as estimated.

use super::Treasury;
use super::settle::tokens_of;
use super::tariff::ModelTariff;
use gate_ai::Usage;
use gate_ai::operation::batch_usage::{BatchAnswers, BatchShare, BatchTariff};
use gate_flow::{AiFacts, Exchange, Record, Reservation};
use gate_model::resources::{Price, ServiceTier};
use gate_model::units::Money;
use gate_store::Account;
use gate_store::books::Settlement;
use gate_store::ledger::{BATCH, Facts};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

/// Batches that a process remembers to have settled.
const KNOWN_MAX: usize = 8_192;

/// What an answer has shown of a batch, whose answer may still be on its way.
#[derive(Debug, Default)]
pub struct Seen {
    /// The provider's id of the batch.
    pub id: String,
    /// What its models consumed; empty until all of that is known.
    pub shares: Vec<BatchShare>,
    /// Whether some of it could not be read.
    pub partly: bool,
}

/// Batches that were settled, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Known {
    ids: Mutex<(HashSet<Arc<str>>, VecDeque<Arc<str>>)>,
}

impl Known {
    /// Whether this batch is seen for the first time.
    fn is_new(&self, id: &str) -> bool {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let (set, order) = &mut *ids;
        let id: Arc<str> = id.into();
        if !set.insert(id.clone()) {
            return false;
        }
        order.push_back(id);
        if order.len() > KNOWN_MAX
            && let Some(oldest) = order.pop_front()
        {
            set.remove(&oldest);
        }
        true
    }

    fn forget(&self, id: &str) {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.0.remove(id);
        ids.1.retain(|known| **known != *id);
    }
}

/// How models are priced that no target names.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Kinds of providers, by their names.
    pub(super) kinds: BTreeMap<String, String>,
    /// Prices of one's own.
    pub(super) prices: BTreeMap<String, Vec<Price>>,
}

impl Treasury {
    /// Settles what `seen` shows when the exchange has ended.
    pub fn watch_batch(
        self: &Arc<Self>,
        exchange: &mut Exchange,
        provider: &Arc<str>,
    ) -> Rc<RefCell<Seen>> {
        let seen: Rc<RefCell<Seen>> = Rc::default();
        exchange.reservation = Some(Box::new(Watched {
            treasury: self.clone(),
            facts: self.facts(exchange),
            accounts: self.accounts_of(exchange, provider),
            provider: provider.clone(),
            seen: seen.clone(),
        }));
        seen
    }

    /// Prices for the answers of a provider's batches.
    #[must_use]
    pub fn batch_tariff(self: &Arc<Self>, provider: &Arc<str>) -> Box<dyn BatchTariff> {
        Box::new(Tariffs {
            treasury: self.clone(),
            provider: provider.clone(),
            known: BTreeMap::new(),
        })
    }

    /// Budgets of the caller, and of the provider.
    fn accounts_of(&self, exchange: &Exchange, provider: &Arc<str>) -> Vec<Arc<Account>> {
        let own = self.purse(exchange).map(|purse| &purse.accounts[..]);
        let mut billed = self.models.values().flatten();
        let of = billed.find(|billed| billed.provider == *provider);
        let of = of.map(|billed| &billed.accounts[..]);
        let all = own.into_iter().chain(of).flatten();
        all.cloned().collect()
    }

    /// The tariff of any model of a provider.
    fn any_tariff(&self, provider: &Arc<str>, model: &str) -> Option<Arc<ModelTariff>> {
        if let Some(known) = self.tariff(provider, &model.into()) {
            return Some(known);
        }
        let kind = self.listed.kinds.get(&**provider)?;
        let prices = &self.listed.prices;
        let own = prices
            .get(&format!("{provider}/{model}"))
            .or_else(|| prices.get(&format!("{provider}/*")));
        let own = own.map(Vec::as_slice);
        ModelTariff::new(kind, model, own, &self.clock)
            .ok()
            .map(Arc::new)
    }
}

/// What the models of one provider cost in batches.
struct Tariffs {
    treasury: Arc<Treasury>,
    provider: Arc<str>,
    /// The tariffs found so far, by model: as many as are told apart in a batch.
    known: BTreeMap<String, Option<Arc<ModelTariff>>>,
}

impl BatchTariff for Tariffs {
    fn cost(&mut self, model: &str, usage: &Usage) -> Option<Money> {
        if !self.known.contains_key(model) {
            let found = self.treasury.any_tariff(&self.provider, model);
            self.known.insert(model.to_owned(), found);
        }
        let tariff = self.known.get(model)?.as_ref()?;
        let cost = tariff.cost_of_many(usage, Some(1), ServiceTier::Batch);
        cost.map(|(cost, _)| cost)
    }
}

/// An answer that may show what a batch consumed.
struct Watched {
    treasury: Arc<Treasury>,
    facts: Arc<Facts>,
    accounts: Vec<Arc<Account>>,
    provider: Arc<str>,
    seen: Rc<RefCell<Seen>>,
}

impl Reservation for Watched {
    fn settle(self: Box<Self>, record: &mut Record) {
        let Seen { id, shares, partly } = self.seen.take();
        let Some(ai) = record.ai.as_mut().filter(|_| !shares.is_empty()) else {
            return;
        };
        let id = format!("batch/{}/{id}", self.provider);
        if !self.treasury.batches.is_new(&id) {
            return;
        }
        (ai.service_tier, ai.estimated) = (ServiceTier::Batch, partly);
        let mut cost = Some(Money::ZERO);
        for share in &shares {
            let one = self.one(share, partly);
            ai.estimated |= one.estimated;
            add(ai, &one);
            cost = cost.zip(one.cost).map(|(sum, one)| sum + one);
            if !self.write(&id, share, &one) {
                // Whoever asks next finds it unsettled.
                self.treasury.batches.forget(&id);
            }
        }
        ai.cost = cost;
    }
}

impl Watched {
    /// The counts and the cost of one model's share.
    fn one(&self, share: &BatchShare, partly: bool) -> AiFacts {
        let usage = &share.usage;
        let mut facts = AiFacts {
            input_tokens: Some(usage.input_tokens),
            output_tokens: Some(usage.output_tokens),
            cached_tokens: Some(usage.cached_tokens),
            cache_written_tokens: Some(usage.cache_written_tokens),
            cache_written_hour_tokens: usage.cache_written_1h_tokens,
            reasoning_tokens: Some(usage.reasoning_tokens),
            audio_input_tokens: usage.audio_input_tokens,
            audio_output_tokens: usage.audio_output_tokens,
            service_tier: ServiceTier::Batch,
            estimated: partly,
            ..AiFacts::default()
        };
        facts.cost = match share.answers {
            BatchAnswers::Read(cost) => cost,
            BatchAnswers::Summed(requests) => {
                let tariff = self.treasury.any_tariff(&self.provider, &share.model);
                let cost = tariff
                    .and_then(|tariff| tariff.cost_of_many(usage, requests, ServiceTier::Batch));
                facts.estimated |= cost.is_some_and(|(_, guessed)| guessed);
                cost.map(|(cost, _)| cost)
            }
        };
        facts
    }

    /// Writes a share into the ledger; false when there is no room for it.
    fn write(&self, id: &str, share: &BatchShare, one: &AiFacts) -> bool {
        let Some(books) = &self.treasury.books else {
            return true;
        };
        let model: Arc<str> = share.model.as_str().into();
        let facts = Facts {
            model: model.clone(),
            provider: self.provider.clone(),
            provider_model: model,
            ..(*self.facts).clone()
        };
        let settlement = Settlement {
            outcome: BATCH,
            tokens: tokens_of(one),
            estimated: one.estimated,
            cost: one.cost,
        };
        let id = format!("{id}/{}", share.model);
        books.note_once(&id, Arc::new(facts), &settlement, &self.accounts)
    }
}

/// Adds the counts of a share to those of the record.
fn add(ai: &mut AiFacts, one: &AiFacts) {
    for (sum, one) in [
        (&mut ai.input_tokens, one.input_tokens),
        (&mut ai.output_tokens, one.output_tokens),
        (&mut ai.cached_tokens, one.cached_tokens),
        (&mut ai.cache_written_tokens, one.cache_written_tokens),
        (&mut ai.reasoning_tokens, one.reasoning_tokens),
    ] {
        *sum = Some(sum.unwrap_or(0).saturating_add(one.unwrap_or(0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_new_once_and_memory_is_bounded() {
        let known = Known::default();
        assert!(known.is_new("a") && !known.is_new("a"));
        known.forget("a");
        assert!(known.is_new("a"));
        for id in 0..3 * KNOWN_MAX {
            assert!(known.is_new(&id.to_string()));
        }
        let ids = known.ids.lock().unwrap();
        assert_eq!((ids.0.len(), ids.1.len()), (KNOWN_MAX, KNOWN_MAX));
    }
}
