//! The firewall as people run it: `tidegate waf check` over rule files, `tidegate waf tune` over what
//! a gateway in mode `detect` found, and the exclusion that comes of it.

use crate::support::gateway::{command, tidegate};
use crate::support::{Answer, Gateway, Reply, Upstream, curl, eventually};
use serde_json::Value;

/// Rules in the manner of CRS: two score, one sums up.
const RULES: &str = r#"SecAction "id:900,phase:1,pass,nolog,setvar:tx.blocking_inbound_anomaly_score=0"
SecRule ARGS|REQUEST_HEADERS:User-Agent "@rx (?i)\bunion\b.{0,40}\bselect\b" "id:942190,phase:2,pass,log,msg:'SQL union',severity:CRITICAL,tag:'attack-sqli',setvar:tx.blocking_inbound_anomaly_score=+5"
SecRule ARGS "@detectXSS" "id:941100,phase:2,pass,log,msg:'Script',severity:CRITICAL,tag:'attack-xss',setvar:tx.blocking_inbound_anomaly_score=+5"
SecRule TX:BLOCKING_INBOUND_ANOMALY_SCORE "@ge 5" "id:949110,phase:2,deny,log,msg:'Too much'"
"#;

/// What people write to this shop, and what the first rule takes for an attack.
const COMMENT: &str = "comment=The%20union%20will%20select%20a%20new%20chair%20tomorrow";

