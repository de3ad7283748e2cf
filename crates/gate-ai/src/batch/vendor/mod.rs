//! How vendors' own batch APIs are spoken: what makes a batch there, what a look at it shows, and what
//! stands in a line of its results. Pure: `tidegate/batches/relay` makes the calls.
//!
//! One file for each format. A request is known to the vendor by an id of the gateway's
//! ([`request_id`]), so that a line of results says of which batch it is and where in it.

mod anthropic;
mod gemini;
mod mistral;
mod openai;
mod together;

use crate::provider::{BatchApi, BatchFormat};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The member of a vendor's batch that holds the id of the gateway's.
const NOTE: &str = "tidegate_batch";

/// A batch that a vendor is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The gateway's id of it.
    pub note: &'a str,
    /// The vendor's name of its model.
    pub model: &'a str,
    /// The vendor's name of what its requests ask for.
    pub endpoint: &'a str,
    /// The vendor's id of the file with its requests; empty where they stand in the batch.
    pub file: &'a str,
    /// How many requests it has.
    pub requests: u64,
    /// When the vendor was first asked for it, in UNIX milliseconds.
    pub asked_ms: i64,
}

/// What a look at a vendor's batch has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Whether the vendor does nothing more for it.
    pub is_over: bool,
    /// Requests that were answered with success so far.
    pub succeeded: u64,
    /// Requests that failed so far.
    pub failed: u64,
    /// Where its results are once it is over, below the vendor's base address.
    pub results: Vec<String>,
}

/// An answer in a line of results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<'a> {
    /// What the vendor knows the request by.
    pub id: Cow<'a, str>,
    /// The status that a single call would have had.
    pub status: u16,
    /// The vendor's id of the call; empty where it has none.
    pub request: Cow<'a, str>,
    /// The body that a single call would have had.
    pub body: Cow<'a, [u8]>,
}

/// How a file is uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upload {
    /// As a form.
    Form {
        /// What follows the path of files.
        path: &'static str,
        /// Fields beside the file.
        fields: &'static [(&'static str, &'static str)],
    },
    /// Google's resumable upload: an address is asked for first
    /// (<https://ai.google.dev/gemini-api/docs/files>).
    Resumable,
}

/// The vendor's id in its answer to an upload.
#[must_use]
pub fn file_id(answer: &Value) -> Option<String> {
    text(&answer["file"], "name").or_else(|| text(answer, "id"))
}

/// Whether a file is not ready yet to be made a batch of, as the vendor shows it. Azure refuses a batch
/// over one that is pending.
#[must_use]
pub fn is_processing(file: &Value) -> bool {
    let file = if file["file"].is_object() {
        &file["file"]
    } else {
        file
    };
    let states = [&file["status"], &file["state"]];
    let mut states = states.into_iter().filter_map(Value::as_str);
    states.any(|state| {
        let waits = ["pending", "running", "processing", "notrunning"];
        waits.contains(&&*state.to_ascii_lowercase())
    })
}

/// How a format is spoken.
pub trait Vendor: Sync {
    /// What a request is in the vendor's file, or in the list of the vendor's batch; one line.
    fn request(&self, id: &str, endpoint: &str, body: &str) -> String;

    /// How a file is uploaded; none where requests stand in the batch.
    fn upload(&self) -> Option<Upload>;

    /// Path below the vendor's base address, and body, of the call that makes a batch over a file.
    fn create(&self, api: &BatchApi, wish: &Wish<'_>) -> (String, Value);

    /// The vendor's id in its answer to that call.
    fn made(&self, answer: &Value) -> Option<String>;

    /// The query that lists the newest batches.
    fn listing(&self) -> &'static str;

    /// The vendor's id of the batch that was made for this wish already, among those it lists.
    fn found(&self, listed: &Value, wish: &Wish<'_>) -> Option<String>;

    /// What a look at this batch has shown.
    fn look(&self, api: &BatchApi, batch: &str, seen: &Value) -> Look;

    /// Path below the vendor's base address of the call that cancels a batch.
    fn cancel(&self, api: &BatchApi, batch: &str) -> String {
        format!("{}/{batch}/cancel", api.batches)
    }

    /// What stands in a line of results; none where that request was not run, or may be answered when it
    /// is asked again.
    fn answer<'a>(&self, line: &'a [u8]) -> Option<Answer<'a>>;
}

/// Who speaks a format.
#[must_use]
pub fn vendor(format: BatchFormat) -> &'static dyn Vendor {
    match format {
        BatchFormat::OpenAi => &openai::OpenAi,
        BatchFormat::Together => &together::Together,
        BatchFormat::Anthropic => &anthropic::Anthropic,
        BatchFormat::Gemini => &gemini::Gemini,
        BatchFormat::Mistral => &mistral::Mistral,
    }
}

/// The random part of a batch's id.
fn bits(batch: &str) -> &str {
    batch.rsplit_once('_').map_or(batch, |(_, bits)| bits)
}

/// What a vendor knows a request by: the batch's random part and the request's place in it.
#[must_use]
pub fn request_id(batch: &str, index: u32) -> String {
    format!("{}-{index}", bits(batch))
}

/// The place in a batch of the request that a vendor knows by this id; none where it is another batch's.
#[must_use]
pub fn request_index(batch: &str, id: &str) -> Option<u32> {
    id.strip_prefix(bits(batch))?
        .strip_prefix('-')?
        .parse()
        .ok()
}

/// Whether a request that was answered so would be answered so again: it was not for lack of time or
/// room, and not for a mistake of the vendor's.
const fn is_final(status: u16) -> bool {
    !(status == 408 || status == 429 || status == 499 || status >= 500)
}

/// The texts of these members, empty ones left out.
fn texts(value: &Value, names: &[&str]) -> Vec<String> {
    let texts = names.iter().filter_map(|name| value[name].as_str());
    texts
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The text of this member, unless it is empty.
fn text(value: &Value, name: &str) -> Option<String> {
    texts(value, &[name]).pop()
}

/// A raw member's bytes.
fn raw(member: &RawValue) -> Cow<'_, [u8]> {
    Cow::Borrowed(member.get().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_requests_say_of_which_batch_they_are() {
        let id = request_id("batch_tg_00ff", 7);
        assert_eq!(id, "00ff-7");
        assert_eq!(request_index("msgbatch_tg_00ff", &id), Some(7));
        for other in ["11ff-7", "00ff", "00ff-", "00ff-x", "7"] {
            assert_eq!(request_index("batch_tg_00ff", other), None, "{other}");
        }
    }

    #[test]
    fn files_are_known_by_their_names_and_waited_for() {
        let gemini = serde_json::json!({"file": {"name": "files/a", "state": "PROCESSING"}});
        assert_eq!(file_id(&gemini).as_deref(), Some("files/a"));
        assert!(is_processing(&gemini));
        let azure = serde_json::json!({"id": "file-1", "status": "pending"});
        assert_eq!(file_id(&azure).as_deref(), Some("file-1"));
        assert!(is_processing(&azure));
        assert!(!is_processing(
            &serde_json::json!({"id": "file-1", "status": "processed"})
        ));
        assert!(!is_processing(&serde_json::json!({"id": "file-1"})));
    }

    #[test]
    fn what_may_pass_is_no_answer() {
        assert!(is_final(200) && is_final(400) && is_final(404));
        assert!(!is_final(429) && !is_final(503) && !is_final(529));
    }
}
