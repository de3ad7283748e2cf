//! Files and batches as callers read them.
//!
//! <https://platform.openai.com/docs/api-reference/files/object>,
//! <https://platform.openai.com/docs/api-reference/batch/object>,
//! <https://docs.claude.com/en/api/retrieving-message-batches>.

use super::{Api, BatchState};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileShape<'a> {
    /// Its id.
    pub id: &'a str,
    /// How many bytes it has.
    pub bytes: u64,
    /// When it was made, in UNIX milliseconds.
    pub created_ms: i64,
    /// When it is forgotten, in UNIX milliseconds.
    pub expires_ms: Option<i64>,
    /// What its owner calls it.
    pub name: &'a str,
    /// What it is for.
    pub purpose: &'a str,
}

/// A file, as JSON.
#[must_use]
pub fn file(file: &FileShape<'_>) -> Value {
    json!({
        "id": file.id, "object": "file", "bytes": file.bytes,
        "created_at": seconds(file.created_ms), "expires_at": file.expires_ms.map(seconds),
        "filename": file.name, "purpose": file.purpose,
        "status": "processed", "status_details": null,
    })
}

/// What answers a file's deletion.
#[must_use]
pub fn file_deleted(id: &str) -> Value {
    json!({ "id": id, "object": "file", "deleted": true })
}

/// How many requests of a batch ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// All.
    pub total: u64,
    /// Answered with success.
    pub succeeded: u64,
    /// Answered with an error, or not at all.
    pub failed: u64,
    /// Not run because the batch was cancelled.
    pub cancelled: u64,
    /// Not run because the batch's time was over.
    pub expired: u64,
}

/// What the requests of a batch consumed, as far as their answers say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Consumed {
    /// Input tokens.
    pub input: u64,
    /// Those of them that a cache had.
    pub cached: u64,
    /// Output tokens.
    pub output: u64,
    /// Those of them that were thought.
    pub reasoning: u64,
}

/// Something wrong with a batch's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrong {
    /// What clients tell it by.
    pub code: String,
    /// The line, from 1.
    pub line: Option<u64>,
    /// For people.
    pub message: String,
    /// The member that it is about.
    pub param: Option<String>,
}

/// When a batch came to its states, in UNIX milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Times {
    /// When it was handed in.
    pub created: i64,
    /// When its file had been read.
    pub began: Option<i64>,
    /// When all had been run.
    pub finalizing: Option<i64>,
    /// When it was completed.
    pub completed: Option<i64>,
    /// When its file was found wrong.
    pub failed: Option<i64>,
    /// When its time was over.
    pub expired: Option<i64>,
    /// When it was cancelled.
    pub cancelling: Option<i64>,
    /// When nothing of it was under way any more.
    pub cancelled: Option<i64>,
    /// When its time is over.
    pub expires: i64,
    /// When its results were put away.
    pub archived: Option<i64>,
}

impl Times {
    /// When it ended, however.
    #[must_use]
    pub fn ended(&self) -> Option<i64> {
        let ends = [self.completed, self.failed, self.expired, self.cancelled];
        ends.into_iter().flatten().next()
    }

    /// Notes that it came to `state`.
    pub fn note(&mut self, state: BatchState, now_ms: i64) {
        let place = match state {
            BatchState::Validating => return,
            BatchState::Failed => &mut self.failed,
            BatchState::InProgress => &mut self.began,
            BatchState::Finalizing => &mut self.finalizing,
            BatchState::Completed => &mut self.completed,
            BatchState::Expired => &mut self.expired,
            BatchState::Cancelling => &mut self.cancelling,
            BatchState::Cancelled => &mut self.cancelled,
        };
        *place = place.or(Some(now_ms));
    }
}

/// A batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchShape<'a> {
    /// Its id.
    pub id: &'a str,
    /// Whose API it was handed in at.
    pub api: Api,
    /// Where it is.
    pub state: BatchState,
    /// Where its requests go.
    pub endpoint: &'a str,
    /// Its file; none where its requests came inline.
    pub input: Option<&'a str>,
    /// How long its owner gives it, as the owner wrote it.
    pub window: &'a str,
    /// The file of its results.
    pub output: Option<&'a str>,
    /// The file of its errors.
    pub errors: Option<&'a str>,
    /// The model that its requests name, where it is one.
    pub model: Option<&'a str>,
    /// What is wrong with its file.
    pub wrong: &'a [Wrong],
    /// How its requests ended.
    pub counts: Counts,
    /// What they consumed.
    pub consumed: Consumed,
    /// What its owner noted.
    pub metadata: Option<&'a Map<String, Value>>,
    /// When it came to its states.
    pub times: Times,
}

/// A batch, as JSON of its API.
#[must_use]
pub fn batch(batch: &BatchShape<'_>) -> Value {
    match batch.api {
        Api::OpenAi => openai(batch),
        Api::Anthropic => anthropic(batch),
    }
}

fn openai(batch: &BatchShape<'_>) -> Value {
    let times = &batch.times;
    let at = |time: Option<i64>| time.map(seconds);
    let wrong = batch.wrong;
    let errors = (!wrong.is_empty()).then(|| json!({ "object": "list", "data": wrong }));
    let Consumed {
        input,
        cached,
        output,
        reasoning,
    } = batch.consumed;
    let usage = json!({
        "input_tokens": input, "input_tokens_details": { "cached_tokens": cached },
        "output_tokens": output, "output_tokens_details": { "reasoning_tokens": reasoning },
        "total_tokens": input.saturating_add(output),
    });
    let counts = &batch.counts;
    json!({
        "id": batch.id, "object": "batch", "endpoint": batch.endpoint, "model": batch.model,
        "errors": errors, "input_file_id": batch.input, "completion_window": batch.window,
        "status": batch.state.as_str(), "output_file_id": batch.output,
        "error_file_id": batch.errors, "created_at": seconds(times.created),
        "in_progress_at": at(times.began), "expires_at": seconds(times.expires),
        "finalizing_at": at(times.finalizing), "completed_at": at(times.completed),
        "failed_at": at(times.failed), "expired_at": at(times.expired),
        "cancelling_at": at(times.cancelling), "cancelled_at": at(times.cancelled),
        "request_counts": {
            "total": counts.total, "completed": counts.succeeded, "failed": counts.failed,
        },
        "usage": usage, "metadata": batch.metadata,
    })
}

