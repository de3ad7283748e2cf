//! What rules write: `TX` and its like.

use crate::actions::{Change, SetVar, VarName};
use crate::collections::Span;
use crate::macros::{Part, Template, TxName};
use crate::operator::number;
use crate::ruleset::{Rule, RuleSet};
use crate::transaction::Transaction;
use crate::variables::Bag;
use std::collections::BTreeMap;

/// A value that a rule wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum TxValue {
    /// There is none.
    #[default]
    Unset,
    Number(i64),
    /// The fixed text of a rule's `setvar`: numbers of both.
    Fixed(u32, u16),
    /// In the arena.
    Stored(Span),
}

impl TxValue {
    pub(crate) fn is_set(self) -> bool {
        self != TxValue::Unset
    }
}

/// Most variables with made-up names; more are not kept.
const MADE_MAX: usize = 8192;

/// All that rules wrote.
#[derive(Debug, Default)]
pub(crate) struct Written {
    tx: Vec<TxValue>,
    made: BTreeMap<(u8, Box<[u8]>), TxValue>,
}

impl Written {
    pub(crate) fn new(names: usize) -> Written {
        Written {
            tx: vec![TxValue::Unset; names],
            made: BTreeMap::new(),
        }
    }

    pub(crate) fn tx(&self, name: TxName) -> TxValue {
        self.tx[usize::from(name)]
    }

    pub(crate) fn set_tx(&mut self, name: TxName, value: TxValue) {
        self.tx[usize::from(name)] = value;
    }

    /// A variable by its name in lower case.
    pub(crate) fn get(&self, rules: &RuleSet, bag: Bag, name: &[u8]) -> TxValue {
        if bag == Bag::Tx
            && let Some(known) = rules.names.known(name)
        {
            return self.tx(known);
        }
        let found = self.made.get(&(bag as u8, name.into()));
        found.copied().unwrap_or_default()
    }

    fn set(&mut self, rules: &RuleSet, bag: Bag, name: &[u8], value: TxValue) {
        if bag == Bag::Tx
            && let Some(known) = rules.names.known(name)
        {
            return self.set_tx(known, value);
        }
        let key = (bag as u8, name.into());
        if value == TxValue::Unset {
            self.made.remove(&key);
        } else if self.made.len() < MADE_MAX || self.made.contains_key(&key) {
            self.made.insert(key, value);
        }
    }

    /// All names and values of a bag that are set.
    pub(crate) fn all(&self, rules: &RuleSet, bag: Bag) -> Vec<(Box<[u8]>, TxValue)> {
        let mut found = Vec::new();
        if bag == Bag::Tx {
            let named = self.tx.iter().zip(0..).filter(|(value, _)| value.is_set());
            found.extend(
                named.map(|(value, name)| (rules.names.name(name).as_bytes().into(), *value)),
            );
        }
        let from = (bag as u8, Box::default());
        let made = self
            .made
            .range(from..)
            .take_while(|((one, _), _)| *one == bag as u8);
        found.extend(made.map(|((_, name), value)| (name.clone(), *value)));
        found
    }
}

impl Transaction {
    /// A value as a number.
    pub(crate) fn value_number(&self, rules: &RuleSet, value: TxValue) -> i64 {
        match value {
            TxValue::Unset => 0,
            TxValue::Number(number) => number,
            TxValue::Fixed(..) | TxValue::Stored(_) => {
                let mut text = Vec::new();
                if let Some(number) = fixed(rules, value).and_then(Template::number) {
                    return number;
                }
                self.value_text(rules, value, &mut text);
                number(&text)
            }
        }
    }

    pub(crate) fn tx_number(&self, rules: &RuleSet, name: TxName) -> i64 {
        self.value_number(rules, self.written.tx(name))
    }

    /// Writes a value's text.
    pub(crate) fn value_text(&self, rules: &RuleSet, value: TxValue, text: &mut Vec<u8>) {
        match value {
            TxValue::Unset => {}
            TxValue::Number(number) => text.extend_from_slice(number.to_string().as_bytes()),
            TxValue::Fixed(..) => {
                let template = fixed(rules, value).and_then(Template::fixed);
                text.extend_from_slice(template.unwrap_or_default());
            }
            TxValue::Stored(span) => text.extend_from_slice(self.store.at(span)),
        }
    }

