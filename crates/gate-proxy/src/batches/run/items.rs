//! The requests of a batch are asked of the gateway itself, as its owner.
//!
//! The file is read line by line, as far as there is room for more requests; results come back in the
//! order in which they end, and count once the ledger has written what they cost. How one is asked is in
//! `one`.

use super::log::{Done, Kind, Log};
use super::settling::Settling;
use super::source::Source;
use super::{Batch, Halt};
use crate::inside::InsideRequest;
use bytes::Bytes;
use gate_ai::batch::result::{self, Ended};
use gate_ai::batch::shape::Consumed;
use gate_ai::batch::{Api, BatchState, anthropic_line, openai_line};
use gate_flow::Inside;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep};

/// How often it is looked whether the owner has cancelled the batch, and told how far it is.
const LOOK: Duration = Duration::from_secs(1);
/// How long requests under way are waited for once the batch's time is over.
const OVERTIME: Duration = Duration::from_secs(30);

/// How often it is looked whether the ledger has written what results cost.
const SETTLE: Duration = Duration::from_millis(3);

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
pub(super) struct Item {
    pub(super) index: u32,
    pub(super) id: String,
    pub(super) custom_id: String,
    /// The request, or why there is none.
    pub(super) body: Result<Bytes, String>,
}

/// What all requests of a batch have in common.
pub(super) struct Common {
    pub(super) batch: String,
    pub(super) api: Api,
    pub(super) endpoint: String,
    pub(super) request: InsideRequest,
    pub(super) expires: Instant,
}

impl Batch<'_> {
    /// Asks what has not been asked, until the end, the time's end, or a cancellation. Says what
    /// becomes of the rest.
    pub(super) async fn items(&mut self) -> Result<Rest, Halt> {
        let mut log = self.log().await?;
        let now = self.now_ms().await?;
        let left = u64::try_from(self.data.times.expires.saturating_sub(now)).unwrap_or(0);
        let expires = Instant::now() + Duration::from_millis(left);
        let rest = self.drive(&mut log, expires).await?;
        log.sync()?;
        (self.data.counts, self.data.consumed) = log.sums();
        if rest != Rest::None {
            self.close(&mut log, rest).await?;
        }
        Ok(rest)
    }

    async fn drive(&mut self, log: &mut Log, expires: Instant) -> Result<Rest, Halt> {
        let common = Arc::new(self.common(expires));
        let mut source = self.source().await?;
        let (sender, mut results) = mpsc::channel::<Option<Done>>(self.runner.at_once.max(1));
        let mut settling = Settling::of(&self.runner.process);
        let (mut under_way, mut looked) = (0_usize, Instant::now());
        let (mut next, mut over, mut ending) = (None, false, false);
        // Kept while other things happen, so that batches take turns.
        let mut turn = None;
        loop {
            let rest = self.rest(expires);
            let goes_on = rest == Rest::None && !ending;
            if next.is_none() && goes_on && !over {
                next = self.next(&mut source, log)?;
                over = next.is_none();
            }
            log.append(&settling.take())?;
            let late = rest == Rest::Expired && Instant::now() >= expires + OVERTIME;
            if settling.is_empty() && (late || under_way == 0 && (over || !goes_on)) {
                let is_all = over && next.is_none() && under_way == 0;
                return match rest {
                    _ if ending => Err(Halt::Ending),
                    // The last answer came with the end of the time.
                    Rest::Expired if is_all => Ok(Rest::None),
                    rest => Ok(rest),
                };
            }
            let asks = next.is_some() && goes_on && settling.has_room();
            if !asks {
                turn = None;
            } else if turn.is_none() {
                turn = Some(Box::pin(self.runner.permits.clone().acquire_owned()));
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
                    let item = permit.zip(next.take()).ok_or(Halt::Ending)?;
                    under_way += 1;
                    self.begin(&common, &sender, item);
                }
                () = sleep(SETTLE), if !settling.is_empty() => {}
                () = sleep(LOOK) => {}
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                self.tell(log).await?;
            }
        }
    }

    /// What becomes, as it is now, of requests that are not asked.
    fn rest(&self, expires: Instant) -> Rest {
        match self.state() {
            BatchState::Cancelling => Rest::Cancelled,
            _ if Instant::now() >= expires => Rest::Expired,
            _ => Rest::None,
        }
    }

    /// Begins to ask a request.
    fn begin(
        &self,
        common: &Arc<Common>,
        sender: &mpsc::Sender<Option<Done>>,
        (permit, item): (OwnedSemaphorePermit, Item),
    ) {
        let (runner, common, sender) = (self.runner.clone(), common.clone(), sender.clone());
        tokio::task::spawn_local(async move {
            let ended = runner.one(&common, item, permit).await;
            // The batch halts where nobody hears it.
            let _ = sender.send(ended).await;
        });
    }

    /// Tells how far it is, and hears whether its owner has cancelled it.
    async fn tell(&mut self, log: &Log) -> Result<(), Halt> {
        let sums = log.sums();
        if sums == (self.data.counts, self.data.consumed) {
            return self.look().await;
        }
        (self.data.counts, self.data.consumed) = sums;
        self.save(None).await
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
