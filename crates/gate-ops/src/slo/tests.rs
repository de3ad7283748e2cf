//! Rings and windows against a list of events that forgets nothing.

use super::*;
use gate_kit::random;
use proptest::prelude::*;

/// A Monday, 2026-11-23 00:00 UTC.
const START: u64 = 1_795_392_000;

/// All events, to be asked anything.
#[derive(Default)]
struct Log(Vec<(u64, Count)>);

impl Log {
    fn between(&self, from_s: u64, to_s: u64) -> Count {
        let mut sum = Count::default();
        for (_, count) in self
            .0
            .iter()
            .filter(|(at_s, _)| (from_s..to_s).contains(at_s))
        {
            sum.add(*count);
        }
        sum
    }
}

const WINDOWS: [u64; 9] = [1, 60, 300, 1800, 3600, 21_600, 86_400, 259_200, 2_592_000];

fn assert_windows(counts: &Counts, log: &Log, now_s: u64) {
    for (index, seconds) in WINDOWS.into_iter().enumerate() {
        let (tier, _) = fit(seconds).unwrap();
        let step = TIERS[tier].0;
        // The window's beginning, at the beginning of its slot.
        let begins = (now_s - seconds) / step * step;
        let found = counts.rolling(index);
        assert_eq!(
            found.whole,
            log.between(begins, now_s + 1),
            "{seconds} s at {now_s}"
        );
        let newer = log.between(begins + step, now_s + 1);
        let oldest = log.between(begins, begins + step);
        let share = 1.0 - (now_s % step) as f64 / step as f64;
        let is_near = |found: f64, newer: u64, oldest: u64| {
            let expected = newer as f64 + share * oldest as f64;
            (found - expected).abs() <= 1e-9 * expected
        };
        assert!(is_near(found.total, newer.total, oldest.total));
        assert!(is_near(found.bad, newer.bad, oldest.bad));
    }
}

/// Moves of a clock and events that come some seconds late.
fn steps() -> impl Strategy<Value = Vec<(u64, u64, u64, u64)>> {
    let gap = prop_oneof![
        8 => 0_u64..3,
        4 => 0_u64..700,
        2 => 0_u64..90_000,
        1 => 0_u64..5_000_000,
        1 => 0_u64..50_000_000,
    ];
    let late =
        prop_oneof![6 => Just(0_u64), 2 => 0_u64..20, 1 => 0_u64..4000, 1 => 0_u64..4_000_000];
    let total = prop_oneof![5 => 0_u64..50, 1 => 0_u64..200_000, 1 => 0_u64..10_000_000_000];
    prop::collection::vec((gap, late, total, 0_u64..60), 1..80)
}

