//! This version of the binary and the one before it on one store, in both directions.
//!
//! `cargo xtask conformance` builds the version before and says where it is (`TIDEGATE_PREVIOUS`).
//! What forms of the tables promise to each other is tested in `gate-store` with every change.

use super::fleet::{self, Fleet, fixed};
use super::states::{KEY, WITH_KEY};
use crate::support::gateway::command_of;
use crate::support::{Gateway, curl, eventually};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

/// How often a gateway of each version is killed while it applies.
const ROUNDS: u64 = 5;

/// A gateway of some version, and its command line.
struct Side<'a> {
    fleet: &'a Fleet,
    binary: PathBuf,
    folder: Arc<tempfile::TempDir>,
    node: Option<Gateway>,
}

impl<'a> Side<'a> {
    fn start(fleet: &'a Fleet, name: &str, binary: &Path) -> Self {
        let folder = fleet.folder(name, WITH_KEY);
        std::fs::write(folder.path().join("keys"), KEY).unwrap();
        let mut side = Self {
            fleet,
            binary: binary.to_owned(),
            folder,
            node: None,
        };
        side.run();
        side
    }

    /// Starts it, also after [`Side::kill`].
    fn run(&mut self) {
        self.node = Some(self.fleet.restart_as(&self.binary, self.folder.clone()));
    }

    fn kill(&mut self) {
        let mut node = self.node.take().expect("it runs");
        node.process.child.kill().unwrap();
        node.process.ended();
    }

    fn node(&self) -> &Gateway {
        self.node.as_ref().expect("it runs")
    }

    fn url(&self) -> String {
        format!("http://{}", self.node().address("admin"))
    }

    /// Starts a command of this version that talks to this gateway.
    fn begin(&self, arguments: &[&str]) -> std::process::Child {
        let mut command = command_of(&self.binary, arguments);
        let command = command.env("TIDEGATE_SERVER", self.url());
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("it runs")
    }

    #[track_caller]
    fn command(&self, arguments: &[&str]) -> String {
        let output = self.begin(arguments).wait_with_output().expect("it ends");
        let both = [&*output.stdout, &output.stderr].concat();
        let text = String::from_utf8_lossy(&both).into_owned();
        assert!(output.status.success(), "{arguments:?} {text}");
        text
    }

    fn document(&self, body: &str) -> String {
        let file = self.folder.path().join("shop.json");
        std::fs::write(&file, fixed(body).to_string()).unwrap();
        file.display().to_string()
    }

    #[track_caller]
    fn apply(&self, body: &str) {
        self.command(&["apply", &self.document(body)]);
    }

    fn api(&self, path: &str) -> Value {
        curl(&[&format!("{}/api/v1{path}", self.url())])
            .expect(200)
            .json()
    }

    fn write_state(&self, serial: u64) {
        let state = json!({ "version": 4, "serial": serial, "lineage": "l" }).to_string();
        let url = format!("{}/api/v1/state/network", self.url());
        let kind = "content-type: application/json";
        curl(&["-X", "POST", "-H", kind, "-d", &state, &url]).expect(200);
    }

    /// Kills it while it applies, and starts it again; whether the apply was acknowledged.
    fn killed_while_it_applies(&mut self, body: &str, after_ms: u64) -> bool {
        let file = self.document(body);
        let mut apply = self.begin(&["apply", &file]);
        std::thread::sleep(Duration::from_millis(after_ms));
        self.kill();
        let done = apply.wait().expect("it ends").success();
        self.run();
        done
    }
}

