//! One try at one endpoint: get a connection, send, wait for the head of the answer.

use super::endpoint::{Endpoint, InFlight};
use super::pool::Pool;
use super::{Deadlines, Upstream};
use crate::experiments::{self, Struck};
use gate_flow::{Attempt, Fault, InterimSink};
use gate_kit::clock::Moment;
use gate_kit::http::{
    Body, BodyError, BodyErrorKind, BodyStream, Frame, Request, RequestHead, ResponseHead, Scheme,
};
use gate_model::fault::FaultCode;
use gate_model::resources::{HostHeader, RetryOn, UpstreamProtocol};
use gate_net::connection::Timer;
use gate_net::connection::client::{Answer, ClientConnection, ClientError, ClientExchange};
use gate_net::http1;
use gate_net::http2::{Http2Client, Http2ClientOptions};
use std::future::poll_fn;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// An endpoint's answer, its body still on its way.
pub struct Answered {
    /// The head.
    pub head: ResponseHead,
    /// The body.
    pub body: Body,
    /// Counts the request as in flight on its endpoint.
    pub in_flight: InFlight,
    /// Whether the connection had been used before.
    pub reused: bool,
}

/// Why an attempt failed.
#[derive(Debug)]
pub struct Failure {
    /// What it means for the exchange.
    pub fault: Fault,
    /// Which retry rule it falls under; none when another try cannot help.
    pub reason: Option<RetryOn>,
    /// Whether the connection had been used before.
    pub reused: bool,
}

impl Failure {
    fn new(code: FaultCode, detail: String, reason: Option<RetryOn>) -> Self {
        Self {
            fault: Fault::new(code).detail(detail),
            reason,
            reused: false,
        }
    }
}

/// The row about one try that took the time `took`, in the record of an exchange that began at
/// `began`.
#[inline]
pub(crate) fn row(
    endpoint: &Endpoint,
    result: &Result<Answered, Failure>,
    took: Range<Moment>,
    began: Moment,
) -> Attempt {
    let (status, fault, reused) = match result {
        Ok(answered) => (answered.head.status, None, answered.reused),
        Err(failure) => (0, Some(failure.fault.code), failure.reused),
    };
    Attempt {
        endpoint: endpoint.address.clone(),
        status,
        fault,
        started: took.start.since(began),
        duration: took.end.since(took.start),
        reused,
    }
}

/// Whether a provider's endpoint is to blame for how a try ended.
#[inline]
pub(crate) fn is_blamed(row: &Attempt) -> bool {
    row.fault.is_some() || matches!(row.status, 500..=504)
}

/// Sends one request to one endpoint. `body` is taken only once a connection is there, so that a
/// request whose connection failed can be sent elsewhere. `struck` is an experiment's part in it.
///
/// # Errors
/// Why there is no answer. May be dropped midway, which cancels the request.
pub(crate) async fn attempt(
    upstream: &Upstream,
    endpoint: &Arc<Endpoint>,
    head: &RequestHead,
    body: &mut Option<Body>,
    deadlines: &Deadlines,
    interim: Option<Rc<dyn InterimSink>>,
    struck: Option<Struck>,
) -> Result<Answered, Failure> {
    if let Some(struck) = struck {
        let spoilt =
            experiments::struck(struck, upstream, endpoint, head, body, deadlines, interim);
        return Box::pin(spoilt).await;
    }
    let in_flight = endpoint.enter();
    let renamed = (upstream.settings.host_header == HostHeader::Endpoint).then(|| {
        Box::new(RequestHead {
            authority: endpoint.address.to_string(),
            ..head.clone()
        })
    });
    let head = renamed.as_deref().unwrap_or(head);
    // What is rare is boxed, because this future is as large as its largest branch and is moved
    // into its own box for every exchange.
    if upstream.settings.protocol == UpstreamProtocol::Http2 {
        let exchange = http2(upstream, endpoint, head, body, deadlines, in_flight);
        return Box::pin(exchange).await;
    }
    let pool = Pool::of(endpoint, upstream);
    let connection = match pool.take() {
        Some(connection) => connection,
        None => Box::pin(connect(upstream, endpoint, &pool, deadlines)).await?,
    };
    let reused = connection.uses > 0;
    let body = body.take().unwrap_or_default();
    let limits = http1::Limits::default();
    let failed = |mut failure: Failure| {
        failure.reused = reused;
        failure.fault.detail = format!("{}: {}", endpoint.address, failure.fault.detail).into();
        failure
    };
    let mut exchange = ClientExchange::start(connection, head, body, limits)
        .map_err(|error| failed(failure(error)))?;
    let deadline = first_byte_deadline(upstream, deadlines);
    let answer = first_head(&mut exchange, deadline, interim).await;
    let (head, body) = exchange.into_body(answer.map_err(failed)?, deadlines.idle, pool);
    Ok(Answered {
        head,
        body,
        in_flight,
        reused,
    })
}

