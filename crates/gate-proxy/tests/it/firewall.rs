//! The CRS regression suite through a running gateway with the policy `waf`.
//!
//! Which rules matched is read from the metrics, which count each rule's matches. Requests that the
//! gateway's own parser refuses never reach the rules; they are counted by themselves.
//! `TIDEGATE_SUITE=all` runs the whole suite instead of every tenth test.
#![allow(clippy::print_stdout, reason = "scores are printed")]

#[allow(dead_code, reason = "shared with the tests of gate-waf")]
#[path = "../../../gate-waf/tests/it/ftw/mod.rs"]
mod ftw;

use crate::support::{Gateway, Upstream};
use ftw::{Case, Outcome, cases, folder, reflection};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// What upstream sets for its tests.
const SETTINGS: &str = r#"
            SecResponseBodyMimeType text/plain text/html text/xml application/json
            SecAction "id:900000,phase:1,pass,t:none,nolog,setvar:tx.blocking_paranoia_level=4,setvar:tx.detection_paranoia_level=4,setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_name_length=100,setvar:tx.arg_length=400,setvar:tx.total_arg_length=6400,setvar:tx.max_num_args=255,setvar:tx.max_file_size=64100,setvar:tx.combined_file_sizes=65535"
"#;
const REFLECTING: &str = r#"            SecRule REQUEST_FILENAME "@beginsWith /reflect" "id:900001,phase:1,pass,t:none,nolog,setvar:tx.inbound_anomaly_score_threshold=100000"
"#;

