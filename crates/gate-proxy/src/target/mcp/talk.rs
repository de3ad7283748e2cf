//! Talking to a server: opening a session with it, asking, telling, calling. What differs between
//! HTTP and processes ends here.

use super::http::{Ask, is_json, is_stream, send};
use super::server::{Server, Transport};
use super::session::{Opened, Session};
use super::source::Source;
use super::{MESSAGE_MAX, Trouble};
use crate::target::around::Around;
use bytes::Bytes;
use gate_ai::rpc::handshake::Offer;
use gate_ai::rpc::{Kind, Message, request};
use gate_flow::Fault;
use gate_kit::http::{Body, Method};
use gate_model::fault::FaultCode;
use std::sync::Arc;
use std::time::Duration;

/// Id of the gateway's own requests: one at a time of a kind, and no client's.
const OWN_ID: &str = "\"tidegate\"";

impl Server {
    /// The session with this server, begun where it is not yet.
    ///
    /// # Errors
    /// Why there is none. May be dropped midway.
    pub(super) async fn open(
        &self,
        around: &Around,
        session: &Session,
    ) -> Result<Arc<Opened>, Trouble> {
        let link = session.link(&self.name);
        if let Some(opened) = link.opened() {
            return Ok(opened);
        }
        let _turn = link.turn.acquire().await;
        if let Some(opened) = link.opened() {
            return Ok(opened);
        }
        let now = around.now();
        if link.rests(now) {
            let detail = format!("`{}` has just failed and is left alone", self.name);
            return Err(Fault::new(FaultCode::NoEndpoint).detail(detail).into());
        }
        let patience = self.timeouts.list.duration();
        let begun = tokio::time::timeout(patience, self.begin(around, session)).await;
        match begun.unwrap_or_else(|_| Err(self.late(patience).into())) {
            Ok(opened) => {
                let opened = Arc::new(opened);
                link.open(opened.clone());
                Ok(opened)
            }
            Err(trouble) => {
                link.fail(now);
                Err(trouble)
            }
        }
    }

    async fn begin(&self, around: &Around, session: &Session) -> Result<Opened, Trouble> {
        let hello = Bytes::from(session.hello.request(OWN_ID));
        let mut opened = Opened {
            offer: Offer::default(),
            session: None,
            child: None,
        };
        let answer = match &self.transport {
            Transport::Http(http) => {
                let ask = self.post(None, hello);
                let answer = send(around, self, http, ask).await?;
                let id = answer.head.headers.get_named("mcp-session-id");
                let id = id.and_then(|id| std::str::from_utf8(id).ok());
                opened.session = id.map(Into::into);
                let source = self.source(answer)?;
                self.until_answer(source, OWN_ID).await?
            }
            Transport::Stdio(program) => {
                let child = program.start(around).await?;
                let inbox = child.ask(OWN_ID, None, hello)?;
                opened.child = Some(child);
                self.until_answer(Source::Inbox(inbox), OWN_ID).await?
            }
        };
        opened.offer = Offer::read(&answer).map_err(|error| self.malformed(&error.to_string()))?;
        let ready = request(None, "notifications/initialized", None);
        self.tell(around, &opened, ready.into()).await?;
        Ok(opened)
    }

