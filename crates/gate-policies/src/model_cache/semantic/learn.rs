//! What has been learnt about one kept answer: from which similarity on it serves other questions.
//!
//! The approach is that of Schroeder et al., "vCache: Verified Semantic Prompt Caching" (2025): each
//! entry has a model of its own, P(same answer | similarity s) = 1 / (1 + exp(-g (s - t))), which is
//! fitted from pairs that were observed by asking the model all the same (exploring); and exploring
//! is drawn with a probability that keeps the share of wrong answers below a bound. Let `a` be a
//! lower bound on the probability of being right. Exploring is always right, so that the chance of
//! an error is (1 - explore) (1 - a) at most, which stays below the bound `d` when
//! explore >= 1 - d / (1 - a).
//!
//! Where the paper maximises the likelihood and adds normal confidence bounds, we keep the
//! likelihood of every point of a grid over (t, g): with few pairs, which can mostly be separated,
//! the maximum lies at infinity and has no spread. The lower bound is the paper's: the best of
//! (1 - e) q(e), where q(e) is the value that the probability exceeds with confidence 1 - e.

use gate_kit::order::Order;

/// Thresholds of the grid: similarities, the last ones beyond what any question can have.
const THRESHOLDS: usize = 24;
const LEAST: f32 = 0.30;
const STEP: f32 = 0.04;
/// Steepnesses of the grid.
const STEEPNESSES: [f32; 6] = [4.0, 8.0, 16.0, 32.0, 64.0, 128.0];
const POINTS: usize = THRESHOLDS * STEEPNESSES.len();
/// Pairs that have to be observed before the answer is given to another question at all: what
/// the grid takes for likely before that is our guess and no evidence.
const PAIRS_MIN: u32 = 4;

/// What is known of one answer.
#[derive(Clone)]
pub(super) struct Learned {
    /// Logarithm of each point's likelihood, less the greatest one's.
    likelihood: Box<[f32; POINTS]>,
    pairs: u32,
}

impl Learned {
    /// Nothing is known: every point is as likely.
    pub(super) fn new() -> Self {
        Self {
            likelihood: Box::new([0.0; POINTS]),
            pairs: 0,
        }
    }

    /// Learns that a question of this similarity has the same answer, or another.
    pub(super) fn observe(&mut self, similarity: f32, same: bool) {
        self.pairs = self.pairs.saturating_add(1);
        for (known, (threshold, steepness)) in self.likelihood.iter_mut().zip(points()) {
            let z = steepness * (similarity - threshold);
            // ln(1 / (1 + exp(-z))) without overflow.
            let z = if same { z } else { -z };
            *known += z.min(0.0) - (-z.abs()).exp().ln_1p();
        }
        let greatest = self.likelihood.iter().copied().fold(f32::MIN, f32::max);
        self.likelihood
            .iter_mut()
            .for_each(|known| *known -= greatest);
    }

    /// How many pairs it was learnt from.
    pub(super) fn pairs(&self) -> u32 {
        self.pairs
    }

    /// All of it as bytes, for other gateways.
    pub(super) fn write(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.pairs.to_le_bytes());
        for known in self.likelihood.iter() {
            to.extend_from_slice(&known.to_le_bytes());
        }
    }

    /// What [`Learned::write`] wrote; nothing where it cannot have.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<4>();
        let (pairs, points) = words.split_first()?;
        if points.len() != POINTS || !rest.is_empty() {
            return None;
        }
        let mut learned = Self::new();
        learned.pairs = u32::from_le_bytes(*pairs);
        for (known, point) in learned.likelihood.iter_mut().zip(points) {
            *known = f32::from_le_bytes(*point);
            if !known.is_finite() || *known > 0.0 {
                return None;
            }
        }
        Some(learned)
    }

    /// The probability with which a question of this similarity has to be asked all the same, so
    /// that at most `bound` of the answers are wrong.
    pub(super) fn explore(&self, similarity: f32, bound: f64) -> f64 {
        if self.pairs < PAIRS_MIN {
            return 1.0;
        }
        let wrong = 1.0 - self.right_at_least(similarity);
        if wrong <= bound {
            return 0.0;
        }
        // The bound would allow a few, but an answer that is more likely wrong helps nobody.
        if wrong > 0.5 {
            return 1.0;
        }
        1.0 - bound / wrong
    }

    /// A lower bound on the probability that a question of this similarity has the same answer.
    fn right_at_least(&self, similarity: f32) -> f64 {
        let mut all: Vec<(f64, f64)> = self
            .likelihood
            .iter()
            .zip(points())
            .map(|(known, (threshold, steepness))| {
                let z = f64::from(steepness * (similarity - threshold));
                (1.0 / (1.0 + (-z).exp()), f64::from(*known).exp())
            })
            .collect();
        all.order_by(|(one, _), (other, _)| one.total_cmp(other));
        let sum: f64 = all.iter().map(|(_, weight)| weight).sum();
        let (mut below, mut best) = (0.0, 0.0_f64);
        for (right, weight) in all {
            best = best.max((1.0 - below / sum) * right);
            below += weight;
        }
        best.clamp(0.0, 1.0)
    }
}

