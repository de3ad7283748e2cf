//! Quotas of requests: over all processes exact, whatever is dropped, repeated or killed.

use crate::support::{Place, instance, lease, spec};
use gate_store::books::{Unit, quota_name};
use gate_store::ledger::Batch;
use gate_store::{Account, Books, BooksOptions, Refusal};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
const LIMIT: i64 = 1_000;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn account(books: &Books, name: &str) -> Arc<Account> {
    books.account(&spec(&quota_name(name), Unit::Requests, LIMIT))
}

fn settled(place: &Place) -> i64 {
    let sql = "SELECT CAST(COALESCE(SUM(settled + unsettled), 0) AS BIGINT) FROM balance";
    place.number(sql).unwrap()
}

/// Lets requests in until one is refused. Where three nodes share a slow disk, the books may have no
/// answer in time; that lets nobody in, and is asked again.
async fn count_often(books: &Books, quota: &Arc<Account>, passed: &AtomicI64) {
    let began = Instant::now();
    loop {
        match books.count(std::slice::from_ref(quota)).await {
            Ok(counted) => {
                passed.fetch_add(1, Ordering::Relaxed);
                counted.confirm();
            }
            Err(Refusal::Exhausted { .. }) => return,
            Err(Refusal::Unavailable) if began.elapsed() < Duration::from_secs(60) => {}
            Err(other) => panic!("{other:?}"),
        }
        tokio::task::yield_now().await;
    }
}

#[test]
fn three_nodes_let_in_what_the_quota_allows_and_no_more() {
    for place in Place::all() {
        let passed = AtomicI64::new(0);
        std::thread::scope(|scope| {
            for node in 0..3 {
                let (passed, place) = (&passed, &place);
                scope.spawn(move || {
                    let books = place.books(&format!("node-{node}"), BooksOptions::default());
                    let quota = account(&books, "q");
                    runtime().block_on(async {
                        let calls = (0..20).map(|_| count_often(&books, &quota, passed));
                        for call in calls.collect::<Vec<_>>() {
                            call.await;
                        }
                    });
                    assert!(books.close(PATIENCE));
                });
            }
        });
        let so_far = passed.load(Ordering::Relaxed);
        assert!(so_far <= LIMIT, "{so_far}");
        // What the others gave back at their end is left for whoever comes.
        let books = place.books("last", BooksOptions::default());
        let quota = account(&books, "q");
        runtime().block_on(count_often(&books, &quota, &passed));
        assert_eq!(passed.load(Ordering::Relaxed), LIMIT);
        assert!(books.close(PATIENCE));
        assert_eq!(settled(&place), LIMIT);
        let entries = place.number("SELECT COUNT(*) FROM entry").unwrap();
        assert_eq!(entries, 0, "requests are counted, not listed");
    }
}

#[test]
fn what_is_not_confirmed_goes_back() {
    for place in Place::all() {
        let books = place.books("one", BooksOptions::default());
        let (day, month) = (account(&books, "day"), account(&books, "month"));
        runtime().block_on(async {
            let both = [day.clone(), month.clone()];
            for _ in 0..2 * LIMIT {
                drop(books.count(&both).await.expect("room"));
            }
            books.count(&both).await.expect("room").confirm();
            assert_eq!(books.standing(&day).remaining, LIMIT - 1);
            let alone = AtomicI64::new(0);
            count_often(&books, &day, &alone).await;
            assert_eq!(alone.load(Ordering::Relaxed), LIMIT - 1);
            assert!(books.count(&both).await.is_err());
            assert_eq!(books.standing(&month).remaining, LIMIT - 1);
        });
        assert!(books.close(PATIENCE));
        assert_eq!(settled(&place), LIMIT + 1);
    }
}

#[test]
fn a_batch_that_is_repeated_counts_once() {
    for place in Place::all() {
        let mut store = place.store("one");
        let counts =
            |number: i64, amount: i64| (number, BTreeMap::from([((quota_name("q"), 0), amount)]));
        let mut batch = Batch {
            now_ms: 1,
            counts: vec![counts(1, 5)],
            ..Batch::default()
        };
        for _ in 0..3 {
            store.commit(&batch).unwrap();
        }
        assert_eq!(settled(&place), 5);
        // A commit whose outcome was not known is repeated with what has come since.
        batch.counts.push(counts(2, 7));
        for _ in 0..2 {
            store.commit(&batch).unwrap();
        }
        assert_eq!(settled(&place), 12);
    }
}

#[test]
fn what_a_dead_process_held_is_charged() {
    for place in Place::all() {
        let name = quota_name("q");
        let mut dead = place.store("dead");
        let batch = Batch {
            now_ms: 1,
            leases: vec![lease(&name, LIMIT, 7)],
            ..Batch::default()
        };
        dead.commit(&batch).unwrap();
        let mut heir = place.open(instance("heir")).unwrap();
        heir.recover(60_000).unwrap();
        assert_eq!(settled(&place), 7);
        assert_eq!(heir.balances().unwrap(), [], "no budget");
    }
}

#[test]
fn quotas_of_the_past_are_forgotten() {
    for place in Place::all() {
        let mut store = place.store("one");
        let sums = [
            (quota_name("q"), 1_000),
            (quota_name("q"), 5_000),
            ("b".into(), 1_000),
        ];
        let batch = Batch {
            now_ms: 1,
            counts: vec![(1, sums.into_iter().map(|key| (key, 1)).collect())],
            ..Batch::default()
        };
        store.commit(&batch).unwrap();
        assert_eq!(store.forget_quotas(5_000).unwrap(), 1);
        assert_eq!(settled(&place), 2);
    }
}

#[test]
fn a_used_up_quota_is_refused_at_once_and_by_name() {
    let place = &Place::all()[0];
    let books = place.books("one", BooksOptions::default());
    let quota = account(&books, "q");
    runtime().block_on(async {
        count_often(&books, &quota, &AtomicI64::new(0)).await;
        // The store was asked just now; nobody else holds a part.
        let start = Instant::now();
        let mut refused = 0;
        while start.elapsed() < Duration::from_millis(50) {
            let Some(Err(Refusal::Exhausted { budget, .. })) =
                books.try_count(std::slice::from_ref(&quota))
            else {
                break;
            };
            assert_eq!(budget, *quota.name());
            refused += 1;
        }
        assert!(refused > 0);
    });
    books.close(PATIENCE);
}
