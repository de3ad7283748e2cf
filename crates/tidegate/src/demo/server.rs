//! The HTTP server under the demo's samples: real sockets, one thread, bounded everything.
//!
//! A sample is a function from a request and its body to a response; everything about connections
//! stays here.

use crate::accept::{Secured, accept};
use gate_kit::http::{Body, BodyError, BodyStream, Chunk, Frame, RequestHead, Response};
use gate_net::connection::server::{Next, Sent, ServerConnection, ServerOptions};
use gate_net::http1::Limits;
use gate_net::listen::{ListenAddress, Sockets};
use std::cell::Cell;
use std::collections::VecDeque;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Most connections at once, over all samples.
const CONNECTIONS_MAX: usize = 1024;
/// Largest request body in bytes; images come inside of it.
const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What answers requests.
pub(crate) type Sample = Rc<dyn Fn(&RequestHead, &[u8]) -> Response>;

/// A bound port of 127.0.0.1, before anything is served on it.
pub(crate) struct Port {
    sockets: Sockets,
    /// The address that the system chose.
    pub(crate) address: SocketAddr,
}

impl Port {
    /// Binds a port that the system chooses.
    ///
    /// # Errors
    /// One sentence.
    pub(crate) fn bind() -> Result<Self, String> {
        Self::bind_to(0)
    }

    /// Binds this port, or one that the system chooses for 0.
    ///
    /// # Errors
    /// One sentence.
    pub(crate) fn bind_to(port: u16) -> Result<Self, String> {
        let wanted = ListenAddress::Tcp {
            address: (Ipv4Addr::LOCALHOST, port).into(),
            only_v6: false,
        };
        let sockets = Sockets::bind(&wanted, 1)
            .map_err(|error| format!("cannot listen on 127.0.0.1:{port}: {error}"))?;
        let address = sockets.local().ok_or("a sample has no address")?;
        Ok(Self { sockets, address })
    }
}

/// Serves samples on a thread of their own until the process ends.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn start(
    samples: impl FnOnce() -> Vec<(Port, Sample)> + Send + 'static,
) -> Result<(), String> {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let Ok(runtime) = runtime else {
            tracing::error!("the samples do not run");
            return;
        };
        tokio::task::LocalSet::new().block_on(&runtime, async move {
            let open = Rc::new(Cell::new(0));
            for (port, sample) in samples() {
                match port.sockets.share(0, 1) {
                    Ok(listeners) => listeners.into_iter().for_each(|listener| {
                        let sample = sample.clone();
                        let serve = move |connection| serve(connection, sample.clone());
                        let open = open.clone();
                        let plain = Secured::default();
                        let serving =
                            accept(listener, limits(), plain, open, CONNECTIONS_MAX, serve);
                        tokio::task::spawn_local(serving);
                    }),
                    Err(error) => tracing::error!(%error, "a sample does not run"),
                }
            }
            std::future::pending::<()>().await;
        });
    };
    let thread = std::thread::Builder::new().name("samples".into());
    thread
        .spawn(run)
        .map(drop)
        .map_err(|error| format!("cannot start the samples: {error}"))
}

fn limits() -> ServerOptions {
    ServerOptions {
        head: Limits::default(),
        body_bytes: BODY_BYTES_MAX as u64,
        idle: Duration::from_secs(120),
        head_time: Duration::from_secs(10),
        body_time: Duration::from_secs(60),
        write_time: Duration::from_secs(30),
    }
}

async fn serve(mut connection: ServerConnection, sample: Sample) {
    loop {
        let (response, close) = match connection.next().await {
            Next::Request(mut request) => match request.body.collect(BODY_BYTES_MAX).await {
                Ok(body) => (sample(&request.head, &body), false),
                Err(_) => return,
            },
            Next::TooLarge(_) => (text(413, "the sample takes no such large body\n"), true),
            Next::Refused(_) => (text(400, "the sample did not understand this\n"), true),
            Next::Slow => (text(408, "the sample waited in vain\n"), true),
            Next::Http2 | Next::Closed => return,
        };
        match connection.respond(response, close).await {
            Sent::Complete { reuse: true, .. } => {}
            _ => return,
        }
    }
}

/// An answer of plain text.
pub(crate) fn text(status: u16, text: &'static str) -> Response {
    Response::full(status, "text/plain; charset=utf-8", text)
}

/// An answer of JSON.
pub(crate) fn json(status: u16, value: &serde_json::Value) -> Response {
    Response::full(status, "application/json", value.to_string())
}

/// A body whose pieces come one by one, as a model's do.
pub(crate) struct Paced {
    pieces: VecDeque<String>,
    pause: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Paced {
    /// A stream of server-sent events with this much time between two of them.
    pub(crate) fn events(pieces: VecDeque<String>, pause: Duration) -> Response {
        let mut response = Response::full(200, "text/event-stream; charset=utf-8", "");
        let headers = &mut response.head.headers;
        headers.append(b"cache-control", b"no-cache");
        let sleep = Box::pin(tokio::time::sleep(Duration::ZERO));
        response.body = Body::Stream(Box::new(Self {
            pieces,
            pause,
            sleep,
        }));
        response
    }
}

impl BodyStream for Paced {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        if self.pieces.is_empty() {
            return Poll::Ready(None);
        }
        ready!(self.sleep.as_mut().poll(cx));
        let next = Instant::now() + self.pause;
        self.sleep.as_mut().reset(next);
        let piece = self.pieces.pop_front();
        Poll::Ready(piece.map(|piece| Ok(Frame::Data(Chunk::from(piece)))))
    }
}