    /// Puts a value's text into the arena.
    pub(crate) fn value_span(&mut self, rules: &RuleSet, value: TxValue) -> Span {
        if let TxValue::Stored(span) = value {
            return span;
        }
        let mut text = Vec::new();
        self.value_text(rules, value, &mut text);
        self.store.span(&text)
    }

    /// Does a `setvar`.
    pub(crate) fn set_var(&mut self, rules: &RuleSet, rule: &Rule, at: u32, number: u16) {
        let set: &SetVar = &rule.setvars[usize::from(number)];
        let made = match &set.name {
            VarName::Tx(_) => None,
            VarName::Made(template) => {
                let mut name = Vec::new();
                self.expand(rules, template, rule, &mut name);
                name.make_ascii_lowercase();
                Some(name)
            }
        };
        let before = match (&set.name, &made) {
            (VarName::Tx(name), _) => self.written.tx(*name),
            (_, Some(name)) => self.written.get(rules, set.bag, name),
            _ => TxValue::Unset,
        };
        let value = match &set.change {
            Change::Unset => TxValue::Unset,
            Change::Add(template) | Change::Subtract(template) => {
                let by = self.template_number(rules, rule, template);
                let before = self.value_number(rules, before);
                let is_sum = matches!(set.change, Change::Add(_));
                TxValue::Number(match is_sum {
                    true => before.saturating_add(by),
                    false => before.saturating_sub(by),
                })
            }
            Change::Set(template) if template.fixed().is_some() => TxValue::Fixed(at, number),
            Change::Set(template) => match template.single_tx() {
                Some(name) if self.written.tx(name).is_set() => self.written.tx(name),
                _ => {
                    let mut text = Vec::new();
                    self.expand(rules, template, rule, &mut text);
                    TxValue::Stored(self.store.span(&text))
                }
            },
        };
        match (&set.name, made) {
            (VarName::Tx(name), _) => self.written.set_tx(*name, value),
            (_, Some(name)) => self.written.set(rules, set.bag, &name, value),
            _ => {}
        }
    }

    /// Writes a template with its macros expanded.
    pub(crate) fn expand(
        &self,
        rules: &RuleSet,
        template: &Template,
        rule: &Rule,
        text: &mut Vec<u8>,
    ) {
        for part in template.parts() {
            match part {
                Part::Text(part) => text.extend_from_slice(part),
                Part::Scalar(scalar) => {
                    text.extend_from_slice(self.store.get(*scalar).unwrap_or_default());
                }
                Part::First(set, Some(key)) => {
                    text.extend_from_slice(self.store.first(*set, key).unwrap_or_default());
                }
                Part::First(set, None) => {
                    let first = self.store.entries(*set).first();
                    text.extend_from_slice(
                        first.map_or(&[][..], |entry| self.store.value(entry.value)),
                    );
                }
                Part::Tx(name) => self.value_text(rules, self.written.tx(*name), text),
                Part::Bag(bag, name) => {
                    self.value_text(rules, self.written.get(rules, *bag, name), text);
                }
                Part::MatchedVar => {
                    if let Some(matched) = &self.last_matched {
                        text.extend_from_slice(self.store.at(matched.value));
                    }
                }
                Part::MatchedVarName => {
                    if let Some(matched) = &self.last_matched {
                        text.extend_from_slice(&self.name_of(matched));
                    }
                }
                Part::HighestSeverity => {
                    text.extend_from_slice(self.highest_severity.to_string().as_bytes());
                }
                Part::RuleId => text.extend_from_slice(rule.id.to_string().as_bytes()),
                Part::RuleMessage => {
                    text.extend_from_slice(rule.message.fixed().unwrap_or_default());
                }
                Part::RuleSeverity => {
                    let severity = rule.severity.map_or(255, |severity| severity.0);
                    text.extend_from_slice(severity.to_string().as_bytes());
                }
            }
        }
    }
}

/// The template behind a fixed value.
fn fixed(rules: &RuleSet, value: TxValue) -> Option<&Template> {
    let TxValue::Fixed(rule, number) = value else {
        return None;
    };
    let set = rules
        .rules
        .get(rule as usize)?
        .setvars
        .get(usize::from(number))?;
    match &set.change {
        Change::Set(template) => Some(template),
        _ => None,
    }
}
