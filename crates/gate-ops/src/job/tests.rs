//! What single jobs do, step by step.

use super::*;
use crate::job::pace::{Pacing, Seen};
use crate::job::words::Awaits;
use std::collections::BTreeMap;

pub(super) fn spec(id: &str, count: u32) -> Spec {
    Spec {
        id: id.into(),
        number: 1,
        queue: "q".into(),
        team: "t".into(),
        priority: 0,
        count,
        after: Vec::new(),
        sequential: false,
        retry: Retry::default(),
        timeout_ms: 1_000,
        most: 0,
        failures: 0,
        lane: String::new(),
        submitted_ms: 0,
        until_ms: None,
    }
}

fn after(job: &str, link: Link) -> After {
    After {
        job: job.into(),
        link,
    }
}

pub(super) fn fresh(spec: Spec) -> Loaded {
    Loaded {
        spec,
        progress: Progress::default(),
        open: Vec::new(),
        started: Bits::default(),
        parents: Vec::new(),
    }
}

/// A board whose lane lets `most` items run.
fn board(most: u32) -> Board {
    let mut board = Board::default();
    let pacing = Pacing {
        first: f64::from(most),
        most: f64::from(most),
        reserve: 0.0,
    };
    let queue = Queue {
        most,
        pacing,
        ..Queue::default()
    };
    board.set_queues(BTreeMap::from([("q".to_owned(), queue)]));
    board
}

fn next(board: &mut Board, now_ms: u64) -> Vec<(String, u32, u32)> {
    board.look(|_| Seen::default(), now_ms);
    let starts = board.next(usize::MAX, now_ms).into_iter();
    starts.map(|it| (it.job, it.index, it.attempt)).collect()
}

fn well(board: &mut Board, job: &str, index: u32, now_ms: u64) {
    board.ended(job, index, &Outcome::Succeeded, now_ms);
}

fn badly(board: &mut Board, job: &str, index: u32, reason: &str, now_ms: u64) {
    let outcome = Outcome::Failed {
        reason: reason.into(),
        may_pass: reason == "overloaded",
        wait_ms: None,
    };
    board.ended(job, index, &outcome, now_ms);
}

fn state(board: &mut Board, id: &str) -> State {
    match board.job(id) {
        Some((_, progress)) => progress.state,
        None => panic!("{id} is not on the board"),
    }
}

fn at(job: &str, index: u32, attempt: u32) -> (String, u32, u32) {
    (job.to_owned(), index, attempt)
}

#[test]
fn a_failure_that_may_pass_is_tried_again_after_a_pause() {
    let mut board = board(8);
    board.add(fresh(spec("a", 2)), 0);
    assert_eq!(next(&mut board, 0), [at("a", 0, 0), at("a", 1, 0)]);
    badly(&mut board, "a", 0, "overloaded", 100);
    badly(&mut board, "a", 1, "status_400", 100);
    assert_eq!(next(&mut board, 1_099), []);
    assert_eq!(board.next_due_ms(), Some(1_100));
    assert_eq!(next(&mut board, 1_100), [at("a", 0, 1)]);
    badly(&mut board, "a", 0, "overloaded", 1_100);
    // Twice the pause; then its tries are used up.
    assert_eq!(next(&mut board, 3_099), []);
    assert_eq!(next(&mut board, 3_100), [at("a", 0, 2)]);
    badly(&mut board, "a", 0, "overloaded", 3_200);
    let changes = board.take_changes();
    let change = changes.last().expect("it changed");
    assert_eq!(change.progress.state, State::Failed);
    assert_eq!(change.progress.failed, 2);
    assert_eq!(change.progress.retries, 2);
    let kinds: Vec<_> = change
        .notes
        .iter()
        .map(|note| (note.index, note.attempt, note.kind))
        .collect();
    let expected = [
        (0, 0, NoteKind::Retry),
        (1, 0, NoteKind::Failure),
        (0, 1, NoteKind::Retry),
        (0, 2, NoteKind::Failure),
    ];
    assert_eq!(kinds, expected);
    assert!(board.job("a").is_none(), "it left the board");
}

#[test]
fn what_there_was_no_room_for_uses_up_no_try() {
    let mut board = board(8);
    board.add(fresh(spec("a", 1)), 0);
    let mut now = 0;
    let refused = Outcome::Refused {
        wait_ms: 50,
        awaits: None,
    };
    for _ in 0..20 {
        assert_eq!(next(&mut board, now), [at("a", 0, 0)]);
        board.ended("a", 0, &refused, now);
        assert_eq!(next(&mut board, now), []);
        now += 50;
    }
    assert_eq!(next(&mut board, now), [at("a", 0, 0)]);
    well(&mut board, "a", 0, now);
    assert_eq!(state(&mut board, "a"), State::Succeeded);
}

