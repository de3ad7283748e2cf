//! The journal over both databases; then what a process that is killed, a disk that is full or broken
//! and power that is cut leave of it, and what consumers and retention take away.

mod bars;
mod carried;
mod crash;
mod disk;
mod forget;
mod packed;
mod pruned;

use crate::support::Place;
use gate_kit::clock::Clock;
use gate_kit::random;
use gate_store::journal::{AppendError, Journal, JournalOptions, NewEvent, ReadJournal, Reading};
use gate_store::postgres::Postgres;
use gate_store::schema::migrate;
use gate_store::sqlite::Sqlite;
use gate_store::{Database, StoreError};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

fn event(key: &str) -> NewEvent {
    NewEvent {
        key: key.into(),
        kind: "test".into(),
        consumer: "".into(),
        payload: key.repeat(3).into_bytes().into(),
    }
}

fn sqlite(path: &Path) -> Result<Sqlite, StoreError> {
    Sqlite::open(path)
}

fn journal<D: Database + 'static>(node: &str, connect: impl Fn() -> D + Send + 'static) -> Journal {
    migrate(&mut connect()).unwrap();
    let connect = Box::new(move || Ok(connect()));
    Journal::open(node, connect, JournalOptions::default(), Clock::System).unwrap()
}

/// A test over a place: how to connect to it.
trait Over {
    fn run<D: Database + 'static>(&self, connect: &(impl Fn() -> D + Clone + Send + 'static));
}

fn over_all(test: &impl Over) {
    for place in Place::all() {
        match &place {
            Place::Sqlite(folder) => {
                let path = folder.path().join("journal.db");
                test.run(&move || Sqlite::open(&path).unwrap());
            }
            Place::Postgres(address) => {
                let address = address.clone();
                test.run(&move || Postgres::connect(&address).unwrap());
            }
        }
    }
}

struct Ordered;

impl Over for Ordered {
    fn run<D: Database + 'static>(&self, connect: &(impl Fn() -> D + Clone + Send + 'static)) {
        let nodes = [journal("a", connect.clone()), journal("b", connect.clone())];
        // Two nodes, four threads each; every tenth event comes again under its key.
        std::thread::scope(|scope| {
            for (number, node) in nodes.iter().enumerate() {
                for thread in 0..4 {
                    scope.spawn(move || {
                        for count in 0..50 {
                            let key = format!("{number}.{thread}.{count}");
                            let place = node.append(event(&key)).unwrap().wait().unwrap();
                            if count % 10 == 0 {
                                let again = node.append(event(&key)).unwrap().wait().unwrap();
                                assert_eq!(again, place);
                            }
                        }
                    });
                }
            }
        });
        let mut reading = Reading::new(connect());
        assert_eq!(reading.end().unwrap(), 400);
        let events = reading.behind(0, 1000).unwrap();
        assert!(
            events
                .iter()
                .zip(1..)
                .all(|(event, place)| event.place == place)
        );
        let mut keys: Vec<&str> = events.iter().map(|event| &*event.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 400);
        assert_eq!(
            events[7].payload,
            Some(events[7].key.repeat(3).into_bytes())
        );
        assert_eq!(reading.behind(398, 10).unwrap(), events[398..]);
        assert_eq!(reading.behind(0, 3).unwrap(), events[..3]);
        let check = reading.verify().unwrap();
        assert_eq!((check.events, check.fault), (400, None));
        assert_eq!(check.heads.len(), 2);
        assert_eq!(reading.place_at(0).unwrap(), 0);
        assert_eq!(reading.place_at(i64::MAX).unwrap(), 400);
        // A node that comes back goes on with its chain.
        drop(nodes);
        let again = journal("a", connect.clone());
        assert_eq!(again.append(event("new")).unwrap().wait().unwrap(), 401);
        let newest = &reading.behind(400, 1).unwrap()[0];
        assert_eq!((&*newest.node, newest.sequence), ("a", 201));
        assert_eq!(reading.verify().unwrap().events, 401);
    }
}

#[test]
fn events_of_all_nodes_have_one_order_without_gaps() {
    over_all(&Ordered);
}