fn gateway(folder: &Path, mode: &str) -> (Gateway, Upstream) {
    let upstream = Upstream::http(answer);
    let more = if mode == "block" { REFLECTING } else { "" };
    let rules = folder.display();
    let text = format!(
        "listeners: {{ main: {{ address: \"127.0.0.1:0\" }} }}
upstreams: {{ back: {{ endpoints: [\"{}\"] }} }}
routes:
  all:
    match: {{ path: \"/{{*rest}}\" }}
    policies:
    - waf:
        mode: {mode}
        body: 1MiB
        rules: [\"{rules}/crs-setup.conf.example\", \"{rules}/rules/*.conf\"]
        directives: |{SETTINGS}{more}
    target: {{ upstream: back }}
",
        upstream.address
    );
    (Gateway::start(&text), upstream)
}

/// What the back end answers: what a request to `/reflect` asks for, else nothing.
fn answer(head: &str, body: &[u8]) -> String {
    let asked = head
        .starts_with("POST /reflect")
        .then(|| reflection(body))
        .flatten();
    let Some(asked) = asked else {
        return "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 0\r\n\r\n".into();
    };
    let mut text = format!("HTTP/1.1 {} Reflected\r\n", asked.status);
    let typed = asked
        .headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    for (name, value) in &asked.headers {
        if !name.eq_ignore_ascii_case("content-length") {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    if !typed {
        text.push_str("content-type: text/plain\r\n");
    }
    let body = String::from_utf8_lossy(&asked.body);
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    text
}

/// Counts of matches by rule, and of finished exchanges.
fn counts(gateway: &Gateway) -> (BTreeMap<u32, u64>, u64) {
    let mut rules = BTreeMap::new();
    let mut exchanges = 0;
    for line in gateway.metrics().lines() {
        let count = || {
            line.rsplit(' ')
                .next()
                .and_then(|count| count.parse::<u64>().ok())
                .unwrap_or(0)
        };
        if let Some(rest) = line.strip_prefix("tidegate_waf_matches_total{") {
            let rule = rest
                .split("rule=\"")
                .nth(1)
                .and_then(|rest| rest.split('"').next());
            if let Some(rule) = rule.and_then(|rule| rule.parse().ok()) {
                *rules.entry(rule).or_insert(0) += count();
            }
        } else if line.starts_with("tidegate_requests_total{") {
            exchanges += count();
        }
    }
    (rules, exchanges)
}

/// Sends a test's bytes; the status, if any came. Some tests announce more than they send: for these
/// the connection is closed for writing when no answer comes.
fn send(gateway: &Gateway, case: &Case) -> Option<u16> {
    let mut stream = TcpStream::connect(gateway.address()).expect("the gateway listens");
    // A gateway that refuses early may close before all is written.
    let _ = stream.write_all(&case.wire);
    let mut head = Vec::new();
    for patience in [2, 30] {
        let patience = Duration::from_secs(patience);
        stream.set_read_timeout(Some(patience)).expect("a timeout");
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
            head.push(byte[0]);
        }
        if !head.is_empty() {
            break;
        }
        let _ = stream.shutdown(Shutdown::Write);
    }
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = text
        .split("content-length:")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    let length = length
        .and_then(|length| length.trim().parse().ok())
        .unwrap_or(0);
    let _ = stream.read_exact(&mut vec![0; length]);
    text.split(' ').nth(1)?.parse().ok()
}

/// What became of a test.
enum Judged {
    Passed,
    RefusedEarlier,
    Failed(String),
}

/// Statuses of the gateway's own parser.
fn is_of_parser(status: Option<u16>) -> bool {
    matches!(status, None | Some(400 | 405 | 413 | 414 | 431 | 501 | 505))
}

fn judge(gateway: &Gateway, case: &Case, before: &mut (BTreeMap<u32, u64>, u64)) -> Judged {
    let status = send(gateway, case);
    let start = Instant::now();
    // A record is closed when the last byte is out; what the parser refuses may have none.
    let patience = Duration::from_secs(if is_of_parser(status) { 1 } else { 30 });
    let now = loop {
        let now = counts(gateway);
        if now.1 > before.1 || start.elapsed() > patience {
            break now;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let grew =
        |(rule, count): &(&u32, &u64)| before.0.get(*rule).is_none_or(|before| before < *count);
    let ids: Vec<u32> = now.0.iter().filter(grew).map(|(rule, _)| *rule).collect();
    *before = now;
    let mut expected = case.expected.clone();
    // Logs are looked at in process; here an expression stands for the rule that the file is about.
    if expected.found.take().is_some() {
        expected.ids.extend(
            case.name
                .split('-')
                .next()
                .and_then(|rule| rule.parse::<u32>().ok()),
        );
    }
    expected.not_found = None;
    expected.statuses.clear();
    let outcome = Outcome {
        status: None,
        ids,
        log: Vec::new(),
    };
    match expected.judge(&outcome) {
        Ok(()) => Judged::Passed,
        Err(_) if outcome.ids.is_empty() && is_of_parser(status) => Judged::RefusedEarlier,
        Err(reason) => Judged::Failed(reason),
    }
}

fn suite(mode: &str) {
    let folder = match folder() {
        Ok(folder) => folder,
        Err(reason) => return eprintln!("skipped: crs {mode} through the gateway: {reason}"),
    };
    let folder = folder.canonicalize().expect("it is there");
    let every = if std::env::var_os("TIDEGATE_SUITE").is_some() {
        1
    } else {
        10
    };
    let cases: Vec<Case> = cases(&folder).into_iter().step_by(every).collect();
    let (gateway, _upstream) = gateway(&folder, mode);
    let mut before = counts(&gateway);
    let (mut passed, mut early, mut failed) = (0, 0, 0);
    for case in &cases {
        match judge(&gateway, case, &mut before) {
            Judged::Passed => passed += 1,
            Judged::RefusedEarlier => early += 1,
            Judged::Failed(reason) => {
                failed += 1;
                eprintln!("{mode}: {}: {reason}", case.name);
            }
        }
    }
    let all = cases.len();
    eprintln!(
        "SCORE crs {mode} by gateway: {passed} of {all} by the rules, {early} refused by the parser before, {failed} failed"
    );
    assert!(
        (passed + early) * 1000 >= all * 980,
        "{failed} of {all} failed"
    );
}

#[test]
fn suite_passes_in_mode_detect() {
    suite("detect");
}

#[test]
fn suite_passes_in_mode_block() {
    suite("block");
}
