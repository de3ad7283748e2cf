//! A balanced service: choosing an endpoint, calling it, and trying again where that is safe.
//!
//! [`Upstream::call`] is the whole life of a call: admission, pick, attempt, judgement, retry. It is
//! used by routes to upstreams and, one attempt at a time, by model targets. `endpoint.rs` keeps
//! what is known of each address, `pick.rs` chooses, `pool.rs` keeps connections, `budget.rs`
//! bounds retries, `hedged.rs` asks two at once, `health.rs` asks endpoints how they are.

pub mod attempt;
mod bounded;
pub mod budget;
mod cloud;
pub mod connector;
pub(crate) mod credential;
pub mod endpoint;
pub mod health;
mod hedged;
pub mod pick;
pub mod pool;
pub(crate) mod report;
pub mod trouble;

use crate::experiments::Struck;
use attempt::{Answered, Failure, attempt, row};
pub(crate) use bounded::bounded;
use budget::RetryBudget;
use bytes::Bytes;
use cloud::{Advice, CloudError};
use connector::Connector;
use credential::{Credential, Shown};
use endpoint::Endpoint;
use gate_flow::{Exchange, Fault};
use gate_kit::clock::{Clock, Moment};
use gate_kit::date::parse_http_date;
use gate_kit::http::{Body, BodyError, BodyStream, Chunk, Frame, HeaderId, RequestHead, Response};
use gate_kit::random;
use gate_model::fault::{FaultCode, FaultSource};
use gate_model::resources::{Balance, HashBy, RetryOn, Upstream as Settings};
use pick::{Picker, hash_of};
use smallvec::SmallVec;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;
use trouble::Wrong;

/// A balanced service, compiled.
pub struct Upstream {
    /// Its name.
    pub name: Arc<str>,
    /// As configured, defaults written down.
    pub settings: Settings,
    /// Its endpoints.
    pub picker: Picker,
    /// How the gateway proves itself to them.
    pub(crate) credential: Option<Arc<Credential>>,
    /// How connections to its endpoints are opened.
    pub connector: Connector,
    /// State that outlives revisions.
    pub state: Arc<State>,
    /// The clock of the process.
    pub clock: Clock,
}

/// What outlives revisions, besides the endpoints.
#[derive(Debug, Default)]
pub struct State {
    in_flight: Arc<AtomicU32>,
    /// What an action allows in place of the configured concurrency, and until which moment; 0 for
    /// none.
    cap: AtomicU32,
    cap_until: AtomicU64,
    budget: RetryBudget,
}

impl State {
    /// Allows so many requests in flight until then, or as many as are configured.
    pub(crate) fn cap(&self, cap: Option<(u32, Moment)>) {
        let (most, until) = cap.unwrap_or_default();
        self.cap_until.store(until.0, Ordering::Relaxed);
        self.cap.store(most, Ordering::Relaxed);
    }
}

/// When a call must have happened, beyond the upstream's own limits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Deadlines {
    /// When the attempt starts.
    pub started: Moment,
    /// For everything.
    pub total: Option<Instant>,
    /// To the first byte of each attempt's answer.
    pub first_byte: Duration,
    /// Between two pieces of the answer.
    pub idle: Duration,
}

