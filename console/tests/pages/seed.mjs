// What the pages need to have something to show: an environment with resources, and traffic that
// was asked of its listener.

import { createServer } from "node:net";
import { until } from "./browser.mjs";
import { vendor } from "./vendor.mjs";

/** How many requests are sent of each kind. */
const REQUESTS = 12;

/** One rule of a firewall, and what people write that it takes for an attack. */
const RULE = "SecRule ARGS \"@rx (?i)union.{1,40}select\" \"id:942190,phase:2,deny,log,msg:'SQL union',severity:CRITICAL\"";
const COMMENT = "/reviews?comment=The%20union%20will%20select%20chair%20";

/** The first revision: a route that answers, one that waits for keys, one of models. */
function document(listener, upstream, model, rolls) {
  return {
    listeners: { public: { address: listener } },
    teams: { shop: {} },
    consumers: { storefront: { team: "shop", keys: [{ sha256: "5f2c".repeat(16), id: "main" }, { sha256: "77aa".repeat(16), expires: "2099-01-01T00:00:00Z" }] } },
    upstreams: { orders: { endpoints: [upstream] }, silent: { endpoints: ["127.0.0.1:9"] } },
    providers: { nearby: { compatible: { base_url: `http://${model}/v1` } } },
    models: { assistant: { targets: [{ provider: "nearby", model: "sample" }] } },
    ...(rolls ? { rollouts: { careful: { steps: ["50%"], step_minimum: "1h", step_patience: "2h" } } } : {}),
    apis: {
      shop: {
        openapi: { inline: { openapi: "3.1.0", info: { title: "Shop", version: "2.0.0" }, paths: { "/shop": { get: { operationId: "list", parameters: [{ name: "page", in: "query", schema: { type: "integer" } }], responses: {} } } } } },
        policies: [{ version: { api: "shop" } }], target: { api: "shop" },
        versions: {
          by: [{ header: "Api-Version" }],
          list: {
            "1.0.0": { deprecated_at: "2026-01-01", sunset_at: "2096-01-01", upstream: "orders" },
            "1.1.0": { deprecated_at: "2026-01-01", sunset_at: "2096-01-01", upstream: "orders", brownouts: [{ from: "2026-01-01", until: "2096-01-01" }] },
            "2.0.0": { upstream: "orders" },
            "3.0.0": { stage: "preview", upstream: "orders" },
          },
        },
      },
    },
    runbooks: {
      "slow-down": {
        about: "The service is overloaded: let fewer requests through.",
        steps: [
          { name: "ask", do: { ask: { question: "Is it overloaded?", answers: ["yes", "no"], goes_on: ["yes"] } } },
          { name: "fewer", do: { act: { action: { concurrency: { upstream: "orders", most: 500 } }, for: "1h" } } },
        ],
        postcondition: { holds: "share <= 1.0", over: "1s", least: 1, within: "1h" },
      },
    },
    subscribers: {
      everything: { about: "Tells the hook of all that happens.", start: "beginning", target: { webhook: { url: `http://${upstream}/told` } } },
      nowhere: { start: "beginning", retry: { attempts: 1 }, target: { webhook: { url: "http://127.0.0.1:9/" } } },
    },
    data_products: {
      "order-calls": { owner: "shop", description: "How orders were answered.", rows: { route: ["orders"] }, columns: { time: { type: "time" }, route: { type: "text", required: true }, status: { type: "integer" }, duration_us: { type: "integer" } }, fresh_within: "1h" },
    },
    queries: {
      "orders-by-status": { description: "What callers of orders got.", sql: "SELECT status, count(*) AS calls FROM order_calls WHERE status < :below GROUP BY status", parameters: { below: { type: "integer", default: "600", description: "Statuses below this one." } }, plot: "bar" },
    },
    receivers: { hook: { webhook: { url: `http://${upstream}/hook` } }, gone: { webhook: { url: "http://127.0.0.1:9/" } } },
    rotations: { people: { receivers: ["hook"], begins: "2026-01-05T08:00:00Z" } },
    notifications: { all: { wait: "100ms", interval: "1s", steps: [{ rotations: ["people"], receivers: ["gone"] }] } },
    objectives: {
      "orders-available": { route: "orders", target: "99.9 %", service: "shop", description: "Orders are answered.", runbook: "https://runbooks.example/orders" },
      "silent-available": { route: "silent", target: "99 %" },
      "reviews-fast": { route: "reviews", target: "99 %", indicator: { latency: { within: "10s" } }, calendar: { per: "month", time_zone: "Europe/Berlin" } },
    },
    routes: {
      orders: { match: { path: "/orders/{*rest}" }, policies: [{ request_id: {} }, { limit: { by: "address", rate: "10000/s" } }], target: { upstream: "orders" } },
      kept: { match: { path: "/kept/{*rest}" }, policies: [{ cache: {} }, { headers: { response: { set: { "cache-control": "max-age=3600", "cache-tag": "items" } } } }], target: { upstream: "orders" } },
      guarded: { match: { path: "/guarded" }, policies: [{ auth_key: {} }], target: { upstream: "orders" } },
      silent: { match: { path: "/silent" }, target: { upstream: "silent" } },
      reviews: { match: { path: "/reviews" }, policies: [{ waf: { directives: RULE, mode: "detect" } }], target: { upstream: "orders" } },
      ai: { match: { path: "/v1/{*rest}" }, target: { models: ["assistant"] } },
    },
  };
}

