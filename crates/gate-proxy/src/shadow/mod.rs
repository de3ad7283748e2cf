//! Copies of requests to a candidate that serves nobody yet, and whether its answers differ.
//!
//! GET, HEAD and OPTIONS without a body are copied, because these have no effect (RFC 9110 section
//! 9.2.1), and whatever methods the comparison names. A copy takes the candidate's whole way,
//! policies included, beside the exchange, once the caller's own answer has begun; it has no record
//! of its own, and its answer is read to its end (bounded) and thrown away. The caller waits for
//! none of it. How bodies are read is in `print.rs`, when two are the same in `same.rs`.

mod print;
mod same;

use crate::serve::serve;
use bytes::Bytes;
use gate_flow::{
    Arm, Beside, CopyPlace, Exchange, Outcome, Reading, Record, Sample, Trial, TrialPlace,
};
use gate_kit::http::{Body, Chunk, HeaderId, Method, Request, RequestHead, Response};
use gate_kit::random;
use gate_model::resources::Shadow;
use gate_model::units::Money;
use print::{Print, print_of, watch};
use same::Same;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Marks a copy, like those of the policy `mirror`: what carries it is not copied again.
const MARK: &str = "x-tidegate-mirror";
/// Most bytes of a model's answer that are kept, so that what always differs can be left out.
const KEPT_MAX: usize = 1 << 20;
/// What one answer may take longer than the other before it counts as slower.
const SLACK: Duration = Duration::from_millis(1);

/// A copy of a request that waits for the answer that it is compared with.
pub(crate) struct Copy {
    beside: Beside,
    head: RequestHead,
    /// The request's body, once the caller's exchange has read it whole.
    body: oneshot::Receiver<Option<Bytes>>,
    trial: Arc<Trial>,
    slice: usize,
    shadow: Shadow,
    place: CopyPlace,
}

/// Copies the request of an exchange, if its trial compares answers and this one is drawn.
pub(crate) fn copy(exchange: &mut Exchange) -> Option<Box<Copy>> {
    let TrialPlace::Taken(assigned) = &exchange.trial else {
        return None;
    };
    let trial = assigned.trial();
    let shadow = trial.shadow.as_ref().filter(|_| trial.share <= 0.0)?;
    if !may_be_copied(&exchange.request, shadow) || random::fraction() >= shadow.share.fraction() {
        return None;
    }
    let place = trial.copies.begin(shadow.spend.fraction())?;
    let mut head = exchange.request.head.clone();
    head.headers.remove(HeaderId::Expect);
    head.headers.append(MARK.as_bytes(), b"1");
    let (trial, slice, shadow) = (trial.clone(), assigned.slice(), shadow.clone());
    let (sender, body) = oneshot::channel();
    let most = bytes_of(shadow.request);
    let whole = std::mem::take(&mut exchange.request.body);
    exchange.request.body = whole.tee(most, move |bytes| {
        // The comparison may have been given up.
        let _ = sender.send(bytes);
    });
    Some(Box::new(Copy {
        beside: exchange.beside(),
        head,
        body,
        trial,
        slice,
        shadow,
        place,
    }))
}

fn bytes_of(size: gate_model::units::ByteSize) -> usize {
    usize::try_from(size.bytes()).unwrap_or(usize::MAX)
}

fn may_be_copied(request: &Request, shadow: &Shadow) -> bool {
    let (head, body) = (&request.head, &request.body);
    if head.headers.get_named(MARK).is_some() || head.upgrade.is_some() {
        return false;
    }
    let is_small = |length| length <= shadow.request.bytes();
    match &head.method {
        Method::Get | Method::Head | Method::Options if body.is_empty() => true,
        named => {
            let is_named = shadow.methods.iter().any(|method| method == named.as_str());
            is_named && body.length().is_none_or(is_small)
        }
    }
}

/// What one of two answers took.
#[derive(Debug, Clone, Copy, Default)]
struct Took {
    outcome: Outcome,
    time: Duration,
    cost: Option<Money>,
    tokens: Option<u64>,
}

impl Took {
    fn of(record: &Record) -> Self {
        let ai = record.ai.as_deref();
        let tokens = ai.and_then(|ai| Some(ai.input_tokens? + ai.output_tokens.unwrap_or(0)));
        Self {
            outcome: record.outcome,
            time: record.duration,
            cost: ai.and_then(|ai| ai.cost),
            tokens,
        }
    }
}

/// The caller's own answer, as far as it is known when its copy is sent.
struct Own {
    status: u16,
    took: oneshot::Receiver<Took>,
    print: Option<oneshot::Receiver<Print>>,
    same: Same,
}

