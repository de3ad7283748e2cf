//! A server on a port of its own, with a process that a test makes up.

#[path = "../../../gate-store/tests/it/support/postgres.rs"]
mod postgres;

use crate::book::Book;
use gate_admin::{
    Api, BODY_MAX, Candidate, Host, IncidentBook, Judged, NoticeOrder, Parts, Peer, RolloutStart,
};
use gate_api::client::{Client, Endpoint, Reply};
use gate_api::problem::{Code, Problem};
use gate_api::types::{
    Canary, DeploymentReported, Document, DoraReport, EnvironmentInput, Finding, Notices, Page,
    PlaygroundInput, PlaygroundReply, RecordDetail, RecordSummary, Silence,
};
use gate_kit::clock::Clock;
use gate_model::resources::{Admin, AdminKey, AdminRole};
use gate_net::connection::server::{Next, Sent, ServerConnection, ServerOptions};
use gate_net::http1::Limits;
use gate_net::listen::{ListenAddress, Sockets};
use gate_store::control::{ControlStore, Keyring, Keys, SqlControl};
use gate_store::postgres::Postgres;
use gate_store::sqlite::Sqlite;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::sync::oneshot;

/// `<p>console`, gzipped.
pub(crate) const PACKED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xb3\x29\xb0\x4b\xce\xcf\x2b\xce\xcf\x49\x05\x00\x92\x98\xce\x5a\x0a\x00\x00\x00";

/// A process that follows `staging`; a resource with `"wrong": true` does not compile.
struct Fake {
    environment: Option<String>,
    orders: Mutex<Vec<NoticeOrder>>,
}

impl Host for Fake {
    fn environment(&self) -> Option<String> {
        self.environment.clone()
    }

    fn notices(&self) -> Result<Notices, Problem> {
        let mut notices = Notices {
            receivers: vec!["pager".into()],
            ..Notices::default()
        };
        for order in self.orders.lock().unwrap().iter() {
            match order {
                NoticeOrder::Silence {
                    id,
                    matchers,
                    by,
                    reason,
                    ..
                } => notices.silences.push(Silence {
                    id: id.clone(),
                    matchers: matchers.clone(),
                    until: "2099-01-01T00:00:00Z".into(),
                    by: by.clone(),
                    reason: reason.clone(),
                }),
                NoticeOrder::EndSilence { id } => notices.silences.retain(|one| one.id != *id),
                _ => {}
            }
        }
        Ok(notices)
    }

    fn order_notice(&self, order: &NoticeOrder) -> Result<(), Problem> {
        self.orders.lock().unwrap().push(order.clone());
        Ok(())
    }

    fn dora(&self, _: u64, _: u64, _: Option<&[String]>) -> Result<DoraReport, Problem> {
        Ok(DoraReport::default())
    }

    fn report_deployment(
        &self,
        report: &gate_admin::DeploymentReport<'_>,
    ) -> Result<DeploymentReported, Problem> {
        let read = serde_json::from_slice::<Value>(report.body);
        match read.is_ok_and(|report| report.is_object()) {
            true => Ok(DeploymentReported { id: None }),
            false => Err(Problem::new(Code::Invalid, "a report is an object")),
        }
    }

    fn incidents(&self) -> Option<&dyn IncidentBook> {
        Some(&Book)
    }

    fn runbooks(&self) -> Option<&dyn gate_admin::RunbookBook> {
        Some(&crate::runbooks::Runbooks)
    }

    fn running(&self) -> Document {
        document(json!({ "routes": { "running": { "path": "/" } } }))
    }

    fn judge(&self, candidate: &Candidate<'_>) -> Judged {
        let known = ["routes", "upstreams", "prices"];
        let wrong = candidate
            .document
            .resources()
            .filter_map(|(kind, name, value)| {
                let path = format!("{kind}.{name}");
                if !known.contains(&kind) {
                    return Some(Finding::error(
                        "unknown_field",
                        path,
                        "there is no such kind",
                    ));
                }
                let text = value.to_string();
                let missing = text.contains("${vars.") && candidate.variables.is_empty();
                if missing {
                    return Some(Finding::error(
                        "missing_variable",
                        path,
                        "a variable is missing",
                    ));
                }
                (value["wrong"] == json!(true))
                    .then(|| Finding::error("wrong", path, "it is wrong"))
            });
        Judged {
            findings: wrong.collect(),
            ..Judged::default()
        }
    }

