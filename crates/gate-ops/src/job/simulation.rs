//! Boards under load, with seeds: shares, kills, and what is remembered.

use super::pace::{Pacing, Seen};
use super::tests::{fresh, spec};
use super::*;
use gate_kit::random;
use std::collections::{BTreeMap, BTreeSet};

fn queue(most: u32, weights: &[(&str, f64)]) -> Queue {
    Queue {
        most,
        weights: weights
            .iter()
            .map(|(team, weight)| ((*team).to_owned(), *weight))
            .collect(),
        pacing: Pacing {
            first: f64::from(most),
            most: f64::from(most),
            reserve: 0.0,
        },
        ..Queue::default()
    }
}

/// Teams with weights 5, 3 and 2, whose items take different times, share a queue: the time that is
/// spent for each is within 5 % of its weight.
#[test]
fn shares_are_within_5_percent_of_weights() {
    for seed in 0..5 {
        random::seed(seed);
        let weights = [("a", 5.0), ("b", 3.0), ("c", 2.0)];
        let lengths = [("a", 200), ("b", 900), ("c", 90)];
        let lengths: BTreeMap<&str, usize> = lengths.into();
        let mut board = Board::default();
        board.set_queues(BTreeMap::from([("q".to_owned(), queue(20, &weights))]));
        for (number, (team, _)) in weights.iter().enumerate() {
            for part in 0..3 {
                let mut job = spec(&format!("{team}{part}"), ITEMS_MAX);
                job.team = (*team).to_owned();
                job.number = number as u64 * 10 + part;
                board.add(fresh(job), 0);
            }
        }
        let mut ends: BTreeSet<(u64, String, u32)> = BTreeSet::new();
        let mut spent: BTreeMap<String, u64> = BTreeMap::new();
        let mut now = 0;
        while now < 500_000 {
            board.look(|_| Seen::default(), now);
            for start in board.next(usize::MAX, now) {
                let mean = lengths[&start.job[..1]];
                let takes = (mean / 2 + random::below(mean)) as u64;
                ends.insert((now + takes, start.job.clone(), start.index));
                // What is spent before the end of the first minutes is not yet fair.
                if now > 50_000 {
                    *spent.entry(start.job[..1].to_owned()).or_default() += takes;
                }
            }
            let (at, job, index) = ends.pop_first().expect("items are under way");
            now = at;
            board.ended(&job, index, &Outcome::Succeeded, now);
            // What is told is taken, as whoever stores it does.
            board.take_changes();
        }
        let all: u64 = spent.values().sum();
        for (team, weight) in weights {
            let share = spent[team] as f64 / all as f64;
            let wanted = weight / 10.0;
            assert!(
                (share / wanted - 1.0).abs() < 0.05,
                "seed {seed}: {team} has {share}"
            );
        }
    }
}

/// A team that comes at any time after another gets its share from then on, within 5 %: whatever the board
/// knew of how long items take, on a machine that takes longer for items that start together, and that writes
/// down late what was answered.
#[test]
fn a_team_that_comes_gets_its_share_at_once() {
    for seed in 0..24 {
        random::seed(seed);
        let comes = [0, 1, 30, 60, 200, 900, 2_500, 7_000][random::below(8)];
        let takes = [3, 30, 400][random::below(3)];
        let mut board = Board::default();
        let queues = [("q".to_owned(), queue(16, &[("one", 3.0), ("two", 1.0)]))];
        board.set_queues(BTreeMap::from(queues));
        let mut calls: BTreeSet<(u64, String, u32, u64)> = BTreeSet::new();
        let mut written: BTreeSet<(u64, String, u32)> = BTreeSet::new();
        let mut spent: BTreeMap<String, u64> = BTreeMap::new();
        let (until, mut now) = (comes + 400 * takes, 0_u64);
        while now < until {
            for (at, team) in [(0, "one"), (comes, "two")] {
                if at <= now && board.job(team).is_none() {
                    let mut job = spec(team, ITEMS_MAX);
                    job.team = team.to_owned();
                    board.add(fresh(job), now);
                }
            }
            while let Some((at, job, index, began)) = calls.pop_first() {
                if at > now {
                    calls.insert((at, job, index, began));
                    break;
                }
                board.answered(&job, index, at - began);
                if now >= comes + 10 * takes {
                    *spent.entry(job.clone()).or_default() += at - began;
                }
                written.insert((now + random::below(40) as u64, job, index));
            }
            while let Some((at, job, index)) = written.pop_first() {
                if at > now {
                    written.insert((at, job, index));
                    break;
                }
                board.ended(&job, index, &Outcome::Succeeded, now);
            }
            board.look(|_| Seen::default(), now);
            let starts = board.next(usize::MAX, now);
            for (place, start) in starts.into_iter().enumerate() {
                let late = random::below(place + 1) as u64;
                let takes = takes + random::below(takes as usize / 3 + 1) as u64 + late;
                calls.insert((now + takes, start.job, start.index, now));
            }
            board.take_changes();
            now += 1 + random::below(4) as u64;
        }
        let two = spent["two"] as f64 / spent.values().sum::<u64>() as f64;
        assert!(
            (two / 0.25 - 1.0).abs() < 0.05,
            "seed {seed}: of {takes} ms, {comes} ms later: {two}"
        );
    }
}

