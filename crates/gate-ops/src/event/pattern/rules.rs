//! Many rules at once: which of them may hold of an event is looked up, and only those are decided.
//!
//! A branch has one home, where it is found:
//! - in a *group*, where it asks fields to equal values: groups are by the set of up to four such
//!   fields, and a branch lies there under the hash of its values together (each combination when it
//!   has several). One look-up finds the few branches that ask for this source and that type and
//!   that region, however many ask for the source;
//! - else by the *beginning or end* of a string (prefix, suffix, wildcard, in any case), cut to 32
//!   bytes, so that as many look-ups find them as there are lengths;
//! - else with a *field* that must be there, numbers with their range beside them;
//! - else, when all its fields may be missing, with those that are always tried.
//!
//! Adding and removing touch the branch's home and nothing else.

use super::affix::{Affixes, Key};
use super::decide::{Verdict, decide};
use super::fields::{Fields, NONE};
use super::filter::Filter;
use super::hash::mix;
use super::homes::GROUP_FIELDS;
use super::limits::{Full, Limits};
use super::matcher::{Matcher, Value};
use super::number::comparable;
use super::parse::Pattern;
use super::read::Memory;
use super::scan::Malformed;
use super::slab::Slab;
use rustc_hash::FxHashMap;

/// Which rule; whoever adds it chooses.
pub type RuleId = u64;

/// What was found out of an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matched {
    /// The rules that hold, each once, in no order.
    pub rules: Vec<RuleId>,
    /// The rules that took too many steps to decide, because fields lie in very many arrays and are
    /// asked to be missing; whether they hold is not known.
    pub undecided: Vec<RuleId>,
}

/// A condition with its field's number.
pub(super) struct Compiled {
    pub(super) field: u32,
    pub(super) absent: bool,
    pub(super) any: Box<[Matcher]>,
}

pub(super) struct Branch {
    pub(super) rule: u32,
    pub(super) conditions: Box<[Compiled]>,
    pub(super) home: Home,
}

pub(super) enum Home {
    Group { group: u32, keys: Vec<u64> },
    Affixes { field: u32, keys: Vec<Key> },
    Field { field: u32 },
    Always,
}

pub(super) struct Group {
    /// In order, the first is where the group is found.
    pub(super) fields: Vec<u32>,
    pub(super) buckets: FxHashMap<u64, Vec<u32>>,
    /// What says of most keys that no bucket has them, in less memory than the buckets.
    pub(super) filter: Filter,
    /// Each once, for events with more combinations of values than that.
    pub(super) all: Vec<u32>,
}

/// A branch that is tried where its field has a value; when all that it asks of the field are
/// numbers, between which.
pub(super) struct Waiting {
    pub(super) branch: u32,
    pub(super) bounds: Option<(f64, f64)>,
}

/// What is found by one field.
#[derive(Default)]
pub(super) struct ByField {
    pub(super) groups: Vec<u32>,
    pub(super) affixes: Affixes,
    pub(super) waiting: Vec<Waiting>,
    /// How many of `waiting` have bounds.
    pub(super) bounded: usize,
}

pub(super) struct Rule {
    pub(super) id: RuleId,
    pub(super) branches: Vec<u32>,
    pub(super) bytes: usize,
}

/// Rules of an event router. See the module for how it looks.
#[derive(Default)]
pub struct RuleSet {
    pub(super) limits: Limits,
    pub(super) fields: Fields,
    pub(super) rules: Slab<Rule>,
    pub(super) by_id: FxHashMap<RuleId, u32>,
    pub(super) branches: Slab<Branch>,
    pub(super) groups: Slab<Group>,
    pub(super) by_fields: FxHashMap<Vec<u32>, u32>,
    pub(super) by_field: Vec<ByField>,
    pub(super) always: Vec<u32>,
    pub(super) bytes: usize,
}

/// Which rules were found already in this event, and in which event that was.
#[derive(Default)]
pub(super) struct Seen {
    event: u64,
    rules: Vec<u64>,
}

impl Seen {
    fn begin(&mut self, bound: usize) {
        self.event += 1;
        if self.rules.len() < bound {
            self.rules.resize(bound, 0);
        }
    }

    fn has(&self, rule: u32) -> bool {
        self.rules[rule as usize] == self.event
    }

    fn add(&mut self, rule: u32) {
        self.rules[rule as usize] = self.event;
    }
}

