//! The CRS regression suite through a running gateway with the policy `waf`.
//!
//! Which rules matched is read from the audit records that the gateway keeps of late. Some requests
//! never reach the rules, because HTTP's grammar refuses them. Where that is for bytes that no target may
//! hold, the request is sent once more with these encoded, as HTTP writes them, and then the rules have to
//! match. The others are listed by name, each with the reason, in `conformance/crs/refused.txt`: one that
//! is refused and is not listed has failed, and so has one that is listed and is not refused.
//! `TIDEGATE_SUITE=all` runs the whole suite instead of every tenth test.
#![allow(clippy::print_stdout, reason = "scores are printed")]

#[allow(dead_code, reason = "shared with the tests of gate-waf")]
#[path = "../../../gate-waf/tests/it/ftw/mod.rs"]
mod ftw;

use crate::support::{Gateway, Upstream};
use ftw::{Case, Outcome, cases, folder, reflection};
use gate_proxy::record::firewall::Sighting;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What upstream sets for its tests.
const SETTINGS: &str = r#"
            SecResponseBodyMimeType text/plain text/html text/xml application/json
            SecAction "id:900000,phase:1,pass,t:none,nolog,setvar:tx.blocking_paranoia_level=4,setvar:tx.detection_paranoia_level=4,setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_name_length=100,setvar:tx.arg_length=400,setvar:tx.total_arg_length=6400,setvar:tx.max_num_args=255,setvar:tx.max_file_size=64100,setvar:tx.combined_file_sizes=65535"
"#;
const REFLECTING: &str = r#"            SecRule REQUEST_FILENAME "@beginsWith /reflect" "id:900001,phase:1,pass,t:none,nolog,setvar:tx.inbound_anomaly_score_threshold=100000"
"#;

/// What tells the back end's answers from the gateway's own.
const REACHED: &str = "x-back-end: reached";

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
        return format!(
            "HTTP/1.1 200 OK\r\n{REACHED}\r\ncontent-type: text/plain\r\ncontent-length: 0\r\n\r\n"
        );
    };
    let mut text = format!("HTTP/1.1 {} Reflected\r\n{REACHED}\r\n", asked.status);
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

/// How many exchanges have finished.
fn exchanges(gateway: &Gateway) -> u64 {
    let page = gateway.metrics();
    let counts = page
        .lines()
        .filter(|line| line.starts_with("tidegate_requests_total{"));
    let counts = counts.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    counts.sum()
}

/// What came back.
#[derive(Debug, Default)]
struct Reply {
    /// Nothing where the connection was closed without an answer.
    status: Option<u16>,
    /// Whether the back end gave it.
    reached: bool,
}

/// Sends a test's bytes. Some tests announce more than they send: for these the connection is closed
/// for writing when no answer comes.
fn send(gateway: &Gateway, case: &Case) -> Reply {
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
    Reply {
        status: text.split(' ').nth(1).and_then(|word| word.parse().ok()),
        reached: text.contains(REACHED),
    }
}

/// What became of a test.
enum Judged {
    Passed,
    /// Refused before the rules, by HTTP's grammar.
    Refused(Option<u16>),
    Failed(String),
}

/// The suite against one gateway, one request at a time.
struct Suite {
    gateway: Gateway,
    _upstream: Upstream,
    is_blocking: bool,
    finished: u64,
    last: Option<Arc<Sighting>>,
}

impl Suite {
    fn new(folder: &Path, mode: &str) -> Self {
        let (gateway, upstream) = gateway(folder, mode);
        Self {
            finished: exchanges(&gateway),
            gateway,
            _upstream: upstream,
            is_blocking: mode == "block",
            last: None,
        }
    }

