//! What a store does with one batch after the other.

use crate::support::{Place, charge, entry, hold, instance, lease};
use gate_store::journal::NewEvent;
use gate_store::ledger::{
    Batch, Crossed, Entry, Facts, Granted, HoldRow, SpendRow, UsageBy, UsageQuery,
};
use gate_store::{SqlStore, Store, StoreError, sqlite::Sqlite};
use std::sync::Arc;

fn batch() -> Batch {
    Batch {
        now_ms: 10_000,
        ..Batch::default()
    }
}

fn leased(store: &mut dyn Store, limit: i64, target: i64) -> Granted {
    let leases = vec![lease("b", limit, target)];
    let granted = store.commit(&Batch { leases, ..batch() }).unwrap();
    assert_eq!(granted.len(), 1);
    granted.into_iter().next().unwrap()
}

fn balance(store: &mut dyn Store) -> (i64, i64, i64) {
    let balances = store.balances().unwrap();
    let row = balances.iter().find(|row| row.budget == "b").unwrap();
    (row.settled, row.unsettled, row.leased)
}

#[test]
fn leases_never_exceed_what_is_left() {
    for place in Place::all() {
        let (mut one, mut two) = (place.store("one"), place.store("two"));
        assert_eq!(leased(&mut *one, 100, 70).amount, 70);
        let second = leased(&mut *two, 100, 70);
        assert_eq!((second.amount, second.leased), (30, 100));
        // The first hears that somebody went short, and gives back.
        let given = leased(&mut *one, 100, 20);
        assert!(given.wanted && given.amount == 20);
        assert_eq!(leased(&mut *two, 100, 90).amount, 80);
        // A limit that was lowered takes nothing away, and gives nothing more.
        assert_eq!(leased(&mut *one, 50, 30).amount, 20);
        one.leave().unwrap();
        assert_eq!(balance(&mut *two), (0, 0, 80));
    }
}

#[test]
fn settled_calls_come_out_of_the_lease_once() {
    for place in Place::all() {
        let mut store = place.store("one");
        leased(&mut *store, 100, 60);
        let settle = Batch {
            entries: vec![entry("x", "b", 40), entry("y", "b", 10)],
            leases: vec![lease("b", 100, 10)],
            ..batch()
        };
        let granted = store.commit(&settle).unwrap();
        assert_eq!((granted[0].amount, granted[0].settled), (10, 50));
        assert_eq!(&granted[0].crossed[..], &[50]);
        // The answer to the commit was lost, and it is repeated.
        let granted = store.commit(&settle).unwrap();
        assert_eq!((granted[0].amount, granted[0].settled), (10, 50));
        assert!(granted[0].crossed.is_empty());
        assert_eq!(balance(&mut *store), (50, 0, 10));
    }
}

/// A threshold is in the journal once its commit is on the disk, and once over all processes: nobody has to
/// carry it there afterwards.
#[test]
fn the_commit_that_crosses_a_threshold_tells_of_it() {
    fn event(crossed: &Crossed) -> NewEvent {
        let Crossed {
            budget,
            period,
            threshold,
            settled,
            ..
        } = crossed;
        NewEvent {
            key: format!("{budget}/{period}/{threshold}").into(),
            kind: "crossed".into(),
            consumer: "".into(),
            payload: settled.to_string().into_bytes().into(),
        }
    }
    for place in Place::all() {
        let (mut one, mut two) = (place.telling("one", event), place.telling("two", event));
        let told = || {
            let events = place.reading().behind(0, 100).unwrap();
            let crossed = events.into_iter().filter(|event| &*event.kind == "crossed");
            let told = crossed.map(|event| {
                let settled = String::from_utf8(event.payload.unwrap()).unwrap();
                (event.key, settled)
            });
            told.collect::<Vec<_>>()
        };
        leased(&mut *one, 100, 60);
        assert_eq!(told(), []);
        let settle = Batch {
            entries: vec![entry("x", "b", 55)],
            leases: vec![lease("b", 100, 10)],
            ..batch()
        };
        one.commit(&settle).unwrap();
        let once = [("b/0/50".to_owned(), "55".to_owned())];
        assert_eq!(told(), once);
        // The answer was lost and it is repeated; another process sees the budget beyond it as well.
        one.commit(&settle).unwrap();
        leased(&mut *two, 100, 10);
        assert_eq!(told(), once);
    }
}

