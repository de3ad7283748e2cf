//! What queries over ten million rows cost. Prints; run it in a release build:
//! `cargo test --release -p gate-lake --test it speed -- --ignored --nocapture`.

use crate::rate::rows;
use gate_lake::columns::Batch;
use gate_lake::file::{Effort, encode};
use gate_lake::scan::{
    Aggregate, Allowance, Filter, Function, Key, Limits, QueryError, Scanner, Source, Test, group,
};
use gate_lake::schema::{Dataset, Field};
use gate_lake::sql::{Answer, SqlLimits, Table, query, query_by_rows};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// One of the two ways to ask.
type How = fn(&str, Vec<Table>, &SqlLimits, i64) -> Result<Answer, QueryError>;

/// Rows of one file, of which there are ten.
const FILE_ROWS: usize = 1_000_000;

/// CPU milliseconds of this thread.
pub(crate) fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat
        .split(' ')
        .next()
        .and_then(|text| text.parse::<f64>().ok());
    nanos.unwrap_or(0.0) / 1e6
}

/// Ten files of a million rows each, written once and kept.
fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("speed-2");
    std::fs::create_dir_all(&folder).unwrap();
    let path = |number: usize| folder.join(format!("{number}.parquet"));
    let mut batch = Batch::new(Dataset::Records);
    let mut number = 0;
    if !path(9).exists() {
        rows(10 * FILE_ROWS, |row| {
            batch.push(row);
            if batch.len() == FILE_ROWS {
                let full = std::mem::replace(&mut batch, Batch::new(Dataset::Records));
                std::fs::write(path(number), encode(full, Effort::Small).unwrap()).unwrap();
                number += 1;
            }
        });
    }
    (0..10).map(path).collect()
}

fn sources() -> Vec<Source> {
    let opened = files().into_iter().map(|path| Source::open(&path).unwrap());
    opened.collect()
}

fn plain(function: Function) -> Aggregate {
    Aggregate {
        function,
        only: Vec::new(),
    }
}

#[test]
#[ignore = "a measurement"]
fn native_scans() {
    let column = |field: Field| field.index();
    let errors = Aggregate {
        function: Function::Rows,
        only: vec![Filter {
            column: column(Field::Status),
            test: Test::Range(500, 599),
        }],
    };
    let hour = 3_600_000_000;
    let tokens = [
        plain(Function::Sum(column(Field::InputTokens))),
        plain(Function::Sum(column(Field::OutputTokens))),
    ];
    let cases = [
        (
            "cost by team",
            Key::Column(column(Field::Team)),
            vec![plain(Function::Sum(column(Field::CostNano)))],
        ),
        (
            "errors by route",
            Key::Column(column(Field::Route)),
            vec![plain(Function::Rows), errors],
        ),
        (
            "p99 by model",
            Key::Column(column(Field::Model)),
            vec![plain(Function::Quantile(column(Field::DurationUs), 0.99))],
        ),
        (
            "tokens per hour",
            Key::Floor(column(Field::Time), hour),
            tokens.to_vec(),
        ),
    ];
    for (name, key, aggregates) in cases {
        let mut best = f64::MAX;
        let mut groups = 0;
        for _ in 0..4 {
            let sources = sources();
            let before = cpu();
            let found = group(
                Dataset::Records,
                sources,
                Vec::new(),
                &[key],
                &aggregates,
                Allowance::new(Limits::default()),
            );
            best = best.min(cpu() - before);
            groups = found.unwrap().0.len();
        }
        eprintln!("{name}: {groups} groups, {best:.0} ms of CPU");
    }
}

/// The most resident memory of this process so far, in MiB.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// What dashboards ask, which the native scan answers.
const NATIVE: &[(&str, &str)] = &[
    (
        "cost by team",
        "SELECT team, sum(cost_nano) FROM records GROUP BY team",
    ),
    (
        "errors by route",
        "SELECT route, count(*), count(*) FILTER (WHERE status BETWEEN 500 AND 599) \
             FROM records GROUP BY route",
    ),
    (
        "p99 by model",
        "SELECT model, quantile(duration_us, 0.99) FROM records GROUP BY model",
    ),
    (
        "tokens per hour",
        "SELECT time / 3600000000, sum(input_tokens), sum(output_tokens) FROM records \
             GROUP BY time / 3600000000",
    ),
];

