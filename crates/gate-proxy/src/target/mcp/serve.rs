//! A request of a caller, up to where it is known what it is for.

use super::session::Session;
use super::{MESSAGE_MAX, Origins, ToMcp, listen, oauth};
use crate::target::around::{Around, together};
use bytes::Bytes;
use gate_ai::rpc::lists::Listed;
use gate_ai::rpc::{self, Kind, Message, handshake, rewrite};
use gate_flow::{Exchange, Fault};
use gate_kit::http::{HeaderId, Method, RequestHead, Response};
use gate_model::fault::FaultCode;
use std::rc::Rc;
use std::sync::Arc;

/// A message of a caller.
pub(super) struct Incoming {
    pub(super) message: Message,
    pub(super) body: Bytes,
}

impl Incoming {
    /// Its id, which requests have.
    pub(super) fn id(&self) -> &str {
        self.message.id.as_deref().unwrap_or("null")
    }
}

/// Methods that records and metrics name.
const METHODS: [&str; 17] = [
    "initialize",
    "ping",
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "completion/complete",
    "logging/setLevel",
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
];

/// A method by the one of its names that is counted.
fn counted(method: &str) -> &'static str {
    let known = METHODS.into_iter().find(|known| *known == method);
    known.unwrap_or("_other")
}

impl ToMcp {
    pub(super) async fn serve(&self, exchange: &mut Exchange) -> Result<Response, Fault> {
        if oauth::is_metadata(exchange.request.head.path()) {
            return oauth::metadata(self, exchange).await;
        }
        if !self.origins.admit(&exchange.request.head) {
            let detail = "the page's origin is neither the route's host nor listed by `cors`";
            return Err(Fault::new(FaultCode::Forbidden).detail(detail));
        }
        let around = Around::of(exchange);
        around.facts.borrow_mut().protocol = "mcp";
        let answer = match exchange.request.head.method {
            Method::Post => self.post(exchange, &around).await,
            Method::Get => match self.session(exchange, &around) {
                Ok(session) => listen::listen(self, exchange, &around, session).await,
                Err(fault) => Err(fault),
            },
            Method::Delete => self.end(exchange, &around),
            _ => Err(FaultCode::MethodNotAllowed.into()),
        };
        around.give_back(exchange);
        answer
    }

    async fn post(&self, exchange: &mut Exchange, around: &Rc<Around>) -> Result<Response, Fault> {
        let limit = exchange.overrides.body.unwrap_or(u64::MAX);
        let limit = usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .min(MESSAGE_MAX);
        let body = exchange.request.body.collect(limit).await;
        let body = body
            .map_err(|error| Fault::from_request_body(&error))?
            .into_bytes();
        let copy = body.clone();
        let read = around
            .work(body.len(), move || Message::read(&copy))
            .await?;
        let message = match read {
            Ok(message) => message,
            Err(error) => {
                let message = error.to_string();
                return Err(Fault::new(FaultCode::InvalidBody).message(message));
            }
        };
        {
            let mut facts = around.facts.borrow_mut();
            facts.method = match message.kind {
                Kind::Response => "response",
                _ => counted(&message.method),
            };
            if message.kind == Kind::Request {
                facts.id = message.id.clone();
            }
        }
        let incoming = Incoming { message, body };
        if incoming.message.kind == Kind::Request && &*incoming.message.method == "initialize" {
            return self.begin(exchange, around, &incoming).await;
        }
        if let Some(refusal) = unknown_version(&exchange.request.head, &incoming) {
            around.facts.borrow_mut().error = Some(rpc::UNSUPPORTED_VERSION);
            return Ok(refusal);
        }
        let session = self.session(exchange, around)?;
        match incoming.message.kind {
            Kind::Request => self.request(exchange, around, &session, incoming).await,
            Kind::Notification | Kind::Response => {
                self.pass_on(around, &session, incoming).await?;
                Ok(Response::empty(202))
            }
        }
    }

    /// The session that a request names.
    pub(super) fn session(
        &self,
        exchange: &Exchange,
        around: &Around,
    ) -> Result<Arc<Session>, Fault> {
        let id = exchange.request.head.headers.get_named("mcp-session-id");
        let id = id.and_then(|id| std::str::from_utf8(id).ok());
        let id = id.ok_or_else(|| {
            let message = "The field `Mcp-Session-Id` is missing: begin with `initialize`.";
            Fault::new(FaultCode::InvalidBody).message(message)
        })?;
        let owner = exchange.caller.as_ref().map(|caller| &caller.name);
        let session = self.sessions.find(id, owner, around.now())?;
        around.facts.borrow_mut().version = session.hello.version;
        Ok(session)
    }

    async fn request(
        &self,
        exchange: &mut Exchange,
        around: &Rc<Around>,
        session: &Arc<Session>,
        incoming: Incoming,
    ) -> Result<Response, Fault> {
        if let Some(listed) = Listed::of(&incoming.message.method) {
            return self
                .list(exchange, around, session, &incoming, listed)
                .await;
        }
        match &*incoming.message.method {
            "ping" => Ok(json(rpc::answer(incoming.id(), "{}"))),
            "tools/call" | "prompts/get" => self.by_name(exchange, around, session, incoming).await,
            "completion/complete" if incoming.message.name.is_some() => {
                self.by_name(exchange, around, session, incoming).await
            }
            "resources/read"
            | "resources/subscribe"
            | "resources/unsubscribe"
            | "completion/complete" => self.by_address(exchange, around, session, incoming).await,
            "logging/setLevel" => self.set_level(exchange, around, session, &incoming).await,
            _ => {
                around.facts.borrow_mut().error = Some(rpc::METHOD_NOT_FOUND);
                Ok(json(rpc::error_answer(
                    Some(incoming.id()),
                    rpc::METHOD_NOT_FOUND,
                    "The gateway does not serve this method.",
                    "method_not_found",
                )))
            }
        }
    }

