//! An authority on the loopback interface, as strict as RFC 8555 lets it be.

#[path = "looking.rs"]
mod looking;

use super::jws::{self, Signed};
use super::world::World;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// An answer: status, fields, body.
type Reply = (u16, Vec<(&'static str, String)>, Vec<u8>);
/// Why a request is refused, as an error type of section 6.7.
type Refused = String;

#[derive(Default)]
struct State {
    nonces: BTreeSet<String>,
    issued: u64,
    /// Keys by account URL.
    accounts: BTreeMap<String, Value>,
    orders: Vec<Order>,
    /// Requests so far, and questions about renewals.
    requests: usize,
    asked: usize,
    /// From when to when renewals are advised, in seconds from now.
    advice: Option<(i64, i64)>,
    all_replaced: bool,
}

struct Order {
    account: String,
    name: String,
    token: String,
    status: &'static str,
    challenge: &'static str,
    error: Option<String>,
    certificate: Option<String>,
    /// The identifier of the certificate that it replaces (RFC 9773 section 5).
    replaces: Option<String>,
}

/// A running authority.
pub(crate) struct Authority {
    pub(crate) address: SocketAddr,
    state: Mutex<State>,
    issuer: Issuer<'static, KeyPair>,
    pub(crate) root: String,
    /// Its key's identifier, as certificates carry it.
    key_identifier: Vec<u8>,
    /// Where names lead.
    world: Arc<World>,
    /// How long its certificates hold from now, in seconds; negative ones began to end earlier.
    pub(crate) life: Mutex<(i64, i64)>,
    /// Refuses every new order while set.
    pub(crate) closed: Mutex<bool>,
    /// Answers nothing while set.
    pub(crate) down: Mutex<bool>,
    /// For how long it looks again where a challenge is not answered (RFC 8555 section 8.2).
    pub(crate) patience: Duration,
}

impl Authority {
    pub(crate) fn start(world: Arc<World>) -> Arc<Self> {
        Self::patient(world, Duration::ZERO)
    }

    pub(crate) fn patient(world: Arc<World>, patience: Duration) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = parameters.self_signed(&key).unwrap().pem();
        let authority = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            state: Mutex::default(),
            key_identifier: parameters.key_identifier(&key),
            issuer: Issuer::new(parameters, key),
            root,
            world,
            life: Mutex::new((-60, 90 * 86_400)),
            closed: Mutex::new(false),
            down: Mutex::new(false),
            patience,
        });
        let serving = authority.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        authority
    }

    pub(crate) fn directory(&self) -> String {
        self.url("directory")
    }

    /// Orders so far.
    pub(crate) fn orders(&self) -> usize {
        self.state.lock().unwrap().orders.len()
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }

    /// Questions about renewals so far.
    pub(crate) fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }

    /// Orders that named what they replace.
    pub(crate) fn replaced(&self) -> usize {
        let state = self.state.lock().unwrap();
        let named = state.orders.iter().filter(|order| order.replaces.is_some());
        named.count()
    }

    /// Advises about renewals from now on: from when to when, in seconds from now.
    pub(crate) fn advise(&self, from: i64, to: i64) {
        self.state.lock().unwrap().advice = Some((from, to));
    }

    /// Refuses every order that says what it replaces.
    pub(crate) fn call_all_replaced(&self) {
        self.state.lock().unwrap().all_replaced = true;
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    fn nonce(&self) -> String {
        let mut state = self.state.lock().unwrap();
        state.issued += 1;
        let nonce = jws::encode(&state.issued.to_be_bytes());
        state.nonces.insert(nonce.clone());
        nonce
    }

    fn serve(self: &Arc<Self>, stream: TcpStream) {
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
        let field = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(':'));
            lines
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, v)| v.trim().to_owned())
        };
        let length = field("content-length")
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        self.state.lock().unwrap().requests += 1;
        if *self.down.lock().unwrap() {
            return;
        }
        let mut line = head.split(' ');
        let (method, path) = (
            line.next().unwrap_or_default(),
            line.next().unwrap_or_default(),
        );
        let content = field("content-type").unwrap_or_default();
        let answered = self.answer(method, path, &content, &body);
        let (status, fields, body) = answered.unwrap_or_else(|refused| {
            let kind = refused.split(':').next().unwrap_or_default().to_owned();
            let problem =
                json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": refused });
            (
                400,
                vec![("content-type", "application/problem+json".into())],
                problem.to_string().into(),
            )
        });
        let mut out = format!("HTTP/1.1 {status} x\r\nReplay-Nonce: {}\r\n", self.nonce());
        for (name, value) in fields {
            out += &format!("{name}: {value}\r\n");
        }
        out += &format!(
            "content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let mut stream = stream;
        let body = if method == "HEAD" { Vec::new() } else { body };
        let _ = stream.write_all(&[out.as_bytes(), &body].concat());
    }

    fn answer(
        self: &Arc<Self>,
        method: &str,
        path: &str,
        content: &str,
        body: &[u8],
    ) -> Result<Reply, Refused> {
        match (method, path) {
            ("GET", "/directory") => {
                let mut directory = json!({
                    "newNonce": self.url("new-nonce"), "newAccount": self.url("new-account"),
                    "newOrder": self.url("new-order"), "revokeCert": self.url("revoke"),
                    "keyChange": self.url("key-change"),
                });
                if self.state.lock().unwrap().advice.is_some() {
                    directory["renewalInfo"] = self.url("renewal-info").into();
                }
                return Ok(object(200, &directory, None));
            }
            ("GET", path) if path.starts_with("/renewal-info/") => return self.renewal(path),
            ("HEAD" | "GET", "/new-nonce") => return Ok((200, Vec::new(), Vec::new())),
            ("POST", _) => {}
            _ => return Err("malformed: only POST is signed".into()),
        }
        if content != "application/jose+json" {
            return Err(format!("malformed: content type {content}"));
        }
        let signed = Signed::read(body)?;
        let nonce = signed.header["nonce"].as_str().unwrap_or_default();
        if !self.state.lock().unwrap().nonces.remove(nonce) {
            return Err("badNonce: unknown or used".into());
        }
        if signed.header["url"] != self.url(&path[1..]) {
            return Err("unauthorized: the url is another".into());
        }
        if path == "/new-account" {
            return self.account(&signed);
        }
        let kid = signed.header["kid"]
            .as_str()
            .ok_or("malformed: no kid")?
            .to_owned();
        if signed.header.get("jwk").is_some() {
            return Err("malformed: kid and jwk".into());
        }
        let key = self.state.lock().unwrap().accounts.get(&kid).cloned();
        signed.verify(&key.ok_or("accountDoesNotExist: unknown")?)?;
        self.of_account(&kid, path, &signed)
    }

    fn account(&self, signed: &Signed) -> Result<Reply, Refused> {
        let jwk = signed.header.get("jwk").ok_or("malformed: no jwk")?.clone();
        signed.verify(&jwk)?;
        let payload = signed.payload.as_ref().ok_or("malformed: no payload")?;
        if payload["termsOfServiceAgreed"] != true {
            return Err("userActionRequired: the terms".into());
        }
        let mut state = self.state.lock().unwrap();
        let url = self.url(&format!("account/{}", state.accounts.len()));
        state.accounts.insert(url.clone(), jwk);
        Ok(object(201, &json!({ "status": "valid" }), Some(url)))
    }

    fn of_account(
        self: &Arc<Self>,
        account: &str,
        path: &str,
        signed: &Signed,
    ) -> Result<Reply, Refused> {
        if path == "/new-order" {
            return self.new_order(account, signed);
        }
        let (kind, number) = path[1..]
            .split_once('/')
            .ok_or("malformed: no such thing")?;
        let number: usize = number.parse().map_err(|_| "malformed: no such thing")?;
        let mut state = self.state.lock().unwrap();
        let order = state.orders.get(number).ok_or("malformed: no such order")?;
        if order.account != account {
            return Err("unauthorized: another account's".into());
        }
        match kind {
            "order" | "authorization" | "certificate" if signed.payload.is_some() => {
                Err("malformed: POST-as-GET has no payload".into())
            }
            "order" => Ok(object(200, &self.order(number, order), None)),
            "authorization" => Ok(object(200, &self.authorization(number, order), None)),
            "challenge" => {
                if signed.payload != Some(json!({})) {
                    return Err("malformed: a challenge is answered with {}".into());
                }
                state.orders[number].challenge = "processing";
                drop(state);
                self.look(number, account);
                let state = self.state.lock().unwrap();
                let challenges = self.challenges(number, &state.orders[number]);
                let chosen = challenges.into_iter().find(|c| c["status"] != "pending");
                Ok(object(
                    200,
                    &chosen.ok_or("malformed: nothing to look at")?,
                    None,
                ))
            }
            "finalize" => {
                self.finalize(number, &mut state.orders[number], signed)?;
                Ok(object(
                    200,
                    &self.order(number, &state.orders[number]),
                    None,
                ))
            }
            "certificate" => {
                let chain = order.certificate.clone().ok_or("orderNotReady: not yet")?;
                let fields = vec![("content-type", "application/pem-certificate-chain".into())];
                Ok((200, fields, chain.into_bytes()))
            }
            _ => Err("malformed: no such thing".into()),
        }
    }

    fn order(&self, number: usize, order: &Order) -> Value {
        let mut value = json!({
            "status": order.status,
            "identifiers": [{ "type": "dns", "value": order.name }],
            "authorizations": [self.url(&format!("authorization/{number}"))],
            "finalize": self.url(&format!("finalize/{number}")),
        });
        if let Some(replaces) = &order.replaces {
            value["replaces"] = replaces.as_str().into();
        }
        if order.certificate.is_some() {
            value["certificate"] = self.url(&format!("certificate/{number}")).into();
        }
        value
    }

    fn authorization(&self, number: usize, order: &Order) -> Value {
        let status = match order.challenge {
            "pending" | "processing" => "pending",
            "valid" => "valid",
            _ => "invalid",
        };
        json!({
            "status": status,
            "identifier": { "type": "dns", "value": order.name.trim_start_matches("*.") },
            "wildcard": order.name.starts_with("*."),
            "challenges": self.challenges(number, order),
        })
    }

    fn challenges(&self, number: usize, order: &Order) -> Vec<Value> {
        let kinds: &[&str] = match order.name.starts_with("*.") {
            true => &["dns-01"],
            false => &["http-01", "tls-alpn-01", "dns-01"],
        };
        let all = kinds.iter().map(|kind| {
            let mut challenge = json!({
                "type": kind, "url": self.url(&format!("challenge/{number}")),
                "token": order.token, "status": order.challenge,
            });
            if let Some(error) = &order.error {
                challenge["error"] =
                    json!({ "type": "urn:ietf:params:acme:error:unauthorized", "detail": error });
            }
            challenge
        });
        all.collect()
    }
}

fn object(status: u16, value: &Value, location: Option<String>) -> Reply {
    let mut fields = vec![("content-type", "application/json".to_owned())];
    fields.extend(location.map(|location| ("location", location)));
    (status, fields, value.to_string().into_bytes())
}
