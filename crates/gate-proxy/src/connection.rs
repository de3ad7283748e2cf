//! From an accepted socket to served exchanges: PROXY header, TLS, then HTTP/1.1, HTTP/2 or bytes.
//!
//! All versions end in the same three steps (`streams.rs` has them for HTTP/2 and HTTP/3, whose
//! connections are in `quic.rs`): open an exchange, [`serve`] it, write the answer
//! and close the record. The future of an exchange is boxed, so that an idle connection holds
//! nothing but its socket and a few hundred bytes.

use crate::clients::Place;
use crate::listener::{ListenerOptions, ListenerState, Speaks, patience};
use crate::respond;
use crate::serve::serve;
use crate::streams::{self, Responder, unwinds};
use crate::tcp;
use crate::worker::{Open, Worker};
use gate_flow::{Client, Fault, InterimSink, Outcome, TlsFacts};
use gate_kit::boxed;
use gate_kit::buffer::PooledBuf;
use gate_kit::http::{self as stream, HeaderId, Method, Request, RequestHead, Response};
use gate_kit::http::{ResponseHead, Scheme, Version};
use gate_model::fault::FaultCode;
use gate_net::connection::server::{Interim, Next, Sent, ServerConnection};
use gate_net::http1::ParseError;
use gate_net::http2::{Http2Responder, Http2Server, Incoming};
use gate_net::io::Io;
use gate_net::{path, proxy_protocol};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

/// Most bytes of a PROXY protocol header (version 2 with its vectors).
const PROXY_HEADER_MAX: usize = 4096;

/// Serves one connection to its end.
pub async fn handle(worker: Rc<Worker>, state: Arc<ListenerState>, io: Io) {
    let gauges = worker.shared.readers.metrics().gauges().clone();
    let options = state.options.load_full();
    let open = state.connections.fetch_add(1, Ordering::Relaxed);
    worker.shared.connection_opened(worker.index());
    gauges.connections.open();
    if open >= options.connections_max {
        gauges.connections_refused.add(1);
    } else {
        // A broken invariant ends this connection and is counted; the worker goes on.
        if unwinds(prepare(&worker, &state, &options, io)).await {
            gauges.panics.add(1);
            tracing::error!(listener = %state.name, "an exchange broke an invariant and was ended");
        }
    }
    gauges.connections.close();
    worker.shared.connection_closed(worker.index());
    state.connections.fetch_sub(1, Ordering::Relaxed);
}

async fn prepare(
    worker: &Rc<Worker>,
    state: &Arc<ListenerState>,
    options: &Arc<ListenerOptions>,
    io: Io,
) {
    // Whatever is rare or over before the first request is boxed: this future lives as long as its
    // connection, which is mostly idle.
    let io = if options.proxy_protocol || options.tls.is_some() || options.client.is_limited() {
        let ready = tokio::time::timeout(head_time(options), handshake(worker, state, options, io));
        let Ok(Some(ready)) = Box::pin(ready).await else {
            return;
        };
        ready
    } else {
        (io, None)
    };
    // The place among its client's connections is given back when this one ends.
    let (io, _place) = io;
    if io.tls().is_some_and(gate_net::tls::TlsFacts::is_acme) {
        return;
    }
    let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
    let tls = io.tls().map(|facts| TlsFacts {
        server_name: facts.server_name.clone(),
        version: facts.version,
        certificate: facts.peer_certificate.clone(),
    });
    let peer = io.peer().unwrap_or(unspecified);
    let client = Rc::new(Client {
        listener: state.name.clone(),
        peer,
        peer_address: peer.ip().to_string().into(),
        local: io.local().unwrap_or(unspecified),
        scheme: if tls.is_some() {
            Scheme::Https
        } else {
            Scheme::Http
        },
        tls,
        inside: None,
    });
    match options.speaks {
        Speaks::Bytes => Box::pin(tcp::serve(worker, &client, options, io)).await,
        Speaks::Http if io.tls().is_some_and(gate_net::tls::TlsFacts::is_http2) => {
            Box::pin(http2(worker, &client, options, io)).await;
        }
        Speaks::Http => http1(worker, &client, options, io).await,
    }
}