    /// The rules that matched in a request that was just answered, from its audit record.
    fn matched(&mut self, reply: &Reply) -> Vec<u32> {
        let start = Instant::now();
        // A record is closed when the last byte is out; what the grammar refuses may have none.
        let is_own = !reply.reached && reply.status != Some(403);
        let patience = Duration::from_secs(if is_own { 1 } else { 60 });
        loop {
            let finished = exchanges(&self.gateway);
            if finished > self.finished || start.elapsed() > patience {
                self.finished = finished;
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let kept = self.gateway.process.shared().readers.firewall();
        let newest = kept.into_iter().next();
        let is_same = |newest: &Arc<Sighting>| {
            let last = self.last.as_ref();
            last.is_some_and(|last| Arc::ptr_eq(last, newest))
        };
        let Some(newest) = newest.filter(|newest| !is_same(newest)) else {
            return Vec::new();
        };
        let matches = newest.facts.matches.iter();
        let rules = matches.map(|one| one.rule).collect();
        self.last = Some(newest);
        rules
    }

    fn judge(&mut self, case: &Case) -> Judged {
        let reply = send(&self.gateway, case);
        let ids = self.matched(&reply);
        let mut expected = case.expected.clone();
        let is_refused = !reply.reached && reply.status != Some(403) && ids.is_empty();
        if is_refused {
            // What the test itself says of servers: that they answer so, or close the connection.
            let is_asked = match reply.status {
                Some(status) => expected.statuses.contains(&status),
                None => expected.error,
            };
            return match is_asked && expected.is_about_status_only() {
                true => Judged::Passed,
                false => Judged::Refused(reply.status),
            };
        }
        if let Err(reason) = self.consistent(&reply, &ids) {
            return Judged::Failed(reason);
        }
        // Logs are looked at in process; here an expression stands for the rule that the file is about, or
        // for the one about bodies that cannot be read, where it allows that.
        let may_be_broken = |found: &String| found.contains("parsing error");
        if expected.found.as_ref().is_some_and(may_be_broken) && ids.contains(&200_002) {
            expected.found = None;
        }
        if expected.found.take().is_some() {
            let rule = case.name.split('-').next();
            expected
                .ids
                .extend(rule.and_then(|rule| rule.parse::<u32>().ok()));
        }
        expected.not_found = None;
        expected.statuses.clear();
        let outcome = Outcome {
            ids,
            ..Outcome::default()
        };
        match expected.judge(&outcome) {
            Ok(()) => Judged::Passed,
            Err(reason) => Judged::Failed(format!("{reason}; {reply:?}")),
        }
    }

    /// A request is refused exactly if a rule refuses it, and by nobody while rules only detect.
    fn consistent(&self, reply: &Reply, ids: &[u32]) -> Result<(), String> {
        let decides = |id: &u32| {
            matches!(
                id,
                949_110 | 949_111 | 959_100 | 959_101 | 200_002..=200_007
            )
        };
        let should = self.is_blocking && ids.iter().any(decides);
        match reply.status == Some(403) && !reply.reached {
            false if should => Err("was let through although a rule refuses it".into()),
            true if !should => Err("was refused by no rule".into()),
            _ => Ok(()),
        }
    }
}

/// Tests that fail, and why.
const FAILING: [(&str, &str); 1] = [
    // Written for Apache httpd, which joins two fields of Content-Type into one.
    ("920620-1", "920620 matched"),
];

/// A request with the bytes encoded that no target may hold raw (RFC 9112 section 3.2, RFC 3986 section
/// 2); nothing where there is none.
fn encoded(case: &Case) -> Option<Case> {
    let end = case.wire.windows(2).position(|two| two == b"\r\n")?;
    let line = &case.wire[..end];
    let start = line.iter().position(|byte| *byte == b' ')? + 1;
    let stop = line.iter().rposition(|byte| *byte == b' ')?;
    let target = line.get(start..stop)?;
    let is_refused = |byte: &u8| b" \"<>\\^`{|}".contains(byte) || *byte > 0x7e;
    if !target.iter().any(is_refused) {
        return None;
    }
    let mut wire = line[..start].to_vec();
    for byte in target {
        match is_refused(byte) {
            true => wire.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            false => wire.push(*byte),
        }
    }
    wire.extend_from_slice(&case.wire[stop..]);
    Some(Case {
        wire,
        ..case.clone()
    })
}

/// Tests whose requests HTTP's grammar refuses, each with the reason.
fn refused() -> BTreeMap<String, String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../conformance/crs/refused.txt");
    let list = std::fs::read_to_string(&file).expect("the list of refused requests");
    let lines = list.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let entry = |line: &str| {
        let (name, reason) = line.split_once(' ').expect("a name and a reason");
        (name.to_owned(), reason.trim().to_owned())
    };
    lines.map(entry).collect()
}

fn suite(mode: &str) {
    let folder = match folder() {
        Ok(folder) => folder,
        Err(reason) => return eprintln!("skipped: crs {mode} through the gateway: {reason}"),
    };
    let folder = folder.canonicalize().expect("it is there");
    let every = match std::env::var_os("TIDEGATE_SUITE") {
        Some(_) => 1,
        None => 10,
    };
    let cases: Vec<Case> = cases(&folder).into_iter().step_by(every).collect();
    let listed = refused();
    let mut suite = Suite::new(&folder, mode);
    let (mut passed, mut again, mut early, mut failed) = (0, 0, 0, 0);
    let mut odd = Vec::new();
    for case in &cases {
        let is_listed = listed.contains_key(&case.name);
        let mut judged = suite.judge(case);
        if let (Judged::Refused(_), Some(encoded)) = (&judged, encoded(case)) {
            judged = suite.judge(&encoded);
            again += usize::from(matches!(judged, Judged::Passed));
        }
        let failure = match judged {
            Judged::Refused(_) if is_listed => {
                early += 1;
                continue;
            }
            Judged::Passed if !is_listed => {
                passed += 1;
                continue;
            }
            Judged::Passed => "is listed as refused by the grammar, and was not".into(),
            Judged::Refused(status) => format!("refused before the rules with {status:?}"),
            Judged::Failed(reason) => reason,
        };
        failed += 1;
        let is_known =
            |(name, reason): &(&str, &str)| *name == case.name && failure.starts_with(reason);
        if !FAILING.iter().any(is_known) {
            odd.push(format!("{}: {failure}", case.name));
        }
    }
    let known = cases.iter().filter(|case| {
        let names = FAILING.iter().map(|(name, _)| *name);
        names.into_iter().any(|name| name == case.name)
    });
    let known = known.count();
    let all = cases.len();
    println!(
        "SCORE crs {mode} by gateway: {passed} of {all} passed, {again} of them encoded as HTTP wants it; \
         {early} refused by HTTP's grammar as listed, {failed} failed"
    );
    assert!(odd.is_empty(), "{mode}: {odd:#?}");
    assert_eq!(failed, known, "a test passes that is said to fail");
    // The bar, without those that the grammar refuses.
    let holds = passed * 1000 >= all * 998;
    assert!(every > 1 || holds, "{mode}: {passed} of {all}");
}

#[test]
fn suite_passes_in_mode_detect() {
    suite("detect");
}

#[test]
fn suite_passes_in_mode_block() {
    suite("block");
}
