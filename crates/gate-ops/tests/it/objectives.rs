//! Objectives on traffic that is made up: how soon a burn is suspected, how often nothing was, and
//! what ten thousand objectives cost. A sample runs with every test run; what is published comes
//! from `cargo test --release -p gate-ops --test it -- --ignored --nocapture bar_objectives`.

use gate_kit::{clock, random};
use gate_ops::slo::{Change, Count, Monitor, Objective, Span, Turn};
use std::time::Duration;

/// A Monday, 2026-11-23 00:00 UTC.
const START: u64 = 1_795_392_000;
const RATE: u64 = 100;

fn three_nines() -> Objective {
    Objective::new("orders", 0.999, Span::Rolling(30 * 86_400))
}

/// Bad events among `total` with that probability, by inversion of the binomial.
fn bad(total: u64, ratio: f64) -> u64 {
    if ratio >= 1.0 {
        return total;
    }
    let (mut rest, odds) = (random::fraction(), ratio / (1.0 - ratio));
    let mut term = (1.0 - ratio).powf(total as f64);
    for count in 0..total {
        rest -= term;
        if rest <= 0.0 {
            return count;
        }
        term *= odds * (total - count) as f64 / (count + 1) as f64;
    }
    total
}

fn gauss() -> f64 {
    let radius = (-2.0 * (1.0 - random::fraction()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random::fraction()).cos()
}

/// How the ratio of bad events moves.
#[derive(Debug, Clone, Copy)]
struct Drift {
    /// Standard deviation of its logarithm, which is pulled back to the mean within 300 s.
    deviation: f64,
}

/// Seconds until a suspicion opens, after two hours at half of what is allowed.
fn delay(ratio: f64, seed: u64) -> Option<u64> {
    random::seed(seed);
    let mut monitor = Monitor::new(&three_nines()).unwrap();
    let onset_s = START + 7200 + seed % 60;
    for at_s in START..onset_s + 600 {
        let now = if at_s < onset_s { 0.0005 } else { ratio };
        monitor.record(at_s, Count::new(RATE, bad(RATE, now)));
        let changes = monitor.evaluate(at_s + 1);
        let has_opened = changes.contains(&Change::Suspicion(Turn::Opened));
        if has_opened && at_s >= onset_s {
            return Some(at_s + 1 - onset_s);
        }
    }
    None
}

fn median_delay(ratio: f64, runs: u64) -> f64 {
    let mut delays: Vec<f64> = (0..runs)
        .map(|seed| delay(ratio, seed).map_or(f64::INFINITY, |seconds| seconds as f64))
        .collect();
    delays.sort_by(f64::total_cmp);
    delays[delays.len() / 2]
}

#[test]
fn total_failure_is_suspected_within_a_second() {
    for seed in 0..40 {
        assert_eq!(delay(1.0, seed), Some(1), "seed {seed}");
    }
}

#[test]
fn one_percent_is_suspected_within_twenty_seconds() {
    let median = median_delay(0.01, 61);
    assert!(median <= 20.0, "{median} s");
}

/// Days of `days` with a suspicion, and suspicions, on traffic that keeps its promise just so.
fn false_days(days: u64, mean: f64, drift: Drift, seed: u64) -> (u64, u64) {
    random::seed(seed);
    let mut monitor = Monitor::new(&three_nines()).unwrap();
    let (mut false_days, mut suspicions, mut wander) = (0, 0, 0.0);
    let keep = (-1.0_f64 / 300.0).exp();
    for day in 0..days {
        let before = suspicions;
        for second in 0..86_400 {
            wander = wander * keep + drift.deviation * (1.0 - keep * keep).sqrt() * gauss();
            let ratio = mean * (wander - drift.deviation * drift.deviation / 2.0).exp();
            let at_s = START + day * 86_400 + second;
            monitor.record(at_s, Count::new(RATE, bad(RATE, ratio.min(0.9))));
            let changes = monitor.evaluate(at_s + 1);
            let has_opened = changes.contains(&Change::Suspicion(Turn::Opened));
            suspicions += u64::from(has_opened);
            assert!(
                !monitor.alerts().page,
                "a false page on day {day}, seed {seed}"
            );
        }
        false_days += u64::from(suspicions > before);
    }
    (false_days, suspicions)
}

#[test]
fn a_day_that_keeps_its_promise_is_not_suspected() {
    assert_eq!(false_days(1, 0.001, Drift { deviation: 0.0 }, 5), (0, 0));
}

/// Thirty days of a request every two minutes by day and none by night: an error now and then wakes
/// nobody, and a night is no outage. A route that was busy and is reached by nobody is told of, and is
/// not perfect.
#[test]
fn thirty_quiet_days_wake_nobody_and_a_vanished_route_does() {
    random::seed(9);
    let (mut errors, mut asked) = (0, 0);
    let minute = |monitor: &mut Monitor, minute: u64, count: Count| {
        let at_s = START + minute * 60;
        monitor.record(at_s, count);
        monitor.evaluate(at_s + 60);
        monitor.alerts()
    };
    let mut quiet = Monitor::new(&three_nines()).unwrap();
    for number in 0..30 * 1440 {
        let comes = (360..1320).contains(&(number % 1440)) && number % 2 == 0;
        // One in five hundred, twice what is allowed: a matter for the days ahead.
        let fails = comes && random::below(500) == 0;
        asked += u64::from(comes);
        errors += u64::from(fails);
        let count = Count::new(comes.into(), fails.into());
        let alerts = minute(&mut quiet, number, count);
        assert!(
            !alerts.page && !alerts.vanished,
            "minute {number}, {errors} errors of {asked}"
        );
    }
    assert!(errors > 10, "{errors}");
    assert_eq!(quiet.budget().count, Count::new(asked, errors));
    let mut busy = Monitor::new(&three_nines()).unwrap();
    for number in 0..7 * 1440 {
        let alerts = minute(&mut busy, number, Count::new(30, 0));
        assert!(!alerts.vanished);
    }
    let gone = |number: &u64| minute(&mut busy, 7 * 1440 + number, Count::default()).vanished;
    // At the end of the fifth minute without anybody.
    assert_eq!((0..60).find(gone), Some(4));
    // Nothing was promised to nobody: the last hour has no burn that could look like a kept promise.
    for number in 60..120 {
        let _ = minute(&mut busy, 7 * 1440 + number, Count::default());
    }
    assert_eq!(busy.budget().burn, None);
}

#[test]
#[ignore = "hundreds of simulated days: a minute in release"]
fn bar_objectives_detection() {
    for burn in [6.0, 10.0, 14.4, 50.0, 100.0, 1000.0] {
        let ratio: f64 = burn * 0.001;
        let median = median_delay(ratio, 1001);
        println!("burn {burn}: suspected after {median} s (median of 1001)");
        assert!(burn != 10.0 || median <= 20.0);
        assert!(burn != 1000.0 || median <= 1.0);
    }
    for (name, mean, deviation) in [
        ("independent, burn 0.5", 0.0005, 0.0),
        ("independent, burn 1", 0.001, 0.0),
        ("independent, burn 2", 0.002, 0.0),
        ("mild drift (log-sd 0.4), burn 0.5", 0.0005, 0.4),
        ("mild drift (log-sd 0.4), burn 1", 0.001, 0.4),
        ("strong drift (log-sd 1.2), burn 0.5", 0.0005, 1.2),
        ("strong drift (log-sd 1.2), burn 1", 0.001, 1.2),
    ] {
        let (days, suspicions) = false_days(60, mean, Drift { deviation }, 77);
        println!("{name}: {days} false days of 60, {suspicions} suspicions");
        assert!(deviation > 0.0 || days <= 2, "{name}");
    }
}

#[test]
#[ignore = "a figure of speed and memory: in release, on a quiet machine"]
fn bar_objectives_speed() {
    const OBJECTIVES: usize = 10_000;
    const SECONDS: u64 = 300;
    let objective = three_nines();
    // 400 days at 100 events a second fill every slot of every ring.
    let mut full = Monitor::new(&objective).unwrap();
    for hour in 0..400 * 24 {
        full.record(START + hour * 3600, Count::new(360_000, hour % 700));
    }
    let from_s = START + 400 * 86_400 - 4 * 86_400;
    for ten_minutes in 0..4 * 144 {
        full.record(from_s + ten_minutes * 600, Count::new(60_000, 9));
    }
    let begins_s = START + 400 * 86_400;
    for second in 0..7 * 3600 {
        full.record(
            begins_s + second,
            Count::new(RATE, u64::from(second % 20 == 0)),
        );
    }
    let now_s = begins_s + 7 * 3600;
    full.evaluate(now_s);
    let saved = full.save();
    let mut monitors: Vec<Monitor> = (0..OBJECTIVES)
        .map(|_| {
            let mut monitor = Monitor::new(&objective).unwrap();
            monitor.restore(&saved).unwrap();
            monitor.share(&full);
            monitor
        })
        .collect();
    let clock = clock::Clock::default();
    let (mut most, mut sum) = (Duration::ZERO, Duration::ZERO);
    let mut changes = 0;
    for second in 0..SECONDS {
        let at_s = now_s + second;
        let began = clock.now();
        for (index, monitor) in monitors.iter_mut().enumerate() {
            let bad = u64::from((second + index as u64).is_multiple_of(20));
            monitor.record(at_s, Count::new(RATE, bad));
            changes += monitor.evaluate(at_s + 1).len();
        }
        let took = clock.now().since(began);
        (most, sum) = (most.max(took), sum + took);
    }
    let mean = sum / SECONDS as u32;
    let bytes: usize = monitors.iter().map(Monitor::bytes).sum();
    let mebibytes = bytes as f64 / f64::from(1 << 20);
    println!(
        "{OBJECTIVES} objectives, all rings full: {mean:?} a second on average, {most:?} at most, {mebibytes:.1} MiB, {changes} changes"
    );
    assert!(mean < Duration::from_millis(50) && mebibytes < 200.0);
}
