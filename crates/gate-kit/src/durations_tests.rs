//! Histograms of durations: their buckets, their quantiles, and both formats and back.

use super::*;
use crate::random;

#[test]
fn buckets_are_those_of_both_formats() {
    // (2^(i/32), 2^((i+1)/32)]: a second ends bucket -1, two end 31, and three lie in 32 + 18.
    for (seconds, expected) in [(1, -1), (2, 31), (3, 50), (4, 63), (5, 74), (1024, 319)] {
        assert_eq!(bucket(seconds * 1_000_000_000), expected, "{seconds}");
    }
    // A 32nd of a second, and as many nanoseconds more.
    assert_eq!(bucket(31_250_000), -161);
    assert_eq!(bucket(31_250_001), -160);
    for nanos in (1..5000).chain([u64::MAX / 3, u64::MAX - 1, u64::MAX]) {
        let (found, value) = (bucket(nanos), nanos as f64 / NANOS);
        assert!(BUCKETS.contains(&found), "{nanos}");
        assert!(edge(found) < value, "{nanos}");
        assert!(value <= edge(found + 1) * (1.0 + 1e-15), "{nanos}");
    }
}

fn drawn(of: impl Fn(f64, f64) -> f64, count: usize) -> Vec<u64> {
    let draw = || of(1.0 - random::fraction(), random::fraction()) as u64;
    (0..count).map(|_| draw()).collect()
}

#[test]
fn quantiles_are_within_the_bound() {
    random::seed(11);
    let normal = |u: f64, v: f64| (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
    let shapes: [(&str, Vec<u64>); 3] = [
        (
            "lognormal",
            drawn(|u, v| (normal(u, v) * 1.5 + 10.0).exp(), 200_000),
        ),
        (
            "bimodal",
            drawn(
                |u, v| normal(u, v) * 90.0 + if v < 0.5 { 2e3 } else { 9e5 },
                200_000,
            ),
        ),
        ("pareto", drawn(|u, _| 1e3 * u.powf(-1.0 / 1.3), 200_000)),
    ];
    for (name, mut values) in shapes {
        let mut durations = Durations::default();
        values.iter().for_each(|value| durations.record(*value));
        values.sort_unstable();
        for share in [0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999] {
            let exact = values[(share * values.len() as f64).ceil() as usize - 1];
            let exact = exact as f64 / NANOS;
            let found = durations.quantile(share).unwrap();
            let error = (found - exact).abs() / exact;
            assert!(error <= ERROR, "{name} {share}: {found} for {exact}");
        }
    }
}

#[test]
fn both_formats_give_back_what_they_got() {
    random::seed(12);
    for length in [0, 1, 3, 50, 2000] {
        let mut durations = Durations::default();
        for value in drawn(|u, v| (u.powi(-7) * v * 50.0).min(1e9), length) {
            durations.record(value);
        }
        assert_eq!(
            Durations::from_otlp(&durations.otlp()).as_ref(),
            Some(&durations)
        );
        let back = Durations::from_native(&durations.native()).unwrap();
        assert!(back.buckets().eq(durations.buckets()));
        assert_eq!((back.zeros, back.sum), (durations.zeros, durations.sum));
    }
    let foreign = Otlp {
        scale: 4,
        ..Durations::default().otlp()
    };
    assert_eq!(Durations::from_otlp(&foreign), None);
    let mut short = Durations::default();
    short.record(7);
    let short = Native {
        positive_deltas: vec![],
        ..short.native()
    };
    assert_eq!(Durations::from_native(&short), None);
}

#[test]
fn the_order_of_merging_does_not_count() {
    random::seed(13);
    let parts: Vec<Durations> = (0..5)
        .map(|_| {
            let mut durations = Durations::default();
            let values = drawn(|u, _| u.powi(-5), random::below(200));
            values.into_iter().for_each(|value| durations.record(value));
            durations
        })
        .collect();
    let merged = |order: &mut dyn Iterator<Item = &Durations>| {
        let mut all = Durations::default();
        order.for_each(|part| all.merge(part));
        (
            all.buckets().collect::<Vec<_>>(),
            all.count(),
            all.sum,
            all.least,
            all.most,
        )
    };
    assert_eq!(merged(&mut parts.iter()), merged(&mut parts.iter().rev()));
}

#[test]
fn nothing_has_no_quantile() {
    assert_eq!(Durations::default().quantile(0.5), None);
    let mut zeros = Durations::default();
    zeros.record(0);
    assert_eq!(zeros.quantile(0.99), Some(0.0));
}

/// A part of the bar of 100 ns per exchange; it counts on a machine that has nothing else to do.
#[test]
#[ignore = "a bar on time, for a quiet machine"]
fn bar_recording() {
    random::seed(14);
    let values = drawn(|u, v| 1e6 * u.powf(-1.0 / 1.3) + v, 4096);
    let mut durations = Durations::default();
    values.iter().for_each(|value| durations.record(*value));
    let rounds = 2_000;
    let began = std::time::Instant::now();
    for _ in 0..rounds {
        for value in &values {
            durations.record(std::hint::black_box(*value));
        }
    }
    let each = began.elapsed().as_nanos() as f64 / (rounds * values.len()) as f64;
    eprintln!("a duration is counted in {each:.1} ns");
    assert!(each < 50.0, "{each}");
}
