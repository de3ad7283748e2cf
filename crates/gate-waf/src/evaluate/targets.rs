//! Finds what a rule looks at, and asks its operator.

use crate::collections::{NOWHERE, SlotId, Span};
use crate::exclusions::leaves_out;
use crate::operator::{Found, captured};
use crate::ruleset::{Rule, RuleSet, UNFILTERED};
use crate::transaction::Transaction;
use crate::variables::{Bag, Selector, Set, Target, Variable};

/// A value that a rule looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Looked {
    pub(crate) variable: Variable,
    pub(crate) key: Option<Span>,
    /// The value as it arrived.
    pub(crate) original: Span,
    /// The value that the operator saw.
    pub(crate) value: Span,
    pub(crate) slot: SlotId,
}

impl Transaction {
    /// Runs a rule's operator on all that it looks at; says whether any matched.
    pub(crate) fn test_targets(&mut self, rules: &RuleSet, rule: &Rule, at: u32) -> bool {
        let argument = self.expanded_argument(rules, rule);
        let mut matched = false;
        for target in &rule.targets {
            if self.is_left_out(rules, rule, target, None) {
                continue;
            }
            matched |= self.test_target(rules, rule, at, target, &argument);
        }
        self.argument = argument;
        matched
    }

    fn test_target(
        &mut self,
        rules: &RuleSet,
        rule: &Rule,
        at: u32,
        target: &Target,
        argument: &[u8],
    ) -> bool {
        if target.counted {
            let count = self.count(rules, rule, target);
            let span = self.store.span(count.to_string().as_bytes());
            let key = match &target.selector {
                Selector::Key(key) => Some(self.store.span(key)),
                _ => None,
            };
            return self.test(
                rules,
                rule,
                at,
                looked(target.variable, key, span),
                argument,
            );
        }
        let mut matched = false;
        match target.variable {
            Variable::Scalar(scalar) => {
                let slot = self.store.scalar(scalar);
                if slot != NOWHERE {
                    matched =
                        self.test_slot(rules, rule, at, target.variable, None, slot, argument);
                }
            }
            Variable::Values(set) | Variable::Keys(set) => {
                matched = self.test_members(rules, rule, at, target, set, argument);
            }
            Variable::Bag(bag) => {
                for (name, value) in self.bag(rules, bag, target) {
                    if self.is_left_out(rules, rule, target, Some(&name)) {
                        continue;
                    }
                    let key = Some(self.store.span(&name));
                    let span = self.value_span(rules, value);
                    matched |= self.test(
                        rules,
                        rule,
                        at,
                        looked(target.variable, key, span),
                        argument,
                    );
                }
            }
            _ => {
                for one in self.matched_values(target) {
                    matched |= self.test(rules, rule, at, one, argument);
                }
            }
        }
        matched
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the rule, where it is, and what it looks at"
    )]
    fn test_members(
        &mut self,
        rules: &RuleSet,
        rule: &Rule,
        at: u32,
        target: &Target,
        set: Set,
        argument: &[u8],
    ) -> bool {
        let is_key = matches!(target.variable, Variable::Keys(_));
        let mut matched = false;
        for number in 0..self.store.entries(set).len() {
            let entry = self.store.entries(set)[number];
            let slot = if is_key { entry.key } else { entry.value };
            if self.is_hopeless(rules, rule, slot) || !self.takes(rules, rule, target, entry.key) {
                continue;
            }
            let key = Some(entry.key);
            matched |= self.test_slot(rules, rule, at, target.variable, key, slot, argument);
        }
        matched
    }

    /// Whether the prefilter knows that a value does not match.
    fn is_hopeless(&self, rules: &RuleSet, rule: &Rule, slot: SlotId) -> bool {
        rule.filter != UNFILTERED
            && rule.level <= self.scan.level
            && !self.scan.may_match(slot, rule.filter, rules.index.words())
    }

    /// Whether a rule looks at the member with this key.
    fn takes(&self, rules: &RuleSet, rule: &Rule, target: &Target, key: SlotId) -> bool {
        let is_all = matches!(target.selector, Selector::All) && target.without.is_empty();
        if !is_all && !target.takes(self.store.value(key)) {
            return false;
        }
        !self.is_left_out(rules, rule, target, Some(self.store.value(key)))
    }

    /// Whether a `ctl` or an exclusion leaves a target, or a member of it, out.
    fn is_left_out(
        &self,
        rules: &RuleSet,
        rule: &Rule,
        target: &Target,
        key: Option<&[u8]>,
    ) -> bool {
        if self.left_out.is_empty() && self.exclusions.is_none() {
            return false;
        }
        let head = rule.head;
        let by_rules = self.left_out.iter().any(|(at, number)| {
            let effect = rules.rules[*at as usize].effects.get(usize::from(*number));
            let Some(crate::actions::Effect::Remove(removal)) = effect else {
                return false;
            };
            let gone = removal.target.as_ref();
            removal.rules.has(head) && gone.is_some_and(|gone| leaves_out(gone, target, key))
        });
        by_rules
            || self.exclusions.as_ref().is_some_and(|exclusions| {
                let mut targets = exclusions.targets.iter();
                targets.any(|(rules, gone)| rules.has(head) && leaves_out(gone, target, key))
            })
    }

    /// How many members a target has.
    fn count(&self, rules: &RuleSet, rule: &Rule, target: &Target) -> usize {
        match target.variable {
            Variable::Scalar(scalar) => usize::from(
                self.store
                    .get(scalar)
                    .is_some_and(|value| !value.is_empty()),
            ),
            Variable::Values(set) | Variable::Keys(set) => {
                let entries = self.store.entries(set).iter();
                entries
                    .filter(|entry| self.takes(rules, rule, target, entry.key))
                    .count()
            }
            Variable::Bag(bag) => self.bag(rules, bag, target).len(),
            Variable::MatchedVars | Variable::MatchedVarsNames => self.matched.len(),
            _ => usize::from(self.last_matched.is_some()),
        }
    }

    /// Members of what rules wrote.
    fn bag(&self, rules: &RuleSet, bag: Bag, target: &Target) -> Vec<(Box<[u8]>, super::TxValue)> {
        if let Selector::Key(key) = &target.selector {
            let value = self.written.get(rules, bag, key);
            return match value.is_set() {
                true => vec![(key.clone(), value)],
                false => Vec::new(),
            };
        }
        let mut all = self.written.all(rules, bag);
        all.retain(|(name, _)| target.takes(name));
        all
    }

    /// What the rule before in the chain matched.
    fn matched_values(&mut self, target: &Target) -> Vec<Looked> {
        let all = match target.variable {
            Variable::MatchedVars | Variable::MatchedVarsNames => self.matched.to_vec(),
            Variable::HighestSeverity => {
                let span = self
                    .store
                    .span(self.highest_severity.to_string().as_bytes());
                return vec![looked(target.variable, None, span)];
            }
            _ => self.last_matched.into_iter().collect(),
        };
        let is_name = matches!(
            target.variable,
            Variable::MatchedVarName | Variable::MatchedVarsNames
        );
        let values = all.into_iter().map(|one| match is_name {
            // The value as the operator saw it, not as it arrived.
            false => Looked {
                slot: NOWHERE,
                ..one
            },
            true => {
                let name = self.name_of(&one);
                let value = self.store.span(&name);
                Looked {
                    value,
                    original: value,
                    slot: NOWHERE,
                    ..one
                }
            }
        });
        let values: Vec<Looked> = values.collect();
        let keeps = |one: &Looked| {
            let name = self.name_of(one);
            target.takes(&name)
        };
        values.into_iter().filter(keeps).collect()
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "the rule, where it is, and what it looks at"
    )]
    fn test_slot(
        &mut self,
        rules: &RuleSet,
        rule: &Rule,
        at: u32,
        variable: Variable,
        key: Option<SlotId>,
        slot: SlotId,
        argument: &[u8],
    ) -> bool {
        if self.is_hopeless(rules, rule, slot) {
            return false;
        }
        let original = self.store.span_of(slot);
        let one = Looked {
            variable,
            key: key.map(|key| self.store.span_of(key)),
            original,
            value: original,
            slot,
        };
        self.test(rules, rule, at, one, argument)
    }

    /// Transforms a value and asks the operator.
    fn test(
        &mut self,
        rules: &RuleSet,
        rule: &Rule,
        at: u32,
        mut one: Looked,
        argument: &[u8],
    ) -> bool {
        if let Some(steps) = &rule.steps {
            let mut matched = self.ask(rules, rule, at, one, argument);
            for step in steps {
                let span = self.store.apply(*step, one.value, one.original);
                if span != one.value {
                    one.value = span;
                    matched |= self.ask(rules, rule, at, one, argument);
                }
            }
            return matched;
        }
        one.value = match one.slot {
            NOWHERE => {
                let steps = rules.chains.steps(rule.chain);
                steps.iter().fold(one.value, |span, step| {
                    self.store.apply(*step, span, one.original)
                })
            }
            slot => self.store.transformed(slot, rule.chain, rules.chains.all()),
        };
        self.ask(rules, rule, at, one, argument)
    }

    fn ask(&mut self, rules: &RuleSet, rule: &Rule, at: u32, one: Looked, argument: &[u8]) -> bool {
        let value = self.store.at(one.value);
        let found = rule.operator.evaluate(value, argument, rule.capture);
        let matched = !matches!(found, Found::No);
        if matched == rule.negated {
            return false;
        }
        if rule.capture && matched {
            let groups = captured(&found, value);
            let groups: Vec<(usize, Vec<u8>)> = groups
                .into_iter()
                .map(|(group, text)| (group, text.into_owned()))
                .collect();
            self.capture(rules, &groups);
        }
        self.note_match(rules, rule, at, one);
        true
    }
}

fn looked(variable: Variable, key: Option<Span>, span: Span) -> Looked {
    Looked {
        variable,
        key,
        original: span,
        value: span,
        slot: NOWHERE,
    }
}
