//! What to look for, where, and what to do about it, compiled per point.

use super::cut::Needs;
use super::scan::Script;
use super::{Action, Expression, Pattern, Point, Words};
use std::fmt;

/// Why a rule cannot work, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError(pub String);

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RuleError {}

/// What a rule looks for.
#[derive(Debug, Clone)]
pub enum Detector {
    /// A built-in pattern.
    Pattern(Pattern),
    /// Words or phrases, whatever their case.
    Words {
        /// The words.
        words: Vec<String>,
        /// Whether they must stand by themselves.
        whole: bool,
    },
    /// An expression.
    Expression(Expression),
    /// More than so many bytes of text at the point. Can only be observed or block.
    Size(usize),
    /// Letters of other scripts than these make up more than a share of all letters. Can only be
    /// observed or block.
    Scripts {
        /// Scripts that may be used.
        allowed: Vec<Script>,
        /// Share of other letters that is tolerated, 0 to 1.
        share: f64,
    },
}

/// A rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Word for placeholders, in capitals; a pattern has its own.
    pub label: String,
    /// What it looks for.
    pub detector: Detector,
    /// Where.
    pub points: Vec<Point>,
    /// What is done about it.
    pub action: Action,
}

/// What is looked for at one point.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) patterns: Vec<(Pattern, usize)>,
    pub(crate) words: Option<Words>,
    pub(crate) expressions: Vec<(Expression, usize)>,
    pub(crate) size: Option<(usize, usize)>,
    pub(crate) scripts: Option<(Vec<Script>, f64, usize)>,
    pub(crate) needs: Needs,
    /// Bytes held back because an expression may match across white space.
    pub(crate) hold: usize,
}

impl Plan {
    /// Whether nothing is looked for inside of texts.
    pub(crate) fn finds_nothing(&self) -> bool {
        self.patterns.is_empty() && self.words.is_none() && self.expressions.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.finds_nothing() && self.size.is_none() && self.scripts.is_none()
    }
}

/// Rules, compiled.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    plans: [Plan; 4],
}

impl RuleSet {
    /// Compiles rules.
    ///
    /// # Errors
    /// [`RuleError`] for the first rule that cannot work.
    pub fn new(rules: Vec<Rule>) -> Result<Self, RuleError> {
        let mut plans: [Plan; 4] = Default::default();
        for (point, plan) in Point::ALL.into_iter().zip(&mut plans) {
            *plan = plan_of(&rules, point)?;
        }
        Ok(Self { rules, plans })
    }

    /// The rules, in their order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether anything is looked for at this point.
    #[must_use]
    pub fn looks_at(&self, point: Point) -> bool {
        !self.plan(point).is_empty()
    }

    pub(crate) fn plan(&self, point: Point) -> &Plan {
        &self.plans[point as usize]
    }
}

fn plan_of(rules: &[Rule], point: Point) -> Result<Plan, RuleError> {
    let mut plan = Plan::default();
    let mut lists: Vec<(usize, bool, &[String])> = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        if !rule.points.contains(&point) {
            continue;
        }
        match &rule.detector {
            Detector::Pattern(pattern) => {
                plan.patterns.push((*pattern, index));
                let needs = &mut plan.needs;
                match pattern {
                    Pattern::Phone | Pattern::Card | Pattern::UsSsn => needs.numbers = true,
                    Pattern::Iban => needs.iban = true,
                    Pattern::Assignment => needs.assignment = true,
                    Pattern::Secret => needs.blocks = true,
                    Pattern::Email | Pattern::Ip => {}
                }
            }
            Detector::Words { words, whole } => lists.push((index, *whole, words)),
            Detector::Expression(expression) => {
                if expression.crosses_space {
                    plan.hold = plan.hold.max(expression.longest);
                }
                plan.expressions.push((expression.clone(), index));
            }
            Detector::Size(most) => {
                whole_only(rule, "a size")?;
                plan.size = Some((*most, index));
            }
            Detector::Scripts { allowed, share } => {
                whole_only(rule, "a script")?;
                plan.scripts = Some((allowed.clone(), *share, index));
            }
        }
    }
    if !lists.is_empty() {
        plan.words = Some(Words::new(lists)?);
    }
    Ok(plan)
}

/// There is no place in the text that could be changed.
fn whole_only(rule: &Rule, what: &str) -> Result<(), RuleError> {
    match rule.action {
        Action::Observe | Action::Block => Ok(()),
        Action::Mask | Action::Redact => Err(RuleError(format!(
            "{what} can only be observed or block: there is nothing to {}",
            rule.action.as_str()
        ))),
    }
}
