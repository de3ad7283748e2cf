//! From teams, budgets, prices and keys as configured to a [`Treasury`].

use super::batch::{Known, Listed};
use super::limits::{Meter, Meters};
use super::tariff::ModelTariff;
use super::{Billed, Purse, Treasury};
use crate::compile::Work;
use gate_ai::tokenizer::{Encoding, ModelTokenizer};
use gate_model::document::{Path, from_node};
use gate_model::finding::Finding;
use gate_model::resources::{
    Budget, BudgetLimit, BudgetOf, CallLimits, Component, Consumer, Resources, StoreEngine,
    StorePlace,
};
use gate_model::units::TimeZone;
use gate_store::Account;
use gate_store::books::{BudgetSpec, Unit};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Accounts by whose calls count.
type Accounts = Vec<(BudgetOf, Arc<Account>)>;

impl Treasury {
    /// Compiles everything about money; what is wrong goes into the findings.
    #[must_use]
    pub fn compile(work: &mut Work<'_>) -> Self {
        let accounts = budgets(work);
        let resources = work.resources;
        let store = resources.gateway.store.as_ref();
        let mut treasury = Self {
            books: work.compiler.books.cloned(),
            tag_header: store.and_then(|store| store.tag_header.clone()),
            tokenizers: super::count::tokenizers(work),
            listed: listed(resources),
            batches: work.compiler.state.get_or_insert("batches", Known::default),
            clock: work.compiler.clock.clone(),
            ..Self::default()
        };
        check_store(work);
        check_prices(work);
        for (name, consumer) in &resources.consumers {
            let purses = purses(work, name, consumer, &accounts);
            treasury.limited |= purses.values().any(|purse| purse.limits.is_some());
            treasury.purses.insert(name.as_str().into(), purses);
        }
        for (name, provider) in &resources.providers {
            let limits = limits_of(provider);
            if let Some(meter) = meter(work, &format!("provider/{name}"), &limits) {
                treasury.providers.insert(name.as_str().into(), meter);
                treasury.limited = true;
            }
        }
        treasury.bill(work, &accounts);
        treasury
    }

    /// Finds the tariff of every target of every model.
    fn bill(&mut self, work: &mut Work<'_>, accounts: &Accounts) {
        let resources = work.resources;
        let is_money = |budget: &Budget| matches!(budget.limit, BudgetLimit::Usd(_));
        let needs_prices = resources.budgets.values().any(is_money);
        for (name, model) in &resources.models {
            let path = Path::root().key("models").key(name);
            let mut billed = Vec::new();
            let lists = [("targets", &model.targets), ("fallback", &model.fallback)];
            for (field, list) in lists {
                for (index, target) in list.iter().enumerate() {
                    let path = path.key(field).index(index);
                    let (provider, model) = (&target.provider, &target.model);
                    let tariff = self.tariff_of(work, provider, model, &path);
                    if needs_prices && !tariff.as_ref().is_some_and(|tariff| tariff.is_known()) {
                        unpriced(work, provider, model, path.key("model"));
                    }
                    let of = BudgetOf::Provider(provider.clone());
                    billed.push(Arc::new(Billed {
                        provider: provider.as_str().into(),
                        tariff,
                        accounts: under(accounts, |whose| *whose == of),
                    }));
                }
            }
            self.models.insert(name.as_str().into(), billed);
        }
    }

    fn tariff_of(
        &mut self,
        work: &mut Work<'_>,
        provider: &str,
        model: &str,
        path: &Path,
    ) -> Option<Arc<ModelTariff>> {
        let key = (Arc::from(provider), Arc::from(model));
        if let Some(known) = self.tariffs.get(&key) {
            return Some(known.clone());
        }
        let component = work.resources.providers.get(provider)?;
        let (kind, _) = component.0.entries().first()?;
        let prices = &work.resources.prices;
        let own = prices
            .get(&format!("{provider}/{model}"))
            .or_else(|| prices.get(&format!("{provider}/*")));
        let clock = work.compiler.clock;
        match ModelTariff::new(&kind.text, model, own.map(Vec::as_slice), clock) {
            Ok(tariff) => {
                let encoding = Encoding::of_model(&kind.text, model);
                let tokenizer = encoding.and_then(|encoding| self.tokenizers.get(&encoding));
                let tokenizer =
                    tokenizer.map(|tokenizer| ModelTokenizer::new(tokenizer.clone(), model));
                let tariff = Arc::new(tariff.with_tokenizer(tokenizer));
                self.tariffs.insert(key, tariff.clone());
                Some(tariff)
            }
            Err(message) => {
                work.report(Finding::error("invalid_price", path.key("model"), message));
                None
            }
        }
    }
}

