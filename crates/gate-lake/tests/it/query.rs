//! Queries against DuckDB over the same files, and the native scan against SQLite over its rows.

use crate::rate::rows;
use gate_lake::columns::Batch;
use gate_lake::file::{Effort, encode};
use gate_lake::scan::{Filter, Limits, QueryError, Source, Test};
use gate_lake::schema::{BodyRow, Dataset, Direction, Field};
use gate_lake::sql::{Answer, Format, SqlLimits, Table, Value, query, query_by_rows};
use serde_json::{Value as Json, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

/// A moment after all rows, in microseconds of UNIX time.
const NOW_US: i64 = 1_790_000_100_000_000;

/// Reads files and queries from its input, writes the rows of each.
const SCRIPT: &str = r"
import duckdb, json, sys
told = json.load(sys.stdin)
base = duckdb.connect()
base.execute('SET threads=1')
base.execute(f'''CREATE VIEW records AS SELECT * REPLACE (epoch_us(time) AS time,
  replace(exchange_id::varchar, '-', '') AS exchange_id, replace(trace_id::varchar, '-', '') AS trace_id)
  FROM read_parquet({told['files']})''')
for name, width in (('minute', 60), ('hour', 3600), ('day', 86400)):
    base.execute(f'CREATE MACRO {name}(t) AS t - t % {width * 1000000}')
print(json.dumps([[list(row) for row in base.execute(query).fetchall()] for query in told['queries']], default=float))
";

/// What DuckDB answers.
pub(crate) fn duckdb(files: &[PathBuf], queries: &[&str]) -> Option<Vec<Json>> {
    let mut child = Command::new(crate::readers::python()?)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let told = json!({"files": files, "queries": queries}).to_string();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(told.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "DuckDB failed");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Some hundred thousand rows in three files, written once for all tests.
fn files() -> &'static [PathBuf] {
    static FILES: LazyLock<(tempfile::TempDir, Vec<PathBuf>)> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        let files = written(folder.path());
        (folder, files)
    });
    &FILES.1
}

fn written(folder: &Path) -> Vec<PathBuf> {
    let path = |number: usize| folder.join(format!("{number}.parquet"));
    let mut batch = Batch::new(Dataset::Records);
    let mut number = 0;
    rows(450_000, |row| {
        batch.push(row);
        if batch.len() == 150_000 {
            let full = std::mem::replace(&mut batch, Batch::new(Dataset::Records));
            std::fs::write(path(number), encode(full, Effort::Small).unwrap()).unwrap();
            number += 1;
        }
    });
    (0..3).map(path).collect()
}

fn table(files: &[PathBuf]) -> Vec<Table> {
    let sources = files.iter().map(|path| Source::open(path).unwrap());
    vec![Table::whole(Dataset::Records, sources.collect())]
}

fn rows_of(answer: &Answer) -> Vec<Json> {
    let rows = answer.rows.iter();
    rows.map(|row| row.iter().map(Value::json).collect())
        .collect()
}

fn sorted(mut rows: Vec<Json>) -> Vec<Json> {
    rows.sort_by_key(ToString::to_string);
    rows
}

/// Whether rows are the same, numbers with a fraction but for the last digits.
fn same(left: &Json, right: &Json) -> bool {
    match (left, right) {
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| same(l, r))
        }
        (Json::Number(l), Json::Number(r)) if l.is_f64() || r.is_f64() => {
            let (l, r) = (l.as_f64().unwrap(), r.as_f64().unwrap());
            (l - r).abs() <= l.abs().max(r.abs()) * 1e-12
        }
        (left, right) => left == right,
    }
}

