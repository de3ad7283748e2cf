//! Data products and saved queries of a gateway that runs: who reads what, how fresh it is, and which
//! changes break what was promised.

use crate::support::gateway::command;
use crate::support::{Answer, Gateway, curl, eventually};
use serde_json::{Value, json};
use std::path::Path;

const PRODUCTS: &str = "
data_products:
  shop-calls:
    owner: shop
    description: Calls of orders.
    rows: { route: [orders] }
    columns:
      time: { type: time }
      route: { type: text, required: true }
      status: { type: integer }
      team: { type: text }
    fresh_within: 1h
    readers: { search: { own_rows: true, columns: [status] } }
  at-once: { owner: shop, fresh_within: 1us, columns: { status: { type: integer } } }
queries:
  by-status:
    sql: SELECT status, count(*) AS n FROM shop_calls WHERE status < :below GROUP BY status
    parameters: { below: { type: integer, default: '600' } }
";

/// Keys of the admin API and of callers: each is its own name, made longer.
fn key(name: &str) -> String {
    format!("key-of-{name}-key-of-{name}")
}

/// SHA-256 as configuration has it.
fn sha256(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let digits = digest.as_ref().iter();
    digits.map(|byte| format!("{byte:02x}")).collect()
}

fn gateway() -> Gateway {
    let sha = |name: &str| sha256(&key(name));
    let consumer = |team: &str| {
        format!(
            "  {team}: {{ team: {team}, keys: [{{ sha256: '{}' }}] }}\n",
            sha(team)
        )
    };
    let admin = |name: &str, role: &str, teams: &str| {
        format!(
            "      {name}: {{ sha256: '{}', role: {role}{teams} }}\n",
            sha(name)
        )
    };
    let text = format!(
        "gateway:\n  lake: {{ to: {{ directory: {{ path: lake }} }} }}\n  admin:\n    \
         address: '127.0.0.1:0'\n    rate: 10000\n    keys:\n{}{}{}{}\
         listeners: {{ public: {{ address: '127.0.0.1:0' }} }}\n\
         consumers:\n{}{}\
         routes:\n  orders:\n    match: {{ path: /orders }}\n    policies: [{{ auth_key: {{}} }}]\n    \
         target: {{ fixed: {{ status: 200 }} }}\n  \
         carts: {{ match: {{ path: /carts }}, target: {{ fixed: {{ status: 200 }} }} }}\n{PRODUCTS}",
        admin("boss", "admin", ""),
        admin("seller", "operator", ", teams: [shop]"),
        admin("seeker", "viewer", ", teams: [search]"),
        admin("stranger", "operator", ", teams: [others]"),
        consumer("shop"),
        consumer("search"),
    );
    let gateway = Gateway::run(&text, &[], &[]);
    for (team, calls) in [("shop", 2), ("search", 1)] {
        let authorization = format!("authorization: Bearer {}", key(team));
        for _ in 0..calls {
            assert_eq!(gateway.curl("/orders", &["-H", &authorization]).status, 200);
        }
    }
    assert_eq!(gateway.curl("/carts", &[]).status, 200);
    gateway
}

/// What the admin API answers somebody; `body` is posted where there is one.
fn asked(gateway: &Gateway, who: &str, path: &str, body: Option<&Value>) -> Answer {
    let url = format!("http://{}/api/v1{path}", gateway.address("admin"));
    let authorization = format!("authorization: Bearer {}", key(who));
    let body = body.map(ToString::to_string);
    let mut arguments = vec![url.as_str(), "-H", &authorization];
    if let Some(body) = &body {
        arguments.extend([
            "-H",
            "content-type: application/json",
            "--data-binary",
            body,
        ]);
    }
    curl(&arguments)
}

#[track_caller]
fn rows(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    answer["rows"].clone()
}