/// Sends, and waits for the head of the answer. The exchange is lent, because moving it would cost
/// more than encoding the request.
async fn first_head(
    exchange: &mut ClientExchange,
    deadline: Option<Instant>,
    interim: Option<Rc<dyn InterimSink>>,
) -> Result<Answer, Failure> {
    let mut forward = |head: &ResponseHead| {
        if let Some(sink) = &interim {
            sink.send(head);
        }
    };
    poll_fn(|cx| {
        if let Poll::Ready(result) = exchange.poll_head(cx, &mut forward) {
            return Poll::Ready(result.map_err(failure));
        }
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        ready!(exchange.poll_deadline(cx, deadline));
        Poll::Ready(Err(timed_out()))
    })
    .await
}

fn first_byte_deadline(upstream: &Upstream, deadlines: &Deadlines) -> Option<Instant> {
    let deadline = || {
        upstream
            .clock
            .deadline(deadlines.started, deadlines.first_byte)
    };
    let first_byte = (!deadlines.first_byte.is_zero()).then(|| Instant::from(deadline()));
    match (first_byte, deadlines.total) {
        (Some(first_byte), Some(total)) => Some(first_byte.min(total)),
        (first_byte, total) => first_byte.or(total),
    }
}

fn timed_out() -> Failure {
    let detail = "no first byte in time".to_owned();
    Failure::new(FaultCode::UpstreamTimeout, detail, Some(RetryOn::Timeout))
}

/// Opens a connection, waiting for a place when the endpoint has as many as it may.
async fn connect(
    upstream: &Upstream,
    endpoint: &Endpoint,
    pool: &Rc<Pool>,
    deadlines: &Deadlines,
) -> Result<Box<ClientConnection>, Failure> {
    let patience = upstream.settings.timeouts.connect.duration();
    let mut deadline = Instant::now() + patience;
    if let Some(total) = deadlines.total {
        deadline = deadline.min(total);
    }
    let opened = tokio::time::timeout_at(deadline, async {
        let lease = match pool.place().await {
            Ok(lease) => lease,
            Err(connection) => return Ok(connection),
        };
        let generation = pool.generation();
        let io = upstream.connector.connect(&endpoint.target).await?;
        let mut connection = ClientConnection::new(io);
        connection.lease = Some(lease);
        connection.generation = generation;
        Ok(connection)
    })
    .await;
    let cause = match opened {
        Ok(Ok(connection)) => return Ok(connection),
        Ok(Err(error)) => {
            let error: gate_net::connect::ConnectError = error;
            error.to_string()
        }
        Err(_) => format!("no connection within {patience:?}"),
    };
    let detail = format!("{}: {cause}", endpoint.address);
    Err(Failure::new(
        FaultCode::UpstreamUnreachable,
        detail,
        Some(RetryOn::Connect),
    ))
}

fn failure(error: ClientError) -> Failure {
    match error {
        ClientError::Encode(error) => Failure::new(
            FaultCode::InternalError,
            format!("cannot be encoded: {error:?}"),
            None,
        ),
        ClientError::Socket {
            error,
            answered: false,
        } => {
            let detail = format!("closed before it answered: {error}");
            Failure::new(FaultCode::UpstreamReset, detail, Some(RetryOn::Reset))
        }
        ClientError::Socket {
            error,
            answered: true,
        } => {
            let detail = format!("closed inside the head of its answer: {error}");
            Failure::new(FaultCode::UpstreamReset, detail, None)
        }
        ClientError::Malformed(error) => {
            Failure::new(FaultCode::UpstreamMalformed, error.to_string(), None)
        }
        ClientError::RequestBody(error) => Failure {
            fault: Fault::from_request_body(&error),
            reason: None,
            reused: false,
        },
    }
}

