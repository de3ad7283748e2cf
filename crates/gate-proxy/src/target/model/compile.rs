//! Models, from configuration to what a call needs.

use super::facts::TargetFacts;
use super::provider::{Provider, provider};
use super::road::{Road, roads};
use super::room::Concurrency;
use super::state::{Bounds, ExtraCalls, Lane, TargetState};
use super::strategy::{self, Candidate};
use crate::batches::{BatchAccount, BatchTarget};
use crate::compile::Work;
use crate::money::Treasury;
use crate::money::limits::Meter;
use crate::upstream::pick::hash_of;
use gate_ai::Operation;
use gate_flow::{Condition, Tariff};
use gate_kit::clock::Moment;
use gate_kit::order::Order;
use gate_model::document::Path;
use gate_model::finding::Finding;
use gate_model::resources::{
    self, Backoff, HedgeAfter, Lossy, ModelTarget, OnContentFilter, Strategy,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Most targets of one model, fallbacks included.
const TARGETS_MAX: usize = 64;

/// One provider's model.
pub struct ProviderTarget {
    /// The account.
    pub provider: Arc<Provider>,
    /// The provider's name for the model.
    pub model: Arc<str>,
    /// What it costs, where that is known.
    pub tariff: Option<Arc<dyn Tariff>>,
    /// Its share of the calls.
    pub(super) weight: u32,
    /// Which calls it is for; every call if there is none.
    pub(super) when: Option<Box<dyn Condition>>,
    /// What is known of it: context, capabilities, prices.
    pub(super) facts: TargetFacts,
    /// How much its provider may be asked for per time, where that is limited.
    pub(super) meter: Option<Arc<Meter>>,
    /// Hash of provider and model, the same in every process.
    pub(super) identity: u64,
    /// Where each operation leads.
    pub(super) roads: Vec<Road>,
    /// What was learnt about it.
    pub(super) state: Arc<TargetState>,
    /// What was learnt about each of the provider's credentials at this model.
    pub(super) lanes: Vec<Arc<Lane>>,
}

/// A model that callers ask for.
pub struct Model {
    /// Its name.
    pub name: Arc<str>,
    /// How long a target may take to its first byte.
    pub first_byte: Duration,
    /// How long a stream may stay silent.
    pub idle: Duration,
    /// Whether a request is refused rather than sent without what cannot be translated.
    pub refuses_losses: bool,
    /// Who pays for calls.
    pub treasury: Arc<Treasury>,
    /// How long a stream may take to its first token; zero for no limit of its own.
    pub(super) first_token: Duration,
    /// How long everything may take; zero for no limit.
    pub(super) total: Duration,
    pub(super) strategy: Strategy,
    /// Its targets, then its fallbacks.
    pub(super) targets: Vec<ProviderTarget>,
    /// How many of `targets` are no fallbacks.
    pub(super) shared: usize,
    /// There is one target with one credential, no condition and nothing that races, waits or
    /// resumes: nothing to choose or to learn.
    pub(super) only_one: bool,
    /// Rounds after the first.
    pub(super) retries: u32,
    /// Share of the calls in flight that may be retries or hedges.
    pub(super) extra_share: f64,
    pub(super) extra: Arc<ExtraCalls>,
    pub(super) backoff: Backoff,
    pub(super) hedge: Option<HedgeAfter>,
    pub(super) resume: bool,
    pub(super) filtered_falls_back: bool,
    pub(super) concurrency: Option<Concurrency>,
}

impl Model {
    /// Whether times to the first token are measured: something is decided by them.
    pub(super) fn measures(&self) -> bool {
        matches!(self.strategy, Strategy::LowestLatency { .. })
            || matches!(self.hedge, Some(HedgeAfter::Percentile(_)))
            || self.concurrency.is_some()
    }
}

impl Model {
    /// The targets that share the calls, in the order that the strategy gives for a call of no size.
    fn shared_order(&self) -> Vec<&ProviderTarget> {
        let known = |(index, target): (usize, &ProviderTarget)| Candidate {
            index,
            weight: target.weight,
            identity: target.identity,
            latency: target.state.latency(false).mean(),
            cost: target.facts.cost(1_000, Some(1_000)),
            busy: target.state.in_flight(),
        };
        let shared = self.targets[..self.shared].iter().enumerate();
        let shared = shared.filter(|(_, target)| target.weight > 0);
        let mut known: Vec<Candidate> = shared.map(known).collect();
        let strategy = match &self.strategy {
            // Requests of a batch have no beginning in common.
            Strategy::PromptPrefix { .. } => &Strategy::Weighted {},
            strategy => strategy,
        };
        let order = strategy::order(strategy, &mut known, 0);
        order.iter().map(|index| &self.targets[*index]).collect()
    }

    /// All targets that take part, for what a provider keeps: one drawn by weight, the other
    /// weighted ones, the fallbacks.
    pub(super) fn drawn(&self) -> Vec<&ProviderTarget> {
        let takes_part = |index: &usize| self.targets[*index].weight > 0 || *index >= self.shared;
        let (shared, fallback): (Vec<usize>, Vec<usize>) = (0..self.targets.len())
            .filter(takes_part)
            .partition(|index| *index < self.shared);
        let known = |index: usize| Candidate {
            index,
            weight: self.targets[index].weight,
            ..Candidate::default()
        };
        let mut known: Vec<Candidate> = shared.into_iter().map(known).collect();
        let order = strategy::order(&Strategy::Weighted {}, &mut known, 0);
        let all = order.into_iter().chain(fallback);
        all.map(|index| &self.targets[index]).collect()
    }
}

/// Every model and every provider by name.
#[derive(Default)]
pub struct Models {
    models: HashMap<String, Arc<Model>>,
    providers: BTreeMap<String, Arc<Provider>>,
}

impl Models {
    /// The model of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Model>> {
        self.models.get(name)
    }

    /// Who runs a batch's requests for this operation to a model: the first of its targets that has a
    /// batch API which does, in the order that the model's strategy gives. Fallbacks are for what fails;
    /// and where a target has a condition, each request has to decide where it goes.
    pub(crate) fn batch_target(
        &self,
        operation: Operation,
        model: &str,
        now: Moment,
    ) -> Option<BatchTarget> {
        let model = self.models.get(model)?;
        let order = model.shared_order();
        if order.iter().any(|target| target.when.is_some()) {
            return None;
        }
        order.into_iter().find_map(|target| {
            let provider = &target.provider;
            let api = provider.kind.batches?;
            let (sent, _) = api.running(operation)?;
            provider
                .kind
                .serves(sent, &target.model, &provider.config)?;
            let found = BatchTarget {
                provider: provider.name.to_string(),
                model: target.model.to_string(),
                format: api.format,
            };
            (target.state.held_until() <= now).then_some(found)
        })
    }

    /// How the batch API of a provider is spoken.
    pub(crate) fn batch_account(&self, provider: &str) -> Option<BatchAccount> {
        let provider = self.providers.get(provider)?;
        Some(BatchAccount {
            api: provider.kind.batches?,
            base: provider.kind.base_path(&provider.config).ok()?,
            options: provider.options.clone(),
        })
    }

    /// Every provider, by name.
    pub(super) fn providers(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.providers.values()
    }

    /// What models call at a provider, each with the model.
    pub(super) fn targets_of<'a>(
        &'a self,
        provider: &'a Arc<Provider>,
    ) -> Vec<(&'a Model, &'a ProviderTarget)> {
        let mut found: Vec<(&Model, &ProviderTarget)> = Vec::new();
        for model in self.models.values() {
            let own = model.targets.iter();
            let own = own.filter(|target| Arc::ptr_eq(&target.provider, provider));
            found.extend(own.map(|target| (&**model, target)));
        }
        found.order_by(|(a, x), (b, y)| (&x.model, &a.name).cmp(&(&y.model, &b.name)));
        found
    }

    /// Whether a model has a target at this provider.
    pub(crate) fn has_provider(&self, name: &str) -> bool {
        let mut targets = self.models.values().flat_map(|model| &model.targets);
        targets.any(|target| &*target.provider.name == name)
    }

    /// Passes the targets of these providers over until then, and those of others no longer.
    pub(crate) fn pass_over(&self, until: &BTreeMap<&str, Moment>) {
        for target in self.models.values().flat_map(|model| &model.targets) {
            let until = until.get(&*target.provider.name).copied();
            target.state.hold_out(until);
        }
    }

    /// Compiles every provider and model; what is wrong goes into the findings.
    #[must_use]
    pub fn compile(work: &mut Work<'_>, treasury: &Arc<Treasury>) -> Self {
        let mut providers = BTreeMap::new();
        for (name, component) in &work.resources.providers {
            let path = Path::root().key("providers").key(name);
            if let Some(provider) = provider(work, name, component, &path) {
                providers.insert(name.clone(), Arc::new(provider));
            }
        }
        let mut models = HashMap::new();
        for (name, settings) in &work.resources.models {
            let model = model(work, &providers, name, settings, treasury);
            models.insert(name.clone(), Arc::new(model));
        }
        Self { models, providers }
    }
}

