//! Anthropic's Message Batches: requests inline, results in one stream
//! (<https://docs.claude.com/en/api/creating-message-batches>).
//!
//! A request is known to the provider by an id of ours, which says of which batch it is and where in it;
//! in what its owner reads, it has the owner's.

use super::super::provider::{Sent, Stop, given_up};
use super::super::theirs::Head;
use super::super::{Batch, Halt};
use super::Look;
use gate_ai::batch::result::consumed;
use gate_ai::batch::shape::Consumed;
use gate_ai::batch::{Api, MESSAGES, anthropic_line, compact};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::io::Write;

/// Where message batches are.
pub(super) const BATCHES: &str = "/v1/messages/batches";
/// How far the provider's clock may be behind ours, in milliseconds.
const SKEW_MS: i64 = 5 * 60_000;

pub(super) fn look(seen: &Value) -> Look {
    let count = |name: &str| seen["request_counts"][name].as_u64().unwrap_or(0);
    Look {
        is_over: seen["processing_status"] == "ended",
        succeeded: count("succeeded"),
        failed: count("errored"),
    }
}

/// The random part of a batch's id.
fn bits(batch: &str) -> &str {
    batch.rsplit_once('_').map_or(batch, |(_, bits)| bits)
}

/// What the provider knows a request by.
pub(super) fn id_of(batch: &str, index: u32) -> String {
    format!("{}-{index}", bits(batch))
}

/// A line of results.
#[derive(Deserialize)]
struct Line<'a> {
    custom_id: &'a str,
    #[serde(borrow)]
    result: &'a RawValue,
}

/// How a request ended.
#[derive(Deserialize)]
struct Outcome<'a> {
    r#type: &'a str,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
}

/// A line of results, of a batch with so many requests: what stands behind its id. None where that
/// request was not run, or is another batch's.
pub(super) fn result(line: &[u8], batch: &str, total: u64) -> Option<(Head, Vec<u8>)> {
    let line: Line<'_> = serde_json::from_slice(line).ok()?;
    let index = line.custom_id.strip_prefix(bits(batch))?;
    let index: u32 = index.strip_prefix('-')?.parse().ok()?;
    let result: Outcome<'_> = serde_json::from_str(line.result.get()).ok()?;
    // Those that were cancelled there or had no time are run here while there is time.
    let well = match result.r#type {
        "succeeded" => true,
        "errored" => false,
        _ => return None,
    };
    let message = result.message.filter(|_| well);
    let consumed = message.map_or_else(Consumed::default, |message| {
        consumed(MESSAGES, message.get().as_bytes())
    });
    let mut own = Vec::with_capacity(line.result.get().len());
    compact(line.result.get().as_bytes(), &mut own);
    let head = Head {
        index,
        well,
        consumed,
    };
    (u64::from(index) < total).then_some((head, own))
}

/// The line that its owner reads, of a result and the request that it is of.
pub(in super::super) fn with_id(request: &[u8], result: &[u8]) -> Vec<u8> {
    let id = anthropic_line(request).map(|one| one.custom_id.into_owned());
    // The request was checked before.
    let mut line = format!(
        "{{\"custom_id\":{},\"result\":",
        json!(id.unwrap_or_default())
    );
    line.push_str(&String::from_utf8_lossy(result));
    line.push('}');
    line.into_bytes()
}

/// What a line of a message batch asks of the provider's model.
fn native(line: &[u8], model: &str) -> Option<String> {
    let one = anthropic_line(line).ok().filter(|one| !one.streams)?;
    let mut params: Value = serde_json::from_str(one.params).ok()?;
    params["model"] = json!(model);
    Some(params.to_string())
}

