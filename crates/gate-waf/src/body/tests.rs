//! What bodies become, and what is said about broken ones.

use crate::decision::Engine;
use crate::variables::{Scalar, Set};
use crate::{Loader, NoFiles, RECOMMENDED, Request, Transaction};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

fn read(content_type: &str, body: &str) -> (Vec<(String, String)>, String, Transaction) {
    let mut loader = Loader::new(&NoFiles);
    loader.add("recommended", RECOMMENDED);
    let rules = Arc::new(loader.finish().unwrap());
    let mut transaction = Transaction::new(rules, None, Some(Engine::DetectionOnly));
    let local = (IpAddr::V4(Ipv4Addr::LOCALHOST), 80);
    let request = Request {
        client: local,
        server: local,
        method: b"POST",
        uri: b"/?q=1",
        protocol: b"HTTP/1.1",
        id: b"1",
    };
    let headers = [(&b"Content-Type"[..], content_type.as_bytes())];
    transaction.request_headers(&request, headers.into_iter());
    transaction.request_body(body.as_bytes(), false);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let store = &transaction.store;
    let entries = store.entries(Set::Args).iter().skip(1);
    let arguments =
        entries.map(|entry| (text(store.value(entry.key)), text(store.value(entry.value))));
    let arguments = arguments.collect();
    let error = text(store.get(Scalar::ReqbodyErrorMsg).unwrap_or_default());
    (arguments, error, transaction)
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}

#[test]
fn json_values_are_named_by_their_paths() {
    let body = r#"{"a": 1, "b": [true, null, {"c": "x\u00e9\n"}], "": {}, "d": {"e": -1.5e3}}"#;
    let (arguments, error, _) = read("application/json", body);
    let expected = [
        ("json.a", "1"),
        ("json.b.array_0", "true"),
        ("json.b.array_1", ""),
        ("json.b.array_2.c", "x\u{e9}\n"),
        ("json.d.e", "-1.5e3"),
    ];
    assert_eq!(arguments, pairs(&expected));
    assert_eq!(error, "");
    let halves = r#"["\ud800\u003c", "\ud83d\ude00", "\udc00"]"#;
    let expected = [
        ("json.array_0", "?<"),
        ("json.array_1", "\u{1f600}"),
        ("json.array_2", "?"),
    ];
    assert_eq!(read("application/json", halves).0, pairs(&expected));
    assert_eq!(read("application/json", "\"x\"").0, pairs(&[("json", "x")]));
    assert_eq!(
        read("application/json", "[[1]]").0,
        pairs(&[("json.array_0.array_0", "1")])
    );
}

#[test]
fn broken_json_is_told_and_what_came_before_is_kept() {
    for (body, told) in [
        ("{\"a\": 1", "premature EOF"),
        ("{\"a\": 1} x", "trailing garbage"),
        ("{\"a\": 01}", "malformed number"),
        ("{\"a\": \"\x01\"}", "invalid character"),
        ("{a: 1}", "no string"),
        ("[1 2]", "after a value"),
    ] {
        let (_, error, _) = read("application/json", body);
        assert!(error.starts_with("JSON parsing error: "), "{body}: {error}");
        assert!(error.contains(told), "{body}: {error}");
    }
    let deep = "[".repeat(600);
    assert!(read("application/json", &deep).1.contains("depth"));
    assert_eq!(
        read("application/json", "{\"a\": 1, \"b\": x}").0,
        pairs(&[("json.a", "1")])
    );
}