    fn start_rollout(&self, canary: &Canary, _: &Document) -> Result<RolloutStart, Vec<Finding>> {
        match canary {
            Canary::Rollout(name) if name == "careful" => Ok(RolloutStart {
                strategy: name.clone(),
                data: json!({ "share": 0.01, "step": 0, "strategy": name, "settings": {} })
                    .to_string(),
            }),
            _ => Err(vec![Finding::error(
                "unknown_reference",
                "canary",
                "no such rollout",
            )]),
        }
    }

    fn records(&self, _: &gate_admin::RecordQuery) -> Result<Page<RecordSummary>, Problem> {
        Ok(Page::whole(vec![record()]))
    }

    fn record(&self, id: &str) -> Result<Option<RecordDetail>, Problem> {
        Ok((id == "known").then(|| RecordDetail {
            record: record(),
            ..RecordDetail::default()
        }))
    }

    fn usage(
        &self,
        query: &gate_admin::UsageQuery,
    ) -> Result<Vec<gate_api::types::UsageRow>, Problem> {
        let rows = (0..3).map(|_| gate_api::types::UsageRow::default());
        Ok(rows.skip(query.offset).take(query.limit).collect())
    }

    fn budgets(&self) -> Result<Vec<gate_api::types::BudgetState>, Problem> {
        Ok(vec![gate_api::types::BudgetState::default()])
    }

    fn edit_gate(
        &self,
        _: &str,
        _: &gate_admin::GateEdit<'_>,
        _: u64,
    ) -> Result<(String, String), Problem> {
        Ok(("{}".to_owned(), "{}".to_owned()))
    }

    fn playground(&self, _: &PlaygroundInput) -> Result<PlaygroundReply, Problem> {
        Ok(PlaygroundReply::default())
    }
}

fn record() -> RecordSummary {
    RecordSummary {
        id: "known".into(),
        at: "2026-11-22T00:00:00Z".into(),
        ..RecordSummary::default()
    }
}

/// Where a server's store is.
#[derive(Clone)]
pub(crate) enum Place {
    /// A folder with a database of SQLite.
    Sqlite(Arc<tempfile::TempDir>),
    /// The address of a database of PostgreSQL.
    Postgres(String),
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(Arc::new(tempfile::tempdir().unwrap()))
    }

    /// One of each kind; PostgreSQL only where it is installed.
    pub(crate) fn all() -> Vec<Self> {
        static SERVER: OnceLock<Option<postgres::Server>> = OnceLock::new();
        let mut places = vec![Self::sqlite()];
        match SERVER.get_or_init(postgres::Server::start) {
            Some(server) => places.push(Self::Postgres(server.database())),
            None => eprintln!("skipped: PostgreSQL is not installed (initdb, postgres)"),
        }
        places
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }

    /// The store, on a connection of its own.
    pub(crate) fn open(&self) -> Box<dyn ControlStore> {
        match self {
            Self::Sqlite(folder) => {
                let database = Sqlite::open(&folder.path().join("store.db")).unwrap();
                Box::new(SqlControl::open(database).unwrap())
            }
            Self::Postgres(address) => {
                Box::new(SqlControl::open(Postgres::connect(address).unwrap()).unwrap())
            }
        }
    }
}

/// A running server; ended when dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) api: Arc<Api>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    _place: Place,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server ends in order");
        }
    }
}

/// Keys of every role; the key's text is its name.
pub(crate) fn keys() -> Admin {
    let mut admin = open();
    for (name, role) in [
        ("viewer", AdminRole::Viewer),
        ("operator", AdminRole::Operator),
        ("admin", AdminRole::Admin),
        ("network", AdminRole::Operator),
    ] {
        let digest = gate_api::document::hex_sha256(name.as_bytes());
        let limited = name == "network";
        let key = AdminKey {
            sha256: digest.parse().unwrap(),
            role,
            environments: limited.then(Vec::new),
            teams: None,
            states: limited.then(|| vec!["network".to_owned()]),
            expires: None,
        };
        admin.keys.insert(name.to_owned(), key);
    }
    admin
}

/// Nobody needs to prove anything.
pub(crate) fn open() -> Admin {
    Admin {
        rate: 10_000,
        ..Admin::at("127.0.0.1:0")
    }
}

