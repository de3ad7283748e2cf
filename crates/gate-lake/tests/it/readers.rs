//! DuckDB, pyarrow and PyIceberg (PyPI) read what we write.

use crate::rate::rows;
use gate_lake::catalog::Catalog;
use gate_lake::columns::Batch;
use gate_lake::file::{Effort, encode};
use gate_lake::iceberg::{Publisher, metadata_path};
use gate_lake::keep::{Keeper, Rules, Who};
use gate_lake::objects::{Directory, Objects};
use gate_lake::redact::Redaction;
use gate_lake::schema::{BodyRow, Dataset};
use gate_lake::writer::Writer;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// The readers at the versions that the tests were written with.
const PACKAGES: [&str; 3] = ["duckdb==2.0.0", "pyarrow==26.0.1", "pyiceberg==0.12.0"];

pub(crate) fn python() -> Option<&'static Path> {
    static PYTHON: LazyLock<Option<PathBuf>> = LazyLock::new(installed);
    PYTHON.as_deref()
}

fn installed() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lake-readers");
    let (python, installed) = (folder.join("bin/python"), folder.join("installed"));
    let wanted = PACKAGES.join(" ");
    if std::fs::read_to_string(&installed).is_ok_and(|found| found == wanted) {
        return Some(python);
    }
    let made = Command::new("python3")
        .args(["-m", "venv"])
        .arg(&folder)
        .output();
    let pip = [
        "-m",
        "pip",
        "install",
        "--no-compile",
        "--quiet",
        "--disable-pip-version-check",
    ];
    let done = made.is_ok_and(|output| output.status.success())
        && Command::new(&python)
            .args(pip)
            .args(PACKAGES)
            .output()
            .is_ok_and(|output| output.status.success());
    if !done {
        eprintln!("skipped: pip cannot install {wanted} here");
        return None;
    }
    std::fs::write(installed, wanted).expect("written");
    Some(python)
}

