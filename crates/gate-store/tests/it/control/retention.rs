//! Retention: what is old goes, what is in use stays, and what is left is whole.

use super::crash::{PLACE, SEED, kill, rounds, start};
use super::{apply, change, create, fleet, line, revision, states};
use crate::support::Place;
use gate_kit::clock::Clock;
use gate_kit::random;
use gate_store::ControlStore;
use gate_store::control::{
    Cursor, EvidenceRow, Expected, Keep, NewRollout, Pruned, Retention, RevisionQuery, Set, Slice,
    Target,
};

/// Everything else in these tests is written at 1,000 or before.
const NOW_MS: i64 = 10_000;

/// Keeps so many of the newest of each kind, and what is younger than five seconds.
fn newest(newest: u64) -> Retention {
    kept(newest, 5_000)
}

fn kept(newest: u64, age_ms: i64) -> Retention {
    let keep = Keep { newest, age_ms };
    Retention {
        revisions: keep,
        audit: keep,
        states: keep,
        rollouts: keep,
        instances_ms: age_ms,
    }
}

/// Takes slices away until there is nothing left to look at; what went in all of them.
fn sweep(store: &mut dyn ControlStore, retention: &Retention, most: usize) -> Pruned {
    sweep_at(store, retention, most, NOW_MS)
}

fn sweep_at(
    store: &mut dyn ControlStore,
    retention: &Retention,
    most: usize,
    now_ms: i64,
) -> Pruned {
    let (mut all, mut at) = (Pruned::default(), Cursor::default());
    for _ in 0..10_000 {
        let pruned = store.prune(&Slice {
            retention,
            at: &at,
            most,
            actor: "instance/a",
            now_ms,
        });
        let pruned = pruned.unwrap();
        let lines = (most * 10) as u64;
        assert!(pruned.revisions <= most as u64 && pruned.audit <= lines);
        all.revisions += pruned.revisions;
        all.documents += pruned.documents;
        all.history += pruned.history;
        all.audit += pruned.audit;
        all.states += pruned.states;
        all.rollouts += pruned.rollouts;
        all.instances += pruned.instances;
        all.audit_broken = all.audit_broken.or(pruned.audit_broken);
        match pruned.next {
            Some(next) => at = next,
            None => return all,
        }
    }
    panic!("it never ended: {all:?}");
}

/// The numbers of the revisions that there are, the oldest first.
fn revisions(store: &mut dyn ControlStore) -> Vec<u64> {
    let query = RevisionQuery {
        limit: 1_000,
        ..RevisionQuery::default()
    };
    let rows = store.revisions(&query).unwrap();
    rows.iter().rev().map(|row| row.number).collect()
}

/// Every revision has its documents, and there are no others.
fn check_documents(store: &mut dyn ControlStore, place: &Place) {
    for number in revisions(store) {
        let revision = store.revision(number).unwrap().unwrap();
        assert!(store.document(&revision.digest).unwrap().is_some());
        assert!(store.document(&revision.managers).unwrap().is_some());
    }
    let orphans = "SELECT COUNT(*) FROM document AS d WHERE NOT EXISTS (SELECT 1 FROM revision
                   WHERE digest = d.digest OR managers = d.digest)";
    assert_eq!(place.number(orphans).unwrap(), 0);
}

/// Ten revisions of `prod` and one of `test`: `prod` is confirmed at 2 and tries 3 out against 5, and
/// 4 waits to be confirmed in `test`.
fn eleven_revisions(store: &mut dyn ControlStore) {
    create(store, "prod");
    create(store, "test");
    for round in 1..=10 {
        // Documents 1 to 5, twice: the second half points to the documents of the first.
        let document = format!("{{\"n\":{}}}", (round - 1) % 5);
        apply(store, "", "prod", round, &document).unwrap();
    }
    apply(store, "", "test", 1, "{\"only\":1}").unwrap();
    let mut pointers = change("", "prod", Expected::Generation(11));
    pointers.edit.stable = Set::To(Target::Number(2));
    pointers.edit.candidate = Set::To((Target::Number(3), "r".into()));
    pointers.rollout = Some(NewRollout {
        id: "r",
        expected: 0,
        candidate: Target::Number(3),
        control: Some(5),
        state: "running",
        data: "{}",
    });
    store.change(&pointers).unwrap();
    let mut waits = change("", "test", Expected::Generation(2));
    waits.edit.revision = Set::To(Target::Number(4));
    waits.edit.confirm_until_ms = Set::To(99_999);
    store.change(&waits).unwrap();
}

