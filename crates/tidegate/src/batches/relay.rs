//! A batch is handed to the provider's own batch API, which is cheaper, and its results are fetched.
//!
//! Everything goes through the gateway itself, as the batch's owner and by way of the header that names
//! the provider: the requests with the provider's name of the model, the batch, looks at it, its
//! results. What it cost is settled, at prices for batches and once, by the exchange that sees the
//! provider's batch end (OpenAI's) or reads its results to their end (Anthropic's). What the provider
//! did not run is run here.
//!
//! A batch is found again whose making a kill has cut off: OpenAI's carries our id in its metadata.
//! Anthropic's carries none, but its requests have ids of ours, which its results show: one of as many
//! requests that was made since is waited for, and where its results are somebody else's, ours are run
//! here.

mod anthropic;
mod openai;
mod translated;

pub(super) use anthropic::with_id;

use super::provider::{Sent, Stop, given_up};
use super::theirs::{Coming, Head};
use super::{Batch, Halt};
use gate_ai::batch::{ANTHROPIC_BYTES_MAX, Api, BatchState, LINE_MAX, Line, Lines};
use gate_proxy::batches::{Relayed, batch_provider};
use serde_json::Value;
use std::collections::HashMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Largest file that OpenAI takes for a batch, in bytes
/// (<https://platform.openai.com/docs/guides/batch>).
const FILE_MAX: u64 = 200_000_000;
/// Shortest and longest time between two looks; it is a twentieth of the time that has passed.
const LOOKS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// How long a provider may take to cancel.
const CANCEL: Duration = Duration::from_secs(600);

/// What a look at a provider's batch has shown.
struct Look {
    is_over: bool,
    succeeded: u64,
    failed: u64,
}