    fn post<'a>(&self, opened: Option<&'a Opened>, body: Bytes) -> Ask<'a> {
        Ask {
            method: Method::Post,
            target: None,
            opened,
            body: Some(body),
            last_event: None,
            first_byte: self.timeouts.call.duration(),
            idle: self.timeouts.call.duration(),
        }
    }

    /// Sends a message that asks for no answer.
    ///
    /// # Errors
    /// When it could not be sent.
    pub(super) async fn tell(
        &self,
        around: &Around,
        opened: &Opened,
        body: Bytes,
    ) -> Result<(), Trouble> {
        match (&self.transport, &opened.child) {
            (Transport::Http(http), _) => {
                let patience = self.timeouts.list.duration();
                let mut ask = self.post(Some(opened), body);
                (ask.first_byte, ask.idle) = (patience, patience);
                let mut answer = send(around, self, http, ask).await?;
                // So that the connection can be used again.
                drop(answer.body.collect(4096).await);
                Ok(())
            }
            (Transport::Stdio(_), Some(child)) => Ok(child.tell(body)?),
            (Transport::Stdio(_), None) => Ok(()),
        }
    }

    /// Asks something on the gateway's own account, and waits for the one answer.
    ///
    /// # Errors
    /// Why there is none in time. May be dropped midway, which cancels it.
    pub(super) async fn ask(
        &self,
        around: &Around,
        opened: &Opened,
        method: &str,
        params: Option<&str>,
    ) -> Result<Vec<u8>, Trouble> {
        // Several may be under way at a process, so that each has an id of its own.
        let id = format!("\"tidegate-{:x}\"", gate_kit::random::bits());
        let body = Bytes::from(request(Some(&id), method, params));
        let patience = self.timeouts.list.duration();
        let answered = tokio::time::timeout(patience, async {
            let source = self.call(around, opened, &id, None, body).await?;
            self.until_answer(source, &id).await
        });
        answered
            .await
            .unwrap_or_else(|_| Err(self.late(patience).into()))
    }

    /// Sends a request; its messages, the answer last.
    ///
    /// # Errors
    /// Why there are none. Dropping what is given cancels it.
    pub(super) async fn call(
        &self,
        around: &Around,
        opened: &Opened,
        id: &str,
        progress: Option<&str>,
        body: Bytes,
    ) -> Result<Source, Trouble> {
        match (&self.transport, &opened.child) {
            (Transport::Http(http), _) => {
                let ask = self.post(Some(opened), body);
                self.source(send(around, self, http, ask).await?)
            }
            (Transport::Stdio(_), Some(child)) => Ok(Source::Inbox(child.ask(id, progress, body)?)),
            (Transport::Stdio(_), None) => Err(self.malformed("there is no process").into()),
        }
    }

    /// Opens the stream of what the server says unasked; none where it has no such stream.
    ///
    /// # Errors
    /// Why there is none although there should be.
    pub(super) async fn listen(
        &self,
        around: &Around,
        opened: &Opened,
        last_event: Option<&str>,
    ) -> Result<Option<Source>, Trouble> {
        match (&self.transport, &opened.child) {
            (Transport::Http(http), _) => {
                let ask = Ask {
                    method: Method::Get,
                    target: None,
                    opened: Some(opened),
                    body: None,
                    last_event,
                    first_byte: self.timeouts.list.duration(),
                    idle: Duration::ZERO,
                };
                let answer = match send(around, self, http, ask).await {
                    Err(Trouble::Unserved) => return Ok(None),
                    answer => answer?,
                };
                Ok(is_stream(&answer.head).then(|| Source::events(answer.body)))
            }
            (Transport::Stdio(_), Some(child)) => Ok(Some(Source::Inbox(child.listen()))),
            (Transport::Stdio(_), None) => Ok(None),
        }
    }

    /// Ends a session with the server; best effort.
    pub(super) async fn close(&self, around: &Around, opened: &Opened) {
        if let Transport::Http(http) = &self.transport
            && opened.session.is_some()
        {
            let ask = Ask {
                method: Method::Delete,
                target: None,
                opened: Some(opened),
                body: None,
                last_event: None,
                first_byte: self.timeouts.list.duration(),
                idle: self.timeouts.list.duration(),
            };
            if let Ok(mut answer) = send(around, self, http, ask).await {
                drop(answer.body.collect(4096).await);
            }
        }
    }

    fn source(&self, answer: gate_kit::http::Response) -> Result<Source, Trouble> {
        if is_stream(&answer.head) {
            return Ok(Source::events(answer.body));
        }
        let too_long = |length| length > MESSAGE_MAX as u64;
        if answer.body.length().is_some_and(too_long) {
            return Err(self.malformed("its answer is too long").into());
        }
        match (is_json(&answer.head), answer.body) {
            (true, body) => Ok(Source::Document(Some(body))),
            (false, Body::Empty) => Ok(Source::Document(None)),
            _ => Err(self
                .malformed("its answer is neither JSON nor a stream")
                .into()),
        }
    }

    /// The answer to the request with this id; what comes before it is for nobody.
    async fn until_answer(&self, mut source: Source, id: &str) -> Result<Vec<u8>, Trouble> {
        while let Some(event) = source.next().await? {
            if event.data.is_empty() {
                continue;
            }
            let read = Message::read(&event.data);
            let message = read.map_err(|error| self.malformed(&error.to_string()))?;
            let errs = message.id.is_none() && message.error.is_some();
            if message.kind == Kind::Response && (message.id.as_deref() == Some(id) || errs) {
                return Ok(event.data);
            }
        }
        let detail = format!("`{}` ended without an answer", self.name);
        Err(Fault::new(FaultCode::UpstreamReset).detail(detail).into())
    }

    pub(super) fn malformed(&self, why: &str) -> Fault {
        let detail = format!("`{}`: {why}", self.name);
        Fault::new(FaultCode::UpstreamMalformed).detail(detail)
    }

    pub(super) fn late(&self, patience: Duration) -> Fault {
        let detail = format!("`{}` said nothing for {patience:?}", self.name);
        Fault::new(FaultCode::UpstreamTimeout).detail(detail)
    }
}
