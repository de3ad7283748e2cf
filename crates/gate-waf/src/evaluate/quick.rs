//! Rules that compare a number in `TX`: a rule set's switches, which run for every request.

use crate::macros::{Template, TxName};
use crate::operator::{Compare, Operator};
use crate::ruleset::{Rule, RuleSet};
use crate::transaction::Transaction;
use crate::transform::ChainId;
use crate::variables::{Bag, Selector, Variable};

/// A comparison of one variable of `TX`.
#[derive(Debug)]
pub(crate) struct Quick {
    name: TxName,
    counted: bool,
    compare: Compare,
    negated: bool,
    with: With,
    /// Whether nobody can tell that the comparison was not done the long way.
    pub(crate) is_quiet: bool,
}

#[derive(Debug)]
enum With {
    Number(i64),
    Tx(TxName),
}

impl Quick {
    /// The comparison, where that is all that a rule is.
    pub(crate) fn of(rule: &Rule, names: &crate::macros::TxNames) -> Option<Quick> {
        let [target] = rule.targets.as_slice() else {
            return None;
        };
        let Operator::Compare(compare, template) = &rule.operator else {
            return None;
        };
        let Selector::Key(key) = &target.selector else {
            return None;
        };
        let is_tx = target.variable == Variable::Bag(Bag::Tx) && target.without.is_empty();
        if !is_tx || !compare.is_number() || rule.chain != ChainId::NONE || rule.steps.is_some() {
            return None;
        }
        let with = match (template.number(), template.single_tx()) {
            (Some(number), _) => With::Number(number),
            (None, Some(name)) => With::Tx(name),
            (None, None) => return None,
        };
        let mut templates = rule.setvars.iter().flat_map(|set| set.templates());
        let is_quiet = !rule.log
            && rule.next.is_none()
            && !rule.capture
            && templates.all(|template| !template.reads_match());
        Some(Quick {
            name: names.known(key)?,
            counted: target.counted,
            compare: *compare,
            negated: rule.negated,
            with,
            is_quiet,
        })
    }
}

impl Transaction {
    pub(crate) fn quick_holds(&self, rules: &RuleSet, quick: &Quick) -> bool {
        let with = match quick.with {
            With::Number(number) => number,
            With::Tx(name) => self.tx_number(rules, name),
        };
        let is_set = self.written.tx(quick.name).is_set();
        let value = match quick.counted {
            true => i64::from(is_set),
            // Without the variable there is nothing to compare.
            false if !is_set => return false,
            false => self.tx_number(rules, quick.name),
        };
        quick.compare.holds_for(value, with) != quick.negated
    }

    /// A template's text as a number.
    pub(crate) fn template_number(
        &mut self,
        rules: &RuleSet,
        rule: &Rule,
        template: &Template,
    ) -> i64 {
        if let Some(number) = template.number() {
            return number;
        }
        if let Some(name) = template.single_tx() {
            return self.tx_number(rules, name);
        }
        let mut text = Vec::new();
        self.expand(rules, template, rule, &mut text);
        crate::operator::number(&text)
    }
}