/// What models are priced by that no target names.
fn listed(resources: &Resources) -> Listed {
    let kind = |(name, provider): (&String, &Component)| {
        let (kind, _) = provider.0.entries().first()?;
        Some((name.clone(), kind.text.to_string()))
    };
    Listed {
        kinds: resources.providers.iter().filter_map(kind).collect(),
        prices: resources.prices.clone(),
    }
}

fn unpriced(work: &mut Work<'_>, provider: &str, model: &str, path: Path) {
    let message = format!(
        "there is a budget in dollars, but no price is known for `{model}` of `{provider}`"
    );
    let help = format!(
        "add `prices: {{ \"{provider}/{model}\": [{{ per_million: {{ input: 1, output: 2 }} }}] }}`"
    );
    work.report(Finding::error("price_unknown", path, message).help(help));
}

/// The address of a database must be there.
fn check_store(work: &mut Work<'_>) {
    let Some(store) = &work.resources.gateway.store else {
        return;
    };
    let StoreEngine::Postgres { address } = &store.engine else {
        return;
    };
    let secrets = work.compiler.secrets;
    let found = match address {
        StorePlace::Env(name) => secrets.env(name),
        StorePlace::File(path) => secrets.file(&work.compiler.folder.join(path)),
    };
    if let Err(message) = found {
        let path = Path::root().key("gateway").key("store").key("engine");
        work.report(Finding::error("missing_secret", path, message));
    }
}

/// Prices must belong to a provider.
fn check_prices(work: &mut Work<'_>) {
    let resources = work.resources;
    for name in resources.prices.keys() {
        let path = Path::root().key("prices").key(name);
        match name.split_once('/') {
            Some((provider, model)) if !model.is_empty() => {
                if !resources.providers.contains_key(provider) {
                    work.unknown(path, "provider", provider, resources.providers.keys());
                }
            }
            _ => {
                let message = "prices are named `PROVIDER/MODEL` or `PROVIDER/*`";
                work.report(Finding::error("invalid_name", path, message));
            }
        }
    }
}

/// Checks every budget; accounts exist only where there are books.
fn budgets(work: &mut Work<'_>) -> Accounts {
    let resources = work.resources;
    let mut accounts = Vec::new();
    for (name, budget) in &resources.budgets {
        let path = Path::root().key("budgets").key(name);
        if resources.gateway.store.is_none() {
            let message = "a budget needs `gateway.store`, where what was spent is kept";
            let finding = Finding::error("store_missing", path.clone(), message);
            work.report(
                finding
                    .help("add `gateway: { store: { engine: { sqlite: { path: ledger.db } } } }`"),
            );
        }
        check_whose(work, &budget.of, &path.key("of"));
        let Some(spec) = spec(name, budget) else {
            let message = "a budget counts at most 9223372036854775807 tokens";
            work.report(Finding::error("invalid_budget", path.key("limit"), message));
            continue;
        };
        if let Some(books) = work.compiler.books {
            accounts.push((budget.of.clone(), books.account(&spec)));
        }
    }
    accounts
}

fn check_whose(work: &mut Work<'_>, of: &BudgetOf, path: &Path) {
    let resources = work.resources;
    match of {
        BudgetOf::Provider(name) if !resources.providers.contains_key(name) => {
            work.unknown(path.clone(), "provider", name, resources.providers.keys());
        }
        BudgetOf::Consumer(name) if !resources.consumers.contains_key(name) => {
            work.unknown(path.clone(), "consumer", name, resources.consumers.keys());
        }
        BudgetOf::Team(name) => {
            let of_consumers = resources.consumers.values().filter_map(|c| c.team.as_ref());
            let known: Vec<&String> = resources.teams.keys().chain(of_consumers).collect();
            if !known.contains(&name) {
                work.unknown(path.clone(), "team", name, known);
            }
        }
        BudgetOf::Key(name) => {
            let keys = resources.consumers.iter().flat_map(|(consumer, settings)| {
                settings
                    .keys
                    .iter()
                    .map(move |key| format!("{consumer}/{}", key.name()))
            });
            let known: Vec<String> = keys.collect();
            if !known.contains(name) {
                work.unknown(path.clone(), "key", name, &known);
            }
        }
        _ => {}
    }
}

fn spec(name: &str, budget: &Budget) -> Option<BudgetSpec> {
    let (unit, limit) = match budget.limit {
        BudgetLimit::Usd(money) => (Unit::Money, money.picodollars()),
        BudgetLimit::Tokens(tokens) => (Unit::Tokens, i64::try_from(tokens).ok()?),
    };
    let share = |percent: &gate_model::units::Percent| {
        let part = i128::from(limit) * i128::from(percent.hundred_millionths()) / 100_000_000;
        i64::try_from(part).unwrap_or(limit)
    };
    Some(BudgetSpec {
        name: name.into(),
        unit,
        limit,
        period: budget.per,
        zone: TimeZone::utc(),
        thresholds: budget.warn.iter().map(share).collect(),
    })
}

