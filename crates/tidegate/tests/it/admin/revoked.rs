//! Keys and roles that are taken away: every gateway refuses them, with its store or without.

use crate::console::GUEST;
use crate::support::postgres::Server;
use crate::support::{Answer, Gateway, curl, eventually};
use serde_json::{Value, json};
use std::time::Instant;

/// Two gateways on one store, each with a file of its own.
struct Pair {
    place: Place,
    nodes: Vec<Gateway>,
}

enum Place {
    Sqlite(tempfile::TempDir),
    Postgres { server: Server, address: String },
}

impl Pair {
    fn each() -> Vec<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut places = vec![Place::Sqlite(folder)];
        match Server::start() {
            Some(server) => {
                let address = server.database();
                places.push(Place::Postgres { server, address });
            }
            None => eprintln!("skipped: PostgreSQL is not installed (initdb, postgres)"),
        }
        places.into_iter().map(Self::on).collect()
    }

    fn on(place: Place) -> Self {
        let mut this = Self {
            place,
            nodes: Vec::new(),
        };
        let text = this.text(&both("operator"));
        let secrets = match &this.place {
            Place::Sqlite(_) => Vec::new(),
            Place::Postgres { address, .. } => vec![("ADDRESS", address.as_str())],
        };
        let nodes = (0..2).map(|_| Gateway::run(&text, &[], &secrets)).collect();
        this.nodes = nodes;
        let made = this.ask(0, "PUT", "open-sesame", "environments/main");
        assert_eq!(made.status, 200, "{made:?}");
        this
    }

    /// The file of both with these keys.
    fn text(&self, keys: &Value) -> String {
        let engine = match &self.place {
            Place::Sqlite(folder) => {
                json!({ "sqlite": { "path": folder.path().join("store.db") } })
            }
            Place::Postgres { .. } => json!({ "postgres": { "address": { "env": "ADDRESS" } } }),
        };
        format!(
            "gateway: {{ environment: main, last_good: last-good.json, workers: 1, \
             store: {{ engine: {engine} }}, \
             admin: {{ address: \"127.0.0.1:0\", keys: {keys} }} }}\n"
        )
    }

    /// Changes the keys of both, and waits until something holds on each.
    fn change(&self, keys: &Value, what: &str, holds: impl Fn(usize) -> bool) {
        for node in &self.nodes {
            let file = node.folder.path().join("gate.yaml");
            std::fs::write(file, self.text(keys)).expect("written");
        }
        let began = Instant::now();
        for node in 0..self.nodes.len() {
            eventually(what, || holds(node));
        }
        eprintln!("{what} on both after {:?}", began.elapsed());
    }

    fn ask(&self, node: usize, method: &str, key: &str, path: &str) -> Answer {
        let url = format!("http://{}/api/v1/{path}", self.nodes[node].address("admin"));
        let bearer = format!("authorization: Bearer {key}");
        let json = "content-type: application/json";
        let body: &[&str] = if method == "GET" {
            &[]
        } else {
            &["-H", json, "-d", "{}"]
        };
        curl(&[&["-X", method, "-H", &bearer, &url], body].concat())
    }
}

/// The key `look` with a role, and an administrator's.
fn both(role: &str) -> Value {
    json!({
        "boss": { "sha256": crate::policies::SESAME, "role": "admin" },
        "look": { "sha256": GUEST, "role": role },
    })
}

#[test]
fn every_gateway_refuses_what_its_file_takes_away_also_without_its_store() {
    for pair in Pair::each() {
        for node in 0..2 {
            let put = pair.ask(node, "PUT", "let-me-look", "environments/main");
            assert_eq!(put.status, 200, "{put:?}");
        }
        pair.change(&both("viewer"), "the role is lower", |node| {
            pair.ask(node, "PUT", "let-me-look", "environments/main")
                .status
                == 403
        });
        for node in 0..2 {
            assert_eq!(pair.ask(node, "GET", "let-me-look", "me").status, 200);
        }
        if let Place::Postgres { server, .. } = &pair.place {
            server.stop();
        }
        let without = json!({ "boss": both("viewer")["boss"] });
        pair.change(&without, "the key is refused", |node| {
            pair.ask(node, "GET", "let-me-look", "me").status == 401
        });
        for node in 0..2 {
            assert_eq!(pair.ask(node, "GET", "open-sesame", "me").status, 200);
        }
    }
}
