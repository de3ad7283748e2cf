//! Questions to key-value servers (Redis, Valkey) of one worker: connections, and their bound.
//!
//! A question has a connection to itself, kept for the next one when the answer has come whole. One
//! that fails or is given up takes its connection with it, because what would be read from it next
//! is another question's answer. Connecting goes through `gate-net`, so that names, TLS and
//! addresses are treated as everywhere; the wire format is in [`wire`].

mod cluster;
mod wire;

use crate::process::Shared;
use crate::upstream::connector::parse_endpoint;
use cluster::Places;
use gate_flow::{KeyValueAnswer, KeyValueError, KeyValueQuestion, KeyValueServer};
use gate_net::connect::{ConnectOptions, connect};
use gate_net::io::Io;
use gate_net::tls::{ClientTls, ClientTlsOptions};
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io::IoSlice;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use wire::{Reply, command, reply};

/// Questions to one server at a time, per worker; further ones fail at once.
const FLIGHT_MAX: usize = 64;
/// Connections to one server that are kept.
const IDLE_MAX: usize = 8;
/// Servers that connections are kept for. A configuration has one or two.
const SERVERS_MAX: usize = 32;
/// Appends and renews the time to live as one command: two could be parted by a failure, which would
/// leave a key without an end, and a cluster answers each with where its key has moved.
const APPEND: &[u8] = b"redis.call('APPEND',KEYS[1],ARGV[1]) \
    return redis.call('PEXPIRE',KEYS[1],ARGV[2])";
/// Bytes read at a time.
const READ: usize = 16 * 1024;

/// What tells servers apart: address, user, database, TLS and whom it trusts.
type Name = (String, String, u32, bool, Option<PathBuf>);

/// The connections of one worker.
#[derive(Default)]
pub(crate) struct KeyValues {
    pools: RefCell<HashMap<Name, Pool>>,
    /// Where the keys of clusters are.
    places: RefCell<Places>,
}

/// What a server says.
enum Said {
    Value(Option<Vec<u8>>),
    /// Another node of its cluster has the key.
    Moved(String),
}

#[derive(Default)]
struct Pool {
    idle: Vec<Io>,
    in_flight: usize,
    /// Made once, because reading authorities takes a file and a millisecond.
    tls: Option<ClientTls>,
}

/// A question's place; gives it back however the question ends.
struct Place {
    values: Rc<KeyValues>,
    name: Name,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(pool) = self.values.pools.borrow_mut().get_mut(&self.name) {
            pool.in_flight = pool.in_flight.saturating_sub(1);
        }
    }
}

impl KeyValues {
    /// Asks a server, within its timeout, and where it is one of a cluster, the node that has the
    /// key. May be dropped midway.
    pub(crate) async fn ask(
        self: Rc<Self>,
        shared: &Shared,
        server: &KeyValueServer,
        question: KeyValueQuestion,
    ) -> KeyValueAnswer {
        let asked = Rc::clone(&self).ask_cluster(shared, server, &question);
        let answered = tokio::time::timeout(server.timeout, asked).await;
        answered.map_err(|_| late(server))?
    }

    async fn ask_cluster(
        self: Rc<Self>,
        shared: &Shared,
        server: &KeyValueServer,
        question: &KeyValueQuestion,
    ) -> KeyValueAnswer {
        let slot = cluster::slot(key_of(question));
        let known = self.places.borrow().find(&server.address, slot);
        let mut node = known.map(|address| KeyValueServer {
            address,
            ..server.clone()
        });
        // A node that says that the key has moved again is believed once.
        for _ in 0..2 {
            let asked = node.as_ref().unwrap_or(server);
            let said = self.ask_one(shared, asked, question).await;
            let words = match said {
                Ok(Said::Value(value)) => return Ok(value),
                Ok(Said::Moved(words)) => words,
                Err(error) => {
                    // The next question asks the server that is configured.
                    self.places.borrow_mut().note(&server.address, slot, None);
                    return Err(error);
                }
            };
            let Some(address) = cluster::moved(&words, &asked.address) else {
                return Err(KeyValueError(words));
            };
            let mut places = self.places.borrow_mut();
            places.note(&server.address, slot, Some(address.clone()));
            drop(places);
            node = Some(KeyValueServer {
                address,
                ..server.clone()
            });
        }
        Err(KeyValueError("its key moves from node to node".into()))
    }

