//! Samples that the readers' tests share, and the readers as a whole.

use super::metrics::checker::check;
use super::*;
use gate_flow::{AiFacts, Attempt, Outcome, TraceContext};
use gate_kit::http::{Headers, Method, Scheme, Version};
use gate_model::fault::FaultCode;
use gate_model::resources::{AccessLog, LogFormat, LogSink, Tracing};
use serde_json::Value;

pub(super) fn attempt(endpoint: &str, status: u16, fault: Option<FaultCode>) -> Attempt {
    Attempt {
        endpoint: endpoint.into(),
        status,
        fault,
        started: Duration::from_millis(1),
        duration: Duration::from_millis(8),
        reused: true,
    }
}

pub(super) fn record() -> Record {
    Record {
        revision: 7,
        started_unix: Duration::from_secs(1_795_262_400),
        duration: Duration::from_millis(12),
        first_byte: Some(Duration::from_millis(10)),
        listener: Some("public".into()),
        route: Some("orders".into()),
        consumer: Some("storefront".into()),
        team: Some("shop".into()),
        target: Some("backend".into()),
        status: 200,
        request_bytes: 10,
        response_bytes: 1234,
        attempts: [attempt("10.0.0.1:80", 200, None)].into_iter().collect(),
        trace: TraceContext {
            trace_id: [1; 16],
            span_id: [2; 8],
            parent_id: [3; 8],
            sampled: true,
        },
        outcome: Outcome::Complete,
        ..Record::default()
    }
}

pub(super) fn ai_record() -> Record {
    let ai = AiFacts {
        operation: "chat",
        model: "assistant".into(),
        provider: Some("claude".into()),
        provider_kind: "anthropic",
        provider_model: Some("claude-x".into()),
        response_model: Some("claude-x-1".into()),
        input_tokens: Some(100),
        output_tokens: Some(20),
        cached_tokens: Some(60),
        first_token: Some(Duration::from_millis(5)),
        losses: vec!["logit_bias".into()],
        ..AiFacts::default()
    };
    Record {
        route: Some("ai".into()),
        ai: Some(Box::new(ai)),
        ..record()
    }
}

pub(super) fn head(target: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut headers = Headers::new();
    for (name, value) in fields {
        headers.append(name.as_bytes(), value.as_bytes());
    }
    RequestHead {
        method: Method::Get,
        authority: "api.example.com:8443".into(),
        target: target.into(),
        version: Version::Http11,
        headers,
        upgrade: None,
    }
}

pub(super) fn client() -> Client {
    Client {
        listener: "public".into(),
        peer: "192.0.2.9:5555".parse().expect("an address"),
        peer_address: "192.0.2.9".into(),
        local: "127.0.0.1:80".parse().expect("an address"),
        scheme: Scheme::Https,
        tls: None,
        inside: None,
    }
}

pub(super) fn row(record: Record, head: &RequestHead, headers: &[&str]) -> Row {
    let headers: Vec<_> = headers.iter().map(|name| (*name).to_owned()).collect();
    Row::new(
        record,
        head,
        &client(),
        "192.0.2.1".parse().expect("an address"),
        &headers,
    )
}

pub(super) fn tls() -> Arc<ClientConfig> {
    tls_trusting(rustls::RootCertStore::empty())
}

pub(super) fn tls_trusting(roots: rustls::RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

pub(super) fn tracing(endpoint: String) -> Tracing {
    Tracing {
        endpoint,
        sample: all(),
        headers: [("x-tenant".to_owned(), "shop".to_owned())].into(),
        logs: true,
        metrics: false,
        service: "edge".into(),
    }
}

/// All of it.
fn all() -> Percent {
    AccessLog::default().sample
}

fn log_to(file: &str, share: Percent) -> Gateway {
    let access_log = AccessLog {
        to: LogSink::File { path: file.into() },
        format: LogFormat::Json,
        sample: share,
        request_headers: vec!["authorization".into(), "x-tenant".into()],
    };
    Gateway {
        access_log: Some(access_log),
        ..Gateway::default()
    }
}

fn finish(readers: &Readers, gateway: &Gateway, mut record: Record) {
    let head = head(
        "/a?key=abc",
        &[("Authorization", "Bearer abc"), ("X-Tenant", "t1")],
    );
    readers.read(Finished {
        record: &mut record,
        head: &head,
        client: &client(),
        address: "192.0.2.1".parse().expect("an address"),
        gateway,
        routes: &BTreeMap::new(),
        kept: None,
    });
}

fn rows(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect()
}

struct NoSecrets;

impl gate_flow::SecretSource for NoSecrets {
    fn env(&self, name: &str) -> Result<String, String> {
        Err(name.to_owned())
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        Err(path.display().to_string())
    }
}

#[test]
fn a_new_log_file_keeps_counters_and_loses_no_row() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let readers = Readers::new(Clock::System, tls());
    for (file, count) in [("a.log", 3), ("b.log", 5)] {
        let gateway = log_to(file, all());
        let prepared = readers
            .prepare(&gateway, folder.path(), &NoSecrets)
            .expect("the folder is writable");
        readers.apply(prepared).expect("a thread");
        (0..count).for_each(|_| finish(&readers, &gateway, record()));
    }
    assert!(readers.flush(Duration::from_secs(10)));
    let written: Vec<_> = ["a.log", "b.log"]
        .iter()
        .flat_map(|file| rows(&folder.path().join(file)))
        .collect();
    assert_eq!(written.len(), 8);
    assert!(
        written
            .iter()
            .all(|row| row["headers"]["authorization"] == "[redacted]")
    );
    let page =
        check(&String::from_utf8(readers.metrics_page(Format::OpenMetrics, |_| {})).expect("text"))
            .expect("valid");
    assert_eq!(page["tidegate_log_rows_total{}"], 8.0);
    assert_eq!(
        page["tidegate_requests_total{method=GET,route=orders,status=200,version=1.1}"],
        8.0
    );
    finish(&readers, &log_to("b.log", all()), record());
    assert_eq!(
        readers.sink_counts().log_dropped,
        1,
        "after the flush rows are dropped, counted"
    );
}

