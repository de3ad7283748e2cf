//! Questions to a lake that a gateway writes: by its folder, by its admin API, and as the guide has them.

use crate::support::gateway::command;
use crate::support::{Gateway, eventually};
use serde_json::Value;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// The configuration of the guide, with a lake in this folder.
fn guide(lake: &Path) -> (String, Vec<String>) {
    let path = crate::console::repository().join("docs/guides/ask-your-traffic.md");
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = |kind: &str| -> Vec<String> {
        text.split(&format!("\n```{kind}\n"))
            .skip(1)
            .map(|rest| rest.split_once("\n```").expect("it ends").0.to_owned())
            .collect()
    };
    let (commands, configurations) = (blocks("sh"), blocks("yaml complete"));
    assert_eq!((commands.len(), configurations.len()), (7, 1));
    let configuration = configurations[0]
        .replace("127.0.0.1:9901", "127.0.0.1:0")
        .replace("127.0.0.1:8080", "127.0.0.1:0")
        .replace("fresh_within: 5s", "fresh_within: 1h")
        .replace("path: lake", &format!("path: {}", lake.display()));
    (configuration, commands)
}

fn gateway(lake: &Path) -> (Gateway, Vec<String>) {
    let (configuration, commands) = guide(lake);
    let gateway = Gateway::run(&configuration, &[], &[]);
    let url = |path: &str| format!("http://{}{path}", gateway.address("web"));
    for _ in 0..3 {
        assert_eq!(crate::support::curl(&[&url("/orders/1")]).status, 200);
    }
    assert_eq!(crate::support::curl(&[&url("/broken")]).status, 503);
    (gateway, commands)
}

/// What a command about the gateway prints; it succeeds.
#[track_caller]
fn told(gateway: &Gateway, arguments: &[&str]) -> String {
    let output = asked(gateway, arguments).output().unwrap();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {problem}");
    String::from_utf8(output.stdout).unwrap()
}

fn asked(gateway: &Gateway, arguments: &[&str]) -> Command {
    let mut command = command(arguments);
    command.env(
        "TIDEGATE_SERVER",
        format!("http://{}", gateway.address("admin")),
    );
    command
}

#[test]
fn the_folder_and_the_gateway_answer_alike() {
    let lake = tempfile::tempdir().unwrap();
    let (gateway, _) = gateway(lake.path());
    let folder = lake.path().to_str().unwrap();
    let sql = "SELECT route, status, count(*) AS calls FROM records GROUP BY route, status";
    let whole = "route,status,calls\r\nbroken,503,1\r\norders,200,3\r\n";
    for place in [vec!["--lake", folder], Vec::new()] {
        let arguments = [vec!["query", "--format", "csv", sql], place].concat();
        eventually("all four are in the lake", || {
            told(&gateway, &arguments) == whole
        });
    }
    let shown = told(&gateway, &["records", "--status", "5xx"]);
    assert!(
        shown.contains("broken") && !shown.contains("orders"),
        "{shown}"
    );
    let json = told(
        &gateway,
        &[
            "query",
            "--format",
            "json",
            "SELECT exchange_id FROM records LIMIT 1",
        ],
    );
    let json: Value = serde_json::from_str(&json).unwrap();
    let id = json["rows"][0][0].as_str().unwrap();
    let found = told(
        &gateway,
        &["records", "--id", id, "--lake", folder, "--format", "csv"],
    );
    assert_eq!(found.lines().count(), 2, "{found}");
    for (sql, said) in [
        ("DROP TABLE records", "can only read"),
        ("SELECT colour FROM records", "no such column: colour"),
    ] {
        for place in [vec!["--lake", folder], Vec::new()] {
            let output = asked(&gateway, &[vec!["query", sql], place].concat())
                .output()
                .unwrap();
            let problem = String::from_utf8_lossy(&output.stderr);
            assert!(
                !output.status.success() && problem.contains(said),
                "{sql}: {problem}"
            );
        }
    }
}

#[test]
fn the_guide_to_asking_works() {
    let folder = tempfile::tempdir().unwrap();
    let lake = folder.path().join("lake");
    let (gateway, commands) = gateway(&lake);
    std::fs::write(folder.path().join("gateway.yaml"), guide(&lake).0).unwrap();
    let all = [
        "query",
        "SELECT count(*) AS n FROM records",
        "--format",
        "csv",
    ];
    eventually("all four are in the lake", || {
        told(&gateway, &all) == "n\r\n4\r\n"
    });
    let binary = Path::new(env!("CARGO_BIN_EXE_tidegate")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let said: Vec<String> = commands
        .iter()
        .map(|block| {
            let mut shell = Command::new("sh");
            shell.args(["-ec", block]).current_dir(folder.path());
            let server = format!("http://{}", gateway.address("admin"));
            shell.env("PATH", &path).env("TIDEGATE_SERVER", server);
            let output = shell.output().unwrap();
            assert!(output.status.success(), "{block}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        })
        .collect();
    assert!(
        said[0].contains("orders") && said[0].contains("p99_us"),
        "{}",
        said[0]
    );
    assert!(said[1].contains("errors"), "{}", said[1]);
    let saved = &said[2];
    assert!(
        saved.starts_with("query ") && saved.contains("span=24h"),
        "{saved}"
    );
    assert!(saved.contains("route,calls,p99_ms\r\norders,3,"), "{saved}");
    assert!(saved.contains("\"rows\":[[\"orders\",3,"), "{saved}");
    let products = &said[3];
    assert!(products.starts_with("status,n\r\n200,3\r\n"), "{products}");
    assert!(
        products.contains("shop-calls") && products.contains("kept"),
        "{products}"
    );
    let csv = std::fs::read_to_string(folder.path().join("cost.csv")).unwrap();
    assert!(csv.starts_with("day,team,cost_nano\r\n"), "{csv}");
    let parquet = std::fs::read(folder.path().join("slow.parquet")).unwrap();
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    assert!(said[5].contains("broken"), "{}", said[5]);
}

/// Whoever asked goes: their query ends then, not when its time is over, and the next is answered. Issue 7.
#[test]
fn a_query_ends_with_who_asked_it() {
    let lake = tempfile::tempdir().unwrap();
    let (gateway, _) = gateway(lake.path());
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                   SELECT count(*) FROM n";
    let ask = |sql: &str| {
        let body = serde_json::json!({ "sql": sql }).to_string();
        let url = format!("http://{}/api/v1/query", gateway.address("admin"));
        let kind = "content-type: application/json";
        crate::support::curl(&[&url, "-H", kind, "-d", &body])
    };
    assert_eq!(ask("SELECT 1").status, 200);
    let body = serde_json::json!({ "sql": endless }).to_string();
    let mut asker = TcpStream::connect(gateway.address("admin")).unwrap();
    let head = format!(
        "POST /api/v1/query HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        gateway.address("admin"),
        body.len()
    );
    asker.write_all(head.as_bytes()).unwrap();
    let asked = Instant::now();
    eventually("the query is being answered", || {
        ask("SELECT 1").status == 429
    });
    drop(asker);
    eventually("the next query is answered", || {
        ask("SELECT 1").status == 200
    });
    // It could have gone on for 15 seconds.
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(12), "{took:?}");
}