#[test]
fn old_revisions_go_unless_something_points_to_them() {
    for place in Place::all() {
        let mut store = place.control();
        let store = &mut *store;
        eleven_revisions(store);
        // Too young, then too few, then one slice after the other.
        let mut young = newest(2);
        young.revisions.age_ms = 9_500;
        assert_eq!(sweep(store, &young, 3).revisions, 0);
        assert_eq!(sweep(store, &newest(10), 3).revisions, 0);
        let mut forever = kept(0, 0);
        assert_eq!(sweep(store, &forever, 3).total(), 0);
        forever.revisions = newest(2).revisions;
        let pruned = sweep(store, &forever, 3);
        // 9 and 10 are the newest of `prod`, 11 of `test`.
        assert_eq!(revisions(store), [2, 3, 4, 5, 9, 10, 11]);
        assert_eq!((pruned.revisions, pruned.documents), (4, 1));
        check_documents(store, &place);
        let left = store.history("prod", 0, 100).unwrap();
        assert_eq!((left.len(), left[0].generation), (2, 11));
        // Numbers go on, and what went is not there.
        assert_eq!(store.revision(1).unwrap(), None);
        let next = apply(store, "", "test", 3, "{}").unwrap();
        assert_eq!(next.revision.unwrap().number, 12);
        assert_eq!(store.verify_audit().unwrap().broken, None);
    }
}

#[test]
fn ended_rollouts_go_with_their_evidence() {
    for place in Place::all() {
        let mut store = place.control();
        let store = &mut *store;
        create(store, "prod");
        apply(store, "", "prod", 1, "{}").unwrap();
        for round in 0..4 {
            let id = format!("r{round}");
            let mut begun = change("", "prod", Expected::Generation(2 + 2 * round));
            begun.revision = Some(revision("{\"new\":1}"));
            begun.edit.candidate = Set::To((Target::New, id.clone()));
            begun.rollout = Some(NewRollout {
                id: &id,
                expected: 0,
                candidate: Target::New,
                control: Some(1),
                state: "running",
                data: "{}",
            });
            store.change(&begun).unwrap();
            let evidence = EvidenceRow {
                rollout: id.clone(),
                step: 0,
                slice: "all".into(),
                signal: "errors".into(),
                instance: "a".into(),
                control_total: 1,
                control_bad: 0,
                candidate_total: 1,
                candidate_bad: 0,
                data: "{}".into(),
                at_ms: 1_000,
            };
            store.report_evidence(&[evidence]).unwrap();
            if round < 3 {
                let mut ended = change("", "prod", Expected::Generation(3 + 2 * round));
                ended.edit.candidate = Set::Clear;
                store.change(&ended).unwrap();
            }
        }
        store.acknowledge(&fleet::ack("gone", true, 1_000)).unwrap();
        store.acknowledge(&fleet::ack("here", true, 9_000)).unwrap();
        let pruned = sweep(store, &newest(0), 2);
        assert_eq!((pruned.rollouts, pruned.instances), (3, 1));
        // The one that runs stays, with what it is about and its evidence.
        let left = store.rollouts("prod", None, 9).unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(store.evidence("r3").unwrap().len(), 1);
        assert_eq!(place.number("SELECT COUNT(*) FROM evidence").unwrap(), 1);
        assert_eq!(revisions(store), [1, left[0].candidate]);
        check_documents(store, &place);
    }
}

#[test]
fn old_versions_of_states_go_and_the_one_in_use_stays() {
    for place in Place::all() {
        let mut store = place.control();
        let store = &mut *store;
        for serial in 1..=8 {
            states::write(store, None, "l", serial).unwrap();
        }
        place
            .script("UPDATE state SET version = 2 WHERE name = 'network'")
            .unwrap();
        assert_eq!(sweep(store, &newest(3), 2).states, 4);
        let versions = store.state_versions("network", None, 99).unwrap();
        let versions: Vec<u64> = versions.iter().map(|version| version.version).collect();
        assert_eq!(versions, [8, 7, 6, 2]);
        let (row, _) = store.state_content("network", 2).unwrap().unwrap();
        assert_eq!(row.serial, 2);
        let next = states::write(store, None, "l", 9).unwrap();
        assert_eq!(next.version, 9);
    }
}

#[test]
fn the_audit_log_stays_verifiable_without_its_beginning() {
    for place in Place::all() {
        let mut store = place.control();
        let store = &mut *store;
        for _ in 0..100 {
            store.audit(&line("ada", "sign-in"), 1_000).unwrap();
        }
        let whole = store.verify_audit().unwrap();
        assert_eq!((whole.pruned, whole.lines), (0, 100));
        let pruned = sweep(store, &newest(40), 2);
        // Slices of twenty lines, each of which wrote one; the three that are superfluous by that
        // are not worth another.
        assert_eq!(pruned.audit, 60);
        let check = store.verify_audit().unwrap();
        assert_eq!((check.pruned, check.lines), (60, 43));
        assert_eq!(check.broken, None);
        let page = store.audit_lines(None, 1).unwrap();
        assert_eq!(page[0].action, "retention.audit");
        assert_eq!(page[0].hash, check.head);
        let before = store.audit(&line("ada", "sign-in"), 1_000).unwrap();
        assert_eq!(before, 104);
        assert_eq!(store.verify_audit().unwrap().broken, None);
    }
}

