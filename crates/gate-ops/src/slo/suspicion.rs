//! The fast signal: is this objective burning more than it should, right now?
//!
//! Each second's counts are weighed as a likelihood ratio of burning 5, 10, 50 or 300 times as
//! fast as allowed against at most twice (a burn that harms nobody within hours), summed up over
//! all seconds at which it could have begun: Shiryaev and Roberts' form of CUSUM, an *e-detector*.
//! Its mean time to a false alarm is at least [`PATIENCE_S`] by proof, whatever the traffic, as long
//! as errors are independent. They are not, so the logarithm is divided by the over-dispersion that
//! was measured (variance over mean of bad events per minute). What still remains is why a suspicion
//! opens a timeline and never pages or rolls back by itself.

use super::ring::Count;
use serde::{Deserialize, Serialize};

/// Seconds with traffic between false alarms, at least, on average: 30 days.
pub const PATIENCE_S: f64 = 30.0 * 86_400.0;
/// Burn at most which nothing is wrong.
const HARMLESS: f64 = 2.0;
/// Burns that are looked for.
const BURNS: [f64; 4] = [5.0, 10.0, 50.0, 300.0];
/// How much each counts in the mean that is compared; they sum up to 1. Fast burns bring so much
/// evidence a second that they need little weight.
const WEIGHTS: [f64; 4] = [0.45, 0.45, 0.09, 0.01];
/// Minutes over which the over-dispersion is averaged.
const MEMORY_MIN: f64 = 360.0;
/// One minute counts as at most so many times the variance that it should have.
const CAP: f64 = 400.0;
/// Seconds for which evidence of an earlier life counts.
pub const STALE_S: u64 = 300;
/// The logarithm of no evidence at all, as a number that JSON can say.
const NOTHING: f64 = -1000.0;
/// Up to here, measured over-dispersion may be chance.
const CHANCE: f64 = 1.25;

/// What a second says about each of [`BURNS`]; the same for all objectives with that target.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scales {
    bad: [f64; BURNS.len()],
    good: [f64; BURNS.len()],
    harmless: f64,
}

impl Scales {
    /// For an objective that allows that share of bad events. Burns multiply odds, not shares, so
    /// that a target of 50 % has ones above it as well.
    #[must_use]
    pub fn new(allowed: f64) -> Self {
        let odds = allowed.clamp(1e-9, 0.999) / (1.0 - allowed.clamp(1e-9, 0.999));
        let share = |burn: f64| burn * odds / (1.0 + burn * odds);
        let harmless = share(HARMLESS);
        Self {
            bad: BURNS.map(|burn| (share(burn) / harmless).ln()),
            good: BURNS.map(|burn| ((1.0 - share(burn)) / (1.0 - harmless)).ln()),
            harmless,
        }
    }
}

/// How much more bad events vary from minute to minute than independent ones would.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Dispersion {
    /// Faded sums: events and bad ones.
    total: f64,
    bad: f64,
    /// Faded sum of squared deviations in units of the expected variance, and of their number.
    squares: f64,
    minutes: f64,
    /// Minutes that are put together until at least one bad event is to be expected.
    pooled: Count,
}

impl Dispersion {
    const NEW: Dispersion = Dispersion {
        total: 0.0,
        bad: 0.0,
        squares: 0.0,
        minutes: 0.0,
        pooled: Count { total: 0, bad: 0 },
    };

    fn minute(&mut self, count: Count) {
        const FADE: f64 = 1.0 - 1.0 / MEMORY_MIN;
        // The rate is the one before, so that no minute is compared with itself.
        let rate = (self.bad + 0.5) / (self.total + 1.0);
        self.pooled.add(count);
        let expected = self.pooled.total as f64 * rate;
        if self.total > 0.0 && expected >= 1.0 {
            let apart = self.pooled.bad as f64 - expected;
            let variance = (expected * (1.0 - rate)).max(1e-9);
            self.squares = self.squares * FADE + (apart * apart / variance).min(CAP);
            self.minutes = self.minutes * FADE + 1.0;
            self.pooled = Count::default();
        }
        self.total = self.total * FADE + count.total as f64;
        self.bad = self.bad * FADE + count.bad as f64;
    }

