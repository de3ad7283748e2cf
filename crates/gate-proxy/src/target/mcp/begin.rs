//! The request `initialize`: a session, begun with every server at a time.
//!
//! A server that cannot be reached costs its own tools only. One that asks the caller for a token
//! is another matter: its challenge is the answer, so that the client can get one.

use super::serve::{Incoming, json};
use super::session::Opened;
use super::{ToMcp, Trouble, Use, oauth};
use crate::target::around::{Around, together};
use gate_ai::rpc::handshake::{self, Hello};
use gate_flow::{Exchange, Fault};
use gate_kit::http::Response;
use gate_model::fault::FaultCode;
use std::rc::Rc;
use std::sync::Arc;

/// A server, and what came of asking it.
type Asked<'a> = (&'a Use, Result<Arc<Opened>, Trouble>);

impl ToMcp {
    pub(super) async fn begin(
        &self,
        exchange: &Exchange,
        around: &Rc<Around>,
        incoming: &Incoming,
    ) -> Result<Response, Fault> {
        let hello = Hello::read(&incoming.body)
            .map_err(|error| Fault::new(FaultCode::InvalidBody).message(error.to_string()))?;
        let version = hello.version;
        around.facts.borrow_mut().version = version;
        let owner = exchange.caller.as_ref().map(|caller| caller.name.clone());
        let session = self.sessions.begin(owner, hello, around.now())?;
        let all = self.visible(exchange).map(|used| {
            let session = &session;
            let open = async move { (used, used.server.open(around, session).await) };
            Box::pin(open) as std::pin::Pin<Box<dyn Future<Output = Asked<'_>> + '_>>
        });
        let mut opened = Vec::new();
        let mut some_missing = false;
        for (used, result) in together(all).await {
            match result {
                Ok(server) => opened.push((used, server)),
                Err(Trouble::Challenge { status, wanted }) => {
                    self.sessions.end(&session.id);
                    return Ok(oauth::challenge(exchange, status, wanted.as_deref()));
                }
                Err(trouble) => {
                    some_missing = true;
                    around.failed(&used.server.name, &trouble.into_fault(&used.server));
                }
            }
        }
        // In the order of the configuration, whatever their prefixes.
        let offers = opened.iter().map(|(used, opened)| {
            let name = match &*used.prefix {
                "" => &*used.server.name,
                prefix => prefix,
            };
            (name, &opened.offer)
        });
        let body = handshake::answer(incoming.id(), version, offers, some_missing);
        let mut response = json(body);
        let headers = &mut response.head.headers;
        headers.append(b"mcp-session-id", session.id.as_bytes());
        Ok(response)
    }
}