/// What a script prints.
fn run(python: &Path, script: &str, arguments: &[&str]) -> String {
    let output = Command::new(python)
        .args(["-c", script])
        .args(arguments)
        .output();
    let output = output.expect("the environment has a Python");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Sums that every reader has to come to.
#[derive(Default, PartialEq, Debug)]
struct Sums {
    rows: u64,
    bytes: u64,
    cost: u64,
    failed: u64,
    teams: std::collections::BTreeSet<String>,
}

impl Sums {
    fn text(&self) -> String {
        let teams = self.teams.len();
        format!(
            "{} {} {} {} {teams}",
            self.rows, self.bytes, self.cost, self.failed
        )
    }

    fn add(&mut self, row: &gate_lake::schema::Row<'_>) {
        self.rows += 1;
        self.bytes += row.response_bytes;
        self.cost += row.cost_nano.unwrap_or(0);
        self.failed += u64::from(row.status >= 500);
        self.teams.extend(row.team.map(str::to_owned));
    }
}

const SUMS: &str = "count(*), sum(response_bytes)::BIGINT, sum(cost_nano)::BIGINT, \
                    count(*) FILTER (status >= 500), count(DISTINCT team)";

#[test]
fn duckdb_and_pyarrow_read_a_file_to_the_same_values() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("a scratch folder");
    let mut sums = Sums::default();
    let mut batch = Batch::new(Dataset::Records);
    let mut first = None;
    rows(150_000, |row| {
        first.get_or_insert((row.time_us, row.exchange_id, row.trace_id));
        batch.push(row);
        sums.add(row);
    });
    let path = folder.path().join("records.parquet");
    let bytes = encode(batch, Effort::Small).expect("rows that passed the door are encoded");
    std::fs::write(&path, bytes).expect("written");
    let path = path.to_str().expect("a plain path");
    let script = format!(
        "import duckdb, sys
print(*duckdb.sql(f\"SELECT {SUMS} FROM '{{sys.argv[1]}}'\").fetchall()[0])
print(*duckdb.sql(f\"SELECT epoch_us(time), exchange_id IS NOT NULL, trace_id, fault IS NULL FROM '{{sys.argv[1]}}' LIMIT 1\").fetchall()[0])
print(*duckdb.sql(f\"SELECT count(*) FROM parquet_metadata('{{sys.argv[1]}}') WHERE bloom_filter_offset IS NOT NULL\").fetchall()[0])"
    );
    let told = run(python, &script, &[path]);
    let (time, _, trace) = first.expect("there are rows");
    let hex: String = trace
        .expect("traced")
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let uuid = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-");
    // Two groups of rows with a filter on each of three ids.
    assert_eq!(told, format!("{}\n{time} True {uuid} True\n6", sums.text()));
    let script = "import sys, pyarrow.parquet as pq, pyarrow.compute as pc
t = pq.read_table(sys.argv[1])
f = pq.ParquetFile(sys.argv[1])
failed = pc.sum(pc.greater_equal(t['status'], 500)).as_py()
print(t.num_rows, pc.sum(t['response_bytes']).as_py(), pc.sum(t['cost_nano']).as_py(), failed, pc.count_distinct(t['team']).as_py())
print(t.schema.field('time').type, f.metadata.row_group(0).column(0).has_column_index, f.metadata.metadata[b'tidegate.schema'].decode())";
    let told = run(python, script, &[path]);
    let expected = format!("{}\ntimestamp[us, tz=UTC] True 1", sums.text());
    assert_eq!(told, expected);
}

const ICEBERG: &str = "import sys
from pyiceberg.table import StaticTable
import pyarrow.compute as pc
table = StaticTable.from_metadata(sys.argv[1])
t = table.scan().to_arrow()
print(t.num_rows, table.scan(row_filter=\"team == 'shop'\").to_arrow().num_rows, table.scan(row_filter=\"team is null\").to_arrow().num_rows)
print(*sorted(set(map(str, t['consumer'].to_pylist()))))
print(*sorted({task.file.file_path for task in table.scan().plan_files()}), sep='\\n')";

/// Ninety rows and bodies of two teams and of none, of two consumers, over three hours.
fn fill(objects: Arc<dyn Objects>, now: Duration) {
    let mut writer = Writer::new(
        objects.clone(),
        [Redaction::default(), Redaction::default()],
    );
    for n in 0..90_u64 {
        let mut id = [0; 16];
        id[8..].copy_from_slice(&(n + 1).to_be_bytes());
        let time_us = now.as_micros() as i64 - n as i64 * 120_000_000;
        let team = [None, Some("shop"), Some("bank")][n as usize % 3];
        let consumer = Some(["ann", "bob-to-be-forgotten"][n as usize % 2]);
        let row = gate_lake::schema::Row {
            time_us,
            exchange_id: id,
            node: "n",
            method: "GET",
            team,
            consumer,
            ..Default::default()
        };
        writer.push(&row).expect("the row is fine");
        let body = BodyRow {
            time_us,
            exchange_id: id,
            team,
            consumer,
            body: b"{}",
            ..BodyRow::default()
        };
        writer.push_body(&body).expect("the body is fine");
    }
    writer.flush(now).expect("written");
}

#[test]
fn pyiceberg_reads_the_table_and_duckdb_its_files_and_deletions_are_in_both() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("a scratch folder");
    let objects: Arc<dyn Objects> = Arc::new(Directory::open(folder.path()).expect("made"));
    let catalog = Arc::new(Catalog::new(objects.clone()));
    let now = Duration::from_secs(1_790_000_000);
    fill(objects.clone(), now);
    let rules = Rules {
        settle_after: Duration::ZERO,
        ..Rules::default()
    };
    let mut keeper = Keeper::new(catalog.clone(), rules);
    keeper.pass(now + Duration::from_secs(1)).expect("settled");
    let mut publisher = Publisher::default();
    let publish = |publisher: &mut Publisher, seconds: u64| {
        let published = publisher.publish(&catalog, now + Duration::from_secs(seconds));
        assert!(published.expect("published"));
    };
    publish(&mut publisher, 2);
    let metadata = |dataset| {
        let number = catalog.newest().expect("there").number;
        objects.location(&metadata_path(dataset, number))
    };
    for dataset in Dataset::ALL {
        let told = run(python, ICEBERG, &[&metadata(dataset)]);
        let mut lines = told.lines();
        assert_eq!(lines.next(), Some("90 30 30"), "{told}");
        assert_eq!(lines.next(), Some("ann bob-to-be-forgotten"), "{told}");
        let files: Vec<&str> = lines.collect();
        let script = "import duckdb, sys\nprint(*duckdb.sql(f\"SELECT count(*), count(DISTINCT exchange_id) FROM read_parquet({sys.argv[1:]!r})\").fetchall()[0])";
        assert_eq!(run(python, script, &files), "90 90");
    }
    let who = Who::consumer("bob-to-be-forgotten");
    let forgotten = keeper
        .forget(&who, now + Duration::from_secs(3), &mut || Ok(true))
        .expect("deleted");
    assert_eq!(forgotten.rows, 90);
    publish(&mut publisher, 4);
    for dataset in Dataset::ALL {
        let told = run(python, ICEBERG, &[&metadata(dataset)]);
        assert_eq!(told.lines().next(), Some("45 15 15"), "{told}");
        assert_eq!(told.lines().nth(1), Some("ann"), "{told}");
    }
    // A publisher that starts anew makes the same table of the same version.
    let number = catalog.newest().expect("there").number;
    publish(&mut Publisher::default(), 5);
    assert_eq!(catalog.newest().expect("there").number, number);
    let told = run(python, ICEBERG, &[&metadata(Dataset::Records)]);
    assert_eq!(told.lines().next(), Some("45 15 15"), "{told}");
}
