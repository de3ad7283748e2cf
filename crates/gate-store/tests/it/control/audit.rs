//! The audit log: a change of any line shows, and so does one that is gone.

use super::line;
use crate::support::Place;
use gate_store::ControlStore;
use gate_store::control::AuditBreak;

fn written(place: &Place, lines: u64) -> Box<dyn ControlStore> {
    let mut store = place.control();
    for number in 1..=lines {
        let written = store.audit(&line("ada", "sign-in"), 1_000).unwrap();
        assert_eq!(written, number);
    }
    store
}

#[test]
fn an_untouched_log_is_whole() {
    for place in Place::all() {
        let mut store = written(&place, 0);
        assert_eq!(store.verify_audit().unwrap().lines, 0);
        // More than the walk reads at once.
        let mut store = written(&place, 1_001);
        let check = store.verify_audit().unwrap();
        assert_eq!((check.lines, check.broken), (1_001, None));
        let page = store.audit_lines(None, 10).unwrap();
        assert_eq!((page[0].sequence, page[9].sequence), (1_001, 992));
        assert_eq!(page[0].hash, check.head);
        let next = store.audit_lines(Some(992), 10).unwrap();
        assert_eq!(next[0].sequence, 991);
    }
}

/// What is done to the log behind its back, and where it shows.
const TAMPERING: &[(&str, u64)] = &[
    ("UPDATE audit SET actor = 'eve' WHERE sequence = 3", 3),
    ("UPDATE audit SET detail = 'x' WHERE sequence = 5", 5),
    ("UPDATE audit SET at_ms = 1 WHERE sequence = 2", 2),
    (
        "UPDATE audit SET actor = '', role = 'adaadmin' WHERE sequence = 4",
        4,
    ),
    ("DELETE FROM audit WHERE sequence = 3", 3),
    ("DELETE FROM audit WHERE sequence = 1", 1),
    ("DELETE FROM audit WHERE sequence = 5", 5),
    ("DELETE FROM audit", 1),
    (
        "UPDATE audit SET sequence = 99 WHERE sequence = 2;
         UPDATE audit SET sequence = 2 WHERE sequence = 3;
         UPDATE audit SET sequence = 3 WHERE sequence = 99",
        2,
    ),
    (
        "DELETE FROM audit WHERE sequence = 2;
         UPDATE audit SET sequence = 2 WHERE sequence = 3",
        2,
    ),
    (
        "INSERT INTO audit (sequence, at_ms, actor, role, action, subject, outcome, detail,
         previous_hash, hash) SELECT 6, at_ms, actor, role, action, subject, outcome, detail,
         hash, previous_hash FROM audit WHERE sequence = 5",
        6,
    ),
    ("UPDATE head SET number = 4 WHERE name = 'audit'", 5),
    ("UPDATE head SET hash = 'other' WHERE name = 'audit'", 5),
];

#[test]
fn tampering_shows_where_it_was_done() {
    for (sql, place_of_it) in TAMPERING {
        for place in Place::all() {
            let mut store = written(&place, 5);
            place.script(sql).unwrap();
            let broken = store.verify_audit().unwrap().broken;
            let found = matches!(&broken, Some(AuditBreak { sequence, .. })
                if sequence == place_of_it);
            assert!(found, "{sql}: {broken:?}");
        }
    }
}

#[test]
fn hostile_words_are_kept_as_far_as_they_can_be() {
    for place in Place::all() {
        let mut store = place.control();
        let long = "ü".repeat(100_000);
        let mut hostile = line("a\0b'; DROP TABLE audit; --", "x");
        hostile.detail = &long;
        store.audit(&hostile, 1).unwrap();
        let kept = &store.audit_lines(None, 1).unwrap()[0];
        assert_eq!(kept.actor, "a\u{fffd}b'; DROP TABLE audit; --");
        assert_eq!(kept.detail.len(), 64 << 10);
        assert_eq!(store.verify_audit().unwrap().broken, None);
    }
}

#[test]
fn the_log_may_be_walked_while_it_is_written() {
    for place in Place::all() {
        let mut reader = written(&place, 600);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut store = place.control();
                for _ in 0..300 {
                    store.audit(&line("bob", "sign-in"), 2_000).unwrap();
                }
            });
            for _ in 0..20 {
                assert_eq!(reader.verify_audit().unwrap().broken, None);
            }
        });
        assert_eq!(reader.verify_audit().unwrap().lines, 900);
    }
}

#[test]
fn lines_of_one_action_are_found_behind_a_line() {
    for place in Place::all() {
        let mut store = place.control();
        for round in 0..1_200_u32 {
            let action = if round % 2 == 0 { "forget" } else { "apply" };
            store.audit(&line("ada", action), 1_000).unwrap();
        }
        let (newest, lines) = store.audit_of("forget", 1).unwrap();
        assert_eq!((newest, lines.len()), (1_200, 599));
        assert_eq!((lines[0].sequence, lines[598].sequence), (3, 1_199));
        assert!(lines.iter().all(|line| line.action == "forget"));
        assert_eq!(store.audit_of("forget", 1_200).unwrap(), (1_200, vec![]));
        assert_eq!(store.audit_of("none", 0).unwrap(), (1_200, vec![]));
    }
}
