//! Messages of servers on their way to a caller, as one stream of events.
//!
//! Each source has a task of its own, which reads no further than the caller does: a few messages
//! wait in a queue, and then the task does. When the caller goes away the tasks end, and with them
//! what they read from.

use super::server::Server;
use super::session::{InFlight, Listening};
use super::source::{Event, Source};
use crate::target::around::Around;
use bytes::Bytes;
use gate_ai::DialectError;
use gate_ai::rpc::{self, Kind, Message, rewrite};
use gate_flow::Fault;
use gate_kit::http::{
    Body, BodyError, BodyStream, Chunk, Frame, HeaderId, Headers, Response, ResponseHead,
};
use gate_model::fault::FaultCode;
use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Messages that may wait for the caller.
const QUEUE: usize = 4;
/// Between two signs of life on a stream that may be silent.
const PULSE: Duration = Duration::from_secs(25);

/// A stream that is being put together.
pub(super) struct Relay {
    around: Rc<Around>,
    to: mpsc::Sender<Bytes>,
    body: Stream,
}

/// One source of a stream.
pub(super) struct Call {
    pub(super) server: Arc<Server>,
    /// The request whose answer ends it; none for what a server says unasked.
    pub(super) id: Option<Box<str>>,
    /// What has been read already.
    pub(super) first: Option<Event>,
    pub(super) source: Source,
}

impl Relay {
    /// A stream for as long as which a request counts as in flight.
    pub(super) fn new(around: &Rc<Around>, in_flight: InFlight) -> Self {
        Self::holding(around, Box::new(in_flight))
    }

    /// A stream for as long as which a session counts as listening.
    pub(super) fn open(around: &Rc<Around>, listening: Listening) -> Self {
        Self::holding(around, Box::new(listening))
    }

    fn holding(around: &Rc<Around>, held: Box<dyn Any>) -> Self {
        let (to, from) = mpsc::channel(QUEUE);
        Self {
            around: around.clone(),
            to,
            body: Stream { from, _held: held },
        }
    }

    /// Adds a source.
    ///
    /// # Errors
    /// [`FaultCode::Overloaded`] when the worker has too many tasks.
    pub(super) fn add(&mut self, call: Call) -> Result<(), Fault> {
        let (around, to) = (self.around.clone(), self.to.clone());
        let task = Box::pin(async move { carry(&around, call, &to).await });
        self.spawn(task)
    }

    /// Adds signs of life, each of which keeps the session in use.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub(super) fn pulse(&mut self, session: Arc<super::session::Session>) -> Result<(), Fault> {
        let (around, to) = (self.around.clone(), self.to.clone());
        self.spawn(Box::pin(async move {
            loop {
                tokio::select! {
                    () = to.closed() => return,
                    () = around.services.sleep(PULSE) => {}
                }
                session.touch(around.now());
                if to.send(Bytes::from_static(b": alive\n\n")).await.is_err() {
                    return;
                }
            }
        }))
    }

    fn spawn(&self, task: gate_flow::LocalFuture<'static, ()>) -> Result<(), Fault> {
        match self.around.services.spawn(task) {
            true => Ok(()),
            false => {
                let detail = "the worker carries as many streams as it may";
                Err(Fault::new(FaultCode::Overloaded).detail(detail))
            }
        }
    }

    /// The stream as an answer.
    pub(super) fn response(self) -> Response {
        let mut headers = Headers::with_capacity(2, 96);
        headers.append_known(HeaderId::ContentType, b"text/event-stream");
        headers.append_known(HeaderId::CacheControl, b"no-cache");
        Response {
            head: ResponseHead {
                status: 200,
                headers,
            },
            body: Body::Stream(Box::new(self.body)),
        }
    }
}

/// What waits for the caller, as a body.
struct Stream {
    from: mpsc::Receiver<Bytes>,
    _held: Box<dyn Any>,
}

impl BodyStream for Stream {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let next = self.from.poll_recv(cx);
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::Data(Chunk::Shared(bytes)))))
    }
}

/// Carries what one source says until it has said what was asked, or cannot.
async fn carry(around: &Rc<Around>, mut call: Call, to: &mpsc::Sender<Bytes>) {
    let end = Instant::now() + call.server.timeouts.total.duration();
    let end = around.until.map_or(end, |until| until.min(end));
    let mut can_resume = false;
    loop {
        let next = tokio::select! {
            biased;
            () = to.closed() => return,
            next = next(around, &mut call, end) => next,
        };
        let event = match next {
            Ok(Some(event)) => event,
            Ok(None) if call.id.is_none() || can_resume => return,
            Ok(None) => {
                let detail = format!("`{}` ended without an answer", call.server.name);
                let fault = Fault::new(FaultCode::UpstreamReset).detail(detail);
                return give_up(around, &call, to, fault).await;
            }
            Err(fault) => return give_up(around, &call, to, fault).await,
        };
        can_resume |= event.id.is_some();
        let size = event.data.len();
        let (server, id) = (call.server.name.clone(), call.id.clone());
        let made = around.work(size, move || carried(&server, id.as_deref(), event));
        let carried = match made.await {
            Ok(Ok(carried)) => carried,
            Ok(Err(error)) => {
                let fault = call.server.malformed(&error.to_string());
                return give_up(around, &call, to, fault).await;
            }
            Err(fault) => return give_up(around, &call, to, fault).await,
        };
        if let Some((error, tool_failed)) = carried.ended {
            let mut facts = around.facts.borrow_mut();
            facts.error = error;
            facts.tool_failed = tool_failed;
            if error.is_none() && !tool_failed && facts.method == "tools/call" {
                facts.tool_is_known = true;
                if let Some(tool) = &facts.tool {
                    call.server.known.learn(std::iter::once(&**tool));
                }
            }
        }
        let sent = carried.bytes.is_empty() || to.send(carried.bytes.into()).await.is_ok();
        if carried.ended.is_some() || !sent {
            return;
        }
    }
}

