//! The kinds of changes that `every_change` makes to its document.

/// The route whose requests meet a change, and the change of the document's text.
pub(crate) type Case = (&'static str, &'static str, &'static str);

pub(crate) const CASES: &[Case] = &[
    // The process and its listeners.
    (
        "fixed",
        "gateway: {",
        "gateway: { trusted_proxies: [10.0.0.0/8],",
    ),
    (
        "fixed",
        "main: { address: '127.0.0.1:0' }",
        "main: { address: '127.0.0.1:9' }",
    ),
    ("fixed", "main: {", "main: { limits: { body: 1KiB },"),
    (
        "fixed",
        "main: {",
        "main: { paths: { merge_slashes: false },",
    ),
    ("fixed", "main: {", "first: {"),
    // Who calls.
    ("ai", "consumers:\n  shop:", "consumers:\n  store:"),
    (
        "ai",
        "    keys:\n      - id: web",
        "    keys:\n      - id: new",
    ),
    (
        "api",
        "expires: 2099-01-01T00:00:00Z",
        "expires: 2098-01-01T00:00:00Z",
    ),
    (
        "api",
        "expires: 2099-01-01T00:00:00Z",
        "expires: 2023-01-01T00:00:00Z",
    ),
    ("api", "        expires: 2099-01-01T00:00:00Z\n", ""),
    ("api", "routes: [api, ai,", "routes: [ai,"),
    ("ai", "        models: [chat, old]", "        models: [old]"),
    (
        "ai",
        "    models: [chat, old]\n    keys",
        "    models: [old]\n    keys",
    ),
    (
        "ai",
        "sales: { models: [chat, old] }",
        "sales: { models: [old] }",
    ),
    ("tools", "tools: ['files__*']", "tools: ['files__read']"),
    ("ai", "tokens: 90000/s", "tokens: 9/s"),
    ("ai", "    team: sales\n", ""),
    (
        "ai",
        "sales: { models: [chat, old] }",
        "sales: { models: [chat, old], limits: { requests: 9/s } }",
    ),
    (
        "ai",
        "    team: sales\n",
        "    team: sales\n    limits: { tokens: 9/s }\n",
    ),
    (
        "ai",
        "two: { openai: {",
        "two: { openai: { limits: { requests: 9/s },",
    ),
    ("ai", "weight: 9 }", "weight: 9, lacks: [json_schema] }"),
    // Money.
    ("ai", "limit: { usd: 9 }", "limit: { usd: 1 }"),
    ("ai", "per: day", "per: week"),
    ("ai", "of: { provider: two }", "of: { key: shop/web }"),
    (
        "ai",
        "budgets: {",
        "budgets: { c: { of: { team: sales }, limit: { usd: 1 }, per: day },",
    ),
    ("ai", "input: 2", "input: 4"),
    (
        "ai",
        "prices: { one/gpt-4o-mini: [",
        "prices: { two/gpt-4o: [",
    ),
    // Upstreams.
    ("api", ", '127.0.0.1:7002'", ""),
    (
        "api",
        "'127.0.0.1:7002']",
        "'127.0.0.1:7002', '127.0.0.1:7009']",
    ),
    (
        "api",
        "'127.0.0.1:7002'],",
        "'127.0.0.1:7002'], weights: { '127.0.0.1:7001': 9 },",
    ),
    ("api", "connect: 1s", "connect: 2s"),
    (
        "api",
        "retry: { attempts: 1 } }\n  other",
        "retry: { attempts: 3 } }\n  other",
    ),
    (
        "api",
        "timeouts: { connect: 1s }",
        "timeouts: { connect: 1s, total: 1s }",
    ),
    ("api", "timeouts: { connect: 1s },", "concurrency: 1,"),
    (
        "api",
        "timeouts: { connect: 1s },",
        "balance: { ring_hash: { by: { address: {} } } },",
    ),
    ("api", "timeouts: { connect: 1s },", "health: { tcp: {} },"),
    ("api", "timeouts: { connect: 1s },", "hedge: { after: 1s },"),
    (
        "api",
        "timeouts: { connect: 1s },",
        "host_header: endpoint,",
    ),
    // Providers and models.
    (
        "ai",
        "one: { openai: { credentials: [{ env: A }] } }",
        "one: { openai: { credentials: [{ env: C }] } }",
    ),
    ("ai", "one: { openai:", "one: { mistral:"),
    ("ai", "weight: 9", "weight: 1"),
    ("ai", "model: gpt-4o-mini", "model: gpt-4.1-mini"),
    (
        "ai",
        "strategy: { weighted: {} }",
        "strategy: { lowest_latency: {} }",
    ),
    (
        "ai",
        "strategy: { weighted: {} }",
        "strategy: { lowest_cost: {} }",
    ),
    (
        "ai",
        "strategy: { weighted: {} }",
        "strategy: { least_busy: {} }",
    ),
    (
        "ai",
        "strategy: { weighted: {} }",
        "strategy: { priority: {} }",
    ),
    (
        "ai",
        "strategy: { weighted: {} }",
        "strategy: { prompt_prefix: {} }",
    ),
    ("ai", "weight: 9 }", "weight: 9, context: 1000 }"),
    ("ai", "weight: 9 }", "weight: 9, lacks: [vision] }"),
    ("ai", "weight: 9 }", "weight: 9, when: 'ai.tools' }"),
    (
        "ai",
        "weight: 9 }",
        "weight: 9, when: \"request.headers['x-new'] == ''\" }",
    ),
    ("ai", "model: gpt-4.1 }", "model: gpt-4.1-nano }"),
    (
        "ai",
        "    retry: { attempts: 1 }\n  old",
        "    retry: { attempts: 3 }\n  old",
    ),
    (
        "ai",
        "    retry: { attempts: 1 }\n  old",
        "    first_byte: 1s\n  old",
    ),
    (
        "ai",
        "    retry: { attempts: 1 }\n  old",
        "    hedge: { after: 1s }\n  old",
    ),
    (
        "ai",
        "    retry: { attempts: 1 }\n  old",
        "    resume: true\n  old",
    ),
    (
        "ai",
        "    retry: { attempts: 1 }\n  old",
        "    content_filter: fall_back\n  old",
    ),
    (
        "ai",
        "    retry: { attempts: 1 }\n  old",
        "    lossy: refuse\n  old",
    ),
    (
        "ai",
        "    retry: { attempts: 1 }\n  old",
        "    concurrency: { most: 3 }\n  old",
    ),
    // Tools and agents.
    ("tools", "127.0.0.1:7004", "127.0.0.1:7104"),
    ("tools", "prefix: files", "prefix: folders"),
    (
        "helper",
        "127.0.0.1:7005/' }",
        "127.0.0.1:7005/', first_byte: 1s }",
    ),
    // Prompts.
    ("ai", "production: 1", "production: 2"),
    ("ai", "Be kind.", "Be polite."),
    (
        "ai",
        "prompt: { name: support, label: production }",
        "prompt: { name: support, version: 2 }",
    ),
    (
        "ai",
        "prompt: { name: support, label: production }",
        "prompt: { choose: [support] }",
    ),
    (
        "ai",
        "      - prompt: { name: support, label: production }\n",
        "",
    ),
    // Policies.
    (
        "api",
        "      - auth_key: {}\n      - access",
        "      - auth_key: { forward: true }\n      - access",
    ),
    (
        "api",
        "      - auth_key: {}\n      - access",
        "      - access",
    ),
    ("api", "192.0.2.0/24", "198.51.100.0/24"),
    ("api", "rate: 1000/s", "rate: 1000/s, fields: none"),
    ("api", "X-One: one", "X-One: two"),
    ("api", "X-Two: two", "X-Two: three"),
    ("api", "to: /v1", "to: /v2"),
    ("api", "total: 30s", "total: 10s"),
    ("api", "https://app.example.com", "https://www.example.com"),
    ("api", "[gzip]", "[zstd]"),
    ("api", "share: 5%", "share: 50%"),
    ("api", "header: X-Request-Id", "header: X-Trace"),
    (
        "api",
        "request: true, share: 1%",
        "response: true, share: 1%",
    ),
    (
        "api",
        "auth_key: {}\n      - access",
        "{ auth_key: {}, when: \"request.headers['x-new'] != ''\" }\n      - access",
    ),
    ("ai", "action: redact", "action: block"),
    ("ai", "ttl: 1h", "ttl: 2h"),
    ("ai", "      - model_cache: { ttl: 1h }\n", ""),
    (
        "ai",
        "      - guard: { rules: [{ find: { patterns: [email] }, at: [request], action: redact }] }\n",
        "",
    ),
    ("moved", "path: /new", "path: /newer"),
    ("moved", "status: 308", "status: 307"),
    // Routes and their targets.
    (
        "api",
        "match: { path: '/api/{id}' }",
        "match: { path: '/api/{id}', methods: [GET] }",
    ),
    (
        "api",
        "match: { path: '/api/{id}' }",
        "match: { path: '/api/{id}', host: other.example.com }",
    ),
    (
        "api",
        "match: { path: '/api/{id}' }",
        "match: { path: '/api/{id}', listeners: [spare] }",
    ),
    (
        "api",
        "match: { path: '/api/{id}' }",
        "match: { path: '/api/{id}', headers: { x-new: { present: true } } }",
    ),
    (
        "api",
        "match: { path: '/api/{id}' }",
        "match: { path: '/api/{id}', query: { new: { equals: 'yes' } } }",
    ),
    ("api", "upstream: orders", "upstream: other"),
    (
        "ai",
        "models: [chat, old] }\n  tools",
        "models: [old] }\n  tools",
    ),
    ("fixed", "status: 200, body: one", "status: 204"),
    ("fixed", "body: one", "body: two"),
];
