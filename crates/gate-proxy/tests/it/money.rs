//! What calls cost and whether they may: budgets, keys, prices and the ledger, through traffic.

#[path = "money/given_up.rs"]
mod given_up;
#[path = "money/left.rs"]
mod left;
#[path = "money/windows.rs"]
mod windows;

use crate::cassettes::{Caller, Provider, Reply};
use crate::support::{Answer, Gateway, Upstream, eventually, read_request};
use gate_model::document::Document;
use gate_model::resources::Resources;
use gate_proxy::money::store;
use gate_store::ledger::{BalanceRow, UsageBy, UsageQuery, UsageRow};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
/// At least 2,048 input tokens may be read of any request, and this one may be answered with 100.
const REQUEST: &str =
    r#"{"model":"m","max_tokens":100,"messages":[{"role":"user","content":"x"}]}"#;
const STREAM: &str =
    r#"{"model":"m","max_tokens":100,"stream":true,"messages":[{"role":"user","content":"x"}]}"#;
/// Costs 1,000 * 1 + 50 * 2 millionths of a dollar at the prices below.
const ANSWER: &str = r#"{"id":"a","object":"chat.completion","created":1,"model":"x","choices":[{"index":0,"message":{"role":"assistant","content":"y"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":50}}"#;
const COST: i64 = 1_100_000_000;
/// What is reserved: 2,048 and the request's bytes of input, and 100 tokens of output.
const MOST: i64 = (2_048 + REQUEST.len() as i64) * 1_000_000 + 200_000_000;

pub(crate) struct Ledger {
    folder: tempfile::TempDir,
    pub(crate) gateway: Gateway,
}

