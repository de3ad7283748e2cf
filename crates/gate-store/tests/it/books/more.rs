//! Reservations that grow while their call runs.

use super::{PATIENCE, money, runtime, settled};
use crate::support::{Place, facts, settlement, spec};
use gate_kit::clock::Clock;
use gate_model::resources::BudgetPeriod;
use gate_store::BooksOptions;
use gate_store::books::{BudgetSpec, Unit};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

#[test]
fn calls_that_reserve_again_and_again_never_spend_more() {
    const LIMIT: i64 = 10_000;
    for place in Place::all() {
        let books = place.books("one", BooksOptions::default());
        let account = books.account(&spec("b", Unit::Money, LIMIT));
        let spent = AtomicI64::new(0);
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime(), async {
            let one = async |most: i64| {
                loop {
                    let parts = [(&account, most)];
                    let held = books.hold(&facts("c"), money(most), &parts).await;
                    let Ok(hold) = held else { return };
                    let more = hold.more(1).unwrap();
                    let mut used = most;
                    for _ in 0..3 {
                        tokio::task::yield_now().await;
                        used += if more.take(|_| true).await.is_ok() {
                            most
                        } else {
                            0
                        };
                    }
                    spent.fetch_add(used, Ordering::Relaxed);
                    hold.settle(&settlement(used));
                }
            };
            tokio::join!(one(30), one(170), one(7), one(61), one(400), one(99));
        });
        assert!(books.close(PATIENCE));
        let spent = spent.load(Ordering::Relaxed);
        assert!(spent <= LIMIT && spent > LIMIT - 7, "{spent}");
        assert_eq!(settled(&place), (spent, 0, 0));
    }
}

#[test]
fn what_is_added_belongs_to_the_period_of_its_call_and_ends_with_it() {
    for place in Place::all() {
        let (clock, hands) = Clock::manual();
        // One second before midnight.
        hands.advance(Duration::from_secs(20_000 * 86_400 - 1));
        let books = place.books_at("one", BooksOptions::default(), clock);
        let day = BudgetSpec {
            period: BudgetPeriod::Day,
            ..spec("b", Unit::Tokens, 1_000)
        };
        let account = books.account(&day);
        runtime().block_on(async {
            let hold = books.hold(&facts("c"), None, &[(&account, 400)]).await;
            let hold = hold.unwrap();
            let more = hold.more(1).unwrap();
            hands.advance(Duration::from_secs(10));
            more.take(|_| true).await.unwrap();
            // So much is left of yesterday, however much there is of today.
            more.cover(|_, _| 600).await.unwrap();
            assert!(more.cover(|_, _| 601).await.is_err());
            let mut last = settlement(0);
            last.tokens.input = 900;
            hold.settle(&last);
            assert!(more.take(|_| true).await.is_err());
            // Today is untouched.
            let today = books.hold(&facts("c"), None, &[(&account, 1_000)]).await;
            today.unwrap().cancel();
        });
        assert!(books.close(PATIENCE));
        assert_eq!(settled(&place), (900, 0, 0));
    }
}
