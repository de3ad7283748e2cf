//! The stream of what servers say unasked: notices of change, and questions to the client.

use super::relay::{Call, Relay, own_event_id};
use super::session::Session;
use super::source::Source;
use super::{ToMcp, Trouble, Use, oauth};
use crate::target::around::{Around, together};
use gate_flow::{Exchange, Fault};
use gate_kit::http::Response;
use gate_model::fault::FaultCode;
use std::rc::Rc;
use std::sync::Arc;

/// A server, and its stream where it has one.
type Asked<'a> = (&'a Use, Result<Option<Source>, Trouble>);

/// Opens the stream of every server, and joins them. A client that comes back says how far it has
/// read; that concerns the one server whose event that was.
pub(super) async fn listen(
    to: &ToMcp,
    exchange: &Exchange,
    around: &Rc<Around>,
    session: Arc<Session>,
) -> Result<Response, Fault> {
    around.facts.borrow_mut().method = "session/listen";
    let listening = session.listen()?;
    let last = exchange.request.head.headers.get_named("last-event-id");
    let last = last.and_then(|id| std::str::from_utf8(id).ok());
    let last = last.and_then(own_event_id);
    let all = to.visible(exchange).map(|used| {
        let session = &session;
        let from = last.filter(|(server, _)| **server == *used.server.name);
        let listen = async move {
            let source = async {
                let opened = used.server.open(around, session).await?;
                let from = from.map(|(_, id)| id);
                used.server.listen(around, &opened, from).await
            };
            (used, source.await)
        };
        Box::pin(listen) as std::pin::Pin<Box<dyn Future<Output = Asked<'_>> + '_>>
    });
    let mut relay = Relay::open(around, listening);
    let mut any = false;
    for (used, result) in together(all).await {
        match result {
            Ok(Some(source)) => {
                any = true;
                relay.add(Call {
                    server: used.server.clone(),
                    id: None,
                    first: None,
                    source,
                })?;
            }
            Ok(None) => {}
            Err(Trouble::Challenge { status, wanted }) => {
                return Ok(oauth::challenge(exchange, status, wanted.as_deref()));
            }
            Err(trouble) => around.failed(&used.server.name, &trouble.into_fault(&used.server)),
        }
    }
    if !any {
        let detail = "no server of this session says anything unasked";
        return Err(Fault::new(FaultCode::MethodNotAllowed).detail(detail));
    }
    around.facts.borrow_mut().stream = true;
    relay.pulse(session)?;
    Ok(relay.response())
}