    /// At least 1.
    fn factor(&self) -> f64 {
        // Ten minutes as if nothing were special keep the first ones from deciding.
        let measured = (self.squares + 10.0) / (self.minutes + 10.0);
        if measured > CHANCE { measured } else { 1.0 }
    }
}

/// The detector of one objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Suspicion {
    /// Logarithm of the evidence per burn.
    evidence: [f64; BURNS.len()],
    dispersion: Dispersion,
    /// When it opened.
    since_s: Option<u64>,
}

impl Default for Suspicion {
    fn default() -> Self {
        Self {
            evidence: [NOTHING; BURNS.len()],
            dispersion: Dispersion::NEW,
            since_s: None,
        }
    }
}

/// What happened to a suspicion.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// The objective burns, most likely.
    Opened,
    /// It burns no more.
    Closed,
}

impl Suspicion {
    /// When the open suspicion began, in UNIX seconds.
    #[must_use]
    pub const fn since_s(&self) -> Option<u64> {
        self.since_s
    }

    /// The evidence as a logarithm; it opens at that of [`PATIENCE_S`].
    #[must_use]
    pub fn evidence(&self) -> f64 {
        let most = self.evidence.into_iter().fold(f64::NEG_INFINITY, f64::max);
        let weighed = |(one, weight): (&f64, f64)| weight * (one - most).exp();
        most + self
            .evidence
            .iter()
            .zip(WEIGHTS)
            .map(weighed)
            .sum::<f64>()
            .ln()
    }

    /// By how much evidence is divided, at least 1.
    #[must_use]
    pub fn dispersion(&self) -> f64 {
        self.dispersion.factor()
    }

    /// The state of an earlier life, which was noted so many seconds ago. What cannot have been noted
    /// is none; after more than [`STALE_S`] nobody knows what the seconds between would have said: only
    /// the over-dispersion is known then.
    #[must_use]
    pub fn resumed(mut self, ago_s: u64) -> Option<Self> {
        let own = &self.dispersion;
        let is_count = |value: f64| value.is_finite() && value >= 0.0;
        // Of several burns, one may be weighed little and be above what opens.
        let can_be = (self.evidence.iter())
            .all(|one| one.is_finite() && *one < PATIENCE_S.ln() + 10.0)
            && [own.total, own.bad, own.squares, own.minutes]
                .into_iter()
                .all(is_count)
            && own.pooled.bad <= own.pooled.total;
        if ago_s > STALE_S {
            (self.evidence, self.since_s) = ([NOTHING; BURNS.len()], None);
        }
        can_be.then_some(self)
    }

    /// Weighs the second before `now_s`. `last_minute` is what the minute before `now_s` counted; at
    /// each full minute the over-dispersion learns from it, unless the suspicion is open.
    pub fn second(
        &mut self,
        scales: &Scales,
        now_s: u64,
        second: Count,
        last_minute: Count,
    ) -> Option<Turn> {
        if now_s.is_multiple_of(60) && self.since_s.is_none() {
            self.dispersion.minute(last_minute);
        }
        if self.since_s.is_some() {
            let burns = last_minute
                .ratio()
                .is_none_or(|ratio| ratio > scales.harmless);
            if burns {
                return None;
            }
            self.since_s = None;
            return Some(Turn::Closed);
        }
        if second.total == 0 {
            return None;
        }
        let factor = self.dispersion.factor();
        let (good, bad) = (second.good() as f64, second.bad as f64);
        let mut is_enough = false;
        for (index, evidence) in self.evidence.iter_mut().enumerate() {
            let ratio = (bad * scales.bad[index] + good * scales.good[index]) / factor;
            // ln(e^evidence + 1), without overflow: it could have begun this second, too.
            let begun = evidence.max(0.0) + (-evidence.abs()).exp().ln_1p();
            *evidence = ratio + begun;
            is_enough |= *evidence >= PATIENCE_S.ln();
        }
        if is_enough && self.evidence() >= PATIENCE_S.ln() {
            self.evidence = [NOTHING; BURNS.len()];
            self.since_s = Some(now_s);
            return Some(Turn::Opened);
        }
        None
    }
}
