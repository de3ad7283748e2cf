//! Several people at work: locks, stale writers, two at once, and what the audit log says of it.

use super::commands::Desk;
use super::fleet::{self, fixed};
use crate::support::curl;
use aws_lc_rs::digest::{SHA256, digest};
use gate_store::control::{Cursor, Keep, Retention, Slice};
use serde_json::Value;
use std::process::{Output, Stdio};

/// Starts a gateway whose API asks for keys: `ada` and `bob` operate, `eve` views, `root` may all.
fn with_people() -> Desk {
    let people = [
        ("ada", "operator"),
        ("bob", "operator"),
        ("eve", "viewer"),
        ("root", "admin"),
    ];
    let keys = people.map(|(name, role)| {
        let hash = digest(&SHA256, key(name).as_bytes());
        let hash: String = hash.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        format!("{name}: {{ sha256: {hash}, role: {role} }}")
    });
    Desk::with(&format!(", keys: {{ {} }}", keys.join(", ")), &key("root"))
}

fn key(name: &str) -> String {
    format!("key-of-{name}-which-nobody-guesses")
}

/// Runs a command as somebody and checks its exit code.
#[track_caller]
fn run_as(desk: &Desk, name: &str, arguments: &[&str], code: i32) -> String {
    let output = desk
        .command(arguments)
        .env("TIDEGATE_KEY", key(name))
        .output();
    let output = output.unwrap();
    let said = text(&output);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{name} {arguments:?} {said}"
    );
    said
}

