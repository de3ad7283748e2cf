//! Recent records, found by what they say, newest first.
//!
//! Reads files: never on a worker. A search looks at a bounded number of rows and says where the
//! next one goes on.

use super::line::{Line, Text};
use super::segment::{self, Segment};
use crate::record::time;
use gate_model::units::Money;
use serde::Serialize;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Most rows that one search looks at.
const ROWS_MAX: usize = 200_000;
/// Most rows that one page holds.
const PAGE_MAX: usize = 1000;

/// What records are searched for; whatever is left out fits all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Route.
    pub route: Option<String>,
    /// Least and most status, both included.
    pub status: Option<(u16, u16)>,
    /// Consumer.
    pub consumer: Option<String>,
    /// Revision that served.
    pub revision: Option<u64>,
    /// Trace id, 32 hexadecimal digits.
    pub trace: Option<String>,
    /// Model that the caller asked for.
    pub model: Option<String>,
    /// Provider that answered.
    pub provider: Option<String>,
    /// Code of the fault.
    pub fault: Option<String>,
    /// Only records older than the one with this id.
    pub cursor: Option<String>,
    /// Most records of the page; 1,000 at most.
    pub limit: usize,
}

/// Some records, newest first.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Page {
    /// The records.
    pub records: Vec<View>,
    /// Where the next page begins; none at the end.
    pub cursor: Option<String>,
}

/// A kept record as people read it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "each field is named as in the access log")]
pub struct View {
    pub id: String,
    pub time: String,
    pub method: String,
    pub scheme: &'static str,
    pub host: String,
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    pub client: String,
    pub listener: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<String>,
    pub outcome: String,
    pub duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<f64>,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub revision: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    pub attempts: Vec<AttemptView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ai: Option<AiView>,
}

/// A try at an endpoint, for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "each field is named as in the access log")]
pub struct AttemptView {
    pub endpoint: String,
    pub status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    pub started_ms: f64,
    pub duration_ms: f64,
}

/// A call to a model, for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[allow(missing_docs, reason = "each field is named as in the access log")]
pub struct AiView {
    pub model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_model: Option<String>,
    pub stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<f64>,
}

/// Where a row stands: segment, frame, row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place(u64, usize, usize);

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let place = Self(
            parts.next()?.parse().ok()?,
            parts.next()?.parse().ok()?,
            parts.next()?.parse().ok()?,
        );
        parts.next().is_none().then_some(place)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.0, self.1, self.2)
    }
}

/// Finds records in a folder, newest first.
///
/// # Errors
/// When the folder cannot be listed, or the cursor is none of ours.
pub fn search(folder: &Path, query: &Query) -> io::Result<Page> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "the cursor is none of ours");
    let before = query.cursor.as_deref();
    let before = before
        .map(|cursor| Place::parse(cursor).ok_or_else(invalid))
        .transpose()?;
    let limit = query.limit.clamp(1, PAGE_MAX);
    let mut page = Page::default();
    let mut looked = 0;
    for (number, path) in segment::list(folder)?.into_iter().rev() {
        if before.is_some_and(|before| number > before.0) {
            continue;
        }
        // It may have gone since the folder was listed.
        let Ok(segment) = Segment::read(&path) else {
            continue;
        };
        for &frame in segment.frames.iter().rev() {
            if before.is_some_and(|before| (number, frame.offset) > (before.0, before.1)) {
                continue;
            }
            let Some(text) = segment.lines(frame) else {
                continue;
            };
            let rows: Vec<(usize, &str)> = text.lines().enumerate().collect();
            for (index, row) in rows.into_iter().rev() {
                let place = Place(number, frame.offset, index);
                if before.is_some_and(|before| place >= before) || is_basis(row) {
                    continue;
                }
                looked += 1;
                let line = serde_json::from_str::<Line<'_>>(row).ok();
                if let Some(line) = line.filter(|line| query.fits(line)) {
                    page.records.push(view(place.to_string(), &line));
                }
                if page.records.len() == limit || looked == ROWS_MAX {
                    page.cursor = Some(place.to_string());
                    return Ok(page);
                }
            }
        }
    }
    Ok(page)
}

