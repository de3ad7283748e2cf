//! What calls to servers and agents need of the exchange that they belong to, apart from it: several run at a
//! time, and some outlive the exchange's own future.

use gate_flow::{Attempt, Exchange, Fault, InScope, Overrides, RpcFacts, Services, TraceContext};
use gate_kit::clock::Moment;
use gate_kit::http::HeaderId;
use gate_model::fault::FaultCode;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// Most tries that a record keeps.
const ATTEMPTS_MAX: usize = 64;
/// Work on up to so many bytes is done on the worker: reading JSON takes about 1 ns per byte.
const AT_ONCE_MAX: usize = 128 * 1024;

/// What calls need of their exchange.
pub(crate) struct Around {
    pub(crate) services: Rc<dyn Services>,
    pub(crate) trace: TraceContext,
    pub(crate) started: Moment,
    /// The caller's `authorization`, for servers that are to see it; never a key of ours.
    pub(crate) authorization: Option<Vec<u8>>,
    pub(crate) facts: Rc<RefCell<RpcFacts>>,
    /// When everything must have happened, where a policy says so.
    pub(crate) until: Option<Instant>,
    overrides: Overrides,
    /// Experiments that the exchange is in the scope of.
    pub(crate) experiments: Option<Arc<InScope>>,
    attempts: RefCell<Vec<Attempt>>,
}

impl Around {
    /// Of an exchange, whose record will have `facts`.
    pub(crate) fn of(exchange: &mut Exchange) -> Rc<Self> {
        let facts = exchange.rpc.get_or_insert_default().clone();
        let headers = &exchange.request.head.headers;
        let shown = headers.get(HeaderId::Authorization);
        let foreign = shown.filter(|value| !is_ours(exchange, value));
        Rc::new(Self {
            services: exchange.services.clone(),
            trace: exchange.record.trace,
            started: exchange.record.started,
            authorization: foreign.map(<[u8]>::to_vec),
            facts,
            until: exchange.overrides.total.map(|total| Instant::now() + total),
            overrides: exchange.overrides,
            experiments: exchange.record.experiments.clone(),
            attempts: RefCell::default(),
        })
    }

    pub(crate) fn now(&self) -> Moment {
        self.services.clock().now()
    }

    /// The time to the first byte of an answer: a policy's, or the server's own.
    pub(crate) fn first_byte(&self, own: Duration) -> Duration {
        self.overrides.first_byte.unwrap_or(own)
    }

    /// The time between two pieces of an answer: a policy's, or the server's own.
    pub(crate) fn idle(&self, own: Duration) -> Duration {
        self.overrides.idle.unwrap_or(own)
    }

    /// Notes a try at a server.
    pub(crate) fn tried(&self, attempt: Attempt) {
        let mut attempts = self.attempts.borrow_mut();
        if attempts.len() < ATTEMPTS_MAX {
            attempts.push(attempt);
        }
    }

    /// How many tries there were.
    pub(crate) fn tries(&self) -> usize {
        self.attempts.borrow().len()
    }

    /// Moves what was tried into the record.
    pub(crate) fn give_back(&self, exchange: &mut Exchange) {
        exchange.record.attempts.extend(self.attempts.take());
    }

    /// Notes that a server could not take part.
    pub(crate) fn failed(&self, server: &Arc<str>, why: &Fault) {
        tracing::warn!(server = &**server, %why, "a server of tools could not take part");
        self.facts.borrow_mut().failed_servers.push(server.clone());
    }

    /// Does work over so many bytes: here, or off the worker where it would take long.
    ///
    /// # Errors
    /// [`FaultCode::Overloaded`] when there is no room for it.
    pub(crate) async fn work<T: Send + Sync + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Fault> {
        if bytes <= AT_ONCE_MAX {
            return Ok(work());
        }
        let slot = Arc::new(OnceLock::new());
        let filled = slot.clone();
        let work = Box::new(move || {
            let _ = filled.set(work());
        });
        self.services.offload(work).await?;
        let slot = Arc::into_inner(slot).and_then(OnceLock::into_inner);
        slot.ok_or_else(|| Fault::new(FaultCode::InternalError).detail("work was not done"))
    }
}

/// Whether a field shows a key of this gateway: such a key is nobody else's business, also where a
/// policy leaves it in the request.
fn is_ours(exchange: &Exchange, value: &[u8]) -> bool {
    let key = value.split(|&byte| byte == b' ').next_back();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.unwrap_or_default());
    let digest: Option<&[u8; 32]> = digest.as_ref().first_chunk();
    digest.is_some_and(|digest| exchange.snapshot.callers.by_key(digest).is_some())
}

/// Waits for all of them at a time. May be dropped midway, which drops each.
pub(crate) async fn together<'a, T>(
    futures: impl IntoIterator<Item = Pin<Box<dyn Future<Output = T> + 'a>>>,
) -> Vec<T> {
    let mut running: Vec<_> = futures
        .into_iter()
        .map(|future| (Some(future), None))
        .collect();
    poll_fn(|cx| {
        let mut waits = false;
        for (future, done) in &mut running {
            let Some(waiting) = future else { continue };
            match waiting.as_mut().poll(cx) {
                Poll::Ready(value) => {
                    *done = Some(value);
                    *future = None;
                }
                Poll::Pending => waits = true,
            }
        }
        match waits {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    })
    .await;
    running.into_iter().filter_map(|(_, done)| done).collect()
}
