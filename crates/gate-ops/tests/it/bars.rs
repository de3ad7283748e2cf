//! The bars: how often a revision that is no worse is taken back, how soon one that is. A sample of
//! each runs with every test run; the numbers that are published come from
//! `cargo test -p gate-ops --test it -- --ignored --nocapture`.

use crate::traffic::{Run, Shape, Traffic, run};
use gate_model::resources::{Ramp, Rollout as Strategy, Signal, Sticky};
use gate_model::units::{Percent, Period};
use gate_ops::rollout::Phase;
use std::sync::atomic::{AtomicU64, Ordering};

/// Errors, refusals and latency, in the order that the traffic has them.
fn strategy() -> Strategy {
    Strategy {
        signals: vec![Signal::Errors, Signal::Refusals, Signal::Latency],
        ..Strategy::default()
    }
}

/// The candidate stays at 5 % for as long as the simulation goes, whatever speaks for it.
fn standing(sticky: bool) -> Strategy {
    Strategy {
        steps: vec![Percent::from_percents(5)],
        step_minimum: Period::from_seconds(3600),
        step_patience: Period::from_seconds(3600),
        sticky: sticky.then_some(Sticky::Credential {}),
        ..strategy()
    }
}

/// The share grows without a stop, from 1 to 50 %, in as long as the simulation goes, or as the
/// evidence lets it.
fn growing(sticky: bool, seconds: u64) -> Strategy {
    let ramp = Ramp {
        doubling: Period::from_seconds(seconds / 6),
        ..Ramp::default()
    };
    Strategy {
        ramp: Some(ramp),
        sticky: sticky.then_some(Sticky::Credential {}),
        ..strategy()
    }
}

/// As soon as the evidence lets it.
fn continuous() -> Strategy {
    Strategy {
        ramp: Some(Ramp::default()),
        ..strategy()
    }
}

const SHAPES: [Shape; 4] = [
    Shape::Independent,
    Shape::Outage,
    Shape::Drift,
    Shape::Sticky { callers: 400 },
];

/// Runs rollouts on all cores; the seed of each is its number.
fn many(count: u64, one: impl Fn(u64) -> Run + Sync) -> Vec<Run> {
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let worker = || {
            let mut runs = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= count {
                    return runs;
                }
                runs.push((seed, one(seed)));
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let parts = workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap());
        let mut runs: Vec<_> = parts.collect();
        runs.sort_by_key(|(seed, _)| *seed);
        runs.into_iter().map(|(_, run)| run).collect()
    })
}

/// What the engine said of one that was taken back.
fn why(runs: &[Run]) -> &str {
    let back = runs.iter().find(|run| run.phase == Phase::RolledBack);
    back.map_or("", |run| &run.reason)
}

fn count(runs: &[Run], phase: Phase) -> u64 {
    runs.iter().filter(|run| run.phase == phase).count() as u64
}

