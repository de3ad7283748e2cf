//! What it costs to find a row by an id among the many files of a day, as gateways write them and as they are
//! kept. Prints; run it in a release build:
//! `cargo test --release -p gate-lake --test it lookups -- --ignored --nocapture`.

use crate::rate::rows;
use crate::speed::cpu;
use gate_lake::catalog::Catalog;
use gate_lake::keep::{Keeper, Rules};
use gate_lake::objects::Directory;
use gate_lake::redact::Redaction;
use gate_lake::schema::{Dataset, Row};
use gate_lake::sql::{SqlLimits, query, tables};
use gate_lake::writer::Writer;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rows of the day.
const ROWS: usize = 10_000_000;
/// The row that is looked for.
const WANTED: usize = 7_654_321;
/// Beginning of the day, in microseconds of UNIX time.
const BEGIN_US: i64 = 1_790_000_000_000_000 / DAY_US * DAY_US;
const DAY_US: i64 = 86_400_000_000;

/// The rows of [`rows`], spread over a day.
fn day(mut visit: impl FnMut(usize, &Row<'_>)) {
    let mut number = 0;
    rows(ROWS, |row| {
        let time_us = BEGIN_US + (number as i64) * (DAY_US / ROWS as i64);
        visit(number, &Row { time_us, ..*row });
        number += 1;
    });
}

fn catalog(folder: &Path) -> Arc<Catalog> {
    Arc::new(Catalog::new(Arc::new(Directory::open(folder).unwrap())))
}

/// The day's lake as it was written, made once and kept.
fn fresh() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lookups-fresh-2");
    if !folder.join("done").exists() {
        let _ = std::fs::remove_dir_all(&folder);
        let objects = Directory::open(&folder).unwrap();
        let redactions = [Redaction::default(), Redaction::default()];
        let mut writer = Writer::new(Arc::new(objects), redactions);
        let mut unix = Duration::from_micros(BEGIN_US as u64);
        day(|_, row| {
            writer.push(row).unwrap();
            if writer.is_full() {
                unix += Duration::from_secs(1);
                writer.flush(unix).unwrap();
            }
        });
        writer.flush(unix).unwrap();
        std::fs::write(folder.join("done"), "").unwrap();
    }
    folder
}

/// The same lake, kept until there is nothing to do.
fn settled() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lookups-settled-2");
    if !folder.join("done").exists() {
        let _ = std::fs::remove_dir_all(&folder);
        let (from, to) = (fresh().join("records/fresh"), folder.join("records/fresh"));
        std::fs::create_dir_all(&to).unwrap();
        for file in std::fs::read_dir(from).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
        let mut keeper = Keeper::new(catalog(&folder), Rules::default());
        let mut unix = Duration::from_micros((BEGIN_US + 2 * DAY_US) as u64);
        while keeper.pass(unix).unwrap().changed {
            unix += Duration::from_secs(61);
        }
        std::fs::write(folder.join("done"), "").unwrap();
    }
    folder
}

fn hex(id: [u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
#[ignore = "a measurement"]
fn lookups_by_id_among_the_files_of_a_day() {
    let mut wanted = None;
    day(|number, row| {
        if number == WANTED {
            wanted = Some((hex(row.exchange_id), hex(row.trace_id.unwrap())));
        }
    });
    let (exchange, trace) = wanted.unwrap();
    let limits = SqlLimits::default();
    for (name, folder) in [("fresh", fresh()), ("settled", settled())] {
        let listing = catalog(&folder).look(Dataset::Records, i64::MIN..i64::MAX);
        let files = listing.unwrap().files;
        let held: u64 = files.iter().map(|file| file.rows).sum();
        assert_eq!(held, ROWS as u64);
        eprintln!("{name}: {} files", files.len());
        for (column, id) in [("exchange_id", &exchange), ("trace_id", &trace)] {
            let sql = format!("SELECT * FROM records WHERE {column} = '{id}'");
            for known in [false, true] {
                let mut kept = catalog(&folder);
                let (mut least_wall, mut least_cpu) = (f64::MAX, f64::MAX);
                for _ in 0..6 {
                    if !known {
                        kept = catalog(&folder);
                    }
                    let (begun, before) = (Instant::now(), cpu());
                    let tables = tables(&kept, &sql).unwrap();
                    let answer = query(&sql, tables, &limits, 0).unwrap();
                    least_cpu = least_cpu.min(cpu() - before);
                    least_wall = least_wall.min(begun.elapsed().as_secs_f64() * 1e3);
                    assert_eq!(answer.rows.len(), 1);
                }
                let asked = if known { "asked before" } else { "asked first" };
                eprintln!("  {column}, {asked}: {least_cpu:.1} ms of CPU, {least_wall:.1} ms");
            }
        }
    }
}