fn gateway(upstream: &Upstream) -> Gateway {
    let text = format!(
        "gateway:
  admin: {{ address: \"127.0.0.1:0\" }}
  access_log: {{ to: {{ file: {{ path: access.log }} }}, format: json, sample: 1% }}
listeners: {{ public: {{ address: \"127.0.0.1:0\" }} }}
upstreams: {{ shop: {{ endpoints: [\"{}\"] }} }}
routes:
  shop:
    match: {{ path: \"/{{*rest}}\" }}
    policies:
    - waf:
        rules: [rules.conf]
        mode: detect
    target: {{ upstream: shop }}
",
        upstream.address
    );
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("gate.yaml"), text).expect("written");
    std::fs::write(folder.path().join("rules.conf"), RULES).expect("written");
    Gateway::run_in(std::sync::Arc::new(folder), &[], &[])
}

/// A gateway with a route for each mode, named after it, over rules that look at answers, too.
fn modes(upstream: &Upstream) -> Gateway {
    let route = |name: &str, more: &str| {
        format!(
            "  {name}:\n    match: {{ path: \"/{name}/{{*rest}}\" }}\n    policies: [{{ waf: {{ rules: [rules.conf], \
             mode: {name}{more} }} }}]\n    target: {{ upstream: shop }}\n"
        )
    };
    let text = format!(
        "gateway:
  admin: {{ address: \"127.0.0.1:0\" }}
  access_log: {{ to: {{ file: {{ path: access.log }} }}, format: json }}
listeners: {{ public: {{ address: \"127.0.0.1:0\" }} }}
upstreams: {{ shop: {{ endpoints: [\"{}\"] }} }}
routes:
{}{}{}{}",
        upstream.address,
        route("block", ""),
        route("detect", ""),
        route("count", ""),
        route("sample", ", share: 50%"),
    );
    let rules = format!(
        "{RULES}SecResponseBodyAccess On\nSecResponseBodyMimeType text/plain\n\
         SecRule RESPONSE_BODY \"@rx ORA-[0-9]+\" \"id:951120,phase:4,deny,log,msg:'Leak',tag:'leak'\"\n"
    );
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("gate.yaml"), text).expect("written");
    std::fs::write(folder.path().join("rules.conf"), rules).expect("written");
    Gateway::run_in(std::sync::Arc::new(folder), &[], &[])
}

/// How often the first rule matched on a route, as the metrics count it.
fn counted(gateway: &Gateway, route: &str) -> u64 {
    let page = gateway.metrics();
    let line = page.lines().find(|line| {
        line.starts_with("tidegate_waf_matches_total{")
            && line.contains(&format!("route=\"{route}\""))
            && line.contains("942190")
    });
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or(0)
}

/// Whole rows of the access log.
fn rows(gateway: &Gateway) -> Vec<Value> {
    let text = std::fs::read_to_string(gateway.path().join("access.log")).unwrap_or_default();
    let rows = text.lines().map(serde_json::from_str);
    // The last may still be on its way.
    rows.filter_map(Result::ok).collect()
}

#[test]
fn every_mode_does_what_it_says_and_answers_are_looked_at_too() {
    let shop = Upstream::start(|seen| match seen.target.as_str() {
        "/block/leak" => Reply::text("ORA-00933: SQL command not properly ended"),
        _ => Reply::text("ok"),
    });
    let gateway = modes(&shop);
    let attack = |mode: &str| format!("/{mode}/?id=1%20union%20select%20secretword%20from%20users");
    let refused = gateway.curl(&attack("block"), &[]).expect(403);
    assert_eq!(refused.json()["code"], "waf_blocked");
    gateway.curl("/block/leak", &[]).expect(403);
    gateway.curl("/block/fine", &[]).expect(200);
    for mode in ["detect", "count"] {
        gateway.curl(&attack(mode), &[]).expect(200);
    }
    for _ in 0..60 {
        gateway.curl(&attack("sample"), &[]).expect(200);
    }
    eventually("matches are counted in every mode", || {
        let once = ["block", "detect", "count"].map(|mode| counted(&gateway, mode));
        once == [1; 3] && counted(&gateway, "sample") >= 10
    });
    let sampled = counted(&gateway, "sample");
    assert!(sampled <= 50, "a share, and not {sampled} of 60");

    eventually("all are logged", || rows(&gateway).len() >= 65);
    let rows = rows(&gateway);
    let matched = |route: &str| -> Vec<String> {
        let of_route = rows.iter().filter(|row| row["route"] == route);
        let waf = of_route.map(|row| row["waf"].to_string());
        waf.filter(|waf| waf.contains("942190")).collect()
    };
    for waf in matched("block").iter().chain(&matched("detect")) {
        assert!(
            waf.contains("ARGS:id") && !waf.contains("secretword"),
            "{waf}"
        );
    }
    assert_eq!(
        ["block", "detect", "count"].map(|mode| matched(mode).len()),
        [1, 1, 0]
    );
}

/// Asks from an address of this machine's loopback network.
fn from(gateway: &Gateway, address: &str, path: &str) -> Answer {
    gateway.curl(path, &["--interface", address])
}

/// Runs `tidegate waf` in a gateway's folder; what it printed.
fn waf(gateway: &Gateway, arguments: &[&str]) -> String {
    let arguments = [&["waf"], arguments].concat();
    let mut command = command(&arguments);
    let output = command.current_dir(gateway.path()).output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn admin(gateway: &Gateway, path: &str) -> Value {
    let url = format!("http://{}/api/v1{path}", gateway.address("admin"));
    curl(&[&url]).expect(200).json()
}

/// Ten people comment from three places; one attacker tries one thing often, and another once.
fn traffic(gateway: &Gateway) {
    for at in 0..10 {
        let address = format!("127.0.0.{}", 2 + at % 3);
        from(gateway, &address, &format!("/orders?{COMMENT}&n={at}")).expect(200);
    }
    for _ in 0..12 {
        let attack = "/orders?id=1%20union%20select%20password%20from%20users";
        from(gateway, "127.0.0.9", attack).expect(200);
    }
    from(
        gateway,
        "127.0.0.9",
        "/orders?q=%3Cscript%3Ealert(1)%3C/script%3E",
    )
    .expect(200);
    from(gateway, "127.0.0.2", "/orders?q=chairs").expect(200);
}

#[test]
fn an_exclusion_learnt_from_traffic_lets_people_pass_and_attacks_not() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    traffic(&gateway);
    let log = gateway.path().join("access.log");
    // Rows of what would have been refused are never sampled away.
    eventually("all detections are in the log", || {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        text.lines()
            .filter(|line| line.contains("\"action\":\"detected\""))
            .count()
            == 23
    });
    let text = std::fs::read_to_string(&log).expect("the log");
    for secret in ["password", "chair tomorrow", "alert(1)"] {
        let kept = text.lines().filter_map(|line| {
            let row: Value = serde_json::from_str(line).expect("JSON");
            Some(row.get("waf")?.to_string())
        });
        assert!(
            kept.into_iter().all(|facts| !facts.contains(secret)),
            "{secret}"
        );
    }

    // One exclusion, for one rule and one member; what one caller alone sends is no evidence.
    let told = waf(&gateway, &["tune", "access.log"]);
    let wanted = "  - { rule: 942190, target: \"ARGS:comment\" }  # SQL union: 10 matches, 10 refused, 3 callers; seen as";
    assert!(
        told.starts_with("# route shop\nexclude:\n") && told.contains(wanted),
        "{told}"
    );
    assert_eq!(told.lines().count(), 3, "{told}");
    let rows: Value =
        serde_json::from_str(&waf(&gateway, &["tune", "--json", "access.log"])).expect("JSON");
    assert_eq!(rows.as_array().map(Vec::len), Some(1));
    assert_eq!(rows[0]["target"], "ARGS:comment");
    let none = waf(
        &gateway,
        &[
            "tune",
            "--route",
            "elsewhere",
            "--matches",
            "1",
            "access.log",
        ],
    );
    assert!(none.starts_with("Nothing to suggest"), "{none}");

    // It is put into the document, and the gateway blocks from then on.
    let entry = told
        .lines()
        .nth(2)
        .and_then(|line| line.split("  #").next())
        .expect("an entry")
        .trim_start()
        .to_owned();
    gateway.rewrite(|text| {
        text.replace(
            "        mode: detect\n",
            &format!("        mode: block\n        exclude:\n        {entry}\n"),
        )
    });
    eventually("the firewall blocks", || {
        let attack = "/orders?id=1%20union%20select%20password%20from%20users";
        gateway.curl(attack, &[]).status == 403
    });
    gateway.curl(&format!("/orders?{COMMENT}"), &[]).expect(200);
    let other = COMMENT.replace("comment", "title");
    let refused = gateway.curl(&format!("/orders?{other}"), &[]).expect(403);
    assert_eq!(refused.json()["code"], "waf_blocked");
    let script = "/orders?comment=%3Cscript%3Ealert(1)%3C/script%3E";
    gateway.curl(script, &[]).expect(403);
    gateway
        .curl("/orders", &["-A", "x union all select 1"])
        .expect(403);
}

#[test]
fn matches_and_suggestions_are_shown_by_the_admin_api() {
    let upstream = Upstream::echo();
    let gateway = gateway(&upstream);
    traffic(&gateway);
    eventually("all matches are there", || {
        let rows = admin(&gateway, "/firewall/matches?limit=1000");
        // Each detection is one rule's match, and that of the sum.
        rows["items"].as_array().map(Vec::len) == Some(46)
    });
    let scripts = admin(&gateway, "/firewall/matches?rule=941100");
    let one = &scripts["items"][0];
    assert_eq!(scripts["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&one["variable"], &one["action"], &one["client"]),
        (&"ARGS:q".into(), &"detected".into(), &"127.0.0.9".into())
    );
    assert_eq!(one["shape"], "<aaaaaa>aaaaa(9)</aaaaaa>");
    assert_eq!(
        (&one["inbound_score"], &one["status"]),
        (&5.into(), &200.into())
    );
    let newest = admin(&gateway, "/firewall/matches?variable=ARGS&limit=2");
    assert_eq!(
        newest["items"][0]["rule"], 941_100,
        "the newest comes first"
    );
    assert!(newest["next"].is_string());
    let none = admin(&gateway, "/firewall/matches?action=blocked");
    assert_eq!(none["items"].as_array().map(Vec::len), Some(0));
    let url = format!(
        "http://{}/api/v1/firewall/matches?action=denied",
        gateway.address("admin")
    );
    curl(&[&url]).expect(400);

    let found = admin(&gateway, "/firewall/suggestions");
    assert_eq!(found["items"].as_array().map(Vec::len), Some(1), "{found}");
    let one = &found["items"][0];
    assert_eq!(one["yaml"], "{ rule: 942190, target: \"ARGS:comment\" }");
    assert_eq!(
        (&one["matches"], &one["callers"], &one["route"]),
        (&10.into(), &3.into(), &"shop".into())
    );
    let more = admin(&gateway, "/firewall/suggestions?matches=1&callers=1");
    assert_eq!(more["items"].as_array().map(Vec::len), Some(3), "{more}");
}

#[test]
fn check_says_what_rule_files_hold_and_what_is_wrong_with_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let good = file("good.conf", RULES);
    let output = tidegate(&["waf", "check", &good]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("run only where a value can match"), "{said}");
    let bad = file(
        "bad.conf",
        "SecRule ARGS \"@rx a\" \"id:1,phase:2,pass\"\n\nSecRule ARGS \"@rx (\" \"id:2,phase:2,pass\"\nSecRule ARGZ \"@rx a\" \"id:3,phase:2,pass\"\n",
    );
    let output = tidegate(&["waf", "check", &good, &bad]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for place in [":3:", ":4:"] {
        assert!(said.contains(&format!("{bad}{place}")), "{said}");
    }
    let output = tidegate(&["waf", "check", "--json", &bad]);
    let rows: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let lines: Vec<_> = rows
        .as_array()
        .expect("a list")
        .iter()
        .map(|row| row["line"].as_u64())
        .collect();
    assert_eq!(lines, [Some(3), Some(4)]);
}

/// The commands of the guide, as they stand there, over Debian's package of CRS.
#[test]
fn the_guides_commands_work() {
    let guide = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/guides/from-cloudfront-and-waf.md"
    );
    let guide = std::fs::read_to_string(guide).expect("the guide");
    let blocks: Vec<&str> = guide.split("```sh\n").skip(1).collect();
    let blocks: Vec<&str> = blocks
        .iter()
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert_eq!(blocks.len(), 2, "{blocks:?}");
    if !std::path::Path::new("/usr/share/modsecurity-crs/rules").is_dir() {
        return eprintln!("skipped: the package modsecurity-crs is not installed");
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::os::unix::fs::symlink(
        env!("CARGO_BIN_EXE_tidegate"),
        folder.path().join("tidegate"),
    )
    .expect("linked");
    std::fs::write(folder.path().join("access.log"), "").expect("written");
    let run = |block: &str| {
        let path = std::env::var("PATH").unwrap_or_default();
        let output = std::process::Command::new("bash")
            .args(["-euo", "pipefail", "-c", block])
            .env("PATH", format!("{}:{path}", folder.path().display()))
            .current_dir(folder.path())
            .output()
            .expect("a shell");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{block}: {errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = run(&format!("{} 2>&1", blocks[0].trim_end()));
    assert!(said.contains("run only where a value can match"), "{said}");
    assert!(said.contains("ids protect from nothing here"), "{said}");
    run(blocks[1]);
}