/// The next message, in time where it is awaited.
async fn next(around: &Around, call: &mut Call, end: Instant) -> Result<Option<Event>, Fault> {
    if let Some(first) = call.first.take() {
        return Ok(Some(first));
    }
    if call.id.is_none() {
        return call.source.next().await;
    }
    let patience = around.idle(call.server.timeouts.call.duration());
    let until = end.min(Instant::now() + patience);
    let next = tokio::time::timeout_at(until, call.source.next()).await;
    next.unwrap_or_else(|_| Err(call.server.late(patience)))
}

/// Ends a call with an error that its caller can read.
async fn give_up(around: &Rc<Around>, call: &Call, to: &mpsc::Sender<Bytes>, fault: Fault) {
    let Some(id) = &call.id else {
        tracing::debug!(server = &*call.server.name, %fault, "a server's stream ended");
        return;
    };
    {
        let mut facts = around.facts.borrow_mut();
        facts.fault = Some(fault.code);
        facts.error = Some(rpc::SERVER_ERROR);
    }
    tracing::warn!(server = &*call.server.name, %fault, "a call ended without an answer");
    let title = fault.code.title();
    let data = rpc::error_answer(Some(id), rpc::SERVER_ERROR, title, fault.code.as_str());
    let mut event = Vec::with_capacity(data.len() + 32);
    rpc::write_event(&mut event, None, None, &data);
    let _ = to.send(event.into()).await;
}

/// A message made ready for the caller.
struct Carried {
    bytes: Vec<u8>,
    /// How it ended: the error's code, and whether the tool failed.
    ended: Option<(Option<i64>, bool)>,
}

/// Makes a message ready: ids of what a server asks, and of events, name the server, so that what
/// comes back finds it.
fn carried(server: &str, id: Option<&str>, event: Event) -> Result<Carried, DialectError> {
    let mut ended = None;
    let mut data = event.data;
    if !data.is_empty() {
        let message = Message::read(&data)?;
        match message.kind {
            Kind::Response if id.is_some() && message.id.as_deref() == id => {
                ended = Some((message.error, message.tool_failed));
            }
            // The answer to something that is no longer awaited; on a stream that is resumed, to
            // what was.
            Kind::Response if id.is_some() => data.clear(),
            Kind::Response => {}
            Kind::Request => {
                let id = message.id.as_deref().unwrap_or("null");
                data = rewrite::with_id(&data, &rewrite::server_id(server, id))?;
            }
            Kind::Notification => {
                if let Some(about) = &message.about {
                    data = rewrite::with_about(&data, &rewrite::server_id(server, about))?;
                }
            }
        }
        rpc::flatten(&mut data);
    }
    let id = event.id.as_deref().map(|id| event_id(server, id));
    let mut bytes = Vec::new();
    if !data.is_empty() || id.is_some() || event.retry.is_some() {
        bytes.reserve(data.len() + 64);
        rpc::write_event(&mut bytes, id.as_deref(), event.retry.as_deref(), &data);
    }
    Ok(Carried { bytes, ended })
}

/// An event's id with its server's name in front.
fn event_id(server: &str, id: &[u8]) -> Vec<u8> {
    [format!("{}:{server}", server.len()).as_bytes(), id].concat()
}

/// A server and its own id of an event, out of what [`event_id`] made.
pub(super) fn own_event_id(id: &str) -> Option<(&str, &str)> {
    let (length, rest) = id.split_once(':')?;
    rest.split_at_checked(length.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: &str, id: Option<&[u8]>) -> Event {
        Event {
            data: data.as_bytes().to_vec(),
            id: id.map(<[u8]>::to_vec),
            retry: None,
        }
    }

    #[test]
    fn what_a_server_asks_finds_its_way_back() {
        let asked = r#"{"jsonrpc":"2.0","id":3,"method":"sampling/createMessage","params":{}}"#;
        let made = carried("files", Some("1"), event(asked, Some(b"e:7"))).unwrap();
        let text = String::from_utf8(made.bytes).unwrap();
        assert!(text.starts_with("id: 5:filese:7\n"), "{text}");
        assert!(text.contains(r#""id":"5:files3""#), "{text}");
        assert_eq!(own_event_id("5:filese:7"), Some(("files", "e:7")));
        assert_eq!(own_event_id("99:x"), None);
        assert!(made.ended.is_none());
    }

    #[test]
    fn only_the_own_answer_ends_a_call() {
        let answer = |id: u8| {
            event(
                &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#),
                None,
            )
        };
        let own = carried("a", Some("1"), answer(1)).unwrap();
        assert_eq!(own.ended, Some((None, false)));
        let other = carried("a", Some("1"), answer(2)).unwrap();
        assert!(other.ended.is_none() && other.bytes.is_empty());
        assert!(carried("a", Some("1"), event("nonsense", None)).is_err());
        let priming = carried("a", Some("1"), event("", Some(b"0"))).unwrap();
        assert_eq!(priming.bytes, b"id: 1:a0\nevent: message\ndata: \n\n");
    }
}
