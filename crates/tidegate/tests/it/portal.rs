//! The developer portal in a real browser: requests that it tries come through the gateway with a key,
//! and a document's texts stay texts.

use crate::console::{browser, console, run};
use crate::support::{Gateway, Reply, Upstream};
use serde_json::json;
use std::path::Path;

/// What a document may hold where a page would show it.
const HOSTILE: &str = "<img src=x onerror=pwned=1><script>pwned=1</script>";

#[test]
fn a_portal_tries_requests_with_a_key() {
    let (Some(folder), Some(browser)) = (console(), browser()) else {
        return;
    };
    let orders = Upstream::start(|seen| {
        let reply = match seen.method.as_str() {
            "POST" => {
                let body = String::from_utf8_lossy(&seen.body);
                Reply::text(format!("{{\"made\":{body}}}")).status(201)
            }
            _ => {
                let shop = seen.header("x-shop").unwrap_or_default();
                Reply::text(json!(format!("{} {shop}", seen.target)).to_string())
            }
        };
        reply.header("content-type", "application/json")
    });
    let order = "{ type: object, required: [item, count], additionalProperties: false, \
                 properties: { item: { type: string, maxLength: 40 }, count: { type: integer, minimum: 1 } } }";
    let hostile = json!({
        "openapi": "3.1.0",
        "info": { "title": format!("Hostile {HOSTILE}"), "version": HOSTILE, "description": HOSTILE },
        "paths": { "/x": { "post": {
            "operationId": "x", "summary": HOSTILE, "description": HOSTILE,
            "parameters": [{ "name": "q", "in": "query", "description": HOSTILE, "schema": { "default": HOSTILE } }],
            "requestBody": { "content": { "application/json": { "schema": { "example": HOSTILE, "description": HOSTILE } } } },
            "responses": { "200": { "description": HOSTILE } },
        } } },
    });
    let text = format!(
        "consumers: {{ storefront: {{ keys: [{{ sha256: 849bcdf2697a91c638e19b84148f16dfc88df7d48e384922ea779360f0837bc4 }}] }} }}
upstreams: {{ orders: {{ endpoints: [\"{}\"] }} }}
apis:
  orders:
    policies: [{{ auth_key: {{}} }}]
    target: {{ upstream: orders }}
    openapi:
      inline:
        openapi: 3.1.0
        info: {{ title: Orders, version: 1.0.0 }}
        servers: [{{ url: https://api.example.com/v1 }}]
        paths:
          /orders/{{id}}:
            get:
              parameters:
                - {{ name: id, in: path, required: true, schema: {{ type: integer }} }}
                - {{ name: note, in: query, schema: {{ type: string }} }}
                - {{ name: X-Shop, in: header, schema: {{ type: string }} }}
              responses: {{ '200': {{ description: it }} }}
          /orders:
            post:
              requestBody: {{ required: true, content: {{ application/json: {{ schema: {order} }} }} }}
              responses: {{ '201': {{ description: made }} }}
  hostile: {{ target: {{ upstream: orders }}, openapi: {{ inline: {hostile} }} }}
routes:
  developers: {{ match: {{ path: \"/developers/{{*rest}}\" }}, target: {{ portal: [orders, hostile] }} }}
  mine: {{ match: {{ path: \"/mine/{{*rest}}\" }}, policies: [{{ auth_key: {{}} }}], target: {{ portal: [orders] }} }}
",
        orders.address
    );
    let gateway = Gateway::start(&text);
    let job = json!({
        "browser": browser, "url": gateway.url("/developers/"), "guarded": gateway.url("/mine/"),
        "key": "tg_example", "shots": folder.join("screenshots"),
    });
    let file = gateway.path().join("job.json");
    std::fs::write(&file, job.to_string()).expect("written");
    let right = run(folder, "node", &[Path::new("tests/portal.mjs"), &file]);
    assert_eq!(right.len(), 8, "{right:#?}");
    let seen = orders.seen();
    let posts = seen.iter().filter(|seen| seen.method == "POST");
    assert_eq!(
        posts.count(),
        2,
        "what broke the contract did not come through"
    );
    assert!(
        seen.iter().all(
            |seen| seen.header("authorization").is_none() && seen.header("x-api-key").is_none()
        ),
        "keys stay at the gateway"
    );
}
