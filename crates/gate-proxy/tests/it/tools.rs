//! Servers of tools that are slow, dead, wrong or gone; sessions; credentials. The protocol itself is
//! tested with the official SDK (`crates/tidegate/tests/it/sdk/tools.rs`).

use crate::support::{Answer, Gateway, Upstream, eventually, read_head};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MIB: usize = 1024 * 1024;

/// A message as an HTTP answer.
fn message(more: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{more}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// What every server here says to the usual questions; none to calls.
fn usual(body: &[u8]) -> Option<String> {
    let asked: Value = serde_json::from_slice(body).unwrap_or_default();
    let id = &asked["id"];
    let result = match asked["method"].as_str()? {
        "initialize" => json!({ "protocolVersion": "2025-06-18", "capabilities": { "tools": {} } }),
        "tools/list" => json!({ "tools": [
            { "name": "one", "inputSchema": { "type": "object" } },
            { "name": "two", "inputSchema": { "type": "object" } },
        ] }),
        "notifications/initialized" | "notifications/cancelled" => {
            return Some("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".into());
        }
        _ => return None,
    };
    let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
    Some(message("mcp-session-id: theirs\r\n", &answer.to_string()))
}

fn called(body: &[u8]) -> (Value, String) {
    let asked: Value = serde_json::from_slice(body).unwrap();
    let name = asked["params"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    (asked["id"].clone(), name)
}

fn text(id: &Value, text: &str) -> String {
    let result = json!({ "content": [{ "type": "text", "text": text }] });
    json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string()
}

/// A server that answers calls with what `answer` says to the tool's name.
fn server(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Upstream {
    Upstream::http(move |_, body| {
        usual(body).unwrap_or_else(|| {
            let (id, name) = called(body);
            match answer(&name) {
                said if said.starts_with("HTTP/") => said,
                said => message("", &text(&id, &said)),
            }
        })
    })
}

fn document(servers: &str, uses: &str, route: &str) -> String {
    format!(
        "gateway: {{ workers: 2 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         mcp_servers:\n{servers}\nroutes:\n  tools:\n    match: {{ path: /mcp }}\n{route}    \
         target: {{ mcp: [{uses}] }}\n"
    )
}

fn http(name: &str, upstream: &Upstream, more: &str) -> String {
    format!(
        "  {name}: {{ http: {{ url: 'http://{}/mcp'{more} }} }}\n",
        upstream.address
    )
}

/// A client with a session.
struct Client<'a> {
    gateway: &'a Gateway,
    session: String,
    fields: String,
}

impl<'a> Client<'a> {
    fn begin(gateway: &'a Gateway, fields: &str) -> Self {
        let mut client = Self {
            gateway,
            session: String::new(),
            fields: fields.to_owned(),
        };
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {} });
        let answer = client.ask(json!(0), "initialize", params);
        assert_eq!(answer.status, 200, "{answer:?}");
        let session = answer.header("mcp-session-id").expect("a session");
        client.session = format!("mcp-session-id: {session}\r\n");
        client
    }

    fn request(&self, body: &Value) -> String {
        let body = body.to_string();
        format!(
            "POST /mcp HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\n{}{}content-length: {}\r\n\r\n{body}",
            self.session,
            self.fields,
            body.len()
        )
    }

    fn ask(&self, id: Value, method: &str, params: Value) -> Answer {
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.gateway.send(&self.request(&body))
    }

    fn call(&self, tool: &str) -> Value {
        let answer = self.ask(
            json!(7),
            "tools/call",
            json!({ "name": tool, "arguments": {} }),
        );
        assert_eq!(answer.status, 200, "{answer:?}");
        parsed(&answer)
    }

    fn tools(&self) -> Vec<String> {
        let answer = parsed(&self.ask(json!(1), "tools/list", json!({})));
        let tools = answer["result"]["tools"].as_array().unwrap().clone();
        tools
            .iter()
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// The last message of an answer.
fn parsed(answer: &Answer) -> Value {
    let text = answer.text();
    let last = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("data: "));
    serde_json::from_str(last.unwrap_or(text)).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn said(answer: &Value) -> &str {
    answer["result"]["content"][0]["text"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
}

fn code(answer: &Value) -> &str {
    answer["error"]["data"]["code"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
}

#[test]
fn a_dead_server_and_a_silent_one_cost_only_their_own_tools() {
    let good = server(|name| format!("called {name}"));
    let silent = Upstream::raw(|_stream, _| std::thread::sleep(Duration::from_secs(5)));
    let servers = http("good", &good, "")
        + &http("silent", &silent, ", timeouts: { list: 300ms }")
        + "  dead: { http: { url: 'http://127.0.0.1:1/' } }\n";
    let uses = "{ server: dead }, { server: silent }, { server: good, tools: [o*] }";
    let gateway = Gateway::start(&document(&servers, uses, ""));
    let client = Client::begin(&gateway, "");
    assert_eq!(client.tools(), ["good__one"]);
    assert_eq!(said(&client.call("good__one")), "called one");
    assert_eq!(code(&client.call("good__two")), "tool_not_found");
    assert_eq!(code(&client.call("dead__one")), "no_endpoint");
    let metrics = gateway.metrics();
    let failures = "tidegate_rpc_server_failures_total{tidegate_server=\"dead\"}";
    assert!(metrics.contains(failures), "{metrics}");
    assert!(
        metrics.contains("gen_ai_tool_name=\"one\",outcome=\"ok\""),
        "{metrics}"
    );
}

#[test]
fn answers_that_are_wrong_are_errors_of_the_call() {
    let stream = |events: &str| {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n{events}"
        )
    };
    let upstream = Upstream::raw(move |mut connection, _| {
        loop {
            let (head, body) = crate::support::read_request(&mut connection);
            if head.is_empty() {
                return;
            }
            let notice = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":{}}\n\n";
            let answer = usual(&body).unwrap_or_else(|| match &*called(&body).1 {
                "long" => message("", &"x".repeat(5 * MIB)),
                "nonsense" => message("", "<html>"),
                "cut" => stream(notice),
                "silent" | "stalled" => String::new(),
                "flood" => stream(&format!("data: {}", "x".repeat(5 * MIB))),
                "other" => message("", &text(&json!(99), "for somebody else")),
                "teapot" => "HTTP/1.1 418 No\r\ncontent-length: 0\r\n\r\n".into(),
                name => message("", &text(&called(&body).0, name)),
            });
            let _ = connection.write_all(answer.as_bytes());
            match &*called(&body).1 {
                "cut" | "flood" => return,
                "stalled" => {
                    let _ = connection.write_all(stream(notice).as_bytes());
                    std::thread::sleep(Duration::from_secs(2));
                    return;
                }
                "silent" => {
                    std::thread::sleep(Duration::from_secs(2));
                    return;
                }
                _ => {}
            }
        }
    });
    let servers = http("up", &upstream, ", timeouts: { call: 400ms }");
    let gateway = Gateway::start(&document(&servers, "{ server: up }", ""));
    let client = Client::begin(&gateway, "");
    for (tool, expected) in [
        ("long", "upstream_malformed"),
        ("nonsense", "upstream_malformed"),
        ("cut", "upstream_reset"),
        ("silent", "upstream_timeout"),
        ("stalled", "upstream_timeout"),
        ("flood", "upstream_malformed"),
        ("teapot", "upstream_rejected"),
    ] {
        let answer = client.call(&format!("up__{tool}"));
        assert_eq!(answer["id"], 7, "{tool}");
        assert_eq!(code(&answer), expected, "{tool}");
    }
    assert_eq!(
        said(&client.call("up__fine")),
        "fine",
        "the session goes on"
    );
}

#[test]
fn requests_that_are_wrong_are_refused() {
    let upstream = server(|name| name.to_owned());
    let servers = http("up", &upstream, "");
    let gateway = Gateway::start(&document(&servers, "{ server: up }", ""));
    let mut client = Client::begin(&gateway, "");
    let answer = client.ask(json!(1), "nonsense/method", json!({}));
    assert_eq!(parsed(&answer)["error"]["code"], -32601);
    let batch = json!([{ "jsonrpc": "2.0", "id": 1, "method": "ping" }]);
    let answer = gateway.send(&client.request(&batch));
    assert_eq!(
        (answer.status, code(&parsed(&answer))),
        (400, "invalid_body")
    );
    let long = format!(
        "POST /mcp HTTP/1.1\r\nhost: test\r\n{}content-length: {}\r\n\r\n",
        client.session,
        5 * MIB
    );
    let answer = gateway.send(&long);
    assert_eq!(
        (answer.status, code(&parsed(&answer))),
        (413, "body_too_large")
    );
    client.fields = "mcp-protocol-version: 2026-07-28\r\n".into();
    let answer = client.ask(json!(3), "server/discover", json!({}));
    assert_eq!(answer.status, 400);
    assert_eq!(parsed(&answer)["error"]["code"], -32022);
    for (origin, status) in [
        ("https://evil.example", 403),
        ("http://test", 403),
        ("null", 403),
    ] {
        client.fields = format!("origin: {origin}\r\n");
        assert_eq!(
            client.ask(json!(4), "ping", json!({})).status,
            status,
            "{origin}"
        );
    }
    let bound =
        document(&servers, "{ server: up }", "").replace("path: /mcp", "path: /mcp, host: test");
    gateway.reload(&bound).unwrap();
    client.fields = "origin: http://test\r\n".into();
    assert_eq!(client.ask(json!(5), "ping", json!({})).status, 200);
    let put = gateway.send("PUT /mcp HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(
        (put.status, put.header("allow")),
        (405, Some("GET, POST, DELETE"))
    );
}

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
            let (head, body) = crate::support::read_request(&mut stream);
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

/// A program that speaks as much of the protocol as a test needs.
const PROGRAM: &str = r#"
while IFS= read -r line; do
  id=$(printf '%s' "$line" | sed -n 's/.*"id":\("[^"]*"\|[0-9]*\).*/\1/p')
  say() { printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"%s"}]}}\n' "$id" "$1"; }
  case "$line" in
    *'"method":"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{}}}}\n' "$id" ;;
    *'"name":"crash"'*) exit 3 ;;
    *'"name":"process"'*) say "$$" ;;
    *'"name":"token"'*) say "$TOKEN$SECRET_OF_THE_GATEWAY" ;;
    *'"name":"long"'*) head -c 5000000 /dev/zero ; echo ;;
    *'"name":"hang"'*) ;;
    *cancelled*) echo "$line" >> "$NOTES" ;;
  esac
