//! Recent records, found by what they say, newest first.
//!
//! Reads files: never on a worker. A search looks at a bounded number of rows and says where the
//! next one goes on.

use super::line::{ContractLine, Line, Text};
use super::segment::{self, Segment};
use crate::record::time;
use gate_api::types::{Attempt, Moment, Page, RecordDetail, RecordSummary};
use gate_kit::order::Order;
use gate_model::units::Money;
use serde_json::{Map, Value, json};
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
    /// Teams of the consumer; all of them when absent.
    pub teams: Option<Vec<String>>,
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
    /// Ended at this UNIX millisecond or later.
    pub from_ms: Option<u64>,
    /// Ended at this UNIX millisecond or earlier.
    pub until_ms: Option<u64>,
    /// Only records older than the one with this id.
    pub cursor: Option<String>,
    /// Most records of the page; 1,000 at most.
    pub limit: usize,
}

/// Where a row stands: segment, frame, row. Its text is the row's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub(super) u64, pub(super) usize, pub(super) usize);

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
pub fn search(folder: &Path, query: &Query) -> io::Result<Page<RecordSummary>> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidInput, "the cursor is none of ours");
    let before = query.cursor.as_deref();
    let before = before
        .map(|cursor| Place::parse(cursor).ok_or_else(invalid))
        .transpose()?;
    let limit = query.limit.clamp(1, PAGE_MAX);
    let mut page = Page::whole(Vec::new());
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
                    page.items.push(summary(place.to_string(), &line));
                }
                if page.items.len() == limit || looked == ROWS_MAX {
                    page.next = Some(place.to_string());
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
pub fn get(folder: &Path, id: &str) -> io::Result<Option<RecordDetail>> {
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
    Ok(line.map(|line| detail(place.to_string(), &line)))
}

/// Whether a line is no row but says what rows keep.
pub(super) fn is_basis(line: &str) -> bool {
    line.starts_with("{\"basis\"")
}

impl Query {
    /// The statuses that `404` or `5xx` stand for.
    #[must_use]
    pub fn statuses(text: &str) -> Option<(u16, u16)> {
        match text.strip_suffix("xx") {
            Some(class) => {
                let class: u16 = class.parse().ok().filter(|class| (1..=9).contains(class))?;
                Some((class * 100, class * 100 + 99))
            }
            None => text.parse().ok().map(|status| (status, status)),
        }
    }

    fn fits(&self, line: &Line<'_>) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        let ai = line.ai.as_deref();
        let ended_ms = (line.started_us + line.duration_us) / 1000;
        is(&self.route, line.route.as_deref())
            && is(&self.consumer, line.consumer.as_deref())
            && is(&self.trace, line.trace.as_deref())
            && is(&self.fault, line.fault.as_deref())
            && is(&self.model, ai.map(|ai| &*ai.model))
            && is(&self.provider, ai.and_then(|ai| ai.provider.as_deref()))
            && self.teams.as_ref().is_none_or(|teams| {
                let team = line.team.as_deref();
                team.is_some_and(|team| teams.iter().any(|known| known == team))
            })
            && self.from_ms.is_none_or(|from| ended_ms >= from)
            && self.until_ms.is_none_or(|until| ended_ms <= until)
            && self.revision.is_none_or(|wanted| wanted == line.revision)
            && self
                .status
                .is_none_or(|(least, most)| (least..=most).contains(&line.status))
    }
}

fn summary(id: String, line: &Line<'_>) -> RecordSummary {
    let ai = line.ai.as_deref();
    let path = line
        .target
        .split_once('?')
        .map_or(&*line.target, |(path, _)| path);
    RecordSummary {
        id,
        at: moment(line.started_us),
        method: line.method.to_string(),
        host: line.authority.to_string(),
        path: path.to_owned(),
        route: owned(&line.route),
        consumer: owned(&line.consumer),
        team: owned(&line.team),
        model: ai.map(|ai| ai.model.to_string()),
        provider: ai.and_then(|ai| owned(&ai.provider)),
        status: line.status,
        fault: owned(&line.fault),
        duration_ms: milliseconds(line.duration_us),
        revision: Some(line.revision),
        trace: owned(&line.trace),
        tokens_in: ai.and_then(|ai| ai.tokens).map(|tokens| tokens[0]),
        tokens_out: ai.and_then(|ai| ai.tokens).map(|tokens| tokens[1]),
        cost: ai
            .and_then(|ai| ai.cost)
            .map(|cost| Money::from_picodollars(cost).to_string()),
        ..RecordSummary::default()
    }
}

fn detail(id: String, line: &Line<'_>) -> RecordDetail {
    let attempts = line.attempts.iter();
    RecordDetail {
        record: summary(id, line),
        timeline: timeline(line),
        attempts: attempts
            .map(|(target, status, fault, started, duration)| Attempt {
                target: target.to_string(),
                at_ms: milliseconds(*started),
                duration_ms: milliseconds(*duration),
                status: (*status > 0).then_some(*status),
                fault: owned(fault),
            })
            .collect(),
        more: more(line),
    }
}

fn timeline(line: &Line<'_>) -> Vec<Moment> {
    let mut moments = Vec::new();
    let mut add = |us: u64, what: &str, detail: String| {
        moments.push(Moment {
            at_ms: milliseconds(us),
            what: what.to_owned(),
            detail,
        });
    };
    let route = line.route.as_deref().unwrap_or("none");
    add(0, "route", route.to_owned());
    if let Some(policy) = &line.answered_by {
        let fault = line.fault.as_deref().unwrap_or_default();
        add(0, &format!("policy {}", &**policy), fault.to_owned());
    }
    for (target, _, _, started, _) in &line.attempts {
        add(*started, "attempt", target.to_string());
    }
    if let Some(at) = line.ai.as_deref().and_then(|ai| ai.first_token_us) {
        add(at, "first_token", String::new());
    }
    if let Some(at) = line.first_byte_us {
        add(at, "first_byte", line.status.to_string());
    }
    let outcome = line.outcome.as_deref().unwrap_or("complete");
    add(line.duration_us, "end", outcome.to_owned());
    moments.order_by(|one, other| one.at_ms.total_cmp(&other.at_ms));
    moments
}

fn more(line: &Line<'_>) -> Map<String, Value> {
    let mut more = Map::new();
    let query = line.target.split_once('?').map(|(_, query)| query);
    for (name, value) in [
        ("listener", Some(&*line.listener)),
        ("client", Some(&*line.address)),
        ("query", query),
        ("key", line.key.as_deref()),
        ("target", line.called.as_deref()),
        ("answered_by", line.answered_by.as_deref()),
        ("request_id", line.request_id.as_deref()),
    ] {
        more.extend(value.map(|value| (name.to_owned(), Value::from(value))));
    }
    let ai = line.ai.as_deref();
    if let Some(model) = ai.and_then(|ai| ai.provider_model.as_deref()) {
        more.insert("provider_model".into(), model.into());
    }
    if let Some((name, version)) = &line.prompt {
        more.insert("prompt".into(), format!("{}@{version}", &**name).into());
    }
    if let Some((api, version)) = &line.api {
        let at = if version.is_empty() { "" } else { "@" };
        more.insert("api".into(), format!("{}{at}{}", &**api, &**version).into());
    }
    if let Some(contract) = &line.contract {
        more.insert("contract".into(), broken(contract));
    }
    more.insert("request_bytes".into(), line.bytes.0.into());
    more.insert("response_bytes".into(), line.bytes.1.into());
    more.insert("tls".into(), line.tls.into());
    more
}

/// Where messages broke their contract, as the access log writes it.
fn broken(contract: &ContractLine<'_>) -> Value {
    let places = contract.broken.iter().map(|place| {
        let [side, place, name, pointer, detail] = place;
        json!({ "side": &**side, "in": &**place, "name": &**name, "pointer": &**pointer, "detail": &**detail })
    });
    json!({
        "api": &*contract.api, "operation": &*contract.operation,
        "broken": places.collect::<Vec<_>>(), "more": contract.more,
    })
}

fn owned(text: &Option<Text<'_>>) -> Option<String> {
    text.as_ref().map(|text| text.to_string())
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