/// What the catalogue, or `prices`, says about a target.
fn list_price(treasury: &Treasury, written: &ModelTarget) -> Option<resources::TokenPrice> {
    let (provider, model) = (written.provider.as_str(), written.model.as_str());
    treasury
        .tariff(&provider.into(), &model.into())?
        .per_million()
}

fn model(
    work: &mut Work<'_>,
    providers: &BTreeMap<String, Arc<Provider>>,
    name: &str,
    settings: &resources::Model,
    treasury: &Arc<Treasury>,
) -> Model {
    let path = Path::root().key("models").key(name);
    if settings.targets.is_empty() {
        let message = "a model needs at least one target";
        work.report(Finding::error("empty_list", path.key("targets"), message));
    }
    if settings.targets.len() + settings.fallback.len() > TARGETS_MAX {
        let message = format!("a model has at most {TARGETS_MAX} targets");
        work.report(Finding::error("too_many", path.key("targets"), message));
    }
    let mut targets = Vec::new();
    let mut shared = 0;
    for (list, key) in [
        (&settings.targets, "targets"),
        (&settings.fallback, "fallback"),
    ] {
        for (index, written) in list.iter().enumerate() {
            let path = path.key(key).index(index);
            // A choice by price over a target without one would silently be another choice.
            let by_price = settings.strategy == Strategy::LowestCost {};
            let priced = written.price.is_some() || list_price(treasury, written).is_some();
            if key == "targets" && by_price && !priced {
                let message = "the strategy `lowest_cost` needs the price of every target";
                work.report(Finding::error("missing_price", path.key("price"), message));
            }
            targets.extend(target(work, providers, written, &path));
        }
        if key == "targets" {
            shared = targets.len();
        }
    }
    let concurrency = settings.concurrency.as_ref();
    let concurrency = concurrency.map(|settings| concurrency_of(work, settings, &path));
    let is_plain = concurrency.is_none() && settings.hedge.is_none() && !settings.resume;
    let only_one = is_plain
        && matches!(&targets[..], [one] if one.when.is_none() && one.lanes.len() == 1 && one.weight > 0);
    for target in &mut targets {
        target.meter = treasury.meter(&target.provider.name);
        let tariff = treasury.tariff(&target.provider.name, &target.model);
        let known = tariff.filter(|tariff| tariff.is_known());
        if let Some(tariff) = &known {
            target.facts.take_price(tariff);
        }
        target.tariff = known.map(|tariff| tariff as Arc<dyn Tariff>);
    }
    Model {
        name: name.into(),
        treasury: treasury.clone(),
        first_byte: settings.first_byte.duration(),
        idle: settings.idle.duration(),
        refuses_losses: settings.lossy == Lossy::Refuse,
        first_token: settings.first_token.duration(),
        total: settings.total.duration(),
        strategy: settings.strategy.clone(),
        targets,
        shared,
        only_one,
        retries: settings.retry.attempts.min(10),
        extra_share: settings.retry.budget.fraction(),
        extra: work
            .compiler
            .state
            .get_or_insert(&format!("model/{name}"), ExtraCalls::default),
        backoff: settings.retry.backoff.clone(),
        hedge: settings.hedge.as_ref().map(|hedge| hedge.after),
        resume: settings.resume,
        filtered_falls_back: settings.content_filter == OnContentFilter::FallBack,
        concurrency,
    }
}