proptest! {
    #[test]
    fn windows_are_what_the_log_says(steps in steps()) {
        let mut counts = Counts::new(&WINDOWS, Some((Calendar::Week, "UTC"))).unwrap();
        let mut log = Log::default();
        let mut now_s = START;
        counts.advance(now_s);
        for (gap, late, total, bad) in steps {
            now_s += gap;
            counts.advance(now_s);
            let count = Count::new(total, bad);
            let at_s = now_s.saturating_sub(late).max(START);
            counts.record(at_s, count);
            log.0.push((at_s, count));
            assert_windows(&counts, &log, now_s);
            let (begins_s, sum) = counts.period().unwrap();
            prop_assert_eq!((begins_s - START) % (7 * 86_400), 0);
            prop_assert_eq!(sum, log.between(begins_s, now_s + 1));
        }
        let mut back = Counts::new(&WINDOWS, Some((Calendar::Week, "UTC"))).unwrap();
        back.decode(&counts.encode()).unwrap();
        assert_windows(&back, &log, now_s);
        prop_assert_eq!(back.period(), counts.period());
        prop_assert_eq!(back.encode(), counts.encode());
    }

    #[test]
    fn damaged_counts_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0_usize..400, flip in any::<u8>()) {
        // What is said to be counts, and what is almost.
        let _ = Rings::decode(&bytes);
        let mut rings = Rings::default();
        for second in 0..300 {
            rings.record(START + second * 7, Count::new(second, second / 9));
        }
        let mut near = rings.encode();
        let at = at % near.len();
        near[at] ^= flip;
        if let Ok(read) = Rings::decode(&near) {
            prop_assert_eq!(Rings::decode(&read.encode()).unwrap().encode(), read.encode());
        }
        near.truncate(at);
        prop_assert_eq!(Rings::decode(&near).err(), Some(Malformed));
    }

    #[test]
    fn nodes_merge_in_any_order(seed in any::<u64>(), gaps in prop::collection::vec(0_u64..100_000, 3)) {
        random::seed(seed);
        let nodes: Vec<Rings> = gaps.iter().map(|gap| some_rings(START + gap)).collect();
        let [a, b, c] = &nodes[..] else { unreachable!() };
        let combined = |first: &Rings, how: fn(&mut Rings, &Rings), others: &[&Rings]| {
            let mut all = first.clone();
            others.iter().for_each(|other| how(&mut all, other));
            all.encode()
        };
        let right = |how: fn(&mut Rings, &Rings)| {
            let mut others = b.clone();
            how(&mut others, c);
            combined(a, how, &[&others])
        };
        for how in [Rings::add as fn(&mut Rings, &Rings), Rings::join] {
            prop_assert_eq!(combined(a, how, &[b, c]), combined(c, how, &[b, a]));
            prop_assert_eq!(combined(a, how, &[b, c]), right(how));
            prop_assert_eq!(combined(a, how, &[&Rings::default()]), a.encode());
            prop_assert_eq!(combined(&Rings::default(), how, &[a]), a.encode());
        }
        prop_assert_eq!(combined(a, Rings::join, &[a, a]), a.encode());
        // A later reading of the same node takes the earlier one's place.
        let mut later = a.clone();
        later.record(later.now_s() + 5, Count::new(9, 1));
        prop_assert_eq!(combined(a, Rings::join, &[&later]), later.encode());
    }
}

fn some_rings(at_s: u64) -> Rings {
    let mut rings = Rings::default();
    for second in 0..random::below(200) as u64 {
        let bad = random::below(3) as u64;
        rings.record(
            at_s + second,
            Count::new(bad + random::below(70_000) as u64, bad),
        );
    }
    rings
}

#[test]
fn windows_that_do_not_fit_are_named() {
    assert_eq!(fit(60), Ok((0, 60)));
    assert_eq!(fit(300), Ok((1, 30)));
    assert_eq!(fit(30 * 86_400), Ok((4, 720)));
    assert_eq!(fit(90 * 86_400), Ok((5, 90)));
    for seconds in [0, 305, 401 * 86_400] {
        assert!(fit(seconds).is_err(), "{seconds}");
    }
    assert!(Counts::new(&[60; WINDOWS_MAX + 1], None).is_err());
    assert!(Counts::new(&[], Some((Calendar::Day, "Atlantis/Capital"))).is_err());
}

#[test]
fn calendar_windows_begin_where_people_expect() {
    // 2026-03-29 02:00 in Berlin is when its summer time begins; 01:30 UTC is 03:30 there.
    let now_s = 1_774_747_800;
    for (calendar, zone, begins) in [
        (Calendar::Day, "Europe/Berlin", 1_774_738_800),
        (Calendar::Week, "Europe/Berlin", 1_774_220_400),
        (Calendar::Month, "Europe/Berlin", 1_772_319_600),
        (Calendar::Quarter, "Europe/Berlin", 1_767_222_000),
        (Calendar::Year, "UTC", 1_767_225_600),
        (Calendar::Day, "Asia/Kolkata", 1_774_722_600),
    ] {
        let mut counts = Counts::new(&[], Some((calendar, zone))).unwrap();
        counts.record(begins - 1, Count::new(1, 1));
        counts.record(begins, Count::new(5, 2));
        counts.record(now_s, Count::new(7, 0));
        assert_eq!(
            counts.period(),
            Some((begins, Count::new(12, 2))),
            "{calendar:?} {zone}"
        );
        let mut back = Counts::new(&[], Some((calendar, zone))).unwrap();
        back.decode(&counts.encode()).unwrap();
        assert_eq!(back.period(), counts.period());
        // Summer time makes that day 23 hours long.
        if (calendar, zone) == (Calendar::Day, "Europe/Berlin") {
            counts.advance(begins + 23 * 3600);
            assert_eq!(
                counts.period(),
                Some((begins + 23 * 3600, Count::default()))
            );
        }
    }
}