impl RuleSet {
    /// An empty set with limits of its own.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        RuleSet {
            limits,
            ..RuleSet::default()
        }
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Adds a rule, in place of the one that has this number.
    ///
    /// # Errors
    /// [`Full`] at the set's limits; nothing has changed then.
    pub fn add(&mut self, id: RuleId, pattern: &Pattern) -> Result<(), Full> {
        let old = self.by_id.get(&id).map(|rule| self.rules.get(*rule).bytes);
        if old.is_none() && self.len() >= self.limits.rules_max {
            return Err(Full::Rules(self.limits.rules_max));
        }
        if self.bytes - old.unwrap_or(0) + pattern.bytes > self.limits.bytes_max {
            return Err(Full::Bytes(self.limits.bytes_max));
        }
        self.remove(id);
        let bytes = pattern.bytes;
        let rule = self.rules.put(Rule {
            id,
            branches: Vec::new(),
            bytes,
        });
        let all = pattern.branches.iter();
        let branches = all.map(|conditions| self.put(rule, conditions)).collect();
        self.rules.get_mut(rule).branches = branches;
        self.by_id.insert(id, rule);
        self.bytes += bytes;
        Ok(())
    }

    /// Removes a rule. False when there is none of this number.
    pub fn remove(&mut self, id: RuleId) -> bool {
        let Some(rule) = self.by_id.remove(&id) else {
            return false;
        };
        let rule = self.rules.take(rule);
        self.bytes -= rule.bytes;
        for branch in rule.branches {
            self.take(branch);
        }
        true
    }

    /// The rules that hold of an event, an object of JSON. `memory` is any that is kept from event to
    /// event; `found` is emptied first.
    ///
    /// # Errors
    /// [`Malformed`] for what is no JSON where rules look; what they pass over is only bracketed.
    pub fn find(
        &self,
        event: &[u8],
        memory: &mut Memory,
        found: &mut Matched,
    ) -> Result<(), Malformed> {
        memory.begin(&self.fields);
        memory.json(&self.fields, event)?;
        self.find_read(memory, found);
        Ok(())
    }

    /// The same for an event that is in parts: texts by their names, and JSON at one more name, as
    /// the attributes and the data of a CloudEvent. Names may have dots.
    ///
    /// # Errors
    /// As [`RuleSet::find`].
    pub fn find_parts<'a>(
        &self,
        texts: impl IntoIterator<Item = (&'a str, &'a str)>,
        json: Option<(&str, &[u8])>,
        memory: &mut Memory,
        found: &mut Matched,
    ) -> Result<(), Malformed> {
        memory.begin(&self.fields);
        for (name, text) in texts {
            let at = self.fields.below(0, name.as_bytes());
            memory.text_at(&self.fields, at, text.as_bytes());
        }
        if let Some((name, bytes)) = json {
            match self.fields.below(0, name.as_bytes()) {
                NONE => {}
                at => memory.json_below(&self.fields, at, bytes)?,
            }
        }
        self.find_read(memory, found);
        Ok(())
    }

    fn find_read(&self, memory: &mut Memory, found: &mut Matched) {
        found.rules.clear();
        found.undecided.clear();
        memory.seen.begin(self.rules.bound());
        for index in 0..memory.present().len() {
            let field = memory.present()[index];
            let by = &self.by_field[field as usize];
            for &group in &by.groups {
                self.find_in_group(self.groups.get(group), memory, found);
            }
            if !by.affixes.is_empty() {
                self.find_by_affix(&by.affixes, field, memory, found);
            }
            if !by.waiting.is_empty() {
                self.find_waiting(by, field, memory, found);
            }
        }
        for &branch in &self.always {
            self.try_branch(branch, memory, found);
        }
    }

    #[inline]
    fn find_in_group(&self, group: &Group, memory: &mut Memory, found: &mut Matched) {
        let mut at = [NONE; GROUP_FIELDS];
        let mut combinations = 1_usize;
        for (at, field) in at.iter_mut().zip(&group.fields) {
            *at = memory.first(*field);
            let mut next = *at;
            let mut count = 0_usize;
            while next != NONE {
                count += 1;
                next = memory.next(next);
            }
            combinations = combinations.saturating_mul(count);
        }
        if combinations == 0 {
            return;
        }
        if combinations > group.all.len().max(1) {
            for &branch in &group.all {
                self.try_branch(branch, memory, found);
            }
            return;
        }
        let fields = group.fields.len();
        loop {
            let mut key = 0;
            for at in &at[..fields] {
                key = mix(key, memory.hash(*at));
            }
            if group.filter.may_have(key)
                && let Some(branches) = group.buckets.get(&key)
            {
                for &branch in branches {
                    self.try_branch(branch, memory, found);
                }
            }
            // The next combination, as a counter of several digits.
            let mut digit = 0;
            loop {
                at[digit] = memory.next(at[digit]);
                if at[digit] != NONE {
                    break;
                }
                at[digit] = memory.first(group.fields[digit]);
                digit += 1;
                if digit == fields {
                    return;
                }
            }
        }
    }

    fn find_by_affix(
        &self,
        affixes: &Affixes,
        field: u32,
        memory: &mut Memory,
        found: &mut Matched,
    ) {
        let mut at = memory.first(field);
        while at != NONE {
            let mut place = 0;
            while let (Value::Text(text), _) = memory.get(at) {
                let Some(branches) = affixes.find(text, &mut place) else {
                    break;
                };
                for &branch in branches {
                    self.try_branch(branch, memory, found);
                }
            }
            at = memory.next(at);
        }
    }

    fn find_waiting(&self, by: &ByField, field: u32, memory: &mut Memory, found: &mut Matched) {
        // The numbers of the field; most often one.
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut at = memory.first(field);
        while at != NONE && by.bounded > 0 {
            if let (Value::Number(text), _) = memory.get(at)
                && let Some(number) = comparable(text)
            {
                (low, high) = (low.min(number), high.max(number));
            }
            at = memory.next(at);
        }
        for waiting in &by.waiting {
            let may = waiting
                .bounds
                .is_none_or(|(bottom, top)| bottom <= high && low <= top);
            if may {
                self.try_branch(waiting.branch, memory, found);
            }
        }
    }

    #[inline]
    fn try_branch(&self, branch: u32, memory: &mut Memory, found: &mut Matched) {
        let branch = self.branches.get(branch);
        if memory.seen.has(branch.rule) {
            return;
        }
        match decide(&branch.conditions, memory) {
            Verdict::No => {}
            Verdict::Yes => {
                memory.seen.add(branch.rule);
                found.rules.push(self.rules.get(branch.rule).id);
            }
            Verdict::Undecided => {
                memory.seen.add(branch.rule);
                found.undecided.push(self.rules.get(branch.rule).id);
            }
        }
    }
}
