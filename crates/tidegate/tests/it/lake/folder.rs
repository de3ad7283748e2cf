//! Questions to a lake in a folder, as the command line asks them.

use crate::support::eventually;
use crate::support::gateway::{Running, command, tidegate};
use gate_lake::catalog::fresh_path;
use gate_lake::columns::Batch;
use gate_lake::file::{Effort, encode};
use gate_lake::objects::{Directory, Objects as _};
use gate_lake::schema::{Dataset, Row};
use serde_json::Value;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A lake with a row for each status, written just now.
#[allow(
    clippy::disallowed_methods,
    reason = "the binary under test asks the same clock"
)]
fn lake(folder: &Path, statuses: &[u64]) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut batch = Batch::new(Dataset::Records);
    for (index, status) in statuses.iter().enumerate() {
        batch.push(&Row {
            time_us: now.as_micros() as i64 + index as i64,
            exchange_id: [index as u8 + 1; 16],
            node: "here",
            method: "GET",
            route: Some(if *status == 200 { "orders" } else { "broken" }),
            status: *status,
            ..Row::default()
        });
    }
    let path = fresh_path(Dataset::Records, batch.span().unwrap(), batch.len(), now);
    let objects = Directory::open(folder).unwrap();
    let file = encode(batch, Effort::Quick).unwrap();
    assert!(objects.put_new(&path, &file).unwrap());
}

/// What a command prints; it succeeds.
#[track_caller]
fn told(arguments: &[&str]) -> String {
    let output = tidegate(arguments);
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {problem}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_command_line_asks_the_lake() {
    let folder = tempfile::tempdir().unwrap();
    lake(folder.path(), &[200, 200, 503, 200]);
    let at = ["--lake", folder.path().to_str().unwrap()];
    let ask = |arguments: &[&str]| told(&[arguments, &at].concat());
    let sql = "SELECT route, status, count(*) AS calls FROM records GROUP BY route, status";
    assert_eq!(
        ask(&["query", "--format", "csv", sql]),
        "route,status,calls\r\nbroken,503,1\r\norders,200,3\r\n"
    );
    assert_eq!(
        ask(&["query", sql]),
        "route   status  calls\nbroken     503      1\norders     200      3\n"
    );
    lake(folder.path(), &[200]);
    let json = ask(&[
        "query",
        "--format",
        "json",
        "SELECT count(*) AS n FROM records",
    ]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["columns"][0], &json["rows"][0][0]),
        (&"n".into(), &5.into())
    );
    let out = folder.path().join("answer.parquet");
    let all = [
        "query",
        "--format",
        "parquet",
        "--out",
        out.to_str().unwrap(),
    ];
    ask(&[&all[..], &["SELECT * FROM records"]].concat());
    assert!(std::fs::read(&out).unwrap().starts_with(b"PAR1"));
    let shown = ask(&["records", "--status", "5xx"]);
    assert!(
        shown.contains("broken") && !shown.contains("orders"),
        "{shown}"
    );
    let id = "03030303-0303-0303-0303-030303030303";
    let found = ask(&["records", "--id", id, "--format", "csv"]);
    assert_eq!(found.lines().count(), 2, "{found}");
    assert!(found.contains(",503,"), "{found}");
}

#[test]
fn questions_that_cannot_be_answered_say_why() {
    let folder = tempfile::tempdir().unwrap();
    lake(folder.path(), &[200]);
    let at = folder.path().to_str().unwrap();
    for (sql, place, said) in [
        ("DROP TABLE records", at, "can only read"),
        ("SELECT colour FROM records", at, "no such column: colour"),
        ("SELECT 1", "/nowhere", "is no folder"),
    ] {
        let output = tidegate(&["query", sql, "--lake", place]);
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && problem.contains(said),
            "{sql}: {problem}"
        );
    }
}

/// Writes rows that began so many seconds ago and have just ended.
#[allow(
    clippy::disallowed_methods,
    reason = "the binary under test asks the same clock"
)]
fn came_in(folder: &Path, ids: std::ops::Range<u32>, lasted_s: u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let began = now - std::time::Duration::from_secs(lasted_s);
    let mut batch = Batch::new(Dataset::Records);
    for number in ids {
        let mut exchange_id = [7; 16];
        exchange_id[..4].copy_from_slice(&number.to_be_bytes());
        batch.push(&Row {
            time_us: began.as_micros() as i64,
            duration_us: lasted_s * 1_000_000,
            exchange_id,
            node: "here",
            method: "GET",
            route: Some("orders"),
            status: 200,
            ..Row::default()
        });
    }
    let path = fresh_path(Dataset::Records, batch.span().unwrap(), batch.len(), now);
    let objects = Directory::open(folder).unwrap();
    let file = encode(batch, Effort::Quick).unwrap();
    assert!(objects.put_new(&path, &file).unwrap());
}

/// Every row that comes in is shown once: many at once, and those of long exchanges, over a lake that is
/// away for a while.
#[test]
fn rows_are_followed_as_they_come_in() {
    let folder = tempfile::tempdir().unwrap();
    let (lake, away) = (folder.path().join("lake"), folder.path().join("away"));
    std::fs::create_dir(&lake).unwrap();
    came_in(&lake, 0..3, 0);
    let at = lake.to_str().unwrap();
    let mut following = command(&["records", "--follow", "--limit", "2", "--since", "1h"]);
    let following = Running::start(following.args(["--format", "json", "--lake", at]));
    let shown = || -> Vec<String> {
        let lines = following.lines().into_iter();
        let rows = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
        rows.filter_map(|row| row["exchange_id"].as_str().map(str::to_owned))
            .collect()
    };
    eventually("the newest two are shown", || shown().len() == 2);
    came_in(&lake, 10..2_510, 0);
    eventually("all that come in at once are shown", || {
        shown().len() >= 2_502
    });
    std::fs::rename(&lake, &away).unwrap();
    following.line_with("there is no answer now");
    came_in(&away, 5_000..5_001, 1_800);
    std::fs::rename(&away, &lake).unwrap();
    eventually("one that lasted half an hour is shown", || {
        shown().len() >= 2_503
    });
    came_in(&lake, 6_000..6_001, 1);
    eventually("and the next", || shown().len() >= 2_504);
    let all = shown();
    let each: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!((all.len(), each.len()), (2_504, 2_504));
}
