//! What logs and traces keep of a finished exchange, owned, so that another thread can write it.
//!
//! Made on the worker with two allocations and no formatting: the record moves in whole, the parts
//! of the head that are shown are copied into one string, each cut at a length, so that a full
//! queue has a bounded size. Redaction happens when a row is written.

use gate_flow::{Client, Record};
use gate_kit::http::{HeaderId, Method, RequestHead, Scheme, Version};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Most bytes of a target that are kept.
const TARGET_BYTES_MAX: usize = 2048;
/// Most bytes of any other part.
const PART_BYTES_MAX: usize = 512;
/// Most extra headers of a row.
const HEADERS_MAX: usize = 16;

/// One finished exchange, for logs and traces.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) record: Record,
    pub(super) method: Method,
    pub(super) version: Version,
    pub(super) scheme: Scheme,
    /// The caller's address, as trusted proxies vouch for it.
    pub(super) address: IpAddr,
    /// The other end of the connection.
    pub(super) peer: SocketAddr,
    /// The path that the route matches, as written; kept for traces only.
    pub(super) route_path: Option<String>,
    /// What the caller tagged the request with; kept for the lake only.
    pub(super) tag: Option<Arc<str>>,
    text: String,
    ends: [usize; 4],
    /// Ends of name and value of each extra header.
    headers: Vec<(usize, usize)>,
}

impl Row {
    /// Takes the record and copies what is shown of the head. `headers` are the names of extra
    /// headers to keep.
    pub(super) fn new(
        mut record: Record,
        head: &RequestHead,
        client: &Client,
        address: IpAddr,
        headers: &[String],
    ) -> Self {
        let mut text = String::with_capacity(128 + head.target.len().min(TARGET_BYTES_MAX));
        let original = record.original_target.take();
        let target = original.as_deref().unwrap_or(&head.target);
        let header = |id| head.headers.get(id).unwrap_or_default();
        let parts = [
            (head.authority.as_bytes(), PART_BYTES_MAX),
            (target.as_bytes(), TARGET_BYTES_MAX),
            (header(HeaderId::UserAgent), PART_BYTES_MAX),
            (header(HeaderId::Referer), PART_BYTES_MAX),
        ];
        let ends = parts.map(|(part, most)| append(&mut text, part, most));
        let mut extra = Vec::new();
        for name in headers.iter().take(HEADERS_MAX) {
            if let Some(value) = head.headers.get_named(name) {
                let name_end = append(&mut text, name.as_bytes(), PART_BYTES_MAX);
                extra.push((name_end, append(&mut text, value, PART_BYTES_MAX)));
            }
        }
        Self {
            record,
            method: head.method.clone(),
            version: head.version,
            scheme: client.scheme,
            address,
            peer: client.peer,
            route_path: None,
            tag: None,
            text,
            ends,
            headers: extra,
        }
    }

    /// Host and port as the caller named them.
    pub(super) fn authority(&self) -> &str {
        &self.text[..self.ends[0]]
    }

    /// Path and query as received. Not redacted.
    pub(super) fn target(&self) -> &str {
        &self.text[self.ends[0]..self.ends[1]]
    }

    /// The User-Agent field; empty when there was none.
    pub(super) fn user_agent(&self) -> &str {
        &self.text[self.ends[1]..self.ends[2]]
    }

    /// The Referer field; empty when there was none. Not redacted.
    pub(super) fn referer(&self) -> &str {
        &self.text[self.ends[2]..self.ends[3]]
    }

    /// Names and values of the extra headers. Not redacted.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = self.ends[3];
        self.headers.iter().map(move |&(name_end, value_end)| {
            let pair = (&self.text[start..name_end], &self.text[name_end..value_end]);
            start = value_end;
            pair
        })
    }
}

/// Whether an exchange failed for somebody: such rows are never sampled away.
pub(super) fn has_failed(record: &Record) -> bool {
    record.fault.is_some()
        || record.status >= 500
        || !matches!(record.outcome, gate_flow::Outcome::Complete)
}

/// Appends at most `most` bytes of `part` as UTF-8 and returns where they end.
fn append(text: &mut String, part: &[u8], most: usize) -> usize {
    let part = &part[..part.len().min(most)];
    match std::str::from_utf8(part) {
        Ok(part) => text.push_str(part),
        Err(_) => text.push_str(&String::from_utf8_lossy(part)),
    }
    text.len()
}
