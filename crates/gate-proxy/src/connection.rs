//! From an accepted socket to served exchanges: PROXY header, TLS, then HTTP/1.1, HTTP/2 or bytes.
//!
//! Both HTTP versions end in the same three steps: open an exchange, [`serve`] it, write the answer
//! and close the record. The future of an exchange is boxed, so that an idle connection holds
//! nothing but its socket and a few hundred bytes.

use crate::clients::Place;
use crate::listener::{ListenerOptions, ListenerState, Speaks};
use crate::respond;
use crate::serve::serve;
use crate::tcp;
use crate::worker::{Open, Worker};
use gate_flow::{Client, Fault, InterimSink, Outcome, TlsFacts};
use gate_kit::buffer::PooledBuf;
use gate_kit::http::{HeaderId, Method, Request, RequestHead, Response, ResponseHead, Scheme};
use gate_model::fault::FaultCode;
use gate_net::connection::server::{Interim, Next, Sent, ServerConnection};
use gate_net::http1::ParseError;
use gate_net::http2::{Http2Responder, Http2Server, Incoming, SendEnd};
use gate_net::io::Io;
use gate_net::{path, proxy_protocol};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
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
        let mut serving = pin!(prepare(&worker, &state, &options, io));
        let unwound =
            poll_fn(
                |cx| match catch_unwind(AssertUnwindSafe(|| serving.as_mut().poll(cx))) {
                    Ok(poll) => poll.map(|()| false),
                    Err(_) => Poll::Ready(true),
                },
            )
            .await;
        if unwound {
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
    });
    match options.speaks {
        Speaks::Bytes => Box::pin(tcp::serve(worker, &client, options, io)).await,
        Speaks::Http if io.tls().is_some_and(gate_net::tls::TlsFacts::is_http2) => {
            Box::pin(http2(worker, &client, options, io)).await;
        }
        Speaks::Http => http1(worker, &client, options, io).await,
    }
}

/// Time for everything that comes before a request: PROXY header, TLS, an HTTP/2 preface.
fn head_time(options: &ListenerOptions) -> Duration {
    match options.http1.head_time {
        Duration::ZERO => Duration::from_secs(60),
        patience => patience,
    }
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
        true => Some(place(worker, state, options, &io)?),
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
fn place(
    worker: &Worker,
    state: &Arc<ListenerState>,
    options: &ListenerOptions,
    io: &Io,
) -> Option<Place> {
    // All callers on a Unix socket are one client, and so are those behind a proxy we trust: the
    // proxy knows them, we do not.
    let peer = io.peer().map(|peer| peer.ip().to_canonical());
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
                    exchange1(worker, client, options, &mut connection, interim, request);
                if Box::pin(exchange).await {
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
        return Box::pin(refuse(worker, client, &mut connection, head, fault)).await;
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
    head_ready(worker, &mut open, &mut response);
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
    head_ready(worker, &mut open, &mut response);
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
            Some(Some(Ok(incoming))) => spawn2(worker, client, options, incoming),
            Some(Some(Err(error))) => {
                tracing::debug!(%error, "HTTP/2 connection ended");
                return;
            }
            Some(None) => return,
            None => {
                connection.drain();
                while let Some(Ok(incoming)) = connection.accept().await {
                    spawn2(worker, client, options, incoming);
                }
                return;
            }
        }
    }
}

/// Streams run beside each other; the connection's limit on streams bounds their number, and each
/// ends with its stream.
fn spawn2(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    options: &Arc<ListenerOptions>,
    incoming: Incoming,
) {
    let (worker, client, options) = (worker.clone(), client.clone(), options.clone());
    let index = worker.index();
    worker.shared.connection_opened(index);
    tokio::task::spawn_local(async move {
        let gauges = worker.shared.readers.metrics().gauges().clone();
        let shared = worker.shared.clone();
        let mut serving = pin!(exchange2(worker, client, options, incoming));
        let unwound =
            poll_fn(
                |cx| match catch_unwind(AssertUnwindSafe(|| serving.as_mut().poll(cx))) {
                    Ok(poll) => poll.map(|()| false),
                    Err(_) => Poll::Ready(true),
                },
            )
            .await;
        if unwound {
            gauges.panics.add(1);
        }
        shared.connection_closed(index);
    });
}

