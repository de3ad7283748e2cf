//! OpenAI's batch API: a file of requests, a batch over it, files of results
//! (<https://platform.openai.com/docs/api-reference/batch>).

use super::super::provider::{Sent, Stop, given_up};
use super::super::theirs::Head;
use super::super::{Batch, Halt};
use super::Look;
use super::anthropic::id_of;
use gate_ai::TranslateOptions;
use gate_ai::batch::result::consumed;
use gate_ai::batch::shape::Consumed;
use gate_ai::batch::{Api, BatchState, compact, openai_line};
use gate_kit::random;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::Write;

/// The member of a provider's batch that holds our id.
const NOTE: &str = "tidegate_batch";

pub(super) fn look(seen: &Value) -> Look {
    let status = seen["status"].as_str().and_then(BatchState::named);
    let count = |name: &str| seen["request_counts"][name].as_u64().unwrap_or(0);
    Look {
        is_over: status.is_some_and(BatchState::is_over),
        succeeded: count("completed"),
        failed: count("failed"),
    }
}

/// Where the results are of a batch that is over.
pub(super) fn results(over: &Value) -> Vec<String> {
    let files = ["output_file_id", "error_file_id"];
    let files = files.iter().filter_map(|name| over[name].as_str());
    files
        .map(|file| format!("/v1/files/{file}/content"))
        .collect()
}

/// A line of results; none where that request was not run.
pub(super) fn result(
    line: &[u8],
    ids: &HashMap<String, u32>,
    endpoint: &str,
) -> Option<(Head, Vec<u8>)> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let index = *ids.get(value["custom_id"].as_str()?)?;
    let status = value["response"]["status_code"].as_u64();
    // One that it did not run has no answer, and is run here while there is time.
    let well = (200..300).contains(&status?);
    let body = value["response"]["body"].to_string();
    let consumed = match well {
        true => consumed(endpoint, body.as_bytes()),
        false => Consumed::default(),
    };
    let mut own = Vec::with_capacity(line.len());
    compact(line, &mut own);
    let head = Head {
        index,
        well,
        consumed,
    };
    Some((head, own))
}

/// A line with the provider's model.
fn native(line: &[u8], model: &str) -> Result<String, Stop> {
    let mut value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(error) => return given_up(error.to_string()),
    };
    value["body"]["model"] = json!(model);
    Ok(value.to_string())
}

impl Batch<'_> {
    /// Makes the provider's batch, or finds the one that was made before a kill; its id.
    pub(super) async fn begin_openai(&mut self) -> Result<String, Stop> {
        if self.relayed().file.is_none() {
            let form = self.form().await?;
            let made = self.insist("POST", "/v1/files", form).await?;
            let Some(file) = made["id"].as_str() else {
                return given_up("its answer to the file has no id");
            };
            if let Some(relayed) = &mut self.data.relayed {
                relayed.file = Some(file.to_owned());
            }
            self.save(None).await?;
        }
        match self.found().await? {
            Some(batch) => Ok(batch),
            None => self.made().await,
        }
    }

    /// The provider's batch that was made for this one before a kill.
    async fn found(&self) -> Result<Option<String>, Stop> {
        let listed = self
            .insist("GET", "/v1/batches?limit=100", Sent::Nothing)
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
            "input_file_id": self.relayed().file, "endpoint": self.their_endpoint(),
            "completion_window": "24h", "metadata": { NOTE: self.row.id },
        });
        let made = self.insist("POST", "/v1/batches", Sent::Json(wish)).await?;
        match made["id"].as_str() {
            Some(id) => Ok(id.to_owned()),
            None => given_up("its answer to the batch has no id"),
        }
    }

    /// The numbers of the requests, by what their owner knows them by.
    pub(super) async fn ids(&self) -> Result<HashMap<String, u32>, Halt> {
        let mut source = self.source().await?;
        let mut ids = HashMap::new();
        let translated = self.relayed().translated;
        while let Some((index, line)) = source.next()? {
            if translated {
                ids.insert(id_of(&self.row.id, index), index);
            } else if let Ok(one) = openai_line(&line, &self.data.endpoint) {
                ids.insert(one.custom_id.into_owned(), index);
            }
        }
        Ok(ids)
    }

    /// A request of a message batch as a line; none where it would lose something.
    fn line(
        &self,
        index: u32,
        line: &[u8],
        model: &str,
        with: Option<&TranslateOptions>,
    ) -> Option<String> {
        let body = self.params(line, model, with?)?;
        let (id, url) = (id_of(&self.row.id, index), self.their_endpoint());
        Some(format!(
            "{{\"custom_id\":\"{id}\",\"method\":\"POST\",\"url\":\"{url}\",\"body\":{body}}}"
        ))
    }

    /// The form with the file for the provider: each line names the provider's model.
    async fn form(&self) -> Result<Sent, Stop> {
        let boundary = format!("tidegate{:016x}", random::bits());
        let head = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n\
             --{boundary}\r\ncontent-disposition: form-data; name=\"file\"; \
             filename=\"{}.jsonl\"\r\ncontent-type: application/jsonl\r\n\r\n",
            self.row.id
        );
        let (path, mut form) = self.sending().await?;
        form.write_all(head.as_bytes()).map_err(Halt::from)?;
        let model = self.relayed().model;
        let mut source = self.source().await?;
        let (options, mut count) = (self.options(), 0_u64);
        while let Some((index, line)) = source.next()? {
            let line = match self.api {
                Api::OpenAi => Some(native(&line, &model)?),
                Api::Anthropic => self.line(index, &line, &model, options.as_ref()),
            };
            let Some(line) = line else { continue };
            writeln!(form, "{line}").map_err(Halt::from)?;
            count += 1;
            tokio::task::consume_budget().await;
        }
        if count == 0 {
            return given_up("none of its requests can be told to it without a loss");
        }
        write!(form, "\r\n--{boundary}--\r\n").map_err(Halt::from)?;
        let kind = format!("multipart/form-data; boundary={boundary}");
        self.sent(kind, (path, form))
    }
}
