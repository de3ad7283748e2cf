//! Incidents, written while they happen.
//!
//! An [`Incident`] gathers what is known about one trouble: *facts*, each with the query that shows
//! it, and *hypotheses*, which are something else and never become facts. The [`Desk`] (`desk.rs`)
//! decides which signal opens an incident and which joins one. `onset.rs` finds when it began,
//! `run.rs` and `score.rs` are about those that experiments make,
//! `lint.rs` and `postmortem.rs` draft what is learnt, `similar.rs` finds what was alike before,
//! `status.rs` is the page for outsiders.
//! Nothing here knows stores, clocks or people; actors are names, and drafts show their roles.

mod desk;
mod facts;
mod html;
mod lint;
mod onset;
mod plot;
mod postmortem;
mod run;
mod score;
mod similar;
mod status;
#[cfg(test)]
mod tests;

pub use desk::{Closed, Desk, Effect, OPEN_MAX, Opening, Signal, Subject};
pub use facts::{Fact, Hypothesis, Impact, Query, Standing, What};
pub use html::html;
pub use lint::{Objection, lint};
pub use onset::{Onset, onset};
pub use plot::{plot, shares};
pub use postmortem::{Action, ActionState, Narrative, draft, words, written};
pub use run::{About, GamePlan, Run};
pub use score::{NAMED_MAX, Score, passed, score};
pub use similar::{Past, Similar, similar};
pub use status::{StatusIncident, StatusPage, StatusUpdate, status, status_page};

use crate::attribution::Conjunction;
use crate::slo::Count;
use gate_kit::order::Gather;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most facts of one incident; later ones are counted, not kept, except those of its impact.
pub const FACTS_MAX: usize = 2000;
/// Most hypotheses, updates and joined signals of one incident.
pub const LINES_MAX: usize = 500;

/// Where an incident is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// Something burns.
    Detected,
    /// How bad it is has been judged.
    Triaged,
    /// Something was done and it burns no more as it did.
    Mitigated,
    /// It has been quiet since.
    Resolved,
    /// What is to be learnt has been written down.
    Reviewed,
}

impl Life {
    /// The word used in the store, the API and drafts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Life::Detected => "detected",
            Life::Triaged => "triaged",
            Life::Mitigated => "mitigated",
            Life::Resolved => "resolved",
            Life::Reviewed => "reviewed",
        }
    }

    /// Whether signals still join it.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Life::Detected | Life::Triaged | Life::Mitigated)
    }
}

/// How bad it is; 1 is the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Severity(pub u8);

impl Severity {
    /// From how fast the budget burns and which share of it the incident has spent: 1 where it lasts
    /// for hours at most or half of it is gone, 2 where it pages at once, 3 where it pages slowly.
    #[must_use]
    pub fn of(burn: f64, spent: f64) -> Severity {
        match () {
            () if burn >= 100.0 || spent >= 0.5 => Severity(1),
            () if burn >= 14.4 || spent >= 0.1 => Severity(2),
            () if burn >= 6.0 || spent >= 0.02 => Severity(3),
            () => Severity(4),
        }
    }
}

impl Severity {
    /// Where no objective says what it costs: from the share of exchanges that failed and how many
    /// routes had some that did. Half of them is 2, a tenth 3, less 4; several routes are one worse.
    #[must_use]
    pub fn by_share(count: Count, routes: usize) -> Severity {
        let alone = match count.ratio().unwrap_or(0.0) {
            share if share >= 0.5 => 2,
            share if share >= 0.1 => 3,
            _ => 4,
        };
        Severity(alone - u8::from(routes > 1))
    }
}

/// Parts that people take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Decides.
    Commander,
    /// Speaks to those outside.
    Communications,
    /// Acts.
    Operations,
}

impl Role {
    /// The word used in drafts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Commander => "incident commander",
            Role::Communications => "communications lead",
            Role::Operations => "operations lead",
        }
    }
}

/// A word to the public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// When, in UNIX milliseconds.
    pub at_ms: u64,
    /// Where the incident was.
    pub life: Life,
    /// The word.
    pub text: String,
}

/// Most seconds of an incident's curve.
pub const SERIES_MAX: usize = 1800;

/// One second of what an incident is about.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Its beginning, in UNIX milliseconds.
    pub at_ms: u64,
    /// Events in it.
    pub count: Count,
}

