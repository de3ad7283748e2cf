//! What follows when a rule matches.

use super::{Jump, Looked, TxValue};
use crate::actions::{Disruptive, Effect};
use crate::decision::{Decision, Engine, Match};
use crate::ruleset::{Rule, RuleSet};
use crate::transaction::Transaction;
use crate::variables::{Bag, Variable};

/// Most matches of one transaction that are kept.
const MATCHES_MAX: usize = 512;
/// Most values that one chain remembers as matched.
const MATCHED_MAX: usize = 2048;
/// Most bytes of a value that a match quotes.
const QUOTED_MAX: usize = 200;
/// Most bytes of a message.
const MESSAGE_MAX: usize = 2048;

impl Transaction {
    /// What a match captured becomes `TX:0` and on.
    pub(super) fn capture(&mut self, rules: &RuleSet, groups: &[(usize, Vec<u8>)]) {
        for (group, text) in groups {
            let value = TxValue::Stored(self.store.span(text));
            match u16::try_from(*group) {
                Ok(name @ 0..=9) => self.written.set_tx(name, value),
                _ => {
                    if let Some(name) = rules.names.known(group.to_string().as_bytes()) {
                        self.written.set_tx(name, value);
                    }
                }
            }
        }
    }

    /// Takes note of one value that matched, and writes what the rule writes for each.
    pub(super) fn note_match(&mut self, rules: &RuleSet, rule: &Rule, at: u32, one: Looked) {
        self.last_matched = Some(one);
        if self.matched.len() < MATCHED_MAX {
            self.matched.push(one);
        }
        for number in 0..rule.setvars.len() {
            self.set_var(rules, rule, at, number as u16);
        }
    }

    /// A rule without variables: its writes.
    pub(super) fn action_only(&mut self, rules: &RuleSet, rule: &Rule, at: u32) {
        for number in 0..rule.setvars.len() {
            self.set_var(rules, rule, at, number as u16);
        }
    }

    /// All of a chain matched: effects, log and decision of one of its rules.
    pub(super) fn after_match(&mut self, rules: &RuleSet, rule: &Rule, at: u32, jump: &mut Jump) {
        if rule.quick.as_ref().is_some_and(|quick| quick.is_quiet) {
            self.action_only(rules, rule, at);
        }
        for (number, effect) in rule.effects.iter().enumerate() {
            self.effect(at, number as u16, effect, jump);
        }
        if rule.skip_to.is_some() {
            jump.to = rule.skip_to;
        }
        if rule.head != at {
            return;
        }
        let disrupts = self.disrupt(rules, rule);
        if let Some(severity) = rule.severity {
            self.highest_severity = self.highest_severity.min(severity.0);
        }
        if rule.log {
            self.log(rules, rule, disrupts);
        }
    }

    fn effect(&mut self, at: u32, number: u16, effect: &Effect, jump: &mut Jump) {
        match effect {
            Effect::Remove(removal) if removal.target.is_none() => self.removed.add(&removal.rules),
            Effect::Remove(_) => {
                if !self.left_out.contains(&(at, number)) {
                    self.left_out.push((at, number));
                }
            }
            Effect::Engine(Engine::On) if self.detects_only => self.engine = Engine::DetectionOnly,
            Effect::Engine(engine) => self.engine = *engine,
            Effect::Processor(processor) => self.set_processor(*processor),
            Effect::ForceBody(on) => self.force_body = *on,
            Effect::RequestBodyAccess(on) => self.request_body = *on,
            Effect::ResponseBodyAccess(on) => self.response_body = *on,
            Effect::Skip(count) => jump.skip += count,
        }
    }

    /// Decides what a rule that matched asks for; says whether it asks to end the exchange.
    fn disrupt(&mut self, rules: &RuleSet, rule: &Rule) -> bool {
        let id = rule.id;
        let decision = match &rule.disruptive {
            Disruptive::Pass | Disruptive::Block => return false,
            Disruptive::Allow(allow) => {
                if self.engine == Engine::On {
                    self.allowed = Some(*allow);
                }
                return false;
            }
            Disruptive::Deny => Decision::Deny {
                status: rule.status.unwrap_or(403),
                rule: id,
            },
            Disruptive::Drop => Decision::Drop { rule: id },
            Disruptive::Redirect(template) => {
                let mut location = Vec::new();
                self.expand(rules, template, rule, &mut location);
                Decision::Redirect {
                    status: rule
                        .status
                        .filter(|status| matches!(status, 301..=303 | 307 | 308))
                        .unwrap_or(302),
                    location: String::from_utf8_lossy(&location).into_owned(),
                    rule: id,
                }
            }
        };
        if self.would_be.is_none() {
            self.would_be = Some(decision.clone());
        }
        if self.engine == Engine::On && self.phase < 5 {
            self.decision = decision;
        }
        true
    }

    fn log(&mut self, rules: &RuleSet, rule: &Rule, disruptive: bool) {
        if self.matches.len() >= MATCHES_MAX {
            self.matches_left_out += 1;
            return;
        }
        let text = |template| {
            let mut text = Vec::new();
            self.expand(rules, template, rule, &mut text);
            text.truncate(MESSAGE_MAX);
            String::from_utf8_lossy(&text).into_owned()
        };
        let last = self.last_matched;
        let last = last.filter(|_| !rule.targets.is_empty());
        let variable = last.map(|one| self.name_of(&one)).unwrap_or_default();
        let value = last
            .map(|one| self.store.at(one.original))
            .unwrap_or_default();
        let noted = Match {
            id: rule.id,
            phase: self.phase,
            title: rule.title.clone(),
            message: text(&rule.message),
            data: text(&rule.data),
            variable: String::from_utf8_lossy(&variable).into_owned(),
            value: value[..value.len().min(QUOTED_MAX)].to_vec(),
            severity: rule.severity,
            tags: rule.tags.clone(),
            place: rule.place.clone(),
            disruptive,
        };
        self.matches.push(noted);
    }

    /// The name of what matched, such as `ARGS:q`.
    pub(crate) fn name_of(&self, one: &Looked) -> Vec<u8> {
        let mut name = one.variable.name().as_bytes().to_vec();
        if let Some(key) = one.key
            && one.variable != Variable::Bag(Bag::Env)
        {
            name.push(b':');
            name.extend_from_slice(self.store.at(key));
        }
        name
    }
}