impl Copy {
    /// Sends the copy beside the exchange, and compares its answer with `response` once that has
    /// passed. A copy that is not answered in time differs; one for which the worker has no room
    /// is not counted.
    pub(crate) fn compare(self: Box<Self>, exchange: &mut Exchange, response: &mut Response) {
        let (sender, took) = oneshot::channel();
        if let TrialPlace::Taken(assigned) = &mut exchange.trial {
            assigned.when_closed(Box::new(move |record| {
                let _ = sender.send(Took::of(record));
            }));
        }
        let same = match (self.shadow.bodies, exchange.ai.is_some()) {
            (false, _) => Same::Statuses,
            (true, false) => Same::Bytes,
            (true, true) => Same::Model,
        };
        let print = match same {
            Same::Statuses => None,
            _ => Some(watch(&mut response.body, self.most(), self.kept(same))),
        };
        let own = Own {
            status: response.head.status,
            took,
            print,
            same,
        };
        exchange.services.spawn(Box::pin(self.run(own)));
    }

    /// Bytes of an answer that are compared.
    fn most(&self) -> usize {
        bytes_of(self.shadow.body)
    }

    /// Bytes of an answer that are kept for it.
    fn kept(&self, same: Same) -> usize {
        match same {
            Same::Model => self.most().min(KEPT_MAX),
            Same::Statuses | Same::Bytes => 0,
        }
    }

    /// Sends the copy, waits for both answers, and counts what they say.
    async fn run(self: Box<Self>, own: Own) {
        let (most, kept) = (self.most(), self.kept(own.same));
        let Self {
            beside,
            head,
            body,
            trial,
            slice,
            shadow,
            place,
        } = *self;
        let Ok(Some(body)) = body.await else {
            // Too large, or never read: refused by a policy, for instance.
            return;
        };
        let request = Request {
            head,
            body: Body::from(Chunk::from(body.clone())),
        };
        let mut aside = beside.aside(request, None);
        aside.exchange().snapshot = trial.snapshot.clone();
        aside.exchange().trial = TrialPlace::Copied;
        let answer = async {
            let mut answer = serve(aside.exchange()).await;
            let print = print_of(&mut answer.body, most, kept).await;
            (answer.head.status, print)
        };
        let answered = tokio::time::timeout(shadow.timeout.duration(), answer).await;
        let read = match &answered {
            Ok((_, Some(print))) => Some(print.bytes),
            _ => None,
        };
        let outcome = read.map_or(Outcome::ClientClosed, |_| Outcome::Complete);
        aside.settle(outcome, read.unwrap_or(0));
        let theirs = Took::of(&aside.exchange().record);
        if let Some(cost) = theirs.cost {
            place.paid(cost);
        }
        let Ok(ours) = own.took.await else { return };
        if ours.outcome != Outcome::Complete {
            // The caller's own answer broke off: there is nothing to compare with.
            return;
        }
        let print = match own.print {
            None => None,
            Some(print) => match print.await {
                Ok(print) => Some(print),
                Err(_) => return,
            },
        };
        let differs = match &answered {
            Err(_) => true,
            Ok((status, _)) if *status != own.status => true,
            Ok((_, theirs)) => own.same.differs(&body, print.as_ref(), theirs.as_ref()),
        };
        count(&trial, slice, differs, &ours, read.map(|_| &theirs));
    }
}

/// Counts a pair of answers: whether they differ, and which of them took more.
fn count(trial: &Trial, slice: usize, differs: bool, ours: &Took, theirs: Option<&Took>) {
    let tolerance = 1.0 + trial.tolerance;
    let more = |one: Option<f64>, other: Option<f64>, slack: f64| match (one, other) {
        (Some(one), Some(other)) => Reading::Label(one > other * tolerance + slack),
        _ => Reading::Nothing,
    };
    let of = |took: &Took| {
        [
            (Some(took.time.as_secs_f64()), SLACK.as_secs_f64()),
            (took.cost.map(|cost| cost.picodollars() as f64), 0.0),
            (took.tokens.map(|tokens| tokens as f64), 0.0),
        ]
    };
    let add = |arm, answers, one: &Took, other: Option<&Took>| {
        let mut readings = vec![Reading::Nothing; trial.signals.len()];
        readings.push(answers);
        readings.extend(match other {
            None => [Reading::Nothing; 3],
            Some(other) => {
                let (one, other) = (of(one), of(other));
                [0, 1, 2].map(|place: usize| more(one[place].0, other[place].0, one[place].1))
            }
        });
        trial.evidence.add(&Sample {
            step: trial.step,
            slice,
            arm,
            caller: Some(random::bits()),
            readings: &readings,
        });
    };
    let nothing = Took::default();
    add(Arm::Control, Reading::Nothing, ours, theirs);
    let copy = theirs.unwrap_or(&nothing);
    add(
        Arm::Candidate,
        Reading::Label(differs),
        copy,
        theirs.map(|_| ours),
    );
}
