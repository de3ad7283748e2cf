//! Servers of tools that are slow, dead, wrong or gone; sessions; credentials. The protocol itself is
//! tested with the official SDK (`crates/tidegate/tests/it/sdk/tools.rs`).

#[path = "tools/programs.rs"]
mod programs;
#[path = "tools/sessions.rs"]
mod sessions;

use crate::support::{Answer, Gateway, Upstream, read_request};
use serde_json::{Value, json};
use std::io::Write;
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

/// A server whose tools each go wrong in their own way.
fn wrong() -> Upstream {
    let stream = |events: &str| {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9999\r\n\r\n{events}"
        )
    };
    Upstream::raw(move |mut connection, _| {
        loop {
            let (head, body) = read_request(&mut connection);
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
    })
}

#[test]
fn answers_that_are_wrong_are_errors_of_the_call() {
    let upstream = wrong();
    let servers = http("up", &upstream, ", timeouts: { call: 1s }");
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
fn a_tool_is_refused_on_purpose() {
    let good = server(|name| format!("called {name}"));
    let servers = http("good", &good, "");
    let experiments = "experiments: { x: { inject: { refuse_tool: { tool: one } }, \
                       scope: { mcp_server: good }, for: 1h } }\n";
    let gateway = Gateway::start(&(document(&servers, "{ server: good }", "") + experiments));
    let client = Client::begin(&gateway, "");
    let refused = client.call("good__one");
    assert_eq!(refused["id"], json!(7));
    assert_eq!(refused["result"]["isError"], json!(true), "{refused}");
    assert_eq!(said(&client.call("good__two")), "called two");
    assert!(gateway.metrics().contains(
        "tidegate_experiment_injections_total{experiment=\"x\",inject=\"refuse_tool\"} 1"
    ));
    gateway.process.shared().experiments.stop("x").unwrap();
    assert_eq!(said(&client.call("good__one")), "called one");
}
