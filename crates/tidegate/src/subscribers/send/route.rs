//! Routes of this gateway: an exchange of its own, on a worker, with all that the route has.

use super::super::work::now_s;
use super::{Failure, Letter, Means, signs, status, written};
use bytes::Bytes;
use gate_api::Term;
use gate_flow::Inside;
use gate_model::resources::RouteTarget;
use gate_proxy::inside::{InsideError, InsideRequest};
use std::pin::pin;
use std::time::Instant;

/// Most bytes of an answer; nobody reads it.
const ANSWER_BYTES_MAX: usize = 1 << 20;

pub(super) fn send(
    means: &Means,
    letter: &Letter<'_>,
    target: &RouteTarget,
) -> Result<(), Failure> {
    let parcel = letter.parcel;
    let (mut fields, body) = written(&letter.event, target.mode);
    fields.extend(signs(parcel, now_s()));
    let headers = fields
        .into_iter()
        .map(|(name, value)| (name, value.into_bytes()));
    let request = InsideRequest {
        listener: target.listener.clone(),
        method: target.method.clone(),
        authority: target
            .host
            .clone()
            .unwrap_or_else(|| "tidegate.invalid".into()),
        target: target.path.clone(),
        headers: headers.collect(),
        body: Bytes::from(body),
        file: None,
        inside: Inside {
            consumer: target.consumer.as_deref().map(Into::into),
            background: true,
            ..Inside::default()
        },
        request_id: Some(format!("{}-{}", parcel.key, parcel.number)),
    };
    let asked = means.process.ask(request).map_err(failure)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let answered = runtime.block_on(async {
        let asking = async {
            let mut answer = asked.await?;
            let _ = answer.collect(ANSWER_BYTES_MAX).await;
            Ok::<_, InsideError>(answer)
        };
        in_time(letter, asking).await
    });
    let answer = answered.ok_or("it took too long")?.map_err(failure)?;
    let after = answer
        .header("retry-after")
        .and_then(|text| std::str::from_utf8(text).ok());
    status(answer.status, after)
}

/// What something answers in the time of an attempt, and before its term is over, which may be put off
/// meanwhile.
async fn in_time<T>(letter: &Letter<'_>, asking: impl Future<Output = T>) -> Option<T> {
    let until = Instant::now() + letter.timeout;
    let mut asking = pin!(asking);
    loop {
        let term = letter.parcel.term.as_ref().map(Term::end);
        let end = term.map_or(until, |term| term.min(until));
        if end <= Instant::now() {
            return None;
        }
        if let Ok(done) = tokio::time::timeout_at(end.into(), &mut asking).await {
            return Some(done);
        }
    }
}

fn failure(error: InsideError) -> Failure {
    match error {
        InsideError::Malformed(_) => Failure::Never(error.to_string()),
        _ => Failure::Later(error.to_string(), None),
    }
}