fn concurrency_of(
    work: &mut Work<'_>,
    settings: &resources::ModelConcurrency,
    path: &Path,
) -> Concurrency {
    let path = path.key("concurrency");
    if settings.most == 0 || settings.least > settings.most {
        let message = "`most` must be at least 1 and not below `least`";
        work.report(Finding::error("invalid_range", path.key("most"), message));
    }
    let high = condition(work, settings.high.as_deref(), &path.key("high"));
    let low = condition(work, settings.low.as_deref(), &path.key("low"));
    Concurrency {
        bounds: Bounds {
            least: settings.least,
            most: settings.most,
            adaptive: settings.adaptive,
            queue: settings.queue as usize,
        },
        wait: settings.wait.duration(),
        high: high.flatten(),
        low: low.flatten(),
    }
}

/// A condition of a model; the outer `None` means that it was wrong.
#[allow(
    clippy::option_option,
    reason = "no condition and a wrong one are different"
)]
fn condition(
    work: &mut Work<'_>,
    text: Option<&str>,
    path: &Path,
) -> Option<Option<Box<dyn Condition>>> {
    let Some(text) = text else { return Some(None) };
    match (work.compiler.registry.model_condition)(text) {
        Ok(condition) => Some(Some(condition)),
        Err(message) => {
            work.report(Finding::error("invalid_condition", path.clone(), message));
            None
        }
    }
}

fn target(
    work: &mut Work<'_>,
    providers: &BTreeMap<String, Arc<Provider>>,
    written: &ModelTarget,
    path: &Path,
) -> Option<ProviderTarget> {
    let when = condition(work, written.when.as_deref(), &path.key("when"))?;
    let Some(provider) = providers.get(&written.provider) else {
        if !work.resources.providers.contains_key(&written.provider) {
            let known = work.resources.providers.keys();
            work.unknown(path.key("provider"), "provider", &written.provider, known);
        }
        return None;
    };
    let state = work.compiler.state;
    let identity = format!("target/{}/{}", provider.name, written.model);
    let lane = |credential: &super::provider::Credential| {
        state.get_or_insert(&format!("{identity}/{}", credential.name), Lane::default)
    };
    Some(ProviderTarget {
        provider: provider.clone(),
        model: written.model.as_str().into(),
        tariff: None,
        meter: None,
        roads: roads(provider, &written.model),
        weight: written.weight,
        when,
        facts: TargetFacts::of(written, provider.kind.name),
        identity: hash_of(&identity),
        state: state.get_or_insert(&identity, TargetState::default),
        lanes: provider.credentials.iter().map(lane).collect(),
    })
}