/// Counts a request against the upstream's limit of concurrent ones.
pub struct Permit(Arc<AtomicU32>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Upstream {
    /// Admits one more concurrent request.
    ///
    /// # Errors
    /// [`FaultCode::UpstreamOverloaded`] when there are as many as allowed.
    pub fn admit(&self) -> Result<Permit, Fault> {
        let before = self.state.in_flight.fetch_add(1, Ordering::Relaxed);
        let permit = Permit(self.state.in_flight.clone());
        let most = match self.state.cap.load(Ordering::Relaxed) {
            0 => self.settings.concurrency,
            cap => self.capped(cap),
        };
        if before >= most {
            let detail = format!("`{}` has {before} requests in flight", self.name);
            return Err(Fault::new(FaultCode::UpstreamOverloaded)
                .detail(detail)
                .retry_after(Duration::from_secs(1)));
        }
        Ok(permit)
    }

    #[cold]
    fn capped(&self, cap: u32) -> u32 {
        match self.state.cap_until.load(Ordering::Relaxed) > self.clock.now().0 {
            true => cap,
            false => self.settings.concurrency,
        }
    }

    /// Requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.state.in_flight.load(Ordering::Relaxed)
    }

    /// Calls the upstream with an exchange's request, trying again where that is safe.
    ///
    /// # Errors
    /// The fault of the last attempt. May be dropped midway, which cancels the call.
    pub async fn call(&self, exchange: &mut Exchange) -> Result<Response, Fault> {
        let permit = self.admit()?;
        exchange.record.target = Some(self.name.clone());
        let mut now = exchange.moment;
        let mut deadlines = self.deadlines(exchange);
        let mut shown = match &self.credential {
            Some(credential) => {
                let services = exchange.services.clone();
                let show = credential.show(&services, &mut exchange.request);
                Some(Box::new(Box::pin(show).await?))
            }
            None => None,
        };
        let mut body = Some(std::mem::take(&mut exchange.request.body));
        let replay = self.replay(&exchange.request.head, &mut body);
        self.state.budget.request(now);
        let mut tried: SmallVec<[u64; 4]> = SmallVec::new();
        loop {
            let hash = self.hash(exchange);
            let endpoint = self.pick(now, hash, &tried)?;
            let number = u32::try_from(tried.len()).unwrap_or(u32::MAX);
            tried.push(endpoint.id);
            let hedged = self
                .settings
                .hedge
                .as_ref()
                .filter(|_| number == 0 && exchange.request.head.method.is_idempotent())
                .zip(replay.as_ref());
            let mut outcome = match hedged {
                Some((hedge, replay)) => {
                    let after = hedge.after.duration();
                    let both =
                        self.hedged(exchange, &endpoint, after, replay, &mut tried, &deadlines);
                    Box::pin(both).await
                }
                None => {
                    let started = now;
                    let interim = exchange.interim.clone();
                    let head = &exchange.request.head;
                    let struck = self.struck(exchange, &endpoint);
                    let result = attempt(
                        self, &endpoint, head, &mut body, &deadlines, interim, struck,
                    )
                    .await;
                    Judged {
                        endpoint,
                        started,
                        result,
                    }
                }
            };
            let repeatable = body.is_some() || replay.is_some();
            let said = match (&self.credential, &mut outcome.result) {
                (Some(credential), Ok(answered)) => {
                    let said = Box::pin(cloud::read(answered)).await;
                    said.or_else(|| credential.refusal(answered.head.status))
                        .map(Box::new)
                }
                _ => None,
            };
            if let Some(error) = said.as_ref().filter(|error| error.advice == Advice::Renew) {
                let renewing = self.renewed(exchange, outcome, &mut shown, error, repeatable);
                Box::pin(renewing).await?;
                body = body.or_else(|| replay.as_ref().map(Replay::body));
                now = self.clock.now();
                deadlines.started = now;
                // The endpoint is not to blame and may be asked again.
                tried.clear();
                continue;
            }
            let wait = match self.judge(exchange, outcome, &tried, number, repeatable, said) {
                Judgement::Answer(answered) => {
                    return Ok(response(answered, permit, deadlines.total));
                }
                Judgement::Fault(fault) => return Err(fault),
                Judgement::Retry(wait) => wait,
            };
            if body.is_none() {
                body = replay.as_ref().map(Replay::body);
            }
            if let Some(total) = deadlines.total
                && Instant::now() + wait >= total
            {
                return Err(Fault::new(FaultCode::UpstreamTimeout).detail("no time left to retry"));
            }
            if !wait.is_zero() {
                exchange.services.sleep(wait).await;
            }
            now = self.clock.now();
            deadlines.started = now;
        }
    }

    /// The experiment that strikes a try, if one does.
    #[inline]
    fn struck(&self, exchange: &Exchange, endpoint: &Endpoint) -> Option<Struck> {
        Struck::upstream(exchange.record.experiments.as_deref(), self, endpoint)
    }

    /// An endpoint for one attempt that starts now.
    ///
    /// # Errors
    /// [`FaultCode::NoEndpoint`] when none is available.
    pub fn pick(
        &self,
        now: Moment,
        hash: Option<u64>,
        tried: &[u64],
    ) -> Result<Arc<Endpoint>, Fault> {
        self.picker.pick(now, hash, tried).cloned().ok_or_else(|| {
            Fault::new(FaultCode::NoEndpoint)
                .detail(format!("no endpoint of `{}` is healthy", self.name))
                .retry_after(Duration::from_secs(1))
        })
    }

    /// Whether one more retry fits the upstream's budget.
    pub fn may_retry(&self) -> bool {
        self.state
            .budget
            .retry(self.clock.now(), self.settings.retry.budget.fraction())
    }

    /// Notes in the endpoint's health how an attempt went.
    pub fn note(&self, endpoint: &Endpoint, failed: bool) {
        if !failed {
            endpoint.succeeded();
            return;
        }
        let now = self.clock.now();
        let share = self.settings.outlier.share.fraction();
        let ejected = endpoint.failed(&self.settings.outlier, now, || {
            self.picker.may_eject(share, now)
        });
        if ejected {
            tracing::warn!(upstream = %self.name, endpoint = %endpoint.address, "endpoint ejected");
        }
    }

    fn deadlines(&self, exchange: &Exchange) -> Deadlines {
        let timeouts = &self.settings.timeouts;
        let total = exchange
            .overrides
            .total
            .unwrap_or(timeouts.total.duration());
        let started = exchange.moment;
        Deadlines {
            started,
            total: (!total.is_zero()).then(|| self.clock.deadline(started, total).into()),
            first_byte: exchange
                .overrides
                .first_byte
                .unwrap_or(timeouts.first_byte.duration()),
            idle: exchange.overrides.idle.unwrap_or(timeouts.idle.duration()),
        }
    }

    fn hash(&self, exchange: &Exchange) -> Option<u64> {
        let Balance::RingHash { by } = &self.settings.balance else {
            return None;
        };
        let headers = &exchange.request.head.headers;
        match by {
            HashBy::Header(name) => headers.get_named(name).map(|value| hash_of(&value)),
            HashBy::Cookie(name) => {
                cookie(headers.all(HeaderId::Cookie), name).map(|v| hash_of(&v))
            }
            HashBy::Consumer {} => exchange.caller.as_ref().map(|caller| hash_of(&caller.name)),
            HashBy::Address {} => Some(hash_of(&exchange.address)),
        }
    }

    /// What is needed to send a request again: kept only where repeating is allowed at all.
    fn replay(&self, head: &RequestHead, body: &mut Option<Body>) -> Option<Replay> {
        let retrying = self.settings.retry.attempts > 0 || self.settings.hedge.is_some();
        // What was refused for its credential was not done, whatever its method.
        let repeats = (retrying && head.method.is_idempotent()) || self.credential.is_some();
        if !repeats || head.upgrade.is_some() {
            return None;
        }
        match body.take()? {
            Body::Empty => {
                *body = Some(Body::Empty);
                Some(Replay(Bytes::new()))
            }
            Body::Full(chunk) => {
                let bytes = chunk.into_bytes();
                *body = Some(Body::Full(Chunk::Shared(bytes.clone())));
                Some(Replay(bytes))
            }
            stream => {
                *body = Some(stream);
                None
            }
        }
    }

    fn judge(
        &self,
        exchange: &mut Exchange,
        judged: Judged,
        tried: &[u64],
        number: u32,
        repeatable: bool,
        said: Option<Box<CloudError>>,
    ) -> Judgement {
        let Judged {
            endpoint,
            started,
            result,
        } = judged;
        let now = self.clock.now();
        self.write_down(exchange, &endpoint, &result, started..now);
        let reason = match &result {
            Ok(answered) => match answered.head.status {
                502..=504 => Some(RetryOn::Unavailable),
                429 => Some(RetryOn::TooMany),
                _ => None,
            },
            Err(failure) => failure.reason,
        };
        let reason = match &said {
            Some(error) => match error.advice {
                Advice::Retry => Some(RetryOn::Unavailable),
                Advice::Throttle => Some(RetryOn::TooMany),
                Advice::GiveUp | Advice::Renew => None,
            },
            None => reason,
        };
        // Nothing was sent when no connection was made; otherwise only what can be repeated is.
        let safe = match reason {
            Some(RetryOn::Connect) => true,
            Some(_) => exchange.request.head.method.is_idempotent(),
            None => false,
        };
        let again = safe
            && repeatable
            && number < self.settings.retry.attempts
            && reason.is_some_and(|reason| self.settings.retry.on.contains(&reason));
        let wait = match again {
            true => {
                let after = said.and_then(|error| error.after);
                self.backoff(number, result.as_ref().ok(), after, tried)
            }
            false => None,
        };
        match (wait, result) {
            (Some(wait), _) if self.may_retry() => Judgement::Retry(wait),
            (_, Ok(answered)) => Judgement::Answer(answered),
            (_, Err(failure)) => Judgement::Fault(failure.fault),
        }
    }

    /// Writes a try that ended into the record, and into what is known of its endpoint.
    fn write_down(
        &self,
        exchange: &mut Exchange,
        endpoint: &Endpoint,
        result: &Result<Answered, Failure>,
        took: Range<Moment>,
    ) {
        let ended = took.end;
        let row = row(endpoint, result, took, exchange.record.started);
        let is_upstreams = |code: FaultCode| code.source() == FaultSource::Upstream;
        let blamed = matches!(row.status, 502..=504) || row.fault.is_some_and(is_upstreams);
        self.note(endpoint, blamed);
        match blamed {
            true => endpoint.trouble.failed(ended, Wrong::from(&row)),
            false => endpoint.trouble.worked(ended),
        }
        exchange.record.attempts.push(row);
    }

    /// Shows a fresh credential in place of one that was refused, once for each call.
    async fn renewed(
        &self,
        exchange: &mut Exchange,
        judged: Judged,
        shown: &mut Option<Box<Shown>>,
        error: &CloudError,
        repeatable: bool,
    ) -> Result<(), Fault> {
        let Judged {
            endpoint,
            started,
            result,
        } = judged;
        let now = self.clock.now();
        let row = row(&endpoint, &result, started..now, exchange.record.started);
        self.note(&endpoint, false);
        exchange.record.attempts.push(row);
        let fault = || {
            let detail = format!(
                "`{}` refused the gateway's credential: {}",
                self.name, error.code
            );
            Fault::new(FaultCode::UpstreamRejected).detail(detail)
        };
        let credential = self
            .credential
            .as_ref()
            .filter(|credential| credential.can_renew());
        // What was shown is taken, so that a second refusal ends the call.
        match (credential, shown.take()) {
            (Some(credential), Some(mut refused)) if repeatable => {
                let services = exchange.services.clone();
                let request = &mut exchange.request;
                credential.renew(&services, request, &mut refused).await
            }
            _ => Err(fault()),
        }
    }

    /// Time before a retry: half to all of the doubled base, or what the endpoint asked for. `None`
    /// where it asked for more than a retry waits and there is no other endpoint to ask.
    fn backoff(
        &self,
        number: u32,
        answered: Option<&Answered>,
        said: Option<Duration>,
        tried: &[u64],
    ) -> Option<Duration> {
        let backoff = &self.settings.retry.backoff;
        let most = backoff.most.duration();
        let asked = answered
            .and_then(|answered| answered.head.headers.get_str(HeaderId::RetryAfter))
            .and_then(|text| retry_after(text, self.clock.unix().as_secs()));
        if let Some(asked) = said.or(asked) {
            let elsewhere = || self.picker.has_fresh(self.clock.now(), tried);
            return (asked <= most || elsewhere()).then(|| asked.min(most));
        }
        let full = backoff
            .base
            .duration()
            .saturating_mul(1 << number.min(16))
            .min(most);
        Some(full.mul_f64(0.5 + 0.5 * random::fraction()))
    }
}

