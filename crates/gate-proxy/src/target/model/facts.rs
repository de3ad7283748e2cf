//! What is known of a provider's model beforehand: its context, what it lacks, its prices.
//!
//! Configuration says it, target by target; [`TargetFacts::of`] is the one place that collects it.

use gate_model::resources::{Capability, ModelTarget, TokenPrice};

/// What is known of one target.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct TargetFacts {
    /// Tokens that fit into its context, the answer included.
    pub(super) context: Option<u64>,
    /// What it cannot do.
    pub(super) lacks: Vec<Capability>,
    /// What its tokens cost.
    pub(super) price: Option<TokenPrice>,
}

/// Tokens of an answer that are assumed where the call does not bound them.
const ANSWER_TOKENS: u64 = 1_000;
/// A call is taken for too long when its estimate exceeds the context by this share: an estimate
/// that is wrong by less must not keep a call from a target that would have answered it.
const ESTIMATE_ERROR: f64 = 1.25;

impl TargetFacts {
    /// What configuration says.
    pub(super) fn of(written: &ModelTarget) -> Self {
        Self {
            context: written.context,
            lacks: written.lacks.clone(),
            price: written.price,
        }
    }

    /// Whether nothing of it can keep a call away.
    pub(super) fn fits_all(&self) -> bool {
        self.context.is_none() && self.lacks.is_empty()
    }

    /// Whether a call of about so many tokens clearly does not fit.
    pub(super) fn is_too_short_for(&self, tokens: u64) -> bool {
        self.context
            .is_some_and(|context| tokens as f64 > context as f64 * ESTIMATE_ERROR)
    }

    /// What a call costs here, as far as that is known beforehand.
    pub(super) fn cost(&self, input: u64, output: Option<u64>) -> Option<f64> {
        let price = self.price?;
        let output = output.unwrap_or(ANSWER_TOKENS);
        Some((price.input * input as f64 + price.output * output as f64) / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