/** A port that nobody has just now. */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Fills an environment; returns what was asked of its route. */
export async function seed(admin, name, upstream) {
  await admin.done("PUT", `/environments/${name}`, { variables: { REGION: "here" } });
  const listener = `127.0.0.1:${await freePort()}`;
  const schema = await admin.done("GET", "/schema");
  const model = await vendor();
  const first = document(listener, upstream, model.address, "rollouts" in schema.properties);
  const body = (document) => ({ document, manager: "api", mode: "merge", message: "The first one" });
  await admin.done("POST", `/environments/${name}/revisions`, body(first));
  const ask = (path) => fetch(`http://${listener}${path}`).then((reply) => reply.status, () => 0);
  const talk = (stream = false) => fetch(`http://${listener}/v1/chat/completions`, {
    method: "POST", headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "assistant", stream, messages: [{ role: "user", content: "Hello" }] }),
  }).then(async (reply) => { await reply.text(); return reply.status; }, () => 0);
  await until("the gateway serves its first revision", async () => (await ask("/orders/1")) === 200);
  const shop = (version, page) => fetch(`http://${listener}/shop?page=${page}`, { headers: { "Api-Version": version } }).then((reply) => reply.status, () => 0);
  for (let at = 0; at < REQUESTS; at += 1) {
    await ask(`/orders/${1000 + at}`);
    await ask("/guarded");
    await ask("/kept/1");
    await ask("/silent");
    await ask(`${COMMENT}${at}`);
    await talk(at % 2 === 1);
  }
  const requests = ["a", "b", "c"].map((id) => ({ custom_id: id, params: { model: "assistant", max_tokens: 9, messages: [{ role: "user", content: "Hello" }] } }));
  const batch = await fetch(`http://${listener}/v1/messages/batches`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ requests }) });
  if (batch.status !== 200) console.log(`no batch was taken: ${await batch.text()}`);
  await admin.done("POST", "/notifications/alerts", { labels: { incident: "inc-7", severity: "page" }, text: "orders fails 12 % of its requests" });
  // The rollout is left running, for its page.
  const candidate = { routes: { orders: { ...first.routes.orders, policies: [{ request_id: {} }] } } };
  const canary = { ...body(candidate), message: "Without a limit", canary: { rollout: "careful" } };
  return {
    traffic: { route: "orders", path: "/orders/1000", ask, talk, shop, vendor: model },
    // What this gateway offers: records to search, a playground to send from.
    plays: (await admin.call("POST", "/playground", { method: "GET", path: "/orders/1" })).status === 200,
    keeps: (await admin.call("GET", "/records?limit=1")).status === 200,
    roll: async () => (await admin.call("POST", `/environments/${name}/revisions`, canary)).body,
  };
}
