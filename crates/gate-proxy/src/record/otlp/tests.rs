//! A collector on loopback that decodes with the official crate; and collectors that misbehave.

use super::*;
use crate::record::tests::{ai_record, attempt, head, record, row, tls, tls_trusting, tracing};
use gate_kit::durations::Durations;
use gate_model::fault::FaultCode;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue as Pair, any_value::Value as Any};
use opentelemetry_proto::tonic::metrics::v1::ExponentialHistogramDataPoint;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

/// Request line, fields and body of an export.
type Export = (String, BTreeMap<String, String>, Vec<u8>);

fn read_export(stream: impl Read) -> Export {
    let mut reader = BufReader::new(stream);
    let mut lines = std::iter::from_fn(|| {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a line");
        let line = line.trim_end().to_owned();
        (!line.is_empty()).then_some(line)
    });
    let first = lines.next().expect("a request line");
    let split = |line: String| {
        line.split_once(": ")
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
    };
    let fields: BTreeMap<_, _> = lines.map(|line| split(line).expect("a field")).collect();
    let mut body = vec![0; fields["content-length"].parse().expect("a length")];
    reader.read_exact(&mut body).expect("the body");
    (first, fields, body)
}

/// A collector that gives these answers, one per connection, and then 200.
fn collector(answers: &'static [&'static str]) -> (String, Receiver<Export>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let (send, exports) = channel();
    std::thread::spawn(move || {
        let answers = answers.iter().copied().chain(std::iter::repeat("200 OK"));
        for (answer, socket) in answers.zip(listener.incoming()) {
            let mut socket = socket.expect("a connection");
            let export = read_export(&socket);
            let text = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
            socket
                .write_all(text.as_bytes())
                .expect("the exporter reads");
            if send.send(export).is_err() {
                return;
            }
        }
    });
    (url, exports)
}

fn exporter(url: &str) -> Exporter {
    let exporter = Exporter::new(Clock::System, Arc::new(Metrics::new(Clock::System)));
    let collector = Collector::new(&tracing(url.to_owned()), &tls()).expect("valid");
    exporter.set_collector(collector).expect("a thread");
    exporter
}

fn item(record: gate_flow::Record, log: bool) -> Item {
    let head = head("/v1/chat?key=abc&a=1", &[("User-Agent", "curl")]);
    let mut row = row(record, &head, &[]);
    row.route_path = Some("/v1/{*rest}".to_owned());
    Item {
        row: Arc::new(row),
        trace: true,
        log,
    }
}

fn facts(pairs: &[Pair]) -> BTreeMap<&str, String> {
    let shown = |pair: &Pair| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::BoolValue(value)) => value.to_string(),
        Some(Any::DoubleValue(value)) => value.to_string(),
        other => panic!("unexpected {other:?}"),
    };
    pairs
        .iter()
        .map(|pair| (pair.key.as_str(), shown(pair)))
        .collect()
}

fn spans(body: &[u8]) -> (BTreeMap<String, String>, Vec<Span>) {
    let export = ExportTraceServiceRequest::decode(body).expect("valid protobuf");
    let [resource] = &export.resource_spans[..] else {
        panic!("one resource")
    };
    let [scope] = &resource.scope_spans[..] else {
        panic!("one scope")
    };
    let resource = facts(&resource.resource.as_ref().expect("a resource").attributes)
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    (resource, scope.spans.clone())
}

