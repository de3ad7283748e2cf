//! Refusals by attribute, and that each mode says what the others say. That others understand us is
//! tested with the Python SDK, in `tests/it/cloud_events.rs`.

use super::*;

fn fields<'a>(all: &'a [(&'a str, &'a str)]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    all.iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
}

const LEAST: &[(&str, &str)] = &[
    ("ce-specversion", "1.0"),
    ("ce-id", "1"),
    ("ce-source", "/s"),
    ("ce-type", "t"),
];

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [LEAST, more].concat()
}

fn refused(more: &[(&str, &str)], body: &[u8]) -> (String, String) {
    let error = read_binary(fields(&with(more)), body, &Limits::default()).unwrap_err();
    (error.attribute, error.problem)
}

#[test]
fn binary_mode_says_what_is_missing_or_wrong() {
    for missing in LEAST {
        let others: Vec<_> = LEAST
            .iter()
            .copied()
            .filter(|field| field != missing)
            .collect();
        let error = read_binary(fields(&others), b"", &Limits::default()).unwrap_err();
        assert_eq!(format!("ce-{}", error.attribute), missing.0);
    }
    for (field, value, problem) in [
        ("ce-time", "yesterday", "no time"),
        ("ce-time", "2026-11-22 10:00:00Z", "no time"),
        ("ce-dataschema", "schema", "no URI"),
        ("content-type", "json", "no media type"),
        ("ce-Bad_Name", "x", "no attribute's name"),
        ("ce-data", "x", "no attribute"),
        ("ce-subject", "", "missing or empty"),
        ("ce-ext", "a%00b", "U+0000"),
        ("ce-ext", "a%FF", "no UTF-8"),
        ("CE-ID", "2", "twice"),
        ("ce-datacontenttype", "text/plain", "content-type"),
    ] {
        let (attribute, found) = refused(&[(field, value)], b"");
        assert!(
            found.contains(problem),
            "{field}: {value}: `{attribute}` {found}"
        );
    }
    assert_eq!(
        refused(&[("content-type", "application/json")], b"{").0,
        "data"
    );
    let long = "x".repeat(9 << 10);
    assert_eq!(refused(&[("ce-subject", &long)], b"").0, "subject");
    let many: Vec<String> = (0..65).map(|n| format!("ce-x{n}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "v")).collect();
    assert_eq!(refused(&many, b"").0, "x64");
}

#[test]
fn structured_mode_says_what_is_wrong() {
    let least = r#""specversion":"1.0","id":"1","source":"/s","type":"t""#;
    for (more, attribute) in [
        (r#""time":5"#, "time"),
        (r#""ext":{}"#, "ext"),
        (r#""ext":2147483648"#, "ext"),
        (r#""ext":1.5"#, "ext"),
        (r#""id":"2""#, "id"),
        (r#""data":1,"data_base64":"AA==""#, "data"),
        (r#""data_base64":"?""#, "data_base64"),
        (
            r#""datacontenttype":"application/json","data_base64":"AA==""#,
            "data",
        ),
        (r#""dataSchema":"x:y""#, "dataSchema"),
    ] {
        let text = format!("{{{least},{more}}}");
        let error = read_structured(text.as_bytes(), &Limits::default()).unwrap_err();
        assert_eq!(error.attribute, attribute, "{text}: {error}");
    }
    for text in ["", "[]", "null", "{"] {
        let error = read_structured(text.as_bytes(), &Limits::default()).unwrap_err();
        assert_eq!(error.attribute, "", "{text}");
    }
    let batch = format!("[{{{least}}}, {{{least},\"time\":\"x\"}}]");
    let error = read_batch(batch.as_bytes(), &Limits::default()).unwrap_err();
    assert_eq!((error.event, &*error.attribute), (Some(1), "time"));
    let limits = Limits {
        batch_events: 1,
        ..Limits::default()
    };
    let batch = format!("[{{{least}}}, {{{least}}}]");
    assert!(read_batch(batch.as_bytes(), &limits).is_err());
    assert_eq!(read_batch(b"[]", &limits).unwrap(), []);
}

#[test]
fn each_mode_says_the_same() {
    let events = [
        CloudEvent {
            id: "1 \"é\" 100%".into(),
            source: "https://shop.example/a?b#c".into(),
            kind: "com.example.made".into(),
            subject: Some("orders/5".into()),
            time: Some("2026-11-22T10:00:00.123+01:00".into()),
            content_type: Some("application/json; charset=utf-8".into()),
            schema: Some("https://shop.example/schema".into()),
            extensions: vec![("traceparent".into(), Extension::Text("00-ab".into()))],
            data: Data::Json(r#"{"n": 1.0, "list": [ 1 ]}"#.into()),
        },
        CloudEvent {
            id: "2".into(),
            source: "s".into(),
            kind: "t".into(),
            content_type: Some("text/plain".into()),
            data: Data::Bytes("{\"plain\"} é".into()),
            ..CloudEvent::default()
        },
        CloudEvent {
            id: "3".into(),
            source: "s".into(),
            kind: "t".into(),
            content_type: Some("application/octet-stream".into()),
            data: Data::Bytes(vec![0, 255, 1]),
            ..CloudEvent::default()
        },
        CloudEvent {
            id: "4".into(),
            source: "s".into(),
            kind: "t".into(),
            ..CloudEvent::default()
        },
    ];
    let limits = Limits::default();
    for event in &events {
        let (fields, body) = write_binary(event);
        let pairs = fields
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        assert_eq!(read_binary(pairs, body, &limits).as_ref(), Ok(event));
        let mut out = Vec::new();
        write_structured(event, &mut out);
        assert_eq!(read_structured(&out, &limits).as_ref(), Ok(event));
    }
    assert_eq!(read_batch(&write_batch(&events), &limits).unwrap(), events);
}

#[test]
fn modes_are_told_by_the_media_type() {
    for (content_type, mode) in [
        (None, Mode::Binary),
        (Some("application/json"), Mode::Binary),
        (
            Some("Application/CloudEvents+JSON; charset=utf-8"),
            Mode::Structured,
        ),
        (Some("application/cloudevents-batch+json"), Mode::Batch),
    ] {
        assert_eq!(Mode::of(content_type), Ok(mode));
    }
    assert!(Mode::of(Some("application/cloudevents+avro")).is_err());
}