/// A team that comes back gets its share from then on, not what it did not use before.
#[test]
fn nobody_saves_up() {
    let mut board = Board::default();
    board.set_queues(BTreeMap::from([("q".to_owned(), queue(10, &[]))]));
    let mut early = spec("early", 100_000);
    early.team = "early".into();
    board.add(fresh(early), 0);
    let mut now = 0;
    let step = |board: &mut Board, now: &mut u64| {
        board.look(|_| Seen::default(), *now);
        let starts = board.next(usize::MAX, *now);
        *now += 100;
        for start in &starts {
            board.ended(&start.job, start.index, &Outcome::Succeeded, *now);
        }
        let early = starts.iter().filter(|start| start.job == "early").count();
        (early, starts.len() - early)
    };
    for _ in 0..1_000 {
        step(&mut board, &mut now);
    }
    let mut late = spec("late", 100_000);
    late.team = "late".into();
    board.add(fresh(late), now);
    let mut sums = (0, 0);
    for _ in 0..100 {
        let (early, late) = step(&mut board, &mut now);
        sums = (sums.0 + early, sums.1 + late);
    }
    assert!((450..=550).contains(&sums.0), "{sums:?}");
    assert!((450..=550).contains(&sums.1), "{sums:?}");
}

/// What a store remembers of a job, as the real one does.
#[derive(Default)]
struct Stored {
    progress: Progress,
    started: Bits,
    ended: Bits,
    repeats: Vec<(u32, u32)>,
    retries: Vec<(u32, u32)>,
}

/// Kills at every kind of moment: every item ends once, each that was called twice was written down as
/// repeated, and nothing else was.
#[test]
fn kills_repeat_only_what_was_under_way() {
    for seed in 0..200 {
        random::seed(seed);
        let count = 300;
        let mut stored = Stored::default();
        let mut calls: BTreeMap<u32, u32> = BTreeMap::new();
        let mut ends: BTreeMap<u32, u32> = BTreeMap::new();
        let mut kills = 0;
        let mut now = 0;
        'lives: loop {
            let mut board = Board::default();
            board.set_queues(BTreeMap::from([("q".to_owned(), queue(16, &[]))]));
            let open =
                (0..count).filter(|item| stored.started.has(*item) && !stored.ended.has(*item));
            let loaded = Loaded {
                progress: stored.progress.clone(),
                open: open.collect(),
                started: stored.started.clone(),
                ..fresh(spec("a", count))
            };
            board.add(loaded, now);
            let mut under_way: Vec<u32> = Vec::new();
            loop {
                now += 10;
                board.look(|_| Seen::default(), now);
                let starts = board.next(8, now);
                for change in board.take_changes() {
                    save(&mut stored, &mut ends, change);
                }
                if kills < 20 && random::below(12) == 0 {
                    kills += 1;
                    continue 'lives;
                }
                for start in starts {
                    *calls.entry(start.index).or_default() += 1;
                    under_way.push(start.index);
                }
                for _ in 0..random::below(8) {
                    if under_way.is_empty() {
                        break;
                    }
                    let index = under_way.swap_remove(random::below(under_way.len()));
                    let outcome = match random::below(20) {
                        0 => Outcome::Failed {
                            reason: "overloaded".into(),
                            may_pass: true,
                            wait_ms: None,
                        },
                        _ => Outcome::Succeeded,
                    };
                    board.ended("a", index, &outcome, now);
                }
                if kills < 20 && random::below(12) == 0 {
                    kills += 1;
                    continue 'lives;
                }
                if board.ids().next().is_none() {
                    break 'lives;
                }
            }
        }
        assert_eq!(ends.len(), count as usize, "seed {seed}");
        assert!(ends.values().all(|times| *times == 1), "seed {seed}");
        let progress = &stored.progress;
        assert_eq!(progress.ended(), count, "seed {seed}");
        assert_eq!(
            progress.repeats as usize,
            stored.repeats.len(),
            "seed {seed}"
        );
        for (index, calls) in calls {
            let again = stored.repeats.iter().chain(&stored.retries);
            let again = again.filter(|(repeated, _)| *repeated == index).count();
            let calls = calls as usize;
            assert!(
                calls <= 1 + again,
                "seed {seed}: {index} has {calls} calls, {again} written"
            );
        }
        assert!(kills > 5, "seed {seed}: {kills} kills");
    }
}

fn save(stored: &mut Stored, ends: &mut BTreeMap<u32, u32>, change: Change) {
    stored.progress = change.progress;
    for index in change.started {
        assert!(stored.started.set(index), "{index} starts once");
    }
    for (index, _) in change.ended {
        assert!(stored.ended.set(index), "{index} ends once");
        *ends.entry(index).or_default() += 1;
    }
    for note in change.notes {
        let place = (note.index, note.attempt);
        match note.kind {
            NoteKind::Repeat => stored.repeats.push(place),
            NoteKind::Retry => stored.retries.push(place),
            NoteKind::Failure => {}
        }
    }
}