    async fn ask_one(
        self: &Rc<Self>,
        shared: &Shared,
        server: &KeyValueServer,
        question: &KeyValueQuestion,
    ) -> Result<Said, KeyValueError> {
        let (place, idle) = self.enter(server)?;
        let asked = async {
            let (io, mut bytes, skipped) = match idle {
                Some(io) => (io, Vec::new(), 0),
                None => {
                    let tls = self.tls(shared, server, &place.name).await?;
                    let io = open(shared, server, tls).await?;
                    let (bytes, count) = greeting(server);
                    (io, bytes, count)
                }
            };
            write_question(question, &mut bytes);
            send(&io, &bytes).await?;
            let said = receive(&io, skipped, server.value_max).await?;
            Ok((io, said))
        };
        let answered = tokio::time::timeout(server.timeout, asked).await;
        let (io, said) = answered.map_err(|_| late(server))??;
        self.keep(&place.name, io);
        Ok(said)
    }

    fn enter(
        self: &Rc<Self>,
        server: &KeyValueServer,
    ) -> Result<(Place, Option<Io>), KeyValueError> {
        let name = (
            server.address.clone(),
            server.username.clone(),
            server.database,
            server.tls,
            server.authorities.clone(),
        );
        let mut pools = self.pools.borrow_mut();
        if pools.len() >= SERVERS_MAX && !pools.contains_key(&name) {
            pools.retain(|_, pool| pool.in_flight > 0);
        }
        let pool = pools.entry(name.clone()).or_default();
        if pool.in_flight >= FLIGHT_MAX {
            let text = format!("{FLIGHT_MAX} questions are under way already");
            return Err(KeyValueError(text));
        }
        pool.in_flight += 1;
        // One that the server has closed, or that says something unasked, is of no use.
        while let Some(io) = pool.idle.pop() {
            if io.is_quiet() {
                return Ok((self.place(name), Some(io)));
            }
        }
        Ok((self.place(name), None))
    }

    /// TLS settings for a server that speaks it.
    async fn tls(
        &self,
        shared: &Shared,
        server: &KeyValueServer,
        name: &Name,
    ) -> Result<Option<ClientTls>, KeyValueError> {
        let Some(authorities) = &server.authorities else {
            return Ok(server.tls.then(|| shared.fetch_tls.clone()));
        };
        if let Some(pool) = self.pools.borrow().get(name)
            && let Some(tls) = &pool.tls
        {
            return Ok(Some(tls.clone()));
        }
        let options = ClientTlsOptions {
            authorities: Some(authorities.clone()),
            ..ClientTlsOptions::default()
        };
        let loaded = tokio::task::spawn_blocking(move || ClientTls::load(&options)).await;
        let loaded = loaded.map_err(|error| KeyValueError(error.to_string()))?;
        let tls = loaded.map_err(|error| KeyValueError(error.to_string()))?;
        if let Some(pool) = self.pools.borrow_mut().get_mut(name) {
            pool.tls = Some(tls.clone());
        }
        Ok(Some(tls))
    }

    fn place(self: &Rc<Self>, name: Name) -> Place {
        Place {
            values: self.clone(),
            name,
        }
    }

    fn keep(&self, name: &Name, io: Io) {
        if let Some(pool) = self.pools.borrow_mut().get_mut(name)
            && pool.idle.len() < IDLE_MAX
        {
            pool.idle.push(io);
        }
    }
}

async fn open(
    shared: &Shared,
    server: &KeyValueServer,
    tls: Option<ClientTls>,
) -> Result<Io, KeyValueError> {
    let endpoint = parse_endpoint(&server.address).map_err(KeyValueError)?;
    let options = ConnectOptions {
        deadline: server.timeout,
        tls,
        ..ConnectOptions::default()
    };
    let io = connect(&shared.dns, &endpoint, &options).await;
    io.map_err(|error| KeyValueError(error.to_string()))
}

