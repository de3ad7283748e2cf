//! Sessions with servers of tools, and what callers show to them.

use super::{Client, called, code, document, http, message, parsed, said, server, text, usual};
use crate::support::{Gateway, Upstream, eventually, read_head, read_request};
use serde_json::{Value, json};
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[test]
fn a_session_is_one_consumers_and_ends_when_it_says_so() {
    let upstream = server(|name| name.to_owned());
    // SHA-256 of `open-sesame` and of `other`.
    let keys = "consumers:\n  a: { keys: [{ sha256: d7ecdf25eaf3deba0f2628771dbdd22d4138ab6cf38f91ed02a2ca0dec7c8ab7 }] }\n  \
                b: { keys: [{ sha256: d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa }] }\n";
    let yaml = document(
        &http("up", &upstream, ""),
        "{ server: up }",
        "    policies: [{ auth_key: {} }]\n",
    );
    let gateway = Gateway::start(&format!("{keys}{yaml}"));
    let mut client = Client::begin(&gateway, "authorization: Bearer open-sesame\r\n");
    assert_eq!(said(&client.call("up__one")), "one");
    let shown: Vec<String> = upstream.seen.lock().unwrap().clone();
    assert!(
        shown.iter().all(|head| !head.contains("sesame")),
        "the key stays here"
    );
    assert!(
        shown.last().unwrap().contains("mcp-session-id: theirs"),
        "{shown:?}"
    );
    client.fields = "authorization: Bearer other\r\n".into();
    let answer = client.ask(json!(1), "ping", json!({}));
    assert_eq!(
        (answer.status, code(&parsed(&answer))),
        (404, "session_not_found")
    );
    client.fields = "authorization: Bearer open-sesame\r\n".into();
    let end = format!(
        "DELETE /mcp HTTP/1.1\r\nhost: test\r\n{}{}\r\n",
        client.session, client.fields
    );
    assert_eq!(gateway.send(&end).status, 204);
    assert_eq!(gateway.send(&end).status, 404);
    assert_eq!(client.ask(json!(1), "ping", json!({})).status, 404);
    eventually("the server hears of it", || {
        upstream.last_seen().starts_with("DELETE /mcp")
    });
}

#[test]
fn a_session_that_a_server_has_forgotten_is_begun_again() {
    let forgets = Arc::new(Mutex::new(false));
    let now = forgets.clone();
    let upstream = Upstream::http(move |_, body| {
        if let Some(answer) = usual(body) {
            return answer;
        }
        if std::mem::take(&mut *now.lock().unwrap()) {
            return "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".into();
        }
        message("", &text(&called(body).0, "again"))
    });
    let gateway = Gateway::start(&document(&http("up", &upstream, ""), "{ server: up }", ""));
    let client = Client::begin(&gateway, "");
    *forgets.lock().unwrap() = true;
    assert_eq!(said(&client.call("up__one")), "again");
    assert!(!*forgets.lock().unwrap());
}

#[test]
fn a_cancellation_reaches_the_server_that_works_on_it() {
    let other = server(|name| name.to_owned());
    let (told, hears) = std::sync::mpsc::channel();
    let told = Mutex::new(told);
    let upstream = Upstream::raw(move |mut stream, _| {
        loop {
            let (head, body) = read_request(&mut stream);
            if head.is_empty() {
                return;
            }
            if head.starts_with("POST") && body.windows(9).any(|part| part == b"cancelled") {
                told.lock().unwrap().send(body.clone()).unwrap();
            }
            match usual(&body) {
                Some(answer) => stream.write_all(answer.as_bytes()).unwrap(),
                None => {
                    let head =
                        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: begun\n\n";
                    let progress = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":1,\"progress\":1}}\n\n";
                    let _ = stream.write_all(head.as_bytes());
                    let _ = stream.write_all(progress.as_bytes());
                    // The caller going away closes this connection.
                    let rest = read_head(&mut stream);
                    assert_eq!(rest, "");
                    return;
                }
            }
        }
    });
    let servers = http("up", &upstream, "") + &http("other", &other, "");
    let gateway = Gateway::start(&document(&servers, "{ server: up }, { server: other }", ""));
    let client = Client::begin(&gateway, "");
    let call = json!({ "jsonrpc": "2.0", "id": "c", "method": "tools/call", "params": { "name": "up__slow" } });
    let mut stream = gateway.connect();
    stream.write_all(client.request(&call).as_bytes()).unwrap();
    assert!(read_head(&mut stream).contains("text/event-stream"));
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": "c" } });
    assert_eq!(gateway.send(&client.request(&cancel)).status, 202);
    let heard = hears.recv_timeout(Duration::from_secs(5)).unwrap();
    assert!(
        String::from_utf8(heard)
            .unwrap()
            .contains("\"requestId\":\"c\"")
    );
    drop(stream);
    let seen = other.seen.lock().unwrap().clone();
    assert_eq!(
        seen.len(),
        2,
        "the other server heard only of the beginning: {seen:?}"
    );
    assert_eq!(said(&client.call("other__one")), "one");
}

#[test]
fn a_token_for_a_server_is_asked_for_and_passed_through() {
    let upstream = Upstream::http(|head, body| {
        if head.starts_with("GET /.well-known/oauth-protected-resource/mcp ") {
            return message(
                "",
                "{\"resource\":\"http://own/mcp\",\"authorization_servers\":[\"https://as.example\"]}",
            );
        }
        if !head.contains("authorization: Bearer users-own") {
            return "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer resource_metadata=\"http://own/x\"\r\n\
                    content-length: 0\r\n\r\n"
                .into();
        }
        usual(body).unwrap_or_else(|| message("", &text(&called(body).0, "in")))
    });
    let servers = http("up", &upstream, ", passthrough: authorization");
    let yaml = document(&servers, "{ server: up }", "")
        + "  metadata: { match: { path: '/.well-known/oauth-protected-resource/{*rest}' }, target: { mcp: [{ server: up }] } }\n";
    let gateway = Gateway::start(&yaml);
    let stranger = Client {
        gateway: &gateway,
        session: String::new(),
        fields: String::new(),
    };
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {} });
    let answer = stranger.ask(json!(0), "initialize", hello);
    assert_eq!(answer.status, 401);
    let metadata = "http://test/.well-known/oauth-protected-resource/mcp";
    let challenge = format!("Bearer resource_metadata=\"{metadata}\"");
    assert_eq!(answer.header("www-authenticate"), Some(&*challenge));
    let found = gateway.get("/.well-known/oauth-protected-resource/mcp");
    let found: Value = serde_json::from_str(found.text()).unwrap();
    assert_eq!(found["resource"], "http://test/mcp");
    assert_eq!(
        found["authorization_servers"],
        json!(["https://as.example"])
    );
    let client = Client::begin(&gateway, "authorization: Bearer users-own\r\n");
    assert_eq!(said(&client.call("up__one")), "in");
}
