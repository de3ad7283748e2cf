//! Traffic that is made up: arrivals, which of them fail, how long they take, whose they are. The
//! counters are the data plane's own (`gate_flow::Evidence`), the engine is the real one.

use gate_flow::{Arm, Evidence, Reading, Sample};
use gate_model::resources::{Rollout as Strategy, Signal};
use gate_ops::rollout::{Phase, Report, Rollout};
use std::sync::Arc;

/// A seeded generator (splitmix64) that is compiled with the simulation: four draws per exchange
/// are most of what it costs.
mod dice {
    use std::cell::Cell;

    thread_local! {
        static STATE: Cell<u64> = const { Cell::new(0) };
    }

    pub(super) fn seed(seed: u64) {
        // Neighbouring seeds must not give the same numbers one step apart.
        STATE.set(seed);
        let apart = bits() ^ bits().rotate_left(32);
        STATE.set(apart);
    }

    pub(super) fn bits() -> u64 {
        let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        STATE.set(state);
        let bits = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub(super) fn fraction() -> f64 {
        (bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(super) fn below(bound: usize) -> usize {
        (fraction() * bound as f64) as usize
    }
}

/// How failures come about, whatever the arm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    /// Each exchange fails by itself.
    Independent,
    /// Two minutes in which four of ten fail, on both arms, and everything takes five times as long.
    Outage,
    /// The rate wanders: its logarithm is pulled back to the mean (tau 300 s, deviation 1.2).
    Drift,
    /// Callers of very unequal traffic and fortune stay with their arm.
    Sticky {
        /// How many callers.
        callers: usize,
    },
}

/// What a simulation is of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traffic {
    /// Exchanges a second.
    pub(crate) rate: f64,
    /// Share that fails on the control.
    pub(crate) errors: f64,
    /// How they fail.
    pub(crate) shape: Shape,
    /// How many times as often the candidate fails.
    pub(crate) worse: f64,
    /// How many times as long the candidate takes.
    pub(crate) slower: f64,
}

impl Traffic {
    /// 200 exchanges a second, of which 0.5 % fail on either arm.
    pub(crate) fn healthy(shape: Shape) -> Self {
        Self {
            rate: 200.0,
            errors: 0.005,
            shape,
            worse: 1.0,
            slower: 1.0,
        }
    }
}

/// How a simulated rollout ended.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// What became of it.
    pub(crate) phase: Phase,
    /// When, in seconds.
    pub(crate) at_s: f64,
    /// Failed exchanges of the candidate.
    pub(crate) bad: u64,
    /// The engine's own words.
    pub(crate) reason: String,
}

/// Simulates a rollout until it is over or `seconds` have passed; the engine looks twice a second.
pub(crate) fn run(strategy: &Strategy, traffic: Traffic, seconds: u64, seed: u64) -> Run {
    const TICKS: u64 = 2;
    dice::seed(seed);
    let mut world = World::new(traffic, strategy, seconds);
    let mut rollout = Rollout::new(strategy.clone(), vec!["orders".into()], 1, 0).unwrap();
    let mut report = Report {
        instance: "one".into(),
        rows: vec![],
    };
    for tick in 0..seconds * TICKS {
        let now_s = tick as f64 / TICKS as f64;
        world.serve(&rollout, now_s, 1.0 / TICKS as f64);
        report.rows = world.evidence.totals();
        let now_ms = (tick + 1) * 1000 / TICKS;
        rollout.observe(std::slice::from_ref(&report), now_ms);
        if rollout.phase.is_over() {
            break;
        }
        world.now_s = now_ms as f64 / 1000.0;
    }
    Run {
        phase: rollout.phase,
        at_s: world.now_s + 1.0 / TICKS as f64,
        bad: world.bad,
        reason: rollout.reason,
    }
}

struct World {
    traffic: Traffic,
    evidence: Evidence,
    sizes: usize,
    now_s: f64,
    outage_at_s: f64,
    drift: f64,
    callers: Vec<Caller>,
    times: Arc<[f64]>,
    bad: u64,
}

struct Caller {
    hash: u64,
    /// Share of the traffic up to and with this one.
    until: f64,
    /// How many times as often as others it fails.
    fortune: f64,
}

