//! Which provider a call would go to, and what it would cost: as shares that are expected.

use crate::money::tariff::ModelTariff;
use crate::record::recent::line::AiLine;
use gate_flow::{AiFacts, Tariff};
use gate_kit::clock::Clock;
use gate_model::resources::{Model, Resources, Strategy};
use std::collections::BTreeMap;

/// One target of a model, with its share of the calls.
#[derive(Debug)]
struct Share {
    provider: String,
    model: String,
    share: f64,
    tariff: Option<ModelTariff>,
}

/// Where the calls of a model go first.
#[derive(Debug)]
pub(super) enum Shares {
    /// By these shares.
    Known(Vec<(String, String, f64)>),
    /// It depends on this, too.
    Unknown(&'static str),
}

/// A model of one side.
#[derive(Debug)]
pub(super) struct ModelSide {
    targets: Vec<Share>,
    unknown: Option<&'static str>,
}

impl ModelSide {
    /// A model of these resources; none where they have no model of that name.
    pub(super) fn of(resources: &Resources, name: &str) -> Option<Self> {
        let model = resources.models.get(name)?;
        let mut targets: Vec<Share> = Vec::new();
        let (shares, unknown) = match shares(model) {
            Shares::Known(shares) => (shares, None),
            Shares::Unknown(what) => (Vec::new(), Some(what)),
        };
        for (provider, model, share) in shares {
            let tariff = tariff(resources, &provider, &model);
            targets.push(Share {
                provider,
                model,
                share,
                tariff,
            });
        }
        Some(Self { targets, unknown })
    }

    /// What the choice also depends on.
    pub(super) fn unknown(&self) -> Option<&'static str> {
        self.unknown
    }

    /// Shares by provider.
    fn providers(&self) -> BTreeMap<&str, f64> {
        let mut shares = BTreeMap::new();
        for target in &self.targets {
            *shares.entry(target.provider.as_str()).or_default() += target.share;
        }
        shares
    }

    fn models(&self) -> BTreeMap<(&str, &str), f64> {
        let mut shares = BTreeMap::new();
        for target in &self.targets {
            let key = (target.provider.as_str(), target.model.as_str());
            *shares.entry(key).or_default() += target.share;
        }
        shares
    }

    /// Shares in words.
    pub(super) fn shown(&self) -> String {
        let mut parts = Vec::new();
        for ((provider, model), share) in self.models() {
            parts.push(match share >= 1.0 {
                true => format!("{provider}/{model}"),
                false => format!("{provider}/{model} {:.0} %", share * 100.0),
            });
        }
        parts.join(", ")
    }

    /// What a call is expected to cost, in picodollars; none where a price or a count is missing.
    pub(super) fn cost(&self, call: &AiLine<'_>) -> Option<i64> {
        if self.targets.is_empty() || call.pieces {
            return None;
        }
        let facts = facts(call)?;
        let mut total = 0.0;
        for target in &self.targets {
            let cost = target.tariff.as_ref()?.cost(&facts)?;
            #[allow(clippy::cast_precision_loss, reason = "an expectation")]
            let cost = cost.picodollars() as f64;
            total += cost * target.share;
        }
        #[allow(clippy::cast_possible_truncation, reason = "as does every cast of it")]
        Some(total.round() as i64)
    }
}

/// Which shares of calls go to another provider, and to another model of the same provider.
pub(super) fn moved(before: &ModelSide, after: &ModelSide) -> (f64, f64) {
    let provider = distance(&before.providers(), &after.providers());
    let model = distance(&before.models(), &after.models());
    (provider, (model - provider).max(0.0))
}

/// Half the sum of the differences: the share that has to move to make one of the other.
fn distance<K: Ord + Clone>(before: &BTreeMap<K, f64>, after: &BTreeMap<K, f64>) -> f64 {
    let mut sum = 0.0;
    for (key, share) in before {
        sum += (share - after.get(key).copied().unwrap_or(0.0)).max(0.0);
    }
    sum
}

fn shares(model: &Model) -> Shares {
    let drawn = model.targets.iter().filter(|target| target.weight > 0);
    let drawn: Vec<_> = drawn.collect();
    let one = |index: usize, share| {
        let target = drawn[index];
        (target.provider.clone(), target.model.clone(), share)
    };
    if drawn.iter().any(|target| target.when.is_some()) {
        return Shares::Unknown("what a call asks for, for conditions of targets");
    }
    match (&model.strategy, drawn.len()) {
        (_, 0) => Shares::Known(Vec::new()),
        (_, 1) | (Strategy::Priority {}, _) => Shares::Known(vec![one(0, 1.0)]),
        // The prefix of a conversation draws by weight, too.
        (Strategy::Weighted {} | Strategy::PromptPrefix { .. }, count) => {
            let all: f64 = drawn.iter().map(|target| f64::from(target.weight)).sum();
            let share = |index: usize| one(index, f64::from(drawn[index].weight) / all);
            Shares::Known((0..count).map(share).collect())
        }
        (Strategy::LowestLatency { .. }, _) => Shares::Unknown("measured latencies"),
        (Strategy::LowestCost {}, _) => Shares::Unknown("estimated tokens of a call"),
        (Strategy::LeastBusy {}, _) => Shares::Unknown("calls in flight"),
    }
}

fn tariff(resources: &Resources, provider: &str, model: &str) -> Option<ModelTariff> {
    let (kind, _) = resources.providers.get(provider)?.0.entries().first()?;
    let prices = &resources.prices;
    let own = prices
        .get(&format!("{provider}/{model}"))
        .or_else(|| prices.get(&format!("{provider}/*")));
    let own = own.map(Vec::as_slice);
    let tariff = ModelTariff::new(&kind.text, model, own, &Clock::System).ok()?;
    tariff.is_known().then_some(tariff)
}

fn facts(call: &AiLine<'_>) -> Option<AiFacts> {
    let [
        input,
        output,
        cached,
        written,
        reasoning,
        hour,
        audio_in,
        audio_out,
    ] = call.tokens?;
    Some(AiFacts {
        input_tokens: Some(input),
        output_tokens: Some(output),
        cached_tokens: Some(cached),
        cache_written_tokens: Some(written),
        reasoning_tokens: Some(reasoning),
        cache_written_hour_tokens: hour,
        audio_input_tokens: audio_in,
        audio_output_tokens: audio_out,
        ..AiFacts::default()
    })
}
