//! Runbooks and actions: real gateways, real traffic, a real store.

mod actions;
mod events;
mod guide;
mod people;

use super::commands::Desk;
use super::fleet::{self, Fleet, fixed};
use super::load::Load;
use crate::support::{Reply, Upstream, curl, eventually, eventually_within};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What a test waits for at most.
const LONG: Duration = Duration::from_secs(120);

/// A service whose every answer can be made bad.
struct Service {
    upstream: Upstream,
    is_bad: Arc<AtomicBool>,
}

impl Service {
    fn start(name: &'static str) -> Self {
        Self::failing_with(name, 500)
    }

    fn failing_with(name: &'static str, status: u16) -> Self {
        let is_bad = Arc::new(AtomicBool::new(false));
        let bad = is_bad.clone();
        let upstream = Upstream::start(move |_| match bad.load(Ordering::Relaxed) {
            true => Reply::text("broken").status(status),
            false => Reply::text(name),
        });
        Self { upstream, is_bad }
    }

    fn address(&self) -> &str {
        &self.upstream.address
    }

    fn fail(&self, is_bad: bool) {
        self.is_bad.store(is_bad, Ordering::Relaxed);
    }
}

/// Two endpoints behind every path; nothing but a runbook ejects one.
fn balanced(one: &str, other: &str) -> Value {
    let mut document = fixed("unused");
    document["upstreams"] = json!({ "service": {
        "endpoints": [one, other], "outlier": { "failures": 0 },
    } });
    document["routes"]["all"]["target"] = json!({ "upstream": "service" });
    document
}

/// Takes the endpoint out that fails, and asks the traffic whether that helped.
fn ejecting() -> Value {
    json!({
        "about": "One endpoint of the service fails: call the others.",
        "precondition": {
            "of": { "route": "all" }, "over": "3s", "holds": "share > 0.1", "within": "60s",
        },
        "steps": [{ "name": "take-out", "do": { "act": {
            "action": { "eject": { "upstream": "service" } }, "for": "10m",
        } } }],
        "postcondition": {
            "of": { "route": "all" }, "over": "3s", "holds": "share < 0.01", "within": "10s",
        },
    })
}

fn desk(gateway: &str) -> Desk {
    let fleet = Fleet::sqlite();
    let folder = fleet.folder_with("a", &format!("workers: 1{gateway}"), "", "");
    Desk::in_folder(fleet, folder)
}

impl Desk {
    fn apply_document(&self, document: &Value) -> String {
        self.try_document(document, 0)
    }

    /// Applies a document under the name of those before it, so that it owns what they did.
    fn try_document(&self, document: &Value, code: i32) -> String {
        let file = self.write("document.json", &document.to_string());
        self.run(&["apply", &file], code)
    }

    /// The only run, once it says this of itself.
    #[track_caller]
    fn only_run(&self, what: &str, mut holds: impl FnMut(&Value) -> bool) -> Value {
        let mut shown = Value::Null;
        eventually_within(LONG, what, || {
            let runs = self.json(&["runbooks", "runs"]);
            let Some(one) = runs.as_array().unwrap().first() else {
                return false;
            };
            shown = self.json(&["runbooks", "show", one["id"].as_str().unwrap()]);
            holds(&shown)
        });
        let runs = self.json(&["runbooks", "runs"]);
        assert_eq!(runs.as_array().unwrap().len(), 1, "{runs}");
        shown
    }

    #[track_caller]
    fn ended(&self) -> Value {
        self.only_run("the run has ended", |shown| shown["run"]["is_over"] == true)
    }

    fn actions(&self) -> Vec<Value> {
        self.json(&["actions", "list"]).as_array().unwrap().clone()
    }
}

