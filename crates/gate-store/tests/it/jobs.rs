//! Jobs over both databases: what was written is there whole, or not at all; results come in order; an
//! item is charged once, whoever calls it and however often.

use crate::support::Place;
use gate_kit::random;
use gate_model::units::Money;
use gate_store::ControlError;
use gate_store::control::Lease;
use gate_store::jobs::{ItemResult, JobQuery, JobSave, JobStore, NewJob, PAGE, SqlJobs};
use gate_store::ledger::{
    Batch, Charge, Entry, ExchangeId, Facts, HoldRow, LeaseRequest, Tokens, UsageBy, UsageQuery,
};
use gate_store::postgres::Postgres;
use gate_store::sqlite::Sqlite;
use gate_store::{Instance, SqlStore, Store};
use std::sync::Arc;

fn open(place: &Place) -> Box<dyn JobStore> {
    match place {
        Place::Sqlite(folder) => {
            let database = Sqlite::open(&folder.path().join("jobs.db")).unwrap();
            Box::new(SqlJobs::open(database).unwrap())
        }
        Place::Postgres(address) => {
            let database = Postgres::connect(address).unwrap();
            Box::new(SqlJobs::open(database).unwrap())
        }
    }
}

fn over_all(test: impl Fn(&mut dyn JobStore)) {
    for place in Place::all() {
        test(&mut *open(&place));
    }
}

fn job<'a>(id: &'a str, key: &'a str, items: u32) -> NewJob<'a> {
    NewJob {
        id,
        environment: "production",
        key,
        queue: "q",
        team: "t",
        owner: "shop",
        name: "",
        items,
        spec: "{\"a\": 1}",
        folder: "",
        offsets: None,
        now_ms: 5,
    }
}

fn lead(store: &mut dyn JobStore, holder: &str, now_ms: i64) -> Lease {
    store.take_lease("jobs", holder, now_ms, 1_000).unwrap()
}

fn result(index: u32) -> ItemResult {
    ItemResult {
        index,
        well: !index.is_multiple_of(7),
        status: 200,
        request: format!("r{index}"),
        reason: String::new(),
        body: format!("answer of {index}")
            .repeat(index as usize % 5)
            .into_bytes(),
    }
}

#[test]
fn a_job_is_submitted_once() {
    over_all(|store| {
        let offsets = [0, 7_000_000_000];
        let mut first = job("a", "k", 5_000);
        first.offsets = Some(&offsets);
        assert_eq!(store.version("production").unwrap(), 0);
        assert_eq!(store.submit(&first).unwrap(), ("a".to_owned(), true));
        let version = store.version("production").unwrap();
        assert_eq!(
            store.submit(&job("b", "k", 1)).unwrap(),
            ("a".to_owned(), false)
        );
        assert!(store.version("production").unwrap() >= version);
        let row = store.job("a").unwrap().unwrap();
        assert_eq!(
            (&*row.state, row.is_over, row.items),
            ("waiting", false, 5_000)
        );
        assert_eq!(store.spec("a").unwrap().as_deref(), Some("{\"a\": 1}"));
        assert_eq!(store.offsets("a").unwrap(), offsets);
        store.submit(&job("c", "l", 1)).unwrap();
        assert!(store.offsets("c").unwrap().is_empty());
        let query = JobQuery {
            environment: "production",
            limit: 10,
            ..JobQuery::default()
        };
        let ids = |rows: Vec<gate_store::jobs::JobRow>| -> Vec<String> {
            rows.into_iter().map(|row| row.id).collect()
        };
        assert_eq!(ids(store.jobs(&query).unwrap()), ["c", "a"]);
        let others = JobQuery {
            owner: "somebody",
            ..query
        };
        assert_eq!(ids(store.jobs(&others).unwrap()), [""; 0]);
        assert!(store.job("b").unwrap().is_none());
    });
}