fn text(output: &Output) -> String {
    let both = [&*output.stdout, &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[test]
fn a_lock_holds_everybody_else_off_and_only_an_admin_breaks_it() {
    let desk = with_people();
    let zero = desk.write("shop.json", &fixed("zero").to_string());
    run_as(&desk, "ada", &["apply", &zero], 0);
    let file = desk.write("shop.json", &fixed("one").to_string());
    run_as(&desk, "ada", &["apply", &file], 0);
    fleet::eventually_serves(&desk.node, "one");
    run_as(&desk, "ada", &["lock", "release week"], 0);
    let file = desk.write("shop.json", &fixed("two").to_string());
    for wrong in [
        &["apply", &file][..],
        &["rollback"],
        &["env", "set", "main", "--var", "A=b"],
    ] {
        let told = run_as(&desk, "bob", wrong, 1);
        assert!(
            told.contains("locked") && told.contains("ada"),
            "{wrong:?} {told}"
        );
    }
    let told = run_as(&desk, "bob", &["unlock"], 1);
    assert!(told.contains("ada") || told.contains("admin"), "{told}");
    run_as(&desk, "bob", &["lock", "mine now"], 1);
    run_as(&desk, "eve", &["lock", "me too"], 1);
    let told = run_as(&desk, "eve", &["apply", &file], 1);
    assert!(told.contains("forbidden"), "{told}");
    run_as(&desk, "ada", &["apply", &file], 0);
    fleet::eventually_serves(&desk.node, "two");
    let shown = run_as(&desk, "eve", &["env", "show", "main"], 0);
    assert!(
        shown.contains("locked by ada") && shown.contains("release week"),
        "{shown}"
    );
    run_as(&desk, "root", &["unlock"], 0);
    let file = desk.write("shop.json", &fixed("three").to_string());
    run_as(&desk, "bob", &["apply", &file], 0);
    fleet::eventually_serves(&desk.node, "three");
    // What was refused is written down, with who it was.
    let audit = run_as(&desk, "root", &["audit", "--limit", "1000"], 0);
    let refused = |why: &str| {
        let lines = audit.lines().filter(|line| line.contains("refused"));
        lines.filter(|line| line.contains(why)).count()
    };
    assert_eq!((refused("bob"), refused("eve")), (5, 2), "{audit}");
    assert_eq!(refused("ada"), 0, "{audit}");
    run_as(&desk, "root", &["audit", "verify"], 0);
    // Nobody, and somebody with a wrong key.
    desk.present("");
    let nobody = desk.command(&["env", "list"]).output().unwrap();
    assert_eq!(nobody.status.code(), Some(1), "{}", text(&nobody));
    let wrong = desk
        .command(&["audit"])
        .env("TIDEGATE_KEY", "wrong")
        .output();
    assert_eq!(wrong.unwrap().status.code(), Some(1));
}

#[test]
fn of_two_writers_at_once_one_wins_and_the_other_is_told() {
    for desk in Desk::all() {
        let other = desk.fleet.node("b", &[]);
        let base = desk.write("shop.json", &fixed("base").to_string());
        desk.run(&["apply", &base], 0);
        let servers = [desk.url(), format!("http://{}", other.address("admin"))];
        for round in 0..3 {
            let seen = desk.json(&["env", "show", "main"])["environment"]["generation"].to_string();
            let children = [0, 1].map(|who| {
                let body = format!("round {round} of {who}");
                // The same name, so that both speak for the same manager.
                let folder = format!("{round}-{who}");
                let file = desk.write_in(&folder, "shop.json", &fixed(&body).to_string());
                let mut command = desk.command(&["apply", &file, "--if-match", &seen]);
                let command = command.env("TIDEGATE_SERVER", &servers[who]);
                let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
                command.spawn().expect("the binary runs")
            });
            let ended = children.map(|child| child.wait_with_output().unwrap());
            let won: Vec<usize> = (0..2).filter(|who| ended[*who].status.success()).collect();
            assert_eq!(won.len(), 1, "{ended:?}");
            let told = text(&ended[1 - won[0]]);
            assert!(
                told.contains("stale") && told.contains("routes.all"),
                "{told}"
            );
            let body = format!("round {round} of {}", won[0]);
            fleet::eventually_serves(&desk.node, &body);
            fleet::eventually_serves(&other, &body);
        }
    }
}

#[test]
fn a_stale_writer_is_told_the_generation_whatever_it_writes() {
    let desk = Desk::start();
    let file = desk.write("shop.json", &fixed("one").to_string());
    desk.run(&["apply", &file], 0);
    let url = format!("{}/api/v1/environments/main", desk.url());
    let seen = desk.api("/environments/main")["generation"]
        .as_u64()
        .unwrap();
    desk.run(&["env", "set", "main", "--var", "WHO=first"], 0);
    let stale = format!("if-match: \"{seen}\"");
    let kind = "content-type: application/json";
    let put =
        |body: &str, url: &str| curl(&["-X", "PUT", "-H", kind, "-H", &stale, "-d", body, url]);
    let refused = put(r#"{"variables":{"WHO":"second"}}"#, &url)
        .expect(412)
        .json();
    assert_eq!(refused["code"], "stale");
    assert_eq!(refused["generation"].as_u64(), Some(seen + 1), "{refused}");
    let route = format!("{url}/resources/routes/all");
    let one = fixed("two")["routes"]["all"].to_string();
    let refused = put(&one, &route).expect(412).json();
    assert_eq!(refused["code"], "stale", "{refused}");
    let refused = curl(&["-X", "DELETE", "-H", &stale, &url])
        .expect(412)
        .json();
    assert_eq!(refused["code"], "stale", "{refused}");
    let now = desk.api("/environments/main");
    assert_eq!(now["variables"]["WHO"], "first");
    fleet::eventually_serves(&desk.node, "one");
    // Environments that are not there, twice made, and removed.
    for wrong in [
        &["env", "show", "nowhere"][..],
        &["env", "remove", "nowhere"],
        &["lock", "why", "--env", "nowhere"],
        &["unlock", "--env", "nowhere"],
        &["confirm", "--env", "nowhere"],
    ] {
        let told = desk.run(wrong, 1);
        assert!(told.contains("not_found"), "{wrong:?} {told}");
    }
    desk.run(&["env", "set", "spare"], 0);
    desk.run(&["lock", "mine", "--env", "spare"], 0);
    assert!(desk.run(&["env", "list"], 0).contains("locked by"));
    desk.run(&["unlock", "--env", "spare"], 0);
    desk.run(&["env", "remove", "spare"], 0);
    assert!(!desk.run(&["env", "list"], 0).contains("spare"));
}

#[test]
fn the_audit_command_says_from_where_it_verifies_and_where_it_breaks() {
    let desk = Desk::start();
    for round in 0..130 {
        desk.fleet.variables(&[("ROUND", &round.to_string())]);
    }
    let told = desk.run(&["audit", "verify"], 0);
    assert!(
        told.contains("entries, unbroken.") && told.contains("Head: "),
        "{told}"
    );
    let everything = Keep {
        newest: 0,
        age_ms: 1,
    };
    let retention = Retention {
        revisions: everything,
        audit: everything,
        states: everything,
        rollouts: everything,
        instances_ms: 0,
    };
    std::thread::sleep(std::time::Duration::from_millis(5));
    let now_ms = gate_kit::clock::Clock::System.unix().as_millis();
    let slice = Slice {
        retention: &retention,
        at: &Cursor::default(),
        most: 50,
        actor: "test",
        now_ms: i64::try_from(now_ms).unwrap(),
    };
    let pruned = desk.fleet.ask(|store| store.prune(&slice).unwrap());
    assert!(pruned.audit >= 130, "{pruned:?}");
    let told = desk.run(&["audit", "verify"], 0);
    let from = format!("unbroken from entry {}", pruned.audit + 1);
    assert!(told.contains(&from), "{told}");
    let found: Value = desk.json(&["audit", "verify"]);
    assert_eq!(found["pruned"].as_u64(), Some(pruned.audit));
    assert!(
        desk.run(&["audit", "--limit", "0"], 0)
            .contains("retention.audit")
    );
    desk.fleet.script("UPDATE audit SET actor = 'eve'");
    let told = desk.run(&["audit", "verify"], 1);
    let entry = format!("Entry {} is not what it was", pruned.audit + 1);
    assert!(told.contains(&entry), "{told}");
}
