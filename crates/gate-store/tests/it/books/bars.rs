//! Measured: what the ledger's writer costs for a call under a budget, journal included. Run with
//! `--release` and `--ignored --nocapture books::bars`.

use super::{money, runtime};
use crate::support::{Place, Scratch, facts, settlement, spec};
use gate_store::BooksOptions;
use gate_store::books::Unit;
use std::time::{Duration, Instant};

/// Calls under way, what else a worker does for each, and how long this takes.
const IN_FLIGHT: u32 = 64;
const WORK: Duration = Duration::from_micros(15);
const LENGTH: Duration = Duration::from_secs(4);

/// CPU time of this process's threads of a name.
fn cpu(name: &str) -> Duration {
    let mut sum = 0;
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let read = |file| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if read("comm").trim() == name {
            let ran = read("schedstat");
            let ran = ran.split_whitespace().next().unwrap_or("0");
            sum += ran.parse::<u64>().unwrap();
        }
    }
    Duration::from_nanos(sum)
}

#[test]
#[ignore = "a measurement, for release builds on a quiet machine"]
fn the_writer_costs_little_beside_a_call() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let place = Place::Sqlite(Scratch::Borrowed(folder.path().to_owned()));
    let books = place.books("one", BooksOptions::default());
    let account = books.account(&spec("b", Unit::Money, i64::MAX / 4));
    let (began, before) = (Instant::now(), cpu("ledger"));
    let local = tokio::task::LocalSet::new();
    let calls: u64 = runtime().block_on(local.run_until(async {
        let tasks: Vec<_> = (0..IN_FLIGHT)
            .map(|_| {
                let (books, account) = (books.clone(), account.clone());
                tokio::task::spawn_local(async move {
                    let facts = facts("c");
                    let mut calls = 0;
                    while began.elapsed() < LENGTH {
                        let parts = [(&account, 30)];
                        let hold = books.hold(&facts, money(30), &parts).await.unwrap();
                        let works = Instant::now();
                        while works.elapsed() < WORK {
                            std::hint::spin_loop();
                        }
                        // The others come in between, so that each call takes as long as all of them.
                        tokio::task::yield_now().await;
                        hold.settle(&settlement(20));
                        calls += 1;
                    }
                    calls
                })
            })
            .collect();
        let mut calls = 0;
        for task in tasks {
            calls += task.await.unwrap();
        }
        calls
    }));
    let took = cpu("ledger") - before;
    assert!(books.close(Duration::from_secs(10)));
    let check = place.reading().verify().unwrap();
    assert_eq!(check.fault, None);
    eprintln!(
        "{calls} calls, {:.0} a second: {:.2} us of the writer's CPU each, {:.1} ms a second; \
         {} events in the journal",
        calls as f64 / LENGTH.as_secs_f64(),
        took.as_secs_f64() * 1e6 / calls as f64,
        took.as_secs_f64() * 1e3 / LENGTH.as_secs_f64(),
        check.events,
    );
}
