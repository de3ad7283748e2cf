//! The requests of a batch are asked of the gateway itself, as its owner.
//!
//! The file is read line by line, as far as there is room for more requests; results come back in the
//! order in which they end, and count once the ledger has written what they cost. What passes by itself
//! (a limit of the key, a provider that has too much to do) is asked again, later; what does not is the
//! request's result.

use super::log::{Done, Kind, Log};
use super::settling::Settling;
use super::source::Source;
use super::{Batch, Halt, Runner};
use crate::inside::{InsideError, InsideRequest};
use bytes::Bytes;
use gate_ai::batch::result::{self, Ended};
use gate_ai::batch::shape::Consumed;
use gate_ai::batch::{Api, BatchState, anthropic_line, openai_line};
use gate_flow::{Inside, Kept};
use gate_store::ledger::ExchangeId;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

/// Longest answer, in bytes.
const ANSWER_MAX: usize = 16 * 1024 * 1024;
/// How long a try may take.
const TRY: Duration = Duration::from_secs(600);
/// Tries of a request; the pauses between them grow from a second to a minute.
const TRIES: u32 = 6;
/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How often it is looked whether the owner has cancelled the batch, and told how far it is.
const LOOK: Duration = Duration::from_secs(1);
/// How long requests under way are waited for once the batch's time is over.
const OVERTIME: Duration = Duration::from_secs(30);

/// How often it is looked whether the ledger has written what results cost.
const SETTLE: Duration = Duration::from_millis(3);
/// How long the end of an exchange's record is waited for, behind its answer.
const CLOSED: Duration = Duration::from_secs(60);

/// What becomes of the requests that were not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// There are none.
    None,
    /// The batch was cancelled.
    Cancelled,
    /// Its time is over.
    Expired,
}

/// A request that is ready to be asked.
struct Item {
    index: u32,
    id: String,
    custom_id: String,
    /// The request, or why there is none.
    body: Result<Bytes, String>,
}

/// What all requests of a batch have in common.
struct Common {
    batch: String,
    api: Api,
    endpoint: String,
    request: InsideRequest,
    expires: Instant,
}

