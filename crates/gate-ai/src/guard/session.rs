//! What one exchange's guard knows while its texts pass.

use super::rules::RuleSet;
use super::scan::{Match, Tally, replacement};
use super::{Action, Findings, Point, Side, Vault};
use std::sync::Arc;

/// One exchange's guard: its rules, what it replaced, and what it found.
///
/// The same guard sees the request and then the answer, so that the answer gets back what the
/// request lost.
#[derive(Debug)]
pub struct Guard {
    pub(super) rules: Arc<RuleSet>,
    pub(super) vault: Vault,
    pub(super) findings: Findings,
    pub(super) tallies: [Tally; 4],
    pub(super) blocked: Option<(usize, Point)>,
    pub(super) observes: bool,
}

impl Guard {
    /// A guard for one exchange. With `observes` it notes what it finds and changes nothing.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, observes: bool) -> Self {
        Self {
            rules,
            vault: Vault::default(),
            findings: Findings::default(),
            tallies: Default::default(),
            blocked: None,
            observes,
        }
    }

    /// What was found since this was last asked.
    pub fn take_findings(&mut self) -> Findings {
        std::mem::take(&mut self.findings)
    }

    /// The first rule that blocks and found something, and where.
    #[must_use]
    pub fn blocked(&self) -> Option<(usize, Point)> {
        self.blocked
    }

    /// Whether there is anything to do on an answer's way back.
    #[must_use]
    pub fn looks_at_answers(&self) -> bool {
        let looks = |point| self.rules.looks_at(point);
        !self.vault.is_empty() || looks(Point::Response) || looks(Point::ToolCall)
    }

    pub(super) fn session(&mut self, side: Side) -> Session<'_> {
        Session {
            guard: self,
            side,
            counts: true,
        }
    }
}

/// A guard while it looks at one side of its exchange.
pub(crate) struct Session<'g> {
    guard: &'g mut Guard,
    side: Side,
    /// Whether what is found is counted.
    pub(crate) counts: bool,
}

impl<'g> Session<'g> {
    pub(crate) fn rules(&self) -> Arc<RuleSet> {
        self.guard.rules.clone()
    }

    /// Counts a text against the sizes and scripts of its point.
    pub(crate) fn count(&mut self, point: Point, text: &[u8], at_end: bool) {
        if !self.counts {
            return;
        }
        let rules = self.guard.rules.clone();
        let tally = &mut self.guard.tallies[point as usize];
        for rule in tally
            .count(rules.plan(point), text, at_end)
            .into_iter()
            .flatten()
        {
            self.note(rule, point);
        }
    }

    pub(crate) fn vault(&mut self) -> &mut Vault {
        &mut self.guard.vault
    }

    /// Whether anything can become of a text at this point.
    pub(crate) fn matters(&self, point: Point, signed: bool) -> bool {
        self.guard.rules.looks_at(point) || self.restores(signed)
    }

    /// Notes that a rule found something.
    pub(crate) fn note(&mut self, rule: usize, point: Point) {
        let guard = &mut *self.guard;
        if self.counts {
            guard.findings.add(rule, point);
        }
        let blocks = guard.rules.rules()[rule].action == Action::Block;
        if blocks && !guard.observes && guard.blocked.is_none() {
            guard.blocked = Some((rule, point));
        }
    }

    /// Whether an action changes text here. What a provider has signed is changed on its way to
    /// the caller only: changed on its way back, the provider would refuse it.
    pub(crate) fn edits(&self, action: Action, signed: bool) -> bool {
        let changes = matches!(action, Action::Mask | Action::Redact);
        changes && !self.guard.observes && !(signed && self.side == Side::Request)
    }

    /// Whether placeholders are put back here.
    pub(crate) fn restores(&self, signed: bool) -> bool {
        self.side == Side::Response && !signed && !self.guard.vault.is_empty()
    }

    /// What takes the place of a match.
    pub(crate) fn replacement(&mut self, found: &Match, text: &[u8]) -> String {
        let restores = self.side == Side::Request;
        let rules = self.guard.rules.clone();
        replacement(found, rules.rules(), text, &mut self.guard.vault, restores)
    }
}
