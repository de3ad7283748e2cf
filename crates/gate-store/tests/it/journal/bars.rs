//! Measured: events per sync, PostgreSQL and NATS JetStream beside it, and opening a large journal. Run
//! with `--release` and `--ignored --nocapture journal::bars`.

use super::{journal, sqlite};
use crate::support::nats::Nats;
use crate::support::postgres::Server;
use gate_store::Database;
use gate_store::journal::{Counts, Journal, NewEvent, ReadJournal, Reading};
use gate_store::postgres::Postgres;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long one measurement of one system takes.
const ROUND: Duration = Duration::from_secs(2);

/// On the disk of the build, as temporary folders may lie in memory.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(PathBuf::from(env!("CARGO_TARGET_TMPDIR"))).unwrap()
}

fn event(round: usize, thread: usize, count: u64) -> NewEvent {
    NewEvent {
        key: format!("{round:02}{count:010}{thread:04}").into(),
        kind: "com.example.measured".into(),
        consumer: "".into(),
        payload: vec![b'x'; 720].into(),
    }
}

/// Syncs per second of this disk, of 4 KiB appended each time: with what the file's length and times
/// need (`fsync`, which SQLite does), and with what reading it back needs (`fdatasync`).
fn syncs() -> [f64; 2] {
    [std::fs::File::sync_all, std::fs::File::sync_data].map(|sync| {
        let folder = folder();
        let mut file = std::fs::File::create(folder.path().join("synced")).unwrap();
        let (began, mut count) = (Instant::now(), 0);
        while began.elapsed() < Duration::from_millis(500) {
            file.write_all(&[1; 4096]).unwrap();
            sync(&file).unwrap();
            count += 1;
        }
        f64::from(count) / began.elapsed().as_secs_f64()
    })
}

/// Threads that append, one event after the other each.
fn by_threads(journal: &Arc<Journal>, round: usize, in_flight: usize) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..in_flight {
            let stop = &stop;
            scope.spawn(move || {
                for count in (0..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                    let ticket = journal.append(event(round, thread, count)).unwrap();
                    ticket.wait().unwrap();
                }
            });
        }
        std::thread::sleep(ROUND);
        stop.store(true, Ordering::Relaxed);
    });
}

/// The same by tasks of two workers, as in a gateway.
fn by_tasks(journal: &Arc<Journal>, round: usize, in_flight: usize) {
    let stop = Arc::new(AtomicBool::new(false));
    let append = |task| {
        let (journal, stop) = (journal.clone(), stop.clone());
        async move {
            for count in (0..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                let ticket = journal.append(event(round, task, count)).unwrap();
                ticket.done().await.unwrap();
            }
        }
    };
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let append = &append;
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build();
                let runtime = runtime.unwrap();
                let tasks = (worker..in_flight).step_by(2);
                let tasks: Vec<_> = tasks.map(|task| runtime.spawn(append(task))).collect();
                for task in tasks {
                    runtime.block_on(task).unwrap();
                }
            });
        }
        std::thread::sleep(ROUND);
        stop.store(true, Ordering::Relaxed);
    });
}

/// Measures who appends, between two measurements of the disk, as one that others use is not the same
/// twice.
fn measure(name: &str, in_flight: usize, run: impl FnOnce(&Arc<Journal>)) {
    let folder = folder();
    let path = folder.path().join("journal.db");
    let journal = Arc::new(journal("a", move || sqlite(&path).unwrap()));
    let before = syncs();
    run(&journal);
    let Counts { groups, events, .. } = journal.counts();
    let rate = events as f64 / ROUND.as_secs_f64();
    let after = syncs();
    let [full, data] = [0, 1].map(|which| f64::midpoint(before[which], after[which]));
    eprintln!(
        "{in_flight:>4} {name} in flight: {:.1} events per commit, {rate:.0} events/s, \
         {:.1} per fsync ({full:.0}/s), {:.1} per fdatasync ({data:.0}/s)",
        events as f64 / groups as f64,
        rate / full,
        rate / data,
    );
}

#[test]
#[ignore = "a measurement, for release builds on a quiet machine"]
fn a_group_takes_everything_that_waits() {
    let settings = ["listen_addresses=", "fsync=on", "max_connections=300"];
    let server = Server::with(&settings.map(str::to_owned), |_| ());
    let nats = Nats::start(&PathBuf::from(env!("CARGO_TARGET_TMPDIR")));
    for in_flight in [64, 256] {
        for round in 0..3 {
            measure("tasks", in_flight, |journal| {
                by_tasks(journal, round, in_flight);
            });
            measure("threads", in_flight, |journal| {
                by_threads(journal, round, in_flight);
            });
            if let Some(server) = &server {
                postgres(server, in_flight);
            }
            if let Some(nats) = &nats {
                let payload = event(0, 0, 0).payload;
                let rate = nats.rate(in_flight, &payload, ROUND);
                eprintln!("{in_flight:>4} in flight to NATS JetStream: {rate:.0} events/s");
            }
        }
    }
}

/// The same rows, each in a transaction of its own, by as many connections.
fn postgres(server: &Server, clients: usize) {
    let address = server.database();
    let table = "CREATE TABLE event (key TEXT PRIMARY KEY, payload BYTEA NOT NULL)";
    Postgres::connect(&address).unwrap().script(table).unwrap();
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let ready = std::sync::Barrier::new(clients + 1);
    std::thread::scope(|scope| {
        for client in 0..clients {
            let (address, stop, written, ready) = (&address, &stop, &written, &ready);
            scope.spawn(move || {
                let mut database = Postgres::connect(address).unwrap();
                ready.wait();
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    let event = event(0, client, count);
                    let values = [(&*event.key).into(), (&*event.payload).into()];
                    database
                        .execute("INSERT INTO event VALUES ($1, $2)", &values)
                        .unwrap();
                    written.fetch_add(1, Ordering::Relaxed);
                    count += 1;
                }
            });
        }
        ready.wait();
        std::thread::sleep(ROUND);
        stop.store(true, Ordering::Relaxed);
    });
    let rate = written.load(Ordering::Relaxed) as f64 / ROUND.as_secs_f64();
    eprintln!("{clients:>4} clients of PostgreSQL: {rate:.0} events/s");
}

#[test]
#[ignore = "a measurement that writes 1 GB"]
fn a_gigabyte_opens_in_two_seconds() {
    let folder = folder();
    let path = folder.path().join("journal.db");
    let open = {
        let path = path.clone();
        move || sqlite(&path).unwrap()
    };
    let journal = journal("a", open.clone());
    let mut count = 0;
    while std::fs::metadata(&path).unwrap().len() < 1 << 30 {
        let tickets: Vec<_> = (0..4000)
            .map(|_| {
                count += 1;
                let big = NewEvent {
                    payload: vec![b'x'; 4096].into(),
                    ..event(0, 0, count)
                };
                journal.append(big).unwrap()
            })
            .collect();
        for ticket in tickets {
            ticket.wait().unwrap();
        }
    }
    drop(journal);
    let began = Instant::now();
    let again = super::journal("a", open.clone());
    let place = again.append(event(1, 0, 0)).unwrap().wait().unwrap();
    let mut reading = Reading::new(open());
    assert_eq!(reading.behind(place - 1, 1).unwrap().len(), 1);
    eprintln!(
        "opened, appended to and read of {count} events in {:?}",
        began.elapsed()
    );
    let began = Instant::now();
    assert_eq!(reading.verify().unwrap().events, place);
    eprintln!("walked in {:?}", began.elapsed());
}
