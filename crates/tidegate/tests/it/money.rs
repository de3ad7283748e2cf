//! Budgets and the ledger through the program: the example, and a gateway that is killed.

use crate::events::own::of;
use crate::events::read;
use crate::examples::{Example, KEY, ask, openai};
use crate::support::{Gateway, Reply, Upstream, eventually, tidegate};
use gate_store::Database;
use gate_store::sqlite::Sqlite;
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

/// The lines of JSON that a command prints.
fn told(arguments: &[&str]) -> Vec<Value> {
    let output = tidegate(arguments);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let read = |line| serde_json::from_str(line).unwrap();
    text.lines().map(read).collect()
}

#[test]
fn budgets() {
    let provider = openai("sk-of-the-provider");
    let here = format!("openai: {{ base_url: \"http://{}/v1\",", provider.address);
    let gateway = Example::new("budgets.yaml")
        .replace("openai: {", &here)
        .replace("tokens: 2000000", "tokens: 2145")
        .replace("per: day }", "per: day, warn: [0.1 %] }")
        .run(&[("OPENAI_API_KEY", "sk-of-the-provider")]);
    let path = "/v1/chat/completions";
    let mut served = 0;
    // Each call may take 2,048 tokens, its 80 bytes and 9 more, and takes 3.
    let refused = loop {
        let answer = ask(&gateway, path, "assistant");
        if answer.status != 200 {
            break answer;
        }
        served += 1;
    };
    assert_eq!(served, 3);
    assert_eq!(
        refused.expect(429).json()["error"]["code"],
        "budget_exceeded"
    );
    let file = gateway.file().display().to_string();
    let calls = || {
        let rows = told(&["usage", &file, "--by", "team,model", "--json"]);
        rows.into_iter().next().unwrap_or_default()
    };
    eventually("every call is in the ledger", || calls()["calls"] == served);
    eventually("the threshold is told as an event", || {
        let told = of(&read(&gateway), "tidegate.budget.threshold");
        told.len() == 1 && told[0]["data"]["budget"] == "web-daily"
    });
    let row = calls();
    assert_eq!(
        (&row["team"], &row["model"]),
        (&"shop".into(), &"assistant".into())
    );
    let printed = tidegate(&["usage", &file, "--budgets"]);
    let text = String::from_utf8(printed.stdout).unwrap();
    assert!(
        text.contains("shop-monthly") && text.contains("web-daily"),
        "{text}"
    );
    let bill = gateway.path().join("bill.csv");
    std::fs::write(&bill, "day,model,cost\n2026-01-01,gpt-4o-mini,7\n").unwrap();
    let bill = bill.display().to_string();
    let printed = tidegate(&[
        "usage",
        "reconcile",
        &file,
        "--provider",
        "gpt",
        "--bill",
        &bill,
    ]);
    let text = String::from_utf8(printed.stdout).unwrap();
    assert!(
        printed.status.code() == Some(1) && text.contains("2026-01-01"),
        "{text}"
    );
}

/// The gateway is killed as soon as the ledger has a threshold as crossed: subscribers are told of it all the
/// same, and once. Issue 7.
#[test]
fn a_threshold_is_told_though_the_gateway_is_killed_at_once() {
    let provider = openai("sk-of-the-provider");
    let here = format!("openai: {{ base_url: \"http://{}/v1\",", provider.address);
    let secrets = [("OPENAI_API_KEY", "sk-of-the-provider")];
    let path = "/v1/chat/completions";
    for _ in 0..3 {
        let gateway = Example::new("budgets.yaml")
            .replace("openai: {", &here)
            .replace("tokens: 2000000", "tokens: 10000")
            .replace("per: day }", "per: day, warn: [0.02 %] }")
            .run(&secrets);
        let folder = gateway.folder.clone();
        let mut ledger = Sqlite::open(&gateway.path().join("ledger.db")).unwrap();
        assert_eq!(ask(&gateway, path, "assistant").status, 200);
        let until = Instant::now() + Duration::from_secs(30);
        while ledger
            .query("SELECT amount FROM threshold", &[])
            .unwrap()
            .is_empty()
        {
            assert!(Instant::now() < until, "the threshold is not crossed");
            std::thread::sleep(Duration::from_millis(1));
        }
        gateway.process.signal(rustix::process::Signal::KILL);
        drop(gateway);
        let heir = Gateway::run_in(folder, &[], &secrets);
        let told = || of(&read(&heir), "tidegate.budget.threshold");
        eventually("the threshold is told", || !told().is_empty());
        assert_eq!(ask(&heir, path, "assistant").status, 200);
        // Longer than it took to bring events that had not been brought.
        std::thread::sleep(Duration::from_millis(1_200));
        let told = told();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0]["source"], "urn:tidegate:budget:web-daily");
        assert_eq!(told[0]["data"]["threshold"], 2);
        assert_eq!(told[0]["data"]["settled"], 3);
    }
}

/// A call is open when the gateway is killed: what it had reserved is charged, and can be taken back.
#[test]
fn a_killed_gateway_leaves_its_open_call_charged() {
    let silent = Upstream::start(|_| Reply::text("{}").after(Duration::from_secs(60)));
    let here = format!("openai: {{ base_url: \"http://{}/v1\",", silent.address);
    let secrets = [("OPENAI_API_KEY", "sk")];
    let gateway = Example::new("budgets.yaml")
        .replace("openai: {", &here)
        .run(&secrets);
    let (folder, file) = (gateway.folder.clone(), gateway.file().display().to_string());
    let body =
        r#"{"model":"assistant","max_tokens":9,"messages":[{"role":"user","content":"Hi"}]}"#;
    let mut caller = Command::new("curl")
        .args([
            "-s",
            "-H",
            KEY[1],
            "-H",
            "content-type: application/json",
            "-d",
            body,
        ])
        .arg(gateway.url("/v1/chat/completions"))
        .spawn()
        .unwrap();
    let budget = |name: &str, field: &str| {
        let rows = told(&["usage", &file, "--budgets", "--json"]);
        let row = rows
            .into_iter()
            .find(|row| row["budget"] == name)
            .unwrap_or_default();
        row[field]
            .as_str()
            .and_then(|amount| amount.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    eventually("the call is reserved and sent", || {
        budget("web-daily", "leased") > 0.0 && !silent.seen().is_empty()
    });
    // Reservations are written within some milliseconds of being made.
    std::thread::sleep(Duration::from_millis(300));
    gateway.process.signal(rustix::process::Signal::KILL);
    caller.wait().unwrap();
    drop(gateway);
    let heir = Gateway::run_in(folder, &[], &secrets);
    eventually("the dead gateway is found", || {
        budget("web-daily", "unsettled") > 0.0
    });
    // The call at what it reserved, and at most a slice: a 128th of two millions.
    let charged = budget("web-daily", "unsettled");
    assert!(
        (2137.0..=2137.0 + 15_625.0 + 2137.0).contains(&charged),
        "{charged}"
    );
    let open = told(&["usage", &file, "--unsettled", "--json"]);
    let call = open.iter().find(|row| row["model"] == "assistant").unwrap();
    let row = &told(&["usage", &file, "--by", "model", "--json"])[0];
    assert_eq!(
        (&row["unsettled"], &row["model"]),
        (&1.into(), &"assistant".into())
    );
    let id = call["exchange"].as_str().unwrap();
    let released = tidegate(&["usage", "reconcile", &file, "--release", id]);
    assert!(released.status.success(), "{released:?}");
    assert!(budget("web-daily", "unsettled") <= charged - 2137.0);
    drop(heir);
}
