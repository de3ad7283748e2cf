//! A process that is killed: what it had settled is there, what it had open is charged.

use crate::support::{Place, Scratch, facts, settlement, spec};
use gate_kit::clock::Clock;
use gate_model::units::Money;
use gate_store::Account;
use gate_store::books::Unit;
use gate_store::postgres::Postgres;
use gate_store::{Books, BooksOptions, Instance, Refusal, SqlStore, sqlite::Sqlite};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

const FILE: &str = "TIDEGATE_TEST_LEDGER";
const LIMIT: i64 = 128_000;
const SLICE: i64 = LIMIT / 128;

fn open(path: &std::path::Path) -> std::sync::Arc<Books> {
    let path = path.to_owned();
    let connect = Box::new(move || {
        let store = SqlStore::open(Sqlite::open(&path)?, Instance::this())?;
        Ok(Box::new(store) as Box<dyn gate_store::Store>)
    });
    Books::open(connect, BooksOptions::default(), Clock::System).unwrap()
}

/// Not a test by itself: what the other one kills. Settles 10 of 20 for ever, says how much once
/// each call is over, and keeps one call of 77 open.
#[test]
fn the_killed_process() {
    let Ok(path) = std::env::var(FILE) else {
        return;
    };
    let books = open(&PathBuf::from(path));
    let account = books.account(&spec("b", Unit::Money, LIMIT));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let hold = |amount: i64| {
        let cost = Some(Money::from_picodollars(amount));
        let held = runtime.block_on(books.hold(&facts("c"), cost, &[(&account, amount)]));
        held.unwrap()
    };
    let _open = hold(77);
    let mut spent = 0;
    for _ in 0..LIMIT / 40 {
        hold(20).settle(&settlement(10));
        spent += 10;
        eprintln!("spent {spent}");
    }
}

#[test]
fn no_spending_is_lost_when_a_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::the_killed_process", "--nocapture"])
        .env(FILE, &path)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = 0;
    for line in lines {
        if let Some(spent) = line.unwrap().strip_prefix("spent ") {
            told = spent.parse().unwrap();
            // Long enough that the open call is written; not at the end of a commit.
            if told >= 5_000 {
                break;
            }
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(told >= 5_000, "the process ended by itself at {told}");
    let heir = open(&path);
    let place = Place::Sqlite(Scratch::Own(folder));
    let mut store = place.store("reader");
    let balance = (0..100).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let balance = store
            .balances()
            .unwrap()
            .into_iter()
            .find(|row| row.budget == "b");
        balance.filter(|row| row.unsettled > 0)
    });
    let balance = balance.expect("the dead process is found");
    // The open call at its reservation, and at most a slice for what had not been written.
    let charged = balance.settled + balance.unsettled;
    assert!(balance.unsettled >= 77, "{balance:?}");
    assert!(charged >= told + 77, "{balance:?}, but {told} was spent");
    // What the process spent between the last line read and its end is not known here.
    assert!(balance.unsettled <= 77 + 3 * SLICE, "{balance:?}");
    assert!(heir.close(std::time::Duration::from_secs(10)));
}

/// Names the store of a node that another test starts.
const NODE: &str = "TIDEGATE_TEST_NODE";
/// Calls in flight on each node: 1,002 on three.
const CALLS: usize = 334;
/// What a call reserves, what it takes, and for how long.
const MOST: i64 = 2_000;
const COST: i64 = 1_000;
const TIME: Duration = Duration::from_millis(200);
/// The nodes' budget, and what a node leases of it.
const SHARED: i64 = 100 * LIMIT;
const SHARED_SLICE: i64 = SHARED / 128;

/// What a node is told of its store.
fn address(place: &Place) -> String {
    match place {
        Place::Sqlite(folder) => folder.path().join("ledger.db").display().to_string(),
        Place::Postgres(_) => place.name(),
    }
}

/// Books of this very process, whose death is seen by its number.
fn books_at(address: &str) -> Arc<Books> {
    let Some(server) = address.strip_prefix("postgres ").map(str::to_owned) else {
        return open(std::path::Path::new(address));
    };
    let connect = Box::new(move || {
        let store = SqlStore::open(Postgres::connect(&server)?, Instance::this())?;
        Ok(Box::new(store) as Box<dyn gate_store::Store>)
    });
    Books::open(connect, BooksOptions::default(), Clock::System).unwrap()
}