#[test]
fn an_exchange_becomes_a_server_span_with_a_client_span_per_try() {
    let (url, exports) = collector(&[]);
    let exporter = exporter(&format!("{url}/base/"));
    let mut retried = ai_record();
    retried
        .attempts
        .insert(0, attempt("[::1]:80", 0, Some(FaultCode::UpstreamReset)));
    let went_on = attempt("[::1]:81", 200, None);
    let ai = retried.ai.as_mut().expect("a call of a model");
    ai.detours().later_attempts.push(went_on);
    exporter.push(item(retried, false));
    assert!(exporter.close(Duration::from_secs(10)));
    let (line, fields, body) = exports.recv().expect("an export");
    assert_eq!(line, "POST /base/v1/traces HTTP/1.1");
    assert_eq!(fields["content-type"], "application/x-protobuf");
    assert_eq!(fields["x-tenant"], "shop");
    let (resource, spans) = spans(&body);
    assert_eq!(resource["service.name"], "edge");
    let [server, first, second, third] = &spans[..] else {
        panic!("four spans: {spans:?}")
    };
    assert_eq!((server.name.as_str(), server.kind), ("GET ai", 2));
    assert_eq!(
        (server.trace_id.as_slice(), server.span_id.as_slice()),
        (&[1; 16][..], &[2; 8][..])
    );
    assert_eq!(server.parent_span_id, [3; 8]);
    assert_eq!(
        server.end_time_unix_nano - server.start_time_unix_nano,
        12_000_000
    );
    assert_eq!(server.status, None);
    let shown = facts(&server.attributes);
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.path", "/v1/chat"),
        ("url.query", "key=[redacted]&a=1"),
        ("url.scheme", "https"),
        ("server.address", "api.example.com"),
        ("server.port", "8443"),
        ("client.address", "192.0.2.1"),
        ("network.peer.address", "192.0.2.9"),
        ("network.protocol.version", "1.1"),
        ("http.response.status_code", "200"),
        ("http.route", "/v1/{*rest}"),
        ("tidegate.route", "ai"),
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "anthropic"),
        ("gen_ai.request.model", "claude-x"),
        ("gen_ai.response.model", "claude-x-1"),
        ("gen_ai.usage.input_tokens", "100"),
        ("gen_ai.usage.output_tokens", "20"),
        ("tidegate.revision", "7"),
    ] {
        assert_eq!(shown.get(key).map(String::as_str), Some(value), "{key}");
    }
    let tries = [(first, true), (second, false), (third, false)];
    for (position, (span, failed)) in tries.into_iter().enumerate() {
        let context = record().trace;
        assert_eq!(
            span.span_id,
            crate::record::trace::attempt_span(&context, position)
        );
        assert_eq!(
            (span.kind, span.parent_span_id.as_slice()),
            (3, &[2; 8][..])
        );
        assert_eq!(
            span.status.as_ref().map(|status| status.code),
            failed.then_some(2)
        );
    }
    let shown = facts(&first.attributes);
    assert_eq!(
        (&*shown["error.type"], &*shown["server.address"]),
        ("upstream_reset", "::1")
    );
    assert_eq!(facts(&third.attributes)["server.port"], "81");
    assert_eq!(exporter.counts(), (4, 0, 0));
}

#[test]
fn records_are_exported_as_logs_too() {
    let (url, exports) = collector(&[]);
    let exporter = exporter(&url);
    let mut failed = record();
    failed.status = 502;
    failed.fault = Some(FaultCode::UpstreamReset);
    let Item { row, log, .. } = item(failed, true);
    exporter.push(Item {
        row,
        trace: false,
        log,
    });
    assert!(exporter.close(Duration::from_secs(10)));
    let (line, _, body) = exports.recv().expect("an export");
    assert_eq!(line, "POST /v1/logs HTTP/1.1");
    let export = ExportLogsServiceRequest::decode(&body[..]).expect("valid protobuf");
    let log = &export.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!(
        (log.severity_number, log.severity_text.as_str()),
        (17, "ERROR")
    );
    assert_eq!(
        (&log.trace_id[..], &log.span_id[..]),
        (&[1; 16][..], &[2; 8][..])
    );
    assert_eq!(log.event_name, "tidegate.exchange");
    assert_eq!(facts(&log.attributes)["error.type"], "upstream_reset");
}

#[test]
fn what_a_collector_cannot_take_now_is_sent_again() {
    let (url, exports) = collector(&[
        "503 Busy\r\nretry-after: 0",
        "100 Continue\r\n\r\nHTTP/1.1 429 Wait",
    ]);
    let exporter = exporter(&url);
    exporter.push(item(record(), false));
    let bodies: Vec<_> = (0..3)
        .map(|_| exports.recv().expect("an export").2)
        .collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert!(exporter.close(Duration::from_secs(10)));
    assert_eq!(exporter.counts(), (2, 0, 2));
}

#[test]
fn what_a_collector_refuses_is_dropped_and_counted() {
    let (url, exports) = collector(&["400 Bad"]);
    let exporter = exporter(&url);
    exporter.push(item(record(), false));
    exports.recv().expect("an export");
    assert!(exporter.close(Duration::from_secs(10)));
    assert_eq!(exporter.counts(), (0, 2, 1));
}

