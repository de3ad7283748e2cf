//! For every kind of change: a plan says that the requests which meet it change, or that it cannot
//! be told. It never says `unchanged` of what it does not know.

use super::cases::CASES;
use super::rows::{Rows, basis, compile, hash};
use gate_api::types::Effect;
use gate_proxy::record::recent::line::{AiLine, Line};
use gate_proxy::replay::Replay;

/// A document with something of every kind that a request meets.
const DOCUMENT: &str = "
gateway: { access_log: {}, records: { folder: kept }, store: { engine: { sqlite: { path: ledger.db } } } }
listeners: { main: { address: '127.0.0.1:0' }, spare: { address: '127.0.0.1:0' } }
teams: { sales: { models: [chat, old] } }
consumers:
  shop:
    team: sales
    models: [chat, old]
    keys:
      - id: web
        sha256: 'SHA'
        expires: 2099-01-01T00:00:00Z
        models: [chat, old]
        tools: ['files__*']
        routes: [api, ai, tools, helper, moved]
        limits: { requests: 1000/s, tokens: 90000/s }
budgets: { b: { of: { provider: two }, limit: { usd: 9 }, per: day } }
prices: { one/gpt-4o-mini: [{ per_million: { input: 2, output: 3 } }] }
upstreams:
  orders: { endpoints: ['127.0.0.1:7001', '127.0.0.1:7002'], timeouts: { connect: 1s }, retry: { attempts: 1 } }
  other: { endpoints: ['127.0.0.1:7003'] }
providers:
  one: { openai: { credentials: [{ env: A }] } }
  two: { openai: { credentials: [{ env: B }] } }
models:
  chat:
    strategy: { weighted: {} }
    targets:
      - { provider: one, model: gpt-4o-mini, weight: 9 }
      - { provider: two, model: gpt-4o, weight: 1 }
    fallback: [{ provider: two, model: gpt-4.1 }]
    retry: { attempts: 1 }
  old: { targets: [{ provider: two, model: gpt-4o }] }
mcp_servers: { files: { http: { url: 'http://127.0.0.1:7004/mcp' } } }
agents: { helper: { url: 'http://127.0.0.1:7005/' } }
prompts:
  support:
    versions:
      '1': { messages: [{ role: system, content: 'Be kind.' }] }
      '2': { messages: [{ role: system, content: 'Be brief.' }] }
    labels: { production: 1 }
routes:
  api:
    match: { path: '/api/{id}' }
    policies:
      - auth_key: {}
      - access: { allow: [192.0.2.0/24] }
      - limit: { rate: 1000/s }
      - headers: { request: { set: { X-One: one } }, response: { set: { X-Two: two } } }
      - rewrite: { prefix: { from: /api, to: /v1 } }
      - timeout: { total: 30s }
      - cors: { origins: ['https://app.example.com'] }
      - compress: { encodings: [gzip] }
      - mirror: { upstream: other, share: 5% }
      - request_id: { header: X-Request-Id }
      - record_bodies: { request: true, share: 1% }
    target: { upstream: orders }
  ai:
    match: { path: '/v1/{*rest}' }
    policies:
      - auth_key: {}
      - guard: { rules: [{ find: { patterns: [email] }, at: [request], action: redact }] }
      - model_cache: { ttl: 1h }
      - prompt: { name: support, label: production }
    target: { models: [chat, old] }
  tools: { match: { path: '/mcp' }, policies: [{ auth_key: {} }], target: { mcp: [{ server: files, prefix: files }] } }
  helper: { match: { path: '/agent/{*rest}' }, policies: [{ auth_key: {} }], target: { agent: helper } }
  moved:
    match: { path: '/moved' }
    policies: [{ redirect: { path: /new, status: 308 } }]
    target: { fixed: { status: 200 } }
  fixed: { match: { path: '/fixed' }, target: { fixed: { status: 200, body: one } } }
";

