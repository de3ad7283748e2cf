//! A writer and keeper that is killed: what it said was written is there once.

use gate_lake::catalog::Catalog;
use gate_lake::columns::Values;
use gate_lake::file::decode;
use gate_lake::keep::{Keeper, Rules};
use gate_lake::objects::{Directory, Objects};
use gate_lake::redact::Redaction;
use gate_lake::schema::{Dataset, Field, Row};
use gate_lake::writer::Writer;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// What makes this test binary the one that is killed: the folder, and the first row's number.
const CHILD: &str = "LAKE_KILL_CHILD";

fn unix() -> Duration {
    gate_kit::clock::Clock::System.unix()
}

fn open(folder: &Path) -> Arc<Catalog> {
    let objects: Arc<dyn Objects> = Arc::new(Directory::open(folder).expect("made"));
    Arc::new(Catalog::new(objects))
}

fn keeper(catalog: &Arc<Catalog>) -> Keeper {
    let rules = Rules {
        settle_after: Duration::ZERO,
        settle_files: 3,
        merge_files: 3,
        linger: Duration::ZERO,
        ..Rules::default()
    };
    Keeper::new(catalog.clone(), rules)
}

/// Writes ten rows a file and keeps the lake between, and says what is written, until it is killed.
#[test]
fn child() {
    let Ok(told) = std::env::var(CHILD) else {
        return;
    };
    let (folder, first) = told.split_once('|').expect("folder and number");
    let mut first: u64 = first.parse().expect("a number");
    let catalog = open(Path::new(folder));
    let mut keeper = keeper(&catalog);
    let objects = catalog.objects().clone();
    let mut writer = Writer::new(objects, [Redaction::default(), Redaction::default()]);
    let mut out = std::io::stderr();
    loop {
        for n in first..first + 10 {
            let mut id = [0; 16];
            id[8..].copy_from_slice(&(n + 1).to_be_bytes());
            let row = Row {
                time_us: unix().as_micros() as i64,
                exchange_id: id,
                node: "n",
                method: "GET",
                team: Some(["a", "b"][n as usize % 2]),
                ..Row::default()
            };
            writer.push(&row).expect("the row is fine");
        }
        writer.flush(unix()).expect("written");
        first += 10;
        writeln!(out, "written {first}").expect("the parent listens");
        keeper.pass(unix()).expect("kept");
    }
}

/// How often each row is in the lake.
fn counts(catalog: &Catalog) -> BTreeMap<u64, u32> {
    let mut counts = BTreeMap::new();
    for file in catalog
        .look(Dataset::Records, 0..i64::MAX)
        .expect("listed")
        .files
    {
        let bytes = catalog
            .objects()
            .get(&file.path, None)
            .expect("it is there");
        let batch = decode(bytes, Dataset::Records).expect("it is whole");
        let Values::Ids(ids) = batch.column(Field::ExchangeId.index()) else {
            panic!("ids are ids");
        };
        for id in ids {
            let number = u64::from_be_bytes(id[8..].try_into().expect("8 bytes")) - 1;
            *counts.entry(number).or_default() += 1;
        }
    }
    counts
}

#[test]
fn what_was_written_before_a_kill_is_there_once() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let program = std::env::current_exe().expect("it runs");
    let mut acknowledged = Vec::new();
    let mut first: u64 = 0;
    for round in 0..20_u64 {
        let mut child = Command::new(&program)
            .args(["--exact", "kill::child", "--nocapture"])
            .env(CHILD, format!("{}|{first}", folder.path().display()))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut written = first;
        // Kills in the middle of what follows a varying number of files, at a varying moment.
        for (count, line) in lines.enumerate() {
            let line = line.expect("text");
            let Some(number) = line.strip_prefix("written ") else {
                continue;
            };
            written = number.parse().expect("a number");
            if count as u64 > round % 7 {
                std::thread::sleep(Duration::from_micros(round * 731 % 9000));
                child.kill().expect("it is killed");
            }
        }
        child.wait().expect("it ended");
        acknowledged.extend(first..written);
        // One file may be written and not told.
        first = written + 10;
        let catalog = open(folder.path());
        let counts = counts(&catalog);
        assert!(
            counts.values().all(|&count| count == 1),
            "a row is there twice: {counts:?}"
        );
        for row in &acknowledged {
            assert!(counts.contains_key(row), "round {round}: row {row} is lost");
        }
    }
    let catalog = open(folder.path());
    for _ in 0..20 {
        keeper(&catalog).pass(unix()).expect("kept");
    }
    let counts = counts(&catalog);
    assert!(acknowledged.iter().all(|row| counts.get(row) == Some(&1)));
}
