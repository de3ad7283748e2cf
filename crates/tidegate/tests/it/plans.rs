//! Usage plans through the program: three gateways on one store, and waits that are true.

use crate::examples::{Example, KEY};
use crate::support::postgres::Server;
use crate::support::{Gateway, Upstream, eventually};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

/// Requests that the plan allows.
const QUOTA: usize = 200;

fn configuration() -> String {
    format!(
        "plans: {{ small: {{ limits: {{ all: {{ quota: {{ month: {QUOTA} }} }} }} }} }}\n\
         consumers:\n  storefront:\n    plan: small\n    keys:\n    - \
         {{ sha256: 849bcdf2697a91c638e19b84148f16dfc88df7d48e384922ea779360f0837bc4 }}\n\
         routes:\n  r:\n    policies: [{{ auth_key: {{}} }}, {{ plan: {{}} }}]\n    \
         target: {{ fixed: {{ status: 200, body: ok }} }}\n"
    )
}

/// Asks so often; how many passed and how many did not: those over the quota, and on a busy machine
/// those for which the store took longer than a call waits.
fn ask_often(gateway: &Gateway, times: usize) -> (usize, usize) {
    let url = format!("{}?n=[1-{times}]", gateway.url("/"));
    let output = Command::new("curl")
        .args([
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}\\n",
            KEY[0],
            KEY[1],
            &url,
        ])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let count = |code: &str| text.lines().filter(|line| *line == code).count();
    let refused = count("429") + count("503");
    assert_eq!(count("200") + refused, times, "{text}");
    (count("200"), refused)
}

/// Engines that several gateways share, and the server that has to live meanwhile.
pub(crate) fn stores(folder: &std::path::Path) -> Vec<(String, Option<Server>)> {
    let file = folder.join("ledger.db").display().to_string();
    let mut stores = vec![(format!("{{ sqlite: {{ path: '{file}' }} }}"), None)];
    match Server::start() {
        Some(server) => {
            let file = folder.join("address").display().to_string();
            std::fs::write(&file, server.database()).unwrap();
            let engine = format!("{{ postgres: {{ address: {{ file: '{file}' }} }} }}");
            stores.push((engine, Some(server)));
        }
        None => eprintln!("skipped: PostgreSQL is not installed (initdb, postgres)"),
    }
    stores
}

#[test]
fn three_gateways_on_one_store_let_in_what_the_plan_allows() {
    let folder = tempfile::tempdir().unwrap();
    for (engine, _server) in stores(folder.path()) {
        let store = format!(", store: {{ engine: {engine} }}");
        let start = || Gateway::with(&configuration(), &store, &[]);
        let gateways: Vec<Gateway> = (0..3).map(|_| start()).collect();
        let passed = Mutex::new(0);
        let ask = |gateway: &Gateway, times: usize| {
            let (let_in, refused) = ask_often(gateway, times);
            *passed.lock().unwrap() += let_in;
            refused
        };
        std::thread::scope(|scope| {
            for gateway in &gateways {
                scope.spawn(move || ask(gateway, 60));
            }
        });
        // What one holds and does not use comes back, so that in the end nothing is left unused.
        eventually("the quota is used up", || {
            for gateway in &gateways {
                ask(gateway, 5);
            }
            let passed = *passed.lock().unwrap();
            assert!(passed <= QUOTA, "{passed} passed");
            passed == QUOTA
        });
        for gateway in &gateways {
            assert_eq!(ask(gateway, 20), 20);
        }
        eventually("the quota is told", || {
            gateways[0].curl("/", &KEY).status == 429
        });
        let refused = gateways[0].curl("/", &KEY).expect(429);
        assert_eq!(refused.json()["code"], "quota_exceeded");
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=31 * 86_400).contains(&wait), "{wait}");
    }
}

#[test]
fn plans() {
    let orders = Upstream::echo();
    let gateway = Example::new("plans.yaml")
        .replace("127.0.0.1:9001", &orders.address)
        .run(&[]);
    gateway.curl("/orders/1", &[]).expect(401);
    let answer = gateway.curl("/orders/1", &KEY).expect(200);
    let told = answer.header("ratelimit").unwrap();
    assert!(told.contains("\"all/day\";r=999;"), "{told}");
    let post = [&KEY[..], &["-X", "POST"]].concat();
    gateway.curl("/orders/1", &post).expect(200);
    let refused = gateway.curl("/orders/1", &post).expect(429);
    assert_eq!(refused.json()["code"], "rate_limited");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    std::thread::sleep(Duration::from_secs(wait));
    gateway.curl("/orders/1", &post).expect(200);
}