fn points() -> impl Iterator<Item = (f32, f32)> {
    (0..THRESHOLDS).flat_map(|step| {
        let threshold = LEAST + STEP * step as f32;
        STEEPNESSES
            .iter()
            .map(move |steepness| (threshold, *steepness))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_kit::random;

    #[test]
    fn nothing_is_given_before_something_is_known() {
        let mut learned = Learned::new();
        for _ in 0..PAIRS_MIN {
            assert_eq!(learned.explore(1.0, 0.5), 1.0);
            learned.observe(1.0, true);
        }
        assert!(learned.explore(1.0, 0.5) < 1.0);
    }

    #[test]
    fn what_was_right_often_is_given_and_what_was_wrong_is_not() {
        let mut learned = Learned::new();
        for _ in 0..60 {
            learned.observe(0.9, true);
            learned.observe(0.6, false);
        }
        assert!(
            learned.explore(0.95, 0.02) < 0.2,
            "{}",
            learned.explore(0.95, 0.02)
        );
        assert!(learned.explore(0.6, 0.02) > 0.9);
        let mut never = Learned::new();
        (0..40).for_each(|_| never.observe(0.97, false));
        assert!(never.explore(0.97, 0.02) > 0.9);
    }

    /// How often a question of this similarity truly has an entry's answer.
    type Truth = fn(entry: usize, similarity: f32) -> f64;

    /// Questions that find an entry among 20, some often and some seldom; the shares of wrong and of
    /// given answers.
    fn traffic(seed: u64, truth: Truth, bound: f64) -> (f64, f64) {
        random::seed(seed);
        let mut entries = vec![Learned::new(); 20];
        let (mut wrong, mut given) = (0, 0);
        let questions = 2_000;
        for _ in 0..questions {
            let share = random::fraction();
            let at = (share * share * 20.0) as usize;
            let similarity = 0.4 + 0.6 * random::fraction() as f32;
            let same = random::fraction() < truth(at, similarity);
            if random::fraction() < entries[at].explore(similarity, bound) {
                entries[at].observe(similarity, same);
            } else {
                given += 1;
                wrong += usize::from(!same);
            }
        }
        let share = |count: usize| count as f64 / f64::from(questions);
        (share(wrong), share(given))
    }

    /// The bound holds for truths of the model's own form, steps, thresholds that differ from entry to
    /// entry, noise that no similarity explains, and answers that never serve.
    #[test]
    fn over_simulated_traffic_errors_stay_below_the_bound() {
        let truths: [(&str, Truth, f64); 6] = [
            (
                "logistic",
                |_, s| 1.0 / (1.0 + (-30.0 * (f64::from(s) - 0.75)).exp()),
                0.02,
            ),
            ("step", |_, s| if s > 0.8 { 1.0 } else { 0.0 }, 0.02),
            (
                "each its own",
                |at, s| {
                    if s > 0.5 + 0.025 * at as f32 {
                        1.0
                    } else {
                        0.0
                    }
                },
                0.02,
            ),
            ("noise", |_, _| 0.5, 0.0),
            ("mostly", |_, s| if s > 0.7 { 0.97 } else { 0.1 }, 0.0),
            ("never", |_, _| 0.0, 0.0),
        ];
        for bound in [0.02, 0.1] {
            for (name, truth, least) in truths {
                let runs: Vec<_> = (0..3).map(|seed| traffic(seed, truth, bound)).collect();
                let mean = |pick: fn(&(f64, f64)) -> f64| {
                    runs.iter().map(pick).sum::<f64>() / runs.len() as f64
                };
                let (wrong, given) = (mean(|run| run.0), mean(|run| run.1));
                assert!(
                    wrong <= bound,
                    "{name}, bound {bound}: {wrong} wrong, {given} given"
                );
                assert!(given >= least, "{name}, bound {bound}: only {given} given");
            }
        }
    }
}
