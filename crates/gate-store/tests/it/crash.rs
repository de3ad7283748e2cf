//! A process that is killed: what it had settled is there, what it had open is charged.

use crate::support::{Place, facts, settlement, spec};
use gate_kit::clock::Clock;
use gate_model::units::Money;
use gate_store::books::Unit;
use gate_store::{Books, BooksOptions, Instance, SqlStore, sqlite::Sqlite};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

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
        let held = runtime.block_on(books.hold(&facts("c"), cost, &[(account.clone(), amount)]));
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
    let place = Place::Sqlite(folder);
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