/// SHA-256 of `secret`.
pub(crate) fn digest(secret: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes());
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn document(one: SocketAddr, two: SocketAddr, store: &str, more: &str) -> String {
    let key = digest("secret");
    format!(
        "gateway: {{ workers: 1, store: {{ {store}, tag_header: X-Job }} }}\n\
         listeners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
         providers:\n  one: {{ openai: {{ base_url: 'http://{one}/v1', credentials: [{{ env: ONE }}] }} }}\n  \
         two: {{ openai: {{ base_url: 'http://{two}/v1', credentials: [{{ env: TWO }}] }} }}\n\
         prices:\n  one/*: [{{ per_million: {{ input: 1, output: 2 }} }}]\n  \
         two/second: [{{ per_million: {{ input: 1, output: 2 }} }}]\n\
         models:\n  m:\n    first_byte: 2s\n    targets: [{{ provider: one, model: first }}]\n    \
         fallback: [{{ provider: two, model: second }}]\n\
         consumers:\n  shop:\n    team: sales\n    keys: [{{ sha256: {key}, id: web }}]\n\
         routes: {{ ai: {{ policies: [{{ auth_key: {{}} }}], target: {{ models: [m] }} }} }}\n{more}"
    )
}

pub(crate) const SQLITE: &str = "engine: { sqlite: { path: ledger.db } }";

impl Ledger {
    fn start(one: SocketAddr, two: SocketAddr, more: &str) -> Self {
        Self::of(&document(one, two, SQLITE, more))
    }

    /// A gateway with this document, whose store is [`SQLITE`].
    pub(crate) fn of(yaml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let gateway = Gateway::start_in(folder.path(), yaml).unwrap_or_else(|e| panic!("{e}"));
        Self { folder, gateway }
    }

    /// The folder of its store, and the gateway.
    pub(crate) fn into_parts(self) -> (tempfile::TempDir, Gateway) {
        (self.folder, self.gateway)
    }

    fn caller(&self) -> Caller {
        let mut caller = Caller::new(&self.gateway);
        caller.headers = "authorization: Bearer secret\r\nx-job: night/1 ä\r\n".into();
        caller
    }

    fn post(&self, body: &str) -> Answer {
        self.caller().post(CHAT, body)
    }

    pub(crate) fn usage(&self, by: &[UsageBy]) -> Vec<UsageRow> {
        let query = UsageQuery {
            by: by.to_vec(),
            since_ms: 0,
            until_ms: i64::MAX,
            provider: String::new(),
            only: Vec::new(),
        };
        open(self.folder.path()).usage(&query).unwrap()
    }

    fn balance(&self, budget: &str) -> Option<BalanceRow> {
        let rows = open(self.folder.path()).balances().unwrap();
        rows.into_iter().find(|row| row.budget == budget)
    }

    /// Waits until so much is settled in a budget.
    pub(crate) fn settles(&self, budget: &str, amount: i64) {
        eventually(&format!("{amount} is settled in {budget}"), || {
            self.balance(budget)
                .is_some_and(|row| row.settled == amount)
        });
    }
}

pub(crate) fn open(folder: &Path) -> Box<dyn gate_store::Store> {
    struct None;
    impl gate_flow::SecretSource for None {
        fn env(&self, name: &str) -> Result<String, String> {
            Err(name.into())
        }
        fn file(&self, _: &Path) -> Result<String, String> {
            Err(String::new())
        }
    }
    let yaml = format!("gateway: {{ store: {{ {SQLITE} }} }}");
    let document = Document::parse(yaml.as_bytes(), "store.yaml").unwrap();
    let resources = Resources::read(&document).unwrap();
    store::open(&resources.gateway.store.unwrap(), &None, folder).unwrap()
}

fn answering() -> Provider {
    Provider::with(Reply {
        status: 200,
        headers: "content-type: application/json\r\n".into(),
        pieces: vec![ANSWER.into()],
    })
}

fn nowhere() -> SocketAddr {
    "127.0.0.1:1".parse().unwrap()
}

fn code(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    body["error"]["code"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_budget_in_dollars_holds_to_the_last_call() {
    let provider = answering();
    // Room for four calls that cost COST, and for less than the most of a fifth.
    let limit = 4 * COST + MOST - 1;
    let limit = gate_model::units::Money::from_picodollars(limit);
    let budgets = format!(
        "budgets: {{ b: {{ of: {{ consumer: shop }}, limit: {{ usd: '{limit}' }}, per: total, warn: [50%] }} }}\n"
    );
    let ledger = Ledger::start(provider.address, nowhere(), &budgets);
    for call in 0..4 {
        let answer = ledger.post(REQUEST);
        assert_eq!(answer.status, 200, "call {call}: {answer:?}");
        ledger.settles("b", COST * (call + 1));
    }
    let answer = ledger.post(REQUEST);
    assert_eq!(
        (answer.status, &*code(&answer)),
        (429, "budget_exceeded"),
        "{answer:?}"
    );
    assert_eq!(provider.calls(), 4);
    let rows = ledger.usage(&[UsageBy::Key, UsageBy::Tag]);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].names, ["shop/web", "night/1"]);
    assert_eq!((rows[0].calls, rows[0].input_tokens), (4, 4_000));
    assert_eq!((rows[0].cost_picodollars, rows[0].estimated), (4 * COST, 0));
    let metrics = ledger.gateway.metrics();
    for line in [
        "tidegate_budget_settled{budget=\"b\",unit=\"usd\"} 0.0044",
        "tidegate_budget_thresholds_total 1",
        "tidegate_ai_payer_cost_dollars_total{consumer=\"shop\"} 0.0044",
        "tidegate_ai_payer_cost_dollars_total{team=\"sales\"} 0.0044",
        "tidegate_ai_payer_cost_dollars_total{key=\"shop/web\"} 0.0044",
        "tidegate_ai_payer_cost_dollars_total{tag=\"night/1\"} 0.0044",
        "tidegate_store_up 1",
    ] {
        assert!(metrics.contains(line), "{line} is missing in\n{metrics}");
    }
}

#[test]
fn a_judge_is_paid_for_by_whoever_calls_or_by_whom_it_is_said() {
    for (payer, shop) in [("", 2 * COST), (", consumer: desk", COST)] {
        let says = |text: &str| Reply {
            status: 200,
            headers: "content-type: application/json\r\n".into(),
            pieces: vec![ANSWER.replace("\"y\"", text).into()],
        };
        let (one, two) = (answering(), Provider::with(says("\"PASS\"")));
        let budgets = "budgets:\n  b: { of: { consumer: shop }, limit: { usd: 9 }, per: total }\n  \
                       d: { of: { consumer: desk }, limit: { usd: 9 }, per: total }\n";
        let folder = tempfile::tempdir().unwrap();
        let judged = format!(
            "policies: [{{ auth_key: {{}} }}, {{ guard: {{ rules: [{{ find: {{ judge: {{ model: judge, block_if: is bad{payer} }} }}, at: [request], action: block }}] }} }}]"
        );
        let yaml = document(one.address, two.address, SQLITE, budgets)
            .replace("policies: [{ auth_key: {} }]", &judged)
            .replace(
                "models:\n",
                "models:\n  judge: { targets: [{ provider: two, model: second }] }\n",
            )
            .replace("consumers:\n", "consumers:\n  desk: {}\n");
        let gateway = Gateway::start_in(folder.path(), &yaml).unwrap_or_else(|e| panic!("{e}"));
        let ledger = Ledger { folder, gateway };
        let answer = ledger.post(REQUEST);
        assert_eq!(answer.status, 200, "{answer:?}");
        ledger.settles("b", shop);
        ledger.settles("d", 2 * COST - shop);
        let rows = ledger.usage(&[UsageBy::Model, UsageBy::Consumer]);
        let rows: Vec<_> = rows
            .iter()
            .map(|row| (row.names.join(" "), row.calls))
            .collect();
        let judge = if payer.is_empty() {
            "judge shop"
        } else {
            "judge desk"
        };
        assert_eq!(rows, [(judge.to_owned(), 1), ("m shop".to_owned(), 1)]);
        two.set(says("\"BLOCK\""));
        assert_eq!(ledger.post(REQUEST).status, 400);
        assert_eq!((one.calls(), two.calls()), (1, 2));
    }
}

#[test]
fn refusals_cost_nothing_and_exhausted_providers_are_passed_over() {
    let (one, two) = (answering(), answering());
    let budgets = "budgets:\n  p: { of: { provider: one }, limit: { tokens: 100 }, per: day }\n  \
                   t: { of: { team: sales }, limit: { tokens: 9000 }, per: month }\n";
    let ledger = Ledger::start(one.address, two.address, budgets);
    let answer = ledger.post(REQUEST);
    assert_eq!(
        (answer.status, one.calls(), two.calls()),
        (200, 0, 1),
        "{answer:?}"
    );
    ledger.settles("t", 1_050);
    two.set(Reply {
        status: 429,
        headers: "content-type: application/json\r\n".into(),
        pieces: vec![br#"{"error":{"type":"rate_limit_exceeded","message":"slow"}}"#.to_vec()],
    });
    assert_eq!(ledger.post(REQUEST).status, 429);
    eventually("the reservation is given back", || {
        ledger.balance("t").is_some_and(|row| row.settled == 1_050)
            && ledger
                .gateway
                .metrics()
                .contains("tidegate_ledger_pending 0")
    });
    assert_eq!(ledger.usage(&[UsageBy::Provider])[0].calls, 1);
}

#[test]
fn broken_streams_are_charged_as_estimates() {
    let upstream = Upstream::raw(|mut stream, _| {
        let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
        let _ = read_request(&mut reader);
        let event = r#"data: {"id":"a","object":"chat.completion.chunk","created":1,"model":"x","choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}"#;
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 100000\r\n\r\n";
        let _ = stream.write_all(format!("{head}{event}\n\n{event}\n\n").as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Both);
    });
    let budgets = "budgets: { b: { of: { key: shop/web }, limit: { usd: 1 }, per: week } }\n";
    let ledger = Ledger::start(upstream.address, nowhere(), budgets);
    let answer = ledger.post(STREAM);
    assert_eq!(answer.status, 200);
    eventually("the call is settled", || {
        ledger.balance("b").is_some_and(|row| row.settled > 0)
    });
    let row = &ledger.usage(&[UsageBy::Model])[0];
    assert_eq!((row.calls, row.estimated), (1, 1), "{row:?}");
    // Two words by their bytes, or as many as a fast provider writes in the time that it took.
    assert!((1..=400).contains(&row.output_tokens), "{row:?}");
    assert_eq!(ledger.balance("b").unwrap().settled, row.cost_picodollars);
}

#[test]
fn a_hedge_that_loses_is_charged_as_an_estimate_beside_the_winner() {
    let slow = Upstream::raw(|mut stream, _| {
        let _ = read_request(&mut stream);
        // Until the gateway lets go.
        let _ = stream.read(&mut [0; 1]);
    });
    let event = |rest: &str| {
        let head =
            r#"{"id":"a","object":"chat.completion.chunk","created":1,"model":"x","choices":"#;
        format!("data: {head}{rest}}}\n\n")
    };
    let answer = [
        event(r#"[{"index":0,"delta":{"content":"y"},"finish_reason":"stop"}]"#),
        event(r#"[],"usage":{"prompt_tokens":1000,"completion_tokens":50,"total_tokens":1050}"#),
        "data: [DONE]\n\n".to_owned(),
    ];
    let quick = Provider::with(Reply {
        status: 200,
        headers: "content-type: text/event-stream\r\n".into(),
        pieces: vec![answer.concat().into_bytes()],
    });
    let budgets = "budgets:\n  b: { of: { consumer: shop }, limit: { usd: 9 }, per: total }\n  \
                   p: { of: { provider: one }, limit: { usd: 9 }, per: total }\n";
    let one_by_one = "targets: [{ provider: one, model: first }]\n    \
                      fallback: [{ provider: two, model: second }]";
    let yaml = document(slow.address, quick.address, SQLITE, budgets);
    assert!(yaml.contains(one_by_one));
    let ledger = Ledger::of(&yaml.replace(
        one_by_one,
        "strategy: { priority: {} }\n    hedge: { after: 50ms }\n    \
         targets: [{ provider: one, model: first }, { provider: two, model: second }]",
    ));
    let answer = ledger.post(STREAM);
    assert_eq!(answer.status, 200, "{answer:?}");
    eventually("both calls are written", || {
        ledger.usage(&[UsageBy::Provider]).len() == 2
    });
    let rows = ledger.usage(&[UsageBy::Provider]);
    let of = |name: &str| {
        let found = rows.iter().find(|row| row.names == [name]);
        found.unwrap_or_else(|| panic!("{name}: {rows:?}"))
    };
    let (lost, won) = (of("one"), of("two"));
    assert_eq!((won.cost_picodollars, won.estimated), (COST, 0), "{won:?}");
    assert_eq!(lost.estimated, 1, "{lost:?}");
    // What it may have written until it was cancelled, and no more than the caller allows.
    assert!((10..=100).contains(&lost.output_tokens), "{lost:?}");
    ledger.settles("p", lost.cost_picodollars);
    ledger.settles("b", COST + lost.cost_picodollars);
}

#[test]
fn prices_hold_from_their_day_and_for_their_length() {
    let provider = answering();
    for (prices, cost) in [
        // The latest that has begun counts, in whatever order they are written.
        (
            "{ from: '2199-01-01', per_million: { input: 9, output: 9 } }, \
             { from: '2020-01-01', per_million: { input: 3, output: 6 } }, \
             { per_million: { input: 1, output: 2 } }",
            3 * COST,
        ),
        // The answer says that 1,000 tokens were read.
        (
            "{ per_million: { input: 1, output: 2 } }, \
             { above_input_tokens: 999, per_million: { input: 2, output: 4 } }",
            2 * COST,
        ),
        (
            "{ per_million: { input: 1, output: 2 } }, \
             { above_input_tokens: 1000, per_million: { input: 2, output: 4 } }",
            COST,
        ),
        (
            "{ per_million: { input: 1, output: 2 }, per_request: 0.5 }",
            COST + 500_000_000_000,
        ),
        ("{ per_request: 0.5 }", 500_000_000_000),
        // What a later entry leaves out stays as it was.
        (
            "{ per_million: { input: 1, output: 2 } }, \
             { from: '2020-01-01', per_million: { input: 3 } }",
            3_100_000_000,
        ),
        (
            "{ from: '2020-01-01', tier: batch, per_million: { input: 0.5 } }, \
             { per_million: { input: 1, output: 2 } }",
            COST,
        ),
    ] {
        let yaml = document(provider.address, nowhere(), SQLITE, "");
        let usual = "one/*: [{ per_million: { input: 1, output: 2 } }]";
        assert!(yaml.contains(usual));
        let ledger = Ledger::of(&yaml.replace(usual, &format!("one/*: [{prices}]")));
        assert_eq!(ledger.post(REQUEST).status, 200);
        eventually("the call is written", || {
            !ledger.usage(&[UsageBy::Model]).is_empty()
        });
        let row = &ledger.usage(&[UsageBy::Model])[0];
        assert_eq!(row.cost_picodollars, cost, "{prices}");
    }
}

#[test]
fn keys_expire_and_keep_to_their_models_routes_and_limits() {
    let provider = answering();
    let keys = |settings: &str| {
        let key = digest("secret");
        let yaml = document(provider.address, nowhere(), SQLITE, "");
        yaml.replace(
            &format!("sha256: {key}, id: web"),
            &format!("sha256: {key}, {settings}"),
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let gateway =
        Gateway::start_in(folder.path(), &keys("id: web")).unwrap_or_else(|e| panic!("{e}"));
    let post = || {
        let mut caller = Caller::new(&gateway);
        caller.headers = "authorization: Bearer secret\r\n".into();
        caller.post(CHAT, REQUEST)
    };
    for (settings, status, word) in [
        ("expires: '2020-01-01'", 401, "credential_invalid"),
        ("expires: '2199-01-01', routes: [ai], models: [m]", 200, ""),
        ("routes: []", 403, "forbidden"),
        ("models: []", 404, "model_not_found"),
    ] {
        gateway
            .reload(&keys(settings))
            .unwrap_or_else(|e| panic!("{e}"));
        let answer = post();
        assert_eq!(
            (answer.status, &*code(&answer)),
            (status, word),
            "{settings}"
        );
    }
    gateway
        .reload(&keys("limits: { requests: 2/m }"))
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!([post().status, post().status], [200, 200]);
    let answer = post();
    assert_eq!((answer.status, &*code(&answer)), (429, "rate_limited"));
    assert!(answer.header("retry-after").is_some());
    gateway
        .reload(&keys("limits: { tokens: 1000/h }"))
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(post().status, 200);
    // The first call used 1,050 tokens, more than its estimate.
    eventually("the limit is reached", || post().status == 429);
}

#[test]
fn a_store_that_is_down_is_answered_at_once() {
    let provider = answering();
    let engine = "engine: { postgres: { address: { env: DATABASE } } }, fail: FAIL";
    let budgets = "budgets: { b: { of: { consumer: shop }, limit: { usd: 128 }, per: day } }\n";
    for (fail, status, word) in [
        ("closed", 503, "budget_unavailable"),
        ("open_local", 200, ""),
    ] {
        let engine = engine.replace("FAIL", fail);
        let yaml = document(provider.address, nowhere(), &engine, budgets);
        // The secret of these tests, `secret-of-DATABASE`, is no address: it can never be used.
        let refused = Gateway::try_start(&yaml)
            .err()
            .map(|error| error.to_string());
        assert!(
            refused.is_some_and(|error| error.contains("gateway.store")),
            "{fail}"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("address");
        std::fs::write(&path, "host=127.0.0.1 port=1 user=u dbname=d").unwrap();
        let yaml = yaml.replace("env: DATABASE", "file: address");
        let gateway =
            Gateway::start_with_files(folder.path(), &yaml).unwrap_or_else(|e| panic!("{e}"));
        let mut caller = Caller::new(&gateway);
        caller.headers = "authorization: Bearer secret\r\n".into();
        let began = Instant::now();
        let answer = caller.post(CHAT, REQUEST);
        assert_eq!(
            (answer.status, &*code(&answer)),
            (status, word),
            "{fail}: {answer:?}"
        );
        assert!(
            began.elapsed() < Duration::from_millis(400),
            "{:?}",
            began.elapsed()
        );
        assert!(gateway.metrics().contains("tidegate_store_up 0"));
    }
}

#[test]
fn what_cannot_act_is_an_error() {
    let yaml = document(nowhere(), nowhere(), SQLITE, "");
    let errors = |yaml: &str| {
        Gateway::try_start(yaml)
            .err()
            .map(|error| error.to_string())
    };
    for (more, change, word) in [
        (
            "budgets: { b: { of: { consumer: shop }, limit: { usd: 1 }, per: day } }\n",
            ("one/*:", "one/other:"),
            "no price is known",
        ),
        (
            "budgets: { b: { of: { consumer: shop }, limit: { usd: 1 }, per: day } }\n",
            ("store:", "#"),
            "gateway.store",
        ),
        (
            "budgets: { b: { of: { team: none }, limit: { tokens: 1 }, per: day } }\n",
            ("", ""),
            "no team `none`",
        ),
        (
            "budgets: { b: { of: { key: shop/app }, limit: { tokens: 1 }, per: day } }\n",
            ("", ""),
            "no key `shop/app`",
        ),
        ("teams: { others: {} }\n", ("", ""), "no team `sales`"),
        ("", ("one/*", "three/*"), "no provider `three`"),
        (
            "",
            ("id: web", "id: web, models: [none]"),
            "no model `none`",
        ),
    ] {
        let changed = match change {
            ("store:", _) => {
                yaml.replace(&format!(", store: {{ {SQLITE}, tag_header: X-Job }}"), "")
            }
            (from, to) if !from.is_empty() => yaml.replacen(from, to, 1),
            _ => yaml.clone(),
        };
        let error = errors(&format!("{changed}{more}")).unwrap_or_default();
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn messages_are_billed_through_translation() {
    let provider = answering();
    let ledger = Ledger::start(provider.address, nowhere(), "");
    let answer = ledger.caller().post(MESSAGES, REQUEST);
    assert_eq!(answer.status, 200, "{answer:?}");
    eventually("the call is written", || {
        !ledger.usage(&[UsageBy::Provider]).is_empty()
    });
    let row = &ledger.usage(&[UsageBy::ProviderModel])[0];
    assert_eq!((&*row.names[0], row.cost_picodollars), ("one/first", COST));
}