fn head_time(options: &ListenerOptions) -> Duration {
    patience(options.http1.head_time)
}

/// What has to happen before the first message: PROXY header, the client's limits, and TLS.
async fn handshake(
    worker: &Worker,
    state: &Arc<ListenerState>,
    options: &ListenerOptions,
    mut io: Io,
) -> Option<(Io, Option<Place>)> {
    if options.proxy_protocol {
        read_proxy_header(&mut io).await?;
    }
    // Before the handshake, which is what an attacker wants us to spend on.
    let place = match options.client.is_limited() {
        true => Some(place_of(worker, state, options, io.peer())?),
        false => None,
    };
    let Some(tls) = &options.tls else {
        return Some((io, place));
    };
    match io.accept_tls(tls.config()).await {
        Ok(io) => Some((io, place)),
        Err(error) => {
            worker
                .shared
                .readers
                .metrics()
                .gauges()
                .handshakes_failed
                .add(1);
            tracing::debug!(%error, "TLS handshake failed");
            None
        }
    }
}

/// A place among the connections of the client; none where it has used its own up.
pub(crate) fn place_of(
    worker: &Worker,
    state: &Arc<ListenerState>,
    options: &ListenerOptions,
    peer: Option<SocketAddr>,
) -> Option<Place> {
    // All callers on a Unix socket are one client, and so are those behind a proxy we trust: the
    // proxy knows them, we do not.
    let peer = peer.map(|peer| peer.ip().to_canonical());
    let snapshot = worker.shared.snapshot.load();
    let trusted = &snapshot.resources.gateway.trusted_proxies;
    let address = peer.filter(|peer| !trusted.iter().any(|block| block.contains(peer)));
    let Some(address) = address else {
        return Some(Place::default());
    };
    let now = worker.shared.clock.now();
    let place = state.clients.admit(address, now, &options.client);
    if place.is_none() {
        let gauges = worker.shared.readers.metrics().gauges();
        gauges.connections_refused.add(1);
        gauges.clients_refused.add(1);
    }
    place
}

async fn read_proxy_header(io: &mut Io) -> Option<()> {
    let mut buffer = PooledBuf::small();
    loop {
        let read = poll_fn(|cx| io.poll_read(cx, buffer.spare())).await.ok()?;
        if read == 0 || buffer.len() > PROXY_HEADER_MAX {
            return None;
        }
        buffer.filled(read);
        if let Some((header, used)) = proxy_protocol::parse(&buffer).ok()? {
            buffer.advance(used);
            io.unread(buffer);
            if let proxy_protocol::ProxyHeader::Inet {
                source,
                destination,
            } = header
            {
                io.claim(source, destination);
            }
            return Some(());
        }
    }
}

// === HTTP/1.1 ===

async fn http1(worker: &Rc<Worker>, client: &Rc<Client>, options: &Arc<ListenerOptions>, io: Io) {
    let mut connection = ServerConnection::new(io, options.http1.clone());
    let mut interim: Option<Rc<dyn InterimSink>> = None;
    loop {
        let Some(next) = worker.unless_draining(connection.next()).await else {
            return;
        };
        let (head, fault) = match next {
            Next::Request(request) => {
                let interim =
                    interim.get_or_insert_with(|| Rc::new(Interim1(connection.interim())));
                let interim = interim.clone();
                let exchange =
                    boxed(|| exchange1(worker, client, options, &mut connection, interim, request));
                if exchange.await {
                    continue;
                }
                return;
            }
            Next::Closed => return,
            Next::Http2 => {
                let Some((mut io, read)) = connection.into_io() else {
                    return;
                };
                if let Some(read) = read {
                    io.unread(read);
                }
                return Box::pin(http2(worker, client, options, io)).await;
            }
            Next::TooLarge(head) => (head, Fault::new(FaultCode::BodyTooLarge)),
            Next::Refused(error) => (unknown_head(), parse_fault(error)),
            Next::Slow => (unknown_head(), Fault::new(FaultCode::RequestTimeout)),
        };
        let refusal = refuse(worker, client, options, &mut connection, head, fault);
        return Box::pin(refusal).await;
    }
}