#[test]
fn a_job_waits_for_all_of_others_and_fails_with_them() {
    let mut board = board(8);
    board.add(fresh(spec("a", 1)), 0);
    board.add(fresh(spec("b", 1)), 0);
    let mut child = spec("c", 1);
    child.after = vec![after("a", Link::Whole), after("b", Link::Whole)];
    board.add(fresh(child.clone()), 0);
    let mut grandchild = spec("d", 1);
    grandchild.after = vec![after("c", Link::Whole)];
    board.add(fresh(grandchild), 0);
    assert_eq!(next(&mut board, 0), [at("a", 0, 0), at("b", 0, 0)]);
    well(&mut board, "a", 0, 1);
    assert_eq!(next(&mut board, 1), []);
    assert_eq!(state(&mut board, "c"), State::Waiting);
    badly(&mut board, "b", 0, "status_400", 2);
    assert_eq!(state(&mut board, "c"), State::Failed);
    assert_eq!(state(&mut board, "d"), State::Failed);
    let changes = board.take_changes();
    let reason = |id: &str| {
        let change = changes.iter().find(|change| change.job == id);
        change.map(|change| change.progress.reason.clone())
    };
    assert_eq!(
        reason("c").as_deref(),
        Some("`b`, which it depends on, failed")
    );
    assert_eq!(
        reason("d").as_deref(),
        Some("`c`, which it depends on, failed")
    );
}

#[test]
fn item_waits_for_item() {
    let mut board = board(8);
    board.add(fresh(spec("a", 3)), 0);
    let mut child = spec("b", 3);
    child.after = vec![after("a", Link::Each)];
    board.add(fresh(child.clone()), 0);
    assert_eq!(next(&mut board, 0).len(), 3);
    well(&mut board, "a", 2, 1);
    assert_eq!(next(&mut board, 1), [at("b", 2, 0)]);
    badly(&mut board, "a", 0, "status_400", 2);
    assert_eq!(next(&mut board, 2), []);
    well(&mut board, "a", 1, 3);
    assert_eq!(next(&mut board, 3), [at("b", 1, 0)]);
    // Taken up by another, with what is known of its parent: item 1 is called again, item 2 as well.
    let changes = board.take_changes();
    let stored = changes
        .iter()
        .find(|change| change.job == "b")
        .expect("it changed");
    assert_eq!(stored.ended, [(0, false)]);
    let (mut started, mut good, mut bad) = (Bits::default(), Bits::default(), Bits::default());
    stored
        .started
        .iter()
        .for_each(|index| assert!(started.set(*index)));
    good.set(1);
    good.set(2);
    bad.set(0);
    let mut other = self::board(8);
    other.add(
        Loaded {
            progress: stored.progress.clone(),
            open: vec![1, 2],
            started,
            parents: vec![(State::Failed, good, bad)],
            spec: child,
        },
        10,
    );
    assert_eq!(next(&mut other, 10), [at("b", 1, 0), at("b", 2, 0)]);
    well(&mut other, "b", 1, 11);
    well(&mut other, "b", 2, 11);
    let changes = other.take_changes();
    let last = changes.last().expect("it changed");
    assert_eq!(last.progress.state, State::Failed);
    assert_eq!(
        (
            last.progress.succeeded,
            last.progress.failed,
            last.progress.repeats
        ),
        (2, 1, 2)
    );
}

#[test]
fn one_after_the_other_stops_at_a_failure() {
    let mut board = board(8);
    let mut job = spec("a", 3);
    job.sequential = true;
    board.add(fresh(job), 0);
    assert_eq!(next(&mut board, 0), [at("a", 0, 0)]);
    well(&mut board, "a", 0, 1);
    assert_eq!(next(&mut board, 1), [at("a", 1, 0)]);
    badly(&mut board, "a", 1, "overloaded", 2);
    assert_eq!(next(&mut board, 3), [], "item 2 waits for item 1");
    assert_eq!(next(&mut board, 1_002), [at("a", 1, 1)]);
    badly(&mut board, "a", 1, "status_400", 1_003);
    assert_eq!(state(&mut board, "a"), State::Failed);
}

#[test]
fn pausing_cancelling_and_running_out_of_time_let_items_end() {
    let mut board = board(1);
    let mut late = spec("late", 4);
    late.until_ms = Some(1_000);
    for job in [spec("paused", 4), late] {
        board.add(fresh(job), 0);
    }
    board.wish("paused", Wish::Pause, 0);
    assert_eq!(next(&mut board, 0), [at("late", 0, 0)]);
    assert_eq!(next(&mut board, 1_000), []);
    assert_eq!(state(&mut board, "late"), State::Cancelling);
    well(&mut board, "late", 0, 1_001);
    assert_eq!(state(&mut board, "late"), State::Expired);
    board.wish("paused", Wish::Resume, 1_001);
    assert_eq!(next(&mut board, 1_001), [at("paused", 0, 0)]);
    board.wish("paused", Wish::Cancel, 1_002);
    assert_eq!(state(&mut board, "paused"), State::Cancelling);
    badly(&mut board, "paused", 0, "overloaded", 1_003);
    assert_eq!(state(&mut board, "paused"), State::Cancelled);
    assert!(!board.wish("nobody", Wish::Cancel, 0));
}

