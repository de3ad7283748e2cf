//! What breaks a contract stands in the exchange's record, by place, and never by value.

use crate::support::{Gateway, eventually};
use gate_proxy::record::recent::search::{self, Query};
use serde_json::Value;
use std::path::Path;

/// What no record may hold.
const SECRET: &str = "s3cret-value";

fn start(folder: &Path, answer: &str, settings: &str) -> Gateway {
    let yaml = format!(
        "gateway: {{ workers: 1, access_log: {{ to: {{ file: {{ path: access.log }} }} }}, records: {{ folder: kept }} }}
listeners: {{ main: {{ address: '127.0.0.1:0' }} }}
apis:
  shop:
    {settings}
    target: {{ fixed: {{ status: 200, headers: {{ content-type: application/json }}, body: '{answer}' }} }}
    openapi:
      inline:
        openapi: 3.1.0
        info: {{ title: Shop, version: 1.0.0 }}
        paths:
          /orders/{{id}}:
            put:
              operationId: putOrder
              parameters: [{{ name: id, in: path, required: true, schema: {{ type: string }} }}, {{ name: page, in: query, schema: {{ type: integer }} }}]
              requestBody: {{ content: {{ application/json: {{ schema: {{ type: object, required: [sku], properties: {{ sku: {{ type: string, maxLength: 5 }}, lines: {{ items: {{ properties: {{ n: {{ type: integer }} }} }} }} }} }} }} }} }}
              responses: {{ '200': {{ description: it, content: {{ application/json: {{ schema: {{ type: object, required: [sku], properties: {{ sku: {{ type: string, maxLength: 5 }}, lines: {{ items: {{ properties: {{ n: {{ type: integer }} }} }} }} }} }} }} }} }} }}
"
    );
    Gateway::start_in(folder, &yaml).unwrap_or_else(|error| panic!("{error}"))
}

fn put(gateway: &Gateway, target: &str, body: &str) -> u16 {
    let length = body.len();
    let answer = gateway.send(&format!(
        "PUT {target} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    ));
    answer.status
}

/// The rows of the access log, when there are so many.
fn rows(folder: &Path, count: usize) -> Vec<Value> {
    let mut rows: Vec<Value> = Vec::new();
    eventually("every exchange is logged", || {
        let text = std::fs::read_to_string(folder.join("access.log")).unwrap_or_default();
        let parsed: Result<_, _> = text.lines().map(serde_json::from_str).collect();
        rows = parsed.unwrap_or_default();
        rows.len() >= count
    });
    assert_eq!(rows.len(), count);
    rows
}

/// Side, place, name and pointer of what a row says is broken.
fn places(row: &Value) -> Vec<[String; 4]> {
    let text = |one: &Value, field: &str| one[field].as_str().unwrap_or_default().to_owned();
    let broken = row["contract"]["broken"].as_array();
    let one = |one: &Value| ["side", "in", "name", "pointer"].map(|field| text(one, field));
    let mut places: Vec<_> = broken.into_iter().flatten().map(one).collect();
    places.sort();
    places
}

fn place(side: &str, r#in: &str, name: &str, pointer: &str) -> [String; 4] {
    [side, r#in, name, pointer].map(str::to_owned)
}

#[test]
fn places_are_in_the_record_and_values_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let answer = format!(r#"{{"sku":"{SECRET}","lines":[{{"n":1}},{{"n":"{SECRET}"}}]}}"#);
    let gateway = start(folder.path(), &answer, "");
    let order = format!(r#"{{"sku":"{SECRET}","lines":[{{"n":true}}]}}"#);
    assert_eq!(put(&gateway, "/orders/1?page=x", &order), 400);
    assert_eq!(put(&gateway, "/orders/2", r#"{"sku":"a"}"#), 200);
    let rows = rows(folder.path(), 2);
    assert_eq!(rows[0]["contract"]["api"], "shop");
    assert_eq!(rows[0]["contract"]["operation"], "putOrder");
    let asked = [
        place("request", "body", "", "/lines/0/n"),
        place("request", "body", "", "/sku"),
        place("request", "query", "page", ""),
    ];
    assert_eq!(places(&rows[0]), asked);
    let told = [
        place("response", "body", "", "/lines/1/n"),
        place("response", "body", "", "/sku"),
    ];
    assert_eq!(places(&rows[1]), told);
    let detail = &rows[1]["contract"]["broken"][0]["detail"];
    assert!(detail.as_str().is_some_and(|detail| !detail.is_empty()));
    eventually("rows are kept", || {
        gateway.metrics().contains("tidegate_records_kept_total 2")
    });
    let kept = folder.path().join("kept");
    let all = Query {
        limit: 10,
        ..Query::default()
    };
    let found = search::search(&kept, &all).unwrap();
    let shown: Vec<_> = found
        .items
        .iter()
        .map(|record| {
            search::get(&kept, &record.id)
                .unwrap()
                .expect("it is kept")
                .more
        })
        .collect();
    assert_eq!(shown[0]["contract"]["operation"], "putOrder");
    assert_eq!(places(&Value::Object(shown[0].clone())), told);
    assert_eq!(places(&Value::Object(shown[1].clone())), asked);
    for text in [
        serde_json::to_string(&rows).unwrap(),
        serde_json::to_string(&shown).unwrap(),
    ] {
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[test]
fn a_message_too_large_to_be_looked_at_at_once_is_in_the_record_too() {
    let folder = tempfile::tempdir().unwrap();
    let filler = "x".repeat(200_000);
    let answer = format!(r#"{{"sku":1,"filler":"{filler}"}}"#);
    let gateway = start(folder.path(), &answer, "requests: observe");
    assert_eq!(put(&gateway, "/orders/1", "{}"), 200);
    assert_eq!(put(&gateway, "/orders/2", r#"{"sku":"a"}"#), 200);
    let rows = rows(folder.path(), 2);
    let both = [
        place("request", "body", "", "/sku"),
        place("response", "body", "", "/sku"),
    ];
    // A message that is looked at beside its exchange closes its record when that is done, in any order.
    let of = |path: &str| rows.iter().find(|row| row["path"] == path).expect("a row");
    assert_eq!(places(of("/orders/1")), both);
    assert_eq!(places(of("/orders/2")), both[1..]);
}

#[test]
fn what_keeps_to_its_contract_has_nothing_of_it_in_its_record() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = start(folder.path(), r#"{"sku":"a"}"#, "responses: enforce");
    assert_eq!(put(&gateway, "/orders/1", r#"{"sku":"a"}"#), 200);
    assert_eq!(put(&gateway, "/orders/1", "{}"), 400);
    let rows = rows(folder.path(), 2);
    assert!(rows[0].get("contract").is_none(), "{}", rows[0]);
    assert_eq!(places(&rows[1]), [place("request", "body", "", "/sku")]);
    drop(gateway);
    let other = tempfile::tempdir().unwrap();
    let gateway = start(other.path(), "{}", "responses: enforce");
    assert_eq!(put(&gateway, "/orders/1", r#"{"sku":"a"}"#), 502);
    let rows = self::rows(other.path(), 1);
    assert_eq!(rows[0]["fault"], "answer_violates_contract", "{}", rows[0]);
    assert_eq!(places(&rows[0]), [place("response", "body", "", "/sku")]);
}
