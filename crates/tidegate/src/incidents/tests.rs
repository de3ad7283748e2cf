//! The loop with its store: storms, gateways that write at once, and what outlives them.

use super::{Burn, Incidents, Neighbours, Shelf, start};
use crate::config::{self, Secrets};
use crate::follow::OpenStore;
use gate_kit::clock::Clock;
use gate_ops::attribution::{Answer, Attribution, Conjunction};
use gate_ops::incident::{Incident, Life, Opening, Query, Signal, Subject};
use gate_ops::notify::Alert;
use gate_ops::slo::Count;
use gate_proxy::process::{Process, Setup};
use gate_store::control::{IncidentQuery, SqlControl};
use gate_store::sqlite::Sqlite;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

fn process() -> Arc<Process> {
    let document = config::parse(b"gateway: { workers: 1 }\n", Path::new("test.yaml")).unwrap();
    let setup = Setup {
        registry: config::REGISTRY,
        folder: ".".into(),
        secrets: Box::new(Secrets),
        clock: Clock::System,
        inheritance: None,
    };
    Process::start(&document, setup).unwrap()
}

fn opener(folder: &Path) -> OpenStore {
    let path = folder.join("store.db");
    Arc::new(move || Ok(Box::new(SqlControl::open(Sqlite::open(&path)?.patient()?)?)))
}

/// A loop, where signals go, and what it tells.
fn running(
    process: &Arc<Process>,
    open: Option<OpenStore>,
) -> (SyncSender<Signal>, Incidents, Receiver<Alert>) {
    let (alerts, told) = sync_channel(10_000);
    let neighbours = Neighbours {
        alerts: Some(alerts),
        burning: Some(Arc::new(|name| {
            (name != "unknown").then_some(Burn {
                rate: 20.0,
                spent: 0.2,
                is_on: true,
            })
        })),
        seconds: None,
    };
    let (signals, incidents) = start(process, None, open, neighbours).unwrap();
    (signals, incidents, told)
}

fn signal(objective: &str, provider: &str) -> Signal {
    let cause = Conjunction::from([("provider".to_owned(), provider.to_owned())]);
    let answer = Answer {
        causes: vec![cause],
        score: 50.0,
        count: Count::new(100, 90),
        expected: 0.2,
        explained: 0.95,
    };
    Signal {
        opening: Opening::Page,
        subject: Subject {
            objective: Some(objective.to_owned()),
            ..Subject::default()
        },
        attribution: Some(Attribution {
            answers: vec![answer],
            count: Count::new(200, 91),
            expected: 0.4,
        }),
        query: Query {
            of: "records".into(),
            filter: BTreeMap::new(),
            from_ms: 0,
            until_ms: 1,
        },
        experiment: None,
        text: format!("{objective} burns"),
    }
}

fn kept(shelf: &Shelf) -> Vec<Incident> {
    let query = IncidentQuery {
        environment: &shelf.environment,
        limit: 100,
        ..IncidentQuery::default()
    };
    let rows = shelf.ask(|store| store.incidents(&query)).unwrap();
    rows.iter().filter_map(super::answer::read).collect()
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signals(shelf: &Shelf) -> u64 {
    kept(shelf).iter().map(|one| one.signals).sum()
}

#[test]
fn a_storm_of_200_alerts_from_one_cause_is_one_incident() {
    let folder = tempfile::tempdir().unwrap();
    let process = process();
    let (sender, incidents, told) = running(&process, Some(opener(folder.path())));
    for number in 0..200 {
        sender.send(signal(&format!("o{number}"), "a")).unwrap();
    }
    eventually("all are heard", || signals(&incidents.shelf) == 200);
    let all = kept(&incidents.shelf);
    assert_eq!((all.len(), all[0].objectives.len()), (1, 200));
    eventually("its severity follows from how budgets burn", || {
        let one = &kept(&incidents.shelf)[0];
        one.life == Life::Triaged && one.severity.is_some_and(|severity| severity.0 == 2)
    });
    let alert = told.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(alert.labels["incident"], "inc-file-1");
    assert!(
        alert.is_on && alert.text.contains("provider `a`"),
        "{alert:?}"
    );
    // What the same objective says again within a minute is nothing new.
    sender.send(signal("o7", "a")).unwrap();
    sender.send(signal("late", "a")).unwrap();
    eventually("the late one is heard", || signals(&incidents.shelf) >= 201);
    assert_eq!(signals(&incidents.shelf), 201);
    // Another process goes on where this one stopped, and says that it is on.
    drop((sender, incidents, told));
    let (sender, incidents, told) = running(&process, Some(opener(folder.path())));
    let again = told.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!((&again.labels, again.is_on), (&alert.labels, true));
    sender.send(signal("later", "a")).unwrap();
    eventually("it joins", || signals(&incidents.shelf) == 202);
    assert_eq!(kept(&incidents.shelf).len(), 1);
    process.drain(Duration::ZERO);
}

#[test]
fn gateways_that_hear_at_once_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let process = process();
    let both = [0, 1].map(|_| running(&process, Some(opener(folder.path()))));
    std::thread::scope(|scope| {
        for (number, (sender, ..)) in both.iter().enumerate() {
            scope.spawn(move || {
                for signal_number in 0..60 {
                    let provider = if signal_number % 2 == 0 { "a" } else { "b" };
                    let name = format!("o{number}-{signal_number}");
                    sender.send(signal(&name, provider)).unwrap();
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
        }
    });
    eventually("all are heard", || signals(&both[0].1.shelf) == 120);
    let all = kept(&both[1].1.shelf);
    let mut counts: Vec<u64> = all.iter().map(|one| one.signals).collect();
    counts.sort_unstable();
    assert_eq!(counts, [60, 60]);
    process.drain(Duration::ZERO);
}

#[test]
fn without_a_store_incidents_live_as_long_as_the_process() {
    let process = process();
    let (sender, incidents, told) = running(&process, None);
    assert!(!incidents.shelf.is_durable());
    sender.send(signal("o", "a")).unwrap();
    let alert = told.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(alert.is_on, "{alert:?}");
    assert_eq!(kept(&incidents.shelf).len(), 1);
    process.drain(Duration::ZERO);
}
