//! examples/safe-change as its guide tells it: from Terraform through a plan, a canary that is taken
//! back and one that is not, to production. Real processes, the real Terraform.

use crate::follow::load::Load;
use crate::support::gateway::command;
use crate::support::{Gateway, Reply, Upstream, curl, eventually};
use crate::terraform::mirrored;
use serde_json::Value;
use std::path::Path;

/// The gateway of one of the example's files, on a store that both share.
fn gateway(file: &str, folder: &Path) -> Gateway {
    let text = std::fs::read_to_string(crate::examples::folder().join("safe-change").join(file));
    let store = folder.join("gateways.db");
    let text = text
        .unwrap()
        .replace("\"127.0.0.1:9901\"", "\"127.0.0.1:0\"")
        .replace("\"127.0.0.1:9902\"", "\"127.0.0.1:0\"")
        .replace("path: gateways.db", &format!("path: {}", store.display()));
    Gateway::run(&text, &[], &[])
}

/// What a command about a gateway's environments prints; it succeeds.
#[track_caller]
fn told(gateway: &Gateway, arguments: &[&str]) -> String {
    let mut command = command(arguments);
    let server = format!("http://{}", gateway.address("admin"));
    let output = command.env("TIDEGATE_SERVER", server).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}\n{text}{problem}");
    text
}

fn set(gateway: &Gateway, environment: &str, versions: &[Upstream; 3], more: &[&str]) {
    let mut variables = vec!["PUBLIC=127.0.0.1:0".to_owned()];
    for (number, version) in versions.iter().enumerate() {
        variables.push(format!("ORDERS_V{}={}", number + 1, version.address));
    }
    let mut arguments = vec!["env", "set", environment];
    for variable in &variables {
        arguments.extend(["--var", variable]);
    }
    arguments.extend(more);
    told(gateway, &arguments);
}

fn serves(gateway: &Gateway) -> String {
    let address = gateway.late_address("public");
    curl(&[&format!("http://{address}/orders/1")]).body
}

fn causes(gateway: &Gateway, environment: &str) -> Vec<String> {
    let text = told(gateway, &["revisions", "--env", environment, "--json"]);
    let listed: Value = serde_json::from_str(&text).unwrap();
    let listed = listed.as_array().expect("a list").iter();
    listed
        .map(|revision| revision["cause"].as_str().unwrap().to_owned())
        .collect()
}

fn keeps_records(gateway: &Gateway) -> bool {
    let metrics = gateway.metrics();
    let mut lines = metrics.lines();
    let kept = lines.find(|line| line.starts_with("tidegate_records_kept_total "));
    kept.is_some_and(|line| !line.ends_with(" 0"))
}

#[track_caller]
fn tells_effect(shown: &str) {
    for words in [
        "What this change would have done to recent requests",
        "version",
        "GET ",
        "upstream orders-v1 -> upstream orders-v2",
    ] {
        assert!(shown.contains(words), "{words}\n{shown}");
    }
}

#[test]
fn a_change_goes_from_terraform_to_production() {
    let Some(terraform) = mirrored("a_change_goes_from_terraform_to_production") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let staging = gateway("staging.yaml", folder.path());
    let production = gateway("production.yaml", folder.path());
    let versions = [
        Upstream::start(|_| Reply::text("first")),
        Upstream::start(|_| Reply::text("broken").status(500)),
        Upstream::start(|_| Reply::text("third")),
    ];
    set(
        &staging,
        "staging",
        &versions,
        &["--promotes-to", "production"],
    );
    set(&staging, "production", &versions, &[]);
    // The example says itself where the provider is.
    terraform.write("versions.tf", "");
    let main = crate::examples::folder().join("safe-change/main.tf");
    let main = std::fs::read_to_string(main).unwrap();
    // The load below is one caller's, and more than people would allow it.
    assert!(main.contains("\"1000/s\""));
    terraform.write("main.tf", &main.replace("\"1000/s\"", "\"1000000/s\""));
    let server = format!("server=http://{}", staging.address("admin"));
    let apply = ["apply", "-auto-approve", "-var", &server];
    let plan = ["plan", "-detailed-exitcode", "-var", &server];
    let good = ["-var", "orders=v3", "-var", "canary=careful"];
    let bad = ["-var", "orders=v2", "-var", "canary=careful"];

    // The first change: there is nothing to compare it with.
    terraform.must(&["init"]);
    terraform.must(&["workspace", "new", "staging"]);
    terraform.must(&apply);
    eventually("staging serves version 1", || serves(&staging) == "first");
    terraform.exits(&plan, 0);
    let load = Load::on(&staging.late_address("public"), "/orders/1", 4);
    // Rows are found a second after their exchange at the latest.
    eventually("there are records", || keeps_records(&staging));

    // A change that turns out bad: planned with what it would do, tried, taken back.
    let shown = terraform.exits(&[&plan[..], &bad[..2]].concat(), 2);
    assert!(shown.contains("orders-v2"), "{shown}");
    tells_effect(&shown);
    let failed = terraform.exits(&[apply, bad].concat(), 1);
    assert!(failed.contains("back"), "{failed}");
    assert_eq!(serves(&staging), "first");

    // A change that is good.
    terraform.must(&[apply, good].concat());
    eventually("staging serves version 3", || serves(&staging) == "third");
    let answers = load.end();
    let (all, bad) = (answers.total(), answers.total_of("HTTP/1.1 500"));
    assert!(bad > 0 && bad * 20 < all, "{answers:?}");
    assert_eq!(
        answers.total_of("first") + answers.total_of("third") + bad,
        all
    );

    // What staging has served goes to production, with production's variables.
    told(&staging, &["promote", "staging", "production"]);
    eventually("production serves version 3", || {
        serves(&production) == "third"
    });
    assert_eq!(causes(&staging, "production"), ["promote"]);
    let digest = |environment: &str| {
        let text = told(&staging, &["revisions", "--env", environment, "--json"]);
        let listed: Value = serde_json::from_str(&text).unwrap();
        listed[0]["digest"].clone()
    };
    assert_eq!(digest("staging"), digest("production"));
    told(&staging, &["audit", "verify"]);
}
