//! Baselines on public labelled series (Microsoft's cloud monitoring data set), where they lie
//! beside the repository: precision, recall and delay beside two simple rules, each at its own limit
//! and at limits that give all three the same number of alarms. No number of any of the three was
//! chosen on these series. The command is
//! `cargo test --release -p gate-ops --test it -- --ignored --nocapture bar_monitoring`.

use crate::attribution::vectors;
use gate_ops::baseline::{Baseline, UNUSUAL};
use std::collections::VecDeque;
use std::path::Path;

struct Series {
    name: String,
    /// Seconds, value, whether it is labelled as an anomaly.
    points: Vec<(u64, f64, bool)>,
}

/// `2018-06-19 00:00:00`, with or without a `T`, in UNIX seconds.
fn seconds(text: &str) -> u64 {
    let mut parts = text
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0_u64);
    let days = gate_kit::date::days(next(), next(), next());
    days * 86_400 + next() * 3600 + next() * 60 + next()
}

fn read(path: &Path) -> Series {
    let text = std::fs::read_to_string(path).unwrap();
    let point = |line: &str| {
        let mut fields = line.split(',').map(|field| field.trim().trim_matches('"'));
        let at_s = seconds(fields.next()?);
        // Some values are missing; they are no points.
        let value = fields.next()?.parse().ok()?;
        let is_labelled = fields.next()?.parse::<f64>().ok()? > 0.0;
        Some((at_s, value, is_labelled))
    };
    Series {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        points: text.lines().skip(1).filter_map(point).collect(),
    }
}

/// A rule, made anew for each series: how unusual a value is.
type Rule = Box<dyn FnMut(u64, f64) -> f64>;

fn ours() -> Rule {
    let mut baseline = Baseline::default();
    Box::new(move |at_s, value| {
        let reading = baseline.observe(at_s, value);
        reading.map_or(0.0, |reading| reading.errors.abs())
    })
}

fn mean_and_deviation(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    let squares: f64 = values.map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / count).sqrt().max(1e-9))
}

/// Standard deviations from the mean of the 48 values before.
fn moving_z_score() -> Rule {
    let mut window = VecDeque::new();
    Box::new(move |_, value| {
        let (mean, deviation) = mean_and_deviation(window.iter().copied());
        let is_full = window.len() == 48;
        let unusual = if is_full {
            (value - mean).abs() / deviation
        } else {
            0.0
        };
        window.push_back(value);
        if window.len() > 48 {
            window.pop_front();
        }
        unusual
    })
}

/// Distance from the value a day before, in standard deviations of the last two days' differences.
fn seasonal_naive() -> Rule {
    let (mut values, mut differences) = (VecDeque::<(u64, f64)>::new(), VecDeque::new());
    Box::new(move |at_s, value| {
        while values
            .front()
            .is_some_and(|(then_s, _)| then_s + 86_400 < at_s)
        {
            values.pop_front();
        }
        let then = values.front().filter(|(then_s, _)| then_s + 86_400 == at_s);
        let difference = then.map(|(_, then)| value - then);
        values.push_back((at_s, value));
        let Some(difference) = difference else {
            return 0.0;
        };
        let (mean, deviation) = mean_and_deviation(differences.iter().copied());
        let is_full = differences.len() >= 24;
        let unusual = if is_full {
            (difference - mean).abs() / deviation
        } else {
            0.0
        };
        differences.push_back(difference);
        if differences.len() > 48 {
            differences.pop_front();
        }
        unusual
    })
}

#[derive(Default, Debug)]
struct Score {
    segments: usize,
    found: usize,
    delays_min: Vec<u64>,
    /// Runs of unusual values, and those that touch a labelled segment.
    alarms: usize,
    right: usize,
}

/// How unusual a rule finds each point of each series.
fn judged(all: &[Series], rule: fn() -> Rule) -> Vec<Vec<f64>> {
    let of = |series: &Series| {
        let mut rule = rule();
        let points = series.points.iter();
        points.map(|(at_s, value, _)| rule(*at_s, *value)).collect()
    };
    all.iter().map(of).collect()
}