/// What somebody does to a log whose beginning retention took away, and the line where it shows.
const TAMPERING: &[(&str, u64)] = &[
    ("DELETE FROM audit WHERE sequence = 11", 11),
    ("UPDATE audit SET actor = 'eve' WHERE sequence = 12", 12),
    (
        "UPDATE head SET number = 12 WHERE name = 'audit_pruned'",
        13,
    ),
    ("DELETE FROM head WHERE name = 'audit_pruned'", 1),
    // As retention would, but without the line that says so.
    (
        "UPDATE head SET number = 12, hash = (SELECT hash FROM audit WHERE sequence = 12)
         WHERE name = 'audit_pruned';
         DELETE FROM audit WHERE sequence <= 12",
        12,
    ),
];

#[test]
fn taking_lines_away_by_hand_shows() {
    for (sql, place_of_it) in TAMPERING {
        for place in Place::all() {
            let mut store = place.control();
            for _ in 0..20 {
                store.audit(&line("ada", "sign-in"), 1_000).unwrap();
            }
            assert_eq!(sweep(&mut *store, &newest(10), 1).audit, 10);
            place.script(sql).unwrap();
            let broken = store.verify_audit().unwrap().broken;
            let found = broken.as_ref().map(|broken| broken.sequence);
            assert_eq!(found, Some(*place_of_it), "{sql}: {broken:?}");
        }
    }
}

#[test]
fn what_is_broken_is_not_taken_away() {
    for place in Place::all() {
        let mut store = place.control();
        for _ in 0..20 {
            store.audit(&line("ada", "sign-in"), 1_000).unwrap();
        }
        place
            .script("UPDATE audit SET actor = 'eve' WHERE sequence = 3")
            .unwrap();
        let pruned = sweep(&mut *store, &newest(5), 1);
        let broken = pruned.audit_broken.map(|broken| broken.sequence);
        assert_eq!((pruned.audit, broken), (0, Some(3)));
        let lines = place.number("SELECT COUNT(*) FROM audit").unwrap();
        assert_eq!(lines, 20);
    }
}

/// Writers, two that take away, and one that walks the log, all at once.
#[test]
fn retention_disturbs_nobody() {
    for place in Place::all() {
        create(&mut *place.patient(), "prod");
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut store = place.patient();
                    for _ in 0..20 {
                        sweep(&mut *store, &newest(3), 2);
                    }
                });
            }
            scope.spawn(|| {
                let mut store = place.patient();
                for _ in 0..40 {
                    assert_eq!(store.verify_audit().unwrap().broken, None);
                }
            });
            let mut store = place.patient();
            for round in 1..=40 {
                let document = format!("{{\"n\":{}}}", round % 4);
                apply(&mut *store, "", "prod", round, &document).unwrap();
            }
        });
        let mut store = place.patient();
        sweep(&mut *store, &newest(3), 2);
        check_documents(&mut *store, &place);
        assert_eq!(revisions(&mut *store), [38, 39, 40]);
        assert_eq!(store.verify_audit().unwrap().broken, None);
    }
}

/// Not a test by itself: changes things and takes them away until it is killed.
#[test]
fn the_killed_sweeper() {
    let (Ok(place), Ok(seed)) = (std::env::var(PLACE), std::env::var(SEED)) else {
        return;
    };
    random::seed(seed.parse().unwrap());
    let place = Place::at(&place);
    let mut store = place.control();
    eprintln!("ready");
    for _ in 0..20_000 {
        let generation = store.generation("prod").unwrap();
        let document = format!("{{\"n\":{}}}", random::below(6));
        apply(&mut *store, "", "prod", generation, &document).unwrap();
        let serial = store.state("network").unwrap();
        let serial = serial.and_then(|state| state.version);
        let serial = serial.map_or(0, |version| version.serial) + 1;
        states::write(&mut *store, None, "l", serial).unwrap();
        let mut retention = newest(3);
        retention.audit.age_ms = 1;
        let now_ms = Clock::System.unix().as_millis();
        sweep_at(&mut *store, &retention, 1, i64::try_from(now_ms).unwrap());
    }
}

#[test]
fn a_sweep_that_is_killed_leaves_everything_whole() {
    for place in Place::all() {
        let mut store = place.control();
        create(&mut *store, "prod");
        for _ in 0..60 {
            store.audit(&line("ada", "sign-in"), 1_000).unwrap();
        }
        drop(store);
        for seed in 0..rounds() {
            random::seed(seed);
            let (child, lines) = start("control::retention::the_killed_sweeper", &place, seed);
            kill(child, lines, 60_000);
            place.wait_for_others();
            let mut store = place.control();
            let store = &mut *store;
            check_documents(store, &place);
            assert_eq!(store.verify_audit().unwrap().broken, None);
            let row = store.environment("prod").unwrap().unwrap();
            if let Some(current) = row.revision {
                assert_eq!(revisions(store).last(), Some(&current));
            }
            if let Some(state) = store.state("network").unwrap() {
                let version = state.version.expect("it is not emptied").version;
                assert!(store.state_content("network", version).unwrap().is_some());
            }
        }
        let mut store = place.control();
        sweep(&mut *store, &newest(3), 2);
        assert!(revisions(&mut *store).len() <= 3);
        let pruned = store.verify_audit().unwrap().pruned;
        assert!(pruned > 0, "nothing was ever taken away");
    }
}