/// Queries that both understand. The first word says who must have grouped: `native` or `rows`.
const QUERIES: [&str; 29] = [
    "native SELECT team, sum(cost_nano) FROM records GROUP BY team",
    "native SELECT route, count(*) AS calls, count(*) FILTER (WHERE status >= 500) AS errors FROM records GROUP BY route",
    "native SELECT hour(time) AS h, sum(input_tokens) + sum(output_tokens) AS tokens FROM records GROUP BY h",
    "native SELECT minute(time), model, min(duration_us), max(duration_us), avg(duration_us) FROM records WHERE model IS NOT NULL GROUP BY minute(time), model",
    "native SELECT team, consumer, route, count(first_byte_us), sum(response_bytes) FROM records WHERE status = 200 GROUP BY 1, 2, 3",
    "native SELECT count(*), sum(cost_nano), min(time), max(time), count(model) FROM records",
    "native SELECT count(*), sum(cost_nano) FROM records WHERE team = 'nobody'",
    "native SELECT team, count(*) AS n FROM records WHERE route IN ('route-1', 'route-5', 'none') AND duration_us BETWEEN 5000 AND 500000 GROUP BY team HAVING count(*) > 20",
    "native SELECT provider, count(*) FROM records WHERE model IS NULL GROUP BY provider",
    "native SELECT provider, count(*) FROM records WHERE team > 'team-17' AND team <= 'team-3' AND status != 200 GROUP BY provider",
    "native SELECT route, cast(sum(cost_nano) AS double) / 1000000000 AS dollars FROM records WHERE route GLOB 'route-1*' AND time >= 1790000010000000 GROUP BY route",
    "native SELECT coalesce(model, 'none') AS m, avg(input_tokens) FROM records GROUP BY model",
    "native SELECT revision, attempts, count(*) FROM records WHERE fault = 'upstream_unreachable' GROUP BY revision, attempts",
    "native SELECT team, sum(status >= 500) AS bad FROM records GROUP BY team ORDER BY bad DESC, team LIMIT 5",
    "native SELECT method, sum(attempts) - count(*) AS again FROM records WHERE trace_id IS NOT NULL GROUP BY method",
    "native SELECT upper(team), count(*) FROM records GROUP BY upper(team)",
    "native SELECT CASE WHEN status >= 500 THEN 'bad' WHEN status >= 400 THEN 'refused' ELSE 'good' END AS how, count(*), avg(duration_us), min(duration_us), max(duration_us) FROM records GROUP BY how ORDER BY how",
    "native SELECT substr(route, 1, 7) AS part, lower(method), sum(cost_nano), count(model) FROM records WHERE status < 600 GROUP BY part, 2",
    "native SELECT length(team) AS l, hour(time), count(*) FROM records GROUP BY l, hour(time)",
    "rows SELECT team, count(DISTINCT consumer) FROM records GROUP BY team",
    "rows SELECT count(*) FROM records WHERE status = 503 OR team = 'team-1'",
    "rows SELECT exchange_id, time FROM records ORDER BY time DESC, exchange_id LIMIT 20",
    "rows SELECT time, team, duration_us FROM records WHERE duration_us > 3700000 AND team IN ('team-1', 'team-2') ORDER BY duration_us DESC, time LIMIT 50",
    "rows SELECT a.team, count(*) FROM records AS a JOIN (SELECT DISTINCT consumer FROM records WHERE consumer < 'consumer-105') AS b ON a.consumer = b.consumer GROUP BY a.team",
    "rows SELECT team, c FROM (SELECT team, sum(cost_nano) AS c FROM records GROUP BY team) AS sums WHERE c > 100000000000",
    "rows SELECT sum(input_tokens * 2 + output_tokens) FROM records WHERE model = 'some-model-2026-1'",
    "rows SELECT route, status, duration_us FROM records WHERE time > 1790000001000000 AND time < 1790000001100000",
    "rows SELECT team FROM records WHERE time < 1790000000100000 UNION SELECT consumer FROM records WHERE time < 1790000000100000",
    "rows WITH slow AS (SELECT * FROM records WHERE duration_us > 3600000) SELECT team, count(*) FROM slow GROUP BY team",
];

#[test]
fn answers_are_those_of_duckdb_row_for_row() {
    let files = files();
    let plain: Vec<&str> = QUERIES
        .iter()
        .map(|query| query.split_once(' ').unwrap().1)
        .collect();
    let theirs = duckdb(files, &plain);
    let limits = SqlLimits {
        answer_rows: 100_000,
        ..SqlLimits::default()
    };
    for (index, case) in QUERIES.iter().enumerate() {
        let (who, sql) = case.split_once(' ').unwrap();
        let ours = query(sql, table(files), &limits, NOW_US).unwrap();
        assert_eq!(ours.native, who == "native", "{sql}");
        if ours.native {
            let rows = query_by_rows(sql, table(files), &limits, NOW_US).unwrap();
            assert_eq!(rows.columns, ours.columns, "{sql}");
            assert_eq!(rows.rows, ours.rows, "{sql}");
        }
        if let Some(theirs) = &theirs {
            let ours = sorted(rows_of(&ours));
            let theirs = sorted(theirs[index].as_array().unwrap().clone());
            assert_eq!(ours.len(), theirs.len(), "{sql}");
            for (ours, theirs) in ours.iter().zip(&theirs) {
                assert!(same(ours, theirs), "{sql}: {ours} is not {theirs}");
            }
        }
    }
}

