//! Guards elsewhere (over HTTP, and a model that judges) through traffic: every caller's dialect,
//! whole and streamed, at all four points. What a judge costs is in the ledger and in metrics.

use crate::cassettes::{Caller, Provider, document};
use crate::guarded::{PLAIN, Said, answer, heard, path, request, ways};
use crate::money::{Ledger, SQLITE, digest};
use crate::support::{Gateway, Upstream, eventually, ok};
use gate_ai::Dialect;
use gate_store::ledger::UsageBy;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// What no guard lets pass.
const BAD: &str = "forbidden";
const POINTS: [&str; 4] = ["request", "tool_result", "response", "tool_call"];

/// Somebody who is asked, and what was asked so far.
pub(crate) struct Elsewhere {
    pub(crate) upstream: Upstream,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Elsewhere {
    pub(crate) fn start(reply: fn(&Value) -> String) -> Self {
        let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
        let noted = asked.clone();
        let upstream = Upstream::http(move |_, body| {
            let question: Value = serde_json::from_slice(body).unwrap();
            let said = reply(&question);
            noted.lock().unwrap().push(question);
            let length = said.len();
            format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{said}"
            )
        });
        Self { upstream, asked }
    }

    /// A guard over HTTP.
    fn guard() -> Self {
        Self::start(|question| {
            let bad = question["text"].as_str().unwrap().contains(BAD);
            json!({ "verdict": if bad { "block" } else { "pass" }, "reason": "so" }).to_string()
        })
    }

    /// A model that judges.
    fn judge() -> Self {
        Self::start(|question| {
            let text = question["messages"][1]["content"].as_str().unwrap();
            let word = if text.contains(BAD) { "BLOCK" } else { "PASS" };
            json!({ "id": "j", "object": "chat.completion", "created": 1, "model": "x",
                "choices": [{ "index": 0, "finish_reason": "stop",
                    "message": { "role": "assistant", "content": word } }],
                "usage": { "prompt_tokens": 1000, "completion_tokens": 50 } })
            .to_string()
        })
    }

