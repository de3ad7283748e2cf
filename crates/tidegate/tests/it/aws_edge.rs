//! examples/aws-edge as its guide tells it: name, cache, firewall, plans and roles in front of what
//! stands in for a function and a private service. With OWASP's whole rule set where that is.

use crate::examples::{KEY, folder};
use crate::support::gateway::Running;
use crate::support::{Answer, Gateway, Reply, Upstream, eventually};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

const HOST: [&str; 2] = ["-H", "host: api.localhost"];

struct Edge {
    gateway: Gateway,
    catalogue: Upstream,
    orders: Upstream,
}

impl Edge {
    /// The example with other addresses, and these rules of the firewall in place of its own.
    fn start(rules: Option<&str>) -> Self {
        let catalogue = Upstream::start(|seen| {
            Reply::text(format!("{} of the function", seen.target))
                .header("cache-control", "max-age=60")
        });
        let orders = Upstream::start(|seen| Reply::text(format!("{} of the service", seen.method)));
        let text = std::fs::read_to_string(folder().join("aws-edge/gate.yaml")).unwrap();
        let mut text = text
            .replace("\"127.0.0.1:8080\"", "\"127.0.0.1:0\"")
            .replace("\"127.0.0.1:9090\"", "\"127.0.0.1:0\"")
            .replace("127.0.0.1:9001", &catalogue.address)
            .replace("127.0.0.1:9002", &orders.address);
        if let Some(rules) = rules {
            let own = "          directives: |\n            SecRule ARGS \"@detectSQLi\" \"id:100,phase:2,deny,log,msg:'SQL in a parameter'\"\n            SecRule ARGS \"@detectXSS\" \"id:101,phase:2,deny,log,msg:'Script in a parameter'\"\n";
            assert!(text.contains(own), "the example's rules are others");
            text = text.replace(own, rules);
        }
        Self {
            gateway: Gateway::run(&text, &[], &[]),
            catalogue,
            orders,
        }
    }

    fn ask(&self, path: &str, more: &[&str]) -> Answer {
        self.gateway.curl(path, &[&HOST[..], more].concat())
    }
}