fn anthropic(batch: &BatchShape<'_>) -> Value {
    let (times, counts) = (&batch.times, &batch.counts);
    let is_over = batch.state.is_over();
    let done = counts.succeeded + counts.failed + counts.cancelled + counts.expired;
    // Anthropic counts what ended only once the whole batch has.
    let of = |count: u64| if is_over { count } else { 0 };
    let processing = if is_over {
        counts.total.saturating_sub(done)
    } else {
        counts.total
    };
    let results = (is_over && times.archived.is_none())
        .then(|| format!("/v1/messages/batches/{}/results", batch.id));
    json!({
        "id": batch.id, "type": "message_batch", "processing_status": batch.state.processing(),
        "request_counts": {
            "processing": processing, "succeeded": of(counts.succeeded),
            "errored": of(counts.failed), "canceled": of(counts.cancelled),
            "expired": of(counts.expired),
        },
        "created_at": rfc3339(times.created), "expires_at": rfc3339(times.expires),
        "ended_at": times.ended().map(rfc3339), "archived_at": times.archived.map(rfc3339),
        "cancel_initiated_at": times.cancelling.map(rfc3339), "results_url": results,
    })
}

/// What answers a message batch's deletion.
#[must_use]
pub fn batch_deleted(id: &str) -> Value {
    json!({ "id": id, "type": "message_batch_deleted" })
}

/// A page of files or batches, each with its id.
#[must_use]
pub fn page(api: Api, items: &[Value], has_more: bool) -> Value {
    let id = |item: Option<&Value>| item.and_then(|item| item.get("id")).cloned();
    let (first, last) = (id(items.first()), id(items.last()));
    match api {
        Api::OpenAi => json!({
            "object": "list", "data": items, "first_id": first, "last_id": last,
            "has_more": has_more,
        }),
        Api::Anthropic => json!({
            "data": items, "first_id": first, "last_id": last, "has_more": has_more,
        }),
    }
}

const fn seconds(milliseconds: i64) -> i64 {
    milliseconds.div_euclid(1000)
}

/// A time as Anthropic writes it (RFC 3339, in UTC).
fn rfc3339(milliseconds: i64) -> String {
    let second = seconds(milliseconds);
    let (day, of_day) = (second.div_euclid(86_400), second.rem_euclid(86_400));
    // Days to dates as by H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        doy - (153 * mp + 2) / 5 + 1,
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60,
        milliseconds.rem_euclid(1000)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(api: Api, state: BatchState) -> BatchShape<'static> {
        BatchShape {
            id: "batch_1",
            api,
            state,
            endpoint: "/v1/chat/completions",
            input: Some("file-1"),
            window: "24h",
            output: None,
            errors: None,
            model: None,
            wrong: &[],
            counts: Counts {
                total: 5,
                succeeded: 2,
                failed: 1,
                cancelled: 1,
                expired: 1,
            },
            consumed: Consumed {
                input: 10,
                cached: 4,
                output: 5,
                reasoning: 1,
            },
            metadata: None,
            times: Times {
                created: 1_700_000_000_999,
                expires: 1_700_086_400_000,
                ..Times::default()
            },
        }
    }

    #[test]
    fn openais_batch_has_every_member() {
        let mut one = shape(Api::OpenAi, BatchState::InProgress);
        one.times.note(BatchState::InProgress, 1_700_000_001_000);
        let value = batch(&one);
        assert_eq!(value["status"], "in_progress");
        assert_eq!(value["created_at"], 1_700_000_000);
        assert_eq!(value["in_progress_at"], 1_700_000_001);
        assert_eq!(
            value["request_counts"],
            json!({"total": 5, "completed": 2, "failed": 1})
        );
        assert_eq!(value["usage"]["total_tokens"], 15);
        assert!(value["errors"].is_null() && value["completed_at"].is_null());
    }

    #[test]
    fn anthropics_batch_counts_when_it_has_ended() {
        let running = batch(&shape(Api::Anthropic, BatchState::Cancelling));
        assert_eq!(running["processing_status"], "canceling");
        assert_eq!(running["request_counts"]["processing"], 5);
        assert!(running["results_url"].is_null());
        let mut one = shape(Api::Anthropic, BatchState::Cancelled);
        one.times.note(BatchState::Cancelled, 1_700_000_002_000);
        let over = batch(&one);
        assert_eq!(over["processing_status"], "ended");
        assert_eq!(
            over["request_counts"],
            json!({"processing": 0, "succeeded": 2, "errored": 1, "canceled": 1, "expired": 1})
        );
        assert_eq!(over["created_at"], "2023-11-14T22:13:20.999Z");
        assert_eq!(over["results_url"], "/v1/messages/batches/batch_1/results");
    }

    #[test]
    fn pages_name_their_ends() {
        let items = [json!({"id": "a"}), json!({"id": "b"})];
        let value = page(Api::OpenAi, &items, true);
        assert_eq!(
            (&value["first_id"], &value["last_id"]),
            (&json!("a"), &json!("b"))
        );
        assert!(page(Api::Anthropic, &[], false)["first_id"].is_null());
    }
}