    pub(crate) fn take(&self) -> Vec<Value> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// One call whose text at one of the points is this; what the caller heard of it, whether it failed,
/// and its bytes.
fn call(
    gateway: &Gateway,
    provider: &Provider,
    (dialect, stream): (Dialect, bool),
    point: &str,
    text: &str,
) -> (u16, (String, String, bool), String) {
    let mut said = Said { ..PLAIN };
    let (mut answered, mut called) = ("fine", json!({ "to": "somebody" }).to_string());
    match point {
        "request" => said.text = text,
        "tool_result" => said.result = text,
        "response" => answered = text,
        _ => called = json!({ "to": text }).to_string(),
    }
    provider.set(answer(stream, answered, Some(&called)));
    let mut caller = Caller::new(gateway);
    caller.headers = "authorization: Bearer secret\r\n".into();
    let got = caller.post(path(dialect, stream), &request(dialect, stream, &said));
    let bytes = String::from_utf8_lossy(&got.body).into_owned();
    (got.status, heard(dialect, stream, &got), bytes)
}

/// Every dialect, whole and streamed, at every point: what is bad never passes and what is good does.
fn every_way(gateway: &Gateway, provider: &Provider, asked: impl Fn(&str, &str, &str)) {
    for (dialect, stream) in ways() {
        for point in POINTS {
            let way = format!("{dialect:?}, streamed: {stream}, {point}");
            let (status, heard, _) = call(gateway, provider, (dialect, stream), point, "good");
            assert_eq!((status, heard.2), (200, false), "{way}: {heard:?}");
            asked(&way, point, "good");
            let calls = provider.calls();
            let text = format!("it is {BAD} here");
            let (status, heard, bytes) = call(gateway, provider, (dialect, stream), point, &text);
            let on_request = matches!(point, "request" | "tool_result");
            let expected = if stream && !on_request { 200 } else { 400 };
            assert_eq!(status, expected, "{way}: {bytes}");
            let more = usize::from(!on_request);
            assert_eq!(provider.calls(), calls + more, "{way}: who was called");
            assert!(heard.2 && !bytes.contains(BAD), "{way}: {bytes}");
            asked(&way, point, BAD);
        }
    }
}

#[test]
fn a_guard_over_http_sees_every_point_of_every_dialect() {
    let (guard, provider) = (Elsewhere::guard(), Provider::start());
    let text = document("compatible", provider.address, &["m"]);
    let policies = format!(
        "policies: [{{ guard: {{ rules: [{{ name: out, find: {{ http: {{ url: 'http://{}/ask', allow_private: true }} }}, \
         at: [request, response, tool_call, tool_result], action: block }}] }} }}], target: {{ models:",
        guard.upstream.address
    );
    let gateway = Gateway::start(&text.replace("target: { models:", &policies));
    every_way(&gateway, &provider, |way, point, word| {
        let asked = guard.take();
        let told = asked.iter().any(|question| {
            let other = question["point"] == "response" && point == "tool_call";
            assert!(!other || question["text"] == "fine", "{asked:?}");
            question["point"] == point
                && question["rule"] == "out"
                && question["route"] == "ai"
                && question["text"].as_str().unwrap().contains(word)
        });
        assert!(told, "{way} {word}: {asked:?}");
    });
    eventually("findings are counted", || {
        let page = gateway.metrics();
        POINTS
            .iter()
            .all(|point| page.contains(&format!("rule=\"out\",point=\"{point}\",action=\"block\"")))
    });
}

#[test]
fn a_model_judges_every_point_of_every_dialect_and_is_paid() {
    let (judge, provider) = (Elsewhere::judge(), Provider::start());
    let key = digest("secret");
    let yaml = format!(
        "gateway: {{ workers: 1, store: {{ {SQLITE} }} }}\n\
         listeners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         providers:\n  p: {{ compatible: {{ base_url: 'http://{}/v1' }} }}\n  \
         j: {{ compatible: {{ base_url: 'http://{}/v1' }} }}\n\
         prices:\n  p/*: [{{ per_million: {{ input: 0, output: 0 }} }}]\n  \
         j/*: [{{ per_million: {{ input: 1, output: 2 }} }}]\n\
         models:\n  m: {{ targets: [{{ provider: p, model: x }}] }}\n  \
         judge: {{ targets: [{{ provider: j, model: x }}] }}\n\
         consumers:\n  shop:\n    team: sales\n    keys: [{{ sha256: {key}, id: web }}]\n\
         budgets: {{ b: {{ of: {{ consumer: shop }}, limit: {{ usd: 99 }}, per: total }} }}\n\
         routes: {{ ai: {{ policies: [{{ auth_key: {{}} }}, {{ guard: {{ rules: [\
         {{ name: out, find: {{ judge: {{ model: judge, block_if: is bad }} }}, \
         at: [request, response, tool_call, tool_result], action: block }}] }} }}], \
         target: {{ models: [m] }} }} }}\n",
        provider.address, judge.upstream.address
    );
    let ledger = Ledger::of(&yaml);
    let count = std::cell::Cell::new(0_i64);
    every_way(&ledger.gateway, &provider, |way, _, word| {
        let asked = judge.take();
        count.set(count.get() + i64::try_from(asked.len()).unwrap());
        let told = |question: &Value| {
            let text = question["messages"][1]["content"].as_str().unwrap();
            text.starts_with("<text>") && text.contains(word)
        };
        assert!(asked.iter().any(told), "{way} {word}: {asked:?}");
    });
    // 1,000 tokens at a millionth of a dollar and 50 at two, each time.
    let spent = count.get() * 1_100_000_000;
    ledger.settles("b", spent);
    let rows = ledger.usage(&[UsageBy::Model]);
    let judged = rows.iter().find(|row| row.names == ["judge"]).unwrap();
    assert_eq!(
        (judged.calls, judged.cost_picodollars, judged.estimated),
        (count.get(), spent, 0)
    );
    let dollars = gate_model::units::Money::from_picodollars(spent);
    for line in [
        format!("tidegate_ai_payer_cost_dollars_total{{consumer=\"shop\"}} {dollars}"),
        format!("tidegate_ai_payer_cost_dollars_total{{team=\"sales\"}} {dollars}"),
    ] {
        eventually(&line, || ledger.gateway.metrics().contains(&line));
    }
}

#[test]
fn a_guard_on_this_machine_is_asked_only_where_that_is_allowed() {
    let (guard, provider) = (Elsewhere::guard(), Provider::start());
    provider.set(answer(false, "fine", None));
    let text = document("compatible", provider.address, &["m"]);
    let port = guard.upstream.address.port();
    let dialect = Dialect::ChatCompletions;
    let body = request(dialect, false, &PLAIN);
    let status = |host: &str, allowed: bool| {
        let policies = format!(
            "policies: [{{ guard: {{ rules: [{{ find: {{ http: {{ url: 'http://{host}:{port}/', allow_private: {allowed} }} }}, \
             at: [request], action: block }}] }} }}], target: {{ models:"
        );
        let gateway = Gateway::start(&text.replace("target: { models:", &policies));
        Caller::new(&gateway).post(dialect.path(), &body).status
    };
    for host in ["127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]"] {
        assert_eq!(status(host, false), 500, "{host}");
    }
    assert_eq!(guard.upstream.accepted(), 0);
    assert_eq!(status("127.0.0.1", true), 200);
    assert!(!guard.take().is_empty());
}

#[test]
fn who_cannot_be_asked_blocks_or_passes_as_it_is_said() {
    let provider = Provider::start();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let odd = Upstream::http(|_, _| ok("neither"));
    for (address, on_failure, passes) in [
        (nobody, "refuse", false),
        (nobody, "pass", true),
        (odd.address, "refuse", false),
        (odd.address, "pass", true),
    ] {
        let text = document("compatible", provider.address, &["m"]);
        let policies = format!(
            "policies: [{{ guard: {{ rules: [{{ find: {{ http: {{ url: 'http://{address}/', allow_private: true, on_failure: {on_failure} }} }}, \
             at: [response], action: block }}] }} }}], target: {{ models:"
        );
        let gateway = Gateway::start(&text.replace("target: { models:", &policies));
        for (dialect, stream) in ways() {
            let (status, heard, bytes) =
                call(&gateway, &provider, (dialect, stream), "response", "good");
            let way = format!("{dialect:?}, streamed: {stream}, {on_failure}");
            assert_eq!(heard.2, !passes, "{way}: {status} {bytes}");
            assert_eq!(heard.0.contains("good"), passes, "{way}: {bytes}");
        }
    }
}
