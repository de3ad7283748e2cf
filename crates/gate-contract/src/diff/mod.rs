//! What a newer OpenAPI document (3.0, 3.1) changes for those who call by the older one.
//!
//! [`compare`] walks two documents side by side and answers with [`Change`]s: each has the name of
//! its rule, how bad it is, the operation, a sentence, and its place in both documents. Requests and
//! responses are judged in opposite ways: a request may ask for less and allow more, a response may
//! promise more and vary less. What webhooks and callbacks carry goes the other way round.
//!
//! Names of rules and their levels follow the checklist of oasdiff, so that lists of accepted changes
//! can be carried over; where its level hides that callers break (security, `anyOf` in answers), ours
//! is stricter, and [`levels`] says so. Reads no files, no clock and no network: references into
//! other files are not followed. Documents are hostile: cycles end, work and answers are bounded, and
//! a comparison that hits its bounds says so by a breaking change of its own.

mod bodies;
mod change;
mod levels;
mod lifecycle;
mod operations;
mod parameters;
mod schema;
mod security;
mod semantic;
mod spec;
#[cfg(test)]
mod tests;

pub use change::{Change, Diff, Operation, Place, Severity};
pub use semantic::{Proposal, Verdict};

use change::{Draft, places};
use gate_model::document::{Document, Node};
use schema::{Scope, Waiting};
use spec::Spec;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// Most schemas that are compared with one another in one comparison.
pub const STEPS_MAX: usize = 2_000_000;
/// Most changes that are told.
pub const CHANGES_MAX: usize = 10_000;
/// Deepest nesting of schemas that is followed.
pub const DEPTH_MAX: usize = 200;

/// What a comparison goes by besides the documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Today, in days since 1970 (UTC): what a sunset is held against.
    pub today: u64,
    /// How many days must lie between a deprecation and its sunset. Above 0, every deprecation has
    /// to name a sunset.
    pub notice_days: u64,
}

/// The version that a document gives itself (`info.version`), where that is a semantic one.
#[must_use]
pub fn version_of(document: &Document) -> Option<semver::Version> {
    semantic::read(&semantic::stated(&document.root)?)
}

/// Compares two documents.
#[must_use]
pub fn compare(old: &Document, new: &Document, options: &Options) -> Diff {
    let mut work = Compare {
        old: Spec::new(&old.root),
        new: Spec::new(&new.root),
        options: *options,
        drafts: Vec::new(),
        steps: STEPS_MAX,
        cut: false,
        same: HashSet::new(),
        walked: HashSet::new(),
        waiting: VecDeque::new(),
        operation: None,
        turned: false,
        most: None,
    };
    work.documents();
    let (drafts, cut) = (work.drafts, work.cut);
    let mut diff = Diff {
        old_version: semantic::stated(&old.root),
        new_version: semantic::stated(&new.root),
        differs: old.root != new.root,
        complete: !cut,
        changes: places(&old.root, &new.root, drafts),
    };
    diff.settle();
    diff
}

/// The addresses of two schemas, and how they are looked at.
type Compared = (usize, usize, u8);

/// A comparison under way.
struct Compare<'a> {
    old: Spec<'a>,
    new: Spec<'a>,
    options: Options,
    drafts: Vec<Draft<'a>>,
    /// Schemas that may still be compared.
    steps: usize,
    /// Whether a bound was reached.
    cut: bool,
    /// Pairs of schemas without a change, by their addresses and direction.
    same: HashSet<Compared>,
    /// Pairs that were entered since the last root, with the property of the root they are under.
    walked: HashSet<(Compared, u64)>,
    /// Schemas that are yet to be compared under the root.
    waiting: VecDeque<Waiting<'a>>,
    operation: Option<Arc<Operation>>,
    /// Whether requests are what the service sends: webhooks and callbacks.
    turned: bool,
    /// The worst that a change here may be: drafts of operations promise nothing.
    most: Option<Severity>,
}

impl<'a> Compare<'a> {
    /// Notes a change.
    fn tell(
        &mut self,
        rule: impl Into<String>,
        severity: Severity,
        message: String,
        old: Option<&'a Node>,
        new: Option<&'a Node>,
    ) {
        if self.drafts.len() >= CHANGES_MAX {
            self.cut = true;
            return;
        }
        let severity = self.most.map_or(severity, |most| severity.min(most));
        self.drafts.push(Draft {
            rule: rule.into(),
            severity,
            operation: self.operation.clone(),
            message,
            old,
            new,
        });
    }

    /// Takes one step of those that are left.
    fn step(&mut self) -> bool {
        match self.steps.checked_sub(1) {
            Some(left) => {
                self.steps = left;
                true
            }
            None => {
                self.cut = true;
                false
            }
        }
    }
}
