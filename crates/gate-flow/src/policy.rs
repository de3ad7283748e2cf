//! A step on an exchange's way.

use crate::{Exchange, Fault, LocalFuture, Past, Reads, Replay};
use gate_kit::http::Response;

/// A step on an exchange's way: it may change the request, answer instead of the target, and
/// change the response on its way back.
///
/// One object serves all workers, so what it remembers between exchanges lives in
/// [`crate::SharedState`], where it survives reloads. No call may take more than 200 us; longer
/// work goes into [`Verdict::Wait`].
pub trait Policy: Send + Sync {
    /// Decides about a request, in the route's order.
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let _ = exchange;
        Verdict::Next
    }

    /// Changes a response, in reverse order. Called for every answer (the target's, another
    /// policy's, a fault's) when this policy's [`Self::request`] was called and said
    /// [`Verdict::Next`] or answered itself. To see or change chunks, wrap `response.body`.
    fn response(&self, exchange: &mut Exchange, response: &mut Response) {
        let _ = (exchange, response);
    }

    /// What the loop calls instead of [`Self::response`], for a policy that has to wait before the
    /// head of its answer can leave, such as one that reads a whole body first. `None` when there
    /// is nothing to wait for; a fault takes the place of the response. A future may be dropped
    /// midway, when the caller goes away.
    fn answer<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        response: &'a mut Response,
    ) -> Option<LocalFuture<'a, Result<(), Fault>>> {
        self.response(exchange, response);
        None
    }

    /// How the verdict of [`Self::request`] is found again for a request that was kept, when a plan
    /// asks what a change would have done.
    fn replay(&self) -> Replay {
        Replay::Unknown("more than records keep")
    }

    /// The verdict about a request of which only what [`Self::replay`] reads is there. Never called
    /// on a worker. Credentials in it are texts that only `past` knows.
    fn again<'a>(&'a self, exchange: &'a mut Exchange, past: &Past<'_>) -> Verdict<'a> {
        let _ = past;
        self.request(exchange)
    }
}

/// A policy's answer.
///
/// A future is boxed only when waiting is needed: measured, twelve synchronous policies cost about
/// 50 ns, boxing a future for each seven times that.
pub enum Verdict<'a> {
    /// Go on.
    Next,
    /// Answer this instead of calling the target.
    Reply(Box<Response>),
    /// Refuse.
    Refuse(Box<Fault>),
    /// Decide later. The inner verdict must not be another `Wait`. May be dropped midway, when
    /// the caller goes away.
    Wait(LocalFuture<'a, Verdict<'static>>),
}

impl Verdict<'_> {
    /// Refuses with this fault.
    pub fn refuse(fault: impl Into<Fault>) -> Self {
        Verdict::Refuse(Box::new(fault.into()))
    }
}

/// A compiled `when`: whether a policy applies to a request.
pub trait Condition: Send + Sync {
    /// Evaluates the condition.
    ///
    /// # Errors
    /// Why it has no value for this request, for the operator. The exchange then ends with
    /// `policy_failed`: configured protection is never silently inert.
    fn holds(&self, exchange: &Exchange) -> Result<bool, String>;

    /// What it reads of a request, for replays.
    fn reads(&self) -> Reads {
        Reads::beyond("a condition")
    }
}