/// The middle of what a run took, as if those that did not get there took for ever.
fn median(runs: &[Run], phase: Phase, value: impl Fn(&Run) -> f64) -> f64 {
    let of = |run: &Run| {
        if run.phase == phase {
            value(run)
        } else {
            f64::INFINITY
        }
    };
    let mut values: Vec<f64> = runs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The largest probability with which `count` or fewer of `all` come up in 5 of 100 cases
/// (Clopper and Pearson's upper bound, 95 %, one-sided).
fn upper_bound(count: u64, all: u64) -> f64 {
    let at_most = |p: f64| {
        let mut term = all as f64 * (1.0 - p).ln();
        let mut sum = term.exp();
        for k in 0..count {
            term += ((all - k) as f64 / (k + 1) as f64).ln() + (p / (1.0 - p)).ln();
            sum += term.exp();
        }
        sum
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if at_most(middle) > 0.05 {
            low = middle
        } else {
            high = middle
        }
    }
    high
}

#[test]
fn the_bound_is_the_one_of_textbooks() {
    // The rule of three, and a value from tables of the binomial.
    assert!((upper_bound(0, 1000) - 0.002_991).abs() < 1e-5);
    assert!((upper_bound(3, 100) - 0.075_7).abs() < 5e-4);
}

fn false_rollbacks(
    each: u64,
    seconds: u64,
    strategy: impl Fn(bool) -> Strategy,
) -> Vec<(Shape, u64)> {
    let of = |shape: Shape| {
        let sticky = matches!(shape, Shape::Sticky { .. });
        let strategy = strategy(sticky);
        let runs = many(each, |seed| {
            run(&strategy, Traffic::healthy(shape), seconds, seed)
        });
        let back = count(&runs, Phase::RolledBack);
        if back > 0 {
            println!("{shape:?}: {}", why(&runs));
        }
        (shape, back)
    };
    SHAPES.map(of).to_vec()
}

#[test]
fn revisions_that_are_no_worse_stay() {
    for (shape, taken_back) in false_rollbacks(24, 600, standing) {
        assert!(taken_back <= 1, "{shape:?}: {taken_back} of 24");
    }
}

#[test]
fn revisions_that_are_no_worse_stay_while_their_share_grows() {
    for (shape, taken_back) in false_rollbacks(24, 600, |sticky| growing(sticky, 600)) {
        assert!(taken_back <= 1, "{shape:?}: {taken_back} of 24");
    }
}

#[test]
#[ignore = "counts six thousand million exchanges: minutes"]
fn bar_false_rollbacks() {
    let seconds = std::env::var("ROLLOUT_SECONDS").ok();
    let seconds = seconds.and_then(|text| text.parse().ok()).unwrap_or(1800);
    println!("each stays at 5 % of 200/s for {seconds} s");
    print_false_rollbacks(seconds, standing);
    println!("each grows from 1 to 50 % of 200/s within {seconds} s or goes everywhere before");
    print_false_rollbacks(seconds, |sticky| growing(sticky, seconds));
}

fn print_false_rollbacks(seconds: u64, strategy: impl Fn(bool) -> Strategy) {
    for (shape, taken_back) in false_rollbacks(4000, seconds, strategy) {
        let bound = upper_bound(taken_back, 4000);
        println!(
            "{shape:?}: {taken_back} of 4000 taken back, at most {:.3} % (95 %)",
            bound * 100.0
        );
        assert!(bound <= 0.003, "{shape:?}: {taken_back}");
    }
}

fn tenfold(runs: u64) -> (f64, f64) {
    let strategy = standing(false);
    let traffic = Traffic {
        worse: 10.0,
        ..Traffic::healthy(Shape::Independent)
    };
    let runs = many(runs, |seed| run(&strategy, traffic, 600, seed));
    let seconds = median(&runs, Phase::RolledBack, |run| run.at_s);
    (
        seconds,
        median(&runs, Phase::RolledBack, |run| run.bad as f64),
    )
}

#[test]
fn ten_times_the_errors_at_ten_canary_requests_a_second() {
    let (seconds, bad) = tenfold(201);
    assert!(seconds <= 15.0, "{seconds} s, {bad} failed");
}

fn outright(strategy: &Strategy, runs: u64) -> (f64, f64) {
    let traffic = Traffic {
        worse: 200.0,
        ..Traffic::healthy(Shape::Independent)
    };
    let runs = many(runs, |seed| run(strategy, traffic, 120, seed));
    let seconds = median(&runs, Phase::RolledBack, |run| run.at_s);
    (
        seconds,
        median(&runs, Phase::RolledBack, |run| run.bad as f64),
    )
}

#[test]
fn a_revision_that_fails_outright() {
    for strategy in [standing(false), strategy(), continuous()] {
        let (seconds, bad) = outright(&strategy, 201);
        assert!(seconds <= 2.0 && bad <= 10.0, "{seconds} s, {bad} failed");
    }
}

fn healthy(strategy: &Strategy, each: u64, errors: f64) -> (f64, u64, u64) {
    let traffic = Traffic {
        errors,
        ..Traffic::healthy(Shape::Independent)
    };
    let runs = many(each, |seed| run(strategy, traffic, 3600, seed));
    let seconds = median(&runs, Phase::Promoted, |run| run.at_s);
    (
        seconds,
        count(&runs, Phase::Promoted),
        count(&runs, Phase::RolledBack),
    )
}

#[test]
fn a_healthy_revision_reaches_everybody() {
    for (strategy, errors) in [
        (strategy(), 0.005),
        (strategy(), 0.0),
        (continuous(), 0.005),
    ] {
        let (seconds, promoted, _) = healthy(&strategy, 401, errors);
        assert!(seconds <= 240.0, "{seconds} s with {errors}");
        assert!(promoted >= 397, "{promoted} of 401 with {errors}");
    }
}

#[test]
#[ignore = "thousands of rollouts: minutes"]
fn bar_speed() {
    let (seconds, bad) = tenfold(2001);
    println!(
        "ten times the errors, 5 % of 200/s: taken back after {seconds} s, {bad} failed (medians of 2001)"
    );
    assert!(seconds <= 15.0);
    for (name, strategy) in [
        ("5 % of 200/s", standing(false)),
        ("from 1 % of 200/s", strategy()),
        ("continuously from 1 % of 200/s", continuous()),
    ] {
        let (seconds, bad) = outright(&strategy, 2001);
        println!(
            "fails outright, {name}: taken back after {seconds} s, {bad} failed (medians of 2001)"
        );
        assert!(seconds <= 2.0 && bad <= 10.0);
    }
    for (ramp, errors) in [false, true]
        .into_iter()
        .flat_map(|ramp| [0.0, 0.001, 0.005, 0.02].map(|errors| (ramp, errors)))
    {
        let (strategy, how) = match ramp {
            false => (strategy(), "in steps"),
            true => (continuous(), "continuously"),
        };
        let (seconds, promoted, back) = healthy(&strategy, 1001, errors);
        println!(
            "healthy, {how}, 200/s, {} % errors: everywhere after {seconds} s (median); of 1001 promoted {promoted}, taken back {back}",
            errors * 100.0
        );
        assert!(seconds <= 240.0);
    }
    for (how, strategy) in [("steps", strategy()), ("ramp", continuous())] {
        print_worse(how, &strategy);
    }
}

fn print_worse(how: &str, strategy: &Strategy) {
    for (worse, slower) in [
        (1.5, 1.0),
        (2.0, 1.0),
        (4.0, 1.0),
        (10.0, 1.0),
        (1.0, 1.25),
        (1.0, 1.5),
    ] {
        let traffic = Traffic {
            worse,
            slower,
            ..Traffic::healthy(Shape::Independent)
        };
        let runs = many(1001, |seed| run(strategy, traffic, 3600, seed));
        println!(
            "errors x{worse}, time x{slower}, {how} at 200/s: of 1001 taken back {} after {} s (median), promoted {}",
            count(&runs, Phase::RolledBack),
            median(&runs, Phase::RolledBack, |run| run.at_s),
            count(&runs, Phase::Promoted),
        );
    }
}