#[test]
fn xml_text_and_attributes() {
    let body = "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY x \"y\">]><a b=\"1&lt;\"><c>t&amp;</c><![CDATA[<d>]]><e xmlns:f='g' h='2'/></a>";
    let (_, error, transaction) = read("text/xml", body);
    assert_eq!(error, "");
    assert_eq!(
        transaction.store.get(Scalar::XmlText).unwrap(),
        b"<!ENTITY x \"y\">t&<d>"
    );
    let store = &transaction.store;
    let values = store
        .entries(Set::XmlAttribute)
        .iter()
        .map(|entry| store.value(entry.value));
    assert_eq!(values.collect::<Vec<_>>(), [&b"1<"[..], b"2"]);
    for broken in [
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a>&x;</a>",
        "text",
        "<a b=c/>",
        "<a b='<'/>",
    ] {
        assert!(
            read("text/xml", broken).1.contains("Failed parsing"),
            "{broken}"
        );
    }
}

const BOUNDED: &str = "multipart/form-data; boundary=b";

#[test]
fn multipart_parts_become_arguments_and_files() {
    let body = "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\none\r\ntwo\r\n--b\r\ncontent-disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nabc\r\n--b--\r\n";
    let (arguments, error, transaction) = read(BOUNDED, body);
    assert_eq!(error, "");
    assert_eq!(arguments, pairs(&[("x", "one\r\ntwo")]));
    let store = &transaction.store;
    assert_eq!(store.first(Set::Files, b"f").unwrap(), b"a.txt");
    assert_eq!(store.get(Scalar::FilesCombinedSize).unwrap(), b"3");
    assert_eq!(store.get(Scalar::MultipartStrictError).unwrap(), b"0");
    assert_eq!(store.entries(Set::MultipartPartHeaders).len(), 3);
}

#[test]
fn odd_multipart_is_flagged() {
    for (body, flag) in [
        (
            "x\r\n--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b--\r\n",
            Scalar::MultipartDataBefore,
        ),
        (
            "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n--b--\r\nx",
            Scalar::MultipartDataAfter,
        ),
        (
            "--b\nContent-Disposition: form-data; name=\"x\"\n\n1\n--b--\n",
            Scalar::MultipartLfLine,
        ),
        (
            "--b\r\nContent-Disposition: form-data;\r\n name=\"x\"\r\n\r\n1\r\n--b--\r\n",
            Scalar::MultipartHeaderFolding,
        ),
        (
            "--b\r\nContent-Disposition: form-data; name='x'\r\n\r\n1\r\n--b--\r\n",
            Scalar::MultipartInvalidQuoting,
        ),
        (
            "--b\r\nContent-Disposition: form-data; name=x\r\n\r\n--b--\r\n",
            Scalar::MultipartInvalidPart,
        ),
    ] {
        let (_, _, transaction) = read(BOUNDED, body);
        assert_eq!(transaction.store.get(flag).unwrap(), b"1", "{body}");
        assert_eq!(
            transaction.store.get(Scalar::MultipartStrictError).unwrap(),
            b"1",
            "{body}"
        );
    }
}

#[test]
fn broken_multipart_is_told() {
    for (content_type, body, told) in [
        (
            BOUNDED,
            "--b\r\n\r\nx\r\n--b--\r\n",
            "Part missing Content-Disposition",
        ),
        (
            BOUNDED,
            "--b\r\nContent-Disposition: form-data; name=x; name=y\r\n\r\nx\r\n--b--\r\n",
            "(-14)",
        ),
        (
            BOUNDED,
            "--b\r\nContent-Disposition: form-data; name=x\r\n\r\nx\r\n",
            "Final boundary missing",
        ),
        (BOUNDED, "x", "No boundaries"),
        (
            BOUNDED,
            "--b\r\nCont\x01ent: x\r\n\r\nx\r\n--b--",
            "contains invalid character",
        ),
        ("multipart/form-data", "x", "Boundary not found"),
        (
            "multipart/form-data; boundary=a; boundary=b",
            "x",
            "Multiple boundary",
        ),
        ("multipart/form-data; Boundary=a", "x", "case sensitivity"),
    ] {
        let (_, error, _) = read(content_type, body);
        assert!(error.contains(told), "{content_type} {body}: {error}");
    }
}
