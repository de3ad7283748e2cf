//! Delivery metrics of what really happened: revisions, a rollback, deployments that were reported.

use super::commands::Desk;
use super::fleet::{self, Fleet, fixed};
use super::load::Load;
use super::states::{KEY, WITH_KEY};
use crate::support::{Answer, Gateway, Reply, Seen, Upstream, curl, eventually_within};
use aws_lc_rs::hmac;
use gate_kit::clock::Clock;
use gate_model::units::Money;
use gate_store::control::TrafficHour;
use gate_store::ledger::{Charges, Entry, ExchangeId, Facts, Tokens};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn report(gateway: &Gateway, path: &str, headers: &[String], body: &Value) -> Answer {
    let url = format!(
        "http://{}/api/v1/deployments{path}",
        gateway.address("admin")
    );
    let body = body.to_string();
    let mut arguments = vec![url.as_str(), "-d", &body];
    for header in headers {
        arguments.extend(["-H", header]);
    }
    curl(&arguments)
}

fn signature(secret: &str, body: &Value) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, body.to_string().as_bytes());
    tag.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Sixty days of calls by one consumer up to yesterday: twelve on working days, four on weekends, of
/// 1,000 tokens and a dollar each.
fn sixty_days() -> Vec<Entry> {
    const DAY_MS: i64 = 86_400_000;
    let today = i64::try_from(Clock::System.unix().as_millis()).unwrap() / DAY_MS;
    let facts = Arc::new(Facts {
        consumer: "shop".into(),
        model: "gpt".into(),
        provider: "one".into(),
        ..Facts::default()
    });
    let of_day = |day: i64| {
        let calls = if (day + 3) % 7 >= 5 { 4 } else { 12 };
        let facts = &facts;
        (0..calls).map(move |call| Entry {
            exchange: ExchangeId::from(&*format!("{day}-{call}")),
            at_ms: day * DAY_MS + call * 3_600_000,
            facts: facts.clone(),
            outcome: "ok",
            tokens: Tokens {
                input: 900,
                output: 100,
                ..Tokens::default()
            },
            estimated: 0,
            cost: Some(Money::from_picodollars(1_000_000_000_000)),
            charges: Charges::default(),
            calls: 1,
            held: Vec::new(),
        })
    };
    (today - 60..today).flat_map(of_day).collect()
}