#[test]
fn one_file_does_what_six_services_do() {
    let edge = Edge::start(None);
    // The name: others are nobody's.
    edge.gateway.curl("/catalog/chairs", &[]).expect(404);

    // The cache, with what browsers ought to know.
    let first = edge.ask("/catalog/chairs?utm_source=mail", &[]).expect(200);
    assert_eq!(first.header("x-content-type-options"), Some("nosniff"));
    let second = edge.ask("/catalog/chairs", &[]).expect(200);
    assert_eq!(first.body, second.body);
    assert!(second.header("cache-status").unwrap().contains("hit"));
    assert_eq!(edge.catalogue.seen().len(), 1, "the function ran once");

    // The firewall and its rules, in front of the cache.
    let refused = edge.ask("/catalog/chairs?q=1%27%20OR%20%271%27=%271", &[]);
    assert_eq!(refused.expect(403).json()["code"], "waf_blocked");
    let script = edge.ask("/catalog/chairs?q=%3Cscript%3Ealert(1)%3C/script%3E", &[]);
    assert_eq!(script.expect(403).json()["code"], "waf_blocked");
    let scanner = edge.ask("/catalog/chairs", &["-A", "sqlmap/1.8"]);
    assert_eq!(scanner.expect(403).json()["code"], "access_blocked");
    assert_eq!(
        edge.catalogue.seen().len(),
        1,
        "nothing of that came through"
    );

    // Keys, plan, roles.
    edge.ask("/orders/1", &[]).expect(401);
    let answer = edge.ask("/orders/1", &KEY).expect(200);
    assert_eq!(answer.body, "GET of the service");
    assert!(answer.header("ratelimit").is_some(), "{answer:?}");
    let with = |method: &'static str| [&KEY[..], &["-X", method]].concat();
    edge.ask("/orders/1", &with("POST")).expect(200);
    let forbidden = edge.ask("/orders/1", &with("DELETE"));
    assert_eq!(forbidden.expect(403).json()["code"], "forbidden");

    // What CloudWatch would have shown.
    let metrics = edge.gateway.metrics();
    for line in [
        "tidegate_waf_matches_total{route=\"catalogue\"",
        "tidegate_access_matches_total{route=\"catalogue\"",
        "tidegate_requests_total{route=\"orders\"",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}

#[test]
fn writes_have_a_limit_of_their_own() {
    let edge = Edge::start(None);
    let write = [&KEY[..], &["-X", "POST"]].concat();
    let mut refused = None;
    for _ in 0..60 {
        let answer = edge.ask("/orders/1", &write);
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let refused = refused.expect("five a second and as many at once are not sixty");
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert!(edge.orders.seen().len() < 60);
}

#[test]
fn the_whole_rule_set_of_owasp_stands_in_for_managed_rules() {
    let crs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crs");
    if !crs.join("rules").is_dir() {
        eprintln!("skipped: {} is absent", crs.display());
        return;
    }
    let crs = crs.display();
    let rules =
        format!("          rules: [\"{crs}/crs-setup.conf.example\", \"{crs}/rules/*.conf\"]\n");
    let edge = Edge::start(Some(&rules));
    edge.ask("/catalog/chairs?colour=red&page=2", &[])
        .expect(200);
    for attack in [
        "q=1%27%20UNION%20SELECT%20password%20FROM%20users--",
        "file=../../../../etc/passwd",
        "q=%3Cscript%3Ealert(document.cookie)%3C/script%3E",
        "host=127.0.0.1;cat%20/etc/passwd",
    ] {
        let refused = edge.ask(&format!("/catalog/chairs?{attack}"), &[]);
        assert_eq!(
            refused.expect(403).json()["code"],
            "waf_blocked",
            "{attack}"
        );
    }
    assert_eq!(edge.catalogue.seen().len(), 1);
}

/// The stand-ins of the example: a function, and a service with its database.
struct StandIns {
    process: Running,
    function: String,
    service: String,
}

impl StandIns {
    fn start(database: &Path, addresses: [&str; 2]) -> Option<Self> {
        let mut command = Command::new("python3");
        command.arg(folder().join("aws-edge/stand_ins.py"));
        command.args(["--function", addresses[0], "--service", addresses[1]]);
        command.arg("--database").arg(database);
        if Command::new("python3").arg("--version").output().is_err() {
            eprintln!("skipped: 1 test: python3 is not installed");
            return None;
        }
        let process = Running::start(&mut command);
        let line = process.line_with("\"function\"");
        let told: Value = serde_json::from_str(&line).expect("a line of JSON");
        let address = |name: &str| told[name].as_str().expect("an address").to_owned();
        Some(Self {
            function: address("function"),
            service: address("service"),
            process,
        })
    }
}

#[test]
fn every_hop_from_the_name_to_the_database_does_its_part() {
    let data = tempfile::tempdir().unwrap();
    let database = data.path().join("orders.db");
    let Some(behind) = StandIns::start(&database, ["127.0.0.1:0"; 2]) else {
        return;
    };
    let text = std::fs::read_to_string(folder().join("aws-edge/gate.yaml")).unwrap();
    let text = text
        .replace("\"127.0.0.1:8080\"", "\"127.0.0.1:0\"")
        .replace("\"127.0.0.1:9090\"", "\"127.0.0.1:0\"")
        .replace("127.0.0.1:9001", &behind.function)
        .replace("127.0.0.1:9002", &behind.service);
    let gateway = Gateway::run(&text, &[], &[]);
    let ask = |path: &str, more: &[&str]| gateway.curl(path, &[&HOST[..], more].concat());
    let keyed = |path: &str, more: &[&str]| ask(path, &[&KEY[..], more].concat());

    // Name.
    gateway.curl("/catalog/chairs", &[]).expect(404);
    // Name, firewall, cache, function: it runs once for two who ask.
    let first = ask("/catalog/chairs", &[]).expect(200);
    assert_eq!(first.json()["item"], "chairs");
    assert_eq!(first.header("x-runs"), Some("1"));
    let second = ask("/catalog/chairs", &[]).expect(200);
    assert_eq!(second.header("x-runs"), Some("1"), "the cache answered");
    assert!(second.header("cache-status").unwrap().contains("hit"));
    // The firewall, in front of cache and function.
    let attack = "/catalog/chairs?q=1%27%20OR%20%271%27=%271";
    assert_eq!(ask(attack, &[]).expect(403).json()["code"], "waf_blocked");
    let attack = "/orders/1001?q=1%27%20OR%20%271%27=%271";
    assert_eq!(keyed(attack, &[]).expect(403).json()["code"], "waf_blocked");
    let tables = ask("/catalog/tables", &[]).expect(200);
    assert_eq!(tables.header("x-runs"), Some("2"), "attacks never ran it");
    // Key, plan, role, private service, database.
    let order = [
        "-H",
        "content-type: application/json",
        "-d",
        r#"{"item":"chair"}"#,
    ];
    ask("/orders/1001", &order).expect(401);
    keyed("/orders/1001", &[]).expect(404);
    let made = keyed("/orders/1001", &order).expect(201);
    assert!(made.header("ratelimit").is_some(), "{made:?}");
    assert_eq!(made.json()["item"], "chair");
    let refused = keyed("/orders/1001", &["-X", "DELETE"]).expect(403);
    assert_eq!(refused.json()["code"], "forbidden");
    let stored = |expected: u16| keyed("/orders/1001", &[]).expect(expected);
    assert_eq!(
        stored(200).json()["item"],
        "chair",
        "the role kept it there"
    );
    // The service goes: the edge still has what it kept, and says what it has not.
    let addresses = [behind.function.clone(), behind.service.clone()];
    drop(behind.process);
    let kept = ask("/catalog/chairs", &[]).expect(200);
    assert_eq!(kept.header("x-runs"), Some("1"));
    let gone = keyed("/orders/1001", &[]);
    assert!((502..=504).contains(&gone.status), "{gone:?}");
    // It comes back, and the order is still in its database.
    let again = StandIns::start(&database, [&addresses[0], &addresses[1]]).expect("it ran before");
    let mut answer = None;
    eventually("the service is healthy again", || {
        let found = keyed("/orders/1001", &[]);
        let healthy = found.status == 200;
        answer = Some(found);
        healthy
    });
    assert_eq!(answer.expect("just asked").json()["item"], "chair");
    drop(again.process);
    // What each hop did is in the metrics.
    let metrics = gateway.metrics();
    for line in [
        "tidegate_waf_matches_total{route=\"catalogue\"",
        "tidegate_waf_matches_total{route=\"orders\"",
        "tidegate_policy_answers_total{route=\"catalogue\",policy=\"cache\"}",
        "tidegate_policy_answers_total{route=\"orders\",policy=\"auth_key\"}",
        "tidegate_policy_answers_total{route=\"orders\",policy=\"authorize\"}",
        "tidegate_requests_total{route=\"catalogue\"",
        "tidegate_requests_total{route=\"orders\"",
        "tidegate_upstream_attempts_total{upstream=\"catalogue\"",
        "tidegate_upstream_attempts_total{upstream=\"orders\"",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
}