#[test]
fn marks_results_and_notes_are_one_write_of_who_leads() {
    over_all(|store| {
        store.submit(&job("a", "k", 3 * PAGE)).unwrap();
        let lease = lead(store, "one", 10);
        let all: Vec<u32> = (0..PAGE + 100).collect();
        let mut save = JobSave {
            id: "a".into(),
            state: "running".into(),
            progress: "{}".into(),
            started: all.clone(),
            ..JobSave::default()
        };
        store.save(&lease, &[save.clone()], 11).unwrap();
        assert_eq!(store.open_items("a", 10_000).unwrap(), all);
        // They end in any order, written by pieces.
        let mut order = all.clone();
        random::seed(1);
        for at in (1..order.len()).rev() {
            order.swap(at, random::below(at + 1));
        }
        let (now, later) = order.split_at(order.len() - 3);
        for part in now.chunks(100) {
            save.started.clear();
            save.ended = part
                .iter()
                .map(|index| (*index, result(*index).well))
                .collect();
            save.results = part.iter().map(|index| result(*index)).collect();
            store.save(&lease, &[save.clone()], 12).unwrap();
        }
        let mut left = later.to_vec();
        left.sort_unstable();
        assert_eq!(store.open_items("a", 10_000).unwrap(), left);
        let mut expected: Vec<u32> = now.to_vec();
        expected.sort_unstable();
        let (mut seen, mut from) = (Vec::new(), 0);
        loop {
            let page = store.results("a", from, 500, 1 << 20).unwrap();
            let Some(last) = page.last() else { break };
            from = last.index + 1;
            assert!(page.iter().all(|one| *one == result(one.index)));
            seen.extend(page.iter().map(|one| one.index));
        }
        assert_eq!(seen, expected);
        assert_eq!(
            store.results("a", 0, 500, 1).unwrap().len(),
            1,
            "bytes bound it"
        );
        let pages = store.pages("a", 0, 10).unwrap();
        let ones = |bits: &[u8]| bits.iter().map(|byte| byte.count_ones()).sum::<u32>();
        let failed: u32 = pages.iter().map(|page| ones(&page.failed)).sum();
        let wrong = expected.iter().filter(|index| *index % 7 == 0).count();
        assert_eq!(failed as usize, wrong);
        // Another leads: nothing of what the first writes stays.
        let other = lead(store, "two", 10_000);
        save.notes = vec![(3, 0, "repeat", "why".into())];
        let refused = store.save(&lease, &[save.clone()], 10_001);
        assert!(matches!(refused, Err(ControlError::NotLeader(_))));
        assert!(store.notes("a", 0, 10).unwrap().is_empty());
        save.results.clear();
        store.save(&other, &[save.clone()], 10_001).unwrap();
        store.save(&other, &[save], 10_002).unwrap();
        let notes = store.notes("a", 0, 10).unwrap();
        let places: Vec<_> = notes.iter().map(|note| (note.place, note.item)).collect();
        assert_eq!(places, [(1, 3), (2, 3)]);
        assert_eq!(store.notes("a", 1, 10).unwrap().len(), 1);
    });
}

#[test]
fn wishes_wait_for_who_leads_and_old_jobs_go() {
    over_all(|store| {
        store.submit(&job("a", "k", 1)).unwrap();
        let before = store.version("production").unwrap();
        assert!(store.wish("a", "pause", 6).unwrap());
        assert!(store.version("production").unwrap() > before);
        assert!(store.wish("a", "cancel", 7).unwrap());
        assert!(
            store.wish("a", "resume", 8).unwrap(),
            "cancelled all the same"
        );
        assert_eq!(store.job("a").unwrap().unwrap().wish, "cancel");
        assert!(!store.wish("b", "cancel", 7).unwrap());
        let lease = lead(store, "one", 10);
        let save = JobSave {
            id: "a".into(),
            state: "cancelled".into(),
            is_over: true,
            done: "cancel".into(),
            started: vec![0],
            results: vec![result(0)],
            ended: vec![(0, true)],
            ..JobSave::default()
        };
        store.save(&lease, &[save], 11).unwrap();
        assert_eq!(store.job("a").unwrap().unwrap().wish, "");
        assert!(!store.wish("a", "cancel", 12).unwrap(), "it is over");
        assert_eq!(store.prune(11, 10).unwrap(), 0);
        assert_eq!(store.prune(12, 10).unwrap(), 1);
        assert!(store.job("a").unwrap().is_none());
        assert!(store.results("a", 0, 10, 100).unwrap().is_empty());
    });
}

#[test]
fn a_million_items_that_go_well_are_some_hundred_rows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let mut store = SqlJobs::open(Sqlite::open(&path).unwrap()).unwrap();
    store.submit(&job("a", "k", 1_000_000)).unwrap();
    let lease = lead(&mut store, "one", 10);
    for from in (0..1_000_000_u32).step_by(PAGE as usize) {
        let items = from..(from + PAGE).min(1_000_000);
        let save = JobSave {
            id: "a".into(),
            state: "running".into(),
            started: items.clone().collect(),
            ended: items.map(|index| (index, true)).collect(),
            ..JobSave::default()
        };
        store.save(&lease, &[save], 11).unwrap();
    }
    assert!(store.open_items("a", 10).unwrap().is_empty());
    assert_eq!(store.pages("a", 0, 1_000).unwrap().len(), 245);
    drop(store);
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size < 4 << 20, "{size} bytes");
}

