//! Requests that the gateway makes of itself: items of batches, deliveries to routes.
//!
//! Each is an exchange like any other (same routes, policies, budgets, one record), on a worker, as
//! if it had come over a listener. Whoever asks is on a thread of its own and gets the answer's head
//! and then its pieces, at its own pace; giving either up cancels the exchange.

use crate::batches::{Desk, DeskPlace};
use crate::listener::{ListenerState, Speaks};
use crate::process::Process;
use crate::streams::{self, Responder};
use crate::target::batch::read;
use crate::worker::{Command, Worker};
use bytes::Bytes;
use gate_flow::{Client, Inside};
use gate_kit::http::{
    Body, Chunk, Frame, HeaderId, Headers, Method, Request, RequestHead, Response, ResponseHead,
    Scheme, SendEnd, Sent, Version, authority, frame,
};
use std::fs::File;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{mpsc, oneshot};

/// Pieces of an answer that wait for whoever asked. Beyond them the exchange waits.
const PIECES: usize = 16;

/// A request of the gateway's own.
#[derive(Debug, Clone, Default)]
pub struct InsideRequest {
    /// The listener whose routes, paths and limits count.
    pub listener: String,
    /// The method.
    pub method: String,
    /// Host that routes match.
    pub authority: String,
    /// Path and query.
    pub target: String,
    /// Its fields; neither Host nor Content-Length.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its body, unless it is a file.
    pub body: Bytes,
    /// The file that is its body: read piece by piece while it is sent, by who keeps callers' files.
    pub file: Option<PathBuf>,
    /// For whom, and how urgently.
    pub inside: Inside,
    /// What it is known by in its record, in logs and to its target (`X-Request-Id`).
    pub request_id: Option<String>,
}

/// Why a request of the gateway's own was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InsideError {
    /// No listener of this name speaks HTTP.
    #[error("no listener `{0}` speaks HTTP")]
    Listener(String),
    /// It is no request.
    #[error("this is no request: {0}")]
    Malformed(String),
    /// Every worker has as much to do as it may; later there is room.
    #[error("the workers have too much to do")]
    Busy,
    /// The gateway is about to end, or the exchange broke.
    #[error("the exchange ended without an answer")]
    Gone,
    /// The answer was cut.
    #[error("the answer was cut: {0}")]
    Cut(String),
}

/// The head of an answer, and its pieces as they come.
#[derive(Debug)]
pub struct InsideAnswer {
    /// The status.
    pub status: u16,
    /// Its fields, names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    pieces: mpsc::Receiver<Result<Bytes, InsideError>>,
    ended: bool,
}

