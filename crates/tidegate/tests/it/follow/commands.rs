//! The commands of the control plane against a running gateway, and the API's own faces beside them.

use super::fleet::{self, Fleet, fixed};
use crate::support::gateway::command;
use crate::support::{Gateway, curl};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::process::{Command, Output};
use std::sync::Arc;

/// A gateway that follows `main`, and a folder for files.
pub(super) struct Desk {
    pub(super) node: Gateway,
    folder: tempfile::TempDir,
    pub(super) fleet: Fleet,
    /// The key that commands present; none where it is empty.
    key: RefCell<String>,
}

impl Desk {
    /// One on SQLite.
    pub(super) fn start() -> Self {
        Self::on(Fleet::sqlite(), "", &[])
    }

    /// One on SQLite, and one on PostgreSQL where that is installed.
    pub(super) fn all() -> Vec<Self> {
        let fleets = Fleet::all().into_iter();
        fleets.map(|fleet| Self::on(fleet, "", &[])).collect()
    }

    /// One whose `gateway.store` has these settings besides.
    pub(super) fn on(fleet: Fleet, settings: &str, files: &[(&str, &str)]) -> Self {
        let folder = fleet.folder("a", settings);
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        Self::in_folder(fleet, folder)
    }

    /// One whose gateway runs in this folder.
    pub(super) fn in_folder(fleet: Fleet, folder: Arc<tempfile::TempDir>) -> Self {
        let this = Self::unprepared(fleet, folder);
        this.run(&["env", "set", "main"], 0);
        this
    }

    /// One on SQLite with more of `gateway.admin`, and a key for the commands.
    pub(super) fn with(admin: &str, key: &str) -> Self {
        let fleet = Fleet::sqlite();
        let folder = fleet.folder_with("a", "workers: 1", admin, "");
        let this = Self::unprepared(fleet, folder);
        this.present(key);
        this.run(&["env", "set", "main"], 0);
        this
    }

    /// The same, where nobody has made the environment yet.
    pub(super) fn unprepared(fleet: Fleet, folder: Arc<tempfile::TempDir>) -> Self {
        Self {
            node: fleet.restart(folder, &[]),
            folder: tempfile::tempdir().unwrap(),
            fleet,
            key: RefCell::new(String::new()),
        }
    }

    /// Presents another key from here on.
    pub(super) fn present(&self, key: &str) {
        key.clone_into(&mut self.key.borrow_mut());
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.node.address("admin"))
    }

    /// Runs a command and checks its exit code.
    #[track_caller]
    pub(super) fn run(&self, arguments: &[&str], code: i32) -> String {
        let output = self.output(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}\n{text}\n{errors}"
        );
        format!("{text}{errors}")
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary runs")
    }

    /// A command that talks to this gateway.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(arguments);
        command.env("TIDEGATE_SERVER", self.url());
        let key = self.key.borrow();
        if !key.is_empty() {
            command.env("TIDEGATE_KEY", &*key);
        }
        command
    }

    /// The file of this gateway.
    pub(super) fn file(&self) -> String {
        self.node.file().display().to_string()
    }

    /// Kills the gateway and starts it again in its folder.
    pub(super) fn kill(&mut self) {
        let folder = self.node.folder.clone();
        self.node.process.child.kill().unwrap();
        self.node.process.ended();
        self.node = self.fleet.restart(folder, &[]);
    }

    /// What a command prints as JSON.
    #[track_caller]
    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.output(&[arguments, &["--json"]].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
    }

    pub(super) fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// The same in a folder of its own.
    pub(super) fn write_in(&self, folder: &str, name: &str, text: &str) -> String {
        std::fs::create_dir_all(self.folder.path().join(folder)).unwrap();
        self.write(&format!("{folder}/{name}"), text)
    }

    pub(super) fn api(&self, path: &str) -> Value {
        curl(&[&format!("{}/api/v1{path}", self.url())])
            .expect(200)
            .json()
    }
}

