//! Processes that are killed, and logs whose end is torn.

use super::{event, journal, seeded, sqlite};
use gate_kit::random::{below, bits};
use gate_store::Database;
use gate_store::journal::{ReadJournal, Reading};
use gate_store::schema::migrate;
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const FILE: &str = "TIDEGATE_TEST_JOURNAL";
const ROUND: &str = "TIDEGATE_TEST_ROUND";
const THREADS: usize = 16;

/// Not a test by itself: what the other one kills. Appends for ever, says each key that was
/// acknowledged, and reads with an effect per event.
#[test]
fn the_killed_writer() {
    let (Ok(path), Ok(round)) = (std::env::var(FILE), std::env::var(ROUND)) else {
        return;
    };
    let open = move || sqlite(Path::new(&path)).unwrap();
    let journal = journal("a", open.clone());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (journal, round) = (&journal, &round);
            scope.spawn(move || {
                for count in 0..1_000_000 {
                    let key = format!("{round}.{thread}.{count}");
                    journal.append(event(&key)).unwrap().wait().unwrap();
                    writeln!(std::io::stderr(), "kept {key}").unwrap();
                }
            });
        }
        scope.spawn(move || {
            let mut reading = Reading::new(open());
            loop {
                let from = reading.position("r").unwrap();
                let events = reading.behind(from, 20).unwrap();
                let Some(last) = events.last() else {
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                };
                let to = last.place;
                let effects = |database: &mut _| have_effects(database, &events);
                assert!(reading.advance_with("r", from, to, effects).unwrap());
            }
        });
    });
}

pub(super) fn have_effects<D: Database>(
    database: &mut D,
    events: &[gate_store::journal::Event],
) -> Result<(), gate_store::StoreError> {
    for event in events {
        database.execute("INSERT INTO effect VALUES ($1)", &[(&*event.key).into()])?;
    }
    Ok(())
}

/// Kills a writer so many times and goes on with what it left; returns how many events there are.
fn killed(times: u64) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let mut database = sqlite(&path).unwrap();
    migrate(&mut database).unwrap();
    database
        .script("CREATE TABLE effect (key TEXT NOT NULL)")
        .unwrap();
    drop(database);
    let mut kept = HashSet::new();
    for round in 0..times {
        seeded(round);
        let until = 1 + below(400);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "journal::crash::the_killed_writer",
                "--nocapture",
            ])
            .env(FILE, &path)
            .env(ROUND, round.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut told = 0;
        // After so many acknowledged events, wherever the writer is then.
        while told < until {
            let line = lines.next().expect("it writes for ever").unwrap();
            if let Some(key) = line.strip_prefix("kept ") {
                told += 1;
                kept.insert(key.to_owned());
            }
        }
        for _ in 0..bits() % 2000 {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before it died counts as well; the last line may be half of one.
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        let whole = rest.len().saturating_sub(1);
        let keys = rest[..whole]
            .iter()
            .filter_map(|line| line.strip_prefix("kept "));
        kept.extend(keys.map(str::to_owned));
    }
    let mut reading = Reading::new(sqlite(&path).unwrap());
    let check = reading.verify().unwrap();
    assert_eq!(check.fault, None);
    let events = reading.behind(0, usize::MAX / 2).unwrap();
    let found: HashSet<String> = events.iter().map(|event| event.key.clone()).collect();
    assert_eq!(found.len(), events.len(), "no event is there twice");
    let lost: Vec<_> = kept.difference(&found).collect();
    assert!(
        lost.is_empty(),
        "{} of {} acknowledged are lost: {lost:?}",
        lost.len(),
        kept.len()
    );
    let position = reading.position("r").unwrap();
    let mut database = sqlite(&path).unwrap();
    let counts = "SELECT COUNT(*), COUNT(DISTINCT key) FROM effect";
    let counts = database.query(counts, &[]).unwrap();
    let counts = (
        counts[0][0].int().unsigned_abs(),
        counts[0][1].int().unsigned_abs(),
    );
    assert_eq!(
        counts,
        (position, position),
        "each event up to the reader's place, once"
    );
    eprintln!(
        "{times} kills, {} acknowledged, {} events",
        kept.len(),
        events.len()
    );
    events.len() as u64
}

#[test]
fn what_was_acknowledged_outlives_kills() {
    assert!(killed(12) > 12);
}

#[test]
#[ignore = "the bar: a thousand kills take minutes"]
fn a_thousand_kills_lose_nothing() {
    assert!(killed(1_000) > 1_000);
}

/// Copies the files of a store whose log ends where it ended when something was acknowledged; behind
/// that, writes that were not synced: some sectors, in no order, others not.
fn torn(from: &Path, to: &Path, synced: usize) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::copy(from.join("journal.db"), to.join("journal.db")).unwrap();
    let log = std::fs::read(from.join("journal.db-wal")).unwrap();
    let mut torn = log[..synced].to_vec();
    let end = synced + below(log.len() - synced + 1);
    for sector in log[synced..end].chunks(512) {
        match below(3) {
            0 => torn.extend_from_slice(sector),
            1 => torn.extend(std::iter::repeat_n(0, sector.len())),
            _ => torn.extend(sector.iter().map(|_| bits() as u8)),
        }
    }
    std::fs::write(to.join("journal.db-wal"), torn).unwrap();
}

#[test]
fn a_log_that_is_torn_behind_the_last_sync_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = {
        let path = path.clone();
        journal("a", move || {
            let mut database = sqlite(&path).unwrap();
            // Checkpoints would begin the log anew, which cutting its end does not model.
            database.script("PRAGMA wal_autocheckpoint = 0").unwrap();
            database
        })
    };
    let length = || {
        std::fs::metadata(folder.path().join("journal.db-wal"))
            .unwrap()
            .len() as usize
    };
    for round in 0..60_u64 {
        seeded(round);
        let count = 1 + below(6) as u64;
        let append = |number: u64| journal.append(event(&format!("{round}.{number}"))).unwrap();
        let tickets: Vec<_> = (0..count).map(append).collect();
        let mut kept = 0;
        for ticket in tickets {
            kept = ticket.wait().unwrap();
        }
        // Nothing waits now, so all of the log is synced; the next group is not.
        let synced = length();
        append(100).wait().unwrap();
        let copy = folder.path().join(format!("copy{round}"));
        torn(folder.path(), &copy, synced);
        let mut reading = Reading::new(sqlite(&copy.join("journal.db")).unwrap());
        let check = reading.verify().unwrap();
        assert_eq!(check.fault, None, "round {round}");
        assert!(
            (kept..=kept + 1).contains(&check.events),
            "{} of {kept}",
            check.events
        );
        // And it goes on.
        drop(reading);
        let copied = copy.join("journal.db");
        let heir = super::journal("a", move || sqlite(&copied).unwrap());
        let place = heir.append(event("heir")).unwrap().wait().unwrap();
        assert_eq!(place, check.events + 1);
        drop(heir);
        std::fs::remove_dir_all(copy).unwrap();
    }
}
