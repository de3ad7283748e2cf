//! What is known of a provider's model beforehand: its context, what it lacks, its prices.
//!
//! Configuration says it, target by target, and the catalogue where that says nothing;
//! [`TargetFacts::of`] is the one place that collects it. The catalogue may be wrong, so that it
//! never keeps a call from the only target there is.

use crate::money::tariff::ModelTariff;
use gate_ai::prices::model_facts;
use gate_model::resources::{Capability, ModelTarget, TokenPrice};
use std::sync::Arc;

/// What is known of one target.
#[derive(Debug, Clone, Default)]
pub(super) struct TargetFacts {
    /// Tokens that fit into its context, the answer included.
    pub(super) context: Option<u64>,
    /// What it cannot do.
    pub(super) lacks: Vec<Capability>,
    /// What it probably cannot do.
    pub(super) doubts: Vec<Capability>,
    /// What its tokens cost, where that does not change.
    pub(super) price: Option<TokenPrice>,
    /// What they cost otherwise, from day to day.
    pub(super) dated: Option<Arc<ModelTariff>>,
}

/// Tokens of an answer that are assumed where the call does not bound them.
const ANSWER_TOKENS: u64 = 1_000;
/// A call is taken for too long when its estimate exceeds the context by this share: an estimate
/// that is wrong by less must not keep a call from a target that would have answered it.
const ESTIMATE_ERROR: f64 = 1.25;

impl TargetFacts {
    /// What configuration and catalogue say of a target whose provider is of this kind.
    pub(super) fn of(written: &ModelTarget, kind: &str) -> Self {
        let listed = model_facts(kind, &written.model).unwrap_or_default();
        // The catalogue has two limits where the context is one: no call that fits is longer than
        // both together.
        let output = listed.output_tokens_max.unwrap_or(0);
        let context = listed
            .input_tokens_max
            .map(|input| input.saturating_add(output));
        let features = [
            (Capability::Tools, listed.features.tools),
            (Capability::Vision, listed.features.images),
            (Capability::Audio, listed.features.audio_input),
            (Capability::Documents, listed.features.documents),
            (Capability::JsonSchema, listed.features.json_schema),
            (Capability::Reasoning, listed.features.reasoning),
        ];
        let absent = features.iter().filter(|(_, stated)| *stated == Some(false));
        Self {
            context: written.context.or(context),
            lacks: written.lacks.clone().unwrap_or_default(),
            doubts: match written.lacks {
                Some(_) => Vec::new(),
                None => absent.map(|(capability, _)| *capability).collect(),
            },
            price: written.price,
            dated: None,
        }
    }

    /// Takes the price that a tariff lists, where configuration has none for this target.
    pub(super) fn take_price(&mut self, tariff: &Arc<ModelTariff>) {
        match tariff.changes() {
            _ if self.price.is_some() => {}
            true => self.dated = Some(tariff.clone()),
            false => self.price = tariff.per_million(),
        }
    }

    /// Whether it matters for this target if there are images in a call.
    pub(super) fn minds_images(&self) -> bool {
        self.lacks.contains(&Capability::Vision) || self.doubts.contains(&Capability::Vision)
    }

    /// Whether it matters for this target what else a call asks for that its request must be read for.
    pub(super) fn minds_wants(&self) -> bool {
        let mut absent = self.lacks.iter().chain(&self.doubts);
        absent.any(|capability| match capability {
            Capability::Tools | Capability::Vision | Capability::Streaming => false,
            Capability::Audio
            | Capability::Documents
            | Capability::JsonSchema
            | Capability::Reasoning
            | Capability::Logprobs => true,
        })
    }

    /// Whether a call of about so many tokens clearly does not fit.
    pub(super) fn is_too_short_for(&self, tokens: u64) -> bool {
        self.context
            .is_some_and(|context| tokens as f64 > context as f64 * ESTIMATE_ERROR)
    }

    /// What a call costs here, as far as that is known beforehand.
    pub(super) fn cost(&self, input: u64, output: Option<u64>) -> Option<f64> {
        let dated = || self.dated.as_ref()?.per_million();
        let price = self.price.or_else(dated)?;
        let output = output.unwrap_or(ANSWER_TOKENS);
        Some((price.input * input as f64 + price.output * output as f64) / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_kit::clock::Clock;
    use gate_model::resources;

    #[test]
    fn only_what_is_clearly_too_long_does_not_fit() {
        let facts = TargetFacts {
            context: Some(1_000),
            ..TargetFacts::default()
        };
        assert!(!facts.is_too_short_for(1_250) && facts.is_too_short_for(1_251));
        assert!(!TargetFacts::default().is_too_short_for(u64::MAX));
    }

    #[test]
    fn the_catalogue_says_what_configuration_does_not() {
        let written = |model: &str| ModelTarget {
            provider: "p".into(),
            model: model.into(),
            weight: 1,
            when: None,
            context: None,
            lacks: None,
            price: None,
        };
        let facts = TargetFacts::of(&written("gpt-3.5-turbo"), "openai");
        assert_eq!(facts.context, Some(16_385 + 4_096));
        assert!(facts.lacks.is_empty() && !facts.doubts.contains(&Capability::Tools));
        let own = ModelTarget {
            context: Some(9),
            lacks: Some(Vec::new()),
            ..written("gpt-3.5-turbo")
        };
        let facts = TargetFacts::of(&own, "openai");
        assert_eq!((facts.context, facts.doubts.len()), (Some(9), 0));
        let unknown = TargetFacts::of(&written("no-such-model"), "openai");
        assert_eq!((unknown.context, unknown.price), (None, None));
        assert!(unknown.lacks.is_empty() && unknown.doubts.is_empty());
    }

    #[test]
    fn the_cost_counts_both_directions() {
        let facts = TargetFacts {
            price: Some(TokenPrice {
                input: 3.0,
                output: 15.0,
            }),
            ..TargetFacts::default()
        };
        let cost = facts.cost(1_000_000, Some(100_000)).unwrap();
        assert!((cost - 4.5).abs() < 1e-9);
        assert!(TargetFacts::default().cost(1, None).is_none());
    }

    #[test]
    fn a_price_that_changes_is_the_one_of_the_day() {
        let price = |from: Option<&str>, input: &str| resources::Price {
            from: from.map(|from| from.parse().unwrap()),
            per_million: [(resources::TokenKind::Input, input.parse().unwrap())].into(),
            ..resources::Price::default()
        };
        let (clock, hands) = Clock::manual();
        let prices = [price(None, "3"), price(Some("1970-01-02"), "1")];
        let tariff = ModelTariff::new("openai", "x", Some(&prices), &clock).unwrap();
        let mut facts = TargetFacts::default();
        facts.take_price(&Arc::new(tariff));
        assert_eq!(facts.cost(1_000_000, Some(0)), Some(3.0));
        hands.advance(std::time::Duration::from_secs(86_400));
        assert_eq!(facts.cost(1_000_000, Some(0)), Some(1.0));
    }
}
