//! Gateways on one store, and the store's own side of them.

use crate::support::postgres::Server;
use crate::support::{Answer, Gateway, curl, eventually};
use gate_kit::clock::Clock;
use gate_store::control::{
    AckRow, Cause, Change, ControlError, ControlStore, Edit, EnvironmentRow, Expected, NewAudit,
    NewRevision, NewRollout, RevisionRow, Set, SqlControl, Target,
};
use gate_store::journal::{Event, ReadJournal, Reading};
use gate_store::ledger::{Batch, Entry};
use gate_store::postgres::Postgres;
use gate_store::sqlite::Sqlite;
use gate_store::{Database, Instance, SqlStore, Store, StoreError};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The environment of every test.
const MAIN: &str = "main";

enum Place {
    Sqlite(tempfile::TempDir),
    Postgres { server: Server, address: String },
}

/// Gateways on one store.
pub(super) struct Fleet {
    place: Place,
    store: RefCell<Option<Box<dyn ControlStore>>>,
    changes: Cell<u64>,
}

impl Fleet {
    /// One on SQLite, and one on PostgreSQL where that is installed.
    pub(super) fn all() -> Vec<Self> {
        let mut fleets = vec![Self::sqlite()];
        fleets.extend(Self::postgres());
        fleets
    }

    /// One on SQLite.
    pub(super) fn sqlite() -> Self {
        Self::on(Place::Sqlite(tempfile::tempdir().unwrap()))
    }

    /// One on PostgreSQL.
    pub(super) fn postgres() -> Option<Self> {
        let Some(server) = Server::start() else {
            eprintln!("skipped: PostgreSQL is not installed (initdb, postgres)");
            return None;
        };
        let address = server.database();
        Some(Self::on(Place::Postgres { server, address }))
    }

    fn on(place: Place) -> Self {
        Self {
            place,
            store: RefCell::new(None),
            changes: Cell::new(0),
        }
    }

