//! What the gateway tells others: spans and logs to a collector, rows to a file, and neither at the
//! cost of the requests when nobody takes them.

use crate::cassettes::{Caller, Provider, Reply, document};
use crate::support::{
    Gateway, PATIENCE, Upstream, eventually, ok, plain, read_answer, read_request,
};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// A collector: the path, head and body of each export.
pub(crate) fn collector() -> (SocketAddr, Receiver<(String, String, Vec<u8>)>) {
    let (send, exports) = channel();
    let upstream = Upstream::raw(move |mut stream, _| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        loop {
            let (head, body) = read_request(&mut reader);
            if head.is_empty() {
                return;
            }
            let path = head.split(' ').nth(1).unwrap().to_owned();
            let _ = send.send((path, head, body));
            let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    (upstream.address, exports)
}

/// Attributes as text.
pub(crate) fn facts(pairs: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.clone()) {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::BoolValue(flag)) => flag.to_string(),
        Some(Any::DoubleValue(number)) => number.to_string(),
        other => panic!("{}: {other:?}", pair.key),
    };
    pairs
        .iter()
        .map(|pair| (pair.key.clone(), text(pair)))
        .collect()
}

/// The spans and the resource of an export.
fn spans(body: &[u8]) -> (BTreeMap<String, String>, Vec<Span>) {
    let export = ExportTraceServiceRequest::decode(body).unwrap();
    let [resource] = &export.resource_spans[..] else {
        panic!("one resource: {export:?}")
    };
    let about = facts(&resource.resource.as_ref().unwrap().attributes);
    let all = resource
        .scope_spans
        .iter()
        .flat_map(|scope| scope.spans.clone());
    (about, all.collect())
}

