//! One stream of text: what a choice says, or the arguments of one tool call.
//!
//! Text comes in pieces. Everything up to the last cut is decided at once: matches become edits,
//! counted in bytes of the source since the lane began. What lies behind the last cut waits, at
//! most [`HOLD_MAX`] bytes of it.

use super::Point;
use super::cut::Cutter;
use super::detect::MATCH_MAX;
use super::places::Kind;
use super::scan;
use super::session::Session;
use super::text::{Edit, Lens, Seen};
use super::vault::unfinished_placeholder;
use std::collections::VecDeque;

/// Most bytes of one stream of text that are held back, whatever is looked for.
pub const HOLD_MAX: usize = 2 * MATCH_MAX;

/// One stream of text.
#[derive(Debug)]
pub(crate) struct Lane {
    point: Point,
    /// Signed by the provider: the caller's copy must stay as it is.
    signed: bool,
    /// Reads JSON text; plain text has none.
    lens: Option<Lens>,
    /// Text that is not decided.
    text: Vec<u8>,
    /// By byte of `text`, where it comes from; only with a lens.
    seen: Vec<Seen>,
    /// The byte in front of `text`.
    before: u8,
    cutter: Cutter,
    /// Bytes of the source that were pushed, and that are decided.
    pushed: usize,
    settled: usize,
    /// What is to be changed, by bytes of the source.
    edits: VecDeque<Edit>,
}

impl Lane {
    /// A lane at a point, over text of this kind.
    pub(crate) fn new(point: Point, kind: Kind) -> Self {
        Self {
            point,
            signed: kind == Kind::Signed,
            lens: (kind == Kind::Json).then(Lens::default),
            text: Vec::new(),
            seen: Vec::new(),
            before: b' ',
            cutter: Cutter::default(),
            pushed: 0,
            settled: 0,
            edits: VecDeque::new(),
        }
    }

    /// Bytes of the source so far.
    pub(crate) fn pushed(&self) -> usize {
        self.pushed
    }

    /// Bytes of the source that are decided.
    pub(crate) fn settled(&self) -> usize {
        self.settled
    }

    /// Takes more text.
    pub(crate) fn push(&mut self, mut source: &[u8], session: &mut Session<'_>) {
        while !source.is_empty() {
            let room = HOLD_MAX - self.text.len().min(HOLD_MAX - 1);
            // An escape is shorter than its text, so that the text never outgrows the room.
            let (now, later) = source.split_at(source.len().min(room));
            source = later;
            match &mut self.lens {
                None => self.text.extend_from_slice(now),
                Some(lens) => lens.push(now, self.pushed, &mut self.text, &mut self.seen),
            }
            self.pushed += now.len();
            self.advance(session);
            if self.text.len() >= HOLD_MAX {
                self.overflow(session);
            }
        }
    }

    /// Decides what is left: no more text will come, or none that belongs to it.
    pub(crate) fn finish(&mut self, session: &mut Session<'_>) {
        if let Some(lens) = &mut self.lens {
            lens.finish(self.pushed, &mut self.text, &mut self.seen);
        }
        self.settle(self.text.len(), true, session);
        self.settled = self.pushed;
        session.count(self.point, b"", true);
        self.before = b' ';
        self.cutter = Cutter::default();
    }

    /// The edits that lie within these bytes of the source, counted from `start`. Of one that
    /// began earlier only the removal is left. Ranges have to be asked for in order.
    pub(crate) fn edits(&mut self, start: usize, end: usize) -> Vec<Edit> {
        let mut out = Vec::new();
        while let Some(first) = self.edits.front_mut() {
            if first.range.start >= end {
                break;
            }
            let from = first.range.start.max(start) - start;
            let to = first.range.end.min(end) - start;
            out.push(Edit {
                range: from..to.max(from),
                with: std::mem::take(&mut first.with),
            });
            if first.range.end > end {
                first.range.start = end;
                break;
            }
            self.edits.pop_front();
        }
        out
    }

