//! A call, to the one server that it is for.
//!
//! A tool or prompt is its prefix's. A resource is the first server's that knows its address:
//! addresses stay as servers write them, because they stand in tools' answers, too.

use super::relay::{Call, Relay};
use super::serve::{Incoming, json};
use super::session::Session;
use super::source::Event;
use super::{ToMcp, Trouble, Use, lists, oauth};
use crate::experiments::refused_tool;
use crate::target::around::Around;
use bytes::Bytes;
use gate_ai::rpc::{Kind, Message, rewrite};
use gate_flow::{Exchange, Fault};
use gate_kit::http::Response;
use gate_model::fault::FaultCode;
use std::rc::Rc;
use std::sync::Arc;
use tokio::time::Instant;

/// Longest name of a tool in a record, in bytes.
const NAME_MAX: usize = 128;

impl ToMcp {
    /// A call of a tool or prompt.
    pub(super) async fn by_name(
        &self,
        exchange: &mut Exchange,
        around: &Rc<Around>,
        session: &Arc<Session>,
        incoming: Incoming,
    ) -> Result<Response, Fault> {
        let name = incoming.message.name.clone().unwrap_or_default();
        let is_tool = &*incoming.message.method == "tools/call";
        let found = self.owner(&name).filter(|(used, own)| match is_tool {
            true => used.offers(lists(exchange), own),
            false => used.is_visible(exchange),
        });
        let Some((used, own)) = found else {
            return Err(FaultCode::ToolNotFound.into());
        };
        {
            let cut = own.floor_char_boundary(NAME_MAX);
            let mut facts = around.facts.borrow_mut();
            facts.tool = Some(own[..cut].into());
            facts.tool_is_known = used.server.known.has(own);
        }
        if is_tool {
            let (scope, id) = (around.experiments.as_deref(), incoming.id());
            if let Some(refused) = refused_tool(scope, &used.server.name, own, id) {
                around.facts.borrow_mut().server = Some(used.server.name.clone());
                around.facts.borrow_mut().tool_failed = true;
                return self.settle(exchange, used, Ok(json(refused)));
            }
        }
        let Incoming { mut message, body } = incoming;
        let own: Box<str> = own.into();
        let method = message.method.clone();
        let size = body.len();
        let body = around
            .work(size, move || rewrite::with_name(&body, &method, &own))
            .await?;
        let body =
            body.map_err(|error| Fault::new(FaultCode::InvalidBody).message(error.to_string()))?;
        message.name = None;
        let incoming = Incoming {
            message,
            body: body.into(),
        };
        let called = self.to_server(around, session, used, &incoming).await;
        self.settle(exchange, used, called)
    }

    /// A request about a resource: the first server that knows it answers. Only where none does is
    /// the first one's error answered.
    pub(super) async fn by_address(
        &self,
        exchange: &mut Exchange,
        around: &Rc<Around>,
        session: &Arc<Session>,
        incoming: Incoming,
    ) -> Result<Response, Fault> {
        let mut refused: Option<(&Use, Response, i64)> = None;
        let mut failed: Option<Fault> = None;
        for used in &self.uses {
            if !used.is_visible(exchange) {
                continue;
            }
            match used.server.open(around, session).await {
                Ok(opened) if opened.offer.resources => {}
                Ok(_) => continue,
                Err(trouble @ Trouble::Challenge { .. }) => {
                    return self.settle(exchange, used, Err(trouble));
                }
                Err(trouble) => {
                    failed.get_or_insert(trouble.into_fault(&used.server));
                    continue;
                }
            }
            let called = self.to_server(around, session, used, &incoming).await;
            let error = around.facts.borrow_mut().error.take();
            match (called, error) {
                (Ok(response), Some(code)) => {
                    refused.get_or_insert((used, response, code));
                }
                (called, _) => return self.settle(exchange, used, called),
            }
        }
        match (refused, failed) {
            (Some((used, response, code)), _) => {
                {
                    let mut facts = around.facts.borrow_mut();
                    facts.error = Some(code);
                    facts.server = Some(used.server.name.clone());
                }
                self.settle(exchange, used, Ok(response))
            }
            (None, Some(fault)) => Err(fault),
            (None, None) => Err(FaultCode::ToolNotFound.into()),
        }
    }