impl InsideAnswer {
    /// A field's value, the first of its name (in lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_slice())
    }

    /// The next piece of the body; none at its end. May be dropped midway: nothing is lost.
    ///
    /// # Errors
    /// [`InsideError::Cut`] where the body failed, [`InsideError::Gone`] where the exchange broke.
    pub async fn piece(&mut self) -> Option<Result<Bytes, InsideError>> {
        if self.ended {
            return None;
        }
        let next = self.pieces.recv().await;
        match next {
            Some(Ok(piece)) if !piece.is_empty() => Some(Ok(piece)),
            // An empty piece says that all were sent: a channel that merely closed was broken off.
            Some(Ok(_)) => {
                self.ended = true;
                None
            }
            Some(Err(error)) => {
                self.ended = true;
                Some(Err(error))
            }
            None => {
                self.ended = true;
                Some(Err(InsideError::Gone))
            }
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// As [`Self::piece`]; [`InsideError::Cut`] also where it is longer than `bytes_max`.
    pub async fn collect(&mut self, bytes_max: usize) -> Result<Vec<u8>, InsideError> {
        let mut whole = Vec::new();
        while let Some(piece) = self.piece().await {
            let piece = piece?;
            if whole.len() + piece.len() > bytes_max {
                return Err(InsideError::Cut(format!("over {bytes_max} bytes")));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }
}

/// A request on its way to a worker.
pub(crate) struct Asked {
    request: InsideRequest,
    method: Method,
    headers: Headers,
    file: Option<(Arc<Desk>, File, u64)>,
    answer: oneshot::Sender<InsideAnswer>,
}

impl Process {
    /// Serves a request of the gateway's own. Nothing is done once the future, or later the answer,
    /// is dropped; deadlines are the asker's.
    ///
    /// # Errors
    /// [`InsideError`]; a fault of the exchange is an answer, as callers see it.
    pub fn ask(
        &self,
        request: InsideRequest,
    ) -> Result<impl Future<Output = Result<InsideAnswer, InsideError>> + Send + use<>, InsideError>
    {
        let malformed = |why: &str| Err(InsideError::Malformed(why.to_owned()));
        let Some(method) = Method::from_bytes(request.method.as_bytes()) else {
            return malformed("its method");
        };
        if method == Method::Connect || !request.target.starts_with('/') {
            return malformed("its target");
        }
        if authority(request.authority.as_bytes(), false).is_none() {
            return malformed("its host");
        }
        let mut headers = Headers::new();
        for (name, value) in &request.headers {
            if headers.try_append(name.as_bytes(), value).is_err() {
                return malformed(&format!("its field `{}`", name.escape_debug()));
            }
        }
        let file = match &request.file {
            None => None,
            Some(path) => match self.opened(path) {
                Ok(file) => Some(file),
                Err(error) => return malformed(&format!("its file: {error}")),
            },
        };
        let speaks = |state: &Arc<ListenerState>| state.options.load().speaks == Speaks::Http;
        let Some(state) = self.listener(&request.listener).filter(speaks) else {
            return Err(InsideError::Listener(request.listener));
        };
        let (sender, receiver) = oneshot::channel();
        let mut asked = Box::new(Asked {
            request,
            method,
            headers,
            file,
            answer: sender,
        });
        for worker in self.least_busy() {
            match worker.try_send(Command::Inside(state.clone(), asked)) {
                Ok(()) => {
                    return Ok(async move { receiver.await.map_err(|_| InsideError::Gone) });
                }
                Err(mpsc::error::TrySendError::Closed(Command::Inside(_, given)))
                | Err(mpsc::error::TrySendError::Full(Command::Inside(_, given))) => asked = given,
                Err(_) => return Err(InsideError::Gone),
            }
        }
        match self.shared().is_draining() {
            true => Err(InsideError::Gone),
            false => Err(InsideError::Busy),
        }
    }
}

impl Process {
    /// A file, who reads it, and how long it is.
    fn opened(&self, path: &Path) -> io::Result<(Arc<Desk>, File, u64)> {
        let desk = DeskPlace::of(&self.shared().state).get();
        let desk = desk.ok_or_else(|| io::Error::other("nobody keeps files here"))?;
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        Ok((desk, file, bytes))
    }
}

/// Serves one, in a task of its own.
pub(crate) fn serve(worker: &Rc<Worker>, state: &Arc<ListenerState>, asked: Asked) {
    let Asked {
        request,
        method,
        mut headers,
        file,
        answer,
    } = asked;
    let here = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = state.options.load_full();
    let client = Rc::new(Client {
        listener: state.name.clone(),
        peer: here,
        peer_address: here.ip().to_string().into(),
        local: here,
        scheme: match options.tls {
            Some(_) => Scheme::Https,
            None => Scheme::Http,
        },
        tls: None,
        inside: Some(Box::new(request.inside)),
    });
    if let Some(id) = &request.request_id {
        headers.append_known(HeaderId::XRequestId, id.as_bytes());
    }
    let head = RequestHead {
        method,
        authority: request.authority,
        target: request.target,
        version: Version::Http11,
        headers,
        upgrade: None,
    };
    let body = match file {
        Some((desk, file, bytes)) => read::body(desk, file, bytes),
        None => Body::from(Chunk::from(request.body)),
    };
    let incoming = (Ok(Request { head, body }), Answering(Some(answer)));
    streams::spawn(
        worker,
        &client,
        &options,
        std::future::ready(Some(incoming)),
    );
}

/// Answers whoever asked.
struct Answering(Option<oneshot::Sender<InsideAnswer>>);

impl Responder for Answering {
    fn inform(&mut self, _: &ResponseHead) {}

    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(answer) => answer.poll_closed(cx),
            None => Poll::Pending,
        }
    }

    async fn respond(mut self, response: Response) -> Sent {
        let mut sent = Sent {
            bytes: 0,
            end: SendEnd::Cancelled("whoever asked has gone".to_owned()),
        };
        let Some(answer) = self.0.take() else {
            return sent;
        };
        let headers = response.head.headers.iter();
        let headers = headers.map(|(_, name, value)| {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            (name, value.to_vec())
        });
        let (pieces, receiver) = mpsc::channel(PIECES);
        let head = InsideAnswer {
            status: response.head.status,
            headers: headers.collect(),
            pieces: receiver,
            ended: false,
        };
        if answer.send(head).is_err() {
            return sent;
        }
        let mut body = response.body;
        loop {
            let next = tokio::select! {
                next = frame(&mut body) => next,
                () = pieces.closed() => return sent,
            };
            let piece = match next {
                Some(Ok(Frame::Data(chunk))) => Ok(Bytes::copy_from_slice(&chunk)),
                Some(Ok(Frame::Trailers(_))) | None => Ok(Bytes::new()),
                Some(Err(error)) => {
                    let cut = InsideError::Cut(error.to_string());
                    sent.end = SendEnd::Cut(error);
                    Err(cut)
                }
            };
            let (length, failed) = match &piece {
                Ok(piece) => (piece.len() as u64, false),
                Err(_) => (0, true),
            };
            let taken = pieces.send(piece).await.is_ok();
            if failed || !taken {
                return sent;
            }
            sent.bytes += length;
            if length == 0 {
                sent.end = SendEnd::Complete;
                return sent;
            }
        }
    }
}