#[test]
fn a_monitor_goes_on_after_a_restart() {
    let objective = Objective::new("orders", 0.999, Span::Rolling(30 * 86_400));
    let mut first = Monitor::new(&objective).unwrap();
    let mut changes = Vec::new();
    for second in 0..600 {
        first.record(
            START + second,
            Count::new(100, if second < 300 { 0 } else { 50 }),
        );
        changes.extend(first.evaluate(START + second + 1));
    }
    assert_eq!(changes[0], Change::Suspicion(Turn::Opened));
    assert!(first.alerts().page, "{changes:?}");
    let saved = serde_json::to_string(&first.save()).unwrap();
    let mut second = Monitor::new(&objective).unwrap();
    second
        .restore(&serde_json::from_str(&saved).unwrap())
        .unwrap();
    assert_eq!(second.save().counts, first.save().counts);
    assert_eq!(second.alerts(), first.alerts());
    assert_eq!(second.suspicion().since_s(), first.suspicion().since_s());
    assert_eq!(second.budget(), first.budget());
    assert_eq!(second.budget().count, Count::new(60_000, 15_000));
    for later in 600..660 {
        first.record(START + later, Count::new(100, 0));
        second.record(START + later, Count::new(100, 0));
        assert_eq!(
            first.evaluate(START + later + 1),
            second.evaluate(START + later + 1)
        );
    }
    let broken = Saved {
        counts: vec![9, 9],
        ..first.save()
    };
    assert_eq!(second.restore(&broken), Err(Malformed));
    assert_eq!(second.budget(), first.budget());
}

#[test]
fn objectives_that_cannot_be_held_are_refused() {
    let good = Objective::new("orders", 0.999, Span::Rolling(30 * 86_400));
    assert_eq!(good.check(), Ok(()));
    let bad = |change: &dyn Fn(&mut Objective)| {
        let mut objective = good.clone();
        change(&mut objective);
        assert!(Monitor::new(&objective).is_err(), "{objective:?}");
    };
    bad(&|objective| objective.target = 1.0);
    bad(&|objective| objective.target = f64::NAN);
    bad(&|objective| objective.span = Span::Rolling(500 * 86_400));
    bad(&|objective| objective.policy.pairs[0].short_s = 3600);
    bad(&|objective| objective.policy.pairs[0].budget = f64::NAN);
    bad(&|objective| objective.policy.pairs = vec![objective.policy.pairs[0]; PAIRS_MAX + 1]);
    bad(&|objective| objective.policy.deviations = f64::INFINITY);
}

#[test]
fn nothing_promised_to_nobody_is_not_perfect() {
    let monitor = Monitor::new(&Objective::new("quiet", 0.99, Span::Rolling(86_400))).unwrap();
    assert_eq!(monitor.budget().left, None);
    assert_eq!(monitor.budget().burn, None);
}

#[test]
fn hours_are_whole_and_begin_with_the_first_event() {
    let mut rings = Rings::default();
    assert_eq!(rings.hours(), []);
    let hour = |number: u64| 500_000 + number;
    for (number, total) in [(0, 5), (1, 7), (3, 9), (4, 1)] {
        rings.record(hour(number) * 3600 + 1800, Count::new(total, 1));
    }
    let found = rings.hours();
    let at = |number: u64, total: u64| (hour(number) * 3600, Count::new(total, total.min(1)));
    // The fifth hour goes on.
    assert_eq!(found, [at(0, 5), at(1, 7), at(2, 0), at(3, 9)]);
}
