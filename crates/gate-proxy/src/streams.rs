//! Exchanges that share a connection, over HTTP/2 and HTTP/3 alike.
//!
//! Streams run beside each other, each in a task of its own; the connection's limit on streams bounds
//! their number, and each ends with its stream.

use crate::connection::{head_ready, normalise, note_cut, unknown_request};
use crate::listener::ListenerOptions;
use crate::respond;
use crate::serve::serve;
use crate::worker::{Open, Worker};
use gate_flow::{Client, Fault, InterimSink, Outcome};
use gate_kit::http::multiplexed::Refusal;
use gate_kit::http::{Body, Limited, Request, Response, ResponseHead, SendEnd, Sent};
use gate_model::fault::FaultCode;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Answers one request over one stream of a connection.
pub(crate) trait Responder: 'static {
    /// Sends an informational head (1xx but 101), if it can be.
    fn inform(&mut self, head: &ResponseHead);

    /// Ready when the caller has cancelled the request or left. Once only.
    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Sends the response at the caller's pace.
    fn respond(self, response: Response) -> impl Future<Output = Sent>;
}

/// Runs to the end; true when a broken invariant ended it.
pub(crate) async fn unwinds(running: impl Future<Output = ()>) -> bool {
    let mut running = pin!(running);
    poll_fn(
        |cx| match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx))) {
            Ok(poll) => poll.map(|()| false),
            Err(_) => Poll::Ready(true),
        },
    )
    .await
}

/// A request as it was read, or why it is refused, and the way to answer.
pub(crate) type Read<R> = Option<(Result<Request, Refusal>, R)>;

/// Serves one request in a task of its own, once `incoming` has read it; `None` from it means that
/// there is nobody to answer.
pub(crate) fn spawn<R: Responder>(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    options: &Arc<ListenerOptions>,
    incoming: impl Future<Output = Read<R>> + 'static,
) {
    let (worker, client, options) = (worker.clone(), client.clone(), options.clone());
    let index = worker.index();
    worker.shared.connection_opened(index);
    tokio::task::spawn_local(async move {
        let gauges = worker.shared.readers.metrics().gauges().clone();
        let shared = worker.shared.clone();
        let serving = async {
            if let Some((request, responder)) = incoming.await {
                exchange(worker, client, options, request, responder).await;
            }
        };
        if unwinds(serving).await {
            gauges.panics.add(1);
        }
        shared.connection_closed(index);
    });
}

/// Why a head is refused, as a fault of the same status.
fn refusal_fault(refusal: Refusal) -> Fault {
    let code = match refusal.status() {
        405 => FaultCode::MethodNotAllowed,
        431 => FaultCode::HeadTooLarge,
        _ => FaultCode::MalformedRequest,
    };
    Fault::new(code)
        .message(refusal.to_string())
        .detail(refusal.to_string())
}

async fn exchange<R: Responder>(
    worker: Rc<Worker>,
    client: Rc<Client>,
    options: Arc<ListenerOptions>,
    request: Result<Request, Refusal>,
    responder: R,
) {
    let responder = Rc::new(RefCell::new(Some(responder)));
    let request = match request {
        Ok(request) => request,
        Err(refusal) => {
            let mut open = worker.open(&client, unknown_request(), None);
            let mut response = respond::fault(&mut open.exchange, refusal_fault(refusal));
            head_ready(&worker, &mut open, &mut response, &options);
            return finish(open, &responder, response).await;
        }
    };
    let interim: Rc<dyn InterimSink> = Rc::new(Interim(responder.clone()));
    let too_large = request
        .body
        .length()
        .is_some_and(|length| length > options.http1.body_bytes);
    let mut open = worker.open(&client, limited(request, &options), Some(interim));
    let ready = normalise(&mut open, &options);
    let ready = if too_large {
        Err(FaultCode::BodyTooLarge.into())
    } else {
        ready
    };
    let answer = match ready {
        Err(fault) => Some(respond::fault(&mut open.exchange, fault)),
        Ok(Some(shown)) => Some(shown),
        Ok(None) => {
            let mut serving = pin!(serve(&mut open.exchange));
            poll_fn(|cx| match serving.as_mut().poll(cx) {
                Poll::Ready(response) => Poll::Ready(Some(response)),
                Poll::Pending => {
                    let mut responder = responder.borrow_mut();
                    let responder = responder.as_mut().expect("taken only to respond");
                    responder.poll_cancelled(cx).map(|()| None)
                }
            })
            .await
        }
    };
    let Some(mut response) = answer else {
        open.exchange.record.fault = Some(FaultCode::ClientClosed);
        return open.finish(Outcome::ClientClosed, 0);
    };
    head_ready(&worker, &mut open, &mut response, &options);
    finish(open, &responder, response).await;
}

async fn finish<R: Responder>(
    mut open: Box<Open>,
    responder: &RefCell<Option<R>>,
    response: Response,
) {
    open.exchange.interim = None;
    let responder = responder
        .borrow_mut()
        .take()
        .expect("an exchange is answered once");
    let sent = responder.respond(response).await;
    match sent.end {
        SendEnd::Complete => open.finish(Outcome::Complete, sent.bytes),
        SendEnd::Cancelled(_) => open.finish(Outcome::ClientClosed, sent.bytes),
        SendEnd::Cut(error) => {
            note_cut(&mut open, &error);
            open.finish(Outcome::Cut, sent.bytes);
        }
    }
}

struct Interim<R>(Rc<RefCell<Option<R>>>);

impl<R: Responder> InterimSink for Interim<R> {
    fn send(&self, head: &ResponseHead) {
        if let Ok(mut responder) = self.0.try_borrow_mut()
            && let Some(responder) = responder.as_mut()
        {
            responder.inform(head);
        }
    }
}

/// A request whose body is held to the listener's limit.
fn limited(request: Request, options: &ListenerOptions) -> Request {
    let most = options.http1.body_bytes;
    let body = match request.body {
        Body::Stream(inner) if request.head.upgrade.is_none() => Body::Stream(Box::new(
            Limited::new(inner, most, "over the listener's limit"),
        )),
        other => other,
    };
    Request {
        head: request.head,
        body,
    }
}