    fn advance(&mut self, session: &mut Session<'_>) {
        let rules = session.rules();
        let plan = rules.plan(self.point);
        if plan.finds_nothing() {
            // Only placeholders are looked for, and those say themselves where they begin.
            let open = unfinished_placeholder(&self.text).filter(|_| session.restores(self.signed));
            let open = open.unwrap_or(self.text.len());
            return self.settle(open, true, session);
        }
        let end = self.text.len().saturating_sub(plan.hold);
        let (is_json, seen) = (self.lens.is_some(), &self.seen);
        let is_outside = |at: usize| is_json && seen[at].is_outside();
        let cut = self
            .cutter
            .advance(&self.text, end, plan.needs, plan.words.as_ref(), is_outside);
        if cut > 0 {
            self.settle(cut, false, session);
        }
    }

    /// The text is as long as may be held: its first half is decided. No match is longer than the
    /// other half, so one that begins in the first is complete.
    fn overflow(&mut self, session: &mut Session<'_>) {
        let mut end = HOLD_MAX - MATCH_MAX;
        while end > 1 && self.text[end] & 0xc0 == 0x80 {
            end -= 1;
        }
        if self.lens.is_some() {
            while end > 1 && self.seen[end].start == self.seen[end - 1].start {
                end -= 1;
            }
        }
        let rules = session.rules();
        let plan = rules.plan(self.point);
        let found = scan::joined(scan::matches(plan, rules.rules(), &self.text, self.before));
        let spans = found
            .iter()
            .find(|m| m.range.start < end && end < m.range.end);
        if let Some(spans) = spans {
            end = if spans.range.start > 0 {
                spans.range.start
            } else {
                spans.range.end
            };
        }
        self.settle(end, true, session);
    }

    /// Decides the first `end` bytes of the text, unless an expression matches across and waiting
    /// is possible.
    fn settle(&mut self, end: usize, is_final: bool, session: &mut Session<'_>) {
        if end == 0 {
            return;
        }
        let is_all = end == self.text.len();
        let rules = session.rules();
        let plan = rules.plan(self.point);
        let context = if is_final || plan.hold > 0 {
            self.text.len()
        } else {
            end
        };
        let mut found = scan::matches(plan, rules.rules(), &self.text[..context], self.before);
        if !is_final
            && found
                .iter()
                .any(|m| m.range.start < end && end < m.range.end)
        {
            return;
        }
        found.retain(|m| m.range.start < end);
        session.count(self.point, &self.text[..end], false);
        for found in &found {
            session.note(found.rule, self.point);
        }
        self.edit(found, end, session);
        self.before = self.text[end - 1];
        self.settled = match &self.lens {
            None => self.settled + end,
            Some(_) if is_all => self.pushed - self.lens.as_ref().map_or(0, Lens::pending),
            Some(_) => self.seen[end].start,
        };
        self.text.drain(..end);
        self.seen.drain(..end.min(self.seen.len()));
        self.cutter.shift(end);
    }

    fn edit(&mut self, found: Vec<scan::Match>, end: usize, session: &mut Session<'_>) {
        let mut edits: Vec<Edit> = Vec::new();
        for found in scan::joined(found) {
            if !session.edits(found.action, self.signed) {
                continue;
            }
            let with = session.replacement(&found, &self.text);
            edits.push(Edit {
                range: found.range,
                with,
            });
        }
        if session.restores(self.signed) {
            for (range, value) in scan::placeholders(session.vault(), &self.text[..end]) {
                if edits
                    .iter()
                    .all(|edit| edit.range.end <= range.start || range.end <= edit.range.start)
                {
                    edits.push(Edit {
                        range,
                        with: value.to_owned(),
                    });
                }
            }
            edits.sort_by_key(|edit| edit.range.start);
        }
        let base = self.settled;
        let seen = self.lens.is_some().then_some(&self.seen);
        for mut edit in edits {
            match seen {
                None => edit.range = base + edit.range.start..base + edit.range.end,
                Some(seen) if !super::text::lift(&mut edit, seen) => continue,
                Some(_) => {}
            }
            self.edits.push_back(edit);
        }
    }
}
