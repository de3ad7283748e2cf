//! Schemathesis (PyPI) against the parts of the admin API that stand on a store, a journal, jobs and a
//! lake, of a gateway that has them. The other parts are held against their description beside the crate
//! that serves them, with the same program.

use crate::sdk::venv;
use crate::support::gateway::command;
use crate::support::{Gateway, curl, eventually};
use serde_json::{Value, json};
use std::process::Command;

/// The package, at the version that the test was written with.
const PACKAGE: &str = "schemathesis==4.32.5";
/// Examples per operation and phase.
const EXAMPLES: &str = "10";
/// What it is asked about here.
const PATHS: &str =
    "^/api/v1/(batches|data-products|events|forgotten|jobs|queries|query|subscribers)(/|$)";

const CONFIGURATION: &str = "
gateway:
  admin: { address: '127.0.0.1:0', rate: 10000 }
  store: { engine: { sqlite: { path: store.db } } }
  lake: { to: { directory: { path: lake } } }
listeners: { public: { address: '127.0.0.1:0' } }
queues: { night: {} }
subscribers:
  everything: { start: beginning, retry: { attempts: 1 }, target: { webhook: { url: 'http://127.0.0.1:9/' } } }
data_products:
  calls: { owner: shop, fresh_within: 1m, columns: { time: { type: time }, status: { type: integer } } }
queries:
  everything:
    sql: SELECT status, count(*) AS n FROM calls WHERE status < :below GROUP BY status
    parameters: { below: { type: integer, default: '600' } }
routes:
  orders: { match: { path: '/orders/{id}' }, target: { fixed: { status: 200, body: 'an order' } } }
  events: { match: { path: /events }, target: { events: {} } }
";

/// A gateway with rows, events, dead letters and a job; and the job's id.
fn filled() -> (Gateway, String) {
    let gateway = Gateway::run(CONFIGURATION, &[], &[]);
    assert_eq!(curl(&[&gateway.url("/orders/1")]).status, 200);
    let event =
        "{\"specversion\":\"1.0\",\"type\":\"com.example.a\",\"source\":\"/a\",\"id\":\"1\"}";
    let structured = "content-type: application/cloudevents+json";
    let published = gateway.curl("/events", &["--data-binary", event, "-H", structured]);
    assert!(published.status < 300, "{published:?}");
    let job = json!({
        "name": "all orders", "queue": "night", "listener": "public", "path": "/orders/{{index}}", "count": 3,
    });
    let admin = format!("http://{}", gateway.address("admin"));
    let body = job.to_string();
    let json = "content-type: application/json";
    let jobs = format!("{admin}/api/v1/jobs");
    let submitted = curl(&[&jobs, "--data-binary", &body, "-H", json]);
    assert!(submitted.status < 300, "{submitted:?}");
    let submitted: Value = serde_json::from_str(&submitted.body).unwrap();
    let id = submitted["id"].as_str().unwrap().to_owned();
    eventually("the event could not be delivered", || {
        let dead = format!("{admin}/api/v1/subscribers/everything/dead-letters");
        let page: Value = serde_json::from_str(&curl(&[&dead]).body).unwrap();
        page["items"].as_array().is_some_and(|all| !all.is_empty())
    });
    eventually("the exchange is in the lake", || {
        let mut query = command(&["query", "--format", "csv", "--saved", "everything"]);
        let output = query.env("TIDEGATE_SERVER", &admin).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("200,")
    });
    (gateway, id)
}

#[test]
fn what_stands_on_the_store_and_the_lake_is_as_described() {
    let Some(python) = venv("schemathesis", PACKAGE) else {
        return;
    };
    let (gateway, job) = filled();
    let settings = format!(
        "[checks.positive_data_acceptance]\n\
         expected-statuses = [\"2xx\", \"404\", \"409\", \"422\", \"429\"]\n\
         [parameters]\n\
         \"path.id\" = \"{job}\"\n\
         \"path.name\" = \"everything\"\n\
         # A name that is wrong on purpose is this one all the same, and what it names can be ended.\n\
         [[operations]]\n\
         include-path = \"/api/v1/subscribers/{{name}}/replays/{{number}}/cancel\"\n\
         checks.negative_data_rejection.enabled = false\n"
    );
    let file = gateway.path().join("schemathesis.toml");
    std::fs::write(&file, settings).unwrap();
    let output = Command::new(python.with_file_name("schemathesis"))
        .arg("--config-file")
        .arg(&file)
        .arg("run")
        .arg(format!(
            "http://{}/api/v1/openapi.json",
            gateway.address("admin")
        ))
        .args(["--include-path-regex", PATHS])
        .args(["--max-examples", EXAMPLES, "--seed", "1", "--no-color"])
        .args(["--continue-on-failure", "--request-timeout", "20"])
        .current_dir(gateway.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // A run that tested nothing finds nothing either.
    let tested = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Tested: "))
        .and_then(|number| number.split_whitespace().next()?.parse().ok());
    let wanted = PATHS.split(['(', ')']).nth(1).unwrap_or_default();
    let described = gate_api::openapi::OPERATIONS.iter().filter(|one| {
        let first = one.path[1..].split('/').next().unwrap_or_default();
        wanted.split('|').any(|path| path == first)
    });
    assert_eq!(tested, Some(described.count()), "{said}");
}
