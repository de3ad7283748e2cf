//! How a kept record looks in a segment: one line of JSON with short names.
//!
//! A [`Basis`] line says what the rows behind it keep, and of which snapshot; a [`Line`] is one
//! exchange. Everything borrows from the decompressed text, so that a replay of a million rows
//! copies none of them.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Text that borrows from its line where nothing in it is escaped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

/// What rows keep, and the snapshot that served them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Basis {
    /// Number that rows refer to, unique within its segment.
    pub basis: u32,
    /// The snapshot's revision.
    pub revision: u64,
    /// The snapshot's digest.
    pub digest: String,
    /// Share of the exchanges that is kept.
    pub sample: f64,
    /// What is kept of requests.
    pub reads: gate_flow::Reads,
}

/// One finished exchange.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Line<'a> {
    /// Number of its basis.
    #[serde(rename = "x")]
    pub basis: u32,
    /// When it began, in microseconds of UNIX time.
    #[serde(rename = "t")]
    pub started_us: u64,
    /// Listener.
    #[serde(rename = "l", borrow)]
    pub listener: Text<'a>,
    /// Method.
    #[serde(rename = "m", borrow)]
    pub method: Text<'a>,
    /// Whether it came over TLS.
    #[serde(rename = "s", skip_serializing_if = "is_false")]
    pub tls: bool,
    /// Host and port as the caller named them.
    #[serde(rename = "h", borrow)]
    pub authority: Text<'a>,
    /// Path and query; credentials in the query are hashes.
    #[serde(rename = "p", borrow)]
    pub target: Text<'a>,
    /// The caller's address.
    #[serde(rename = "a", borrow)]
    pub address: Text<'a>,
    /// The other end of the connection, where that is another.
    #[serde(rename = "pa", borrow, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Text<'a>>,
    /// Bytes of the body that were announced.
    #[serde(rename = "z", skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Something of the request was longer than what is kept.
    #[serde(rename = "cut", skip_serializing_if = "is_false")]
    pub cut: bool,
    /// Headers that rules read.
    #[serde(rename = "hd", borrow, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(Text<'a>, Text<'a>)>,
    /// Names of headers and query parameters whose value is a hash although their name did not say
    /// so beforehand.
    #[serde(rename = "hs", borrow, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<Text<'a>>,
    /// Route.
    #[serde(rename = "r", borrow, skip_serializing_if = "Option::is_none")]
    pub route: Option<Text<'a>>,
    /// The policy that answered.
    #[serde(rename = "by", borrow, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<Text<'a>>,
    /// Status sent; 0 for none.
    #[serde(rename = "st")]
    pub status: u16,
    /// Code of the fault.
    #[serde(rename = "f", borrow, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Text<'a>>,
    /// How it ended, where that is not `complete`.
    #[serde(rename = "oc", borrow, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Text<'a>>,
    /// Consumer.
    #[serde(rename = "c", borrow, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<Text<'a>>,
    /// Team.
    #[serde(rename = "tm", borrow, skip_serializing_if = "Option::is_none")]
    pub team: Option<Text<'a>>,
    /// Name of the consumer's key.
    #[serde(rename = "k", borrow, skip_serializing_if = "Option::is_none")]
    pub key: Option<Text<'a>>,
    /// Upstream or model called last.
    #[serde(rename = "tg", borrow, skip_serializing_if = "Option::is_none")]
    pub called: Option<Text<'a>>,
    /// Name and version of the prompt.
    #[serde(rename = "pr", borrow, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<(Text<'a>, u32)>,
    /// Revision.
    #[serde(rename = "v")]
    pub revision: u64,
    /// How long it took, in microseconds.
    #[serde(rename = "d")]
    pub duration_us: u64,
    /// To the first byte of the answer, in microseconds.
    #[serde(rename = "fb", skip_serializing_if = "Option::is_none")]
    pub first_byte_us: Option<u64>,
    /// Body bytes received and sent.
    #[serde(rename = "b")]
    pub bytes: (u64, u64),
    /// Trace id in hexadecimal.
    #[serde(rename = "tr", borrow, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Text<'a>>,
    /// Id that caller, target and log share.
    #[serde(rename = "id", borrow, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Text<'a>>,
    /// Tries: endpoint, status, fault, start and duration in microseconds.
    #[serde(rename = "at", borrow, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<(Text<'a>, u16, Option<Text<'a>>, u64, u64)>,
    /// The API and its version, which is empty where none was chosen.
    #[serde(rename = "av", borrow, skip_serializing_if = "Option::is_none")]
    pub api: Option<(Text<'a>, Text<'a>)>,
    /// Where its messages broke their contract.
    #[serde(rename = "ct", borrow, skip_serializing_if = "Option::is_none")]
    pub contract: Option<Box<ContractLine<'a>>>,
    /// The call to a model.
    #[serde(rename = "ai", borrow, skip_serializing_if = "Option::is_none")]
    pub ai: Option<Box<AiLine<'a>>>,
}

/// Where the messages of an exchange broke their contract.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContractLine<'a> {
    /// The API.
    #[serde(rename = "a", borrow)]
    pub api: Text<'a>,
    /// The operation.
    #[serde(rename = "o", borrow)]
    pub operation: Text<'a>,
    /// Side, place, name, JSON pointer, and what is wrong there.
    #[serde(rename = "b", borrow)]
    pub broken: Vec<[Text<'a>; 5]>,
    /// How many more places there were.
    #[serde(rename = "m", skip_serializing_if = "is_none")]
    pub more: u32,
}

/// A call to a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AiLine<'a> {
    /// Name the caller asked for.
    #[serde(rename = "m", borrow)]
    pub model: Text<'a>,
    /// Provider that answered.
    #[serde(rename = "p", borrow, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Text<'a>>,
    /// The provider's name for the model.
    #[serde(rename = "pm", borrow, skip_serializing_if = "Option::is_none")]
    pub provider_model: Option<Text<'a>>,
    /// Whether the answer was a stream.
    #[serde(rename = "s", skip_serializing_if = "is_false")]
    pub stream: bool,
    /// Tokens: input, output, cached, written to the cache, reasoning, written for an hour, audio
    /// in, audio out; none where the provider counted none.
    #[serde(rename = "n", skip_serializing_if = "Option::is_none")]
    pub tokens: Option<[u64; 8]>,
    /// What it asked for, where a choice depended on it: estimated tokens of its input, one more
    /// than the most tokens of its answer or 0 where it did not bound them, whether it declared
    /// tools, whether it had images.
    #[serde(rename = "nd", skip_serializing_if = "Option::is_none")]
    pub needs: Option<[u64; 4]>,
    /// It is billed by more than tokens.
    #[serde(rename = "o", skip_serializing_if = "is_false")]
    pub pieces: bool,
    /// What it cost, in picodollars.
    #[serde(rename = "$", skip_serializing_if = "Option::is_none")]
    pub cost: Option<i64>,
    /// To the first token, in microseconds.
    #[serde(rename = "ft", skip_serializing_if = "Option::is_none")]
    pub first_token_us: Option<u64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_none(count: &u32) -> bool {
    *count == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(flag: &bool) -> bool {
    !flag
}