/// The record with this id, where it is still kept.
///
/// # Errors
/// When the folder cannot be listed.
pub fn get(folder: &Path, id: &str) -> io::Result<Option<View>> {
    let Some(place) = Place::parse(id) else {
        return Ok(None);
    };
    let known = segment::list(folder)?;
    let path = known.into_iter().find(|(number, _)| *number == place.0);
    let Some(Ok(segment)) = path.map(|(_, path)| Segment::read(&path)) else {
        return Ok(None);
    };
    let frame = segment.frames.iter().find(|frame| frame.offset == place.1);
    let text = frame.and_then(|&frame| segment.lines(frame));
    let row = text.as_deref().and_then(|text| text.lines().nth(place.2));
    let line = row.filter(|row| !is_basis(row));
    let line = line.and_then(|row| serde_json::from_str::<Line<'_>>(row).ok());
    Ok(line.map(|line| view(place.to_string(), &line)))
}

/// Whether a line is no row but says what rows keep.
pub(super) fn is_basis(line: &str) -> bool {
    line.starts_with("{\"basis\"")
}

impl Query {
    fn fits(&self, line: &Line<'_>) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        let ai = line.ai.as_deref();
        is(&self.route, line.route.as_deref())
            && is(&self.consumer, line.consumer.as_deref())
            && is(&self.trace, line.trace.as_deref())
            && is(&self.fault, line.fault.as_deref())
            && is(&self.model, ai.map(|ai| &*ai.model))
            && is(&self.provider, ai.and_then(|ai| ai.provider.as_deref()))
            && self.revision.is_none_or(|wanted| wanted == line.revision)
            && self
                .status
                .is_none_or(|(least, most)| (least..=most).contains(&line.status))
    }
}

fn view(id: String, line: &Line<'_>) -> View {
    let owned = |text: &Option<Text<'_>>| text.as_ref().map(|text| text.to_string());
    let (path, query) = match line.target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (&*line.target, None),
    };
    let attempts = line.attempts.iter();
    View {
        id,
        time: moment(line.started_us),
        method: line.method.to_string(),
        scheme: if line.tls { "https" } else { "http" },
        host: line.authority.to_string(),
        path: path.to_owned(),
        query,
        client: line.address.to_string(),
        listener: line.listener.to_string(),
        route: owned(&line.route),
        consumer: owned(&line.consumer),
        team: owned(&line.team),
        key: owned(&line.key),
        target: owned(&line.called),
        status: line.status,
        fault: owned(&line.fault),
        answered_by: owned(&line.answered_by),
        outcome: owned(&line.outcome).unwrap_or_else(|| "complete".into()),
        duration_ms: milliseconds(line.duration_us),
        first_byte_ms: line.first_byte_us.map(milliseconds),
        request_bytes: line.bytes.0,
        response_bytes: line.bytes.1,
        revision: line.revision,
        trace_id: owned(&line.trace),
        request_id: owned(&line.request_id),
        attempts: attempts
            .map(|(endpoint, status, fault, started, duration)| AttemptView {
                endpoint: endpoint.to_string(),
                status: *status,
                fault: owned(fault),
                started_ms: milliseconds(*started),
                duration_ms: milliseconds(*duration),
            })
            .collect(),
        ai: line.ai.as_deref().map(|ai| AiView {
            model: ai.model.to_string(),
            provider: owned(&ai.provider),
            provider_model: owned(&ai.provider_model),
            stream: ai.stream,
            input_tokens: ai.tokens.map(|tokens| tokens[0]),
            output_tokens: ai.tokens.map(|tokens| tokens[1]),
            cost: ai
                .cost
                .map(|cost| Money::from_picodollars(cost).to_string()),
            first_token_ms: ai.first_token_us.map(milliseconds),
        }),
    }
}

/// Microseconds of UNIX time as RFC 3339.
pub(crate) fn moment(us: u64) -> String {
    let mut text = Vec::new();
    time::write_rfc3339(&mut text, Duration::from_micros(us));
    String::from_utf8_lossy(&text).into_owned()
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
fn milliseconds(us: u64) -> f64 {
    us as f64 / 1000.0
}