#[test]
fn quantiles_are_near_those_of_duckdb_and_equal_sqlites() {
    let files = files();
    let sql = "SELECT route, p99(duration_us), quantile(duration_us, 0.5) FROM records GROUP BY route ORDER BY route";
    let ours = query(sql, table(files), &SqlLimits::default(), NOW_US).unwrap();
    let rows = query_by_rows(sql, table(files), &SqlLimits::default(), NOW_US).unwrap();
    assert!(ours.native && !rows.native);
    assert_eq!(ours.rows, rows.rows);
    let theirs = "SELECT route, quantile_disc(duration_us, 0.99), quantile_disc(duration_us, 0.5) FROM records GROUP BY route ORDER BY route";
    let Some(theirs) = duckdb(files, &[theirs]) else {
        return;
    };
    let theirs = theirs[0].as_array().unwrap().clone();
    assert_eq!(theirs.len(), ours.rows.len());
    for (ours, theirs) in rows_of(&ours).iter().zip(&theirs) {
        for column in [1, 2] {
            let (found, exact) = (
                ours[column].as_f64().unwrap(),
                theirs[column].as_f64().unwrap(),
            );
            // DuckDB's rank may be one beside ours.
            assert!(
                (found - exact).abs() <= exact * 0.02,
                "{ours} is far from {theirs}"
            );
        }
    }
}

/// Keys that are expressions: who must have grouped, and the query.
const EXPRESSIONS: [&str; 13] = [
    "native SELECT status / 100 * 100 AS class, p99(duration_us) FROM records GROUP BY class",
    "native SELECT strftime('%H:%M', time / 1000000, 'unixepoch') AS m, count(*), quantile(duration_us, 0.9) FROM records GROUP BY m",
    "native SELECT coalesce(model, team) || '/' || ifnull(fault, '-') AS what, count(*) FROM records GROUP BY what ORDER BY 2 DESC, 1 LIMIT 10",
    "native SELECT (status >= 500) + 0 AS bad, count(*) FROM records GROUP BY bad HAVING count(*) > 3",
    "native SELECT team = 'team-1', sum(status) FROM records GROUP BY team = 'team-1'",
    "native SELECT status = '200' AS ok, count(*) FROM records GROUP BY ok",
    "native SELECT status = '0200' AS ok, status || '' AS text, count(*) FROM records GROUP BY 1, 2",
    "native SELECT upper(team) || '!', count(*) FROM records GROUP BY upper(team) ORDER BY count(*), upper(team)",
    "native SELECT iso(hour(time)) AS at, minute(time) / 60000000 % 60 AS m, sum(attempts) FROM records GROUP BY at, m",
    "native SELECT nullif(team, 'team-1') AS t, avg(first_byte_us), sum(cost_nano) FILTER (WHERE status = 200) FROM records WHERE model IS NULL GROUP BY t",
    "rows SELECT duration_us / 1000.0 AS ms, count(*) FROM records WHERE route = 'route-1' GROUP BY ms",
    "rows SELECT 2 * status + attempts, count(*) FROM records GROUP BY status + attempts",
    "native SELECT exchange_id, count(*) FROM records WHERE time < 1790000000001000 GROUP BY exchange_id",
];

#[test]
fn keys_that_are_expressions_are_those_of_sqlite() {
    let files = files();
    let limits = SqlLimits {
        answer_rows: 100_000,
        ..SqlLimits::default()
    };
    for case in EXPRESSIONS {
        let (who, sql) = case.split_once(' ').unwrap();
        let ours = query(sql, table(files), &limits, NOW_US);
        let rows = query_by_rows(sql, table(files), &limits, NOW_US);
        let (ours, rows) = match (ours, rows) {
            (Ok(ours), Ok(rows)) => (ours, rows),
            // A column beside the key that is not in it.
            (ours, rows) => {
                assert_eq!(ours.unwrap_err(), rows.unwrap_err(), "{sql}");
                continue;
            }
        };
        assert_eq!(ours.native, who == "native", "{sql}");
        assert_eq!(rows.columns, ours.columns, "{sql}");
        assert!(!rows.rows.is_empty(), "{sql}");
        assert_eq!(rows.rows, ours.rows, "{sql}");
    }
    // Where more would have to be held than may be, SQLite makes every row.
    let few = SqlLimits {
        scan: Limits {
            groups: 1_000,
            ..Limits::default()
        },
        ..SqlLimits::default()
    };
    let sql = "SELECT substr(exchange_id, 32) AS digit, count(*) FROM records GROUP BY digit";
    let [many, some] = [&limits, &few].map(|limits| {
        let answer = query(sql, table(files), limits, NOW_US).unwrap();
        (answer.native, answer.rows)
    });
    assert_eq!((many.0, some.0), (true, false));
    assert_eq!(many.1, some.1);
}