#[test]
fn each_team_reads_what_it_may_and_freshness_is_told() {
    let gateway = gateway();
    let sql = |who: &str, sql: &str| asked(&gateway, who, "/query", Some(&json!({ "sql": sql })));
    eventually("all four are in the lake", || {
        rows(&sql("boss", "SELECT count(*) FROM records")) == json!([[4]])
    });
    let run = |who: &str, more: &str, body: Value| {
        asked(
            &gateway,
            who,
            &format!("/queries/by-status/run{more}"),
            Some(&body),
        )
    };
    for (who, calls) in [("boss", 3), ("seller", 3), ("seeker", 1)] {
        assert_eq!(
            rows(&run(who, "", json!({}))),
            json!([[200, calls]]),
            "{who}"
        );
        let none = json!({ "parameters": { "below": "200" } });
        assert_eq!(rows(&run(who, "", none)), json!([]), "{who}");
    }
    assert_eq!(run("stranger", "", json!({})).status, 422);
    assert_eq!(
        run("seeker", "", json!({ "parameters": { "below": "0 OR 1" } })).status,
        422
    );
    assert_eq!(
        sql("seeker", "SELECT 1").status,
        403,
        "viewers run what was saved"
    );
    assert_eq!(sql("stranger", "SELECT * FROM shop_calls").status, 422);
    assert_eq!(
        rows(&sql("seller", "SELECT count(*) FROM records")),
        json!([[2]])
    );

    let csv = run("seeker", "?format=csv", json!({}));
    assert_eq!(csv.body, "status,n\r\n200,1\r\n");
    let kind = csv.headers.iter().find(|(name, _)| name == "content-type");
    assert!(
        kind.is_some_and(|(_, value)| value.starts_with("text/csv")),
        "{csv:?}"
    );
    assert!(
        run("boss", "?format=parquet", json!({}))
            .body
            .starts_with("PAR1")
    );
    assert!(
        run("boss", "?format=table", json!({}))
            .body
            .starts_with("status  n\n")
    );
    assert_eq!(run("boss", "?format=xml", json!({})).status, 400);

    let listed = |who: &str| -> Vec<Value> {
        let page = asked(&gateway, who, "/data-products", None);
        let page: Value = serde_json::from_str(&page.body).unwrap();
        page["items"].as_array().unwrap().clone()
    };
    assert!(listed("stranger").is_empty());
    let [product] = listed("seeker").try_into().unwrap();
    assert_eq!(product["columns"].as_array().unwrap().len(), 1, "{product}");
    let [late, kept] = listed("boss").try_into().unwrap();
    assert_eq!(
        (&late["name"], &late["late"]),
        (&json!("at-once"), &json!(true))
    );
    assert!(late["breaches"].as_u64().unwrap() >= 1, "{late}");
    assert_eq!(
        (&kept["late"], &kept["breaches"]),
        (&json!(false), &json!(0))
    );
    assert!(
        kept["delay_ms"].is_u64() && kept["newest"].is_string(),
        "{kept}"
    );
    let metrics = gateway.metrics();
    for line in [
        "tidegate_data_product_promised_seconds{data_product=\"shop-calls\"} 3600",
        "tidegate_data_product_breaches_total{data_product=\"shop-calls\"} 0",
        "tidegate_data_product_delay_seconds{data_product=\"shop-calls\"} ",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    let mut shown = command(&["lake", "products"]);
    let server = format!("http://{}", gateway.address("admin"));
    shown
        .env("TIDEGATE_SERVER", server)
        .env("TIDEGATE_KEY", key("boss"));
    let shown = String::from_utf8(shown.output().unwrap().stdout).unwrap();
    assert!(shown.contains("late") && shown.contains("kept"), "{shown}");
}

/// The resources of an environment, with what was changed in them.
fn resources(folder: &Path, changes: &[(&str, &str)]) -> String {
    let mut text = format!(
        "listeners: {{ public: {{ address: '127.0.0.1:0' }} }}\n\
         teams: {{ shop: {{}}, search: {{}} }}\n\
         routes:\n  orders: {{ match: {{ path: /orders }}, target: {{ fixed: {{ status: 200 }} }} }}\n{PRODUCTS}"
    );
    for (was, is) in changes {
        assert!(text.contains(was), "{was}");
        text = text.replacen(was, is, 1);
    }
    let path = folder.join("resources.yaml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn a_revision_that_breaks_a_contract_is_refused_and_less_is_told() {
    let text = "gateway: { environment: production, admin: { address: '127.0.0.1:0' }, \
                store: { engine: { sqlite: { path: control.db } } }, \
                lake: { to: { directory: { path: lake } }, records: { drop: [tag], keep: 30d } } }\n";
    let gateway = Gateway::run(text, &[], &[]);
    let ran = |arguments: &[&str]| {
        let mut command = command(arguments);
        let server = format!("http://{}", gateway.address("admin"));
        let output = command.env("TIDEGATE_SERVER", server).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let planned = |changes: &[(&str, &str)]| {
        let file = resources(gateway.path(), changes);
        ran(&["plan", &file, "--env", "production"])
    };
    assert_eq!(ran(&["env", "set", "production"]).0, Some(0));
    let file = resources(gateway.path(), &[]);
    let (code, said) = ran(&["apply", &file, "--env", "production"]);
    assert_eq!(code, Some(0), "{said}");

    let renamed = ("  orders: {", "  bestellungen: {");
    let (code, said) = planned(&[renamed]);
    assert!(
        code == Some(1) && said.contains("contract_broken"),
        "{code:?} {said}"
    );
    assert!(
        said.contains("data_products.shop-calls.rows.route[0]"),
        "{said}"
    );
    assert!(
        said.contains("`orders`, which is not there; was it renamed?"),
        "{said}"
    );
    let (code, said) = ran(&["apply", &file, "--env", "production"]);
    assert!(
        code != Some(0) && said.contains("contract_broken"),
        "{code:?} {said}"
    );

    // The lake of this gateway keeps rows for 30 days and leaves tags out.
    let (_, said) = planned(&[("fresh_within: 1h", "fresh_within: 1h\n    keep: 90d")]);
    assert!(
        said.contains("rows of 90d, and they are kept for 30d"),
        "{said}"
    );
    let (_, said) = planned(&[(
        "      team: { type: text }\n",
        "      tag: { type: text }\n",
    )]);
    assert!(said.contains("gateway.lake.records.drop[0]"), "{said}");
    assert!(said.contains("loses the column `team`"), "{said}");

    let (code, said) = planned(&[("fresh_within: 1h", "fresh_within: 2h")]);
    assert!(
        code == Some(2) && said.contains("contract_loosened"),
        "{code:?} {said}"
    );
    // A saved query that asks for what a product no longer has cannot be asked.
    let (code, said) = planned(&[
        ("      status: { type: integer }\n", ""),
        (", columns: [status]", ""),
    ]);
    assert!(
        code == Some(1) && said.contains("no such column: status"),
        "{code:?} {said}"
    );
    assert!(said.contains("queries.by-status.sql"), "{said}");
}