    /// A notification or an answer of the client, to whom it is for.
    async fn pass_on(
        &self,
        around: &Rc<Around>,
        session: &Arc<Session>,
        incoming: Incoming,
    ) -> Result<(), Fault> {
        let Incoming { message, body } = incoming;
        let unreadable = |error: gate_ai::DialectError| {
            Fault::new(FaultCode::InvalidBody).message(error.to_string())
        };
        if message.kind == Kind::Response {
            let id = message.id.as_deref().and_then(rewrite::own_id);
            let Some((server, own)) = id else {
                let message = "The answer is to nothing that a server has asked.";
                return Err(Fault::new(FaultCode::InvalidBody).message(message));
            };
            let size = body.len();
            let body = around
                .work(size, move || rewrite::with_id(&body, &own))
                .await?;
            let body = Bytes::from(body.map_err(unreadable)?);
            return self.tell(around, session, &server, body).await;
        }
        match &*message.method {
            "notifications/cancelled" => {
                let server = message
                    .about
                    .as_deref()
                    .and_then(|id| session.server_of(id));
                match server {
                    Some(server) => self.tell(around, session, &server, body).await,
                    // It has ended already, as the protocol expects to happen.
                    None => Ok(()),
                }
            }
            // Tokens of progress are servers' own, and roots concern everybody.
            "notifications/progress" | "notifications/roots/list_changed" => {
                let names = self.uses.iter().map(|used| used.server.name.clone());
                let all = names.map(|name| {
                    let body = body.clone();
                    let told = async move { self.tell(around, session, &name, body).await };
                    Box::pin(told) as std::pin::Pin<Box<dyn Future<Output = Result<(), Fault>>>>
                });
                drop(together(all).await);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Tells a server something, where the session is open there.
    async fn tell(
        &self,
        around: &Around,
        session: &Session,
        server: &str,
        body: Bytes,
    ) -> Result<(), Fault> {
        let used = self.uses.iter().find(|used| &*used.server.name == server);
        let Some(server) = used.map(|used| &used.server) else {
            return Ok(());
        };
        let Some(opened) = session.link(&server.name).opened() else {
            return Ok(());
        };
        around.facts.borrow_mut().server = Some(server.name.clone());
        let told = server.tell(around, &opened, body).await;
        told.map_err(|trouble| trouble.into_fault(server))
    }

    /// Ends a session, at its servers, too, without the caller waiting for them.
    fn end(&self, exchange: &Exchange, around: &Rc<Around>) -> Result<Response, Fault> {
        let session = self.session(exchange, around)?;
        self.sessions.end(&session.id);
        for used in &self.uses {
            let Some(opened) = session.link(&used.server.name).opened() else {
                continue;
            };
            let (around, server) = (around.clone(), used.server.clone());
            around.clone().services.spawn(Box::pin(async move {
                server.close(&around, &opened).await;
            }));
        }
        around.facts.borrow_mut().method = "session/end";
        Ok(Response::empty(204))
    }

    async fn set_level(
        &self,
        exchange: &Exchange,
        around: &Rc<Around>,
        session: &Arc<Session>,
        incoming: &Incoming,
    ) -> Result<Response, Fault> {
        let all = self.visible(exchange).map(|used| {
            let set = async move {
                let server = &used.server;
                let opened = server.open(around, session).await.ok()?;
                let body = incoming.body.clone();
                if opened.offer.logging {
                    let id = incoming.id();
                    let source = server.call(around, &opened, id, None, body).await;
                    drop(source.ok()?.next().await);
                }
                Some(())
            };
            Box::pin(set) as std::pin::Pin<Box<dyn Future<Output = Option<()>>>>
        });
        drop(together(all).await);
        Ok(json(rpc::answer(incoming.id(), "{}")))
    }
}

/// A document as an answer.
pub(super) fn json(body: Vec<u8>) -> Response {
    Response::full(200, "application/json", body)
}

/// The answer to a request of a revision that is not spoken here: which are.
fn unknown_version(head: &RequestHead, incoming: &Incoming) -> Option<Response> {
    let version = head.headers.get_named("mcp-protocol-version")?;
    let version = std::str::from_utf8(version).unwrap_or_default();
    if handshake::known(version).is_some() || incoming.message.kind != Kind::Request {
        return None;
    }
    let supported = handshake::VERSIONS
        .map(|known| format!("\"{known}\""))
        .join(",");
    let body = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{{\"code\":{},\"message\":\"Unsupported protocol version\",\
         \"data\":{{\"supported\":[{supported}],\"requested\":{}}}}}}}",
        incoming.id(),
        rpc::UNSUPPORTED_VERSION,
        rpc::quoted(version),
    );
    Some(Response::full(400, "application/json", body))
}

impl Origins {
    /// Whether a request comes from no page, or from one that may call.
    fn admit(&self, head: &RequestHead) -> bool {
        let Some(origin) = head.headers.get_str(HeaderId::Origin) else {
            return !head.headers.contains(HeaderId::Origin);
        };
        let listed = |entry: &String| entry == "*" || entry.eq_ignore_ascii_case(origin);
        if self.listed.iter().any(listed) {
            return true;
        }
        let Some((_, authority)) = origin.split_once("://") else {
            return false;
        };
        let local = |host: &str| {
            ["localhost", "127.0.0.1", "[::1]"].iter().any(|name| {
                let rest = host.strip_prefix(name);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
            })
        };
        let same = authority.eq_ignore_ascii_case(&head.authority);
        same && (self.own || local(authority))
    }
}