#[test]
fn a_filled_ledger_is_foreseen_and_warned_of() {
    for fleet in Fleet::all() {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let hears = taken.clone();
        let receiver = Upstream::start(move |seen: &Seen| {
            let body = String::from_utf8_lossy(&seen.body).into_owned();
            hears.lock().unwrap().push(body);
            Reply::text("taken")
        });
        let mut document = fixed("served");
        document["receivers"] =
            json!({ "hook": { "webhook": { "url": format!("http://{}/", receiver.address) } } });
        document["notifications"] = json!({ "all": {
            "wait": "50ms", "interval": "1s", "repeat": "1h", "steps": [{ "receivers": ["hook"] }],
        } });
        document["consumers"] = json!({ "shop": { "team": "shop" } });
        // A week costs 68 dollars: the first is spent within it, the second never within a month.
        let budget = |usd: u32| json!({ "of": { "consumer": "shop" }, "limit": { "usd": usd }, "per": "total" });
        document["budgets"] = json!({ "near": budget(50), "far": budget(5000) });
        let revision = fleet.apply(document);
        fleet.settle(sixty_days());
        let node = fleet.node("a", &[]);
        fleet.acks_of(revision.number, 1);
        let forecasts = fleet::admin(&node, "/api/v1/forecasts").json();
        let one = |what: &str, name: &str| -> Value {
            let rows = forecasts["items"].as_array().unwrap();
            let is_it = |row: &&Value| row["what"] == what && row["name"] == name;
            rows.iter()
                .find(is_it)
                .unwrap_or_else(|| panic!("{what} {name}: {forecasts}"))
                .clone()
        };
        // Every week is as the one before: what is foreseen of seven days is its sum, and intervals
        // hold each of its days.
        for (what, week, busiest) in [
            ("requests", 68.0, 12.0),
            ("tokens", 68_000.0, 12_000.0),
            ("spend", 68.0, 12.0),
        ] {
            let row = one(what, "all calls to models");
            let days = row["days"].as_array().unwrap();
            assert_eq!(days.len(), 30, "{row}");
            let number = |day: &Value, field: &str| day[field].as_f64().unwrap();
            let sum: f64 = days[..7].iter().map(|day| number(day, "expected")).sum();
            assert!((sum / week - 1.0).abs() < 0.05, "{what}: {sum}");
            let most = days[..7]
                .iter()
                .map(|day| number(day, "expected"))
                .fold(0.0, f64::max);
            assert!((most / busiest - 1.0).abs() < 0.05, "{what}: {most}");
            for day in &days[..7] {
                let (low, high) = (number(day, "low"), number(day, "high"));
                let expected = number(day, "expected");
                assert!(low <= expected + 1e-6 && expected <= high + 1e-6, "{day}");
            }
        }
        let (near, far) = (one("budget", "near"), one("budget", "far"));
        assert!(near["passes"].is_string(), "{near}");
        assert!(far["passes"].is_null(), "{far}");
        assert_eq!(near["limit"], 50.0);
        let disk = forecasts["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|row| row["what"] == "disk");
        assert_eq!(disk, fleet.name() == "SQLite");
        // Somebody is told, of the near one alone.
        let told = |what: &str| taken.lock().unwrap().iter().any(|body| body.contains(what));
        eventually_within(Duration::from_secs(60), "somebody is warned", || {
            told("the budget near is used up on")
        });
        assert!(!told("the budget far"));
    }
}

/// Writes what gateways had counted before: three weeks of the same on two routes, and in the last whole
/// hour, and in the one that may end while the test runs, next to nothing on one of them.
fn three_weeks(fleet: &Fleet, ended: u64) {
    fleet.ask(|store| {
        for hour in ended - 21 * 24..=ended {
            let few = if hour + 1 >= ended { 20 } else { 1_000 };
            let saved = store.save_traffic_hour(&TrafficHour {
                environment: "main".into(),
                hour,
                version: 0,
                data: json!({ "routes": { "all": few, "steady": 1_000 }, "disk": 1e9 }).to_string(),
            });
            assert!(saved.unwrap());
        }
    });
}

#[test]
fn a_route_without_an_objective_has_its_usual_hours() {
    for fleet in Fleet::all() {
        let mut document = fixed("served");
        document["routes"]["steady"] = document["routes"]["all"].clone();
        document["routes"]["steady"]["match"]["path"] = json!("/steady");
        fleet.apply(document);
        // The hour that the gateway looks at: it waits for others to tell of the last one.
        let looked_at = || Clock::System.unix().as_secs().saturating_sub(150) / 3_600;
        three_weeks(&fleet, looked_at());
        let now = Clock::System.unix().as_secs() / 3_600;
        let counted = || {
            let hours = fleet.ask(|store| store.traffic_hours("main", now).unwrap());
            let count =
                |data: &str| serde_json::from_str::<Value>(data).unwrap()["routes"]["all"].as_u64();
            let counts = hours.iter().filter_map(|hour| count(&hour.data));
            counts.sum::<u64>()
        };
        let before = counted();
        let node = fleet.node("a", &[]);
        fleet::eventually_serves(&node, "served");
        let forecasts = fleet::admin(&node, "/api/v1/forecasts").json();
        let rows = forecasts["items"].as_array().unwrap();
        for (name, had) in [("route all", 20.0), ("route steady", 1_000.0)] {
            let row = rows.iter().find(|row| row["name"] == name);
            let row = row.unwrap_or_else(|| panic!("{forecasts}"));
            assert_eq!(
                (&row["what"], row["now"].as_f64()),
                (&json!("traffic"), Some(had))
            );
            let said = row["silent"].as_str().unwrap_or_default();
            assert_eq!(said.starts_with("unusual: "), had < 100.0, "{row}");
        }
        // What this gateway counts is added to what others told of the hour.
        eventually_within(Duration::from_secs(150), "exchanges are told", || {
            counted() > before
        });
        // A disk is foreseen from what was kept before the process began; PostgreSQL's is not ours.
        if fleet.name() == "SQLite" {
            eventually_within(Duration::from_secs(60), "the disk is foreseen", || {
                let forecasts = fleet::admin(&node, "/api/v1/forecasts").json();
                let rows = forecasts["items"].as_array().unwrap();
                let disk = rows.iter().find(|row| row["what"] == "disk");
                disk.is_some_and(|disk| disk["silent"].is_null() && disk["days"][1].is_object())
            });
        }
    }
}

#[test]
fn metrics_come_from_what_happened_and_what_was_reported() {
    for fleet in Fleet::all() {
        let files = [("keys", KEY), ("hub", "hub secret"), ("lab", "lab token")];
        let desk = Desk::on(fleet, WITH_KEY, &files);
        let mut first = fixed("one");
        first["deployment_sources"] = json!({
            "hub": { "from": { "github": { "file": "hub" } }, "team": "shop" },
            "lab": { "from": { "gitlab": { "file": "lab" } }, "team": "shop", "service": "search" },
        });
        let mut second = first.clone();
        second["routes"] = fixed("two")["routes"].clone();
        let first = desk.write("shop.json", &first.to_string());
        let commit = [
            "--source-commit",
            "abc",
            "--committed-at",
            "2026-01-01T00:00:00Z",
        ];
        desk.run(&[&["apply", &first], &commit[..]].concat(), 0);
        let second = desk.write("shop.json", &second.to_string());
        desk.run(&["apply", &second, "--fixes", "inc-1"], 0);
        desk.run(&["rollback"], 0);
        let environment = "main";
        let service = format!("gateway/{environment}");
        let own = |report: &Value| report["services"][&service].clone();
        let dora = desk.json(&["dora"]);
        let metrics = own(&dora);
        assert_eq!(
            metrics["change_fail_rate"]["count"], 2,
            "the rollback is none: {dora}"
        );
        assert_eq!(metrics["change_fail_rate"]["value"], 0.5);
        assert_eq!(metrics["rework_rate"]["value"], 0.5);
        assert_eq!(metrics["lead_time_s"]["count"], 1);
        assert!(metrics["lead_time_s"]["value"].as_f64().unwrap() > 86_400.0);
        assert_eq!(metrics["recovery_s"]["count"], 1);
        // Reports: by our CloudEvents in both modes, and by forges that prove themselves.
        let gateway = &desk.node;
        let data = json!({ "service": "orders", "team": "shop", "revision": "r1" });
        let event = json!({
            "specversion": "1.0", "id": "1", "source": "/ci", "type": "dev.tidegate.deployment.v1",
            "data": data,
        });
        let structured = ["content-type: application/cloudevents+json".to_owned()];
        let taken = report(gateway, "", &structured, &event).expect(200).json();
        assert_eq!(taken["id"], "event/production/orders/r1");
        let binary = [
            "content-type: application/json",
            "ce-specversion: 1.0",
            "ce-id: 2",
            "ce-source: /ci",
            "ce-type: dev.tidegate.deployment.v1",
        ]
        .map(str::to_owned);
        report(gateway, "", &binary, &data).expect(200);
        report(gateway, "", &binary[..1], &data).expect(415);
        let hub = json!({
            "deployment_status": { "state": "success", "created_at": "2026-11-01T12:00:00Z" },
            "deployment": { "id": 42, "sha": "c0ffee", "environment": "production" },
            "repository": { "name": "orders", "full_name": "shop/orders" },
        });
        let signed = |secret: &str| {
            [
                "content-type: application/json".to_owned(),
                "x-github-event: deployment_status".to_owned(),
                format!("x-hub-signature-256: sha256={}", signature(secret, &hub)),
            ]
        };
        let taken = report(gateway, "/hub", &signed("hub secret"), &hub)
            .expect(200)
            .json();
        assert_eq!(taken["id"], "github/shop/orders/42");
        report(gateway, "/hub", &signed("wrong"), &hub).expect(401);
        report(gateway, "/hub", &signed("hub secret")[..2], &hub).expect(401);
        report(gateway, "/nobody", &signed("hub secret"), &hub).expect(401);
        let mut staging = hub.clone();
        staging["deployment"]["environment"] = "staging".into();
        let sign = format!(
            "x-hub-signature-256: sha256={}",
            signature("hub secret", &staging)
        );
        let headers = [
            "content-type: application/json".into(),
            "x-github-event: deployment_status".into(),
            sign,
        ];
        assert_eq!(
            report(gateway, "/hub", &headers, &staging)
                .expect(200)
                .json()["id"],
            Value::Null
        );
        let lab = json!({
            "object_kind": "deployment", "status": "success", "deployment_id": 15,
            "status_changed_at": "2026-11-01 14:00:00 +0200", "environment": "production",
            "project": { "name": "x", "path_with_namespace": "shop/x" }, "short_sha": "279484c0",
        });
        let token = |token: &str| {
            [
                "content-type: application/json".into(),
                format!("x-gitlab-token: {token}"),
            ]
        };
        report(gateway, "/lab", &token("lab token"), &lab).expect(200);
        report(gateway, "/lab", &token("lab tokem"), &lab).expect(401);
        report(gateway, "/lab", &token(""), &lab).expect(401);
        let dora = desk.json(&["dora", "--from", "2026-10-01", "--until", "2027-01-01"]);
        let names: Vec<&String> = dora["services"].as_object().unwrap().keys().collect();
        assert_eq!(names, [&service[..], "orders", "search"]);
        // The event came twice, and is one deployment beside GitHub's.
        assert_eq!(
            dora["services"]["orders"]["deployments_per_day"]["count"],
            2
        );
        assert_eq!(dora["teams"]["shop"]["deployments_per_day"]["count"], 3);
        let shown = desk.run(&["dora"], 0);
        assert!(
            shown.contains("compare nobody") && shown.contains("n=2"),
            "{shown}"
        );
        let forecasts = desk.json(&["forecasts"]);
        let kinds: Vec<&Value> = forecasts
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["what"])
            .collect();
        assert!(kinds.contains(&&json!("requests")), "{forecasts}");
    }
}