    /// Notes who was called, and makes an answer of what came of it.
    fn settle(
        &self,
        exchange: &mut Exchange,
        used: &Use,
        called: Result<Response, Trouble>,
    ) -> Result<Response, Fault> {
        exchange.record.target = Some(used.server.name.clone());
        match called {
            Ok(response) => Ok(response),
            Err(Trouble::Challenge { status, wanted }) => {
                Ok(oauth::challenge(exchange, status, wanted.as_deref()))
            }
            Err(trouble) => Err(trouble.into_fault(&used.server)),
        }
    }

    /// Sends a call to a server, in a new session with it where the old one was lost.
    async fn to_server(
        &self,
        around: &Rc<Around>,
        session: &Arc<Session>,
        used: &Use,
        incoming: &Incoming,
    ) -> Result<Response, Trouble> {
        let server = &used.server;
        around.facts.borrow_mut().server = Some(server.name.clone());
        let in_flight = session.enter(incoming.id(), &server.name)?;
        let mut again = true;
        let mut source = loop {
            let opened = server.open(around, session).await?;
            let body = incoming.body.clone();
            let progress = incoming.message.progress.as_deref();
            let called = server.call(around, &opened, incoming.id(), progress, body);
            match called.await {
                Err(Trouble::Lost) if std::mem::take(&mut again) => {
                    session.link(&server.name).forget(&opened);
                }
                called => break called?,
            }
        };
        let patience = around.first_byte(server.timeouts.call.duration());
        let until = Instant::now() + patience;
        let until = around.until.map_or(until, |end| end.min(until));
        let first = tokio::time::timeout_at(until, source.next()).await;
        let first = first.unwrap_or_else(|_| Err(server.late(patience)))?;
        let first = first.ok_or_else(|| server.malformed("its answer is empty"))?;
        if let Some(response) = whole(around, used, incoming, &first).await? {
            return Ok(response);
        }
        around.facts.borrow_mut().stream = true;
        let mut relay = Relay::new(around, in_flight);
        relay.add(Call {
            server: server.clone(),
            id: Some(incoming.id().into()),
            first: Some(first),
            source,
        })?;
        Ok(relay.response())
    }
}

/// The answer, where the first thing that a server says is that.
async fn whole(
    around: &Rc<Around>,
    used: &Use,
    incoming: &Incoming,
    first: &Event,
) -> Result<Option<Response>, Trouble> {
    if first.id.is_some() || first.data.is_empty() {
        return Ok(None);
    }
    let data = Bytes::from(first.data.clone());
    let copy = data.clone();
    let read = around
        .work(data.len(), move || Message::read(&copy))
        .await?;
    let message = read.map_err(|error| used.server.malformed(&error.to_string()))?;
    let is_ours = message.id.as_deref() == Some(incoming.id()) || message.id.is_none();
    if message.kind != Kind::Response || !is_ours {
        return Ok(None);
    }
    if message.id.is_none() {
        // The server could not even read the id, so that its error says nothing of this request.
        let why = format!("it answered with the error {:?}", message.error);
        return Err(used.server.malformed(&why).into());
    }
    note(around, used, &message);
    Ok(Some(json(data.to_vec())))
}

/// Notes how a call ended.
fn note(around: &Rc<Around>, used: &Use, message: &Message) {
    let mut facts = around.facts.borrow_mut();
    facts.error = message.error;
    facts.tool_failed = message.tool_failed;
    if message.error.is_none() && !message.tool_failed && facts.method == "tools/call" {
        if let Some(tool) = &facts.tool {
            used.server.known.learn(std::iter::once(&**tool));
        }
        facts.tool_is_known = true;
    }
}