impl Batch<'_> {
    /// Has the provider run what it can, where it may; what is left is run here.
    pub(super) async fn relay(&mut self) -> Result<(), Halt> {
        if self.data.relayed.is_none() {
            let fits = self.state() == BatchState::InProgress && !self.is_ours()?;
            if !fits || !self.runner.desk.settings().relay {
                return Ok(());
            }
            self.data.relayed = match self.relayable().await {
                Ok(relayed) => relayed,
                Err(Stop::Halt(halt)) => return Err(halt),
                Err(Stop::GivenUp(_)) => None,
            };
            if self.data.relayed.is_none() {
                return Ok(());
            }
        }
        if self.relayed().is_over {
            return Ok(());
        }
        match self.at_provider().await {
            Ok(()) => {}
            Err(Stop::Halt(halt)) => return Err(halt),
            Err(Stop::GivenUp(why)) => {
                let (batch, provider) = (&self.row.id, self.relayed().provider);
                tracing::warn!(
                    batch,
                    provider,
                    why,
                    "the provider does not run a batch; it is run here"
                );
            }
        }
        // Where it has answered nothing, all of it is left.
        if self.relayed().counts == Default::default() && self.relayed().left == 0 {
            let coming = self.coming().await?;
            self.arranged(coming).await?;
        }
        if let Some(relayed) = &mut self.data.relayed {
            relayed.is_over = true;
        }
        self.save(None).await
    }

    /// Puts what the provider answered in order.
    async fn arranged(&mut self, coming: Coming) -> Result<(), Halt> {
        let (counts, left) = self.arrange(coming).await?;
        if let Some(relayed) = &mut self.data.relayed {
            (relayed.counts, relayed.left) = (counts, left);
        }
        Ok(())
    }

    pub(super) fn relayed(&self) -> Relayed {
        self.data.relayed.clone().unwrap_or_default()
    }

    /// Which provider could run it: that of its one model, where the owner may use that and it has no
    /// other target.
    async fn relayable(&self) -> Result<Option<Relayed>, Stop> {
        let Some(model) = self.data.model.clone() else {
            return Ok(None);
        };
        let process = &self.runner.process;
        let own = batch_provider(process, self.api, &model).map(|found| (found, false));
        let translated = || {
            let found = batch_provider(process, other(self.api), &model);
            found
                .filter(|_| self.told_in().is_some())
                .map(|found| (found, true))
        };
        let Some((found, translated)) = own.or_else(translated) else {
            return Ok(None);
        };
        let id = self.row.id.clone();
        let bytes = self.ask(move |shelf| {
            let path = shelf.batch_path(&id, "requests");
            Ok(std::fs::metadata(path)?.len())
        });
        if bytes.await? > self.sent_max()
            || model.contains(|c: char| !c.is_ascii_graphic() || c == '%')
        {
            return Ok(None);
        }
        let path = format!("/v1/models/{model}");
        let known = self.call("GET", &path, Sent::Nothing, None).await?;
        Ok((known.status == 200).then(|| Relayed {
            provider: found.provider,
            model: found.model,
            translated,
            ..Relayed::default()
        }))
    }

    /// Whose API its provider has.
    fn their_api(&self) -> Api {
        match self.relayed().translated {
            true => other(self.api),
            false => self.api,
        }
    }

    /// Most bytes that its provider takes.
    fn sent_max(&self) -> u64 {
        match self.their_api() {
            Api::OpenAi => FILE_MAX,
            Api::Anthropic => ANTHROPIC_BYTES_MAX,
        }
    }

    /// Begins the file that is handed to the provider; it goes with the batch's work.
    async fn sending(&self) -> Result<(PathBuf, BufWriter<File>), Halt> {
        let id = self.row.id.clone();
        let path = self
            .ask(move |shelf| Ok(shelf.batch_path(&id, "sent")))
            .await?;
        let file = BufWriter::new(File::create(&path)?);
        Ok((path, file))
    }

    /// The file once all of it is written; it may have become too large with the provider's words.
    fn sent(&self, kind: String, (path, file): (PathBuf, BufWriter<File>)) -> Result<Sent, Stop> {
        let file = file
            .into_inner()
            .map_err(|error| Halt::from(error.into_error()))?;
        match file.metadata().map_err(Halt::from)?.len() > self.sent_max() {
            true => given_up("it is larger than the provider takes"),
            false => Ok(Sent::File(kind, path)),
        }
    }

    async fn at_provider(&mut self) -> Result<(), Stop> {
        if self.relayed().batch.is_none() {
            let batch = match self.their_api() {
                Api::OpenAi => self.begin_openai().await?,
                Api::Anthropic => self.begin_anthropic().await?,
            };
            if let Some(relayed) = &mut self.data.relayed {
                relayed.batch = Some(batch);
            }
            self.save(None).await?;
        }
        let over = self.wait().await?;
        self.fetch(&over).await
    }

    /// Looks at the provider's batch until it is over. It is cancelled where ours is, or has no time
    /// left.
    async fn wait(&mut self) -> Result<Value, Stop> {
        let batches = match self.their_api() {
            Api::OpenAi => "/v1/batches",
            Api::Anthropic => anthropic::BATCHES,
        };
        let path = format!("{batches}/{}", self.relayed().batch.unwrap_or_default());
        let began = Instant::now();
        let mut cancelled: Option<Instant> = None;
        loop {
            let seen = self.json("GET", &path, Sent::Nothing).await?;
            if let Some(seen) = seen {
                let look = match self.their_api() {
                    Api::OpenAi => openai::look(&seen),
                    Api::Anthropic => anthropic::look(&seen),
                };
                if look.is_over {
                    return Ok(seen);
                }
                let counts = &mut self.data.counts;
                (counts.succeeded, counts.failed) = (look.succeeded, look.failed);
            }
            self.save(None).await?;
            let now = self.now_ms().await?;
            let stops = self.state() == BatchState::Cancelling || now >= self.data.times.expires;
            match cancelled {
                None if stops => {
                    self.json("POST", &format!("{path}/cancel"), Sent::Nothing)
                        .await?;
                    cancelled = Some(Instant::now());
                }
                Some(at) if at.elapsed() > CANCEL => {
                    return given_up("it does not end after it was cancelled");
                }
                _ => {}
            }
            sleep((began.elapsed() / 20).clamp(LOOKS.0, LOOKS.1)).await;
        }
    }

    /// Puts the provider's results down as ours. Those of requests that it did not run are none.
    async fn fetch(&mut self, over: &Value) -> Result<(), Stop> {
        let mut coming = self.coming().await?;
        let (paths, ids) = match self.their_api() {
            Api::OpenAi => (openai::results(over), self.ids().await?),
            Api::Anthropic => {
                let batch = self.relayed().batch.unwrap_or_default();
                let path = format!("{}/{batch}/results", anthropic::BATCHES);
                (vec![path], HashMap::new())
            }
        };
        for path in paths {
            let mut answer = self.call("GET", &path, Sent::Nothing, None).await?;
            if answer.status != 200 {
                return given_up(format!("its results are answered with {}", answer.status));
            }
            let mut lines = Lines::new(LINE_MAX);
            let mut all = Vec::new();
            while let Some(piece) = answer.piece().await {
                let piece = piece.or_else(|error| given_up(error.to_string()))?;
                lines.push(&piece, |_, line| all.extend(self.result(line, &ids)));
                put(&mut coming, &mut all)?;
            }
            lines.finish(|_, line| all.extend(self.result(line, &ids)));
            put(&mut coming, &mut all)?;
        }
        self.arranged(coming).await?;
        self.paid().await;
        self.data.counts.succeeded = self.relayed().counts.succeeded;
        self.data.counts.failed = self.relayed().counts.failed;
        Ok(())
    }

    /// A line of the provider's results; none where that request was not run.
    fn result(&self, line: Line<'_>, ids: &HashMap<String, u32>) -> Option<(Head, Vec<u8>)> {
        let Line::Whole(line) = line else { return None };
        match self.their_api() {
            Api::OpenAi => {
                let found = openai::result(line, ids, self.their_endpoint())?;
                match self.relayed().translated {
                    true => self.retold_message(found),
                    false => Some(found),
                }
            }
            Api::Anthropic => {
                let found = anthropic::result(line, &self.row.id, self.data.counts.total)?;
                match self.relayed().translated {
                    true => self.retold(found),
                    false => Some(found),
                }
            }
        }
    }

    /// Waits until the ledger has written what the batch cost.
    async fn paid(&self) {
        if let Some(books) = &self.runner.process.shared().books {
            let mark = books.mark();
            while books.written() < mark {
                sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

/// The API that is not this one.
const fn other(api: Api) -> Api {
    match api {
        Api::OpenAi => Api::Anthropic,
        Api::Anthropic => Api::OpenAi,
    }
}

fn put(coming: &mut Coming, all: &mut Vec<(Head, Vec<u8>)>) -> Result<(), Halt> {
    for (head, line) in all.drain(..) {
        coming.push(head, &line)?;
    }
    Ok(())
}