fn document() -> String {
    let sha: String = hash("web-key")
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    DOCUMENT.replace("SHA", &sha)
}

/// A row of this route, as the gateway would have kept it.
fn effect(route: &str, candidate: &str) -> Effect {
    let rows = Rows::new();
    let current = compile(&document());
    let after = compile(candidate);
    let basis = basis(&current, 1.0);
    let mut replay = Replay::new(current, after, &rows.means());
    let key = format!("Bearer {}", rows.secret.of_sha256(&hash("web-key")));
    let (path, public) = match route {
        "api" => ("/api/5", false),
        "ai" => ("/v1/chat/completions", false),
        "tools" => ("/mcp", false),
        "helper" => ("/agent/x", false),
        "moved" => ("/moved", true),
        _ => ("/fixed", true),
    };
    let mut line = Line {
        started_us: 1_700_000_000_000_000,
        listener: "main".into(),
        method: "POST".into(),
        authority: "api.example.com".into(),
        target: path.into(),
        address: "192.0.2.1".into(),
        size: Some(20),
        route: Some(route.into()),
        status: 200,
        revision: 1,
        ..Line::default()
    };
    if !public {
        line.headers = vec![("authorization".into(), (&*key).into())];
        (line.consumer, line.team) = (Some("shop".into()), Some("sales".into()));
        line.key = Some("web".into());
    }
    match route {
        "api" => line.attempts = vec![("127.0.0.1:7002".into(), 200, None, 5, 100)],
        "moved" => (line.answered_by, line.status) = (Some("redirect".into()), 308),
        "ai" => {
            line.prompt = Some(("support".into(), 1));
            line.ai = Some(Box::new(AiLine {
                model: "chat".into(),
                provider: Some("one".into()),
                tokens: Some([1000, 100, 0, 0, 0, 0, 0, 0]),
                ..AiLine::default()
            }));
        }
        _ => {}
    }
    replay.row(&basis, &0, &line);
    replay.finish()
}

#[test]
fn no_change_is_unchanged_for_what_meets_it() {
    let text = document();
    let mut silent = Vec::new();
    for (route, from, to) in CASES {
        let candidate = text.replacen(from, to, 1);
        assert!(text.contains(from) && candidate != text, "{from}");
        let effect = effect(route, &candidate);
        assert_eq!(effect.records, 1);
        if effect.unknown.count == 0 && effect.changed.is_empty() {
            silent.push(format!("{route}: {from} -> {to}"));
        }
        assert_eq!(effect.unknown.count == 1, !effect.unknown.reads.is_empty());
    }
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn what_no_request_meets_is_unchanged() {
    let text = document();
    let neutral = [
        ("fixed", "gateway: {", "gateway: { workers: 3,"),
        ("ai", "sales: {", "sales: { description: all, "),
        ("ai", "per: day }", "per: day, warn: [50%] }"),
        // What other requests meet.
        ("fixed", "connect: 1s", "connect: 2s"),
        ("ai", "connect: 1s", "connect: 2s"),
        ("api", "weight: 9", "weight: 1"),
        ("fixed", "    team: sales\n", ""),
        ("moved", "production: 1", "production: 2"),
        ("fixed", "spare: {", "more: {"),
        // The default, written down.
        (
            "api",
            "endpoints: ['127.0.0.1:7001', '127.0.0.1:7002'],",
            "endpoints: ['127.0.0.1:7001', '127.0.0.1:7002'], concurrency: 10000,",
        ),
        ("api", "teams: {", "teams: { support: {},"),
    ];
    for (route, from, to) in neutral {
        let candidate = text.replacen(from, to, 1);
        assert!(candidate != text, "{from}");
        let effect = effect(route, &candidate);
        let figures = (effect.unchanged, effect.unknown.count, effect.changed.len());
        assert_eq!(figures, (1, 0, 0), "{route}: {from} -> {to}: {effect:?}");
    }
}