fn text(shown: &Value) -> String {
    let lines = shown["lines"].as_array().unwrap().iter();
    let lines = lines.map(|line| format!("{}: {}", line["of"], line["text"]));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn an_incident_has_its_runbook_eject_what_fails() {
    let (good, bad) = (Service::start("good"), Service::start("good"));
    let desk = desk("");
    let mut document = balanced(good.address(), bad.address());
    document["objectives"] = json!({ "available": { "target": "99 %" } });
    let mut book = ejecting();
    book["on"] = json!([{ "incident": { "objective": "available" } }]);
    document["runbooks"] = json!({ "eject": book });
    desk.apply_document(&document);
    fleet::eventually_serves(&desk.node, "good");
    let load = Load::start(&desk.node.late_address("public"), 2);
    let asked = || {
        let shown = fleet::admin(&desk.node, "/api/v1/objectives/available");
        shown.status == 200 && shown.json()["total"].as_u64() >= Some(500)
    };
    eventually_within(LONG, "there is traffic", asked);
    bad.fail(true);
    let shown = desk.ended();
    assert_eq!(shown["run"]["state"], "done", "{}", text(&shown));
    let acting = desk.actions();
    assert_eq!(acting.len(), 1, "{acting:?}");
    assert_eq!(acting[0]["action"]["eject"]["endpoint"], bad.address());
    (0..30).for_each(|_| fleet::serves(&desk.node, "good"));
    load.end();
    // The incident tells what was done, and links to the run.
    let incident = shown["run"]["incident"].as_str().expect("an incident");
    let mut told = Value::Null;
    eventually("the incident knows of the run's end", || {
        told = desk.json(&["incidents", "show", incident]);
        told.to_string().contains("runbook eject, end: done")
    });
    let facts = told["facts"].as_array().unwrap().iter();
    let of_run = facts.filter(|fact| fact.to_string().contains("runbook eject, take-out"));
    let link = format!("runbook-runs/{}", shown["run"]["id"].as_str().unwrap());
    assert!(of_run.clone().count() > 0, "{told}");
    assert!(
        of_run.clone().all(|fact| fact.to_string().contains(&link)),
        "{told}"
    );
    assert_eq!(desk.api(&format!("/{link}"))["run"]["state"], "done");
    let audit = desk.run(&["audit"], 0);
    assert!(
        audit.contains("startRun") && audit.contains("act"),
        "{audit}"
    );
    // Undone, the endpoint is called again.
    let id = acting[0]["id"].as_str().unwrap();
    desk.run(&["actions", "undo", id, "--reason", "it is mended"], 0);
    fleet::eventually_answers(&desk.node, &[], 500);
    assert!(desk.actions().is_empty());
}

#[test]
fn what_does_not_help_is_undone() {
    let (one, other) = (Service::start("good"), Service::start("good"));
    let desk = desk("");
    let mut document = balanced(one.address(), other.address());
    document["runbooks"] = json!({ "eject": ejecting() });
    desk.apply_document(&document);
    fleet::eventually_serves(&desk.node, "good");
    let load = Load::start(&desk.node.late_address("public"), 2);
    one.fail(true);
    other.fail(true);
    let dry = desk.json(&["runbooks", "run", "eject", "--dry-run", "--wait", "60"]);
    assert_eq!(dry["run"]["state"], "done", "{dry}");
    assert!(
        text(&dry).contains("would eject the worst endpoint of service, for 10m"),
        "{dry}"
    );
    assert!(desk.actions().is_empty());
    let said = desk.run(
        &["runbooks", "run", "eject", "--key", "k", "--wait", "100"],
        1,
    );
    assert!(
        said.contains("failed") && said.contains("no longer in force"),
        "{said}"
    );
    assert!(desk.actions().is_empty());
    // Both are called again.
    one.fail(false);
    fleet::eventually_serves(&desk.node, "good");
    other.fail(false);
    one.fail(true);
    fleet::eventually_serves(&desk.node, "good");
    load.end();
    let again = desk.run(&["runbooks", "run", "eject", "--key", "k"], 1);
    assert!(again.contains("has started run"), "{again}");
}

/// A program that says that it was run, and takes its time.
fn program(folder: &std::path::Path, lasts: &str) -> (String, String) {
    let (program, counter) = (folder.join("step.sh"), folder.join("counter"));
    let script = format!(
        "#!/bin/sh\necho run >> {}\necho \"$@\"\nsleep {lasts}\n",
        counter.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    (program.display().to_string(), counter.display().to_string())
}

fn with_command(program: &str, arguments: &[&str], idempotent: bool) -> Value {
    let mut document = fixed("served");
    document["runbooks"] = json!({ "restart": {
        "about": "Restarts the service.",
        "steps": [{ "name": "restart", "idempotent": idempotent, "do": { "command": {
            "program": program, "arguments": arguments, "timeout": "60s",
        } } }],
    } });
    document
}

fn allows(program: &str) -> String {
    format!(", runbooks: {{ commands: [{{ program: {program}, arguments: [now] }}] }}")
}

#[test]
fn a_gateway_that_dies_in_a_step_does_not_do_it_again() {
    let folder = tempfile::tempdir().unwrap();
    for (idempotent, times, state) in [(false, 1, "unknown"), (true, 2, "done")] {
        let lasts = if idempotent { "3" } else { "20" };
        let (program, counter) = program(folder.path(), lasts);
        let _ = std::fs::remove_file(&counter);
        let mut desk = desk(&allows(&program));
        desk.apply_document(&with_command(&program, &["now"], idempotent));
        fleet::eventually_serves(&desk.node, "served");
        desk.run(&["runbooks", "run", "restart"], 0);
        let runs = || {
            std::fs::read_to_string(&counter)
                .unwrap_or_default()
                .lines()
                .count()
        };
        eventually_within(LONG, "the program runs", || runs() == 1);
        desk.kill();
        let shown = desk.ended();
        assert_eq!(shown["run"]["state"], state, "{}", text(&shown));
        assert_eq!(runs(), times, "{}", text(&shown));
    }
}

#[test]
fn only_allowed_programs_are_run() {
    let folder = tempfile::tempdir().unwrap();
    let (program, counter) = program(folder.path(), "0");
    let desk = desk(&allows(&program));
    let runs = || {
        std::fs::read_to_string(&counter)
            .unwrap_or_default()
            .lines()
            .count()
    };
    let refused = "failed: `gateway.runbooks.commands` does not allow";
    for (program, arguments) in [(&*program, &["later"][..]), ("/bin/sh", &["now"])] {
        let said = desk.apply_document(&with_command(program, arguments, false));
        assert!(said.contains("command_refused"), "{said}");
        fleet::eventually_serves(&desk.node, "served");
        let is_refused = || {
            let said = desk.run_any(&["runbooks", "run", "restart", "--wait", "60"]);
            said.contains(refused) && said.contains(program)
        };
        eventually_within(LONG, "it is refused", is_refused);
    }
    assert_eq!(runs(), 0);
    desk.apply_document(&with_command(&program, &["now", "password=hunter2"], false));
    let mut said = String::new();
    eventually_within(LONG, "it is run", || {
        said = desk.run_any(&["runbooks", "run", "restart", "--wait", "60"]);
        said.contains("ended well: now password=[redacted]")
    });
    assert!(!said.contains("hunter2"), "{said}");
    // What the operator takes off the list is refused from then on, whatever the revision says.
    let file = desk.node.file();
    let written = std::fs::read_to_string(&file).unwrap();
    let denied = written.replace(&allows(&program), "");
    assert_ne!(denied, written);
    std::fs::write(&file, denied).unwrap();
    let is_refused = || {
        let said = desk.run_any(&["runbooks", "run", "restart", "--wait", "60"]);
        said.contains(refused)
    };
    eventually_within(LONG, "it is refused", is_refused);
    let before = runs();
    assert!(is_refused());
    assert_eq!(runs(), before);
}

impl Desk {
    /// What a command says, however it ends.
    fn run_any(&self, arguments: &[&str]) -> String {
        let mut command = crate::support::command(arguments);
        let output = command.env("TIDEGATE_SERVER", self.url()).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}

/// A request with a header.
fn with_header(desk: &Desk, header: &str) -> u16 {
    let url = format!("http://{}/", desk.node.late_address("public"));
    curl(&["--max-time", "20", "-H", header, &url]).status
}
