//! Bytes forwarded as they come: TCP services, and TLS told apart by its server name.
//!
//! A TLS client names the server it wants before anything is encrypted, so a connection can be
//! routed without ending TLS: the ClientHello is read, looked at and put back. Each connection is
//! one exchange with one record, whose method is CONNECT.

use crate::listener::ListenerOptions;
use crate::upstream::Upstream;
use crate::upstream::pick::hash_of;
use crate::worker::{Open, Worker};
use gate_flow::{Attempt, Client, Fault, Outcome};
use gate_kit::buffer::PooledBuf;
use gate_kit::http::{Body, Headers, Method, Request, RequestHead, Version};
use gate_model::fault::FaultCode;
use gate_net::client_hello;
use gate_net::io::Io;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How long a client may take to send its ClientHello.
const HELLO_TIME: Duration = Duration::from_secs(10);
/// Bytes copied per direction at a time.
const COPY: usize = 16 * 1024;

/// Where connections of a listener go.
pub struct TcpRoute {
    /// Name of the route.
    pub name: Arc<str>,
    /// Server name it is for; any when `None`.
    pub server_name: Option<Box<str>>,
    /// The service.
    pub upstream: Arc<Upstream>,
}

impl TcpRoute {
    fn matches(&self, server_name: Option<&str>) -> bool {
        match (self.server_name.as_deref(), server_name) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(pattern), Some(name)) => match pattern.strip_prefix('*') {
                // One label in front, as in certificates (RFC 6125 section 6.4.3).
                Some(suffix) => name
                    .strip_suffix(suffix)
                    .is_some_and(|l| !l.is_empty() && !l.contains('.')),
                None => pattern.eq_ignore_ascii_case(name),
            },
        }
    }

    /// Orders routes: exact names first, then wildcards, then the one for the rest.
    #[must_use]
    pub fn precedence(&self) -> u8 {
        match self.server_name.as_deref() {
            Some(name) if !name.starts_with('*') => 0,
            Some(_) => 1,
            None => 2,
        }
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    options: &ListenerOptions,
    mut io: Io,
) {
    let named = options
        .tcp_routes
        .iter()
        .any(|route| route.server_name.is_some());
    let server_name = match (named, io.tls()) {
        (_, Some(facts)) => facts.server_name.as_deref().map(str::to_owned),
        (true, None) => match tokio::time::timeout(HELLO_TIME, peek_name(&mut io)).await {
            Ok(Some(name)) => name,
            _ => return,
        },
        (false, None) => None,
    };
    let head = RequestHead {
        method: Method::Connect,
        authority: server_name.clone().unwrap_or_default(),
        target: String::new(),
        version: Version::Http11,
        headers: Headers::new(),
        upgrade: None,
    };
    let mut open = worker.open(
        client,
        Request {
            head,
            body: Body::Empty,
        },
        None,
    );
    let route = options
        .tcp_routes
        .iter()
        .find(|route| route.matches(server_name.as_deref()));
    let result = match route {
        Some(route) => forward(worker, &mut open, route, io).await,
        None => Err(Fault::new(FaultCode::RouteNotFound)),
    };
    match result {
        Ok((sent, received)) => {
            open.exchange.record.request_bytes = sent;
            open.finish(Outcome::Complete, received);
        }
        Err(fault) => {
            open.exchange.record.fault = Some(fault.code);
            open.exchange.record.fault_detail = fault.detail;
            open.finish(Outcome::Cut, 0);
        }
    }
}

/// Reads the server name of a ClientHello and puts its bytes back. `None` when there is none to
/// read: the peer left or speaks something else.
async fn peek_name(io: &mut Io) -> Option<Option<String>> {
    let mut buffer = PooledBuf::small();
    loop {
        if buffer.spare().is_empty() {
            return None;
        }
        let read = poll_fn(|cx| io.poll_read(cx, buffer.spare())).await.ok()?;
        if read == 0 {
            return None;
        }
        buffer.filled(read);
        if let Some(name) = client_hello::sni(&buffer).ok()? {
            io.unread(buffer);
            return Some(name);
        }
    }
}

async fn forward(
    worker: &Rc<Worker>,
    open: &mut Open,
    route: &TcpRoute,
    mut io: Io,
) -> Result<(u64, u64), Fault> {
    let upstream = &route.upstream;
    open.exchange.record.route = Some(route.name.clone());
    open.exchange.record.target = Some(upstream.name.clone());
    let _permit = upstream.admit()?;
    let mut tried = Vec::new();
    let clock = &worker.shared.clock;
    let (mut far, _in_flight) = loop {
        let started = clock.now();
        let hash = hash_of(&open.exchange.address);
        let endpoint = upstream.pick(started, Some(hash), &tried)?;
        tried.push(endpoint.id);
        let in_flight = endpoint.enter();
        let connected = upstream.connector.connect(&endpoint.target).await;
        upstream.note(&endpoint, connected.is_err());
        let fault = connected.is_err().then_some(FaultCode::UpstreamUnreachable);
        open.exchange.record.attempts.push(Attempt {
            endpoint: endpoint.address.clone(),
            status: 0,
            fault,
            started: started.since(open.exchange.record.started),
            duration: clock.now().since(started),
            reused: false,
        });
        match connected {
            Ok(far) => break (far, in_flight),
            Err(_) if tried.len() as u32 <= upstream.settings.retry.attempts => {}
            Err(error) => {
                return Err(Fault::new(FaultCode::UpstreamUnreachable).detail(error.to_string()));
            }
        }
    };
    let copying = tokio::io::copy_bidirectional_with_sizes(&mut io, &mut far, COPY, COPY);
    copying
        .await
        .map_err(|error| Fault::new(FaultCode::UpstreamReset).detail(error.to_string()))
}
