//! Which provider a call would go to, and what it would cost: as shares that are expected.

use crate::money::tariff::ModelTariff;
use crate::record::recent::line::{AiLine, Basis};
use gate_flow::{AiFacts, Condition, Exchange, Needs, Reads, Tariff};
use gate_kit::clock::Clock;
use gate_model::resources::{ModelTarget, Resources, Strategy};
use std::collections::BTreeMap;

/// What conditions of targets read of a call, as [`Reads::beyond`] names it.
const ASKED: &str = "what a call asks for";

/// Compiles the condition of a target.
pub(super) type Conditions<'a> = &'a dyn Fn(&str) -> Result<Box<dyn Condition>, String>;

/// One target of a model that calls may go to.
struct Choice {
    provider: String,
    model: String,
    weight: f64,
    when: Option<Box<dyn Condition>>,
    tariff: Option<ModelTariff>,
}

/// A model of one side.
pub(super) struct ModelSide {
    targets: Vec<Choice>,
    fallback: Vec<Choice>,
    strategy: Strategy,
    /// What conditions of targets read besides what calls ask for.
    reads: Reads,
    /// Whether they read what a call asks for.
    asks: bool,
}

/// The targets that calls go to first, each with its share.
pub(super) struct Shares<'a>(Vec<(&'a Choice, f64)>);

impl ModelSide {
    /// A model of these resources; none where they have no model of that name.
    pub(super) fn of(resources: &Resources, name: &str, compile: Conditions<'_>) -> Option<Self> {
        let model = resources.models.get(name)?;
        let mut reads = Reads::default();
        let mut choices = |targets: &[ModelTarget]| -> Option<Vec<Choice>> {
            let mut choices = Vec::new();
            for target in targets {
                let when = target.when.as_deref().map(compile).transpose().ok()?;
                if let Some(when) = &when {
                    reads.add(&when.reads());
                }
                choices.push(Choice {
                    tariff: tariff(resources, &target.provider, &target.model),
                    provider: target.provider.clone(),
                    model: target.model.clone(),
                    weight: f64::from(target.weight),
                    when,
                });
            }
            Some(choices)
        };
        let mut targets = choices(&model.targets)?;
        // A weight of zero takes a target out; a fallback has none.
        targets.retain(|target| target.weight > 0.0);
        let fallback = choices(&model.fallback)?;
        let asks = reads.beyond.remove(ASKED);
        Some(Self {
            targets,
            fallback,
            strategy: model.strategy.clone(),
            reads,
            asks,
        })
    }

    /// Whether the targets depend on the call.
    pub(super) fn has_conditions(&self) -> bool {
        let all = self.targets.iter().chain(&self.fallback);
        all.into_iter().any(|target| target.when.is_some())
    }

    /// Where the calls of a row go, or what that also depends on. `exchange` is the row's, where
    /// targets have conditions; `asked` says whether rows hold all that calls ask for.
    pub(super) fn shares(
        &self,
        basis: &Basis,
        asked: bool,
        exchange: Option<&Exchange>,
    ) -> Result<Shares<'_>, Vec<String>> {
        let mut missing = self.reads.missing(&basis.reads);
        if self.asks && !asked {
            missing.push(ASKED.to_owned());
        }
        if !missing.is_empty() {
            return Err(missing);
        }
        let holds = |target: &Choice| match (&target.when, exchange) {
            (Some(when), Some(exchange)) => when.holds(exchange),
            (Some(_), None) => Err(String::new()),
            (None, _) => Ok(true),
        };
        let mut drawn: Vec<&Choice> = Vec::new();
        for target in &self.targets {
            match holds(target) {
                Ok(true) => drawn.push(target),
                Ok(false) => {}
                Err(_) => return Err(vec!["a condition that has no value".to_owned()]),
            }
        }
        let unknown = |what: &str| Err(vec![what.to_owned()]);
        match (&self.strategy, drawn.len()) {
            (_, 0) => {
                let first = self
                    .fallback
                    .iter()
                    .find(|target| holds(target) == Ok(true));
                Ok(Shares(
                    first.map(|target| (target, 1.0)).into_iter().collect(),
                ))
            }
            (_, 1) | (Strategy::Priority {}, _) => Ok(Shares(vec![(drawn[0], 1.0)])),
            // The prefix of a conversation draws by weight, too.
            (Strategy::Weighted {} | Strategy::PromptPrefix { .. }, _) => {
                let all: f64 = drawn.iter().map(|target| target.weight).sum();
                let shares = drawn.into_iter();
                Ok(Shares(
                    shares.map(|target| (target, target.weight / all)).collect(),
                ))
            }
            (Strategy::LowestLatency { .. }, _) => unknown("measured latencies"),
            (Strategy::LowestCost {}, _) => unknown("estimated tokens of a call"),
            (Strategy::LeastBusy {}, _) => unknown("calls in flight"),
        }
    }
}

impl Shares<'_> {
    /// Shares by provider.
    fn providers(&self) -> BTreeMap<&str, f64> {
        let mut shares = BTreeMap::new();
        for (target, share) in &self.0 {
            *shares.entry(target.provider.as_str()).or_default() += share;
        }
        shares
    }

    fn models(&self) -> BTreeMap<(&str, &str), f64> {
        let mut shares = BTreeMap::new();
        for (target, share) in &self.0 {
            let key = (target.provider.as_str(), target.model.as_str());
            *shares.entry(key).or_default() += share;
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
        match parts.is_empty() {
            true => "no target".to_owned(),
            false => parts.join(", "),
        }
    }

    /// What a call is expected to cost, in picodollars; none where a price or a count is missing.
    pub(super) fn cost(&self, call: &AiLine<'_>) -> Option<i64> {
        if self.0.is_empty() || call.pieces {
            return None;
        }
        let facts = facts(call)?;
        let mut total = 0.0;
        for (target, share) in &self.0 {
            let cost = target.tariff.as_ref()?.cost(&facts)?;
            #[allow(clippy::cast_precision_loss, reason = "an expectation")]
            let cost = cost.picodollars() as f64;
            total += cost * share;
        }
        #[allow(clippy::cast_possible_truncation, reason = "as does every cast of it")]
        Some(total.round() as i64)
    }
}

/// Which shares of calls go to another provider, and to another model of the same provider.
pub(super) fn moved(before: &Shares<'_>, after: &Shares<'_>) -> (f64, f64) {
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
    // Where nothing was called before, all that is called now has moved.
    let called: f64 = after.values().sum();
    match before.is_empty() {
        true => called,
        false => sum,
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

/// What is known of a call before it goes anywhere, for conditions of targets.
pub(super) fn asked(call: &AiLine<'_>) -> AiFacts {
    let needs = call.needs.map(|[tokens, most, tools, vision]| Needs {
        tokens,
        max_tokens: most.checked_sub(1),
        tools: tools != 0,
        vision: vision != 0,
        streaming: call.stream,
        // Rows do not say the others, and nothing that is replayed depends on them.
        ..Needs::default()
    });
    AiFacts {
        model: (&*call.model).into(),
        stream: call.stream,
        needs,
        ..AiFacts::default()
    }
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