    /// Which store it is.
    pub(super) fn name(&self) -> &'static str {
        match self.place {
            Place::Sqlite(_) => "SQLite",
            Place::Postgres { .. } => "PostgreSQL",
        }
    }

    /// Stops the store; only PostgreSQL can be.
    pub(super) fn stop(&self) {
        self.store.replace(None);
        if let Place::Postgres { server, .. } = &self.place {
            server.stop();
        }
    }

    /// Starts it again.
    pub(super) fn start(&self) {
        if let Place::Postgres { server, .. } = &self.place {
            // Its port may be another's for a moment.
            eventually("the store starts again", || server.run());
        }
    }

    /// Starts a gateway with a folder of its own.
    pub(super) fn node(&self, name: &str, secrets: &[(&str, &str)]) -> Gateway {
        self.node_with(name, "workers: 1", "", secrets)
    }

    /// The same with settings of `gateway`, and more of `gateway.admin`.
    pub(super) fn node_with(
        &self,
        name: &str,
        gateway: &str,
        admin: &str,
        secrets: &[(&str, &str)],
    ) -> Gateway {
        self.restart(self.folder_with(name, gateway, admin, ""), secrets)
    }

    /// A folder for a gateway, whose `gateway.store` has these settings besides.
    pub(super) fn folder(&self, name: &str, store: &str) -> Arc<tempfile::TempDir> {
        self.folder_with(name, "workers: 1", "", store)
    }

    /// The same with settings of `gateway`, and more of `gateway.admin`.
    pub(super) fn folder_with(
        &self,
        name: &str,
        gateway: &str,
        admin: &str,
        store: &str,
    ) -> Arc<tempfile::TempDir> {
        let folder = tempfile::Builder::new().prefix(name).tempdir().unwrap();
        let engine = match &self.place {
            Place::Sqlite(folder) => {
                json!({ "sqlite": { "path": folder.path().join("store.db") } })
            }
            Place::Postgres { address, .. } => {
                std::fs::write(folder.path().join("address"), address).unwrap();
                json!({ "postgres": { "address": { "file": "address" } } })
            }
        };
        let text = format!(
            "gateway: {{ environment: {MAIN}, last_good: last-good.json, {gateway}, \
             admin: {{ address: \"127.0.0.1:0\"{admin} }}, store: {{ engine: {engine}{store} }} }}\n"
        );
        std::fs::write(folder.path().join("gate.yaml"), text).unwrap();
        Arc::new(folder)
    }

    /// Starts a gateway in the folder of one that has ended.
    pub(super) fn restart(
        &self,
        folder: Arc<tempfile::TempDir>,
        secrets: &[(&str, &str)],
    ) -> Gateway {
        Gateway::run_in(folder, &[], secrets)
    }

    /// The same with another binary.
    pub(super) fn restart_as(&self, binary: &Path, folder: Arc<tempfile::TempDir>) -> Gateway {
        Gateway::run_as(binary, folder, &[], &[])
    }

    /// Asks the store.
    pub(super) fn ask<T>(&self, ask: impl FnOnce(&mut dyn ControlStore) -> T) -> T {
        let mut store = self.store.borrow_mut();
        let store = store.get_or_insert_with(|| match &self.place {
            Place::Sqlite(folder) => {
                let database = Sqlite::open(&folder.path().join("store.db")).unwrap();
                Box::new(SqlControl::open(database).unwrap())
            }
            Place::Postgres { address, .. } => {
                Box::new(SqlControl::open(Postgres::connect(address).unwrap()).unwrap())
            }
        });
        ask(&mut **store)
    }

    /// Writes calls into the ledger, as a gateway does that has ended since.
    pub(super) fn settle(&self, entries: Vec<Entry>) {
        let instance = Instance::this();
        let mut store: Box<dyn Store> = match &self.place {
            Place::Sqlite(folder) => {
                let database = Sqlite::open(&folder.path().join("store.db")).unwrap();
                Box::new(SqlStore::open(database, instance).unwrap())
            }
            Place::Postgres { address, .. } => {
                let database = Postgres::connect(address).unwrap();
                Box::new(SqlStore::open(database, instance).unwrap())
            }
        };
        let batch = Batch {
            now_ms: i64::try_from(Clock::System.unix().as_millis()).unwrap(),
            entries,
            ..Batch::default()
        };
        store.commit(&batch).unwrap();
        store.leave().unwrap();
    }

    /// Every event in the journal.
    pub(super) fn journal(&self) -> Vec<Event> {
        match &self.place {
            Place::Sqlite(folder) => {
                let database = Sqlite::open(&folder.path().join("store.db")).unwrap();
                Reading::new(database).behind(0, 1_000).unwrap()
            }
            Place::Postgres { address, .. } => {
                let database = Postgres::connect(address).unwrap();
                Reading::new(database).behind(0, 1_000).unwrap()
            }
        }
    }

    /// Runs statements behind the store's back.
    pub(super) fn script(&self, sql: &str) {
        let done = match &self.place {
            Place::Sqlite(folder) => {
                let path = folder.path().join("store.db");
                Sqlite::open(&path).unwrap().script(sql)
            }
            Place::Postgres { address, .. } => Postgres::connect(address).unwrap().script(sql),
        };
        done.unwrap();
    }

    /// The environment as it is.
    pub(super) fn row(&self) -> EnvironmentRow {
        self.ask(|store| store.environment(MAIN).unwrap().unwrap())
    }

    /// A revision.
    pub(super) fn revision(&self, number: u64) -> RevisionRow {
        self.ask(|store| store.revision(number).unwrap().unwrap())
    }

    /// Makes a document the confirmed revision.
    pub(super) fn apply(&self, document: Value) -> RevisionRow {
        self.apply_in(MAIN, document)
    }

    /// Makes a document the confirmed revision of another environment.
    pub(super) fn apply_in(&self, environment: &str, document: Value) -> RevisionRow {
        let edit = Edit {
            revision: Set::To(Target::New),
            stable: Set::To(Target::New),
            confirm_until_ms: Set::Clear,
            ..Edit::default()
        };
        self.change_in(environment, Some(document), edit, None)
            .unwrap()
    }

    /// Begins a rollout of a document, by these settings.
    pub(super) fn try_out(&self, id: &str, document: Value, settings: &Value) -> RevisionRow {
        let edit = Edit {
            candidate: Set::To((Target::New, id.to_owned())),
            ..Edit::default()
        };
        let data = json!({ "strategy": "inline", "settings": settings }).to_string();
        let rollout = NewRollout {
            id,
            expected: 0,
            candidate: Target::New,
            control: self.row().revision,
            state: "running",
            data: &data,
        };
        self.change(Some(document), edit, Some(rollout)).unwrap()
    }

    /// Makes a document the revision, to be confirmed within a time.
    pub(super) fn apply_until(&self, document: Value, within: Duration) {
        let until = now_ms() + i64::try_from(within.as_millis()).unwrap();
        let edit = Edit {
            revision: Set::To(Target::New),
            confirm_until_ms: Set::To(until),
            ..Edit::default()
        };
        self.change(Some(document), edit, None);
    }

    /// Confirms the revision in force.
    pub(super) fn confirm(&self) {
        let current = self.row().revision.unwrap();
        let edit = Edit {
            stable: Set::To(Target::Number(current)),
            confirm_until_ms: Set::Clear,
            ..Edit::default()
        };
        self.change(None, edit, None);
    }

    /// Sets all variables.
    pub(super) fn variables(&self, variables: &[(&str, &str)]) {
        let pairs = variables.iter();
        let variables = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let edit = Edit {
            variables: Set::To(variables.collect()),
            ..Edit::default()
        };
        self.change(None, edit, None);
    }

    fn change(
        &self,
        document: Option<Value>,
        edit: Edit,
        rollout: Option<NewRollout<'_>>,
    ) -> Option<RevisionRow> {
        self.change_in(MAIN, document, edit, rollout)
    }

    fn change_in(
        &self,
        environment: &str,
        document: Option<Value>,
        edit: Edit,
        rollout: Option<NewRollout<'_>>,
    ) -> Option<RevisionRow> {
        self.changes.set(self.changes.get() + 1);
        let id = format!("change-{}", self.changes.get());
        let text = document.map(|document| document.to_string());
        self.ask(|store| {
            let row = store.environment(environment).unwrap();
            let expected = match &row {
                Some(row) => Expected::Generation(row.generation),
                None => Expected::Absent,
            };
            let change = Change {
                id: &id,
                environment,
                expected,
                revision: text.as_deref().map(|document| NewRevision {
                    document,
                    managers: "{}",
                    files: None,
                    parent: row.as_ref().and_then(|row| row.revision),
                    author: "test",
                    cause: Cause::Apply,
                    message: "",
                    source_commit: None,
                    plan: None,
                    checks: "{}",
                }),
                edit,
                rollout,
                lease: None,
                despite_lock: false,
                audit: NewAudit {
                    actor: "test",
                    role: "admin",
                    action: "apply",
                    subject: "environments/main",
                    outcome: "done",
                    detail: "",
                },
                now_ms: now_ms(),
            };
            // A store that is busy for seconds says so, and the same change may be asked for again.
            let mut changed = store.change(&change);
            for _ in 0..5 {
                if matches!(
                    changed,
                    Err(ControlError::Store(StoreError::Unreachable(_)))
                ) {
                    changed = store.change(&change);
                }
            }
            changed.unwrap().revision
        })
    }

    /// What gateways say of a revision, once so many have spoken.
    #[track_caller]
    pub(super) fn acks_of(&self, revision: u64, count: usize) -> Vec<AckRow> {
        let mut found = Vec::new();
        eventually(
            &format!("{count} gateways speak of revision {revision}"),
            || {
                found = self.ask(|store| store.acks(MAIN, 0).unwrap());
                found.retain(|ack| ack.revision == revision);
                found.len() >= count
            },
        );
        found
    }
}