#[test]
fn queues_and_jobs_go_by_priority() {
    let mut board = board(1);
    let mut urgent = spec("urgent", 1);
    urgent.priority = 5;
    urgent.number = 9;
    board.add(fresh(spec("plain", 1)), 0);
    board.add(fresh(urgent), 0);
    assert_eq!(next(&mut board, 0), [at("urgent", 0, 0)]);
    let (mut fast, mut slow) = (spec("a", 1), spec("b", 1));
    (fast.queue, slow.queue) = ("fast".into(), "slow".into());
    let mut board = Board::default();
    let queue = Queue {
        priority: 1,
        ..Queue::default()
    };
    board.set_queues(BTreeMap::from([("fast".to_owned(), queue)]));
    board.add(fresh(slow), 0);
    board.add(fresh(fast), 0);
    board.look(|_| Seen::default(), 0);
    let starts = board.next(1, 0);
    assert_eq!(starts[0].job, "a");
}

#[test]
fn what_cannot_be_run_is_refused() {
    let refused = |change: &dyn Fn(&mut Spec), templated: bool, parents: &[Option<u32>]| {
        let mut spec = spec("a", 2);
        change(&mut spec);
        spec.check(templated, parents).map_err(|problem| problem.0)
    };
    assert_eq!(refused(&|_| {}, true, &[]), Ok(()));
    assert_eq!(refused(&|spec| spec.count = ITEMS_MAX, false, &[]), Ok(()));
    let wrong: [(&dyn Fn(&mut Spec), bool, &[Option<u32>]); 7] = [
        (&|spec| spec.count = 0, true, &[]),
        (&|spec| spec.count = TEMPLATED_MAX + 1, true, &[]),
        (&|spec| spec.count = ITEMS_MAX + 1, false, &[]),
        (&|spec| spec.retry.attempts = 11, true, &[]),
        (
            &|spec| spec.after = vec![after("b", Link::Whole); PARENTS_MAX + 1],
            true,
            &[],
        ),
        (
            &|spec| spec.after = vec![after("b", Link::Whole)],
            true,
            &[None],
        ),
        (
            &|spec| spec.after = vec![after("b", Link::Each)],
            true,
            &[Some(3)],
        ),
    ];
    for (at, (change, templated, parents)) in wrong.iter().enumerate() {
        assert!(refused(change, *templated, parents).is_err(), "case {at}");
    }
}

/// When a job of 600 items, of which one a second ends until it stalls, is likely to end.
#[test]
fn the_end_is_estimated_from_what_ended_last() {
    let mut board = board(1);
    board.add(fresh(spec("a", 600)), 0);
    let estimate = |board: &mut Board| board.job("a").unwrap().1.estimate_ms;
    for second in 0..100 {
        let now_ms = second * 1_000;
        let started = next(&mut board, now_ms);
        assert_eq!(started.len(), 1);
        if second == 0 {
            assert_eq!(estimate(&mut board), None, "nothing has ended yet");
        }
        well(&mut board, "a", started[0].1, now_ms + 999);
    }
    next(&mut board, 100_000);
    assert_eq!(estimate(&mut board), Some(600_000));
    // Nothing ends any more: the end is always ahead, and further the longer nothing ends.
    let mut before = 600_000;
    for second in 101..2_000 {
        next(&mut board, second * 1_000);
        let likely = estimate(&mut board).expect("something has ended");
        assert!(
            likely > second * 1_000 && likely >= before,
            "{second}: {likely}"
        );
        before = likely;
    }
    assert!(before > 10_000_000, "{before}");
    // It is fast again, and so is the estimate a minute later.
    for second in 2_000..2_100 {
        let now_ms = second * 1_000;
        let open = match next(&mut board, now_ms).first() {
            Some((_, index, _)) => *index,
            None => 100,
        };
        well(&mut board, "a", open, now_ms + 999);
    }
    next(&mut board, 2_100_000);
    assert_eq!(estimate(&mut board), Some(2_500_000));
    board.wish("a", Wish::Pause, 2_100_000);
    assert_eq!(estimate(&mut board), None, "what is paused ends some day");
}

#[test]
fn what_refused_items_wait_for_is_known_until_one_is_answered() {
    let mut board = board(8);
    board.add(fresh(spec("a", 2)), 0);
    assert_eq!(next(&mut board, 0).len(), 2);
    let awaits = Awaits {
        reason: "budget_exceeded: budget `b`".into(),
        until_ms: Some(9_000),
    };
    let known = |board: &Board| {
        board
            .job("a")
            .and_then(|(_, progress)| progress.awaits.clone())
    };
    let refused = |awaits| Outcome::Refused {
        wait_ms: 50,
        awaits,
    };
    board.ended("a", 0, &refused(Some(awaits.clone())), 0);
    // What passes in a moment says nothing against it.
    board.ended("a", 1, &refused(None), 0);
    assert_eq!(known(&board), Some(awaits));
    assert_eq!(next(&mut board, 50).len(), 2);
    board.ended("a", 1, &Outcome::Succeeded, 60);
    assert_eq!(known(&board), None);
}
