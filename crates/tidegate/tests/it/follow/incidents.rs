//! Incidents from a revision that fails to its postmortem: real gateways, real traffic, a real store.

use super::commands::Desk;
use super::fleet::{self, Fleet, fixed};
use super::load::Load;
use crate::events::own::of;
use crate::support::{curl, eventually, eventually_within};
use serde_json::{Value, json};
use std::time::Duration;

/// A ramp that ends soon where the candidate fails.
const RAMP: &str = r#"{"steps":["20%","50%"],"step_minimum":"500ms","signals":["errors"]}"#;
const RECORDS: &str = "workers: 1, records: { folder: records }";

fn desks() -> Vec<Desk> {
    let desk = |fleet: Fleet| {
        let folder = fleet.folder_with("a", RECORDS, "", "");
        Desk::in_folder(fleet, folder)
    };
    Fleet::all().into_iter().map(desk).collect()
}

/// What is served, with a status page beside it.
fn served(body: &str, status: u16) -> Value {
    let mut document = fixed(body);
    document["routes"]["all"]["target"]["fixed"]["status"] = json!(status);
    document["routes"]["status"] = json!({
        "match": { "path": "/status" }, "target": { "status_page": { "title": "Shop" } },
    });
    document
}

fn ms(time: &Value) -> u64 {
    let text = time.as_str().unwrap_or_else(|| panic!("no time: {time}"));
    let (seconds, rest) = text.split_once('.').unwrap_or((text, "0Z"));
    let time: gate_model::units::Timestamp = format!("{}Z", seconds.trim_end_matches('Z'))
        .parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    let digits: String = rest.trim_end_matches('Z').chars().take(3).collect();
    time.unix_s() * 1000 + format!("{digits:0<3}").parse::<u64>().unwrap()
}

impl Desk {
    /// Deploys a revision that fails everything, under traffic, until it was taken back; its number.
    fn deploy_badly(&self) -> u64 {
        let file = self.write("shop.json", &served("bad", 503).to_string());
        let applied = self.json(&["apply", &file, "--canary", RAMP]);
        let id = applied["rollout"].as_str().expect("a rollout").to_owned();
        let mut shown = Value::Null;
        eventually_within(Duration::from_secs(60), "it was taken back", || {
            shown = self.json(&["rollouts", "show", &id]);
            shown["state"] == "rolled_back"
        });
        shown["candidate"].as_u64().expect("a number")
    }

    fn incidents(&self) -> Vec<Value> {
        self.json(&["incidents"]).as_array().unwrap().clone()
    }

    /// The only incident, once it says this of itself.
    #[track_caller]
    fn incident(&self, what: &str, mut holds: impl FnMut(&Value) -> bool) -> Value {
        let mut shown = Value::Null;
        // A gateway that died takes part for half a minute longer.
        eventually_within(Duration::from_secs(120), what, || {
            let all = self.incidents();
            assert!(all.len() < 2, "{all:?}");
            let Some(one) = all.first() else { return false };
            shown = self.json(&["incidents", "show", one["id"].as_str().unwrap()]);
            holds(&shown)
        });
        shown
    }
}

fn facts<'a>(shown: &'a Value, kind: &str) -> Vec<&'a Value> {
    let all = shown["facts"].as_array().unwrap().iter();
    all.filter(|fact| fact["kind"] == kind).collect()
}

fn has(shown: &Value, kinds: &[&str]) -> bool {
    kinds.iter().all(|kind| !facts(shown, kind).is_empty())
}

#[test]
fn a_revision_that_fails_leaves_an_incident_with_its_facts() {
    for desk in desks() {
        let good = desk.write("shop.json", &served("good", 200).to_string());
        desk.run(&["apply", &good], 0);
        fleet::eventually_serves(&desk.node, "good");
        let load = Load::start(&desk.node.late_address("public"), 2);
        let revision = desk.deploy_badly();
        let shown = desk.incident("the facts are there", |shown| {
            let kinds = [
                "revision",
                "onset",
                "first_bad",
                "evidence",
                "action",
                "impact",
                "recovery",
            ];
            has(shown, &kinds) && shown["incident"]["life"] == "mitigated"
        });
        tells_what_happened(&desk, &shown, revision);
        // No objective says how bad it was: the share that failed does.
        let severity = &shown["incident"]["severity"];
        assert!(severity.as_u64().is_some_and(|one| one <= 3), "{severity}");
        every_link_answers(&desk, &shown);
        fleet::eventually_serves(&desk.node, "good");
        load.end();
        is_told_as_events(&desk, &shown, revision);
        // It is written once, whoever looks how often.
        let mut desk = desk;
        desk.kill();
        let id = shown["incident"]["id"].as_str().unwrap();
        let again = desk.json(&["incidents", "show", id]);
        assert_eq!(again["incident"]["opened"], shown["incident"]["opened"]);
        assert_eq!(desk.incidents().len(), 1);
    }
}

