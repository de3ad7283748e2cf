//! How often ordinary noise is suspected, how soon a rise is, and what it is traced to.

use super::*;
use gate_kit::random;

/// A Monday, 2026-11-02 00:00 UTC, in hours.
const START: u64 = 1_793_577_600 / HOUR_S;

/// A normal deviate.
fn normal() -> f64 {
    let radius = (-2.0 * random::fraction().max(1e-12).ln()).sqrt();
    radius * (std::f64::consts::TAU * random::fraction()).cos()
}

/// What an hour of an ordinary consumer costs: so many calls as chance has it around a rhythm of days
/// and weekends, each of a price that varies by a factor of two.
fn ordinary(hour: u64, calls: f64, price: f64) -> f64 {
    let rhythm = match (hour / 24 % 7, hour % 24) {
        (5 | 6, _) => 0.3,
        (_, 8..20) => 1.0,
        _ => 0.2,
    };
    let mean = calls * rhythm;
    let count = (mean + mean.sqrt() * normal()).max(0.0).round();
    // The mean of so many log-normal prices.
    let spread = 0.7 / count.max(1.0).sqrt();
    count * price * (spread * normal()).exp()
}

fn key(name: &str) -> Key {
    (Of::Consumer, name.to_owned())
}

/// Hours of `count` consumers of all sizes.
fn hour_of(hour: u64, count: u32) -> Sums {
    let one = |number: u32| {
        let calls = 4.0 * 1.6_f64.powi((number % 12) as i32);
        (key(&format!("c{number}")), ordinary(hour, calls, 0.25))
    };
    (0..count).map(one).collect()
}

#[test]
fn ordinary_noise_is_hardly_ever_suspected() {
    let (mut hours, mut alarms) = (0_u64, 0);
    for seed in 0..4 {
        random::seed(seed);
        let mut watch = Watch::default();
        for hour in 0..24 * 60 {
            let sums = hour_of(hour, 24);
            // Nor is an hour that is half over.
            let half = sums.iter().map(|(key, usd)| (key.clone(), usd / 2.0));
            let so_far = watch.open(START + hour, &half.collect());
            let is_open = |one: &&Suspicion| one.since == START + hour;
            assert_eq!(so_far.iter().find(is_open), None, "half of a usual hour");
            watch.close(START + hour, &sums);
            hours += 24;
        }
        let open = watch.names.values().filter(|one| one.open.is_some());
        alarms += watch.past().count() + open.count();
    }
    // At most one a consumer in 60 days.
    assert!(alarms as u64 <= hours / (24 * 60), "{alarms} in {hours}");
}

#[test]
fn a_rise_is_suspected_within_its_hour_and_over_when_it_is() {
    let mut found = 0;
    for seed in 0..40 {
        random::seed(seed);
        let mut watch = Watch::default();
        let begin = 24 * 21 + seed % 24;
        for hour in 0..begin {
            watch.close(START + hour, &hour_of(hour, 1));
        }
        let usual = ordinary(begin, 4.0, 0.25);
        // A loop that spends twenty dollars more.
        let mut sums: Sums = [(key("c0"), usual + 20.0)].into();
        let open = watch.open(START + begin, &sums);
        found += u64::from(!open.is_empty());
        if open.is_empty() {
            continue;
        }
        assert_eq!((open[0].since, open[0].until), (START + begin, None));
        assert!(
            open[0].spent > open[0].high && open[0].excess() > 15.0,
            "{open:?}"
        );
        watch.close(START + begin, &sums);
        // In the next hour it goes on to be told until that has turned out usual.
        assert_eq!(watch.open(START + begin + 1, &Sums::new()), open);
        sums.insert(key("c0"), usual);
        watch.close(START + begin + 1, &sums);
        assert_eq!(watch.open(START + begin + 2, &Sums::new()), []);
        let past: Vec<&Suspicion> = watch.past().collect();
        assert_eq!(past[0].until, Some(START + begin + 1));
    }
    assert!(found >= 38, "{found} of 40");
}