// --- the ledger ---------------------------------------------------------------------------------

fn ledger(place: &Place, instance: Instance) -> Box<dyn Store> {
    match place {
        Place::Sqlite(folder) => {
            let database = Sqlite::open(&folder.path().join("ledger.db")).unwrap();
            Box::new(SqlStore::open(database, instance).unwrap())
        }
        Place::Postgres(address) => {
            let database = Postgres::connect(address).unwrap();
            Box::new(SqlStore::open(database, instance).unwrap())
        }
    }
}

fn dead(number: u32) -> Instance {
    Instance {
        id: format!("process{number}"),
        host: "elsewhere".into(),
        pid: 1,
        born: 1,
    }
}

fn charges(amount: i64) -> gate_store::ledger::Charges {
    let charge = Charge {
        budget: "b".into(),
        period: 0,
        amount,
    };
    std::iter::once(charge).collect()
}

fn hold(index: u32) -> HoldRow {
    HoldRow {
        exchange: ExchangeId::Named(ExchangeId::item("a", index, 0)),
        at_ms: 1,
        facts: Arc::default(),
        cost: Some(Money::from_picodollars(100)),
        charges: charges(100),
    }
}

fn entry(index: u32) -> Entry {
    Entry {
        exchange: ExchangeId::Named(ExchangeId::item("a", index, 0)),
        at_ms: 2,
        facts: Arc::new(Facts::default()),
        outcome: "complete",
        tokens: Tokens {
            input: 1,
            ..Tokens::default()
        },
        estimated: 0,
        cost: Some(Money::from_picodollars(60)),
        charges: charges(60),
        calls: 1,
        held: vec![ExchangeId::Named(ExchangeId::item("a", index, 0))],
    }
}

fn lease() -> LeaseRequest {
    LeaseRequest {
        budget: "b".into(),
        period: 0,
        limit: 1_000_000,
        target: 0,
        thresholds: Default::default(),
    }
}

/// Processes die after reserving, after settling, in any order beside their burial: each item is charged
/// once at what it cost, and nothing of a reservation is left.
#[test]
fn an_item_is_charged_once_whoever_dies() {
    for place in Place::all() {
        random::seed(7);
        let items = 40;
        for life in 0..12 {
            let now_ms = i64::from(life) * 100_000;
            let mut store = ledger(&place, dead(life));
            // The one before is buried early, late, or in the next life.
            if random::below(3) == 0 {
                store.recover(now_ms).unwrap();
            }
            let held: Vec<u32> = (0..items).filter(|_| random::below(2) == 0).collect();
            let mut batch = Batch {
                now_ms,
                holds: held.iter().map(|index| hold(*index)).collect(),
                leases: vec![lease()],
                ..Batch::default()
            };
            store.commit(&batch).unwrap();
            let settled = held.iter().filter(|_| life == 11 || random::below(2) == 0);
            batch = Batch {
                now_ms,
                entries: settled.map(|index| entry(*index)).collect(),
                leases: vec![lease()],
                ..Batch::default()
            };
            if random::below(2) == 0 {
                store.recover(now_ms).unwrap();
            }
            store.commit(&batch).unwrap();
        }
        let mut store = ledger(&place, dead(99));
        store.recover(9_000_000).unwrap();
        let all = Batch {
            now_ms: 9_000_001,
            holds: (0..items).map(hold).collect(),
            ..Batch::default()
        };
        store.commit(&all).unwrap();
        let all = Batch {
            now_ms: 9_000_002,
            entries: (0..items).map(entry).collect(),
            leases: vec![lease()],
            ..Batch::default()
        };
        store.commit(&all).unwrap();
        let balance = store.balances().unwrap().remove(0);
        assert_eq!(balance.settled, i64::from(items) * 60);
        assert_eq!(balance.unsettled, 0);
        assert!(store.unsettled().unwrap().is_empty());
        let query = UsageQuery {
            by: vec![UsageBy::Consumer],
            since_ms: 0,
            until_ms: i64::MAX,
            provider: String::new(),
            only: Vec::new(),
        };
        let rows = store.usage(&query).unwrap();
        let calls: i64 = rows.iter().map(|row| row.calls).sum();
        let cost: i64 = rows.iter().map(|row| row.cost_picodollars).sum();
        assert_eq!((calls, cost), (i64::from(items), i64::from(items) * 60));
    }
}