#[test]
fn a_silent_collector_blocks_no_push_and_no_shutdown() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let exporter = exporter(&format!("http://{}", listener.local_addr().expect("bound")));
    let item = item(record(), false);
    let pushes = 2 * (ROWS_MAX + BATCH);
    // Were a push to wait for the collector, this loop would not end in time.
    (0..pushes).for_each(|_| exporter.push(item.clone()));
    let (exported, lost, _) = exporter.counts();
    assert!(
        exported == 0 && lost >= (pushes - ROWS_MAX - BATCH) as u64,
        "{lost}"
    );
    assert!(!exporter.close(Duration::from_millis(50)));
    drop(listener);
}

#[test]
fn a_collector_behind_tls_is_reached() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.expect("a key"))
        .expect("they fit");
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let port = listener.local_addr().expect("bound").port();
    let server = std::thread::spawn(move || {
        let (socket, _): (TcpStream, _) = listener.accept().expect("a connection");
        let connection = rustls::ServerConnection::new(Arc::new(server)).expect("valid");
        let mut stream = rustls::StreamOwned::new(connection, socket);
        let export = read_export(&mut stream);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\n\r\n")
            .expect("the exporter reads");
        export
    });
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a certificate");
    let exporter = Exporter::new(Clock::System, Arc::new(Metrics::new(Clock::System)));
    let settings = tracing(format!("https://localhost:{port}"));
    let collector = Collector::new(&settings, &tls_trusting(roots)).expect("valid");
    exporter.set_collector(collector).expect("a thread");
    exporter.push(item(record(), false));
    assert!(exporter.close(Duration::from_secs(10)));
    let (_, spans) = spans(&server.join().expect("an export").2);
    assert_eq!((spans.len(), exporter.counts().0), (2, 2));
}

fn durations_of(point: &ExponentialHistogramDataPoint) -> Durations {
    let buckets = point.positive.as_ref().expect("some are above zero");
    let shape = gate_kit::durations::Otlp {
        scale: point.scale,
        zero_count: point.zero_count,
        offset: buckets.offset,
        bucket_counts: buckets.bucket_counts.clone(),
        count: point.count,
        sum: point.sum.expect("told"),
        min: point.min,
        max: point.max,
    };
    Durations::from_otlp(&shape).expect("it fits together")
}

#[test]
fn durations_become_exponential_histograms_that_lose_nothing() {
    let (url, exports) = collector(&[]);
    let metrics = Arc::new(Metrics::new(Clock::System));
    let exporter = Exporter::new(Clock::System, metrics.clone());
    let settings = Tracing {
        metrics: true,
        ..tracing(url)
    };
    let collector = Collector::new(&settings, &tls()).expect("valid");
    exporter.set_collector(collector).expect("a thread");
    let mut counted = Durations::default();
    for ms in [0, 1, 2, 2, 900] {
        let mut done = ai_record();
        done.duration = Duration::from_millis(ms);
        counted.record(ms * 1_000_000);
        metrics.observe(
            &done,
            &gate_kit::http::Method::Get,
            gate_kit::http::Version::Http11,
        );
    }
    // What is counted last is exported at the end.
    assert!(exporter.close(Duration::from_secs(10)));
    let (line, _, body) = exports.recv().expect("an export");
    assert_eq!(line, "POST /v1/metrics HTTP/1.1");
    let export = ExportMetricsServiceRequest::decode(&body[..]).expect("valid protobuf");
    let found = &export.resource_metrics[0].scope_metrics[0].metrics;
    let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "http.server.request.duration",
            "gen_ai.server.time_to_first_token"
        ]
    );
    let Some(Data::ExponentialHistogram(histogram)) = &found[0].data else {
        panic!("{found:?}")
    };
    assert_eq!(histogram.aggregation_temporality, 2);
    let point = &histogram.data_points[0];
    assert_eq!(facts(&point.attributes)["tidegate.route"], "ai");
    assert!(point.start_time_unix_nano <= point.time_unix_nano);
    assert_eq!(durations_of(point), counted);
    let Some(Data::ExponentialHistogram(tokens)) = &found[1].data else {
        panic!("{found:?}")
    };
    let told = facts(&tokens.data_points[0].attributes);
    assert_eq!(told["gen_ai.provider.name"], "anthropic", "{told:?}");
}
