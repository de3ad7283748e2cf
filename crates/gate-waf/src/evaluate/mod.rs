//! Runs the rules of a phase.
//!
//! `scan` asks the prefilter once for every value; `targets` finds what a rule looks at; `values`
//! keeps what rules write; `matched` does what follows a match.

mod matched;
mod quick;
mod scan;
mod targets;
mod values;

pub(crate) use quick::Quick;
pub(crate) use scan::Scan;
pub(crate) use targets::Looked;
pub(crate) use values::{TxValue, Written};

use crate::actions::Allow;
use crate::decision::Engine;
use crate::prefilter::has;
use crate::ruleset::{Rule, RuleSet, UNFILTERED};
use crate::transaction::Transaction;

/// What a rule that matched says about the rest of its phase.
#[derive(Debug, Default)]
pub(crate) struct Jump {
    /// Go on at this position.
    pub(crate) to: Option<u32>,
    /// Leave out so many rules.
    pub(crate) skip: u32,
}

impl Transaction {
    /// Runs all rules of a phase, until one ends the exchange.
    pub(crate) fn run_phase(&mut self, phase: u8) {
        if self.engine == Engine::Off {
            return;
        }
        match self.allowed {
            Some(Allow::All) if phase < 5 => return,
            Some(Allow::Request) if phase <= 2 => return,
            _ => self.allowed = None,
        }
        self.phase = phase;
        let rules = self.rules.clone();
        let list = &rules.phases[usize::from(phase)];
        let mut scanned = false;
        let mut position = 0;
        while let Some(&at) = list.get(position) {
            position += 1;
            let rule = &rules.rules[at as usize];
            if rule.filter != UNFILTERED {
                if !scanned {
                    scanned = true;
                    self.scan_values(&rules, phase);
                }
                if rule.level > self.scan.level {
                    self.settle_level(&rules, phase);
                }
                if rule.level <= self.scan.level && !has(&self.scan.active, rule.filter) {
                    continue;
                }
            }
            if self.removed.has(at) || self.is_excluded(at) {
                continue;
            }
            let mut jump = Jump::default();
            if self.evaluate(&rules, at, &mut jump) {
                if let Some(to) = jump.to {
                    position = to as usize;
                }
                position += jump.skip as usize;
                if !self.decision.is_pass() || self.allowed.is_some() || self.engine == Engine::Off
                {
                    return;
                }
            }
        }
    }

    fn is_excluded(&self, at: u32) -> bool {
        let exclusions = self.exclusions.as_ref();
        exclusions.is_some_and(|exclusions| exclusions.rules.has(at))
    }

    /// Runs a rule and the rest of its chain; says whether all matched.
    fn evaluate(&mut self, rules: &RuleSet, at: u32, jump: &mut Jump) -> bool {
        let rule = &rules.rules[at as usize];
        if let Some(quick) = &rule.quick {
            if !self.quick_holds(rules, quick) {
                return false;
            }
            if quick.is_quiet {
                self.after_match(rules, rule, at, jump);
                return true;
            }
        }
        if rule.head == at {
            self.matched.clear();
        }
        let matched = if rule.targets.is_empty() {
            self.action_only(rules, rule, at);
            true
        } else {
            self.test_targets(rules, rule, at)
        };
        if !matched {
            return false;
        }
        if let Some(next) = rule.next
            && !self.evaluate(rules, next, jump)
        {
            return false;
        }
        self.after_match(rules, rule, at, jump);
        true
    }

    /// Holds the expanded argument of an operator ready.
    pub(crate) fn expanded_argument(&mut self, rules: &RuleSet, rule: &Rule) -> Vec<u8> {
        let mut argument = std::mem::take(&mut self.argument);
        argument.clear();
        if let Some(template) = rule.operator.template() {
            self.expand(rules, template, rule, &mut argument);
        }
        argument
    }
}
