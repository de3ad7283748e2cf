//! One request of a batch, asked until it has ended.
//!
//! What passes by itself (a limit of the key, a provider that has too much to do) is asked again, later;
//! what does not is the request's result.

use super::Runner;
use super::items::{Common, Item};
use super::log::{Done, Kind};
use crate::inside::{InsideError, InsideRequest};
use bytes::Bytes;
use gate_ai::batch::result::{self, Ended};
use gate_ai::batch::shape::Consumed;
use gate_flow::Kept;
use gate_store::ledger::ExchangeId;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::{Instant, sleep, timeout};

/// Longest answer, in bytes.
const ANSWER_MAX: usize = 16 * 1024 * 1024;
/// How long a try may take.
const TRY: Duration = Duration::from_secs(600);
/// Tries of a request; the pauses between them grow from a second to a minute.
const TRIES: u32 = 6;
/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long the end of an exchange's record is waited for, behind its answer.
const CLOSED: Duration = Duration::from_secs(60);

/// How a try ended.
enum Try {
    Answered {
        status: u16,
        body: Vec<u8>,
        request: String,
        after: Option<Duration>,
    },
    /// There was no room, or no answer.
    Nothing(String),
    /// The process is about to end.
    Ending,
}

impl Runner {
    /// Asks one request until it has ended; none where the process ends before.
    pub(super) async fn one(
        &self,
        common: &Common,
        item: Item,
        permit: OwnedSemaphorePermit,
    ) -> Option<Done> {
        let _permit = permit;
        let mut line = Vec::new();
        let mut write = |ended: &Ended<'_>| {
            result::write(common.api, &item.id, &item.custom_id, ended, &mut line);
        };
        let body = match &item.body {
            Ok(body) => body,
            Err(message) => {
                write(&Ended::Refused { message });
                return Some((item.index, Kind::Failed, Consumed::default(), line));
            }
        };
        let mut pause = Duration::from_secs(1);
        for tried in 1.. {
            let last = tried >= TRIES || Instant::now() + pause >= common.expires;
            match self.attempt(common, &item, body, tried - 1).await {
                Try::Ending => return None,
                Try::Answered {
                    status,
                    body,
                    request,
                    after,
                } => {
                    let ended = Ended::Answered {
                        status,
                        body: &body,
                        request: &request,
                    };
                    if last || !passes(status) {
                        write(&ended);
                        let (kind, consumed) = match ended.is_success() {
                            true => (Kind::Succeeded, result::consumed(&common.endpoint, &body)),
                            false => (Kind::Failed, Consumed::default()),
                        };
                        return Some((item.index, kind, consumed, line));
                    }
                    pause = pause.max(after.unwrap_or_default()).min(PAUSE_MAX);
                }
                Try::Nothing(why) if last => {
                    let message = format!("The request was not answered: {why}.");
                    write(&Ended::Refused { message: &message });
                    return Some((item.index, Kind::Failed, Consumed::default(), line));
                }
                Try::Nothing(_) => {}
            }
            sleep(pause).await;
            pause = (2 * pause).min(PAUSE_MAX);
        }
        None
    }

    /// Asks once. The exchange's record is closed when this returns, and what it cost is on its way to
    /// the ledger, under an id that is the same after a kill.
    async fn attempt(&self, common: &Common, item: &Item, body: &Bytes, tried: u32) -> Try {
        let (kept, closed) = oneshot::channel::<()>();
        let mut request = InsideRequest {
            body: body.clone(),
            request_id: Some(item.id.clone()),
            ..common.request.clone()
        };
        request.inside.charged_as = Some(ExchangeId::item(&common.batch, item.index, tried));
        request.inside.kept = Kept::new(kept);
        let asking = async move {
            let mut answer = loop {
                match self.process.ask(request.clone()) {
                    Ok(asked) => break asked.await?,
                    Err(InsideError::Busy) => sleep(Duration::from_millis(50)).await,
                    Err(error) => return Err(error),
                }
            };
            let text = |name: &str| {
                let value = answer.header(name).unwrap_or_default();
                String::from_utf8_lossy(value).into_owned()
            };
            let after = text("retry-after").parse().ok().map(Duration::from_secs);
            let request = match text("x-request-id") {
                none if none.is_empty() => item.id.clone(),
                id => id,
            };
            let status = answer.status;
            let body = answer.collect(ANSWER_MAX).await?;
            Ok(Try::Answered {
                status,
                body,
                request,
                after,
            })
        };
        let answered = timeout(TRY, asking).await;
        // Whoever holds the other end drops it with the exchange.
        if timeout(CLOSED, closed).await.is_err() {
            tracing::warn!(
                request = item.id,
                "the exchange of a batch's request does not end"
            );
        }
        match answered {
            Ok(Ok(answered)) => answered,
            Ok(Err(_)) if self.process.shared().is_draining() => Try::Ending,
            Ok(Err(error)) => Try::Nothing(error.to_string()),
            Err(_) => Try::Nothing("it took too long".to_owned()),
        }
    }
}

/// Whether an answer of this status may be another one later.
const fn passes(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504 | 529)
}