#[track_caller]
fn both_serve(sides: [&Side<'_>; 2], body: &str) {
    for side in sides {
        fleet::eventually_serves(side.node(), body);
    }
}

/// What the environment holds, as one gateway says.
fn current(side: &Side<'_>) -> String {
    let revision = side.api("/environments/main")["revision"].clone();
    let document = side.api(&format!("/revisions/{revision}/document"));
    let body = &document["document"]["routes"]["all"]["target"]["fixed"]["body"];
    body.as_str().expect("a whole document").to_owned()
}

#[test]
#[ignore = "needs the binary of the version before: cargo xtask conformance"]
fn two_versions_share_a_store() {
    let previous = std::env::var_os("TIDEGATE_PREVIOUS").expect("TIDEGATE_PREVIOUS names a binary");
    let previous = PathBuf::from(previous);
    let this = Path::new(env!("CARGO_BIN_EXE_tidegate"));
    for fleet in Fleet::all() {
        let mut old = Side::start(&fleet, "old", &previous);
        old.command(&["env", "set", "main"]);
        old.apply("old 1");
        fleet::eventually_serves(old.node(), "old 1");
        old.write_state(1);
        // The upgrade begins: the new one brings the tables to its form, the old one goes on.
        let mut new = Side::start(&fleet, "new", this);
        both_serve([&old, &new], "old 1");
        new.apply("new 1");
        both_serve([&old, &new], "new 1");
        old.apply("old 2");
        both_serve([&old, &new], "old 2");
        new.write_state(2);
        old.write_state(3);
        for side in [&old, &new] {
            let state = side.api("/state/network");
            assert_eq!(state["serial"], 3);
        }
        alone(&mut old, &mut new);
        alone(&mut new, &mut old);
        alone(&mut old, &mut new);
        let changes = killed(&mut old, &mut new) + killed(&mut new, &mut old);
        moved(&fleet, &mut old, &mut new);
        agree(&old, &new);
        let store = fleet.name();
        let kills = 2 * ROUNDS;
        println!(
            "SCORE versions, {store}: {changes} acknowledged changes outlived {kills} kills, none lost"
        );
    }
}

/// Starts, changes and serves while the other is dead: the downgrade and the upgrade.
fn alone(one: &mut Side<'_>, other: &mut Side<'_>) {
    one.kill();
    other.kill();
    one.run();
    let body = format!("{} alone", one.folder.path().display());
    one.apply(&body);
    fleet::eventually_serves(one.node(), &body);
    other.run();
    both_serve([one, other], &body);
}

/// Kills one while it applies; what was acknowledged is served by both.
fn killed(one: &mut Side<'_>, other: &mut Side<'_>) -> u64 {
    let (mut kept, mut acknowledged) = (current(other), 0);
    for round in 1..=ROUNDS {
        let body = format!("{} in round {round}", one.folder.path().display());
        let done = one.killed_while_it_applies(&body, round * 50);
        let now = current(other);
        assert!(
            now == body || (now == kept && !done),
            "{now}, {kept}, {done}"
        );
        assert_eq!(current(one), now);
        both_serve([one, other], &now);
        kept = now;
        acknowledged += u64::from(done);
    }
    acknowledged
}

/// A gateway's folder, with its last good revision, is taken over by the other version.
fn moved(fleet: &Fleet, old: &mut Side<'_>, new: &mut Side<'_>) {
    old.apply("moved");
    both_serve([old, new], "moved");
    old.kill();
    new.kill();
    fleet.stop();
    std::mem::swap(&mut old.folder, &mut new.folder);
    old.run();
    new.run();
    // On PostgreSQL the store is down now: both serve from what the other one has kept.
    both_serve([old, new], "moved");
    fleet.start();
    // Their APIs open the store again by themselves, at most a second later.
    eventually("both have their store", || {
        [&*old, &*new].iter().all(|side| {
            let url = format!("{}/api/v1/environments/main", side.url());
            curl(&[&url]).status == 200
        })
    });
    new.apply("moved back");
    both_serve([old, new], "moved back");
}

/// Both see the same revisions, states and audit log, whole.
fn agree(old: &Side<'_>, new: &Side<'_>) {
    eventually("both say the same", || {
        let pages = [
            "/revisions?limit=1000",
            "/states/network/versions",
            "/environments",
        ];
        pages.iter().all(|page| old.api(page) == new.api(page))
    });
    for side in [old, new] {
        let told = side.command(&["audit", "verify"]);
        assert!(told.contains("unbroken"), "{told}");
    }
}