fn score(all: &[Series], judged: &[Vec<f64>], limit: f64) -> Score {
    let mut score = Score::default();
    for (series, judged) in all.iter().zip(judged) {
        let marks: Vec<bool> = judged.iter().map(|unusual| *unusual > limit).collect();
        let labels: Vec<bool> = series.points.iter().map(|point| point.2).collect();
        for (begins, ends) in runs(&labels) {
            score.segments += 1;
            if let Some(after) = marks[begins..ends].iter().position(|mark| *mark) {
                score.found += 1;
                let delay_s = series.points[begins + after].0 - series.points[begins].0;
                score.delays_min.push(delay_s / 60);
            }
        }
        for (begins, ends) in runs(&marks) {
            score.alarms += 1;
            score.right += usize::from(labels[begins..ends].contains(&true));
        }
    }
    score.delays_min.sort_unstable();
    score
}

/// The limit at which there are about so many alarms: the highest of a grid in steps of 2 %.
fn limit_of(all: &[Series], judged: &[Vec<f64>], alarms: usize) -> f64 {
    let mut limit = 100.0;
    while limit > 1.0 && score(all, judged, limit).alarms < alarms {
        limit *= 0.98;
    }
    limit
}

/// Where flags are set: beginnings and ends.
fn runs(flags: &[bool]) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (index, _) in flags.iter().enumerate().filter(|(_, flag)| **flag) {
        match found.last_mut() {
            Some((_, ends)) if *ends == index => *ends += 1,
            _ => found.push((index, index + 1)),
        }
    }
    found
}

fn all() -> Option<Vec<Series>> {
    let folder = vectors("monitoring")?;
    let mut paths = Vec::new();
    for group in std::fs::read_dir(folder).unwrap() {
        for file in std::fs::read_dir(group.unwrap().path()).unwrap() {
            paths.push(file.unwrap().path());
        }
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "csv"));
    paths.sort();
    Some(paths.iter().map(|path| read(path)).collect())
}

fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[test]
fn runs_are_found_at_the_edges() {
    assert_eq!(runs(&[true, true, false, true]), [(0, 2), (3, 4)]);
    assert_eq!(runs(&[]), []);
}

#[test]
#[ignore = "a figure, not a promise: see docs/results.md"]
fn bar_monitoring() {
    let Some(all) = all() else {
        return;
    };
    let points: usize = all.iter().map(|series| series.points.len()).sum();
    println!("{} series, {points} points", all.len());
    for (name, rule, own) in [
        ("baseline", ours as fn() -> Rule, UNUSUAL),
        ("moving z-score", moving_z_score, 3.0),
        ("seasonal naive", seasonal_naive, 3.0),
    ] {
        let judged = judged(&all, rule);
        print(name, "its own limit", &score(&all, &judged, own));
        for alarms in [60, 100, 150, 250, 400, 600] {
            let limit = limit_of(&all, &judged, alarms);
            print(
                name,
                &format!("limit {limit:.2}"),
                &score(&all, &judged, limit),
            );
        }
        for (series, judged) in all.iter().zip(&judged) {
            let of = score(
                std::slice::from_ref(series),
                std::slice::from_ref(judged),
                own,
            );
            println!(
                "    {}: {}/{} segments, {}/{} alarms",
                series.name, of.found, of.segments, of.right, of.alarms
            );
        }
    }
}

fn print(name: &str, limit: &str, score: &Score) {
    let precision = share(score.right, score.alarms);
    let recall = share(score.found, score.segments);
    let f1 = 2.0 * precision * recall / (precision + recall).max(1e-9);
    let median = score.delays_min.get(score.delays_min.len() / 2);
    println!(
        "{name}, {limit}: {} of {} segments found (recall {recall:.3}), {} of {} alarms right (precision {precision:.3}), F1 {f1:.3}, median delay {median:?} min",
        score.found, score.segments, score.right, score.alarms
    );
}