#[test]
fn what_dead_processes_left_open_is_charged() {
    for place in Place::all() {
        let mut dead = place.store("dead");
        leased(&mut *dead, 1000, 100);
        let written = Batch {
            holds: vec![
                hold("open", "b", 30),
                hold("late", "b", 20),
                hold("done", "b", 9),
            ],
            entries: vec![entry("done", "b", 4)],
            leases: vec![lease("b", 1000, 96)],
            ..batch()
        };
        dead.commit(&written).unwrap();
        assert_eq!(balance(&mut *dead), (4, 0, 96));
        let mut heir = place.store("heir");
        assert_eq!(heir.recover(29_000).unwrap().instances, 0);
        let found = heir.recover(31_000).unwrap();
        assert_eq!((found.instances, found.unsettled, found.leases), (1, 2, 1));
        // 50 reserved, and 46 that were leased and may have been spent.
        assert_eq!(balance(&mut *heir), (4, 96, 0));
        assert_eq!(
            heir.recover(32_000).unwrap(),
            gate_store::ledger::Recovered::default()
        );
        // It was not dead after all: what it settles replaces the charge.
        let late = Batch {
            now_ms: 33_000,
            entries: vec![entry("late", "b", 7)],
            leases: vec![lease("b", 1000, 0)],
            ..Batch::default()
        };
        dead.commit(&late).unwrap();
        assert_eq!(balance(&mut *heir), (11, 76, 0));
        let open: Vec<String> = heir
            .unsettled()
            .unwrap()
            .into_iter()
            .map(|r| r.exchange)
            .collect();
        assert_eq!(open, ["open", "lease/dead/b@0"]);
        // The bill says what the other one cost; its charge is taken back once.
        assert!(heir.release("open", 34_000).unwrap());
        assert!(!heir.release("open", 34_000).unwrap() && !heir.release("none", 0).unwrap());
        assert_eq!(balance(&mut *heir), (11, 46, 0));
    }
}

#[test]
fn usage_is_summed_by_name() {
    for place in Place::all() {
        let mut store = place.store("one");
        let mut unpriced = entry("z", "b", 0);
        (unpriced.cost, unpriced.estimated) = (None, 1);
        unpriced.charges.clear();
        let entries = vec![entry("x", "b", 40), entry("y", "b", 2), unpriced];
        store.commit(&Batch { entries, ..batch() }).unwrap();
        let query = |by: &[UsageBy], since_ms, provider: &str| UsageQuery {
            by: by.to_vec(),
            since_ms,
            until_ms: 3_000,
            provider: provider.into(),
            only: Vec::new(),
        };
        let rows = store
            .usage(&query(&[UsageBy::Consumer, UsageBy::Model], 0, ""))
            .unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].names, ["storefront", "assistant"]);
        assert_eq!(
            (rows[0].calls, rows[0].estimated, rows[0].unpriced),
            (3, 1, 1)
        );
        assert_eq!((rows[0].input_tokens, rows[0].cost_picodollars), (30, 42));
        let days = store
            .usage(&query(&[UsageBy::Day, UsageBy::ProviderModel], 0, "gpt"))
            .unwrap();
        assert_eq!(days[0].names, ["0", "gpt/"]);
        assert!(
            store
                .usage(&query(&[UsageBy::Key], 2_001, ""))
                .unwrap()
                .is_empty()
        );
        assert!(
            store
                .usage(&query(&[UsageBy::Key], 0, "other"))
                .unwrap()
                .is_empty()
        );
        // Only some of them, by any column.
        let only = |by: UsageBy, name: &str| UsageQuery {
            only: vec![
                (UsageBy::Model, "assistant".to_owned()),
                (by, name.to_owned()),
            ],
            ..query(&[UsageBy::Revision], 0, "")
        };
        let found = store.usage(&only(UsageBy::Consumer, "storefront")).unwrap();
        assert_eq!((&*found[0].names[0], found[0].calls), ("0", 3));
        assert!(
            store
                .usage(&only(UsageBy::Key, "storefront/x"))
                .unwrap()
                .is_empty()
        );
        assert_eq!(store.first_entry().unwrap(), Some(2_000));
        // Two rows: what has a price, and what has none.
        assert_eq!(store.prune(2_001).unwrap(), 2);
        assert!(
            store
                .usage(&query(&[UsageBy::Key], 0, ""))
                .unwrap()
                .is_empty()
        );
        assert_eq!(balance(&mut *store), (42, 0, 0));
    }
}