/// Nobody and no evidence takes it back: what fails is told by the incident alone.
#[test]
fn a_revision_that_an_incident_is_attributed_to_has_failed() {
    let fleet = Fleet::sqlite();
    let folder = fleet.folder_with("a", "workers: 1, records: { folder: records }", "", "");
    let desk = Desk::in_folder(fleet, folder);
    let served = |body: &str, status: u16| {
        let mut document = fixed(body);
        document["routes"]["all"]["target"]["fixed"]["status"] = json!(status);
        document["objectives"] = json!({ "kept": { "route": "all", "target": "99 %" } });
        desk.write("shop.json", &document.to_string())
    };
    desk.run(&["apply", &served("good", 200)], 0);
    fleet::eventually_serves(&desk.node, "good");
    let load = Load::start(&desk.node.late_address("public"), 1);
    let patience = Duration::from_secs(120);
    eventually_within(patience, "good ones are counted", || {
        let known = curl(&[&format!("{}/api/v1/objectives/kept", desk.url())]);
        known.json()["total"].as_u64() > Some(500)
    });
    let own = || desk.json(&["dora"])["services"]["gateway/main"].clone();
    assert_eq!(own()["change_fail_rate"]["value"], 0.0);
    desk.run(&["apply", &served("bad", 503)], 0);
    let mut incident = String::new();
    eventually_within(patience, "an incident names the revision", || {
        let all = desk.json(&["incidents"]);
        let named = all.as_array().unwrap().iter().find(|one| {
            let revisions = one["revisions"].as_array().unwrap();
            revisions.contains(&json!("2"))
        });
        incident = named.map_or_else(String::new, |one| one["id"].as_str().unwrap().to_owned());
        !incident.is_empty()
    });
    let failing = own();
    assert_eq!(failing["change_fail_rate"]["value"], 0.5, "{failing}");
    assert_eq!(failing["unrecovered"], 1, "{failing}");
    assert_eq!(failing["recovery_s"]["count"], 0, "{failing}");
    desk.run(&["apply", &served("good", 200), "--fixes", &incident], 0);
    load.end();
    // It is mended forwards; that the budget burns no more is known some minutes later.
    let mended = own();
    assert_eq!(mended["change_fail_rate"]["count"], 3, "{mended}");
    assert_eq!(
        mended["rework_rate"]["value"].as_f64(),
        Some(1.0 / 3.0),
        "{mended}"
    );
    assert_eq!(mended["unrecovered"], 1, "{mended}");
}
