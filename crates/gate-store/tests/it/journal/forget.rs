//! Payloads of consumers: sealed as they are kept, read as they were appended, gone with their key.

use super::{Over, event, journal, over_all, sqlite};
use gate_store::Database;
use gate_store::journal::{NewEvent, ReadJournal, Reading};

const SECRET: &[u8] = b"what only ada may know, thirty-seven and a half";

fn of(consumer: &str, key: &str) -> NewEvent {
    NewEvent {
        consumer: consumer.into(),
        payload: SECRET.into(),
        ..event(key)
    }
}

struct Forgets;

impl Over for Forgets {
    fn run<D: Database + 'static>(&self, connect: &(impl Fn() -> D + Clone + Send + 'static)) {
        let journal = journal("a", connect.clone());
        let append = |event| journal.append(event).unwrap().wait().unwrap();
        // More consumers than one statement asks for.
        let tickets: Vec<_> = (0..100)
            .map(|number| {
                let consumer = ["ada", "bob", &format!("c{number}")][number % 3].to_owned();
                journal.append(of(&consumer, &format!("{number}"))).unwrap()
            })
            .collect();
        for ticket in tickets {
            ticket.wait().unwrap();
        }
        let mut reading = Reading::new(connect());
        let read = reading.behind(0, 1000).unwrap();
        assert!(
            read.iter()
                .all(|event| event.payload.as_deref() == Some(SECRET))
        );
        let kept = connect().query("SELECT payloads FROM journal_group", &[]);
        let kept = kept.unwrap();
        for row in kept {
            let gate_store::database::Value::Bytes(kept) = &row[0] else {
                panic!("{row:?}");
            };
            assert!(!kept.windows(8).any(|part| part == &SECRET[..8]));
        }
        let forgotten = reading.forget("ada", 7).unwrap();
        assert_eq!(forgotten.events, 34);
        assert_eq!(reading.forget("ada", 8).unwrap().events, 0);
        assert_eq!(reading.forget("", 8).unwrap().events, 0);
        // What comes later is sealed under another key, which the writer must not have kept.
        append(of("ada", "later"));
        let check = reading.verify().unwrap();
        assert_eq!(
            (check.events, check.destroyed, check.fault),
            (102, 34, None)
        );
        for event in reading.behind(0, 1000).unwrap() {
            let is_gone = event.consumer == "ada" && event.key != "later";
            assert_eq!(event.payload.is_none(), is_gone, "{event:?}");
        }
        let told = &reading.behind(100, 1).unwrap()[0];
        assert_eq!((&*told.kind, told.at_ms), ("forgotten", 7));
        let told: serde_json::Value =
            serde_json::from_slice(told.payload.as_ref().unwrap()).unwrap();
        assert_eq!(told, serde_json::json!({ "consumer": "ada", "events": 34 }));
        assert_eq!(reading.forget("ada", 9).unwrap().events, 1);
        // Sealed for this event alone: exchanged with another's it opens nothing and is told.
        assert_eq!(append(of("bob", "x")), 104);
        assert_eq!(append(of("bob", "y")), 105);
        let exchange = "UPDATE journal_group SET payloads =
                        (SELECT payloads FROM journal_group WHERE place = 104) WHERE place = 105";
        connect().script(exchange).unwrap();
        assert_eq!(reading.behind(104, 1).unwrap()[0].payload, None);
        assert_eq!(
            reading.verify().unwrap().fault.map(|fault| fault.place),
            Some(105)
        );
    }
}

#[test]
fn a_forgotten_consumers_payloads_are_gone_and_the_chain_is_whole() {
    over_all(&Forgets);
}

#[test]
fn nothing_in_the_files_holds_a_forgotten_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = {
        let path = path.clone();
        journal("a", move || sqlite(&path).unwrap())
    };
    for number in 0..50 {
        let consumer = format!("c{}", number % 10);
        let event = of(&consumer, &format!("{number}"));
        journal.append(event).unwrap().wait().unwrap();
    }
    let keys = "SELECT secret FROM journal_secret ORDER BY consumer";
    let keys = sqlite(&path).unwrap().query(keys, &[]).unwrap();
    let is_there = |row: &[gate_store::database::Value]| {
        let gate_store::database::Value::Bytes(key) = &row[0] else {
            panic!("{row:?}");
        };
        ["journal.db", "journal.db-wal"].iter().any(|name| {
            let bytes = std::fs::read(folder.path().join(name)).unwrap();
            bytes.windows(key.len()).any(|part| part == key)
        })
    };
    assert_eq!(keys.len(), 10);
    assert!(keys.iter().all(|row| is_there(row)));
    let forgotten = Reading::new(sqlite(&path).unwrap())
        .forget("c3", 1)
        .unwrap();
    assert_eq!((forgotten.events, forgotten.is_erased), (5, true));
    for (number, row) in keys.iter().enumerate() {
        assert_eq!(is_there(row), number != 3, "{number}");
    }
    // Whoever reads keeps the log's old pages in use; that is said, and mended by asking again.
    let mut reader = sqlite(&path).unwrap();
    reader.script("BEGIN").unwrap();
    reader
        .query("SELECT COUNT(*) FROM journal_group", &[])
        .unwrap();
    let mut reading = Reading::new(sqlite(&path).unwrap());
    let forgotten = reading.forget("c4", 2).unwrap();
    assert_eq!((forgotten.events, forgotten.is_erased), (5, false));
    reader.script("COMMIT").unwrap();
    let forgotten = reading.forget("c4", 3).unwrap();
    assert_eq!((forgotten.events, forgotten.is_erased), (0, true));
    assert!(!is_there(&keys[4]) && is_there(&keys[5]));
}