#[test]
fn entries_and_what_crashes_leave_say_their_revision() {
    for place in Place::all() {
        let mut store = place.store("one");
        let facts = |revision| {
            Arc::new(Facts {
                revision,
                ..(*crate::support::facts("storefront")).clone()
            })
        };
        let of = |name: &str, revision| Entry {
            facts: facts(revision),
            ..entry(name, "b", 4)
        };
        let open = HoldRow {
            facts: facts(9),
            ..hold("open", "b", 7)
        };
        let entries = vec![of("x", 7), of("y", 8), of("z", 7)];
        let holds = vec![open];
        store
            .commit(&Batch {
                entries,
                holds,
                ..batch()
            })
            .unwrap();
        let mut heir = place.store("heir");
        heir.recover(60_000).unwrap();
        let query = UsageQuery {
            by: vec![UsageBy::Revision],
            ..everything()
        };
        let rows = heir.usage(&query).unwrap();
        let sums: Vec<_> = rows
            .iter()
            .map(|row| (&*row.names[0], row.calls, row.cost_picodollars))
            .collect();
        assert_eq!(sums, [("7", 2, 8), ("8", 1, 4), ("9", 1, 7)]);
    }
}

#[test]
fn hours_are_kept_once_and_for_a_while() {
    for place in Place::all() {
        let mut store = place.store("one");
        let row = |hour, name: &str, cost| SpendRow {
            hour,
            column: "consumer".to_owned(),
            name: name.to_owned(),
            cost,
        };
        store
            .keep_spend(10, &[row(10, "a", 5), row(10, "b", 6)])
            .unwrap();
        store.keep_spend(11, &[row(11, "a", 7)]).unwrap();
        // Another gateway comes too late.
        store.keep_spend(10, &[row(10, "a", 99)]).unwrap();
        let kept = [row(10, "a", 5), row(10, "b", 6), row(11, "a", 7)];
        assert_eq!(store.spend_hours(0).unwrap(), kept);
        assert_eq!(store.spend_hours(11).unwrap(), kept[2..]);
        store.keep_spend(10 + 769, &[]).unwrap();
        assert_eq!(store.spend_hours(0).unwrap(), kept[2..]);
    }
}

#[test]
fn hundreds_of_rows_go_in_at_once() {
    for place in Place::all() {
        let mut store = place.store("one");
        let name = |n: usize| format!("call-{n}");
        let holds = (0..100).map(|n| hold(&name(n), "b", 1)).collect();
        store.commit(&Batch { holds, ..batch() }).unwrap();
        let entries = (0..100).map(|n| entry(&name(n), "b", 1)).collect();
        let cancelled = vec!["call-0".into()];
        let last = Batch {
            entries,
            cancelled,
            ..batch()
        };
        store.commit(&last).unwrap();
        assert_eq!(balance(&mut *store).0, 100);
        assert_eq!(place.store("heir").recover(99_000).unwrap().unsettled, 0);
    }
}