/// What is said first on a connection, and how many answers that has.
fn greeting(server: &KeyValueServer) -> (Vec<u8>, usize) {
    let (mut bytes, mut count) = (Vec::new(), 0);
    let (user, password) = (server.username.as_bytes(), server.password.as_bytes());
    if !password.is_empty() {
        match user {
            b"" => command(&[b"AUTH", password], &mut bytes),
            user => command(&[b"AUTH", user, password], &mut bytes),
        }
        count += 1;
    }
    if server.database > 0 {
        let number = server.database.to_string();
        command(&[b"SELECT", number.as_bytes()], &mut bytes);
        count += 1;
    }
    (bytes, count)
}

fn late(server: &KeyValueServer) -> KeyValueError {
    KeyValueError(format!("no answer within {:?}", server.timeout))
}

fn key_of(question: &KeyValueQuestion) -> &[u8] {
    match question {
        KeyValueQuestion::Get(key)
        | KeyValueQuestion::Set(key, ..)
        | KeyValueQuestion::Append(key, ..)
        | KeyValueQuestion::Range(key, ..) => key,
    }
}

fn write_question(question: &KeyValueQuestion, bytes: &mut Vec<u8>) {
    match question {
        KeyValueQuestion::Get(key) => command(&[b"GET", key], bytes),
        KeyValueQuestion::Set(key, value, ttl) => {
            let ttl = milliseconds(ttl);
            command(&[b"SET", key, value, b"PX", ttl.as_bytes()], bytes);
        }
        KeyValueQuestion::Append(key, value, ttl) => {
            let ttl = milliseconds(ttl);
            let parts: [&[u8]; 6] = [b"EVAL", APPEND, b"1", key, value, ttl.as_bytes()];
            command(&parts, bytes);
        }
        KeyValueQuestion::Range(key, from, count) => {
            let last = from.saturating_add(u64::from(*count)).saturating_sub(1);
            let (from, last) = (from.to_string(), last.to_string());
            command(&[b"GETRANGE", key, from.as_bytes(), last.as_bytes()], bytes);
        }
    }
}

fn milliseconds(time: &Duration) -> String {
    time.as_millis().max(1).to_string()
}

async fn send(io: &Io, bytes: &[u8]) -> Result<(), KeyValueError> {
    let failed = |error: std::io::Error| KeyValueError(error.to_string());
    let mut left = bytes;
    while !left.is_empty() {
        let slices = [IoSlice::new(left)];
        let sent = poll_fn(|cx| io.poll_write(cx, &slices)).await;
        match sent.map_err(failed)? {
            0 => return Err(closed()),
            sent => left = &left[sent..],
        }
    }
    poll_fn(|cx| io.poll_flush(cx)).await.map_err(failed)
}

/// Reads answers: so many that have to be good, then the one that counts.
async fn receive(io: &Io, skipped: usize, most: usize) -> Result<Said, KeyValueError> {
    let (mut buffer, mut left) = (Vec::new(), skipped);
    let mut piece = vec![0; READ];
    loop {
        while let Some((answer, length)) = reply(&buffer, most).map_err(KeyValueError)? {
            let is_last = left == 0;
            let said = match answer {
                Reply::Error(words) if is_last && words.starts_with("MOVED ") => Said::Moved(words),
                Reply::Error(words) => return Err(KeyValueError(words)),
                Reply::Value(span) => Said::Value(span.map(|span| buffer[span].to_vec())),
                Reply::Done => Said::Value(None),
            };
            if is_last {
                return match length == buffer.len() {
                    true => Ok(said),
                    false => Err(KeyValueError("it says more than was asked".into())),
                };
            }
            buffer.drain(..length);
            left -= 1;
        }
        let read = poll_fn(|cx| io.poll_read(cx, &mut piece)).await;
        match read.map_err(|error| KeyValueError(error.to_string()))? {
            0 => return Err(closed()),
            read => buffer.extend_from_slice(&piece[..read]),
        }
    }
}

fn closed() -> KeyValueError {
    KeyValueError("the server closed the connection".into())
}