#[test]
fn what_is_new_small_or_less_is_not_suspected() {
    random::seed(1);
    let mut watch = Watch::default();
    for hour in 0..24 * 14 {
        let mut sums: Sums = [(key("cents"), 0.01), (key("falls"), 50.0)].into();
        if hour == 24 * 14 - 1 {
            // A hundred times as much, and still less than a dollar; and nothing at all.
            sums = [(key("cents"), 0.9)].into();
        }
        sums.insert(key("young"), if hour > 24 * 13 { 100.0 } else { 0.0 });
        if hour < 24 * 13 {
            sums.remove(&key("young"));
        }
        let open = watch.open(START + hour, &sums);
        assert_eq!(open, [], "{hour}");
        watch.close(START + hour, &sums);
    }
    assert_eq!(watch.past().count(), 0);
    // Who spends nothing for as long as hours are known is forgotten.
    for hour in 0..HOURS {
        watch.close(START + 24 * 14 + hour, &Sums::new());
    }
    assert!(watch.names.is_empty());
}

fn cell(names: [&str; COLUMNS.len()], usd: f64) -> Cell {
    Cell {
        names: names.map(str::to_owned),
        usd,
    }
}

fn suspicion(of: Of, name: &str, spent: f64, expected: f64) -> Suspicion {
    Suspicion {
        of,
        name: name.to_owned(),
        since: START,
        until: None,
        hour: START,
        spent,
        expected,
        high: expected * 1.5,
    }
}

#[test]
fn the_difference_is_traced_to_what_cost_more_than_its_share() {
    let before = [
        cell(["shop", "ada", "k1", "small", "ai", "search", "7"], 12.0),
        cell(["shop", "ada", "k2", "large", "ai", "report", "7"], 12.0),
    ];
    let now = [
        cell(["shop", "ada", "k1", "small", "ai", "search", "8"], 5.0),
        cell(["shop", "ada", "k2", "large", "ai", "agent", "8"], 40.0),
        cell(["shop", "ada", "k2", "large", "ai", "report", "8"], 5.0),
    ];
    let of = suspicion(Of::Consumer, "ada", 50.0, 10.0);
    let parts = parts(&of, &now, &before);
    let said: Vec<String> = parts.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "100 % tag `agent` (new)",
            "100 % revision `8` (new)",
            "100 % team `shop`",
            "100 % consumer `ada`",
            "100 % key `k2`",
            "100 % model `large`",
            "100 % route `ai`",
        ]
    );
    let key = parts.iter().find(|part| part.column == "key").unwrap();
    assert_eq!((key.spent, key.expected, key.share), (45.0, 5.0, 1.0));
    assert_eq!(
        of.to_string(),
        "consumer `ada` spent 50.00 USD in an hour, where 10.00, at most 15.00, were to be expected"
    );
}

#[test]
fn what_a_narrower_suspicion_explains_is_told_once() {
    let now = [
        cell(["shop", "ada", "k1", "large", "ai", "", "8"], 90.0),
        cell(["shop", "bob", "k2", "small", "ai", "", "8"], 10.0),
    ];
    let before = [
        cell(["shop", "ada", "k1", "large", "ai", "", "7"], 120.0),
        cell(["shop", "bob", "k2", "small", "ai", "", "7"], 240.0),
    ];
    let with = |one: Suspicion, now: &[Cell]| {
        let parts = parts(&one, now, &before);
        (one, parts)
    };
    let long_ago = Suspicion {
        since: START - 100,
        until: Some(START - 90),
        ..suspicion(Of::Team, "shop", 90.0, 15.0)
    };
    let all = vec![
        with(long_ago, &now),
        with(suspicion(Of::All, "", 100.0, 15.0), &now),
        with(suspicion(Of::Model, "large", 90.0, 5.0), &now[..1]),
        with(suspicion(Of::Team, "shop", 100.0, 15.0), &now),
        with(suspicion(Of::Consumer, "ada", 90.0, 5.0), &now[..1]),
        with(suspicion(Of::Team, "other", 30.0, 1.0), &[]),
    ];
    let kept: Vec<(Of, String)> = narrowed(all)
        .into_iter()
        .map(|(one, _)| (one.of, one.name))
        .collect();
    assert_eq!(
        kept,
        [
            (Of::Consumer, "ada".to_owned()),
            (Of::Team, "shop".to_owned()),
            (Of::Team, "other".to_owned())
        ]
    );
}