#[test]
fn stores_that_cannot_be_used_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &std::path::Path| match Sqlite::open(path) {
        Err(StoreError::Unusable(why)) => why,
        _ => panic!("{} was opened", path.display()),
    };
    assert!(refused(&folder.path().join("absent/ledger.db")).contains("cannot be opened"));
    assert!(refused(folder.path()).contains("cannot be opened"));
    let newer = folder.path().join("newer.db");
    SqlStore::open(Sqlite::open(&newer).unwrap(), instance("one")).unwrap();
    let mut database = Sqlite::open(&newer).unwrap();
    gate_store::Database::script(&mut database, "INSERT INTO migration VALUES (999)").unwrap();
    match SqlStore::open(database, instance("one")) {
        Err(StoreError::Unusable(why)) => assert!(why.contains("newer gateway"), "{why}"),
        _ => panic!("a newer store was opened"),
    }
    let tls = "postgres://u:secret@127.0.0.1:1/db?sslmode=require";
    match gate_store::postgres::Postgres::connect(tls) {
        Err(StoreError::Unreachable(why)) => assert!(!why.contains("secret"), "{why}"),
        _ => panic!("a port that nobody listens on was connected to"),
    }
    assert_eq!(charge("b", 1).period, 0);
}

/// Turning the write-ahead log on needs the file for a moment, which SQLite does not wait for.
#[test]
fn many_processes_may_open_a_new_file_at_once() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let all = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for node in 0..8 {
                let (all, path) = (&all, &path);
                scope.spawn(move || {
                    all.wait();
                    let database = Sqlite::open(path).unwrap();
                    SqlStore::open(database, instance(&format!("node-{node}"))).unwrap();
                });
            }
        });
    }
}

fn everything() -> UsageQuery {
    UsageQuery {
        by: vec![UsageBy::Consumer],
        since_ms: 0,
        until_ms: i64::MAX,
        provider: String::new(),
        only: Vec::new(),
    }
}

#[test]
fn a_batch_that_grew_between_two_tries_counts_once() {
    for took_effect in [true, false] {
        for place in Place::all() {
            let mut store = place.store("one");
            leased(&mut *store, 100, 60);
            let mut settle = Batch {
                holds: vec![hold("x", "b", 50), hold("later", "b", 5)],
                entries: vec![entry("x", "b", 40), entry("y", "b", 3)],
                leases: vec![lease("b", 100, 17)],
                ..batch()
            };
            if took_effect {
                store.commit(&settle).unwrap();
            }
            settle.note_try();
            settle.note_try();
            settle.entries.push(entry("z", "b", 2));
            settle.entries.push(entry("later", "b", 4));
            settle.leases = vec![lease("b", 100, 11)];
            store.commit(&settle).unwrap();
            assert_eq!(balance(&mut *store), (49, 0, 11), "{took_effect}");
            let rows = store.usage(&everything()).unwrap();
            assert_eq!((rows[0].calls, rows[0].cost_picodollars), (4, 49));
            // No reservation is left that a recovery would charge.
            store.leave().unwrap();
            assert!(store.unsettled().unwrap().is_empty());
        }
    }
}

#[test]
fn calls_of_a_process_thought_dead_are_charged_once() {
    for place in Place::all() {
        let mut dead = place.store("dead");
        leased(&mut *dead, 100, 60);
        let holds = vec![hold("p", "b", 30), hold("q", "b", 20)];
        let written = Batch {
            holds,
            leases: vec![lease("b", 100, 50)],
            ..batch()
        };
        dead.commit(&written).unwrap();
        let mut heir = place.store("heir");
        assert_eq!(heir.recover(31_000).unwrap().unsettled, 2);
        assert_eq!(balance(&mut *heir), (0, 50, 0));
        // One group of both, whose charges for reservations are taken back.
        let late = Batch {
            now_ms: 33_000,
            entries: vec![entry("p", "b", 7), entry("q", "b", 8)],
            leases: vec![lease("b", 100, 0)],
            ..Batch::default()
        };
        dead.commit(&late).unwrap();
        assert_eq!(balance(&mut *heir), (15, 0, 0));
        assert!(heir.unsettled().unwrap().is_empty());
        let rows = heir.usage(&everything()).unwrap();
        let calls: Vec<_> = rows.iter().map(|row| (row.calls, row.unsettled)).collect();
        assert_eq!(calls, [(2, 0)]);
    }
}