/// One exchange over HTTP/1.1; whether the connection can carry another.
async fn exchange1(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    options: &ListenerOptions,
    connection: &mut ServerConnection,
    interim: Rc<dyn InterimSink>,
    request: Request,
) -> bool {
    let mut open = worker.open(client, request, Some(interim));
    let answer = match normalise(&mut open, options) {
        Err(fault) => Some(respond::fault(&mut open.exchange, fault)),
        Ok(Some(shown)) => Some(shown),
        Ok(None) => {
            let mut serving = pin!(serve(&mut open.exchange));
            poll_fn(|cx| match serving.as_mut().poll(cx) {
                Poll::Ready(response) => Poll::Ready(Some(response)),
                Poll::Pending => connection.poll_closed(cx).map(|()| None),
            })
            .await
        }
    };
    let Some(mut response) = answer else {
        open.exchange.record.fault = Some(FaultCode::ClientClosed);
        open.finish(Outcome::ClientClosed, 0);
        return false;
    };
    head_ready(worker, &mut open, &mut response, options);
    open.exchange.interim = None;
    match connection.respond(response, worker.is_draining()).await {
        Sent::Complete { bytes, reuse } => {
            open.finish(Outcome::Complete, bytes);
            reuse
        }
        Sent::ClientClosed { bytes } => {
            open.finish(Outcome::ClientClosed, bytes);
            false
        }
        Sent::Cut { bytes, error } => {
            note_cut(&mut open, &error);
            open.finish(Outcome::Cut, bytes);
            false
        }
    }
}

/// Answers what never became an exchange proper, with its record, and closes.
async fn refuse(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    options: &ListenerOptions,
    connection: &mut ServerConnection,
    head: RequestHead,
    fault: Fault,
) {
    let mut open = worker.open(
        client,
        Request {
            head,
            body: Default::default(),
        },
        None,
    );
    let mut response = respond::fault(&mut open.exchange, fault);
    head_ready(worker, &mut open, &mut response, options);
    match connection.respond(response, true).await {
        Sent::Complete { bytes, .. } => open.finish(Outcome::Complete, bytes),
        Sent::ClientClosed { bytes } | Sent::Cut { bytes, .. } => {
            open.finish(Outcome::ClientClosed, bytes);
        }
    }
}

struct Interim1(Interim);

impl InterimSink for Interim1 {
    fn send(&self, head: &ResponseHead) {
        self.0.send(head);
    }
}

// === HTTP/2 ===

async fn http2(worker: &Rc<Worker>, client: &Rc<Client>, options: &Arc<ListenerOptions>, io: Io) {
    // Whoever connects and sends no preface holds the connection no longer than a head may take.
    let handshake = Http2Server::handshake(io, options.http2.clone());
    let Ok(Ok(mut connection)) = tokio::time::timeout(head_time(options), handshake).await else {
        return;
    };
    loop {
        match worker.unless_draining(connection.accept()).await {
            Some(Some(Ok(incoming))) => spawn(worker, client, options, incoming),
            Some(Some(Err(error))) => {
                tracing::debug!(%error, "HTTP/2 connection ended");
                return;
            }
            Some(None) => return,
            None => {
                connection.drain();
                while let Some(Ok(incoming)) = connection.accept().await {
                    spawn(worker, client, options, incoming);
                }
                return;
            }
        }
    }
}

fn spawn(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    options: &Arc<ListenerOptions>,
    incoming: Incoming,
) {
    let request = std::future::ready(Some((incoming.request, incoming.responder)));
    streams::spawn(worker, client, options, request);
}