/// Calls until less is left than a call needs; `each` is told of every call that is settled.
async fn call_until_refused(books: &Arc<Books>, account: &Arc<Account>, each: &dyn Fn()) {
    let cost = Some(Money::from_picodollars(MOST));
    loop {
        let part = [(account, MOST)];
        match books.hold(&facts("c"), cost, &part).await {
            Ok(hold) => {
                tokio::time::sleep(TIME).await;
                hold.settle(&settlement(COST));
                each();
            }
            Err(Refusal::Exhausted { .. }) => return,
            // The store is not open yet.
            Err(_) => tokio::time::sleep(TIME).await,
        }
    }
}

/// Not a test by itself: one of three nodes that spend a budget, and say how much after each call.
#[test]
fn one_of_three_nodes() {
    let Ok(address) = std::env::var(NODE) else {
        return;
    };
    let books = books_at(&address);
    let account = books.account(&spec("b", Unit::Money, SHARED));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let spent = AtomicI64::new(0);
    let tell = || {
        let spent = spent.fetch_add(COST, Ordering::Relaxed) + COST;
        eprintln!("spent {spent}");
    };
    let calls = (0..CALLS).map(|_| call_until_refused(&books, &account, &tell));
    runtime.block_on(async {
        futures_of(calls).await;
    });
    assert!(books.close(Duration::from_secs(10)));
}

/// Runs all of them beside each other.
async fn futures_of<F: Future<Output = ()>>(all: impl Iterator<Item = F>) {
    let mut running: Vec<_> = all.map(|one| Some(Box::pin(one))).collect();
    std::future::poll_fn(|cx| {
        for slot in &mut running {
            if slot
                .as_mut()
                .is_some_and(|one| one.as_mut().poll(cx).is_ready())
            {
                *slot = None;
            }
        }
        match running.iter().all(Option::is_none) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}

fn node(address: &str, told: &Arc<AtomicI64>) -> (Child, std::thread::JoinHandle<()>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::one_of_three_nodes", "--nocapture"])
        .env(NODE, address)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let told = told.clone();
    let reading = std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some(spent) = line.strip_prefix("spent ") {
                told.store(spent.parse().unwrap_or(0), Ordering::SeqCst);
            }
        }
    });
    (child, reading)
}

/// A thousand calls at once on three nodes, of which one is killed in the middle: nothing that was
/// spent is lost, the budget is never exceeded, and what is left of it can be spent.
#[test]
fn three_nodes_hold_a_budget_when_one_of_them_is_killed() {
    for place in Place::all() {
        let address = address(&place);
        let told: [Arc<AtomicI64>; 3] = Default::default();
        let mut nodes: Vec<_> = told.iter().map(|told| node(&address, told)).collect();
        let began = std::time::Instant::now();
        while told[0].load(Ordering::SeqCst) < SHARED / 20 {
            assert!(began.elapsed() < Duration::from_secs(60), "it never spent");
            std::thread::sleep(Duration::from_millis(1));
        }
        nodes[0].0.kill().unwrap();
        for (index, (child, reading)) in nodes.iter_mut().enumerate() {
            let status = child.wait().unwrap();
            assert_eq!(status.success(), index > 0, "node {index}: {status}");
            let ended = std::mem::replace(reading, std::thread::spawn(|| {}));
            ended.join().unwrap();
        }
        let spent: i64 = told.iter().map(|told| told.load(Ordering::SeqCst)).sum();
        assert!(spent <= SHARED, "{spent} was spent");
        let heir = books_at(&address);
        let mut store = place.store("reader");
        let mut balance = || {
            let rows = store.balances().unwrap();
            rows.into_iter().find(|row| row.budget == "b").unwrap()
        };
        let found = (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            balance().unsettled > 0
        });
        assert!(found, "the dead node is found: {:?}", balance());
        // Its open calls at what they had reserved, and what it had not written of those before them.
        let row = balance();
        assert!(
            row.settled + row.unsettled >= spent,
            "{row:?}, but {spent} was spent"
        );
        assert!(row.settled + row.unsettled <= SHARED, "{row:?}");
        let open = MOST * i64::try_from(CALLS).unwrap();
        assert!(row.unsettled <= 2 * open + 3 * SHARED_SLICE, "{row:?}");
        // Nobody is refused while there is enough left for a call.
        let account = heir.account(&spec("b", Unit::Money, SHARED));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let calls = (0..CALLS).map(|_| call_until_refused(&heir, &account, &|| {}));
        runtime.block_on(futures_of(calls));
        assert!(heir.close(Duration::from_secs(10)));
        let row = balance();
        let left = SHARED - row.settled - row.unsettled;
        assert!((0..MOST).contains(&left), "{row:?}");
    }
}
