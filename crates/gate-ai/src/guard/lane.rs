//! One stream of text: what a choice says, or the arguments of one tool call.
//!
//! Text comes in pieces. Everything up to the last cut is decided at once: matches become edits,
//! counted in bytes of the source since the lane began. What lies behind the last cut waits, at
//! most [`HOLD_MAX`] bytes of it.

use super::Point;
use super::cut::Cutter;
use super::detect::{LABEL_MAX, MATCH_MAX, leaves_block_open, rest_of_block};
use super::places::Kind;
use super::rules::{Plan, RuleSet};
use super::scan::{self, Match};
use super::session::Session;
use super::text::{Edit, Lens, Seen};
use super::vault::unfinished_placeholder;
use super::{Action, Pattern};
use std::collections::VecDeque;

/// Most bytes of one stream of text that are held back, whatever is looked for.
pub const HOLD_MAX: usize = 2 * MATCH_MAX;
/// Bytes at the end of a key block that wait for more of it: its last line may have begun there.
const LAST_LINE: usize = LABEL_MAX + 16;

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
    /// Whether `text` begins inside of a private key block whose beginning is decided.
    inside: bool,
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
            inside: false,
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
        (self.before, self.inside) = (b' ', false);
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

    /// The text is as long as may be held: its first half is decided. No match but a key block is
    /// longer than the other half, so one that begins in the first is complete. A key block is
    /// decided piece by piece.
    fn overflow(&mut self, session: &mut Session<'_>) {
        let mut end = self.boundary(HOLD_MAX - MATCH_MAX);
        let rules = session.rules();
        let plan = rules.plan(self.point);
        let found = scan::joined(self.matches(plan, &rules, self.text.len()));
        let spans = found
            .iter()
            .find(|m| m.range.start < end && end < m.range.end);
        let open =
            |text: &[u8]| plan.needs.blocks && leaves_block_open(text, self.before, self.inside);
        if let Some(spans) = spans {
            end = match spans.range.start {
                0 if open(&self.text) => self.boundary(HOLD_MAX - LAST_LINE),
                0 => spans.range.end,
                start => start,
            };
        }
        let is_inside = open(&self.text[..end]);
        self.settle(end, true, session);
        self.inside = is_inside;
    }

    /// The last place at or before `end` that lies between two characters of the text.
    fn boundary(&self, mut end: usize) -> usize {
        while end > 1 && self.text[end] & 0xc0 == 0x80 {
            end -= 1;
        }
        if self.lens.is_some() {
            while end > 1 && self.seen[end].start == self.seen[end - 1].start {
                end -= 1;
            }
        }
        end
    }

    /// Everything that is found in the first `end` bytes of the text. A key block in JSON text ends
    /// with its string.
    fn matches(&self, plan: &Plan, rules: &RuleSet, end: usize) -> Vec<Match> {
        let text = &self.text[..end];
        let mut found = scan::matches(plan, rules.rules(), text, self.before);
        let secrets = plan.patterns.iter().filter(|(p, _)| *p == Pattern::Secret);
        for (pattern, rule) in secrets.filter(|_| self.inside) {
            found.push(Match {
                rule: *rule,
                pattern: Some(*pattern),
                action: rules.rules()[*rule].action,
                range: 0..rest_of_block(text),
            });
        }
        if self.lens.is_some() {
            let secrets = found
                .iter_mut()
                .filter(|m| m.pattern == Some(Pattern::Secret));
            for Match { range, .. } in secrets {
                let part = &self.seen[range.clone()];
                let same = part.iter().take_while(|seen| seen.is_with(part[0])).count();
                range.end = range.start + same;
            }
        }
        found
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
        let mut found = self.matches(plan, &rules, context);
        if !is_final
            && found
                .iter()
                .any(|m| m.range.start < end && end < m.range.end)
        {
            return;
        }
        found.retain(|m| m.range.start < end);
        session.count(self.point, &self.text[..end], false);
        for found in &mut found {
            // Of a key block the rest is found again.
            found.range.end = found.range.end.min(end);
            if !self.goes_on(found) {
                session.note(found.rule, self.point);
            }
        }
        self.edit(found, end, session);
        (self.before, self.inside) = (self.text[end - 1], false);
        self.settled = match &self.lens {
            None => self.settled + end,
            Some(_) if is_all => self.pushed - self.lens.as_ref().map_or(0, Lens::pending),
            Some(_) => self.seen[end].start,
        };
        self.text.drain(..end);
        self.seen.drain(..end.min(self.seen.len()));
        self.cutter.shift(end);
    }

    /// Whether a match is the rest of a key block whose beginning was decided earlier.
    fn goes_on(&self, found: &Match) -> bool {
        self.inside && found.range.start == 0 && found.pattern == Some(Pattern::Secret)
    }

    fn edit(&mut self, found: Vec<Match>, end: usize, session: &mut Session<'_>) {
        let mut edits: Vec<Edit> = Vec::new();
        for found in scan::joined(found) {
            if !session.edits(found.action, self.signed) {
                continue;
            }
            // One placeholder stands for a whole block.
            let with = match self.goes_on(&found) && found.action == Action::Redact {
                true => String::new(),
                false => session.replacement(&found, &self.text),
            };
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