/// Why a step was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// One trouble.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its name, for ever.
    pub id: String,
    /// Where it is in its life.
    pub life: Life,
    /// How bad it is, once triaged.
    pub severity: Option<Severity>,
    /// When it was opened, in UNIX milliseconds.
    pub opened_ms: u64,
    /// When something was last heard of it.
    pub heard_ms: u64,
    /// What opened it.
    pub opening: Opening,
    /// An experiment that made it, by name; none for a real one.
    pub experiment: Option<String>,
    /// The run of that experiment, with what it does where.
    #[serde(default)]
    pub run: Option<Run>,
    /// What it is about, with everything that joined.
    pub objectives: BTreeSet<String>,
    /// Routes that it is about.
    pub routes: BTreeSet<String>,
    /// Revisions that it is about.
    pub revisions: BTreeSet<String>,
    /// Where it is: the first answer of attribution.
    pub cell: Vec<Conjunction>,
    /// How many signals joined, the first one included.
    pub signals: u64,
    /// What is so, in the order in which it became known.
    pub facts: Vec<Fact>,
    /// Facts that found no place.
    pub facts_left_out: u64,
    /// What could be so.
    pub hypotheses: Vec<Hypothesis>,
    /// Who has which role.
    pub roles: BTreeMap<Role, String>,
    /// Words to the public.
    pub updates: Vec<Update>,
    /// Events by second, in order, from shortly before it began; at most [`SERIES_MAX`].
    #[serde(default)]
    pub series: Vec<Moment>,
}

impl Incident {
    /// Notes a fact; returns its number, or none where it found no place. Impact, life and failover are
    /// always noted: there are few of them, and each impact takes the place of the one before.
    pub fn note(&mut self, at_ms: u64, what: What, query: Query) -> Option<u32> {
        if matches!(what, What::Impact(_)) {
            let known = self
                .facts
                .iter_mut()
                .find(|fact| matches!(fact.what, What::Impact(_)));
            if let Some(fact) = known {
                (fact.at_ms, fact.what, fact.query) = (at_ms, what, query);
                return Some(fact.id);
            }
        }
        let is_kept = matches!(
            what,
            What::Impact(_) | What::Life { .. } | What::Failover { .. }
        );
        // Whoever turns an incident to and fro a thousand times has made their point.
        if self.facts.len() >= FACTS_MAX && (!is_kept || self.facts.len() >= 2 * FACTS_MAX) {
            self.facts_left_out += 1;
            return None;
        }
        let id = self.facts.last().map_or(1, |fact| fact.id + 1);
        self.facts.push(Fact {
            id,
            at_ms,
            what,
            query,
        });
        Some(id)
    }

    /// Adds what could be so. It must cite facts that there are.
    ///
    /// # Errors
    /// When it cites none, or one that there is not, or there are [`LINES_MAX`].
    pub fn suppose(&mut self, hypothesis: Hypothesis) -> Result<(), Refused> {
        let is_there = |id: &u32| self.facts.iter().any(|fact| fact.id == *id);
        if hypothesis.facts.is_empty() || !hypothesis.facts.iter().all(is_there) {
            return Err(Refused("a hypothesis cites facts of its incident".into()));
        }
        if self.hypotheses.len() >= LINES_MAX {
            return Err(Refused(format!("there are {LINES_MAX} hypotheses already")));
        }
        self.hypotheses.push(hypothesis);
        Ok(())
    }

    /// Judges how bad it is, by burn and share of the budget spent. It only gets worse by itself; the
    /// first judgement makes it triaged.
    pub fn triage(&mut self, burn: f64, spent: f64, now_ms: u64) {
        self.worsen(Severity::of(burn, spent), now_ms);
    }

    /// Judges how bad it is where no objective does: by the share of exchanges that failed and the routes
    /// with such.
    pub fn triage_by_share(&mut self, count: Count, routes: usize, now_ms: u64) {
        self.worsen(Severity::by_share(count, routes), now_ms);
    }

    fn worsen(&mut self, found: Severity, now_ms: u64) {
        let worst = self.severity.map_or(found, |known| known.min(found));
        self.severity = Some(worst);
        if self.life == Life::Detected {
            self.enter(Life::Triaged, format!("severity {}", worst.0), now_ms);
        }
    }

    /// Judges how bad it is, by somebody's word: better or worse than it judged itself.
    ///
    /// # Errors
    /// When there is no such severity; they go from 1 to 4.
    pub fn judge(&mut self, severity: u8, who: Role, now_ms: u64) -> Result<(), Refused> {
        if !(1..=4).contains(&severity) {
            return Err(Refused("a severity goes from 1, the worst, to 4".into()));
        }
        self.severity = Some(Severity(severity));
        let reason = format!("severity {severity}, by the {}", who.as_str());
        match self.life {
            Life::Detected => self.enter(Life::Triaged, reason, now_ms),
            life => {
                let query = self.query("incidents", now_ms);
                self.note(now_ms, What::Life { life, reason }, query);
            }
        }
        Ok(())
    }