async fn exchange2(
    worker: Rc<Worker>,
    client: Rc<Client>,
    options: Arc<ListenerOptions>,
    incoming: Incoming,
) {
    let responder = Rc::new(RefCell::new(Some(incoming.responder)));
    let request = match incoming.request {
        Ok(request) => request,
        Err(refusal) => {
            let mut open = worker.open(&client, unknown_request(), None);
            let fault = Fault::new(FaultCode::MalformedRequest).detail(refusal.to_string());
            let mut response = respond::fault(&mut open.exchange, fault);
            response.head.status = refusal.status();
            head_ready(&worker, &mut open, &mut response);
            return finish2(open, &responder, response).await;
        }
    };
    let interim: Rc<dyn InterimSink> = Rc::new(Interim2(responder.clone()));
    let too_large = request
        .body
        .length()
        .is_some_and(|length| length > options.http1.body_bytes);
    let mut open = worker.open(&client, limited(request, &options), Some(interim));
    let ready = normalise(&mut open, &options);
    let ready = if too_large {
        Err(FaultCode::BodyTooLarge.into())
    } else {
        ready
    };
    let answer = match ready {
        Err(fault) => Some(respond::fault(&mut open.exchange, fault)),
        Ok(Some(shown)) => Some(shown),
        Ok(None) => {
            let mut serving = pin!(serve(&mut open.exchange));
            poll_fn(|cx| match serving.as_mut().poll(cx) {
                Poll::Ready(response) => Poll::Ready(Some(response)),
                Poll::Pending => {
                    let mut responder = responder.borrow_mut();
                    let responder = responder.as_mut().expect("taken only to respond");
                    responder.poll_cancelled(cx).map(|()| None)
                }
            })
            .await
        }
    };
    let Some(mut response) = answer else {
        open.exchange.record.fault = Some(FaultCode::ClientClosed);
        return open.finish(Outcome::ClientClosed, 0);
    };
    head_ready(&worker, &mut open, &mut response);
    finish2(open, &responder, response).await;
}

async fn finish2(mut open: Open, responder: &RefCell<Option<Http2Responder>>, response: Response) {
    open.exchange.interim = None;
    let responder = responder
        .borrow_mut()
        .take()
        .expect("an exchange is answered once");
    let sent = responder.respond(response).await;
    match sent.end {
        SendEnd::Complete => open.finish(Outcome::Complete, sent.bytes),
        SendEnd::Cancelled(_) => open.finish(Outcome::ClientClosed, sent.bytes),
        SendEnd::Cut(error) => {
            note_cut(&mut open, &error);
            open.finish(Outcome::Cut, sent.bytes);
        }
    }
}

struct Interim2(Rc<RefCell<Option<Http2Responder>>>);

impl InterimSink for Interim2 {
    fn send(&self, head: &ResponseHead) {
        if let Ok(mut responder) = self.0.try_borrow_mut()
            && let Some(responder) = responder.as_mut()
        {
            // Best effort: a stream that is gone is noticed by the answer.
            let _ = responder.inform(head);
        }
    }
}

/// An HTTP/2 request whose body is held to the listener's limit.
fn limited(request: Request, options: &ListenerOptions) -> Request {
    use gate_kit::http::{Body, Limited};
    let most = options.http1.body_bytes;
    let body = match request.body {
        Body::Stream(inner) if request.head.upgrade.is_none() => Body::Stream(Box::new(
            Limited::new(inner, most, "over the listener's limit"),
        )),
        other => other,
    };
    Request {
        head: request.head,
        body,
    }
}

// === both ===

/// Normalises the target once, for matching and forwarding alike. An answer is what an authority
/// asked for: no route is looked for then.
fn normalise(open: &mut Open, options: &ListenerOptions) -> Result<Option<Response>, Fault> {
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

/// Notes the answer's head in the record, and dates it where nobody has (RFC 9110 section 6.6.1).
fn head_ready(worker: &Worker, open: &mut Open, response: &mut Response) {
    let headers = &mut response.head.headers;
    if response.head.status >= 200 && !headers.contains(HeaderId::Date) {
        headers.append_known(HeaderId::Date, worker.date().as_bytes());
    }
    let record = &mut open.exchange.record;
    record.status = response.head.status;
    record.first_byte = Some(worker.shared.clock.now().since(record.started));
}

fn note_cut(open: &mut Open, error: &gate_kit::http::BodyError) {
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

fn unknown_request() -> Request {
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
        version: gate_kit::http::Version::Http11,
        headers: Default::default(),
        upgrade: None,
    }
}
