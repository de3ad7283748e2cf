//! What is kept of real exchanges, and how it is found again.

use crate::support::{Gateway, eventually};
use gate_proxy::record::recent::search::{self, Query};
use std::path::Path;

pub(crate) const KEY: &str = "tg_shop_0123456789abcdef";
pub(crate) const OTHER_KEY: &str = "tg_lone_0123456789abcdef";

/// A document whose rows are kept in the folder `kept`.
pub(crate) fn document() -> String {
    let sha = |key: &str| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes());
        digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    format!(
        "gateway: {{ workers: 1, records: {{ folder: kept }} }}
listeners: {{ main: {{ address: '127.0.0.1:0' }} }}
consumers:
  shop: {{ team: sales, keys: [{{ sha256: '{}' }}] }}
  lone: {{ keys: [{{ sha256: '{}' }}] }}
routes:
  orders:
    match: {{ path: '/orders/{{id}}' }}
    policies:
      - auth_key: {{ query: token }}
      - limit: {{ rate: 1000/s, by: consumer }}
    target: {{ fixed: {{ status: 200, body: orders }} }}
  beta:
    match: {{ path: '/orders/{{id}}', headers: {{ x-beta: {{ equals: 'yes' }} }} }}
    target: {{ fixed: {{ status: 202 }} }}
  open:
    match: {{ path: '/open/{{*rest}}' }}
    target: {{ fixed: {{ status: 204 }} }}
",
        sha(KEY),
        sha(OTHER_KEY),
    )
}

/// Serves some requests and ends, so that every row is on disk.
pub(crate) fn serve(folder: &Path) -> Gateway {
    let gateway = Gateway::start_in(folder, &document()).unwrap_or_else(|error| panic!("{error}"));
    let with = |path: &str, fields: &str| {
        gateway.send(&format!(
            "GET {path} HTTP/1.1\r\nhost: test\r\n{fields}\r\n"
        ));
    };
    for _ in 0..4 {
        with("/orders/1", &format!("authorization: Bearer {KEY}\r\n"));
    }
    with(
        "/orders/2",
        &format!("x-api-key: {OTHER_KEY}\r\nx-secret: s3cret\r\n"),
    );
    with(&format!("/orders/3?token={KEY}&page=2"), "");
    with("/orders/4", "x-api-key: tg_wrong_key_00000000\r\n");
    with("/orders/5", "");
    with("/orders/6", "x-beta: yes\r\n");
    with("/open/a?password=hunter2&x=1", "cookie: sid=topsecret\r\n");
    with("/nothing", "");
    eventually("rows are written", || {
        gateway.metrics().contains("tidegate_records_kept_total 11")
    });
    gateway
}

#[test]
fn rows_hold_what_rules_read_and_no_credential() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = serve(folder.path());
    assert!(
        gateway
            .metrics()
            .contains("tidegate_records_dropped_total 0")
    );
    drop(gateway);
    let kept = folder.path().join("kept");
    let mut text = String::new();
    let read = gate_proxy::record::recent::replay(&kept, 100, |basis, _, line| {
        assert_eq!(basis.sample, 1.0);
        assert!(basis.reads.headers.contains("x-beta"), "{basis:?}");
        assert!(basis.reads.credentials.contains("x-api-key"), "{basis:?}");
        text.push_str(&serde_json::to_string(line).unwrap());
        text.push('\n');
    });
    read.unwrap();
    assert_eq!(text.lines().count(), 11);
    for secret in [
        KEY,
        OTHER_KEY,
        "wrong",
        "hunter2",
        "topsecret",
        "s3cret",
        "cookie",
    ] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(
        text.contains("page=2") && text.contains("\"x-beta\",\"yes\""),
        "{text}"
    );
    let hash = |line: &str| line.split('~').nth(1).map(|rest| rest[..32].to_owned());
    let lines: Vec<&str> = text.lines().collect();
    assert!(hash(lines[0]).is_some());
    assert_eq!(
        hash(lines[0]),
        hash(lines[5]),
        "one key is one hash, wherever it stood"
    );
    assert_ne!(hash(lines[0]), hash(lines[4]));
}

#[test]
fn records_are_found_newest_first_page_by_page() {
    let folder = tempfile::tempdir().unwrap();
    drop(serve(folder.path()));
    let kept = folder.path().join("kept");
    let paths = |query: &Query| {
        let page = search::search(&kept, query).unwrap();
        let paths: Vec<String> = page
            .items
            .iter()
            .map(|record| record.path.clone())
            .collect();
        (paths, page.next, page.items)
    };
    let all = Query {
        limit: 4,
        ..Query::default()
    };
    let (first, next, items) = paths(&all);
    assert_eq!(first, ["/nothing", "/open/a", "/orders/6", "/orders/5"]);
    assert_eq!(items[3].fault.as_deref(), Some("credential_missing"));
    let (second, next, _) = paths(&Query {
        cursor: next,
        ..all.clone()
    });
    assert_eq!(second, ["/orders/4", "/orders/3", "/orders/2", "/orders/1"]);
    let (rest, end, _) = paths(&Query {
        cursor: next,
        limit: 10,
        ..Query::default()
    });
    assert_eq!((rest.len(), end), (3, None));
    let by = |change: &dyn Fn(&mut Query)| {
        let mut query = Query {
            limit: 100,
            ..Query::default()
        };
        change(&mut query);
        paths(&query).0.len()
    };
    assert_eq!(by(&|query| query.consumer = Some("shop".into())), 5);
    assert_eq!(by(&|query| query.teams = Some(vec!["sales".into()])), 5);
    assert_eq!(by(&|query| query.route = Some("beta".into())), 1);
    assert_eq!(by(&|query| query.status = Query::statuses("4xx")), 3);
    assert_eq!(by(&|query| query.status = Query::statuses("401")), 2);
    assert_eq!(by(&|query| query.revision = Some(9)), 0);
    let detail = search::get(&kept, &items[3].id).unwrap().expect("kept");
    assert_eq!(detail.record, items[3]);
    let moments: Vec<&str> = detail.timeline.iter().map(|moment| &*moment.what).collect();
    assert_eq!(moments, ["route", "policy auth_key", "first_byte", "end"]);
    for wrong in ["", "1", "9-9-9", "1-0-0", "1-0-x", "1-0-1-1"] {
        assert_eq!(search::get(&kept, wrong).unwrap(), None, "{wrong}");
    }
    let wrong = Query {
        cursor: Some("x".into()),
        ..Query::default()
    };
    assert!(search::search(&kept, &wrong).is_err());
}
