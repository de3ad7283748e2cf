//! In which order a call's targets are tried: pure, over what is known of each.
//!
//! Every strategy orders all candidates, so that what comes after the first is the next best and
//! not an accident. Which targets are candidates at all is decided in `candidates`.

use crate::upstream::pick::hash_of;
use gate_kit::random;
use gate_model::resources::Strategy;
use smallvec::SmallVec;

/// What is known of one candidate.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Candidate {
    /// Its position in the model's list.
    pub(super) index: usize,
    /// Its share of the calls.
    pub(super) weight: u32,
    /// Hash of provider and model, the same in every process.
    pub(super) identity: u64,
    /// Measured mean in seconds.
    pub(super) latency: Option<f64>,
    /// Price of this call.
    pub(super) cost: Option<f64>,
    /// Calls in flight.
    pub(super) busy: u32,
}

/// Positions of targets in the order to try.
pub(super) type Order = SmallVec<[usize; 4]>;

/// Orders `candidates`; `prefix` is the hash of the conversation's beginning, where the strategy
/// asks for it. Weights are positive.
pub(super) fn order(strategy: &Strategy, candidates: &mut [Candidate], prefix: u64) -> Order {
    match strategy {
        Strategy::Weighted {} => draw_first(candidates),
        Strategy::Priority {} => {}
        Strategy::LowestLatency { explore } => {
            // What was never measured comes first, so that it is; equals are drawn.
            draw_first(candidates);
            candidates.sort_by(|a, b| {
                let key = |candidate: &Candidate| candidate.latency.unwrap_or(0.0);
                key(a).total_cmp(&key(b))
            });
            if candidates.len() > 1 && random::fraction() < explore.fraction() {
                let other = 1 + random::below(candidates.len() - 1);
                candidates.swap(0, other);
            }
        }
        Strategy::LowestCost {} => candidates.sort_by(|a, b| {
            let key = |candidate: &Candidate| candidate.cost.unwrap_or(f64::INFINITY);
            key(a).total_cmp(&key(b))
        }),
        Strategy::LeastBusy {} => {
            draw_first(candidates);
            candidates.sort_by(|a, b| {
                let key = |candidate: &Candidate| {
                    (f64::from(candidate.busy) + 1.0) / f64::from(candidate.weight).max(1e-9)
                };
                key(a).total_cmp(&key(b))
            });
        }
        Strategy::PromptPrefix { .. } => candidates.sort_by(|a, b| {
            let key = |candidate: &Candidate| rendezvous(candidate, prefix);
            key(b).total_cmp(&key(a))
        }),
    }
    candidates.iter().map(|candidate| candidate.index).collect()
}

/// Puts one candidate, drawn by weight, in front of the others.
fn draw_first(candidates: &mut [Candidate]) {
    let total: u64 = candidates.iter().map(|c| u64::from(c.weight)).sum();
    if total == 0 || candidates.len() < 2 {
        return;
    }
    let mut left = random::bits() % total;
    for position in 0..candidates.len() {
        let weight = u64::from(candidates[position].weight);
        if left < weight {
            candidates[..=position].rotate_right(1);
            return;
        }
        left -= weight;
    }
}

/// The score of weighted rendezvous hashing (Schindelhauer and Schomaker, "Weighted Distributed
/// Hash Tables", 2005): the highest wins, shares follow the weights, and a target that goes or
/// comes moves only its own conversations.
fn rendezvous(candidate: &Candidate, prefix: u64) -> f64 {
    let bits = hash_of(&(candidate.identity, prefix)) >> 11;
    let uniform = (bits as f64 + 0.5) / (1_u64 << 53) as f64;
    f64::from(candidate.weight) / -uniform.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_model::units::Percent;

    fn candidates(weights: &[u32]) -> Vec<Candidate> {
        let one = |(index, weight): (usize, &u32)| Candidate {
            index,
            weight: *weight,
            identity: hash_of(&index),
            ..Candidate::default()
        };
        weights.iter().enumerate().map(one).collect()
    }

    fn firsts(strategy: &Strategy, known: &[Candidate], calls: u64) -> Vec<usize> {
        let mut counts = vec![0; known.len()];
        for call in 0..calls {
            let order = order(strategy, &mut known.to_vec(), hash_of(&call));
            let mut sorted = order.to_vec();
            sorted.sort_unstable();
            assert!(sorted.iter().copied().eq(0..known.len()), "each once");
            counts[order[0]] += 1;
        }
        counts
    }

    #[test]
    fn weights_are_shares_of_the_first_tries() {
        random::seed(1);
        let counts = firsts(&Strategy::Weighted {}, &candidates(&[9, 1]), 10_000);
        assert!((8_800..9_200).contains(&counts[0]), "{counts:?}");
    }

    #[test]
    fn priority_keeps_the_order_as_written() {
        let order = order(&Strategy::Priority {}, &mut candidates(&[1, 9, 2]), 0);
        assert_eq!(order[..], [0, 1, 2]);
    }

    #[test]
    fn the_fastest_gets_all_calls_but_the_explored_share() {
        random::seed(2);
        let mut known = candidates(&[1, 1, 1]);
        for (candidate, seconds) in known.iter_mut().zip([0.9, 0.2, 0.5]) {
            candidate.latency = Some(seconds);
        }
        let strategy = Strategy::LowestLatency {
            explore: Percent::from_percents(10),
        };
        let counts = firsts(&strategy, &known, 10_000);
        assert!((8_850..9_150).contains(&counts[1]), "{counts:?}");
        assert!(counts[0] > 400 && counts[2] > 400, "{counts:?}");
        known[0].latency = None;
        let never = Strategy::LowestLatency {
            explore: Percent::ZERO,
        };
        assert_eq!(firsts(&never, &known, 100), [100, 0, 0], "unmeasured first");
    }

    #[test]
    fn the_cheapest_comes_first_and_the_unpriced_last() {
        let mut known = candidates(&[1, 1, 1]);
        known[1].cost = Some(3.0);
        known[2].cost = Some(0.5);
        let order = order(&Strategy::LowestCost {}, &mut known, 0);
        assert_eq!(order[..], [2, 1, 0]);
    }

    #[test]
    fn the_least_busy_for_its_weight_comes_first() {
        let mut known = candidates(&[1, 4, 1]);
        for (candidate, busy) in known.iter_mut().zip([2, 5, 1]) {
            candidate.busy = busy;
        }
        let order = order(&Strategy::LeastBusy {}, &mut known, 0);
        assert_eq!(order[..], [1, 2, 0]);
    }

    #[test]
    fn conversations_stay_where_they_are_when_a_target_goes() {
        let strategy = Strategy::PromptPrefix { messages: 1 };
        let all = candidates(&[2, 1, 1]);
        let counts = firsts(&strategy, &all, 4_000);
        assert!((1_850..2_150).contains(&counts[0]), "{counts:?}");
        for prefix in 0..1_000_u64 {
            let first = |known: &[Candidate]| order(&strategy, &mut known.to_vec(), prefix)[0];
            let before = first(&all);
            assert!(before == 1 || first(&[all[0], all[2]]) == before);
        }
    }
}