/// An answer as it goes to the caller: it counts as in flight until it has ended, and has to by `end`
/// unless it is a tunnel.
fn response(answered: Answered, permit: Permit, end: Option<Instant>) -> Response {
    let Answered {
        head,
        body,
        in_flight,
        ..
    } = answered;
    let body = match bounded(body, end.filter(|_| head.status != 101)) {
        Body::Stream(inner) => Body::Stream(Box::new(Held {
            inner,
            held: Some((permit, in_flight)),
        })),
        at_hand => at_hand,
    };
    Response { head, body }
}

/// What a Retry-After field asks for: seconds, or a date (RFC 9110, section 10.2.3). `now` in seconds of
/// UNIX time.
fn retry_after(text: &str, now: u64) -> Option<Duration> {
    let text = text.trim();
    let seconds = text.parse().ok().or_else(|| {
        let date = parse_http_date(text.as_bytes(), now)?;
        Some(date.saturating_sub(now))
    });
    seconds.map(Duration::from_secs)
}

/// A body that can be sent again.
struct Replay(Bytes);

impl Replay {
    fn body(&self) -> Body {
        if self.0.is_empty() {
            Body::Empty
        } else {
            Body::Full(Chunk::Shared(self.0.clone()))
        }
    }
}

struct Judged {
    endpoint: Arc<Endpoint>,
    started: Moment,
    result: Result<Answered, Failure>,
}

