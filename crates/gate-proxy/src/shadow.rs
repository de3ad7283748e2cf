//! Copies of requests to a candidate that serves nobody yet, and whether its answers differ.
//!
//! Only GET, HEAD and OPTIONS without a body are copied, because these have no effect (RFC 9110
//! section 9.2.1). A copy takes the candidate's whole way, policies included, beside the exchange;
//! it has no record of its own, and its answer is read to its end (bounded) and thrown away. The
//! caller waits for none of it.

use crate::serve::serve;
use gate_flow::{Arm, Aside, Exchange, Outcome, Reading, Sample, Trial, TrialPlace};
use gate_kit::http::{Body, BodyError, BodyStream, Frame, Method, Request, Response, frame};
use gate_kit::random;
use gate_model::resources::Shadow;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;

/// Marks a copy, like those of the policy `mirror`: what carries it is not copied again.
const MARK: &str = "x-tidegate-mirror";

/// A copy of a request that waits for the answer that it is compared with.
pub(crate) struct Copy {
    aside: Aside,
    trial: Arc<Trial>,
    slice: usize,
    shadow: Shadow,
}

/// Copies the request of an exchange, if its trial compares answers and this one is drawn.
pub(crate) fn copy(exchange: &Exchange) -> Option<Box<Copy>> {
    let TrialPlace::Taken(assigned) = &exchange.trial else {
        return None;
    };
    let trial = assigned.trial();
    let shadow = trial.shadow.as_ref().filter(|_| trial.share <= 0.0)?;
    let head = &exchange.request.head;
    let is_copy = head.headers.get_named(MARK).is_some();
    let has_no_effect = matches!(head.method, Method::Get | Method::Head | Method::Options)
        && head.upgrade.is_none()
        && matches!(exchange.request.body, Body::Empty);
    if is_copy || !has_no_effect || random::fraction() >= shadow.share.fraction() {
        return None;
    }
    let mut head = head.clone();
    head.headers.append(MARK.as_bytes(), b"1");
    let request = Request {
        head,
        body: Body::Empty,
    };
    let mut aside = exchange.beside().aside(request, None);
    aside.exchange().snapshot = trial.snapshot.clone();
    Some(Box::new(Copy {
        aside,
        trial: trial.clone(),
        slice: assigned.slice(),
        shadow: shadow.clone(),
    }))
}

impl Copy {
    /// Sends the copy beside the exchange, and compares its answer with `response` once that has
    /// passed. A copy that is not answered in time differs; one for which the worker has no room
    /// is not counted.
    pub(crate) fn compare(self: Box<Self>, exchange: &Exchange, response: &mut Response) {
        let (status, bodies) = (response.head.status, self.shadow.bodies);
        let most = usize::try_from(self.shadow.body.bytes()).unwrap_or(usize::MAX);
        let passed = bodies.then(|| watch(&mut response.body, most));
        let Copy {
            mut aside,
            trial,
            slice,
            shadow,
        } = *self;
        let task = async move {
            let answer = async {
                let mut answer = serve(aside.exchange()).await;
                let print = match bodies {
                    true => print_of(&mut answer.body, most).await,
                    false => None,
                };
                (answer.head.status, print)
            };
            let answered = tokio::time::timeout(shadow.timeout.duration(), answer).await;
            aside.settle(Outcome::Complete, 0);
            let differs = match (answered, passed) {
                (Err(_), _) => true,
                (Ok((theirs, _)), None) => theirs != status,
                (Ok((theirs, print)), Some(passed)) => match passed.await {
                    Ok(ours) => theirs != status || print != Some(ours),
                    // The caller's own answer broke off: there is nothing to compare with.
                    Err(_) => return,
                },
            };
            let mut readings = vec![Reading::Nothing; trial.signals.len()];
            readings.push(Reading::Label(differs));
            trial.evidence.add(&Sample {
                step: trial.step,
                slice,
                arm: Arm::Candidate,
                caller: Some(random::bits()),
                readings: &readings,
            });
        };
        exchange.services.spawn(Box::pin(task));
    }
}

/// The print of a body: its length, and a hash of its first bytes.
#[derive(Debug, Clone, Default)]
struct Printing {
    hasher: DefaultHasher,
    bytes: u64,
    left: usize,
}

type Print = (u64, u64);

impl Printing {
    fn new(most: usize) -> Self {
        Self {
            left: most,
            ..Self::default()
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let taken = bytes.len().min(self.left);
        self.hasher.write(&bytes[..taken]);
        self.left -= taken;
        self.bytes += bytes.len() as u64;
    }

    fn end(&self) -> Print {
        (self.bytes, self.hasher.finish())
    }
}

/// Reads a body to its end, or to a length at which it is compared no more.
async fn print_of(body: &mut Body, most: usize) -> Option<Print> {
    const BYTES_MAX: u64 = 16 << 20;
    let mut printing = Printing::new(most);
    while let Some(next) = frame(body).await {
        match next {
            Ok(Frame::Data(chunk)) => printing.push(&chunk),
            Ok(Frame::Trailers(_)) => {}
            Err(_) => return None,
        }
        if printing.bytes > BYTES_MAX {
            return None;
        }
    }
    Some(printing.end())
}

/// Prints a body as it passes to the caller; the print comes once it has passed whole.
fn watch(body: &mut Body, most: usize) -> oneshot::Receiver<Print> {
    let (sender, receiver) = oneshot::channel();
    let mut printing = Printing::new(most);
    *body = match std::mem::take(body) {
        Body::Stream(inner) => Body::Stream(Box::new(Watched {
            inner,
            printing,
            sender: Some(sender),
        })),
        Body::Full(chunk) => {
            let bytes = chunk.into_bytes();
            printing.push(&bytes);
            // Whoever compares may have given up.
            let _ = sender.send(printing.end());
            Body::Full(bytes.into())
        }
        Body::Empty => {
            let _ = sender.send(printing.end());
            Body::Empty
        }
    };
    receiver
}

struct Watched {
    inner: Box<dyn BodyStream>,
    printing: Printing,
    sender: Option<oneshot::Sender<Print>>,
}

impl BodyStream for Watched {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let frame = ready!(self.inner.poll_frame(cx));
        match &frame {
            Some(Ok(Frame::Data(chunk))) => self.printing.push(chunk),
            Some(Err(_)) => self.sender = None,
            Some(Ok(Frame::Trailers(_))) | None => {
                if let Some(sender) = self.sender.take() {
                    let _ = sender.send(self.printing.end());
                }
            }
        }
        // A body of known length may not be asked for its end.
        if self.inner.remaining() == Some(0)
            && let Some(sender) = self.sender.take()
        {
            let _ = sender.send(self.printing.end());
        }
        Poll::Ready(frame)
    }

    fn remaining(&self) -> Option<u64> {
        self.inner.remaining()
    }
}
