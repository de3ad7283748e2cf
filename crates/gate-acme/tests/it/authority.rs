//! An authority on the loopback interface, as strict as RFC 8555 lets it be.

use crate::jws::{self, Signed};
use crate::site::{self, Site};
use aws_lc_rs::digest;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, IsCa, Issuer, KeyPair,
};
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
}

struct Order {
    account: String,
    name: String,
    token: String,
    status: &'static str,
    challenge: &'static str,
    error: Option<String>,
    certificate: Option<String>,
}

/// A running authority.
pub(crate) struct Authority {
    pub(crate) address: SocketAddr,
    state: Mutex<State>,
    issuer: Issuer<'static, KeyPair>,
    pub(crate) root: String,
    /// Where names lead.
    site: Arc<Site>,
    /// How long its certificates hold from now, in seconds; negative ones began to end earlier.
    pub(crate) life: Mutex<(i64, i64)>,
    /// Refuses every new order while set.
    pub(crate) closed: Mutex<bool>,
}

impl Authority {
    pub(crate) fn start(site: Arc<Site>) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut parameters = CertificateParams::new(Vec::<String>::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = parameters.self_signed(&key).unwrap().pem();
        let authority = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            state: Mutex::default(),
            issuer: Issuer::new(parameters, key),
            root,
            site,
            life: Mutex::new((-60, 90 * 86_400)),
            closed: Mutex::new(false),
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

    fn serve(&self, stream: TcpStream) {
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
        &self,
        method: &str,
        path: &str,
        content: &str,
        body: &[u8],
    ) -> Result<Reply, Refused> {
        match (method, path) {
            ("GET", "/directory") => {
                let directory = json!({
                    "newNonce": self.url("new-nonce"), "newAccount": self.url("new-account"),
                    "newOrder": self.url("new-order"), "revokeCert": self.url("revoke"),
                    "keyChange": self.url("key-change"),
                });
                return Ok(object(200, &directory, None));
            }
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

    fn of_account(&self, account: &str, path: &str, signed: &Signed) -> Result<Reply, Refused> {
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
                drop(state);
                self.validate(number, account);
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
                self.finalize(&mut state.orders[number], signed)?;
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

    fn new_order(&self, account: &str, signed: &Signed) -> Result<Reply, Refused> {
        if *self.closed.lock().unwrap() {
            return Err("rateLimited: come back later".into());
        }
        let payload = signed.payload.as_ref().ok_or("malformed: no payload")?;
        let identifiers = payload["identifiers"]
            .as_array()
            .ok_or("malformed: no identifiers")?;
        let [identifier] = identifiers.as_slice() else {
            return Err("malformed: one identifier".into());
        };
        if identifier["type"] != "dns" {
            return Err("unsupportedIdentifier: dns only".into());
        }
        let name = identifier["value"].as_str().unwrap_or_default().to_owned();
        let mut state = self.state.lock().unwrap();
        let number = state.orders.len();
        state.orders.push(Order {
            account: account.to_owned(),
            name,
            token: jws::encode(format!("token of order {number}").as_bytes()),
            status: "pending",
            challenge: "pending",
            error: None,
            certificate: None,
        });
        let order = self.order(number, &state.orders[number]);
        Ok(object(
            201,
            &order,
            Some(self.url(&format!("order/{number}"))),
        ))
    }

    fn order(&self, number: usize, order: &Order) -> Value {
        let mut value = json!({
            "status": order.status,
            "identifiers": [{ "type": "dns", "value": order.name }],
            "authorizations": [self.url(&format!("authorization/{number}"))],
            "finalize": self.url(&format!("finalize/{number}")),
        });
        if order.certificate.is_some() {
            value["certificate"] = self.url(&format!("certificate/{number}")).into();
        }
        value
    }

    fn authorization(&self, number: usize, order: &Order) -> Value {
        let status = match order.challenge {
            "pending" => "pending",
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

    /// Looks at all three ways; one of them must show the key authorisation and none another.
    fn validate(&self, number: usize, account: &str) {
        let (token, name, thumbprint) = {
            let state = self.state.lock().unwrap();
            let order = &state.orders[number];
            let name = order.name.trim_start_matches("*.").to_owned();
            (
                order.token.clone(),
                name,
                jws::thumbprint(&state.accounts[account]),
            )
        };
        let expected = format!("{token}.{thumbprint}");
        let hash = digest::digest(&digest::SHA256, expected.as_bytes());
        let by_http = site::fetch(
            self.site.http,
            &name,
            &format!("/.well-known/acme-challenge/{token}"),
        );
        let by_tls = site::shown(self.site.tls, &name);
        let identifier = [&[0x04, 0x20], hash.as_ref()].concat();
        let shows = by_http.as_deref() == Some(expected.as_str())
            || by_tls.is_some_and(|der| der.windows(34).any(|window| window == identifier))
            || self.site.record(&format!("_acme-challenge.{name}"))
                == Some(jws::encode(hash.as_ref()));
        let mut state = self.state.lock().unwrap();
        let order = &mut state.orders[number];
        (order.challenge, order.status) = match shows {
            true => ("valid", "ready"),
            false => ("invalid", "invalid"),
        };
        order.error = (!shows).then(|| format!("nothing at {name} shows the key authorisation"));
    }

    fn finalize(&self, order: &mut Order, signed: &Signed) -> Result<(), Refused> {
        if order.status != "ready" {
            return Err(format!("orderNotReady: {}", order.status));
        }
        let payload = signed.payload.as_ref().ok_or("malformed: no payload")?;
        let csr = jws::decode(payload["csr"].as_str().unwrap_or_default())?;
        let mut csr = CertificateSigningRequestParams::from_der(&csr.into())
            .map_err(|error| format!("badCSR: {error}"))?;
        let names: Vec<String> = csr
            .params
            .subject_alt_names
            .iter()
            .map(|name| format!("{name:?}"))
            .collect();
        if names.len() != 1 || !names[0].contains(&format!("\"{}\"", order.name)) {
            return Err(format!("badCSR: {names:?}"));
        }
        let now = std::time::UNIX_EPOCH + gate_kit::clock::Clock::System.unix();
        let at = |seconds: i64| match u64::try_from(seconds) {
            Ok(ahead) => now + Duration::from_secs(ahead),
            Err(_) => now - Duration::from_secs(seconds.unsigned_abs()),
        };
        let (begins, ends) = *self.life.lock().unwrap();
        (csr.params.not_before, csr.params.not_after) = (at(begins).into(), at(ends).into());
        let signed = csr
            .signed_by(&self.issuer)
            .map_err(|error| format!("badCSR: {error}"))?;
        order.certificate = Some(signed.pem() + &self.root);
        order.status = "valid";
        Ok(())
    }
}

fn object(status: u16, value: &Value, location: Option<String>) -> Reply {
    let mut fields = vec![("content-type", "application/json".to_owned())];
    fields.extend(location.map(|location| ("location", location)));
    (status, fields, value.to_string().into_bytes())
}