/// The same over HTTP/2, where one connection carries many requests.
async fn http2(
    upstream: &Upstream,
    endpoint: &Endpoint,
    head: &RequestHead,
    body: &mut Option<Body>,
    deadlines: &Deadlines,
    in_flight: InFlight,
) -> Result<Answered, Failure> {
    let pool = Pool::of(endpoint, upstream);
    let (client, reused) = match pool.shared() {
        Some(client) => (client, true),
        None => open_http2(upstream, endpoint, &pool, deadlines).await?,
    };
    let request = Request {
        head: head.clone(),
        body: body.take().unwrap_or_default(),
    };
    let sending = client.send(request);
    let answered = match first_byte_deadline(upstream, deadlines) {
        Some(deadline) => tokio::time::timeout_at(deadline, sending)
            .await
            .map_err(|_| timed_out())?,
        None => sending.await,
    };
    match answered {
        Ok(response) => {
            let body = match response.body {
                Body::Stream(inner) => Body::Stream(Box::new(Watched::new(inner, deadlines.idle))),
                at_hand => at_hand,
            };
            Ok(Answered {
                head: response.head,
                body,
                in_flight,
                reused,
            })
        }
        Err(error) => {
            if let Some(error) = &error.body {
                return Err(Failure {
                    fault: Fault::from_request_body(error),
                    reason: None,
                    reused,
                });
            }
            // What the endpoint certainly did not process may always be sent again.
            let reason = if error.unprocessed {
                RetryOn::Connect
            } else {
                RetryOn::Reset
            };
            *body = error.unsent.map(|request| request.body);
            let detail = format!("{}: {}", endpoint.address, error.error);
            let mut failure = Failure::new(FaultCode::UpstreamReset, detail, Some(reason));
            failure.reused = reused;
            Err(failure)
        }
    }
}

/// Opens the connection that all share, or waits for whoever is opening it; and whether it was
/// there by then.
async fn open_http2(
    upstream: &Upstream,
    endpoint: &Endpoint,
    pool: &Rc<Pool>,
    deadlines: &Deadlines,
) -> Result<(Http2Client, bool), Failure> {
    let patience = upstream.settings.timeouts.connect.duration();
    let deadline = Instant::now() + patience;
    let deadline = deadlines
        .total
        .map_or(deadline, |total| total.min(deadline));
    let Ok(_turn) = tokio::time::timeout_at(deadline, pool.http2_turn.acquire()).await else {
        let detail = format!("{}: no connection within {patience:?}", endpoint.address);
        let code = FaultCode::UpstreamUnreachable;
        return Err(Failure::new(code, detail, Some(RetryOn::Connect)));
    };
    if let Some(client) = pool.shared() {
        return Ok((client, true));
    }
    let connection = connect(upstream, endpoint, pool, deadlines).await?;
    let (io, lease) = connection.into_parts();
    pool.http2_peer.set(io.peer());
    let scheme = if upstream.connector.has_tls() {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let options = Http2ClientOptions {
        scheme,
        ..Http2ClientOptions::default()
    };
    let opened = Http2Client::handshake(io, &options).await;
    let (client, driver) = opened.map_err(|error| {
        let detail = format!("{}: HTTP/2: {error}", endpoint.address);
        Failure::new(
            FaultCode::UpstreamUnreachable,
            detail,
            Some(RetryOn::Connect),
        )
    })?;
    // Ends with its connection: when the pool has let go of it and its last stream is over.
    tokio::task::spawn_local(async move {
        if let Err(error) = driver.await {
            tracing::debug!(%error, "an HTTP/2 connection to an upstream ended");
        }
        drop(lease);
    });
    *pool.http2.borrow_mut() = Some(client.clone());
    Ok((client, false))
}

/// A body that may not stay silent for too long.
struct Watched {
    inner: Box<dyn BodyStream>,
    idle: Duration,
    waiting_since: Option<Instant>,
    timer: Timer,
}

impl Watched {
    fn new(inner: Box<dyn BodyStream>, idle: Duration) -> Self {
        Self {
            inner,
            idle,
            waiting_since: None,
            timer: Timer::default(),
        }
    }
}

impl BodyStream for Watched {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        if let Poll::Ready(frame) = self.inner.poll_frame(cx) {
            self.waiting_since = None;
            return Poll::Ready(frame);
        }
        if self.idle.is_zero() {
            return Poll::Pending;
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        ready!(self.timer.poll(cx, since + self.idle));
        let detail = format!("nothing came for {:?}", self.idle);
        Poll::Ready(Some(Err(BodyError::new(BodyErrorKind::TimedOut, detail))))
    }

    fn remaining(&self) -> Option<u64> {
        self.inner.remaining()
    }
}