    /// Notes what was done.
    pub fn act(&mut self, text: &str, by: &str, now_ms: u64) -> Option<u32> {
        let query = self.query("incidents", now_ms);
        let (text, by) = (text.to_owned(), by.to_owned());
        self.note(now_ms, What::Action { text, by }, query)
    }

    /// Says what became of a hypothesis, by its place from 0.
    ///
    /// # Errors
    /// When there is none at that place.
    pub fn weigh(&mut self, place: usize, standing: Standing) -> Result<(), Refused> {
        let found = self.hypotheses.get_mut(place);
        let found = found.ok_or_else(|| Refused("there is no such hypothesis".into()))?;
        found.standing = standing;
        Ok(())
    }

    /// Takes seconds of the curve over; those that are known are replaced. The oldest go first.
    pub fn curve(&mut self, moments: &[Moment]) {
        let mut all: BTreeMap<u64, Count> = self
            .series
            .iter()
            .map(|one| (one.at_ms, one.count))
            .into_map();
        all.extend(moments.iter().map(|one| (one.at_ms, one.count)));
        let passed = all.len().saturating_sub(SERIES_MAX);
        let kept = all.into_iter().skip(passed);
        self.series = kept.map(|(at_ms, count)| Moment { at_ms, count }).collect();
    }

    /// Goes on to another part of its life, by somebody's word.
    ///
    /// # Errors
    /// When it is there already, or would skip a review's incident being resolved, or was reviewed.
    pub fn go_to(&mut self, life: Life, who: Role, now_ms: u64) -> Result<(), Refused> {
        let refused = |text: &str| Err(Refused(text.into()));
        match (self.life, life) {
            (now, then) if now == then => return refused("it is there already"),
            (Life::Reviewed, _) => {
                return refused("it was reviewed; what is new opens another incident");
            }
            (now, Life::Reviewed) if now != Life::Resolved => {
                return refused("only what is resolved is reviewed");
            }
            (_, Life::Detected) => return refused("nothing becomes undiscovered"),
            _ => {}
        }
        self.enter(life, format!("by the {}", who.as_str()), now_ms);
        Ok(())
    }

    pub(super) fn enter(&mut self, life: Life, reason: String, now_ms: u64) {
        self.life = life;
        let query = self.query("incidents", now_ms);
        self.note(now_ms, What::Life { life, reason }, query);
    }

    /// Gives a role to somebody; the one before hands over.
    pub fn assign(&mut self, role: Role, who: &str, now_ms: u64) {
        let before = self.roles.insert(role, who.to_owned());
        let text = match before {
            Some(_) => format!("the {} handed over", role.as_str()),
            None => format!("the role of {} was taken", role.as_str()),
        };
        let query = self.query("incidents", now_ms);
        let by = role.as_str().to_owned();
        self.note(now_ms, What::Action { text, by }, query);
    }

    /// Says a word to the public.
    ///
    /// # Errors
    /// When there are [`LINES_MAX`] already.
    pub fn publish(&mut self, text: &str, now_ms: u64) -> Result<(), Refused> {
        if self.updates.len() >= LINES_MAX {
            return Err(Refused(format!("there are {LINES_MAX} updates already")));
        }
        let life = self.life;
        let text = text.to_owned();
        self.updates.push(Update {
            at_ms: now_ms,
            life,
            text,
        });
        Ok(())
    }

    /// When it began: by the change point, else when it was opened.
    #[must_use]
    pub fn onset_ms(&self) -> u64 {
        let onset = self
            .facts
            .iter()
            .find(|fact| matches!(fact.what, What::Onset { .. }));
        onset.map_or(self.opened_ms, |fact| fact.at_ms)
    }

    /// When it was over: the last recovery.
    #[must_use]
    pub fn recovered_ms(&self) -> Option<u64> {
        let recoveries = self.facts.iter().rev();
        let mut recoveries = recoveries.filter(|fact| matches!(fact.what, What::Recovery {}));
        recoveries.next().map(|fact| fact.at_ms)
    }

    /// What it cost so far.
    #[must_use]
    pub fn impact(&self) -> Option<Impact> {
        self.facts.iter().find_map(|fact| match fact.what {
            What::Impact(impact) => Some(impact),
            _ => None,
        })
    }

    /// A question about this incident.
    fn query(&self, of: &str, until_ms: u64) -> Query {
        Query {
            of: format!("{of}/{}", self.id),
            filter: BTreeMap::new(),
            from_ms: self.opened_ms,
            until_ms,
        }
    }
}
