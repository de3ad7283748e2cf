//! Bodies that are recorded: in the access log and in exported log records, redacted, and nowhere
//! where nothing says so.

use crate::cassettes::{Caller, Provider, document};
use crate::guarded::{PLAIN, Said, answer, path, request};
use crate::support::{Gateway, PATIENCE, eventually};
use crate::telemetry::{collector, facts, traced};
use gate_ai::Dialect;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message;
use serde_json::Value;

fn text(provider: &Provider, policies: &str) -> String {
    let text = document("compatible", provider.address, &["m"]);
    let policies = format!("policies: [{policies}], target: {{ models:");
    text.replace("target: { models:", &policies).replace(
        "workers: 1",
        "workers: 1, access_log: { to: { file: { path: rows.log } } }",
    )
}

/// The rows of the access log, once there are so many.
fn rows(folder: &std::path::Path, count: usize) -> Vec<Value> {
    let file = folder.join("rows.log");
    let read = || std::fs::read_to_string(&file).unwrap_or_default();
    eventually("the rows are written", || read().lines().count() >= count);
    let text = read();
    assert!(!text.contains("jane@") && !text.contains("AKIA"), "{text}");
    text.lines()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect()
}

#[test]
fn what_is_said_is_kept_redacted_in_every_dialect() {
    let provider = Provider::start();
    let folder = tempfile::tempdir().unwrap();
    let policy = "{ record_bodies: { request: true, response: true, max: 64KiB } }";
    let gateway = Gateway::start_in(folder.path(), &text(&provider, policy)).unwrap();
    let ways = Dialect::ALL
        .into_iter()
        .flat_map(|d| [(d, false), (d, true)]);
    for (count, (dialect, stream)) in ways.enumerate() {
        provider.set(answer(stream, "write to jane@example.com now", None));
        let said = Said {
            text: "key AKIAIOSFODNN7EXAMPLE end",
            ..PLAIN
        };
        let body = request(dialect, stream, &said);
        let got = Caller::new(&gateway).post(path(dialect, stream), &body);
        assert_eq!(got.status, 200, "{got:?}");
        let rows = rows(folder.path(), count + 1);
        let kept = &rows[count]["bodies"];
        let (asked, answered) = (&kept["request"], &kept["response"]);
        let way = format!("{dialect:?}, streamed: {stream}: {kept}");
        let asked_text = asked["text"].as_str().unwrap_or_default();
        assert!(asked_text.contains("key ******************** end"), "{way}");
        assert_eq!(asked["bytes"], body.len(), "{way}");
        assert_eq!(answered["bytes"], got.body.len(), "{way}");
        let answered = answered["text"].as_str().unwrap_or_default();
        assert!(
            answered.contains(if stream { "ow" } else { "now" }),
            "{way}"
        );
        assert!(
            !answered.contains("exampl") && !answered.contains("truncated"),
            "{way}"
        );
    }
}

#[test]
fn nothing_is_kept_where_nothing_says_so() {
    let provider = Provider::with(answer(false, "jane@example.com", None));
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start_in(folder.path(), &text(&provider, "")).unwrap();
    let body = request(Dialect::ChatCompletions, false, &PLAIN);
    Caller::new(&gateway).post(path(Dialect::ChatCompletions, false), &body);
    let rows = rows(folder.path(), 1);
    assert!(rows[0].get("bodies").is_none(), "{}", rows[0]);
    let metrics = gateway.metrics();
    assert!(
        !metrics.contains("tidegate_bodies_dropped_total{"),
        "{metrics}"
    );
}

#[test]
fn exported_log_records_have_the_messages() {
    let provider = Provider::with(answer(true, "by jane@example.com", None));
    let (address, exports) = collector();
    let policy = "{ record_bodies: { request: true, response: true } }";
    let text = text(&provider, policy).replace(
        "access_log: { to: { file: { path: rows.log } } }",
        "admin: null",
    );
    let gateway = Gateway::start(&traced(&text, address, ", logs: true"));
    let body = request(Dialect::Converse, true, &PLAIN);
    Caller::new(&gateway).post(path(Dialect::Converse, true), &body);
    let about = loop {
        let (path, _, body) = exports.recv_timeout(PATIENCE).expect("an export");
        assert!(!String::from_utf8_lossy(&body).contains("jane@"));
        if path == "/v1/logs" {
            let export = ExportLogsServiceRequest::decode(&body[..]).unwrap();
            let record = &export.resource_logs[0].scope_logs[0].log_records[0];
            break facts(&record.attributes);
        }
        assert!(!String::from_utf8_lossy(&body).contains("gen_ai.input.messages"));
    };
    let said: Value = serde_json::from_str(&about["gen_ai.output.messages"]).unwrap();
    assert_eq!(said[0]["parts"][0]["content"], "by ****@*******.***");
    assert_eq!(said[0]["finish_reason"], "stop");
    let asked: Value = serde_json::from_str(&about["gen_ai.input.messages"]).unwrap();
    assert_eq!(asked[0]["parts"][0]["content"], "hello");
    assert!(
        about["tidegate.response.body"].contains("messageStop "),
        "{about:?}"
    );
}