impl Batch<'_> {
    /// Asks what has not been asked, until the end, the time's end, or a cancellation. Says what
    /// becomes of the rest.
    pub(super) async fn items(&mut self) -> Result<Rest, Halt> {
        let mut log = self.log().await?;
        let now = self.now_ms().await?;
        let left = u64::try_from(self.data.times.expires.saturating_sub(now)).unwrap_or(0);
        let expires = Instant::now() + Duration::from_millis(left);
        let common = Arc::new(self.common(expires));
        let mut source = self.source().await?;
        let (sender, mut results) = mpsc::channel::<Option<Done>>(self.runner.at_once.max(1));
        let mut settling = Settling::of(&self.runner.process);
        let mut under_way = 0_usize;
        let mut looked = Instant::now();
        let mut rest = match self.state() {
            BatchState::Cancelling => Rest::Cancelled,
            _ => Rest::None,
        };
        let (mut next, mut over, mut ending) = (None, false, false);
        // Kept while other things happen, so that batches take turns.
        let mut turn = None;
        loop {
            if rest == Rest::None && Instant::now() >= expires {
                rest = Rest::Expired;
            }
            let goes_on = rest == Rest::None && !ending;
            if next.is_none() && goes_on && !over {
                next = self.next(&mut source, &log)?;
                over = next.is_none();
            }
            log.append(&settling.take())?;
            let late = rest == Rest::Expired && Instant::now() >= expires + OVERTIME;
            if settling.is_empty() && (late || under_way == 0 && (over || !goes_on)) {
                break;
            }
            let asks = next.is_some() && goes_on && settling.has_room();
            match asks {
                true if turn.is_none() => {
                    turn = Some(Box::pin(self.runner.permits.clone().acquire_owned()));
                }
                true => {}
                false => turn = None,
            }
            tokio::select! {
                biased;
                Some(ended) = results.recv(), if under_way > 0 => {
                    under_way -= 1;
                    match ended {
                        Some(ended) => settling.push(ended),
                        None => ending = true,
                    }
                }
                permit = async { turn.as_mut()?.await.ok() }, if asks => {
                    turn = None;
                    let (Some(permit), Some(item)) = (permit, next.take()) else {
                        return Err(Halt::Ending);
                    };
                    under_way += 1;
                    let (runner, common) = (self.runner.clone(), common.clone());
                    let sender = sender.clone();
                    tokio::task::spawn_local(async move {
                        let ended = runner.one(&common, item, permit).await;
                        // The batch halts where nobody hears it.
                        let _ = sender.send(ended).await;
                    });
                }
                () = sleep(SETTLE), if !settling.is_empty() => {}
                () = sleep(LOOK) => {}
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                let sums = log.sums();
                match sums == (self.data.counts, self.data.consumed) {
                    true => self.look().await?,
                    false => {
                        (self.data.counts, self.data.consumed) = sums;
                        self.save(None).await?;
                    }
                }
                if self.state() == BatchState::Cancelling {
                    rest = Rest::Cancelled;
                }
            }
        }
        if ending {
            return Err(Halt::Ending);
        }
        log.sync()?;
        (self.data.counts, self.data.consumed) = log.sums();
        if rest != Rest::None {
            self.close(&mut log, rest).await?;
        }
        Ok(rest)
    }

    /// What of it has been done.
    pub(super) async fn log(&self) -> Result<Log, Halt> {
        let (id, total) = (self.row.id.clone(), self.data.counts.total);
        self.ask(move |shelf| {
            let (results, done) = (
                shelf.batch_path(&id, "results"),
                shelf.batch_path(&id, "done"),
            );
            Log::open(&results, &done, total)
        })
        .await
    }

    /// The lines of its file.
    pub(super) async fn source(&self) -> Result<Source, Halt> {
        let id = self.row.id.clone();
        let path = self
            .ask(move |shelf| Ok(shelf.batch_path(&id, "requests")))
            .await?;
        Ok(Source::over(File::open(path)?))
    }

    fn common(&self, expires: Instant) -> Common {
        let (place, owner) = (&self.data.place, &self.data.owner);
        let mut headers = vec![("content-type".to_owned(), b"application/json".to_vec())];
        let fields = place.fields.iter();
        headers.extend(fields.map(|(name, value)| (name.clone(), value.clone().into_bytes())));
        Common {
            batch: self.row.id.clone(),
            api: self.api,
            endpoint: self.data.endpoint.clone(),
            request: InsideRequest {
                listener: place.listener.clone(),
                method: "POST".to_owned(),
                authority: place.authority.clone(),
                target: self.data.endpoint.clone(),
                headers,
                inside: Inside {
                    consumer: owner.consumer.as_deref().map(Arc::from),
                    key: owner.key.as_deref().map(Arc::from),
                    background: true,
                    ..Inside::default()
                },
                ..InsideRequest::default()
            },
            expires,
        }
    }

    /// The next request that has not been asked.
    fn next(&self, source: &mut Source, log: &Log) -> Result<Option<Item>, Halt> {
        while let Some((index, line)) = source.next()? {
            if !log.has(index) {
                return Ok(Some(self.item(index, &line)));
            }
        }
        Ok(None)
    }

    fn item(&self, index: u32, line: &[u8]) -> Item {
        let read = match self.api {
            Api::OpenAi => openai_line(line, &self.data.endpoint)
                .map(|one| (one.custom_id.into_owned(), one.body, one.streams)),
            Api::Anthropic => anthropic_line(line)
                .map(|one| (one.custom_id.into_owned(), one.params, one.streams)),
        };
        let (custom_id, body) = match read {
            Ok((id, _, true)) => (id, Err("A batch cannot answer with a stream.".to_owned())),
            Ok((id, body, false)) => (id, Ok(Bytes::copy_from_slice(body.as_bytes()))),
            // The file was checked before.
            Err(error) => (String::new(), Err(error.to_string())),
        };
        Item {
            index,
            id: self.request_id(index),
            custom_id,
            body,
        }
    }

    /// What a request is known by, the same at every try.
    fn request_id(&self, index: u32) -> String {
        let (_, bits) = self.row.id.rsplit_once('_').unwrap_or_default();
        format!("batch_req_{bits}{index:08x}")
    }

    /// Writes down what became of the requests that were not asked.
    async fn close(&mut self, log: &mut Log, rest: Rest) -> Result<(), Halt> {
        let (kind, ended) = match rest {
            Rest::Cancelled => (Kind::Cancelled, Ended::Cancelled),
            _ => (Kind::Expired, Ended::Expired),
        };
        let mut source = self.source().await?;
        let mut all: Vec<Done> = Vec::new();
        while let Some(item) = self.next(&mut source, log)? {
            let mut line = Vec::new();
            result::write(self.api, &item.id, &item.custom_id, &ended, &mut line);
            all.push((item.index, kind, Consumed::default(), line));
            if all.len() >= 1_000 {
                log.append(&all)?;
                all.clear();
                tokio::task::yield_now().await;
            }
        }
        log.append(&all)?;
        log.sync()?;
        (self.data.counts, self.data.consumed) = log.sums();
        Ok(())
    }
}

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
    async fn one(&self, common: &Common, item: Item, permit: OwnedSemaphorePermit) -> Option<Done> {
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