impl Batch<'_> {
    /// Makes the provider's batch, or finds the one that was made before a kill; its id.
    pub(super) async fn begin_anthropic(&mut self) -> Result<String, Stop> {
        let (body, count) = self.requests().await?;
        if count == 0 {
            return given_up("none of its requests can be answered but by a stream");
        }
        if let Some(asked) = self.relayed().asked
            && let Some(batch) = self.made_since(asked, count).await?
        {
            return Ok(batch);
        }
        let now = self.now_ms().await?;
        if let Some(relayed) = &mut self.data.relayed {
            relayed.asked.get_or_insert(now);
        }
        self.save(None).await?;
        let made = self.insist("POST", BATCHES, body).await?;
        match made["id"].as_str() {
            Some(id) => Ok(id.to_owned()),
            None => given_up("its answer to the batch has no id"),
        }
    }

    /// The first batch there of as many requests that was made since.
    async fn made_since(&self, asked: i64, count: u64) -> Result<Option<String>, Stop> {
        let path = format!("{BATCHES}?limit=100");
        let listed = self.insist("GET", &path, Sent::Nothing).await?;
        let fits = |one: &&Value| {
            let counts = one["request_counts"].as_object();
            let all = counts.into_iter().flatten();
            let all: u64 = all.filter_map(|(_, count)| count.as_u64()).sum();
            let made: Option<jiff::Timestamp> =
                one["created_at"].as_str().and_then(|at| at.parse().ok());
            all == count && made.is_some_and(|at| at.as_millisecond() >= asked - SKEW_MS)
        };
        // The newest stands first.
        let mut all = listed["data"].as_array().into_iter().flatten();
        let first = all.rfind(fits);
        Ok(first.and_then(|one| one["id"].as_str()).map(str::to_owned))
    }

    /// The body that asks for the batch, each request with the provider's model and an id of ours; and
    /// how many there are. Those that ask for a stream are not the provider's, nor are those of OpenAI's
    /// API that would lose something on the way.
    async fn requests(&self) -> Result<(Sent, u64), Stop> {
        let model = self.relayed().model;
        let options = self.options();
        let (path, mut body) = self.sending().await?;
        body.write_all(b"{\"requests\":[").map_err(Halt::from)?;
        let (mut source, mut count) = (self.source().await?, 0);
        while let Some((index, line)) = source.next()? {
            let params = match self.api {
                Api::Anthropic => native(&line, &model),
                Api::OpenAi => options
                    .as_ref()
                    .and_then(|with| self.params(&line, &model, with)),
            };
            let Some(params) = params else { continue };
            let comma = if count > 0 { "," } else { "" };
            let id = id_of(&self.row.id, index);
            write!(
                body,
                "{comma}{{\"custom_id\":\"{id}\",\"params\":{params}}}"
            )
            .map_err(Halt::from)?;
            count += 1;
            tokio::task::consume_budget().await;
        }
        body.write_all(b"]}").map_err(Halt::from)?;
        let sent = self.sent("application/json".to_owned(), (path, body))?;
        Ok((sent, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BATCH: &str = "msgbatch_tg_00ff";

    #[test]
    fn results_are_told_by_ids_of_ours() {
        let of = |line: &str| result(line.as_bytes(), BATCH, 8);
        let usage = r#"{"input_tokens": 20, "output_tokens": 5}"#;
        let message = format!(r#"{{"type": "succeeded", "message": {{"usage": {usage}}}}}"#);
        let line = format!(
            r#"{{"custom_id": "{}", "result": {message}}}"#,
            id_of(BATCH, 7)
        );
        let (head, own) = of(&line).unwrap();
        assert_eq!((head.index, head.well), (7, true));
        assert_eq!((head.consumed.input, head.consumed.output), (20, 5));
        assert_eq!(
            serde_json::from_slice::<Value>(&own).unwrap()["type"],
            "succeeded"
        );
        let line = with_id(br#"{"custom_id":"mine","params":{}}"#, &own);
        let line: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(
            (&line["custom_id"], &line["result"]["type"]),
            (&json!("mine"), &json!("succeeded"))
        );
        let errored = r#"{"custom_id":"00ff-0","result":{"type":"errored","error":{}}}"#;
        assert!(!of(errored).unwrap().0.well);
        for none in [
            r#"{"custom_id":"00ff-0","result":{"type":"expired"}}"#,
            r#"{"custom_id":"00ff-0","result":{"type":"canceled"}}"#,
            r#"{"custom_id":"00ff-8","result":{"type":"succeeded","message":{}}}"#,
            r#"{"custom_id":"11ff-0","result":{"type":"succeeded","message":{}}}"#,
            r#"{"custom_id":"0","result":{"type":"succeeded","message":{}}}"#,
            "{}",
        ] {
            assert!(of(none).is_none(), "{none}");
        }
    }
}