/// Keys that are expressions, computed over groups of the native scan.
const EXPRESSIONS: &[(&str, &str)] = &[
    (
        "upper",
        "SELECT upper(team) AS name, sum(cost_nano) FROM records GROUP BY name",
    ),
    (
        "case",
        "SELECT CASE WHEN status >= 500 THEN 'bad' ELSE 'good' END AS how, count(*), \
             p99(duration_us) FROM records GROUP BY how",
    ),
    (
        "substr and lower",
        "SELECT substr(route, 1, 7) AS part, lower(method), count(*) FROM records GROUP BY part, 2",
    ),
    (
        "strftime",
        "SELECT strftime('%H:%M', time / 1000000, 'unixepoch') AS minute, sum(input_tokens) \
             FROM records GROUP BY minute",
    ),
    (
        "an id's first digits, of too many",
        "SELECT substr(exchange_id, 1, 2) AS part, count(*) FROM records GROUP BY part",
    ),
];

/// What no native scan answers.
const BY_ROWS: &[(&str, &str)] = &[
    (
        "10 million groups",
        "SELECT count(*) FROM (SELECT exchange_id FROM records GROUP BY exchange_id)",
    ),
    (
        "a sort of 10 million rows",
        "SELECT request_bytes, route FROM records ORDER BY upper(route), request_bytes LIMIT 10",
    ),
];

/// The same four as SQL, through the native scan and row by row through SQLite; then what no native
/// scan answers, with what memory it took.
#[test]
#[ignore = "a measurement"]
fn sql_over_ten_million_rows() {
    let limits = SqlLimits {
        scan: Limits {
            time: std::time::Duration::from_secs(300),
            ..Limits::default()
        },
        ..SqlLimits::default()
    };
    let ask = |name: &str, sql: &str, how: How| {
        let table = Table::whole(Dataset::Records, sources());
        let (before, begun) = (cpu(), Instant::now());
        let answer = how(sql, vec![table], &limits, 0);
        let (took, wall) = (cpu() - before, begun.elapsed().as_millis());
        let told = match &answer {
            Ok(answer) => format!("{} rows, native {}", answer.rows.len(), answer.native),
            Err(error) => format!("refused: {error}"),
        };
        let peak = peak_mib();
        eprintln!("{name}: {took:.0} ms of CPU in {wall} ms, {told}, peak {peak:.0} MiB so far");
    };
    for &(name, sql) in NATIVE {
        ask(name, sql, query);
        ask(&format!("{name}, row by row"), sql, query_by_rows);
    }
    for &(name, sql) in EXPRESSIONS {
        ask(name, sql, query);
        ask(&format!("{name}, row by row"), sql, query_by_rows);
    }
    for &(name, sql) in BY_ROWS {
        ask(name, sql, query);
    }
}

#[test]
#[ignore = "a measurement"]
fn lookups_by_id() {
    let mut some = None;
    let mut seen = 0;
    rows(7_654_321, |row| {
        seen += 1;
        if seen == 7_654_321 {
            some = Some((row.exchange_id, row.trace_id.unwrap()));
        }
    });
    let (exchange, trace) = some.unwrap();
    let every: Vec<usize> = (0..Dataset::Records.columns().len()).collect();
    for (name, field, id) in [
        ("exchange_id", Field::ExchangeId, exchange),
        ("trace_id", Field::TraceId, trace),
    ] {
        let kept = sources();
        for warm in [false, true] {
            let (mut best, mut best_cpu) = (f64::MAX, f64::MAX);
            for _ in 0..10 {
                let sources = if warm { kept.clone() } else { sources() };
                let (begun, before) = (Instant::now(), cpu());
                let filter = Filter {
                    column: field.index(),
                    test: Test::text(&id),
                };
                let allowance = Allowance::new(Limits::default());
                let mut scanner =
                    Scanner::new(Dataset::Records, sources, vec![filter], &every, allowance);
                let mut found = 0;
                while let Some(batch) = scanner.next_batch().unwrap() {
                    found += batch.rows;
                }
                assert_eq!(found, 1);
                best_cpu = best_cpu.min(cpu() - before);
                best = best.min(begun.elapsed().as_secs_f64() * 1e3);
            }
            let footers = if warm { "known" } else { "read" };
            eprintln!("{name}: {best:.1} ms, {best_cpu:.1} ms of CPU, footers {footers}");
        }
    }
}