#[test]
fn failures_are_logged_whatever_the_share() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let readers = Readers::new(Clock::System, tls());
    let gateway = log_to("a.log", Percent::default());
    let prepared = readers
        .prepare(&gateway, folder.path(), &NoSecrets)
        .expect("the folder is writable");
    readers.apply(prepared).expect("a thread");
    (0..100).for_each(|_| finish(&readers, &gateway, record()));
    let fault = Some(FaultCode::RateLimited);
    finish(
        &readers,
        &gateway,
        Record {
            fault,
            status: 429,
            ..record()
        },
    );
    finish(
        &readers,
        &gateway,
        Record {
            outcome: Outcome::Cut,
            ..record()
        },
    );
    assert!(readers.flush(Duration::from_secs(10)));
    let written = rows(&folder.path().join("a.log"));
    let outcomes: Vec<_> = written.iter().map(|row| &row["outcome"]).collect();
    assert_eq!(outcomes, ["complete", "cut"]);
    assert_eq!(written[0]["fault"], "rate_limited");
}

#[test]
fn sinks_that_cannot_work_are_refused_before_they_are_used() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let readers = Readers::new(Clock::System, tls());
    let refused = |gateway: &Gateway| {
        readers
            .prepare(gateway, folder.path(), &NoSecrets)
            .expect_err("refused")
    };
    let missing = refused(&log_to("no/such/folder/a.log", all()));
    assert!(missing.0.contains("no/such/folder/a.log"), "{missing}");
    for endpoint in [
        "ftp://x",
        "http://",
        "http://x:99999",
        "http://u:p@x",
        "http://x/ y",
    ] {
        let gateway = Gateway {
            tracing: Some(tracing(endpoint.into())),
            ..Gateway::default()
        };
        let error = refused(&gateway);
        assert!(
            error.0.contains("endpoint") && !error.0.contains("u:p"),
            "{error}"
        );
    }
    let mut bad = tracing("http://x".into());
    bad.headers.insert("x".into(), "secret\r\ny: z".into());
    let error = refused(&Gateway {
        tracing: Some(bad),
        ..Gateway::default()
    });
    assert!(
        error.0.contains('x') && !error.0.contains("secret"),
        "{error}"
    );
}

mod admin_pages {
    use super::super::admin::{Health, answer};
    use super::*;
    use gate_kit::http::{Body, HeaderId, Response};

    fn ask(method: Method, target: &str, accept: &str, health: Health) -> (Response, String) {
        let mut head = head(target, &[("Accept", accept)]);
        head.method = method;
        let readers = Readers::new(Clock::manual().0, tls());
        let response = answer(&head, health, |format| readers.metrics_page(format, |_| {}));
        let text = match &response.body {
            Body::Full(chunk) => String::from_utf8_lossy(chunk).into_owned(),
            _ => String::new(),
        };
        (response, text)
    }

    #[test]
    fn readiness_follows_the_snapshot_and_the_drain() {
        for (target, ready, draining, status) in [
            ("/healthz", false, false, 200),
            ("/healthz", true, true, 200),
            ("/readyz", false, false, 503),
            ("/readyz", true, false, 200),
            ("/readyz", true, true, 503),
            ("/other", true, false, 404),
        ] {
            let (response, _) = ask(Method::Get, target, "*/*", Health { ready, draining });
            assert_eq!(response.head.status, status, "{target} {ready} {draining}");
        }
        let (refused, _) = ask(Method::Post, "/metrics", "*/*", Health::default());
        assert_eq!(refused.head.status, 405);
    }

    #[test]
    fn metrics_come_in_the_format_that_is_accepted() {
        let accept = "application/openmetrics-text";
        let (response, text) = ask(Method::Get, "/metrics", accept, Health::default());
        let content_type = response.head.headers.get_str(HeaderId::ContentType);
        assert_eq!(content_type, Some(Format::OpenMetrics.content_type()));
        check(&text).expect("valid");
        let (_, text) = ask(Method::Get, "/metrics?x", "*/*", Health::default());
        assert!(!text.contains("# EOF"));
    }
}
