//! What an experiment does to a try: before it, instead of it, or to its answer.

use super::body::{Corrupted, CutOff, Slowed};
use super::events::{Broken, Then};
use super::usage;
use crate::upstream::attempt::{Answered, Failure, attempt};
use crate::upstream::endpoint::Endpoint;
use crate::upstream::{Deadlines, Upstream};
use gate_ai::{Dialect, error_body, error_header};
use gate_flow::{ExperimentPlace, Fault, InScope, InterimSink, Strike};
use gate_kit::http::{Body, HeaderId, RequestHead, Response, ResponseHead};
use gate_kit::random;
use gate_model::fault::FaultCode;
use gate_model::resources::{Injection, RetryOn};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Longest time between two looks at whether an experiment still runs.
pub(super) const STEP: Duration = Duration::from_millis(100);
/// Most bytes of a whole answer whose usage is changed.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// A try that an experiment strikes.
pub(crate) struct Struck {
    strike: Strike,
    /// What the provider speaks, where one is asked.
    dialect: Option<Dialect>,
}

impl Struck {
    /// At an upstream's endpoint, if an experiment strikes.
    pub(crate) fn upstream(
        scope: Option<&InScope>,
        upstream: &Upstream,
        endpoint: &Endpoint,
    ) -> Option<Self> {
        let place = ExperimentPlace::Upstream {
            name: &upstream.name,
            endpoint: &endpoint.address,
        };
        Self::at(scope?, &place, None)
    }

    /// At a provider that speaks `dialect`, if an experiment strikes.
    pub(crate) fn model(
        scope: Option<&InScope>,
        provider: &str,
        model: &str,
        stream: bool,
        dialect: Dialect,
    ) -> Option<Self> {
        let place = ExperimentPlace::Model {
            provider,
            model,
            stream,
        };
        Self::at(scope?, &place, Some(dialect))
    }

    /// At a server of tools, if an experiment strikes.
    pub(crate) fn server(scope: Option<&InScope>, name: &str) -> Option<Self> {
        let place = ExperimentPlace::Server { name, tool: None };
        Self::at(scope?, &place, None)
    }

    fn at(scope: &InScope, place: &ExperimentPlace<'_>, dialect: Option<Dialect>) -> Option<Self> {
        let strike = scope.strike(place)?;
        Some(Self { strike, dialect })
    }
}

