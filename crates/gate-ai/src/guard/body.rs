//! A whole body: its texts are checked, its strings are spliced.

use super::lane::Lane;
use super::places::{Found, Kind, LaneKey, Means, Places};
use super::session::{Guard, Session};
use super::text::{splice, unescape};
use super::{Point, RuleSet};
use crate::DialectError;
use crate::endpoint::Operation;
use crate::json::scan::RawString;
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// Which way a body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// From the caller to the model.
    Request,
    /// From the model to the caller.
    Response,
}

impl Guard {
    /// Checks a whole body as the caller sent it or will see it. `None` when nothing is to be
    /// changed in it; the body with its edits otherwise. A body without texts stays unread. Ask [`Guard::blocked`] before sending either on.
    ///
    /// # Errors
    /// [`DialectError`] when the body is not JSON, so that nothing can be said about it.
    pub fn check(
        &mut self,
        operation: Operation,
        side: Side,
        body: &[u8],
    ) -> Result<Option<Vec<u8>>, DialectError> {
        let mut strings: Vec<Found<'_>> = Vec::new();
        let Some(places) = Places::of_body(operation, side) else {
            return Ok(None);
        };
        places.visit(body, &mut |found| strings.push(found))?;
        let mut session = self.session(side);
        if side == Side::Request {
            session.vault().reserve(body);
        }
        let mut lanes: Vec<(LaneKey, Lane)> = Vec::new();
        let mut checked: Vec<(RawString<'_>, Checked)> = Vec::new();
        for Found { means, key, raw } in strings {
            let (Means::Whole(point, kind) | Means::Again(point, kind) | Means::Delta(point, kind)) =
                means
            else {
                continue;
            };
            let Some(raw) = raw else { continue };
            if !session.matters(point, kind == Kind::Signed) {
                continue;
            }
            session.counts = !matches!(means, Means::Again(..));
            if let Means::Delta(..) = means {
                // A stream that came as one list: its pieces belong together.
                let lane = lane_of(&mut lanes, key, || Lane::new(point, kind));
                let from = lanes[lane].1.pushed();
                lanes[lane].1.push(&text_of(&raw), &mut session);
                let part = from..lanes[lane].1.pushed();
                checked.push((raw, Checked::Part { lane, part }));
            } else if let Some(with) = check_string(&mut Lane::new(point, kind), &raw, &mut session)
            {
                checked.push((raw, Checked::Ready(with)));
            }
        }
        lanes
            .iter_mut()
            .for_each(|(_, lane)| lane.finish(&mut session));
        Ok(edited(body, checked, &mut lanes))
    }
}

/// A string that was looked at.
enum Checked {
    /// Its inside with its edits.
    Ready(Vec<u8>),
    /// A part of a lane's text.
    Part { lane: usize, part: Range<usize> },
}

fn lane_of(lanes: &mut Vec<(LaneKey, Lane)>, key: LaneKey, make: impl FnOnce() -> Lane) -> usize {
    let known = lanes.iter().position(|(known, _)| *known == key);
    known.unwrap_or_else(|| {
        lanes.push((key, make()));
        lanes.len() - 1
    })
}

/// The body with its edits; `None` when there are none.
fn edited(
    body: &[u8],
    checked: Vec<(RawString<'_>, Checked)>,
    lanes: &mut [(LaneKey, Lane)],
) -> Option<Vec<u8>> {
    let mut out: Option<Vec<u8>> = None;
    let mut copied = 0;
    for (raw, checked) in checked {
        let with = match checked {
            Checked::Ready(with) => with,
            Checked::Part { lane, part } => {
                let edits = lanes[lane].1.edits(part.start, part.end);
                if edits.is_empty() {
                    continue;
                }
                let mut with = Vec::with_capacity(raw.inner.len() + 32);
                splice(raw.inner, &edits, &mut with);
                with
            }
        };
        let out = out.get_or_insert_with(|| Vec::with_capacity(body.len() + 64));
        out.extend_from_slice(&body[copied..=raw.start]);
        out.extend_from_slice(&with);
        copied = raw.end - 1;
    }
    if let Some(out) = &mut out {
        out.extend_from_slice(&body[copied..]);
    }
    out
}

/// The inside of a string with its edits; `None` when it stays.
pub(super) fn check_string(
    lane: &mut Lane,
    raw: &RawString<'_>,
    session: &mut Session<'_>,
) -> Option<Vec<u8>> {
    let text = text_of(raw);
    lane.push(&text, session);
    lane.finish(session);
    let edits = lane.edits(0, text.len());
    if edits.is_empty() {
        return None;
    }
    let mut out = Vec::with_capacity(raw.inner.len() + 32);
    splice(raw.inner, &edits, &mut out);
    Some(out)
}

/// Any text as it may be kept: what the rules for answers mask or redact is replaced. `is_json`
/// says whether escapes in strings mean something; the text need not be whole JSON.
#[must_use]
pub fn redacted(rules: &Arc<RuleSet>, text: &[u8], is_json: bool) -> Vec<u8> {
    let mut guard = Guard::new(rules.clone(), false);
    let mut session = guard.session(Side::Response);
    let kind = if is_json { Kind::Json } else { Kind::Text };
    let mut lane = Lane::new(Point::Response, kind);
    lane.push(text, &mut session);
    lane.finish(&mut session);
    let mut out = Vec::with_capacity(text.len());
    let mut copied = 0;
    for edit in lane.edits(0, text.len()) {
        out.extend_from_slice(&text[copied..edit.range.start]);
        out.extend_from_slice(edit.with.as_bytes());
        copied = edit.range.end;
    }
    out.extend_from_slice(&text[copied..]);
    out
}

/// The text of a string.
pub(super) fn text_of<'a>(raw: &RawString<'a>) -> Cow<'a, [u8]> {
    if memchr::memchr(b'\\', raw.inner).is_none() {
        return Cow::Borrowed(raw.inner);
    }
    let mut text = Vec::with_capacity(raw.inner.len());
    unescape(raw.inner, &mut text);
    Cow::Owned(text)
}

/// Whether requests of this operation hold texts that can be looked at.
#[must_use]
pub fn can_read(operation: Operation) -> bool {
    Places::of_body(operation, Side::Request).is_some()
}

/// Whether answers of this operation hold texts that can be looked at.
#[must_use]
pub fn can_read_answer(operation: Operation) -> bool {
    Places::of_body(operation, Side::Response).is_some()
}

/// The texts of a body at one point, with blank lines between, up to `most` bytes: for guards that
/// are asked elsewhere.
///
/// # Errors
/// [`DialectError`] when the body is not JSON.
pub fn texts(
    operation: Operation,
    side: Side,
    body: &[u8],
    point: Point,
    most: usize,
) -> Result<Vec<u8>, DialectError> {
    let mut out = Vec::new();
    let Some(places) = Places::of_body(operation, side) else {
        return Ok(out);
    };
    places.visit(body, &mut |found| {
        let (Means::Whole(at, _) | Means::Delta(at, _), Some(raw)) = (found.means, found.raw)
        else {
            return;
        };
        if at == point && out.len() < most {
            if !out.is_empty() {
                out.extend_from_slice(b"\n\n");
            }
            unescape(raw.inner, &mut out);
        }
    })?;
    out.truncate(most);
    Ok(out)
}