struct Read;

impl Over for Read {
    fn run<D: Database + 'static>(&self, connect: &(impl Fn() -> D + Clone + Send + 'static)) {
        let journal = journal("a", connect.clone());
        let tickets: Vec<_> = (0..40)
            .map(|number| journal.append(event(&format!("{number:02}"))).unwrap())
            .collect();
        // Written together, in the order of appending.
        let places: Vec<u64> = tickets
            .into_iter()
            .map(|ticket| ticket.wait().unwrap())
            .collect();
        assert_eq!(places, (1..=40).collect::<Vec<u64>>());
        let mut reading = Reading::new(connect());
        connect()
            .script("CREATE TABLE effect (place BIGINT NOT NULL)")
            .unwrap();
        assert_eq!(reading.position("r").unwrap(), 0);
        assert!(reading.advance("r", 0, 10).unwrap());
        assert!(!reading.advance("r", 0, 10).unwrap(), "it is at 10 already");
        assert_eq!(reading.position("r").unwrap(), 10);
        assert_eq!(reading.position("other").unwrap(), 0);
        let effect = |database: &mut D| {
            database
                .execute("INSERT INTO effect VALUES ($1)", &[20.into()])
                .map(drop)
        };
        assert!(reading.advance_with("r", 10, 20, effect).unwrap());
        assert!(!reading.advance_with("r", 10, 20, effect).unwrap());
        let fails = |_: &mut D| Err(StoreError::Refused("no".into()));
        reading.advance_with("r", 20, 30, fails).unwrap_err();
        assert_eq!(reading.position("r").unwrap(), 20);
        let effects = connect().query("SELECT COUNT(*) FROM effect", &[]).unwrap();
        assert_eq!(effects[0][0].int(), 1);
    }
}

#[test]
fn a_reader_moves_with_its_effect_or_not_at_all() {
    over_all(&Read);
}

struct Chained;

impl Over for Chained {
    fn run<D: Database + 'static>(&self, connect: &(impl Fn() -> D + Clone + Send + 'static)) {
        let journal = journal("a", connect.clone());
        for number in 0..30 {
            let mut event = event(&format!("{number}"));
            event.consumer = ["", "ada", "bob"][number % 3].into();
            journal.append(event).unwrap().wait().unwrap();
        }
        let mut reading = Reading::new(connect());
        let check = reading.verify().unwrap();
        assert_eq!((check.events, check.destroyed, check.fault), (30, 0, None));
        let keep = "CREATE TABLE kept AS SELECT * FROM journal_group";
        connect().script(keep).unwrap();
        for (wrong, right, place, problem) in [
            (
                "UPDATE journal_group SET at_ms = at_ms + 1 WHERE place = 5",
                "UPDATE journal_group SET at_ms = at_ms - 1 WHERE place = 5",
                5,
                "as it was written",
            ),
            (
                "UPDATE journal_group SET heads = payloads WHERE place = 6",
                "UPDATE journal_group SET heads = (SELECT heads FROM kept WHERE place = 6)
                 WHERE place = 6",
                6,
                "as it was written",
            ),
            (
                "UPDATE journal_group SET payloads = (SELECT payloads FROM kept WHERE place = 10)
                 WHERE place = 7",
                "UPDATE journal_group SET payloads = (SELECT payloads FROM kept WHERE place = 7)
                 WHERE place = 7",
                7,
                "payload",
            ),
            (
                "UPDATE journal_group SET place = 99 WHERE place = 9",
                "UPDATE journal_group SET place = 9 WHERE place = 99",
                9,
                "not there",
            ),
            (
                "UPDATE journal_mark SET hash = '' WHERE kind = 'node'",
                "UPDATE journal_mark SET hash = (SELECT hash FROM kept WHERE place = 30)
                 WHERE kind = 'node'",
                30,
                "written last",
            ),
            (
                "DELETE FROM journal_group WHERE place = 30",
                "",
                30,
                "not there",
            ),
        ] {
            connect().script(wrong).unwrap();
            let fault = reading.verify().unwrap().fault.expect(wrong);
            assert_eq!(fault.place, place, "{wrong}");
            assert!(
                fault.problem.contains(problem),
                "{wrong}: {}",
                fault.problem
            );
            if !right.is_empty() {
                connect().script(right).unwrap();
                assert_eq!(reading.verify().unwrap().fault, None, "{right}");
            }
        }
    }
}

