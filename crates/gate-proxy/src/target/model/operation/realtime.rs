//! Sessions over WebSocket (OpenAI Realtime): frames pass both ways as they are, and the usage of
//! each finished response is read beside them. Where budgets count, each response is set aside for
//! before the next one; when there is no room, the session ends behind the message on its way.
//!
//! Compression is not agreed on, because compressed frames cannot be read. What a browser hides a
//! key in, a subprotocol, stays here.

use super::super::answer::keep_for_caller;
use super::super::tap::Tap;
use super::answer::refused;
use super::send::{SESSION_IDLE, Wire, send};
use super::{Known, deadline, first, model, open_facts, reserve, take_once};
use gate_ai::Operation;
use gate_ai::operation::{Frames, last_frames};
use gate_flow::{Exchange, Extension, Fault};
use gate_kit::http::{Body, BodyError, BodyStream, Chunk, Frame, Response};
use gate_model::fault::FaultCode;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// Subprotocols.
const PROTOCOLS: &str = "sec-websocket-protocol";
/// Beginning of the subprotocol that holds a key.
const HIDDEN_KEY: &str = "openai-insecure-api-key.";

/// Opens a session with the model of this name.
pub(super) async fn serve(
    models: &Known,
    exchange: &mut Exchange,
    name: &str,
) -> Result<Response, Fault> {
    let head = &exchange.request.head;
    if !head
        .upgrade
        .as_deref()
        .is_some_and(|to| to.eq_ignore_ascii_case("websocket"))
    {
        let message = "A session is opened by a WebSocket handshake (RFC 6455 section 4.1).";
        return Err(Fault::new(FaultCode::MalformedRequest).message(message));
    }
    let rest = head.query().unwrap_or_default().split('&');
    let rest: Vec<String> = rest
        .filter(|pair| pair.contains('=') && !pair.starts_with("model="))
        .map(str::to_owned)
        .collect();
    let model = model(models, exchange, name)?;
    open_facts(exchange, Operation::Realtime, &model.name, true);
    reserve(exchange, &model, Operation::Realtime, None, (None, None)).await?;
    hide_keys(exchange);
    let (target, road) = first(exchange, &model, Operation::Realtime)?;
    take_once(exchange, target)?;
    let address = std::iter::once(road.target(true).to_owned()).chain(rest);
    let address = address.collect::<Vec<_>>().join("&");
    let wire = Wire {
        method: exchange.request.head.method.clone(),
        target: &address,
        content_type: None,
        fields: &["sec-websocket-key", "sec-websocket-version", PROTOCOLS],
        upgrade: Some("websocket"),
        deadline: deadline(exchange, &model),
        first_byte: model.first_byte,
        idle: SESSION_IDLE,
    };
    let mut body = Some(std::mem::take(&mut exchange.request.body));
    let sent = send(exchange, &target.provider, &wire, &mut body).await?;
    if sent.head.status >= 400 {
        return refused(target, Operation::Realtime, sent).await;
    }
    let mut head = sent.head;
    keep_for_caller(&mut head.headers);
    let reservation = exchange.reservation.as_mut();
    let extension = reservation.and_then(|one| one.extension());
    let session = Session {
        inner: sent.body,
        frames: Frames::default(),
        tap: Tap::new(exchange),
        extension,
        covering: None,
        end: End::Open,
    };
    Ok(Response {
        head,
        body: Body::Stream(Box::new(session)),
    })
}

/// Takes keys out of the subprotocols that the caller offers.
fn hide_keys(exchange: &mut Exchange) {
    let headers = &mut exchange.request.head.headers;
    let Some(offered) = headers.get_named(PROTOCOLS) else {
        return;
    };
    let offered = String::from_utf8_lossy(offered).into_owned();
    let kept = offered
        .split(',')
        .map(str::trim)
        .filter(|one| !one.starts_with(HIDDEN_KEY));
    let kept = kept.collect::<Vec<_>>().join(", ");
    headers.retain(|_, name, _| !name.eq_ignore_ascii_case(PROTOCOLS.as_bytes()));
    if !kept.is_empty()
        && headers
            .try_append(PROTOCOLS.as_bytes(), kept.as_bytes())
            .is_err()
    {
        tracing::debug!("subprotocols do not fit a header");
    }
}

/// What a provider sends in a session.
struct Session {
    inner: Body,
    frames: Frames,
    tap: Tap,
    /// What sets aside what the next response may come to: a session has any number of them.
    extension: Option<Rc<dyn Extension>>,
    covering: Option<Pin<Box<dyn Future<Output = bool>>>>,
    end: End,
}

/// Whether a session is to end.
enum End {
    Open,
    /// Behind the message that is on its way.
    Due,
    Over,
}

impl Session {
    /// Notes what the responses so far come to, and sees to what the next one may.
    fn count(&mut self) {
        for response in self.frames.finished() {
            self.tap.priced(&response);
        }
        self.tap.note(self.frames.usage(), None);
        if let Some(extension) = &self.extension {
            self.covering = Some(extension.clone().cover(self.tap.used()));
        }
    }

    /// What the caller is told where nothing is left for another response.
    fn last_words(&mut self) -> Chunk {
        self.end = End::Over;
        self.inner = Body::Empty;
        self.covering = None;
        self.tap.refused(FaultCode::BudgetExceeded);
        let message = "Less is left than another response may cost.";
        Chunk::from(last_frames(FaultCode::BudgetExceeded.as_str(), message))
    }
}

impl BodyStream for Session {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        if let Some(covering) = &mut self.covering
            && let Poll::Ready(has_room) = covering.as_mut().poll(cx)
        {
            self.covering = None;
            if !has_room {
                self.end = End::Due;
            }
        }
        match self.end {
            End::Due if self.frames.is_between() => {
                return Poll::Ready(Some(Ok(Frame::Data(self.last_words()))));
            }
            End::Over => return Poll::Ready(None),
            End::Due | End::Open => {}
        }
        let frame = ready!(self.inner.poll_frame(cx));
        if let Some(Ok(Frame::Data(chunk))) = &frame
            && self.frames.push(chunk)
        {
            self.count();
        }
        Poll::Ready(frame)
    }

    fn remaining(&self) -> Option<u64> {
        self.inner.length()
    }
}
