//! Service tiers and batches through traffic: what the provider says it granted is what is paid.

use crate::cassettes::{Caller, Provider, Reply};
use crate::money::{Ledger, SQLITE, digest, open};
use crate::support::{Answer, Gateway};
use gate_store::ledger::{UsageBy, UsageQuery, UsageRow};
use std::path::Path;

/// A gateway whose provider `p` is of this kind, at prices of a millionth of a dollar per token of
/// input and two of output, half of that in batches, unless a request of one is long, and a tenth as
/// `flex`.
fn yaml(kind: &str, provider: &Provider) -> String {
    let key = digest("secret");
    format!(
        "gateway: {{ workers: 1, store: {{ {SQLITE} }} }}\n\
         listeners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         providers: {{ p: {{ {kind}: {{ base_url: 'http://{}/v1', credentials: [{{ env: KEY }}] }} }} }}\n\
         prices:\n  p/*:\n\
         \x20 - {{ per_million: {{ input: 1, output: 2 }} }}\n\
         \x20 - {{ tier: batch, per_million: {{ input: 0.5, output: 1 }} }}\n\
         \x20 - {{ tier: batch, above_input_tokens: 1500, per_million: {{ input: 1, output: 2 }} }}\n\
         \x20 - {{ tier: flex, per_million: {{ input: 0.1, output: 0.2 }} }}\n\
         \x20 - {{ tier: priority, per_million: {{ input: 2, output: 4 }} }}\n\
         models: {{ m: {{ targets: [{{ provider: p, model: x }}] }} }}\n\
         consumers:\n  shop:\n    keys: [{{ sha256: {key}, id: web }}]\n\
         budgets: {{ b: {{ of: {{ consumer: shop }}, limit: {{ usd: 9 }}, per: total }}, \
         q: {{ of: {{ provider: p }}, limit: {{ tokens: 1000000 }}, per: total }} }}\n\
         routes: {{ ai: {{ policies: [{{ auth_key: {{}} }}], target: {{ models: [m] }} }} }}\n",
        provider.address
    )
}

fn json(body: &str) -> Reply {
    Reply {
        status: 200,
        headers: "content-type: application/json\r\n".into(),
        pieces: vec![body.into()],
    }
}

fn get(gateway: &Gateway, path: &str) -> Answer {
    gateway.send(&format!(
        "GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer secret\r\n\r\n"
    ))
}

fn usage(folder: &Path) -> Vec<UsageRow> {
    let query = UsageQuery {
        by: vec![UsageBy::ProviderModel],
        since_ms: 0,
        until_ms: i64::MAX,
        provider: String::new(),
        only: Vec::new(),
    };
    open(folder).usage(&query).unwrap()
}

/// 1,000 tokens read and 50 written cost this many picodollars at the usual prices.
const COST: i64 = 1_100_000_000;