impl World {
    fn new(traffic: Traffic, strategy: &Strategy, seconds: u64) -> Self {
        let signals: Vec<Arc<str>> = strategy
            .signals
            .iter()
            .map(|signal| signal.as_str().into())
            .collect();
        assert_eq!(strategy.signals[0], Signal::Errors);
        let sizes = strategy
            .signals
            .iter()
            .filter(|signal| **signal == Signal::Latency)
            .count();
        let sticky = strategy.sticky.is_some();
        Self {
            traffic,
            evidence: Evidence::new(vec!["orders".into()], signals, sticky),
            sizes,
            now_s: 0.0,
            outage_at_s: dice::fraction() * (seconds as f64 - 120.0).max(0.0),
            drift: 1.2 * normal(),
            callers: match traffic.shape {
                Shape::Sticky { callers } => people(callers),
                _ => vec![],
            },
            times: times(),
            bad: 0,
        }
    }

    fn serve(&mut self, rollout: &Rollout, now_s: f64, seconds: f64) {
        let (mut errors, mut slow) = (self.traffic.errors, 1.0);
        match self.traffic.shape {
            Shape::Outage if (0.0..120.0).contains(&(now_s - self.outage_at_s)) => {
                (errors, slow) = (0.4, 5.0);
            }
            Shape::Drift => {
                let pull = seconds / 300.0;
                self.drift += -self.drift * pull + 1.2 * (2.0 * pull).sqrt() * normal();
                errors *= self.drift.exp();
                slow = (self.drift / 4.0).exp();
            }
            _ => {}
        }
        let share = rollout.share();
        for _ in 0..poisson(self.traffic.rate * seconds) {
            self.one(rollout.step, share, errors, slow);
        }
    }

    fn one(&mut self, step: u32, share: f64, errors: f64, slow: f64) {
        let caller = (!self.callers.is_empty()).then(|| {
            let drawn = dice::fraction();
            let index = self.callers.partition_point(|caller| caller.until < drawn);
            &self.callers[index.min(self.callers.len() - 1)]
        });
        let drawn = match caller {
            Some(caller) => (caller.hash >> 11) as f64 / (1_u64 << 53) as f64,
            None => dice::fraction(),
        };
        let (arm, worse, slower) = match drawn < share {
            true => (Arm::Candidate, self.traffic.worse, self.traffic.slower),
            false => (Arm::Control, 1.0, 1.0),
        };
        let fortune = caller.map_or(1.0, |caller| caller.fortune);
        let is_bad = dice::fraction() < errors * worse * fortune;
        self.bad += u64::from(is_bad && arm == Arm::Candidate);
        let time = self.times[dice::below(self.times.len())] * slow * slower;
        let sample = Sample {
            step,
            slice: 0,
            arm,
            caller: caller.map(|caller| caller.hash),
            readings: &[
                Reading::Label(is_bad),
                Reading::Label(dice::bits() & 1023 == 0),
                Reading::Size(time as u64),
            ][..2 + self.sizes],
        };
        self.evidence.add(&sample);
    }
}

/// Callers whose traffic falls by rank, some of whom fail often.
fn people(count: usize) -> Vec<Caller> {
    let weights: Vec<f64> = (0..count).map(|rank| 1.0 / (rank as f64 + 5.0)).collect();
    let all: f64 = weights.iter().sum();
    let mut until = 0.0;
    let caller = |weight: &f64| {
        until += weight / all;
        Caller {
            hash: dice::bits(),
            until,
            fortune: if dice::below(20) == 0 { 10.0 } else { 0.5 },
        }
    };
    weights.iter().map(caller).collect()
}

/// Times of a log-normal sort around 40 ms, in microseconds.
fn times() -> Arc<[f64]> {
    let one = || 40_000.0 * (0.5 * normal()).exp();
    (0..4096).map(|_| one()).collect()
}

fn normal() -> f64 {
    let radius = (-2.0 * (1.0 - dice::fraction()).ln()).sqrt();
    radius * (std::f64::consts::TAU * dice::fraction()).cos()
}

fn poisson(mean: f64) -> u64 {
    if mean > 60.0 {
        return (mean + mean.sqrt() * normal()).round().max(0.0) as u64;
    }
    let floor = (-mean).exp();
    let (mut count, mut product) = (0, dice::fraction());
    while product > floor {
        count += 1;
        product *= dice::fraction();
    }
    count
}
