//! What calls to models cost, and whether they may.
//!
//! When configuration is compiled, every provider's model gets its [`tariff`] and every key the
//! accounts of the budgets it falls under. A call reserves the most it can cost before the first
//! provider is asked ([`reserve`]), and settles from its record when the exchange has ended,
//! whatever became of it. Without a store and without limits per time, all of this is one branch.
//!
//! What serves calls owes six things: `Model::treasury.reserve` once per call, before the first
//! try; no try at providers that `AiFacts::barred` names; `AiFacts::tariff` set with the provider
//! that is tried; counts in `AiFacts` as the provider gives them; a leg in its detours for each try
//! that came to nothing and may be billed; and [`extension`] before each try after one of those.

pub(crate) mod batch;
pub(crate) mod compile;
pub(crate) mod count;
mod extension;
mod facts;
pub mod limits;
pub mod metrics;
pub(crate) mod quota;
pub(crate) mod reserve;
mod settle;
pub mod store;
pub mod tariff;

pub(crate) use settle::by_time;

use gate_ai::tokenizer::{Encoding, Tokenizer};
use gate_kit::clock::Clock;
use gate_store::{Account, Books};
use limits::{Meter, Meters};
use rustc_hash::FxHashMap;
use std::collections::HashMap;
use std::sync::Arc;
use tariff::ModelTariff;

/// Who pays what, compiled. One for each snapshot.
#[derive(Default)]
pub struct Treasury {
    books: Option<Arc<Books>>,
    tag_header: Option<String>,
    /// By consumer, then by key.
    purses: FxHashMap<Arc<str>, FxHashMap<Arc<str>, Purse>>,
    /// What a call to a model may be billed with, by the model's name.
    models: FxHashMap<Arc<str>, Vec<Arc<Billed>>>,
    /// By provider and its model.
    tariffs: HashMap<(Arc<str>, Arc<str>), Arc<ModelTariff>>,
    /// Vocabularies for exact counts.
    tokenizers: HashMap<Encoding, Arc<Tokenizer>>,
    /// The limits of providers, by name.
    providers: FxHashMap<Arc<str>, Arc<Meter>>,
    /// Whether anybody has limits.
    limited: bool,
    /// What batches are priced by, and those that were settled.
    listed: batch::Listed,
    batches: Arc<batch::Known>,
    clock: Clock,
}

/// What the calls with one key fall under.
#[derive(Default)]
struct Purse {
    accounts: Vec<Arc<Account>>,
    limits: Option<Arc<Meters>>,
}

/// One provider's model that a call may be answered by.
struct Billed {
    provider: Arc<str>,
    tariff: Option<Arc<ModelTariff>>,
    /// Budgets of the provider.
    accounts: Vec<Arc<Account>>,
}

impl Treasury {
    /// What a provider's model costs, where that is known.
    #[must_use]
    pub fn tariff(&self, provider: &Arc<str>, model: &Arc<str>) -> Option<Arc<ModelTariff>> {
        self.tariffs
            .get(&(provider.clone(), model.clone()))
            .cloned()
    }

    /// The limits of a provider, where it has some.
    #[must_use]
    pub(crate) fn meter(&self, provider: &str) -> Option<Arc<Meter>> {
        self.providers.get(provider).cloned()
    }

    /// Whether calls are reserved for before they are made.
    #[must_use]
    pub const fn reserves(&self) -> bool {
        self.books.is_some()
    }

    /// Whether calls need not be looked at.
    const fn is_idle(&self) -> bool {
        self.books.is_none() && !self.limited
    }
}