pub(crate) fn traced(yaml: &str, collector: SocketAddr, more: &str) -> String {
    yaml.replace(
        "workers: 1",
        &format!("workers: 1, tracing: {{ endpoint: 'http://{collector}', service: edge{more} }}"),
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads exports until both spans and log records have come.
fn gather(exports: &Receiver<(String, String, Vec<u8>)>) -> (Vec<Span>, Vec<LogRecord>) {
    let (mut found, mut logged) = (Vec::new(), Vec::new());
    while found.is_empty() || logged.is_empty() {
        let (path, head, body) = exports.recv_timeout(PATIENCE).expect("an export");
        assert!(
            head.to_lowercase()
                .contains("content-type: application/x-protobuf"),
            "{head}"
        );
        assert!(head.contains("x-collector-key: abc"), "{head}");
        assert!(!String::from_utf8_lossy(&body).contains("hidden"));
        match &*path {
            "/v1/traces" => {
                let (resource, spans) = spans(&body);
                assert_eq!(resource["service.name"], "edge");
                found.extend(spans);
            }
            "/v1/logs" => {
                let export = ExportLogsServiceRequest::decode(&body[..]).unwrap();
                let scopes = export.resource_logs.iter().flat_map(|r| &r.scope_logs);
                logged.extend(scopes.flat_map(|scope| scope.log_records.clone()));
            }
            other => panic!("{other}"),
        }
    }
    (found, logged)
}

fn assert_facts(about: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    for (key, value) in expected {
        assert_eq!(
            about.get(*key).map(String::as_str),
            Some(*value),
            "{key} in {about:?}"
        );
    }
}

/// A request for a shop, with credentials wherever they could be.
fn secretive(more: &str) -> String {
    format!(
        "POST /a%20b?page=2&token=hunter2&q=sk-hunter2 HTTP/1.1\r\nhost: shop.test\r\n\
         authorization: Bearer hunter2\r\ncookie: session=hunter2\r\nx-api-key: hunter2\r\n\
         x-tenant: a\"b\\c\r\nreferer: http://r.test/?a=1&password=hunter2\r\n{more}\r\n\
         content-length: 3\r\n\r\nxyz"
    )
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn assert_logged(logged: &[LogRecord], server: &Span) {
    let ours = logged.iter().find(|log| log.trace_id == server.trace_id);
    assert_eq!(ours.expect("a log row").span_id, server.span_id);
}

fn sampled() -> String {
    format!(
        "GET /a?page=2&api_key=hidden HTTP/1.1\r\nhost: shop.test:8080\r\nuser-agent: probe/1\r\n\
         authorization: Bearer hidden\r\ntraceparent: 00-{TRACE}-{PARENT}-01\r\ntracestate: v=1\r\n\r\n"
    )
}

#[test]
fn a_callers_trace_goes_on_through_the_gateway() {
    let (address, exports) = collector();
    let upstream = Upstream::http(|_, _| ok("x"));
    let yaml = traced(
        &plain(upstream.address, ""),
        address,
        ", logs: true, headers: { x-collector-key: abc }",
    );
    let gateway = Gateway::start(&yaml);
    let unsampled = "00-11111111111111111111111111111111-2222222222222222-00";
    gateway.send(&format!(
        "GET /quiet HTTP/1.1\r\nhost: a\r\ntraceparent: {unsampled}\r\n\r\n"
    ));
    assert!(
        upstream
            .last_seen()
            .contains("traceparent: 00-11111111111111111111111111111111-")
    );
    gateway.send(&sampled());
    let seen = upstream.last_seen();
    let (found, logged) = gather(&exports);
    let [server, client] = &found[..] else {
        panic!("what is not sampled is not exported: {found:?}")
    };
    assert_eq!(
        (hex(&server.trace_id), hex(&server.parent_span_id)),
        (TRACE.into(), PARENT.into())
    );
    assert_eq!((server.kind, client.kind), (2, 3));
    assert_eq!(
        (&client.trace_id, &client.parent_span_id),
        (&server.trace_id, &server.span_id)
    );
    let sent_on = format!("traceparent: 00-{TRACE}-{}-01", hex(&client.span_id));
    assert!(
        seen.contains(&sent_on) && seen.contains("tracestate: v=1"),
        "{seen}"
    );
    let about = facts(&server.attributes);
    assert_facts(
        &about,
        &[
            ("http.request.method", "GET"),
            ("http.response.status_code", "200"),
            ("tidegate.route", "all"),
            ("url.path", "/a"),
            ("url.query", "page=2&api_key=[redacted]"),
            ("url.scheme", "http"),
            ("server.address", "shop.test"),
            ("server.port", "8080"),
            ("client.address", "127.0.0.1"),
            ("network.protocol.version", "1.1"),
            ("user_agent.original", "probe/1"),
        ],
    );
    assert!(server.start_time_unix_nano <= client.start_time_unix_nano);
    assert!(client.end_time_unix_nano <= server.end_time_unix_nano);
    assert_logged(&logged, server);
}

#[test]
fn a_model_call_is_a_span_with_genai_attributes() {
    let (address, exports) = collector();
    let provider = Provider::with(Reply {
        status: 200,
        headers: "content-type: application/json\r\n".into(),
        pieces: vec![br#"{"id":"c","object":"chat.completion","created":1,"model":"answering-model","choices":[{"index":0,"message":{"role":"assistant","content":"secret words"},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15,"prompt_tokens_details":{"cached_tokens":4}}}"#.to_vec()],
    });
    let yaml = traced(
        &document("openai", provider.address, &["small"]),
        address,
        "",
    );
    let gateway = Gateway::start(&yaml);
    let body = r#"{"model":"small","messages":[{"role":"user","content":"secret words"}]}"#;
    assert_eq!(
        Caller::new(&gateway)
            .post("/v1/chat/completions", body)
            .status,
        200
    );
    let (_, _, export) = exports.recv_timeout(PATIENCE).expect("an export");
    assert!(
        !String::from_utf8_lossy(&export).contains("secret"),
        "no content, no credential"
    );
    let (_, spans) = spans(&export);
    assert_eq!(spans.len(), 2);
    let about = facts(&spans[0].attributes);
    assert_facts(
        &about,
        &[
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "openai"),
            ("gen_ai.request.model", "provider-model"),
            ("gen_ai.response.model", "answering-model"),
            ("gen_ai.usage.input_tokens", "12"),
            ("gen_ai.usage.output_tokens", "3"),
            ("gen_ai.usage.cache_read.input_tokens", "4"),
            ("http.response.status_code", "200"),
        ],
    );
    let sent = provider.last().head;
    assert!(
        sent.contains(&format!(
            "{}-{}-01",
            hex(&spans[1].trace_id),
            hex(&spans[1].span_id)
        )),
        "{sent}"
    );
}

#[test]
fn rows_are_json_lines_without_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::http(|_, _| ok("four"));
    let names = "request_headers: [authorization, Cookie, X-Api-Key, x-tenant, referer]";
    let yaml = plain(upstream.address, "").replace(
        "workers: 1",
        &format!("workers: 1, access_log: {{ to: {{ file: {{ path: access.log }} }}, {names} }}"),
    );
    let gateway = Gateway::start_in(folder.path(), &yaml).unwrap();
    let answer = gateway.send(&secretive("user-agent: \x1b[31mred"));
    let log = folder.path().join("access.log");
    let rows = || -> Vec<String> {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.split_inclusive('\n')
            .filter(|l| l.ends_with('\n'))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(
        answer.status, 400,
        "a control character in a field: {answer:?}"
    );
    let answer = gateway.send(&secretive("user-agent: é"));
    assert_eq!(answer.text(), "four");
    eventually("both rows are written", || rows().len() == 2);
    let rows = rows();
    assert!(!rows.concat().contains("hunter2"), "{rows:?}");
    let refused: Value = serde_json::from_str(&rows[0]).unwrap();
    assert_eq!(
        (&refused["status"], &refused["fault"]),
        (&400.into(), &"malformed_request".into())
    );
    let row: Value = serde_json::from_str(&rows[1]).unwrap();
    for (key, value) in [
        ("method", Value::from("POST")),
        ("host", "shop.test".into()),
        ("path", "/a%20b".into()),
        ("query", "page=2&token=[redacted]&q=[redacted]".into()),
        ("status", 200.into()),
        ("outcome", "complete".into()),
        ("request_bytes", 3.into()),
        ("response_bytes", 4.into()),
        ("client", "127.0.0.1".into()),
        ("listener", "main".into()),
        ("route", "all".into()),
        ("target", "up".into()),
        ("revision", 1.into()),
        ("user_agent", "é".into()),
    ] {
        assert_eq!(row[key], value, "{key} in {row}");
    }
    let shown = |name: &str| row["headers"][name].as_str();
    assert_eq!(shown("x-tenant"), Some("a\"b\\c"));
    let secret = ["authorization", "cookie", "x-api-key"];
    assert!(secret.iter().all(|name| shown(name) == Some("[redacted]")));
    let referer = "http://r.test/?a=1&password=[redacted]";
    assert_eq!(shown("referer"), Some(referer));
    assert!(row["duration_ms"].as_f64().unwrap() >= row["first_byte_ms"].as_f64().unwrap());
}

/// A counter's value on the metrics page.
fn counter(gateway: &Gateway, name: &str) -> u64 {
    let metrics = gateway.metrics();
    let line = metrics
        .lines()
        .find(|line| line.starts_with(&format!("{name} ")));
    line.and_then(|line| line.split(' ').nth(1)?.parse().ok())
        .unwrap_or_else(|| panic!("{name} in {metrics}"))
}

#[test]
fn a_dead_collector_and_a_blocked_log_slow_nothing_and_lose_nothing_silently() {
    const REQUESTS: u64 = 12_000;
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success());
    // A reader that never reads: after 64 KiB every write to the pipe blocks.
    let mut reader = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&pipe)
        .unwrap();
    let dead = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let yaml = format!(
        "gateway: {{ workers: 1, access_log: {{ to: {{ file: {{ path: pipe }} }} }}, tracing: {{ endpoint: 'http://{dead}' }} }}\n\
         listeners: {{ main: {{ address: '127.0.0.1:0' }} }}\nroutes: {{ all: {{ target: {{ fixed: {{ status: 200, body: x }} }} }} }}\n"
    );
    let gateway = Gateway::start_in(folder.path(), &yaml).unwrap();
    let mut stream = BufReader::new(gateway.connect());
    let mut slowest = Duration::ZERO;
    for _ in 0..REQUESTS {
        let started = Instant::now();
        stream
            .get_mut()
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .unwrap();
        assert_eq!(read_answer(&mut stream).status, 200);
        slowest = slowest.max(started.elapsed());
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let dropped = counter(&gateway, "tidegate_log_rows_dropped_total");
    assert!(dropped > 0 && dropped < REQUESTS, "{dropped}");
    let spans = counter(&gateway, "tidegate_otlp_dropped_total");
    assert!(spans > 0, "the export's queue is bounded, too");
    assert!(counter(&gateway, "tidegate_otlp_failures_total") > 0);
    // Once somebody reads again, every row is either written or counted as lost.
    let mut end = reader.try_clone().unwrap();
    let reading = std::thread::spawn(move || {
        let mut text = Vec::new();
        let mut block = [0; 65_536];
        while !text.ends_with(b"}\nend\n") {
            let read = reader.read(&mut block).unwrap();
            text.extend_from_slice(&block[..read]);
        }
        text.iter().filter(|&&byte| byte == b'\n').count() as u64 - 1
    });
    let written = || counter(&gateway, "tidegate_log_rows_total");
    let lost = || counter(&gateway, "tidegate_log_rows_dropped_total");
    eventually("all rows are accounted for", || {
        written() + lost() == REQUESTS
    });
    end.write_all(b"end\n").unwrap();
    assert_eq!(reading.join().unwrap(), written());
}