#[test]
fn a_row_is_found_by_its_ids() {
    let files = files();
    let some = "SELECT exchange_id, trace_id FROM records WHERE time > 1790000020000000 LIMIT 1";
    let some = query(some, table(files), &SqlLimits::default(), NOW_US).unwrap();
    let ids = some.rows[0].iter().map(Value::text).collect::<Vec<_>>();
    for (column, id) in ["exchange_id", "trace_id"].iter().zip(&ids) {
        let sql = format!("SELECT * FROM records WHERE {column} = '{id}'");
        let found = query(&sql, table(files), &SqlLimits::default(), NOW_US).unwrap();
        assert_eq!(found.rows.len(), 1);
        assert_eq!(found.columns.len(), Dataset::Records.columns().len());
        assert!(
            found.rows_read < 300_000,
            "{column} read {} rows",
            found.rows_read
        );
        let none =
            format!("SELECT count(*) AS n, route FROM records WHERE {column} = 'x' GROUP BY route");
        let none = query(&none, table(files), &SqlLimits::default(), NOW_US).unwrap();
        assert_eq!((none.rows.len(), none.rows_read), (0, 0));
    }
}

#[test]
fn the_latest_rows_are_found_without_sorting_all() {
    let files = files();
    let sql = "SELECT time, exchange_id, status FROM records WHERE status = 503 ORDER BY time DESC LIMIT 7 OFFSET 3";
    let quick = query(sql, table(files), &SqlLimits::default(), NOW_US).unwrap();
    let slow = query_by_rows(sql, table(files), &SqlLimits::default(), NOW_US).unwrap();
    assert_eq!(quick.rows, slow.rows);
    assert_eq!(quick.rows.len(), 7);
}

#[test]
fn a_query_only_reads() {
    let files = files();
    for sql in [
        "ATTACH '/tmp/x.db' AS x",
        "PRAGMA cache_size = 1",
        "CREATE TABLE x(y)",
        "CREATE TEMP TABLE x AS SELECT 1",
        "INSERT INTO records(team) VALUES('x')",
        "DELETE FROM records",
        "DROP TABLE records",
        "SELECT load_extension('x')",
        "SELECT * FROM pragma_database_list",
        "VACUUM INTO '/tmp/x.db'",
        "BEGIN",
        "SELECT 1; SELECT 2",
        "SELECT nothing FROM records",
        "SELECT team FROM records GROUP BY nothing",
        "",
    ] {
        let error = query(sql, table(files), &SqlLimits::default(), NOW_US).unwrap_err();
        let told = matches!(&error, QueryError::Invalid(text) if !text.contains("misuse"));
        assert!(told, "{sql}: {error}");
    }
}

#[test]
fn a_query_takes_no_more_than_it_may() {
    let files = files();
    let limits = |change: fn(&mut SqlLimits)| {
        let mut limits = SqlLimits::default();
        change(&mut limits);
        limits
    };
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let cases = [
        (
            limits(|it| it.scan.time = Duration::from_millis(200)),
            endless,
            "milliseconds",
        ),
        (
            limits(|it| it.scan.groups = 1000),
            "SELECT exchange_id, count(*) FROM records GROUP BY exchange_id",
            "groups",
        ),
        (
            limits(|it| it.scan.groups = 1000),
            "SELECT time, consumer, count(*) FROM records GROUP BY time, consumer",
            "groups",
        ),
        (
            limits(|it| it.scan.bytes = 10_000),
            "SELECT request_bytes, p99(duration_us) FROM records GROUP BY request_bytes",
            "bytes of memory",
        ),
        (
            limits(|it| it.scan.rows = 200_000),
            "SELECT count(DISTINCT team) FROM records",
            "rows read",
        ),
        (
            limits(|it| it.scan.rows = 200_000),
            "SELECT team, count(*) FROM records GROUP BY team",
            "rows read",
        ),
        (
            limits(|it| it.answer_bytes = 100_000),
            "SELECT * FROM records",
            "bytes of answer",
        ),
    ];
    for (limits, sql, what) in cases {
        let error = query(sql, table(files), &limits, NOW_US).unwrap_err();
        assert!(error.to_string().contains(what), "{sql}: {error}");
    }
    let short = limits(|it| it.answer_rows = 10);
    let answer = query("SELECT time FROM records", table(files), &short, NOW_US).unwrap();
    assert_eq!((answer.rows.len(), answer.truncated), (10, true));
}