fn now_ms() -> i64 {
    i64::try_from(Clock::System.unix().as_millis()).unwrap()
}

/// A document that answers everything with a text.
pub(super) fn fixed(body: &str) -> Value {
    json!({
        "listeners": { "public": { "address": "127.0.0.1:0" } },
        "routes": {
            "all": {
                "match": { "path": "/{*rest}" },
                "target": { "fixed": { "status": 200, "body": body } }
            }
        }
    })
}

/// The number of the revision that a metrics page names.
pub(super) fn revision(page: &str) -> Option<u64> {
    let mut lines = page.lines();
    let value = lines.find_map(|line| line.strip_prefix("tidegate_config_revision "))?;
    value.parse().ok()
}

/// Asks the admin address.
pub(super) fn admin(node: &Gateway, path: &str) -> Answer {
    curl(&[&format!("http://{}{path}", node.address("admin"))])
}

/// Asks the listener.
pub(super) fn ask(node: &Gateway, arguments: &[&str]) -> Answer {
    let url = format!("http://{}/", node.late_address("public"));
    curl(&[&[&*url], arguments].concat())
}

/// Checks what is served now.
#[track_caller]
pub(super) fn serves(node: &Gateway, body: &str) {
    let answer = ask(node, &[]).expect(200);
    assert_eq!(answer.body, body);
}

/// Waits until that is served.
#[track_caller]
pub(super) fn eventually_serves(node: &Gateway, body: &str) {
    let short: String = body.chars().take(40).collect();
    eventually(&format!("{short:?} is served"), || {
        ask(node, &[]).body == body
    });
}

/// Waits until a call is answered so.
#[track_caller]
pub(super) fn eventually_answers(node: &Gateway, arguments: &[&str], status: u16) {
    eventually(&format!("{status} is answered"), || {
        ask(node, arguments).status == status
    });
}