#[test]
fn a_change_is_planned_applied_listed_compared_and_taken_back() {
    let desk = Desk::start();
    let file = desk.write("shop.json", &fixed("one").to_string());
    let plan = desk.run(&["plan", &file], 2);
    assert!(plan.contains("+ routes.all"), "{plan}");
    assert!(
        plan.contains("2 to create, 0 to change, 0 to remove."),
        "{plan}"
    );
    let applied = desk.json(&["apply", &file, "-m", "the first", "--source-commit", "abc"]);
    let first = applied["revision"]["number"].as_u64().unwrap();
    assert_eq!(applied["revision"]["message"], "the first");
    fleet::eventually_serves(&desk.node, "one");
    assert!(desk.run(&["plan", &file], 0).contains("Nothing to change."));

    let file = desk.write("shop.json", &fixed("two").to_string());
    let plan = desk.run(&["plan", &file], 2);
    assert!(
        plan.contains(r#"target.fixed.body: "one" -> "two""#),
        "{plan}"
    );
    assert!(
        desk.run(&["apply", &file, "--dry-run"], 0)
            .contains("1 to change")
    );
    fleet::serves(&desk.node, "one");
    desk.run(&["apply", &file], 0);
    fleet::eventually_serves(&desk.node, "two");

    let diff = desk.json(&["diff", &first.to_string(), &(first + 1).to_string()]);
    assert_eq!(diff["changes"][0]["fields"][0]["after"], "two");
    desk.run(&["rollback", "-m", "no good"], 0);
    fleet::eventually_serves(&desk.node, "one");
    let revisions = desk.json(&["revisions"]);
    assert_eq!(revisions[0]["cause"], "rollback");
    assert_eq!(revisions[0]["digest"], revisions[2]["digest"]);
    let audit = desk.run(&["audit"], 0);
    assert!(audit.contains("environments/main"), "{audit}");
    assert!(desk.run(&["audit", "verify"], 0).contains("unbroken"));
    let shown = desk.run(&["env", "show", "main"], 0);
    assert!(shown.contains("applied"), "{shown}");
}

#[test]
fn variables_differ_between_environments_and_a_promotion_keeps_the_digest() {
    let desk = Desk::start();
    desk.run(
        &[
            "env",
            "set",
            "main",
            "--var",
            "WHO=main",
            "--promotes-to",
            "production",
        ],
        0,
    );
    desk.run(&["env", "set", "production", "--var", "WHO=production"], 0);
    let file = desk.write("shop.json", &fixed("hello from ${vars.WHO}").to_string());
    let applied = desk.json(&["apply", &file]);
    fleet::eventually_serves(&desk.node, "hello from main");
    let promoted = desk.json(&["promote", "main"]);
    assert_eq!(promoted["environment"]["name"], "production");
    assert_eq!(
        promoted["revision"]["digest"],
        applied["revision"]["digest"]
    );
    // What would not compile over there is refused here and now.
    desk.run(&["env", "set", "production", "--unset", "WHO"], 1);
    desk.run(&["env", "set", "main", "--var", "1=2"], 1);
    let file = desk.write("shop.json", &fixed("${vars.MISSING}").to_string());
    let refused = desk.run(&["apply", &file], 1);
    assert!(refused.contains("missing_variable"), "{refused}");
    fleet::serves(&desk.node, "hello from main");
}

#[test]
fn who_comes_too_late_is_told_what_changed_and_a_lock_holds_others_off() {
    let desk = Desk::start();
    let file = desk.write("shop.json", &fixed("one").to_string());
    desk.run(&["apply", &file], 0);
    let seen = desk.json(&["env", "show", "main"])["environment"]["generation"].clone();
    let other = desk.write("shop.json", &fixed("two").to_string());
    desk.run(&["apply", &other], 0);
    let late = desk.write("shop.json", &fixed("three").to_string());
    let refused = desk.run(&["apply", &late, "--if-match", &seen.to_string()], 1);
    assert!(
        refused.contains("stale") && refused.contains("routes.all"),
        "{refused}"
    );
    // Somebody else's resources stay theirs.
    let mine = desk.write("other.json", &fixed("mine").to_string());
    let refused = desk.run(&["apply", &mine], 1);
    assert!(refused.contains("owned_elsewhere"), "{refused}");
    desk.run(&["apply", &mine, "--take-over"], 0);
    fleet::eventually_serves(&desk.node, "mine");
    assert!(
        desk.run(&["lock", "release week"], 0)
            .contains("release week")
    );
    desk.run(&["unlock"], 0);
}

#[test]
fn what_is_not_confirmed_goes_back() {
    let desk = Desk::start();
    let file = desk.write("shop.json", &fixed("good").to_string());
    desk.run(&["apply", &file], 0);
    let file = desk.write("shop.json", &fixed("on trial").to_string());
    let told = desk.run(&["apply", &file, "--confirm-within", "2s"], 0);
    assert!(told.contains("tidegate confirm"), "{told}");
    fleet::eventually_serves(&desk.node, "on trial");
    fleet::eventually_serves(&desk.node, "good");
    desk.run(&["apply", &file, "--confirm-within", "3s"], 0);
    desk.run(&["confirm"], 0);
    std::thread::sleep(std::time::Duration::from_secs(4));
    fleet::serves(&desk.node, "on trial");
}

#[test]
fn every_face_yields_the_same_document() {
    let desk = Desk::start();
    let yaml = "listeners:\n  public: { address: \"127.0.0.1:0\" }\nroutes:\n  all:\n    match: { path: \"/{*rest}\" }\n    target: { fixed: { status: 200, body: same } }\n";
    let from_yaml = desk.json(&["apply", &desk.write("shop.yaml", yaml)]);
    let digest = &from_yaml["revision"]["digest"];
    // The same in JSON, keys in another order, changes nothing.
    let text = r#"{"routes":{"all":{"target":{"fixed":{"body":"same","status":200}},"match":{"path":"/{*rest}"}}},"listeners":{"public":{"address":"127.0.0.1:0"}},"models":{}}"#;
    let json_file = desk.write("shop.json", text);
    desk.run(&["plan", &json_file], 0);
    // Resource by resource over REST, in an environment of its own.
    desk.run(&["env", "set", "other"], 0);
    let document = desk.api(&format!(
        "/revisions/{}/document",
        from_yaml["revision"]["number"]
    ));
    for (kind, resources) in document["document"].as_object().unwrap() {
        for (name, value) in resources.as_object().unwrap() {
            let url = format!(
                "{}/api/v1/environments/other/resources/{kind}/{name}",
                desk.url()
            );
            let generation = desk.api("/environments/other")["generation"].clone();
            let tag = format!("if-match: \"{generation}\"");
            let body = value.to_string();
            let put = [
                "-X",
                "PUT",
                "-H",
                "content-type: application/json",
                "-H",
                &tag,
                "-d",
                &body,
                &url,
            ];
            let answer = curl(&put);
            assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        }
    }
    let revision = desk.api("/environments/other")["revision"].clone();
    assert_eq!(
        &desk.api(&format!("/revisions/{revision}"))["digest"],
        digest
    );
}

#[test]
fn nonsense_is_refused_at_its_place_and_changes_nothing() {
    let desk = Desk::start();
    let file = desk.write("shop.json", &fixed("kept").to_string());
    desk.run(&["apply", &file], 0);
    let before = desk.api("/environments/main");
    let cases = [
        (
            "routes:\n  all:\n    matsch: {}\n",
            "shop.yaml:3:5: error[unknown_field]",
        ),
        (
            "routes:\n  all: { match: { path: 7 }, target: { upstream: x } }\n",
            "wrong_type",
        ),
        (
            "routes:\n  all: { match: { path: /a }, target: { upstream: nowhere } }\n",
            "unknown_reference",
        ),
        ("routes:\n  all: {}\n  all: {}\n", "duplicate_key"),
        ("gateway: { workers: 1 }\n", "process_scoped"),
        ("nonsense: { a: {} }\n", "unknown_field"),
        ("routes: [", "error["),
    ];
    for (text, expected) in cases {
        let file = desk.write("shop.yaml", text);
        for action in ["plan", "apply"] {
            let refused = desk.run(&[action, &file, "--manager", "file:shop"], 1);
            assert!(refused.contains(expected), "{text}\n{refused}");
        }
    }
    let huge = desk.write("huge.yaml", &"x".repeat(50 << 20));
    assert!(desk.run(&["apply", &huge], 1).contains("larger than"));
    let url = format!("{}/api/v1/environments/main/revisions", desk.url());
    let body = format!("@{huge}");
    let answer = curl(&[
        "-H",
        "content-type: application/json",
        "--data-binary",
        &body,
        &url,
    ]);
    assert!(matches!(answer.status, 413 | 0), "{answer:?}");
    for body in [
        r#"{"document":{"routes":{"a":{},"a":{}}}}"#,
        "{\"document\":",
        "[]",
        "\u{1}",
    ] {
        let answer = curl(&[
            "-H",
            "content-type: application/json",
            "--data-binary",
            body,
            &url,
        ]);
        assert!((400..=428).contains(&answer.status), "{body} {answer:?}");
    }
    assert_eq!(desk.api("/environments/main"), before);
    fleet::serves(&desk.node, "kept");
    // 2 would say that there is something to change.
    desk.run(&["plan", "--no-such-option"], 1);
}

#[test]
fn a_file_rules_where_no_environment_is_named() {
    let node = Gateway::start(
        "routes: { all: { match: { path: / }, target: { fixed: { status: 200, body: a } } } }\n",
    );
    let url = format!("http://{}/api/v1", node.address("admin"));
    let schema = curl(&[&format!("{url}/schema")]).expect(200).json();
    assert!(schema["properties"]["routes"].is_object());
    let body = json!({ "document": {} }).to_string();
    let put = ["-H", "content-type: application/json", "-d", &body];
    let refused = curl(&[&put[..], &[&format!("{url}/environments/main/revisions")]].concat());
    assert_eq!(refused.status, 409, "{refused:?}");
    assert_eq!(refused.json()["code"], "file_managed");
    // Pages that ask from elsewhere get nothing.
    let refused = curl(&[
        "-H",
        "origin: https://elsewhere.example",
        &format!("{url}/me"),
    ]);
    assert_eq!(refused.status, 403, "{refused:?}");
    let page = curl(&[&format!("http://{}/", node.address("admin"))]).expect(200);
    assert!(page.header("content-security-policy").is_some(), "{page:?}");
}

/// A document of an API whose requests have a `name`, needed or not.
fn orders(version: &str, more: &str) -> String {
    format!(
        "openapi: 3.1.0\ninfo: {{ title: Orders, version: {version} }}\npaths:\n  /orders:\n    post:\n      \
         requestBody: {{ content: {{ application/json: {{ schema: {{ type: object, properties: {{ name: {{ type: \
         string }} }}{more} }} }} }} }}\n      responses: {{}}\n"
    )
}

#[test]
fn a_document_that_was_overwritten_in_place_is_compared_with_what_it_was() {
    for mut desk in Desk::all() {
        let api = desk.node.folder.path().join("orders.yaml");
        let overwrite = |text: &str| std::fs::write(&api, text).unwrap();
        overwrite(&orders("2.0.0", ""));
        let mut document = fixed("one");
        document["apis"] = json!({ "orders": {
            "openapi": { "file": "orders.yaml" }, "target": { "fixed": { "status": 201 } },
        } });
        let file = desk.write("shop.json", &document.to_string());
        desk.run(&["apply", &file], 0);
        fleet::eventually_serves(&desk.node, "one");
        assert!(desk.run(&["plan", &file], 0).contains("Nothing to change."));

        // The configuration is the same, and what callers were promised is not.
        overwrite(&orders("2.0.0", ", required: [name]"));
        let refused = |desk: &Desk| {
            let told = desk.run(&["plan", &file], 1);
            for words in [
                "version 2.0.0 of the API `orders` breaks its callers, and keeps its number",
                "request-property-became-required",
                "number it 3.0.0",
            ] {
                assert!(told.contains(words), "{words}\n{told}");
            }
            let told = desk.run(&["apply", &file], 1);
            assert!(told.contains("breaking_change"), "{told}");
        };
        refused(&desk);
        // The revision knows, not only the process that served it.
        desk.kill();
        refused(&desk);

        // What breaks nobody is a revision of its own, made with the new file.
        let before = desk.fleet.row().revision;
        overwrite(&orders("2.1.0", ", title: Orders"));
        let told = desk.run(&["plan", &file], 0);
        assert!(told.contains("document_changed"), "{told}");
        desk.run(&["apply", &file], 0);
        assert_ne!(desk.fleet.row().revision, before);
        let told = desk.run(&["plan", &file], 0);
        assert!(!told.contains("document_changed"), "{told}");
        overwrite(&orders("3.0.0", ", required: [name]"));
        desk.run(&["apply", &file], 0);
    }
}