#[test]
fn a_tier_is_paid_as_it_was_granted_and_not_as_it_was_asked_for() {
    let provider = Provider::start();
    let ledger = Ledger::of(&yaml("openai", &provider));
    let mut settled = 0;
    // What is asked for and what the answer says, whole and streamed, and the cost of it.
    for (asked, granted, cost) in [
        ("", r#","service_tier":"flex""#, COST),
        (
            r#","service_tier":"flex""#,
            r#","service_tier":"flex""#,
            COST / 10,
        ),
        (
            r#","service_tier":"flex""#,
            r#","service_tier":"default""#,
            COST,
        ),
        (r#","service_tier":"flex""#, "", COST),
        (
            r#","service_tier":"auto""#,
            r#","service_tier":"priority""#,
            2 * COST,
        ),
        (r#","service_tier":"priority""#, "", 2 * COST),
        (
            r#","service_tier":"priority""#,
            r#","service_tier":"default""#,
            COST,
        ),
    ] {
        let usage = r#""usage":{"prompt_tokens":1000,"completion_tokens":50,"total_tokens":1050}"#;
        let body = format!(
            r#"{{"id":"a","object":"chat.completion","created":1,"model":"x","choices":[{{"index":0,"message":{{"role":"assistant","content":"y"}},"finish_reason":"stop"}}],{usage}{granted}}}"#
        );
        let chunk = |choices: &str, usage: &str| {
            format!(
                "data: {{\"id\":\"a\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"x\",\"choices\":{choices}{granted}{usage}}}\n\n"
            )
        };
        let stream = [
            chunk(
                r#"[{"index":0,"delta":{"role":"assistant","content":"y"},"finish_reason":null}]"#,
                "",
            ),
            chunk(r#"[{"index":0,"delta":{},"finish_reason":"stop"}]"#, ""),
            chunk("[]", &format!(",{usage}")),
            "data: [DONE]\n\n".into(),
        ];
        let whole = json(&body);
        let streamed = Reply {
            headers: "content-type: text/event-stream\r\n".into(),
            pieces: stream.map(String::into_bytes).into(),
            ..whole.clone()
        };
        for (path, question, reply) in [
            (
                "/v1/chat/completions",
                r#""messages":[{"role":"user","content":"x"}]"#,
                &whole,
            ),
            (
                "/v1/chat/completions",
                r#""stream":true,"messages":[{"role":"user","content":"x"}]"#,
                &streamed,
            ),
            // Translated: the provider speaks no Messages.
            (
                "/v1/messages",
                r#""messages":[{"role":"user","content":"x"}]"#,
                &whole,
            ),
            (
                "/v1/messages",
                r#""stream":true,"messages":[{"role":"user","content":"x"}]"#,
                &streamed,
            ),
        ] {
            if path == "/v1/messages" && asked.contains("flex") {
                // Anthropic's own word for a tier is never that.
                continue;
            }
            provider.set(reply.clone());
            let mut caller = Caller::new(&ledger.gateway);
            caller.headers = "authorization: Bearer secret\r\n".into();
            let body = format!(r#"{{"model":"m","max_tokens":100{asked},{question}}}"#);
            let answer = caller.post(path, &body);
            assert_eq!(answer.status, 200, "{answer:?}");
            settled += cost;
            ledger.settles("b", settled);
        }
    }
}

#[test]
fn a_batch_of_openai_is_settled_once_when_its_usage_is_seen() {
    let provider = Provider::start();
    let yaml = yaml("openai", &provider);
    let ledger = Ledger::of(&yaml);
    let batch = |id: &str, status: &str| {
        json(&format!(
            r#"{{"id":"{id}","object":"batch","model":"x-2026","status":"{status}","usage":{{"input_tokens":1000,"input_tokens_details":{{"cached_tokens":0}},"output_tokens":50,"output_tokens_details":{{"reasoning_tokens":0}},"total_tokens":1050}}}}"#
        ))
    };
    let read = |gateway: &Gateway, id: &str, status: &str| {
        let reply = batch(id, status);
        let bytes = reply.pieces.concat();
        provider.set(reply);
        let answer = get(gateway, &format!("/v1/batches/{id}"));
        assert!(answer.status == 200 && answer.body == bytes, "{answer:?}");
    };
    read(&ledger.gateway, "batch_1", "in_progress");
    for _ in 0..3 {
        read(&ledger.gateway, "batch_1", "completed");
    }
    ledger.settles("b", COST / 2);
    ledger.settles("q", 1_050);
    read(&ledger.gateway, "batch_2", "cancelled");
    ledger.settles("b", COST);
    let page = ledger.gateway.metrics();
    let line = "tidegate_ai_payer_cost_dollars_total{consumer=\"shop\"} 0.0011";
    assert!(page.contains(line), "{page}");
    // Another process, such as the next one here, finds both settled.
    let (folder, gateway) = ledger.into_parts();
    drop(gateway);
    let gateway = Gateway::start_in(folder.path(), &yaml).unwrap_or_else(|e| panic!("{e}"));
    read(&gateway, "batch_1", "completed");
    read(&gateway, "batch_3", "completed");
    drop(gateway);
    let rows = usage(folder.path());
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0].names, ["p/x-2026"]);
    assert_eq!((rows[0].calls, rows[0].cost_picodollars), (3, 3 * COST / 2));
    let balances = open(folder.path()).balances().unwrap();
    let settled = |budget: &str| {
        balances
            .iter()
            .find(|row| row.budget == budget)
            .unwrap()
            .settled
    };
    assert_eq!((settled("b"), settled("q")), (3 * COST / 2, 3 * 1_050));
}

#[test]
fn requests_of_a_batch_are_not_one_long_request() {
    let provider = Provider::start();
    let ledger = Ledger::of(&yaml("openai", &provider));
    let mut settled = 0;
    // Requests, the tokens that each of them read, what they cost, and whether that is a guess.
    for (counts, each, cost, estimated) in [
        (
            r#","request_counts":{"total":1,"completed":1,"failed":0}"#,
            1_000,
            COST / 2,
            0,
        ),
        (
            r#","request_counts":{"total":9,"completed":4,"failed":5}"#,
            1_000,
            4 * COST / 2,
            1,
        ),
        (
            r#","request_counts":{"total":1,"completed":1,"failed":0}"#,
            2_000,
            2 * COST,
            0,
        ),
        (
            r#","request_counts":{"total":2,"completed":2,"failed":0}"#,
            2_000,
            4 * COST,
            1,
        ),
        ("", 2_000, COST, 1),
    ] {
        let requests = settled.max(1);
        let completed: i64 = match counts.split_once("completed\":") {
            Some((_, rest)) => rest[..1].parse().unwrap(),
            None => 1,
        };
        let (input, output) = (completed * each, completed * each / 20);
        provider.set(json(&format!(
            r#"{{"id":"batch_{requests}","object":"batch","model":"{requests}","status":"completed","usage":{{"input_tokens":{input},"output_tokens":{output}}}{counts}}}"#
        )));
        let answer = get(&ledger.gateway, &format!("/v1/batches/batch_{requests}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        settled += cost;
        ledger.settles("b", settled);
        let rows = ledger.usage(&[UsageBy::ProviderModel]);
        let row = rows
            .iter()
            .find(|row| row.names == [format!("p/{requests}")]);
        assert_eq!(row.unwrap().estimated, estimated, "{rows:?}");
    }
}

#[test]
fn results_of_anthropics_batches_are_settled_when_they_were_read_to_their_end() {
    let provider = Provider::start();
    let ledger = Ledger::of(&yaml("anthropic", &provider));
    let line = |model: &str| {
        format!(
            "{{\"custom_id\":\"a\",\"result\":{{\"type\":\"succeeded\",\"message\":{{\"id\":\"i\",\"model\":\"{model}\",\"content\":[],\"usage\":{{\"input_tokens\":1000,\"output_tokens\":50,\"service_tier\":\"batch\"}}}}}}}}\n"
        )
    };
    let results = [line("one"), line("two"), line("one")].concat();
    let reply = Reply {
        status: 200,
        headers: "content-type: application/x-jsonl\r\n".into(),
        pieces: results.as_bytes().chunks(100).map(<[u8]>::to_vec).collect(),
    };
    provider.set(reply);
    let path = "/v1/messages/batches/msgbatch_1/results";
    for _ in 0..2 {
        let answer = get(&ledger.gateway, path);
        assert_eq!(answer.text(), results);
    }
    ledger.settles("b", 3 * COST / 2);
    ledger.settles("q", 3 * 1_050);
    let rows = ledger.usage(&[UsageBy::ProviderModel, UsageBy::Key]);
    let rows: Vec<_> = rows
        .iter()
        .map(|row| (row.names.join(" "), row.calls, row.cost_picodollars))
        .collect();
    assert_eq!(
        rows,
        [
            ("p/one shop/web".to_owned(), 1, COST),
            ("p/two shop/web".to_owned(), 1, COST / 2)
        ]
    );
}