#[test]
fn a_change_breaks_the_chain() {
    over_all(&Chained);
}

#[test]
fn what_cannot_wait_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    migrate(&mut sqlite(&path).unwrap()).unwrap();
    let options = JournalOptions {
        waiting_events: 4,
        waiting_bytes: 1000,
        ..JournalOptions::default()
    };
    let connect = {
        let path = path.clone();
        // Longer than this test holds the file, whatever else the machine does.
        Box::new(move || sqlite(&path)?.patient())
    };
    let journal = Journal::open("a", connect, options, Clock::System).unwrap();
    let long = |name: &str| NewEvent {
        payload: vec![0; 1001].into(),
        ..event(name)
    };
    let refused = |event| matches!(journal.append(event), Err(AppendError::Refused(_)));
    assert!(refused(long("long")) && refused(event("")) && refused(event("a\0b")));
    assert!(refused(event(&"k".repeat(2000))));
    // The writer waits while somebody else has the file, so what comes has to wait, too.
    let mut other = sqlite(&path).unwrap();
    other.script("BEGIN IMMEDIATE").unwrap();
    let mut tickets = Vec::new();
    let full = loop {
        match journal.append(event(&format!("{}", tickets.len()))) {
            Ok(ticket) => tickets.push(ticket),
            Err(error) => break error,
        }
        assert!(tickets.len() <= 8, "one group is on its way and one waits");
    };
    assert!(matches!(full, AppendError::Full), "{full}");
    other.script("COMMIT").unwrap();
    for ticket in tickets {
        ticket.wait().unwrap();
    }
    drop(journal);
    assert_eq!(
        Reading::new(sqlite(&path).unwrap()).verify().unwrap().fault,
        None
    );
}

#[test]
fn a_full_disk_refuses_and_space_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    migrate(&mut sqlite(&path).unwrap()).unwrap();
    let pages = Arc::new(AtomicI64::new(200));
    let connect = {
        let (path, pages) = (path.clone(), pages.clone());
        Box::new(move || {
            let mut database = sqlite(&path)?;
            // SQLite answers with SQLITE_FULL beyond it, as it does when the disk is full.
            let most = pages.load(Ordering::SeqCst);
            database.script(&format!("PRAGMA max_page_count = {most}"))?;
            Ok(database)
        })
    };
    let journal = Journal::open("a", connect, JournalOptions::default(), Clock::System).unwrap();
    let big = |number: usize| NewEvent {
        payload: vec![7; 8 << 10].into(),
        ..event(&format!("{number}"))
    };
    let mut kept = 0;
    let error = loop {
        match journal.append(big(kept)).unwrap().wait() {
            Ok(place) => {
                kept += 1;
                assert_eq!(place, kept as u64);
            }
            Err(error) => break error,
        }
        assert!(kept < 200, "the limit holds");
    };
    let full = matches!(&error, AppendError::Store(StoreError::Unreachable(text)) if text.contains("full"));
    assert!(full && kept > 10, "{error} after {kept}");
    // Still full, still refused, nothing lost.
    journal.append(big(kept)).unwrap().wait().unwrap_err();
    assert_eq!(
        Reading::new(sqlite(&path).unwrap())
            .verify()
            .unwrap()
            .events,
        kept as u64
    );
    pages.store(10_000, Ordering::SeqCst);
    // The connection that was refused is given up, so that the next append sees the space.
    for number in kept..kept + 20 {
        let place = journal.append(big(number)).unwrap().wait().unwrap();
        assert_eq!(place, number as u64 + 1);
    }
    let check = Reading::new(sqlite(&path).unwrap()).verify().unwrap();
    assert_eq!((check.events, check.fault), (kept as u64 + 20, None));
}

/// The same choices in each run of a round.
fn seeded(round: u64) {
    random::seed(0x6a6f_7572 ^ round);
}