impl Server {
    /// With a store, following `staging`.
    pub(crate) fn start(admin: Admin) -> Self {
        Self::with(admin, Some("staging"))
    }

    /// One after the other on each kind of store, following `staging`.
    pub(crate) fn each(admin: &Admin) -> impl Iterator<Item = Self> {
        let places = Place::all().into_iter();
        places.map(|place| Self::at(&place, admin.clone(), Some("staging")))
    }

    /// Following this environment, or a file.
    pub(crate) fn with(admin: Admin, environment: Option<&str>) -> Self {
        Self::at(&Place::sqlite(), admin, environment)
    }

    /// On this store.
    pub(crate) fn at(place: &Place, admin: Admin, environment: Option<&str>) -> Self {
        let line = Keyring::new_line("k1").unwrap();
        let api = Api::start(Parts {
            host: Arc::new(Fake {
                environment: environment.map(str::to_owned),
                orders: Mutex::default(),
            }),
            store: Some(place.open()),
            keys: Some(Arc::new(Keys::of(Keyring::parse(&line).unwrap()))),
            admin,
            secrets: Arc::new(|_| Ok("shhh".to_owned())),
            clock: Clock::System,
            assets: &[("index.html", "text/html", PACKED)],
        });
        let api = api.unwrap();
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let served = api.clone();
        let thread = std::thread::spawn(move || run(&served, &tell, stopped));
        Self {
            url: told.recv().expect("the server starts"),
            api,
            stop: Some(stop),
            thread: Some(thread),
            _place: place.clone(),
        }
    }

    /// A client without a key.
    pub(crate) fn client(&self) -> Client {
        Client::new(Endpoint::new(&self.url).unwrap())
    }

    /// A client with a key.
    pub(crate) fn as_key(&self, key: &str) -> Client {
        Client::new(Endpoint::new(&self.url).unwrap().with_key(key).unwrap())
    }

    /// A client of an environment that is there.
    pub(crate) fn staging(&self) -> Client {
        let client = self.client();
        let seen = gate_api::client::Seen::Any;
        let made = client.put_environment("staging", seen, &EnvironmentInput::default());
        made.unwrap();
        client
    }
}

fn run(api: &Arc<Api>, tell: &std::sync::mpsc::Sender<String>, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let address = ListenAddress::Tcp {
            address: "127.0.0.1:0".parse().unwrap(),
            only_v6: false,
        };
        let sockets = Sockets::bind(&address, 1).unwrap();
        let url = format!("http://{}", sockets.local().unwrap());
        let listeners = sockets.share(0, 1).unwrap();
        for listener in listeners {
            let api = api.clone();
            tokio::task::spawn_local(async move {
                loop {
                    let io = listener.accept().await;
                    let connection = ServerConnection::new(io, Arc::new(options()));
                    tokio::task::spawn_local(serve(connection, api.clone()));
                }
            });
        }
        tell.send(url).unwrap();
        let _ = stopped.await;
    });
}

fn options() -> ServerOptions {
    ServerOptions {
        head: Limits::default(),
        body_bytes: BODY_MAX as u64,
        idle: Duration::from_secs(30),
        head_time: Duration::from_secs(5),
        body_time: Duration::from_secs(30),
        write_time: Duration::from_secs(10),
    }
}

async fn serve(mut connection: ServerConnection, api: Arc<Api>) {
    let peer = Peer {
        address: connection.io().peer(),
        local: connection.io().local(),
        tls: false,
    };
    loop {
        let (response, close) = match connection.next().await {
            Next::Request(request) => (api.answer(request, peer).await, false),
            Next::TooLarge(_) => (Api::too_large(), true),
            _ => return,
        };
        match connection.respond(response, close).await {
            Sent::Complete { reuse: true, .. } => {}
            _ => return,
        }
    }
}

/// A document from JSON.
pub(crate) fn document(value: Value) -> Document {
    serde_json::from_value(value).unwrap()
}

/// What a request was answered: its status and its body as JSON.
pub(crate) fn json_of(reply: &Reply) -> (u16, Value) {
    let body = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    (reply.status, body)
}

/// A request without anything but its body.
pub(crate) fn send(client: &Client, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
    json_of(&client.send(method, path, &[], body).unwrap())
}
