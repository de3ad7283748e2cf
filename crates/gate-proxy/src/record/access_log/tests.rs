//! Rows in, lines out; and a sink that blocks.

use super::*;
use crate::record::tests::{ai_record, attempt, head, record, row};
use gate_kit::http::{Method, RequestHead};
use gate_model::fault::FaultCode;
use serde_json::{Value, json};
use std::sync::mpsc::{Receiver, Sender, channel};

/// A sink that waits for permission before it takes anything.
#[derive(Debug)]
pub(super) struct TestSink {
    permits: Receiver<io::Result<()>>,
    written: Sender<usize>,
}

impl TestSink {
    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.permits.recv().unwrap_or(Ok(()))?;
        let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
        self.written.send(lines).map_err(io::Error::other)
    }
}

fn as_json(row: &Row) -> Value {
    let mut line = Vec::new();
    format::write_json(&mut line, row);
    let text = String::from_utf8(line).expect("UTF-8");
    assert_eq!(text.matches('\n').count(), 1, "one line: {text:?}");
    assert!(
        !text[..text.len() - 1].contains(|c: char| c.is_control()),
        "{text:?}"
    );
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn as_text(row: &Row) -> String {
    let mut line = Vec::new();
    format::write_text(&mut line, row);
    String::from_utf8(line).expect("ASCII")
}

fn hostile() -> RequestHead {
    let mut head = head(
        "/a\u{1b}[2J\"\\?token=abc&q=1",
        &[
            ("User-Agent", "curl \"x\" \u{9b}31m"),
            ("Referer", "https://x/?password=abc"),
            ("Authorization", "Bearer abc"),
            ("Cookie", "id=abc"),
            ("X-Tenant", "t1"),
        ],
    );
    head.method = Method::Other("BREW".into());
    head
}

const HEADERS: [&str; 3] = ["authorization", "Cookie", "x-tenant"];

#[test]
fn a_json_row_holds_what_is_known_and_no_credential() {
    let mut failed = record();
    failed.fault = Some(FaultCode::UpstreamReset);
    failed.fault_detail = "connection\nreset".into();
    failed
        .attempts
        .push(attempt("10.0.0.2:80", 0, Some(FaultCode::UpstreamReset)));
    let shown = as_json(&row(failed, &hostile(), &HEADERS));
    let attempt = |endpoint: &str| json!({"endpoint": endpoint, "status": 200, "started_ms": 1.0, "duration_ms": 8.0, "reused": true});
    let mut second = attempt("10.0.0.2:80");
    second["status"] = json!(0);
    second["fault"] = json!("upstream_reset");
    let expected = json!({
        "time": "2026-11-21T12:00:00.000000Z", "client": "192.0.2.1", "method": "BREW",
        "scheme": "https", "host": "api.example.com:8443", "path": "/a\u{1b}[2J\"\\",
        "query": "token=[redacted]&q=1", "version": "1.1", "status": 200,
        "outcome": "complete", "duration_ms": 12.0, "first_byte_ms": 10.0,
        "request_bytes": 10, "response_bytes": 1234, "listener": "public", "route": "orders",
        "consumer": "storefront", "team": "shop", "target": "backend",
        "fault": "upstream_reset", "fault_source": "upstream",
        "fault_detail": "connection\nreset",
        "attempts": [attempt("10.0.0.1:80"), second], "revision": 7,
        "trace_id": "01".repeat(16), "span_id": "02".repeat(8),
        "user_agent": "curl \"x\" \u{9b}31m",
        "headers": {"authorization": "[redacted]", "cookie": "[redacted]", "x-tenant": "t1"},
    });
    assert_eq!(shown, expected);
}

#[test]
fn a_model_call_shows_its_tokens() {
    let shown = as_json(&row(ai_record(), &head("/v1/chat/completions", &[]), &[]));
    let expected = json!({
        "operation": "chat", "model": "assistant", "provider": "claude",
        "provider_kind": "anthropic", "provider_model": "claude-x",
        "response_model": "claude-x-1", "stream": false, "translated": false,
        "input_tokens": 100, "output_tokens": 20, "cached_tokens": 60, "first_token_ms": 5.0,
        "losses": ["logit_bias"],
    });
    assert_eq!(shown["ai"], expected);
    assert_eq!(shown.get("headers"), None);
}

#[test]
fn an_empty_record_is_a_valid_row() {
    let shown = as_json(&row(gate_flow::Record::default(), &head("*", &[]), &[]));
    assert_eq!((&shown["status"], &shown["path"]), (&json!(0), &json!("*")));
}

#[test]
fn a_text_row_is_the_combined_format() {
    assert_eq!(
        as_text(&row(record(), &hostile(), &HEADERS)),
        "192.0.2.1 - storefront [21/Nov/2026:12:00:00 +0000] \
         \"BREW /a\\x1B[2J\\x22\\x5C?token=[redacted]&q=1 HTTP/1.1\" 200 1234 \
         \"https://x/?password=[redacted]\" \"curl \\x22x\\x22 \\xC2\\x9B31m\" \
         \"[redacted]\" \"[redacted]\" \"t1\"\n"
    );
    let bare = as_text(&row(gate_flow::Record::default(), &head("/", &[]), &[]));
    assert!(
        bare.ends_with("\"GET / HTTP/1.1\" 0 0 \"-\" \"-\"\n"),
        "{bare}"
    );
}

#[test]
fn long_parts_are_cut_at_a_character() {
    let target = format!("/{}", "ä".repeat(5000));
    let shown = as_json(&row(record(), &head(&target, &[]), &[]));
    let path = shown["path"].as_str().expect("a string");
    assert!(
        path.len() <= 2050 && target.starts_with(path.trim_end_matches('\u{fffd}')),
        "{path}"
    );
}

#[test]
fn the_target_as_received_is_logged() {
    let mut rewritten = record();
    rewritten.original_target = Some("/before?x=1".into());
    let shown = as_json(&row(rewritten, &head("/after", &[]), &[]));
    assert_eq!(
        (&shown["path"], &shown["query"]),
        (&json!("/before"), &json!("x=1"))
    );
}

fn blocked() -> (LogWriter, Sender<io::Result<()>>, Receiver<usize>) {
    let (permit, permits) = channel();
    let (written, lines) = channel();
    let sink = Sink::Other(TestSink { permits, written });
    let writer = LogWriter::new();
    writer
        .set_target(LogTarget {
            format: LogFormat::Json,
            sink,
        })
        .expect("a thread");
    (writer, permit, lines)
}

#[test]
fn a_stuck_sink_costs_rows_and_never_blocks_a_push() {
    let (writer, permit, lines) = blocked();
    let row = Arc::new(row(record(), &head("/", &[]), &[]));
    let pushes = 2 * (ROWS_MAX + BATCH);
    // Were a push to wait for the sink, this loop would never end.
    (0..pushes).for_each(|_| writer.push(row.clone()));
    let (written, lost) = writer.counts();
    assert_eq!(written, 0);
    assert!(lost >= (pushes - ROWS_MAX - BATCH) as u64, "{lost}");
    assert!(
        !writer.close(Duration::from_millis(50)),
        "a stuck sink cannot hold the shutdown"
    );
    drop(permit);
    let received: usize = lines.iter().sum();
    assert_eq!(
        received as u64 + lost,
        pushes as u64,
        "each row is written or counted as lost"
    );
}

#[test]
fn rows_of_a_failing_sink_are_counted_as_lost() {
    let (writer, permit, _lines) = blocked();
    permit
        .send(Err(io::ErrorKind::StorageFull.into()))
        .expect("the sink waits");
    writer.push(Arc::new(row(record(), &head("/", &[]), &[])));
    assert!(writer.close(Duration::from_secs(10)));
    assert_eq!(writer.counts(), (0, 1));
}

#[test]
fn a_rotated_file_is_opened_again() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let path = folder.path().join("access.log");
    let settings = AccessLog {
        to: LogSink::File {
            path: "access.log".into(),
        },
        format: LogFormat::Text,
        ..AccessLog::default()
    };
    let writer = LogWriter::new();
    let target = LogTarget::open(&settings, folder.path()).expect("the folder is writable");
    writer.set_target(target).expect("a thread");
    std::fs::rename(&path, folder.path().join("access.log.1")).expect("the file exists");
    writer.reopen();
    writer.push(Arc::new(row(record(), &head("/", &[]), &[])));
    assert!(writer.close(Duration::from_secs(10)));
    let text = std::fs::read_to_string(&path).expect("opened again");
    assert_eq!(text.lines().count(), 1);
}