/// The result of a tool that an experiment refuses; none where none does. `id` is the request's, as
/// JSON.
pub(crate) fn refused_tool(
    scope: Option<&InScope>,
    server: &str,
    tool: &str,
    id: &str,
) -> Option<Vec<u8>> {
    let place = ExperimentPlace::Server {
        name: server,
        tool: Some(tool),
    };
    scope?.strike(&place)?;
    let result =
        r#"{"content":[{"type":"text","text":"The tool is not available."}],"isError":true}"#;
    Some(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#).into_bytes())
}

/// A try that an experiment strikes.
///
/// # Errors
/// As [`attempt`]. May be dropped midway, which cancels the request.
pub(crate) async fn struck(
    struck: Struck,
    upstream: &Upstream,
    endpoint: &Arc<Endpoint>,
    head: &RequestHead,
    body: &mut Option<Body>,
    deadlines: &Deadlines,
    interim: Option<Rc<dyn InterimSink>>,
) -> Result<Answered, Failure> {
    let Struck { strike, dialect } = struck;
    let instead = match strike.inject() {
        Injection::Delay { duration, jitter } => {
            let jitter = jitter.duration().mul_f64(random::fraction());
            let until = Instant::now() + duration.duration() + jitter;
            wait(&strike, until, upstream, endpoint, deadlines).await?;
            drop(strike);
            return attempt(upstream, endpoint, head, body, deadlines, interim, None).await;
        }
        Injection::Reset {} => {
            // What was to be sent counts as sent.
            drop(body.take());
            let detail = format!(
                "{}: closed before it answered, by the experiment `{}`",
                endpoint.address,
                strike.name()
            );
            return Err(Failure {
                fault: Fault::new(FaultCode::UpstreamReset).detail(detail),
                reason: Some(RetryOn::Reset),
                reused: false,
            });
        }
        Injection::Abort { status } => Some(Response::empty(*status)),
        Injection::Refuse {
            status,
            retry_after,
            code,
        } => dialect.map(|dialect| {
            let after = retry_after.map(|after| after.duration().as_secs_f64().ceil() as u64);
            refusal(dialect, *status, code, after)
        }),
        _ => None,
    };
    if let Some(Response { head, body: answer }) = instead {
        drop(body.take());
        return Ok(Answered {
            head,
            body: answer,
            in_flight: endpoint.enter(),
            reused: false,
        });
    }
    let mut answered = attempt(upstream, endpoint, head, body, deadlines, interim, None).await?;
    // A tunnel is no body, and what is empty cannot be spoilt.
    if answered.head.status < 200 || answered.body.is_empty() {
        return Ok(answered);
    }
    let inner = std::mem::take(&mut answered.body);
    answered.body = spoil(strike, &mut answered.head, inner, deadlines.idle).await?;
    Ok(answered)
}

fn refusal(dialect: Dialect, status: u16, code: &str, after: Option<u64>) -> Response {
    let text = error_body(dialect, status, code, "The provider refuses for now.");
    let mut response = Response::full(status, "application/json", text);
    let headers = &mut response.head.headers;
    if let Some((name, value)) = error_header(dialect, status) {
        headers.append(name.as_bytes(), value.as_bytes());
    }
    if let Some(after) = after {
        headers.append_known(HeaderId::RetryAfter, after.to_string().as_bytes());
    }
    response
}

/// Waits until then, until the experiment is over, or until the try would have had to begin to
/// answer.
async fn wait(
    strike: &Strike,
    until: Instant,
    upstream: &Upstream,
    endpoint: &Endpoint,
    deadlines: &Deadlines,
) -> Result<(), Failure> {
    let first_byte = (!deadlines.first_byte.is_zero()).then(|| {
        let deadline = upstream
            .clock
            .deadline(deadlines.started, deadlines.first_byte);
        Instant::from(deadline)
    });
    let late = match (first_byte, deadlines.total) {
        (Some(first_byte), Some(total)) => Some(first_byte.min(total)),
        (first_byte, total) => first_byte.or(total),
    };
    loop {
        let now = Instant::now();
        let Some(left) = strike.left().filter(|_| now < until) else {
            return Ok(());
        };
        if late.is_some_and(|late| now >= late) {
            let detail = format!(
                "{}: no first byte in time, by the experiment `{}`",
                endpoint.address,
                strike.name()
            );
            return Err(Failure {
                fault: Fault::new(FaultCode::UpstreamTimeout).detail(detail),
                reason: Some(RetryOn::Timeout),
                reused: false,
            });
        }
        let next = until.min(now + left.min(STEP));
        tokio::time::sleep_until(late.map_or(next, |late| late.min(next))).await;
    }
}

/// The answer's body with something wrong.
async fn spoil(
    strike: Strike,
    head: &mut ResponseHead,
    mut inner: Body,
    idle: Duration,
) -> Result<Body, Failure> {
    let kind = head.headers.get(HeaderId::ContentType);
    let kind = kind.unwrap_or_default().to_vec();
    let broken = |strike, inner, after: u32, then| {
        Body::Stream(Box::new(Broken::new(
            strike, inner, &kind, after, then, idle,
        )))
    };
    let body = match *strike.inject() {
        Injection::Truncate { after } => {
            Body::Stream(Box::new(CutOff::new(strike, inner, after.bytes())))
        }
        Injection::Corrupt { share } => {
            Body::Stream(Box::new(Corrupted::new(strike, inner, share.fraction())))
        }
        Injection::Throttle { rate } => {
            Body::Stream(Box::new(Slowed::new(strike, inner, rate.bytes())))
        }
        Injection::CutStream { after } => broken(strike, inner, after, Then::Cut),
        Injection::Stall { after, lasts } => {
            broken(strike, inner, after, Then::Stall(lasts.duration()))
        }
        Injection::MalformedChunk { after } => broken(strike, inner, after, Then::Malformed),
        Injection::WrongUsage { factor } if kind.starts_with(b"text/event-stream") => {
            head.headers.remove(HeaderId::ContentLength);
            Body::Stream(Box::new(usage::Scaled::new(strike, inner, factor)))
        }
        Injection::WrongUsage { factor } if kind.starts_with(b"application/json") => {
            let whole = inner.collect(ANSWER_MAX).await.map_err(|error| Failure {
                fault: Fault::from_response_body(&error),
                reason: None,
                reused: false,
            })?;
            let text = usage::scale(&whole, factor);
            if head.headers.contains(HeaderId::ContentLength) {
                let length = text.len().to_string();
                head.headers.set(HeaderId::ContentLength, length.as_bytes());
            }
            Body::Full(text.into())
        }
        _ => inner,
    };
    Ok(body)
}