/// What happened is in the journal as events, each once.
fn is_told_as_events(desk: &Desk, shown: &Value, revision: u64) {
    let told = |kind: &str| of(&desk.fleet.journal(), kind);
    let rollouts = || {
        let all = told("tidegate.rollout.changed").into_iter();
        let all = all.map(|event| event["data"].clone());
        all.filter(|data| data["candidate"] == revision)
            .map(|data| data["state"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    eventually_within(Duration::from_secs(60), "the rollout is told", || {
        rollouts()
            .last()
            .is_some_and(|state| state == "rolled_back")
    });
    let back = rollouts()
        .into_iter()
        .filter(|state| state == "rolled_back");
    assert_eq!(back.count(), 1);
    let opened = || told("tidegate.incident.opened");
    eventually_within(Duration::from_secs(60), "the incident is told", || {
        !opened().is_empty()
    });
    let opened = opened();
    assert_eq!(opened.len(), 1, "{opened:?}");
    assert_eq!(opened[0]["data"]["incident"], shown["incident"]["id"]);
    assert_eq!(opened[0]["data"]["routes"], json!(["all"]));
}

fn tells_what_happened(desk: &Desk, shown: &Value, revision: u64) {
    let one = &shown["incident"];
    let text = |kind: &str| facts(shown, kind)[0]["text"].as_str().unwrap().to_owned();
    assert_eq!(one["opening"], "rollback");
    assert_eq!(one["revisions"], json!([revision.to_string()]), "{one}");
    assert_eq!(one["routes"], json!(["all"]), "{one}");
    let difference = text("revision");
    let field = "routes/all: target.fixed.body from \"good\" to \"bad\", target.fixed.status from 200 to 503";
    assert!(difference.contains(field), "{difference}");
    // The first answer names the revision, and explains all of it.
    let first = &shown["hypotheses"][0];
    assert_eq!(
        first["cell"][0]["revision"],
        revision.to_string(),
        "{first}"
    );
    assert!(first["explained"].as_f64().unwrap() > 0.95, "{first}");
    assert!(text("action").contains("was taken back"), "{shown}");
    // Every exchange of the candidate failed: that is exact, and the records hold all of them.
    let of_candidate = format!("/records?revision={revision}&limit=1000");
    let records = desk.api(&of_candidate);
    let records = records["items"].as_array().unwrap();
    assert!(records.iter().all(|record| record["status"] == 503));
    // The last of them are written a moment later.
    desk.incident("all of them are counted", |shown| {
        let one = &shown["incident"];
        let (bad, total) = (one["bad"].as_u64().unwrap(), one["total"].as_u64().unwrap());
        bad >= records.len() as u64 && bad <= total
    });
    let first_bad = facts(shown, "first_bad")[0];
    let link = first_bad["link"].as_str().unwrap();
    let record = desk.api(link.strip_prefix("/v1").unwrap());
    assert_eq!(record["record"]["status"], 503, "{record}");
    assert_eq!(record["record"]["revision"], revision, "{record}");
    // In this order: it began, it failed, it was taken back, which opened the incident, it was over.
    let at = |kind: &str| ms(&facts(shown, kind)[0]["at"]);
    assert!(at("onset") <= at("first_bad"), "{shown}");
    assert!(at("first_bad") <= at("action"), "{shown}");
    assert!(
        at("action") <= ms(&one["opened"]) && ms(&one["opened"]) <= at("recovery"),
        "{shown}"
    );
    let took = ms(&one["opened"]) - at("first_bad");
    eprintln!("from the first bad exchange to the incident, attributed and taken back: {took} ms");
    assert!(took < 60_000, "{shown}");
}

/// Each fact links to what shows it.
fn every_link_answers(desk: &Desk, shown: &Value) {
    for fact in shown["facts"].as_array().unwrap() {
        let link = fact["link"].as_str().unwrap();
        curl(&[&format!("{}/api{link}", desk.url())]).expect(200);
    }
}

#[test]
fn an_incident_is_worked_on_and_learnt_from() {
    let desk = desks().remove(0);
    let good = desk.write("shop.json", &served("good", 200).to_string());
    desk.run(&["apply", &good], 0);
    fleet::eventually_serves(&desk.node, "good");
    let status = format!("http://{}/status", desk.node.late_address("public"));
    eventually("the page is made", || curl(&[&status]).status == 200);
    let page = curl(&[&status]);
    assert!(page.body.contains("No known incidents"), "{page:?}");
    let load = Load::start(&desk.node.late_address("public"), 2);
    desk.deploy_badly();
    let shown = desk.incident("it is over", |shown| has(shown, &["recovery", "first_bad"]));
    load.end();
    let id = shown["incident"]["id"].as_str().unwrap().to_owned();

    desk.run(&["incidents", "assign", &id, "commander", "Ada Byron"], 0);
    let handed = desk.run(&["incidents", "assign", &id, "commander", "Lin Wei"], 0);
    assert!(handed.contains("handed over"), "{handed}");
    desk.run(&["incidents", "triage", &id, "--severity", "2"], 0);
    desk.run(&["incidents", "note", &id, "asked the team of the shop"], 0);
    let refused = desk.run(&["incidents", "review", &id], 1);
    assert!(refused.contains("only what is resolved"), "{refused}");
    // Outsiders see what was said to them, and nothing else.
    desk.run(
        &[
            "incidents",
            "update",
            &id,
            "Some orders failed & are <well> again.",
        ],
        0,
    );
    eventually("the page says so", || {
        curl(&[&status])
            .body
            .contains("Some orders failed &amp; are &lt;well&gt; again.")
    });
    let page = curl(&[&status]);
    for inside in ["Lin", "revision", &id] {
        assert!(!page.body.contains(inside), "{inside}: {page:?}");
    }
    let json = curl(&["-H", "accept: application/json", &status]).json();
    assert_eq!(json["incidents"][0]["state"], "Monitoring", "{json}");

    learns(&desk, &id);
    let audit = desk.json(&["audit", "--limit", "1000"]).to_string();
    for action in [
        "assignIncidentRole",
        "updateIncident",
        "publishPostmortem",
        "setActionItem",
    ] {
        assert!(audit.contains(action), "{action}: {audit}");
    }
}

/// From a draft that blames to one that is published, and its actions to their end.
fn learns(desk: &Desk, id: &str) {
    let draft = desk.run(&["incidents", "postmortem", id], 0);
    assert!(
        draft.contains("## Timeline") && !draft.contains("Lin Wei"),
        "{draft}"
    );
    let narrative = |overview: &str| {
        let action = json!({ "text": "Show a changed status in plans", "team": "gateway", "due": "2027-01-31" });
        json!({ "overview": overview, "contributing": ["The plan did not show it."], "actions": [action] })
    };
    let file = desk.write(
        "why.json",
        &narrative("Human error by Lin Wei.").to_string(),
    );
    let refused = desk.run(
        &["incidents", "postmortem", id, "--from", &file, "--publish"],
        1,
    );
    assert!(
        refused.contains("human error") && refused.contains("what made this possible"),
        "{refused}"
    );
    let file = desk.write(
        "why.json",
        &narrative("Orders failed for a while.").to_string(),
    );
    desk.run(
        &["incidents", "postmortem", id, "--from", &file, "--publish"],
        0,
    );
    let page = desk.run(&["incidents", "postmortem", id, "--format", "html"], 0);
    for words in [
        "<svg ",
        ">began<",
        "Orders failed for a while.",
        "Show a changed status in plans",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("<script"), "{page}");
    let items = desk.json(&["incidents", "actions"]);
    assert_eq!(
        (&items[0]["team"], &items[0]["due"]),
        (&json!("gateway"), &json!("2027-01-31"))
    );
    desk.run(&["incidents", "resolve", id], 0);
    desk.run(&["incidents", "review", id], 0);
    desk.run(&["incidents", "actions", id, "1", "done"], 0);
    assert_eq!(desk.json(&["incidents", "actions"]), json!([]));
    assert_eq!(
        desk.json(&["incidents", "actions", "--all"])[0]["state"],
        "done"
    );
}

#[test]
fn the_status_page_is_served_while_the_store_is_gone() {
    let Some(fleet) = Fleet::postgres() else {
        return;
    };
    let folder = fleet.folder_with("a", RECORDS, "", "");
    let desk = Desk::in_folder(fleet, folder);
    let mut document = served("good", 200);
    // What stands behind the gateway is gone as well.
    document["upstreams"] = json!({ "gone": { "endpoints": ["127.0.0.1:9"] } });
    document["routes"]["all"]["target"] = json!({ "upstream": "gone" });
    let file = desk.write("gone.json", &document.to_string());
    desk.run(&["apply", &file], 0);
    let address = desk.node.late_address("public");
    let status = format!("http://{address}/status");
    eventually("the page is made", || curl(&[&status]).status == 200);
    desk.fleet.stop();
    assert_eq!(curl(&[&format!("http://{address}/")]).status, 502);
    let page = curl(&[&status]).expect(200);
    assert!(page.body.contains("No known incidents") && page.body.contains("<title>Shop"));
    let cached = page.header("cache-control").unwrap();
    assert!(
        cached.contains("max-age=30") && cached.contains("stale-if-error"),
        "{cached}"
    );
    let tag = format!("if-none-match: {}", page.header("etag").unwrap());
    let same = curl(&["-H", &tag, &status]).expect(304);
    assert_eq!(
        (same.body.as_str(), same.header("etag")),
        ("", page.header("etag"))
    );
    assert_eq!(curl(&["-X", "POST", &status]).status, 405);
    desk.fleet.start();
}

#[test]
fn a_leader_that_dies_loses_no_incident() {
    for fleet in Fleet::all() {
        let folder = fleet.folder_with("a", RECORDS, "", "");
        let mut desk = Desk::in_folder(fleet, folder);
        let other = desk.fleet.node_with("b", RECORDS, "", &[]);
        let good = desk.write("shop.json", &served("good", 200).to_string());
        desk.run(&["apply", &good], 0);
        fleet::eventually_serves(&desk.node, "good");
        fleet::eventually_serves(&other, "good");
        let loads = [&desk.node, &other].map(|node| Load::start(&node.late_address("public"), 2));
        // Whichever leads, both have been killed once by the end.
        let revision = desk.deploy_badly();
        desk.kill();
        let shown = desk.incident("it is there", |shown| has(shown, &["revision", "action"]));
        assert_eq!(
            shown["incident"]["revisions"],
            json!([revision.to_string()])
        );
        let mut other = other;
        other.process.child.kill().unwrap();
        other.process.ended();
        let shown = desk.incident("another goes on", |shown| {
            shown["incident"]["life"] == "mitigated"
        });
        assert_eq!(facts(&shown, "action").len(), 1, "{shown}");
        for load in loads {
            load.end();
        }
    }
}

#[test]
fn a_diagnosis_names_the_endpoint_that_fails_and_who_depends_on_it() {
    let desk = desks().remove(0);
    let good = crate::support::Upstream::start(|_| crate::support::Reply::text("fine"));
    let mut document = served("good", 200);
    document["upstreams"] = json!({
        "shop": { "endpoints": [good.address] },
        "dark": { "endpoints": ["127.0.0.1:9"], "health": { "http": { "path": "/", "interval": "200ms", "timeout": "1s" } } },
    });
    document["routes"]["all"]["target"] = json!({ "upstream": "shop" });
    document["routes"]["dark"] =
        json!({ "match": { "path": "/dark" }, "target": { "upstream": "dark" } });
    let file = desk.write("shop.json", &document.to_string());
    desk.run(&["apply", &file], 0);
    let address = desk.node.late_address("public");
    fleet::eventually_serves(&desk.node, "fine");
    let load = Load::start(&address, 1);
    eventually("the records say so", || {
        desk.json(&["diagnose"])["total"].as_u64() > Some(200)
    });
    let bad = Load::on(&address, "/dark", 1);
    let mut shown = Value::Null;
    eventually_within(Duration::from_secs(60), "the endpoint is named", || {
        shown = desk.json(&["diagnose"]);
        shown["answers"][0]["cell"][0] == json!({ "route": "dark" })
            && shown["answer"].as_str().unwrap().contains("routes/dark")
            && shown["has_onset"] == true
    });
    bad.end();
    load.end();
    assert!(
        shown["answers"][0]["explained"].as_f64() > Some(0.95),
        "{shown}"
    );
    let kinds: Vec<&str> = shown["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["kind"].as_str().unwrap())
        .collect();
    for kind in ["store", "revision", "upstream", "saturation"] {
        assert!(kinds.contains(&kind), "{kind}: {shown}");
    }
    let down = json!({ "from": "routes/dark", "to": "upstreams/dark", "is_down": true });
    assert!(
        shown["dependencies"].as_array().unwrap().contains(&down),
        "{shown}"
    );
    assert!(
        shown["samples"][0]["status"].as_u64() >= Some(500),
        "{shown}"
    );
    let told = desk.run(&["diagnose"], 0);
    assert!(told.contains("routes/dark -> upstreams/dark"), "{told}");
    let told = desk.run(&["diagnose", "--by", "route"], 0);
    assert!(told.contains("dark"), "{told}");
    desk.run(&["diagnose", "--by", "moon"], 1);
}

/// The guide's commands, in their order, about an incident that was made as it tells.
#[test]
fn the_guide_to_a_page_at_2_am_works() {
    let guide = crate::console::repository().join("docs/guides/a-2-am-page.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let blocks: Vec<&str> = guide
        .split("\n```sh\n")
        .skip(1)
        .map(|rest| rest.split_once("\n```").expect("it ends").0)
        .collect();
    assert_eq!(blocks.len(), 11, "{blocks:#?}");
    let desk = desks().remove(0);
    let good = desk.write("shop.json", &served("good", 200).to_string());
    desk.run(&["apply", &good], 0);
    fleet::eventually_serves(&desk.node, "good");
    let load = Load::start(&desk.node.late_address("public"), 2);
    desk.deploy_badly();
    desk.incident("it is over", |shown| has(shown, &["recovery", "first_bad"]));
    load.end();
    let status = format!("http://{}/status", desk.node.late_address("public"));
    let folder = tempfile::tempdir().unwrap();
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_tidegate"))
        .parent()
        .unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut said = Vec::new();
    for block in blocks {
        let block = block
            .replace("inc-production-1", "inc-main-1")
            .replace("https://status.example.com/status", &status);
        let mut shell = std::process::Command::new("sh");
        shell.args(["-ec", &block]).current_dir(folder.path());
        shell.env("PATH", &path).env("TIDEGATE_SERVER", desk.url());
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{block}: {output:?}");
        said.push(String::from_utf8(output.stdout).unwrap());
        if block.contains("incidents update") {
            eventually("it is public", || {
                curl(&[&status]).body.contains("They work again.")
            });
        }
    }
    for (at, words) in [
        (0, "100 % of the excess"),
        (1, "was taken back"),
        (2, "revision"),
        (3, "ENDPOINT"),
        (4, "severity 2"),
        (5, "They work again."),
        (7, "resolved"),
        (8, "## Contributing factors"),
        (9, "reviewed"),
        (10, "Warn of a fixed answer that fails"),
    ] {
        assert!(said[at].contains(words), "{at}: {words}\n{}", said[at]);
    }
    let page = std::fs::read_to_string(folder.path().join("postmortem.html")).unwrap();
    assert!(
        page.contains("<svg ") && page.contains("among forty other lines"),
        "{page}"
    );
}

/// Two hundred promises about one route, all broken at once by what stands behind it.
#[test]
fn two_hundred_pages_from_one_cause_are_one_incident() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let is_broken = Arc::new(AtomicBool::new(false));
    let service = || {
        let broken = is_broken.clone();
        crate::support::Upstream::start(move |_| match broken.load(Ordering::Relaxed) {
            true => crate::support::Reply::text("no").status(503),
            false => crate::support::Reply::text("yes"),
        })
    };
    let (upstream, second) = (service(), service());
    let desk = desks().remove(0);
    let mut document = served("unused", 200);
    let both = json!([upstream.address, second.address]);
    document["upstreams"] = json!({ "service": { "endpoints": both } });
    document["routes"]["all"]["target"] = json!({ "upstream": "service" });
    for number in 0..200 {
        document["objectives"][format!("promise-{number}")] =
            json!({ "route": "all", "target": "99 %" });
    }
    let file = desk.write("shop.json", &document.to_string());
    desk.run(&["apply", &file], 0);
    fleet::eventually_serves(&desk.node, "yes");
    let load = Load::start(&desk.node.late_address("public"), 1);
    // It is not known in its first second.
    let known = format!("{}/api/v1/objectives/promise-7", desk.url());
    let counted = || curl(&[&known]).json()["total"].as_u64();
    eventually_within(Duration::from_secs(60), "good ones are counted", || {
        counted() > Some(500)
    });
    is_broken.store(true, Ordering::Relaxed);
    let shown = desk.incident("every promise is part of it", |shown| {
        let objectives = shown["incident"]["objectives"].as_array();
        objectives.is_some_and(|all| all.len() == 200)
    });
    load.end();
    let one = &shown["incident"];
    assert_eq!(one["routes"], json!(["all"]), "{one}");
    assert!(one["signals"].as_u64() >= Some(200), "{one}");
    let judged = desk.incident("how bad it is follows from the budgets", |shown| {
        eprintln!("{} {:?}", shown["incident"], facts(shown, "onset"));
        shown["incident"]["severity"].is_number() && has(shown, &["first_bad"])
    });
    assert!(judged["incident"]["bad"].as_u64() > Some(0), "{judged}");
    let judged = desk.incident("it says who else could serve", |shown| {
        has(shown, &["failover"])
    });
    let failover = facts(&judged, "failover")[0];
    let said = failover["text"].as_str().unwrap();
    for address in [&upstream.address, &second.address] {
        assert!(said.contains(&address.to_string()), "{said}");
    }
    let link = failover["link"].as_str().unwrap();
    curl(&[&format!("{}/api{link}", desk.url())]).expect(200);
    let link = facts(&judged, "signal")[0]["link"].as_str().unwrap();
    curl(&[&format!("{}/api{link}", desk.url())]).expect(200);
}

/// One caller who asks 200 times a second, until it is told to end.
fn paced(
    address: &str,
) -> (
    std::sync::Arc<std::sync::atomic::AtomicBool>,
    std::thread::JoinHandle<u64>,
) {
    use std::sync::atomic::Ordering;
    let ended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (until, address) = (ended.clone(), address.to_owned());
    let caller = std::thread::spawn(move || {
        let request = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        let (began, mut asked) = (std::time::Instant::now(), 0_u64);
        while !until.load(Ordering::Relaxed) {
            super::load::one(&mut stream, request).unwrap();
            asked += 1;
            let due = Duration::from_millis(5 * asked);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
        asked
    });
    (ended, caller)
}

/// The bar; it counts on a machine that has nothing else to do.
#[test]
#[ignore = "a bar on time, for a quiet machine"]
fn a_revision_that_fails_is_an_incident_within_5_seconds_at_200_requests_a_second() {
    for settings in ["default", RAMP] {
        for round in 0..3 {
            let desk = desks().remove(0);
            let good = desk.write("shop.json", &served("good", 200).to_string());
            desk.run(&["apply", &good], 0);
            fleet::eventually_serves(&desk.node, "good");
            let (ended, caller) = paced(&desk.node.late_address("public"));
            let bad = desk.write("shop.json", &served("bad", 503).to_string());
            desk.run(&["apply", &bad, "--canary", settings], 0);
            let shown = desk.incident("it is over", |shown| {
                has(shown, &["first_bad", "action", "recovery"])
            });
            ended.store(true, std::sync::atomic::Ordering::Relaxed);
            let asked = caller.join().unwrap();
            let at = |kind: &str| ms(&facts(&shown, kind)[0]["at"]);
            let first = at("first_bad");
            let opened = ms(&shown["incident"]["opened"]) - first;
            let (back, over) = (at("action") - first, at("recovery") - first);
            let bad = &shown["incident"]["bad"];
            eprintln!(
                "{settings}, round {round}: after the first bad one taken back {back} ms, incident attributed {opened} ms, every gateway serves without it {over} ms; {bad} bad of {asked} asked"
            );
            assert_eq!(
                shown["hypotheses"][0]["cell"][0]["revision"],
                shown["incident"]["revisions"][0]
            );
            assert!(opened.max(back) < 5_000, "{shown}");
        }
    }
}