done
"#;

fn program(folder: &Path, more: &str) -> String {
    std::fs::write(folder.join("server.sh"), PROGRAM).unwrap();
    let (script, notes) = (folder.join("server.sh"), folder.join("notes"));
    let servers = format!(
        "  up:\n    stdio:\n      command: sh\n      args: ['{}']\n      env: {{ TOKEN: {{ env: X }}, NOTES: {{ text: '{}' }} }}\n{}",
        script.display(),
        notes.display(),
        more.lines()
            .map(|line| format!("      {line}\n"))
            .collect::<String>()
    );
    document(&servers, "{ server: up }", "")
}

fn is_running(process: &str) -> bool {
    // A process that has ended and is not waited for yet is a zombie.
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn a_process_that_crashes_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = program(folder.path(), "restart: { base: 300ms, most: 1s }");
    let gateway = Gateway::start(&yaml);
    let client = Client::begin(&gateway, "");
    let first = said(&client.call("up__process")).to_owned();
    assert_eq!(
        said(&client.call("up__token")),
        "secret-of-X",
        "and nothing of ours"
    );
    assert_eq!(code(&client.call("up__crash")), "upstream_reset");
    eventually("it has ended", || !is_running(&first));
    assert_eq!(code(&client.call("up__process")), "no_endpoint", "it rests");
    let mut second = String::new();
    eventually("it is back", || {
        let answer = client.call("up__process");
        second = answer["result"]["content"][0]["text"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        !second.is_empty()
    });
    assert_ne!(first, second);
    assert_eq!(code(&client.call("up__long")), "upstream_reset");
    eventually("a flood ends it", || !is_running(&second));
}

#[test]
fn processes_are_bounded_end_with_their_session_and_when_idle() {
    let folder = tempfile::tempdir().unwrap();
    let more = "processes: 2\nidle: 700ms\ntimeouts: { call: 400ms }";
    let gateway = Gateway::start(&program(folder.path(), more));
    let (one, two) = (Client::begin(&gateway, ""), Client::begin(&gateway, ""));
    let three = Client::begin(&gateway, "");
    let (first, second) = (
        said(&one.call("up__process")).to_owned(),
        said(&two.call("up__process")).to_owned(),
    );
    assert_ne!(first, second, "one process per session");
    assert_eq!(
        code(&three.call("up__process")),
        "no_endpoint",
        "as many as there may be"
    );
    assert_eq!(code(&two.call("up__hang")), "upstream_timeout");
    eventually("the process hears that nobody waits", || {
        let notes = std::fs::read_to_string(folder.path().join("notes"));
        notes.is_ok_and(|notes| notes.contains("\"requestId\":7"))
    });
    let end = format!("DELETE /mcp HTTP/1.1\r\nhost: test\r\n{}\r\n", one.session);
    assert_eq!(gateway.send(&end).status, 204);
    eventually("its session's end is its own", || !is_running(&first));
    eventually("idleness is", || !is_running(&second));
    let third = said(&two.call("up__process")).to_owned();
    assert_ne!(third, second, "the next use starts another");
    drop(gateway);
    assert!(!is_running(&third), "a drain leaves none");
}
