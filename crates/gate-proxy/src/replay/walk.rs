//! A row on its way through the policies of both sides.

use super::Replay;
use super::lane::Lane;
use super::side::{self, Recorded, Side, Walked};
use super::tally::Outcome;
use super::versions::Chosen;
use crate::record::recent::line::{Basis, Line};
use gate_flow::Parameters;
use gate_kit::http::RequestHead;
use std::time::Duration;

/// A row on its way through the policies of two routes.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    pub(super) lane: &'a Lane,
    pub(super) basis: &'a Basis,
    pub(super) line: &'a Line<'a>,
    pub(super) head: &'a RequestHead,
    pub(super) routes: (usize, usize),
    /// The row's caller may be another one.
    pub(super) touched: bool,
}

impl Walk<'_> {
    /// The verdicts where both routes have the same policies.
    pub(super) fn recorded(&self, current: &Side) -> Result<(Walked, Walked), Vec<String>> {
        let recorded = current.recorded(self.basis, self.line, Some(self.routes.0));
        match (self.lane.same_target, recorded, &self.line.answered_by) {
            // Refused before and after.
            (_, Recorded::StoppedAt(_), Some(policy)) => {
                let stopped = side::stopped(policy, self.line);
                Ok((stopped.clone(), stopped))
            }
            (true, ..) | (_, _, None) => Ok((Walked::Passed, Walked::Passed)),
            (false, _, Some(_)) => Err(vec!["a verdict of the configuration in force".into()]),
        }
    }
}

impl Replay {
    /// Runs the policies of both sides over a row; also the versions that they chose, where both
    /// let it through and chose one.
    pub(super) fn walk(
        &self,
        walk: &Walk<'_>,
        (before, after): (Parameters, Parameters),
        outcome: &mut Outcome,
    ) -> (Walked, Walked, Option<(Chosen, Chosen)>) {
        let Walk { lane, line, .. } = *walk;
        let at = Duration::from_micros(line.started_us);
        let now = self.services.clock().unix();
        self.hands.advance(at.saturating_sub(now));
        let (was, is) = walk.routes;
        let exchange = |side: &Side, route: usize, parameters: Parameters| {
            side.exchange(
                &self.services,
                line,
                walk.head.clone(),
                Some(route),
                parameters,
            )
        };
        let recorded = self.current.recorded(walk.basis, line, Some(was));
        // A record holds the verdict, and neither an answer nor what went on to the target.
        let answered = line.answered_by.is_some() && line.fault.is_none();
        let again = lane.altered || answered || recorded == Recorded::Nothing;
        let mut one = again.then(|| exchange(&self.current, was, before));
        let first = match (&mut one, line.answered_by.as_deref()) {
            (Some(one), _) => self
                .current
                .walk(one, &lane.before, (recorded, false), line),
            (None, None) => Walked::Passed,
            (None, Some(policy)) => side::stopped(policy, line),
        };
        let mut other = exchange(&self.candidate, is, after);
        let verdicts = (recorded, walk.touched);
        let second = self.candidate.walk(&mut other, &lane.after, verdicts, line);
        let mut versions = None;
        if let (Some(one), true, Walked::Passed, Walked::Passed) =
            (&one, lane.altered, &first, &second)
        {
            let sides = ((&*self.current, one), (&*self.candidate, &other));
            outcome.doubt(side::differences(sides.0, sides.1));
            versions = Chosen::of(one).zip(Chosen::of(&other));
        }
        (first, second, versions)
    }
}
