//! What a process does with its slices: alone, beside others, and without its store.

mod bars;
mod more;

use crate::support::{Place, facts, settlement, spec};
use gate_kit::clock::Clock;
use gate_model::units::Money;
use gate_store::books::Unit;
use gate_store::{Account, Books, BooksOptions, Refusal, StoreError, WhenDown};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn money(amount: i64) -> Option<Money> {
    Some(Money::from_picodollars(amount))
}

fn settled(place: &Place) -> (i64, i64, i64) {
    let balances = place.store("reader").balances().unwrap();
    balances.iter().fold((0, 0, 0), |sum, row| {
        (
            sum.0 + row.settled,
            sum.1 + row.unsettled,
            sum.2 + row.leased,
        )
    })
}

#[test]
fn a_budget_is_spent_to_its_last_part_and_not_beyond() {
    for place in Place::all() {
        let books = place.books("one", BooksOptions::default());
        let account = books.account(&spec("b", Unit::Money, 1_000));
        runtime().block_on(async {
            let mut spent = 0;
            loop {
                match books.hold(&facts("c"), money(30), &[(&account, 30)]).await {
                    Ok(hold) => hold.settle(&settlement(20)),
                    Err(Refusal::Exhausted {
                        budget,
                        until_unix_s,
                    }) => {
                        assert_eq!((&*budget, until_unix_s), ("b", None));
                        break;
                    }
                    Err(other) => panic!("{other:?}"),
                }
                spent += 20;
            }
            // 30 must be free at each call, of which 20 are spent.
            assert!((971..=1_000).contains(&spent), "{spent}");
        });
        assert!(books.close(PATIENCE));
        let (settled, unsettled, leased) = settled(&place);
        assert!((971..=1_000).contains(&settled) && (unsettled, leased) == (0, 0));
    }
}

#[test]
fn open_calls_that_are_dropped_are_charged_what_they_reserved() {
    for place in Place::all() {
        let books = place.books("one", BooksOptions::default());
        let money_account = books.account(&spec("b", Unit::Money, 1_000));
        let tokens = books.account(&spec("t", Unit::Tokens, 1_000));
        runtime().block_on(async {
            let parts = [(&money_account, 30), (&tokens, 7)];
            drop(books.hold(&facts("c"), money(30), &parts).await.unwrap());
            books
                .hold(&facts("c"), money(30), &parts)
                .await
                .unwrap()
                .cancel();
            let mut last = settlement(5);
            last.tokens.input = 2;
            books
                .hold(&facts("c"), money(30), &parts)
                .await
                .unwrap()
                .settle(&last);
        });
        assert!(books.close(PATIENCE));
        assert_eq!(settled(&place), (30 + 7 + 5 + 2, 0, 0));
    }
}

/// 1,000 calls at once on three nodes, each at most 1/100 of the budget.
#[test]
fn three_nodes_never_spend_more_and_leave_little() {
    const LIMIT: i64 = 1_000_000;
    const MOST: i64 = 10_000;
    for place in Place::all() {
        let spent = Arc::new(AtomicI64::new(0));
        let refused = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for node in 0..3 {
                let (spent, refused, place) = (spent.clone(), &refused, &place);
                scope.spawn(move || {
                    let books = place.books(&format!("node-{node}"), BooksOptions::default());
                    let account = books.account(&spec("b", Unit::Money, LIMIT));
                    let local = tokio::task::LocalSet::new();
                    let calls = (0..334).map(|call| {
                        let (books, account) = (books.clone(), account.clone());
                        let spent = spent.clone();
                        local.spawn_local(async move {
                            call_often(&books, &account, call, &spent).await
                        })
                    });
                    let calls: Vec<_> = calls.collect();
                    local.block_on(&runtime(), async {
                        for call in calls {
                            refused.fetch_add(call.await.unwrap(), Ordering::Relaxed);
                        }
                    });
                    assert!(books.close(PATIENCE));
                });
            }
        });
        let spent = spent.load(Ordering::Relaxed);
        assert!(spent <= LIMIT, "{spent} was spent");
        // When the last call was refused, less was left than it needed.
        assert!(spent > LIMIT - MOST, "only {spent} was spent");
        assert!(refused.load(Ordering::Relaxed) > 0);
        assert_eq!(settled(&place), (spent, 0, 0));
    }
}

/// Calls until refused; returns how often.
async fn call_often(
    books: &Arc<Books>,
    account: &Arc<Account>,
    call: i64,
    spent: &AtomicI64,
) -> u64 {
    for round in 0..1_000 {
        let most = 1_000 + (call * 37 + round * 101) % 9_000;
        let held = books
            .hold(&facts("c"), money(most), &[(account, most)])
            .await;
        let Ok(hold) = held else { return 1 };
        tokio::task::yield_now().await;
        let cost = most / (1 + call % 3);
        spent.fetch_add(cost, Ordering::Relaxed);
        hold.settle(&settlement(cost));
    }
    0
}

#[test]
fn a_store_that_is_down_refuses_at_once_or_opens_a_little() {
    let unreachable = || -> Result<Box<dyn gate_store::Store>, StoreError> {
        Err(StoreError::Unreachable("nobody there".into()))
    };
    for (when_down, calls) in [(WhenDown::Closed, 0), (WhenDown::OpenLocal, 10)] {
        let options = BooksOptions {
            when_down,
            retention: None,
        };
        let books = Books::open(Box::new(unreachable), options, Clock::System).unwrap();
        let account = books.account(&spec("b", Unit::Money, 1_280));
        let began = Instant::now();
        let served = runtime().block_on(async {
            let mut served = 0;
            while let Ok(hold) = books.hold(&facts("c"), money(1), &[(&account, 1)]).await {
                served += 1;
                hold.settle(&settlement(1));
            }
            served
        });
        assert_eq!(served, calls);
        assert!(
            began.elapsed() < Duration::from_millis(300),
            "{:?}",
            began.elapsed()
        );
        assert!(!books.is_up());
        books.close(Duration::from_secs(2));
    }
}

#[test]
fn what_was_spent_while_the_store_was_down_is_written_later() {
    for place in Place::all() {
        let options = BooksOptions {
            when_down: WhenDown::OpenLocal,
            retention: None,
        };
        let books = place.books("one", options);
        let account = books.account(&spec("b", Unit::Money, 1_280));
        books.note(facts("free"), &settlement(3));
        runtime().block_on(async {
            let hold = books.hold(&facts("c"), money(9), &[(&account, 9)]).await;
            hold.unwrap().settle(&settlement(9));
        });
        assert!(books.close(PATIENCE));
        assert_eq!(settled(&place), (9, 0, 0));
        assert_eq!(books.pending(), 0);
    }
}
