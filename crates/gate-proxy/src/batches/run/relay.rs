//! A batch is handed to the provider's own batch API, which is cheaper, and its results are fetched.
//!
//! Everything goes through the gateway itself, as the batch's owner and by way of the header that names
//! the provider: the file with the provider's name of the model in each line, the batch, looks at it,
//! its results. What it cost is settled, at prices for batches and once, by the exchange that sees the
//! provider's batch end. What the provider did not run is run here. The batch carries our id in its
//! metadata, by which one is found again whose making a kill has cut off.

use super::log::{Done, Kind};
use super::provider::{Stop, given_up};
use super::{Batch, Halt};
use crate::batches::Relayed;
use bytes::Bytes;
use gate_ai::batch::result::consumed;
use gate_ai::batch::shape::Consumed;
use gate_ai::batch::{Api, BatchState, LINE_MAX, Line, Lines, compact, openai_line};
use gate_kit::random;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Largest file that is handed on, in bytes; it is sent in one piece.
const FILE_MAX: u64 = 64 * 1024 * 1024;
/// Shortest and longest time between two looks; it is a twentieth of the time that has passed.
const LOOKS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// How long a provider may take to cancel.
const CANCEL: Duration = Duration::from_secs(600);
/// The member of a provider's batch that holds our id.
const NOTE: &str = "tidegate_batch";

