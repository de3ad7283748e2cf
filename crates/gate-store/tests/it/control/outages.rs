//! Stores that cannot answer for a while, and waiting for others' changes.

use super::{apply, create, line};
use crate::support::{Place, entry};
use gate_store::control::ControlError;
use gate_store::ledger::Batch;
use gate_store::{Database, StoreError};
use gate_store::{postgres::Postgres, sqlite::Sqlite};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[test]
fn a_follower_is_woken_by_a_change() {
    for place in Place::all() {
        create(&mut *place.control(), "prod");
        let mut follower = place.control();
        // The first wait may begin after a change; the generation shows it all the same.
        let began = Instant::now();
        let idle = follower.wait_for_change("prod", 1, None, Duration::from_millis(300));
        assert_eq!(idle.unwrap().generation, 1);
        assert!(began.elapsed() >= Duration::from_millis(300));
        let at_once = follower.wait_for_change("prod", 0, None, Duration::from_secs(60));
        assert_eq!(at_once.unwrap().generation, 1);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut store = place.control();
                std::thread::sleep(Duration::from_millis(200));
                // Others' lines in the audit log are no change of the environment.
                store.audit(&line("bob", "sign-in"), 1).unwrap();
                apply(&mut *store, "", "prod", 1, "{}").unwrap();
            });
            let began = Instant::now();
            let woken = follower.wait_for_change("prod", 1, None, Duration::from_secs(60));
            assert_eq!(woken.unwrap().generation, 2);
            assert!(began.elapsed() < Duration::from_secs(30), "nobody woke it");
        });
        // Who asks for it is woken by a line of the audit log, such as a purge is.
        let heard = place.control().audit_lines(None, 1).unwrap()[0].sequence;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut store = place.control();
                std::thread::sleep(Duration::from_millis(200));
                store.audit(&line("ada", "purge"), 1).unwrap();
            });
            let began = Instant::now();
            let woken = follower.wait_for_change("prod", 2, Some(heard), Duration::from_secs(60));
            let woken = woken.unwrap();
            assert_eq!((woken.generation, woken.audit), (2, heard + 1));
            assert!(began.elapsed() < Duration::from_secs(30), "nobody woke it");
        });
        let removed = place
            .control()
            .remove_environment("prod", 2, &line("ada", "remove"), 1);
        removed.unwrap();
        let gone = follower.wait_for_change("prod", 2, None, Duration::from_secs(60));
        assert_eq!(gone.unwrap().generation, 0);
    }
}

/// A process that stands still in a transaction makes others fail after a while, not for ever, and in
/// a way that may be tried again.
#[test]
fn whoever_waits_too_long_for_another_writer_may_try_again() {
    fn held<D: Database>(mut other: D, place: &Place) {
        let mut store = place.control();
        create(&mut *store, "prod");
        other.script(other.dialect().begin).unwrap();
        other.script("UPDATE head SET number = number").unwrap();
        let refused = apply(&mut *store, "id", "prod", 1, "{}").unwrap_err();
        let may_retry = matches!(refused, ControlError::Store(StoreError::Unreachable(_)));
        assert!(may_retry, "{refused}");
        // Reading goes on.
        assert_eq!(store.generation("prod").unwrap(), 1);
        other.script("ROLLBACK").unwrap();
        let done = apply(&mut *store, "id", "prod", 1, "{}").unwrap();
        assert!(!done.repeated);
    }
    for place in Place::all() {
        match &place {
            Place::Sqlite(folder) => {
                held(
                    Sqlite::open(&folder.path().join("ledger.db")).unwrap(),
                    &place,
                );
            }
            Place::Postgres(address) => held(Postgres::connect(address).unwrap(), &place),
        }
    }
}

/// Ends all connections to the database but the one that says so.
const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()";

#[test]
fn a_connection_that_broke_is_made_anew() {
    for place in Place::all() {
        let Place::Postgres(_) = &place else { continue };
        let mut store = place.control();
        create(&mut *store, "prod");
        let waited = store.wait_for_change("prod", 1, None, Duration::from_millis(10));
        assert_eq!(waited.unwrap().generation, 1);
        place.script(TERMINATE).unwrap();
        // Nobody notices: neither who writes nor who reads.
        let done = apply(&mut *store, "id", "prod", 1, "{}").unwrap();
        assert_eq!((done.environment.generation, done.repeated), (2, false));
        place.script(TERMINATE).unwrap();
        assert_eq!(store.generation("prod").unwrap(), 2);
        // It listens again as well.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut other = place.control();
                std::thread::sleep(Duration::from_millis(200));
                apply(&mut *other, "", "prod", 2, "{}").unwrap();
            });
            let began = Instant::now();
            let woken = store.wait_for_change("prod", 2, None, Duration::from_secs(60));
            assert_eq!(woken.unwrap().generation, 3);
            assert!(began.elapsed() < Duration::from_secs(30), "nobody woke it");
        });
    }
}

/// The statements of a transaction whose connection broke must not take effect on the next one.
#[test]
fn a_transaction_ends_with_its_connection() {
    for place in Place::all() {
        let Place::Postgres(address) = &place else {
            continue;
        };
        let mut database = Postgres::connect(address).unwrap();
        database.script("CREATE TABLE half (name TEXT)").unwrap();
        let insert = "INSERT INTO half VALUES ($1)";
        database.script("BEGIN").unwrap();
        database.execute(insert, &["one".into()]).unwrap();
        place.script(TERMINATE).unwrap();
        for _ in 0..3 {
            let outcome = database.execute(insert, &["two".into()]);
            assert!(
                matches!(outcome, Err(StoreError::Unreachable(_))),
                "{outcome:?}"
            );
        }
        assert!(database.script("COMMIT").is_err());
        assert_eq!(place.number("SELECT COUNT(*) FROM half").unwrap(), 0);
        // The next transaction has a connection again.
        database.script("BEGIN").unwrap();
        database.execute(insert, &["three".into()]).unwrap();
        database.script("COMMIT").unwrap();
        assert_eq!(place.number("SELECT COUNT(*) FROM half").unwrap(), 1);
    }
}

/// The ledger of a busy gateway writes again and again, some milliseconds apart; whoever changes
/// something gets its turn, also where it is less.
#[test]
fn a_change_gets_its_turn_beside_a_ledger_that_hardly_rests() {
    for place in Place::all() {
        let mut store = place.control();
        create(&mut *store, "prod");
        let (done, commits) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let ledger = scope.spawn(|| {
                let mut ledger = place.store("busy");
                while !done.load(Ordering::Relaxed) {
                    let number = commits.fetch_add(1, Ordering::Relaxed);
                    let batch = Batch {
                        now_ms: 1,
                        entries: vec![entry(&format!("call-{number}"), "b", 5)],
                        ..Batch::default()
                    };
                    ledger.commit(&batch).unwrap();
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
            while commits.load(Ordering::Relaxed) < 2 {
                std::thread::sleep(Duration::from_millis(1));
            }
            let mut slowest = Duration::ZERO;
            for round in 1..=30 {
                let began = Instant::now();
                apply(&mut *store, "", "prod", round, "{}").unwrap();
                slowest = slowest.max(began.elapsed());
            }
            done.store(true, Ordering::Relaxed);
            ledger.join().unwrap();
            let commits = commits.load(Ordering::Relaxed);
            eprintln!(
                "30 changes beside {commits} commits of the ledger; the slowest took {slowest:?}"
            );
        });
    }
}