#[test]
fn a_row_policy_holds_whatever_the_query() {
    let files = files();
    let policy = Filter {
        column: Field::Team.index(),
        test: Test::text(b"team-3"),
    };
    let columns = ["time", "team", "route", "status"].map(str::to_owned);
    let product = || {
        let whole = table(files).remove(0);
        vec![whole.part("shop-calls", Some(&columns), vec![policy.clone()])]
    };
    for sql in [
        "SELECT DISTINCT team FROM shop_calls",
        "SELECT team FROM shop_calls GROUP BY team",
        "SELECT team FROM (SELECT team FROM shop_calls ORDER BY time DESC LIMIT 5) GROUP BY team",
        "SELECT min(team) AS t FROM shop_calls WHERE team = 'team-3' OR team = 'team-1' GROUP BY team",
    ] {
        let answer = query(sql, product(), &SqlLimits::default(), NOW_US).unwrap();
        assert_eq!(answer.rows, [[Value::Text("team-3".into())]], "{sql}");
    }
    for sql in [
        "SELECT consumer FROM shop_calls",
        "SELECT team FROM records",
        "SELECT count(consumer) FROM shop_calls",
    ] {
        assert!(
            query(sql, product(), &SqlLimits::default(), NOW_US).is_err(),
            "{sql}"
        );
    }
}

#[test]
fn bodies_and_formats() {
    let mut batch = Batch::new(Dataset::Bodies);
    for (index, body) in ["{\"q\":\"a, \\\"b\\\"\"}", "plain\u{1b}[2J"]
        .into_iter()
        .enumerate()
    {
        batch.push_body(&BodyRow {
            time_us: 1_790_000_000_000_000 + index as i64,
            exchange_id: [7; 16],
            route: Some("ai"),
            direction: [Direction::Request, Direction::Response][index],
            bytes: body.len() as u64,
            truncated: index == 1,
            body: body.as_bytes(),
            ..BodyRow::default()
        });
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bodies.parquet");
    std::fs::write(&path, encode(batch, Effort::Quick).unwrap()).unwrap();
    let tables = || {
        vec![Table::whole(
            Dataset::Bodies,
            vec![Source::open(&path).unwrap()],
        )]
    };
    let sql = "SELECT direction, truncated, body, 1.5 AS x FROM bodies ORDER BY time";
    let answer = query(sql, tables(), &SqlLimits::default(), NOW_US).unwrap();
    assert_eq!(
        answer.rows[1][1..3],
        [Value::Integer(1), Value::Text("plain\u{1b}[2J".into())]
    );
    let text = |format| String::from_utf8(answer.write(format).unwrap()).unwrap();
    assert!(
        text(Format::Csv)
            .starts_with("direction,truncated,body,x\r\nrequest,0,\"{\"\"q\"\":\"\"a, ")
    );
    assert!(!text(Format::Table).contains('\u{1b}'));
    let json: Json = serde_json::from_str(&text(Format::Json)).unwrap();
    assert_eq!(json["rows"][0][2], "{\"q\":\"a, \\\"b\\\"\"}");
    let parquet = folder.path().join("answer.parquet");
    std::fs::write(&parquet, answer.write(Format::Parquet).unwrap()).unwrap();
    let doubled = query(
        "SELECT 1 AS a, 2 AS a",
        tables(),
        &SqlLimits::default(),
        NOW_US,
    )
    .unwrap();
    assert!(doubled.write(Format::Parquet).is_err());
    let Some(python) = crate::readers::python() else {
        return;
    };
    let read = format!(
        "import duckdb; print(duckdb.sql(\"SELECT sum(truncated), sum(x), min(direction), max(body) FROM '{}'\").fetchall())",
        parquet.display()
    );
    let output = Command::new(python).args(["-c", &read]).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("(1, 3.0, 'request',"), "{printed}");
}