impl Responder for Http2Responder {
    fn inform(&mut self, head: &ResponseHead) {
        // Best effort: a stream that is gone is noticed by the answer.
        let _ = Http2Responder::inform(self, head);
    }

    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Http2Responder::poll_cancelled(self, cx)
    }

    fn respond(self, response: Response) -> impl Future<Output = stream::Sent> {
        Http2Responder::respond(self, response)
    }
}

// === all versions ===

/// Normalises the target once, for matching and forwarding alike. An answer is what an authority
/// asked for: no route is looked for then.
pub(crate) fn normalise(
    open: &mut Open,
    options: &ListenerOptions,
) -> Result<Option<Response>, Fault> {
    let head = &mut open.exchange.request.head;
    if head.method == Method::Connect && head.upgrade.is_none() {
        return Err(Fault::new(FaultCode::MethodNotAllowed).message("This is no forward proxy."));
    }
    if head.target == "*" {
        return Ok(None);
    }
    match path::normalise(&head.target, &options.paths) {
        Ok(std::borrow::Cow::Borrowed(_)) => {}
        Ok(std::borrow::Cow::Owned(target)) => {
            let original = std::mem::replace(&mut head.target, target);
            open.exchange.record.original_target = Some(original.into());
        }
        Err(error) => return Err(Fault::new(FaultCode::InvalidPath).detail(error.to_string())),
    }
    Ok(match &options.managed {
        None => None,
        Some(managed) => challenge(&head.target, managed),
    })
}

/// What an authority asked for by HTTP-01 (RFC 8555 section 8.3), where we have ordered. Other tokens
/// go on to the routes: a service behind us may order certificates of its own.
fn challenge(target: &str, managed: &gate_net::tls::Managed) -> Option<Response> {
    let token = target.strip_prefix("/.well-known/acme-challenge/")?;
    let authorization = managed.token(token)?;
    Some(Response::full(
        200,
        "application/octet-stream",
        authorization,
    ))
}

/// Notes the answer's head in the record, dates it where nobody has (RFC 9110 section 6.6.1), and
/// tells callers of HTTP/3.
pub(crate) fn head_ready(
    worker: &Worker,
    open: &mut Open,
    response: &mut Response,
    options: &ListenerOptions,
) {
    let headers = &mut response.head.headers;
    if let Some(alt_svc) = options.alt_svc.get()
        && response.head.status >= 200
        && open.exchange.request.head.version != Version::Http3
        && !headers.contains(HeaderId::AltSvc)
    {
        headers.append_known(HeaderId::AltSvc, alt_svc.as_bytes());
    }
    if response.head.status >= 200 && !headers.contains(HeaderId::Date) {
        headers.append_known(HeaderId::Date, worker.date().as_bytes());
    }
    let record = &mut open.exchange.record;
    record.status = response.head.status;
    record.first_byte = Some(worker.shared.clock.now().since(record.started));
}

pub(crate) fn note_cut(open: &mut Open, error: &gate_kit::http::BodyError) {
    let fault = Fault::from_response_body(error);
    open.exchange.record.fault = Some(fault.code);
    open.exchange.record.fault_detail = fault.detail;
}

fn parse_fault(error: ParseError) -> Fault {
    let code = match error.status() {
        414 => FaultCode::TargetTooLong,
        431 => FaultCode::HeadTooLarge,
        501 => FaultCode::TransferCodingUnknown,
        505 => FaultCode::VersionUnsupported,
        _ if error == ParseError::AmbiguousFraming => FaultCode::AmbiguousFraming,
        _ => FaultCode::MalformedRequest,
    };
    Fault::new(code)
        .message(error.to_string())
        .detail(error.code())
}

pub(crate) fn unknown_request() -> Request {
    Request {
        head: unknown_head(),
        body: Default::default(),
    }
}

/// Stands for a head that could not be read.
fn unknown_head() -> RequestHead {
    RequestHead {
        method: Method::Get,
        authority: String::new(),
        target: "/".to_owned(),
        version: Version::Http11,
        headers: Default::default(),
        upgrade: None,
    }
}