enum Judgement {
    Answer(Answered),
    Fault(Fault),
    Retry(Duration),
}

/// A body that counts as in flight until it has ended.
pub struct Held<T> {
    inner: Box<dyn BodyStream>,
    held: Option<T>,
}

impl<T> Held<T> {
    /// Keeps `held` alive until `inner` has ended.
    pub fn new(inner: Box<dyn BodyStream>, held: T) -> Self {
        Self {
            inner,
            held: Some(held),
        }
    }
}

impl<T> BodyStream for Held<T> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, BodyError>>> {
        let frame = ready!(self.inner.poll_frame(cx));
        if !matches!(frame, Some(Ok(Frame::Data(_)))) {
            self.held = None;
        }
        Poll::Ready(frame)
    }

    fn remaining(&self) -> Option<u64> {
        self.inner.remaining()
    }
}

/// The value of a cookie, from every Cookie field.
fn cookie<'a>(fields: impl Iterator<Item = &'a [u8]>, name: &str) -> Option<&'a [u8]> {
    for field in fields {
        for pair in field.split(|&byte| byte == b';') {
            let pair = pair.trim_ascii();
            if let Some(rest) = pair.strip_prefix(name.as_bytes())
                && let Some(value) = rest.strip_prefix(b"=")
            {
                return Some(value);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let field: &[&[u8]] = &[b"ab=1; a=2", b"c=3"];
        let find = |name| cookie(field.iter().copied(), name);
        assert_eq!(find("a"), Some(&b"2"[..]));
        assert_eq!(find("c"), Some(&b"3"[..]));
        assert_eq!(find("b"), None);
    }
}