impl Batch<'_> {
    /// Has the provider run what it can, where it may; what is left is run here.
    pub(super) async fn relay(&mut self) -> Result<(), Halt> {
        let fits = self.api == Api::OpenAi && self.state() == BatchState::InProgress;
        if self.data.relayed.is_none() {
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
        if let Some(relayed) = &mut self.data.relayed {
            relayed.is_over = true;
        }
        self.save(None).await
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
        let models = self.runner.process.shared().models.load();
        let Some((provider, name)) = models.batch_provider(&model) else {
            return Ok(None);
        };
        let id = self.row.id.clone();
        let bytes = self.ask(move |shelf| {
            let path = shelf.batch_path(&id, "requests");
            Ok(std::fs::metadata(path)?.len())
        });
        if bytes.await? > FILE_MAX || model.contains(|c: char| !c.is_ascii_graphic() || c == '%') {
            return Ok(None);
        }
        let path = format!("/v1/models/{model}");
        let known = self.call("GET", &path, None, Bytes::new(), None).await?;
        Ok((known.status == 200).then(|| Relayed {
            provider,
            model: name,
            ..Relayed::default()
        }))
    }

    async fn at_provider(&mut self) -> Result<(), Stop> {
        if self.relayed().file.is_none() {
            let (kind, body) = self.form().await?;
            let made = self.insist("POST", "/v1/files", Some(&kind), body).await?;
            let Some(file) = made["id"].as_str() else {
                return given_up("its answer to the file has no id");
            };
            if let Some(relayed) = &mut self.data.relayed {
                relayed.file = Some(file.to_owned());
            }
            self.save(None).await?;
        }
        if self.relayed().batch.is_none() {
            let batch = match self.found().await? {
                Some(batch) => batch,
                None => self.made().await?,
            };
            if let Some(relayed) = &mut self.data.relayed {
                relayed.batch = Some(batch);
            }
            self.save(None).await?;
        }
        let over = self.wait().await?;
        self.fetch(&over).await
    }

    /// The provider's batch that was made for this one before a kill.
    async fn found(&self) -> Result<Option<String>, Stop> {
        let listed = self
            .insist("GET", "/v1/batches?limit=100", None, Bytes::new())
            .await?;
        let all = listed["data"].as_array().into_iter().flatten();
        let mut own = all.filter(|one| one["metadata"][NOTE] == *self.row.id);
        Ok(own
            .next()
            .and_then(|one| one["id"].as_str())
            .map(str::to_owned))
    }

    async fn made(&self) -> Result<String, Stop> {
        let wish = json!({
            "input_file_id": self.relayed().file, "endpoint": self.data.endpoint,
            "completion_window": "24h", "metadata": { NOTE: self.row.id },
        });
        let body = Bytes::from(wish.to_string());
        let made = self
            .insist("POST", "/v1/batches", Some("application/json"), body)
            .await?;
        match made["id"].as_str() {
            Some(id) => Ok(id.to_owned()),
            None => given_up("its answer to the batch has no id"),
        }
    }

    /// Looks at the provider's batch until it is over. It is cancelled where ours is, or has no time
    /// left.
    async fn wait(&mut self) -> Result<Value, Stop> {
        let path = format!("/v1/batches/{}", self.relayed().batch.unwrap_or_default());
        let began = Instant::now();
        let mut cancelled: Option<Instant> = None;
        loop {
            let seen = self.json("GET", &path, None, Bytes::new()).await?;
            if let Some(seen) = seen {
                let status = seen["status"].as_str().and_then(BatchState::named);
                if status.is_some_and(BatchState::is_over) {
                    return Ok(seen);
                }
                let count = |name: &str| seen["request_counts"][name].as_u64().unwrap_or(0);
                let counts = &mut self.data.counts;
                (counts.succeeded, counts.failed) = (count("completed"), count("failed"));
            }
            self.save(None).await?;
            let now = self.now_ms().await?;
            let stops = self.state() == BatchState::Cancelling || now >= self.data.times.expires;
            match cancelled {
                None if stops => {
                    self.json("POST", &format!("{path}/cancel"), None, Bytes::new())
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

    /// Writes the provider's results down as ours. Those of requests that it did not run are none.
    async fn fetch(&mut self, over: &Value) -> Result<(), Stop> {
        let mut log = self.log().await?;
        let ids = self.ids().await?;
        for name in ["output_file_id", "error_file_id"] {
            let Some(file) = over[name].as_str() else {
                continue;
            };
            let path = format!("/v1/files/{file}/content");
            let mut answer = self.call("GET", &path, None, Bytes::new(), None).await?;
            if answer.status != 200 {
                return given_up(format!("its results are answered with {}", answer.status));
            }
            let mut lines = Lines::new(LINE_MAX);
            let mut all = Vec::new();
            while let Some(piece) = answer.piece().await {
                let piece = piece.or_else(|error| given_up(error.to_string()))?;
                lines.push(&piece, |_, line| all.extend(self.result(line, &ids)));
                log.append(&all).map_err(Halt::from)?;
                all.clear();
            }
            lines.finish(|_, line| all.extend(self.result(line, &ids)));
            log.append(&all).map_err(Halt::from)?;
        }
        log.sync().map_err(Halt::from)?;
        self.paid().await;
        (self.data.counts, self.data.consumed) = log.sums();
        Ok(())
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

    /// The numbers of the requests, by what their owner knows them by.
    async fn ids(&self) -> Result<HashMap<String, u32>, Halt> {
        let mut source = self.source().await?;
        let mut ids = HashMap::new();
        while let Some((index, line)) = source.next()? {
            if let Ok(one) = openai_line(&line, &self.data.endpoint) {
                ids.insert(one.custom_id.into_owned(), index);
            }
        }
        Ok(ids)
    }

    /// A line of the provider's results.
    fn result(&self, line: Line<'_>, ids: &HashMap<String, u32>) -> Option<Done> {
        let Line::Whole(line) = line else { return None };
        let value: Value = serde_json::from_slice(line).ok()?;
        let index = *ids.get(value["custom_id"].as_str()?)?;
        let status = value["response"]["status_code"].as_u64();
        // One that it did not run has no answer, and is run here while there is time.
        let is_good = (200..300).contains(&status?);
        let body = value["response"]["body"].to_string();
        let (kind, consumed) = match is_good {
            true => (
                Kind::Succeeded,
                consumed(&self.data.endpoint, body.as_bytes()),
            ),
            false => (Kind::Failed, Consumed::default()),
        };
        let mut own = Vec::with_capacity(line.len() + 1);
        compact(line, &mut own);
        own.push(b'\n');
        Some((index, kind, consumed, own))
    }

    /// The form with the file for the provider: each line names the provider's model.
    async fn form(&self) -> Result<(String, Bytes), Stop> {
        let boundary = format!("tidegate{:016x}", random::bits());
        let mut form = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
             --{boundary}\r\ncontent-disposition: form-data; name=\"file\"; \
             filename=\"{}.jsonl\"\r\ncontent-type: application/jsonl\r\n\r\n",
            self.row.id
        )
        .into_bytes();
        let model = self.relayed().model;
        let mut source = self.source().await?;
        while let Some((_, line)) = source.next()? {
            let mut value: Value = match serde_json::from_slice(&line) {
                Ok(value) => value,
                Err(error) => return given_up(error.to_string()),
            };
            value["body"]["model"] = json!(model);
            form.extend_from_slice(value.to_string().as_bytes());
            form.push(b'\n');
            tokio::task::consume_budget().await;
        }
        form.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={boundary}");
        Ok((kind, form.into()))
    }
}