fn under(accounts: &Accounts, counts: impl Fn(&BudgetOf) -> bool) -> Vec<Arc<Account>> {
    let those = accounts.iter().filter(|(of, _)| counts(of));
    those.map(|(_, account)| account.clone()).collect()
}

/// What the calls of a consumer fall under, by its key; the empty name stands for callers that are
/// known otherwise.
fn purses(
    work: &mut Work<'_>,
    name: &str,
    consumer: &Consumer,
    accounts: &Accounts,
) -> FxHashMap<Arc<str>, Purse> {
    let of = |key: &str| {
        let key = format!("{name}/{key}");
        under(accounts, |whose| match whose {
            BudgetOf::Key(of) => *of == key,
            BudgetOf::Consumer(of) => of == name,
            BudgetOf::Team(of) => consumer.team.as_ref() == Some(of),
            BudgetOf::Provider(_) => false,
        })
    };
    let mut purses = FxHashMap::default();
    let own = meter(work, &format!("consumer/{name}"), &consumer.limits);
    let own = own.map(|meter| ("consumer", meter));
    let team = consumer.team.as_ref().and_then(|name| {
        let limits = &work.resources.teams.get(name)?.limits;
        Some(("team", meter(work, &format!("team/{name}"), limits)?))
    });
    let nameless = Purse {
        accounts: of(""),
        limits: Meters::of([own.clone(), team.clone()]),
    };
    purses.insert(Arc::from(""), nameless);
    for key in &consumer.keys {
        let identity = format!("key/{name}/{}", key.name());
        let keys = meter(work, &identity, &key.limits).map(|meter| ("key", meter));
        let purse = Purse {
            accounts: of(&key.name()),
            limits: Meters::of([keys, own.clone(), team.clone()]),
        };
        purses.insert(key.name().into(), purse);
    }
    purses
}

/// The meter of whoever has this identity, which survives reloads while the limits stay the same.
fn meter(work: &Work<'_>, identity: &str, limits: &CallLimits) -> Option<Arc<Meter>> {
    if *limits == CallLimits::default() {
        return None;
    }
    let identity = format!("{identity}/{limits:?}");
    let state = work.compiler.state;
    Some(state.get_or_insert(&identity, || Meter::new(limits)))
}

/// The limits of a provider; none where they are wrong, which whoever reads all of it says.
fn limits_of(provider: &Component) -> CallLimits {
    let settings = provider.0.entries().first().map(|(_, settings)| settings);
    let limits = settings.and_then(|settings| settings.get("limits"));
    let limits = limits.and_then(|limits| from_node(limits, &Path::root()).ok());
    limits.unwrap_or_default()
}

/// The models that all of these allow; all models when none restricts them.
#[must_use]
pub(crate) fn allowed(lists: [Option<&Vec<String>>; 3]) -> Option<Vec<String>> {
    let mut lists = lists.into_iter().flatten();
    let first = lists.next()?.clone();
    Some(lists.fold(first, |mut allowed, list| {
        allowed.retain(|model| list.contains(model));
        allowed
    }))
}

/// Checks the keys of a consumer: names, models and routes.
pub(crate) fn check_keys(work: &mut Work<'_>, consumer: &Consumer, path: &Path) {
    let resources = work.resources;
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for (index, key) in consumer.keys.iter().enumerate() {
        let path = path.key("keys").index(index);
        if names.insert(key.name(), index).is_some() {
            let message = format!("another key of this consumer is named `{}`", key.name());
            work.report(Finding::error("repeated_key", path.key("id"), message));
        }
        if key
            .id
            .as_ref()
            .is_some_and(|id| id.is_empty() || id.contains(['/', '@', '\n']))
        {
            let message = "a key's name is not empty and holds no `/`, `@` or line end";
            work.report(Finding::error("invalid_name", path.key("id"), message));
        }
        for (at, model) in key.models.iter().flatten().enumerate() {
            if !resources.models.contains_key(model) {
                let path = path.key("models").index(at);
                work.unknown(path, "model", model, resources.models.keys());
            }
        }
        for (at, route) in key.routes.iter().flatten().enumerate() {
            if !resources.routes.contains_key(route) {
                let path = path.key("routes").index(at);
                work.unknown(path, "route", route, resources.routes.keys());
            }
        }
    }
    if let Some(team) = &consumer.team
        && !resources.teams.is_empty()
        && !resources.teams.contains_key(team)
    {
        work.unknown(path.key("team"), "team", team, resources.teams.keys());
    }
}
