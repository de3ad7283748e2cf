//! Jobs that ended long ago.

use crate::support::{Gateway, eventually};
use gate_store::database::Database;
use gate_store::jobs::{JobStore, NewJob, SqlJobs};
use gate_store::sqlite::Sqlite;
use std::sync::Arc;

/// However many there are, they are forgotten when their time is over, and no others.
#[test]
fn all_jobs_that_ended_long_ago_are_forgotten() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let path = folder.path().join("store.db");
    let mut jobs = SqlJobs::open(Sqlite::open(&path).unwrap()).unwrap();
    let mut store = Sqlite::open(&path).unwrap().patient().unwrap();
    for number in 0..450 {
        let id = format!("job-{number}");
        let job = NewJob {
            id: &id,
            environment: "",
            key: &id,
            queue: "q",
            team: "t",
            owner: "shop",
            name: "",
            items: 1,
            spec: "{}",
            folder: "",
            offsets: None,
            now_ms: 5,
        };
        assert!(jobs.submit(&job).unwrap().1);
    }
    let sql = "UPDATE job SET is_over = 1, state = 'succeeded', changed_ms = 5";
    assert_eq!(store.execute(sql, &[]).unwrap(), 450);
    let now_ms = gate_kit::clock::Clock::System.unix().as_millis();
    let now_ms = i64::try_from(now_ms).unwrap();
    let sql = "UPDATE job SET changed_ms = $1 WHERE id = 'job-7'";
    assert_eq!(store.execute(sql, &[now_ms.into()]).unwrap(), 1);
    let configuration = "gateway: { admin: { address: \"127.0.0.1:0\" }, \
         store: { engine: { sqlite: { path: store.db } } } }\n\
         listeners: { public: { address: \"127.0.0.1:0\" } }\n\
         routes: { all: { target: { fixed: { status: 200 } } } }\n";
    std::fs::write(folder.path().join("gate.yaml"), configuration).unwrap();
    let _gateway = Gateway::run_in(folder.clone(), &[], &[]);
    let mut left = || -> Vec<bool> {
        let ids = (0..450).map(|number| format!("job-{number}"));
        ids.map(|id| jobs.job(&id).unwrap().is_some()).collect()
    };
    eventually("449 are forgotten", || {
        left().iter().filter(|is_there| **is_there).count() == 1
    });
    assert!(left()[7]);
}
