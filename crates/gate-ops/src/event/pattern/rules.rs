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
use super::matcher::{Matcher, Network, Value, address};
use super::number::comparable;
use super::parse::{Condition, Pattern};
use super::read::Memory;
use super::scan::Malformed;
use rustc_hash::{FxHashMap, FxHasher};
use std::hash::Hasher;

/// Which rule; whoever adds it chooses.
pub type RuleId = u64;

/// Most fields by which a group is told.
const GROUP_FIELDS: usize = 4;
/// Most combinations of values under which one branch lies in a group of several fields.
const COMBINATIONS: usize = 32;
/// Most sets of fields; a branch beyond goes to a set that there is, or to one field alone.
const GROUPS: usize = 256;

/// How much a set of rules may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most rules.
    pub rules_max: usize,
    /// Most bytes of all patterns' texts; the set takes some five to ten times as much memory.
    pub bytes_max: usize,
}

impl Default for Limits {
    /// 100,000 rules of 64 MiB.
    fn default() -> Self {
        Limits {
            rules_max: 100_000,
            bytes_max: 64 << 20,
        }
    }
}

/// Why a rule was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// There are [`Limits::rules_max`] rules.
    Rules(usize),
    /// The patterns would be longer than [`Limits::bytes_max`].
    Bytes(usize),
}

impl std::fmt::Display for Full {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Full::Rules(most) => write!(out, "there are {most} rules, which is the limit"),
            Full::Bytes(most) => write!(out, "the rules' patterns exceed {most} bytes together"),
        }
    }
}

impl std::error::Error for Full {}

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

struct Branch {
    rule: u32,
    conditions: Box<[Compiled]>,
    home: Home,
}

enum Home {
    Group { group: u32, keys: Vec<u64> },
    Affixes { field: u32, keys: Vec<Key> },
    Field { field: u32 },
    Always,
}

struct Group {
    /// In order, the first is where the group is found.
    fields: Vec<u32>,
    buckets: FxHashMap<u64, Vec<u32>>,
    /// What says of most keys that no bucket has them, in less memory than the buckets.
    filter: Filter,
    /// Each once, for events with more combinations of values than that.
    all: Vec<u32>,
}

/// One bit of many for each key. Keys that are gone leave their bits until the next
/// [`Filter::of`], which comes before the bits are of no use.
#[derive(Default)]
struct Filter {
    /// A power of two, or nothing.
    words: Vec<u64>,
    added: usize,
}

impl Filter {
    fn of(buckets: &FxHashMap<u64, Vec<u32>>) -> Self {
        let words = (buckets.len() / 2).next_power_of_two().max(4);
        let mut filter = Filter {
            words: vec![0; words],
            added: 0,
        };
        buckets.keys().for_each(|key| filter.add(*key));
        filter
    }

    /// More than a key for four bits, counting those that are gone.
    fn is_crowded(&self) -> bool {
        self.added > self.words.len() * 16
    }

    fn add(&mut self, key: u64) {
        self.added += 1;
        if let Some((word, bit)) = self.place(key) {
            self.words[word] |= bit;
        }
    }

    #[inline]
    fn may_have(&self, key: u64) -> bool {
        self.place(key)
            .is_some_and(|(word, bit)| self.words[word] & bit != 0)
    }

    #[inline]
    fn place(&self, key: u64) -> Option<(usize, u64)> {
        let last = self.words.len().checked_sub(1)?;
        // The upper half, which the map's own places do not come from; the lowest bit is always set.
        Some(((key >> 38) as usize & last, 1 << (key >> 32 & 63)))
    }
}

/// A branch that is tried where its field has a value; when all that it asks of the field are
/// numbers, between which.
struct Waiting {
    branch: u32,
    bounds: Option<(f64, f64)>,
}

/// What is found by one field.
#[derive(Default)]
struct ByField {
    groups: Vec<u32>,
    affixes: Affixes,
    waiting: Vec<Waiting>,
    /// How many of `waiting` have bounds.
    bounded: usize,
}

struct Rule {
    id: RuleId,
    branches: Vec<u32>,
    bytes: usize,
}

/// Rules of an event router. See the module for how it looks.
#[derive(Default)]
pub struct RuleSet {
    limits: Limits,
    fields: Fields,
    rules: Slab<Rule>,
    by_id: FxHashMap<RuleId, u32>,
    branches: Slab<Branch>,
    groups: Slab<Group>,
    by_fields: FxHashMap<Vec<u32>, u32>,
    by_field: Vec<ByField>,
    always: Vec<u32>,
    bytes: usize,
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
        let put = |conditions| self.put(rule, conditions);
        let branches = pattern.branches.iter().map(put).collect();
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

    fn put(&mut self, rule: u32, conditions: &Vec<Condition>) -> u32 {
        let mut compile = |condition: &Condition| {
            let field = self.fields.take(&condition.field);
            if self.by_field.len() <= field as usize {
                self.by_field
                    .resize_with(field as usize + 1, ByField::default);
            }
            Compiled {
                field,
                absent: condition.absent,
                any: condition.any.clone().into(),
            }
        };
        let conditions: Box<[Compiled]> = conditions.iter().map(&mut compile).collect();
        let home = self.home(&conditions);
        let bounds = match &home {
            Home::Field { field } => conditions
                .iter()
                .find(|condition| condition.field == *field)
                .and_then(|condition| bounds(&condition.any)),
            _ => None,
        };
        let branch = self.branches.put(Branch {
            rule,
            conditions,
            home,
        });
        match &self.branches.get(branch).home {
            Home::Group { group, keys } => {
                let group = self.groups.get_mut(*group);
                group.all.push(branch);
                for key in keys {
                    group.buckets.entry(*key).or_default().push(branch);
                    group.filter.add(*key);
                }
                if group.filter.is_crowded() {
                    group.filter = Filter::of(&group.buckets);
                }
            }
            Home::Affixes { field, keys } => {
                let affixes = &mut self.by_field[*field as usize].affixes;
                keys.iter().for_each(|key| affixes.add(key, branch));
            }
            Home::Field { field } => {
                let by = &mut self.by_field[*field as usize];
                by.bounded += usize::from(bounds.is_some());
                by.waiting.push(Waiting { branch, bounds });
            }
            Home::Always => self.always.push(branch),
        }
        branch
    }

    fn take(&mut self, number: u32) {
        let branch = self.branches.take(number);
        let without = |list: &mut Vec<u32>| {
            if let Some(at) = list.iter().position(|other| *other == number) {
                list.swap_remove(at);
            }
            list.is_empty()
        };
        match &branch.home {
            Home::Group { group, keys } => {
                let of = self.groups.get_mut(*group);
                for key in keys {
                    if of.buckets.get_mut(key).is_some_and(without) {
                        of.buckets.remove(key);
                    }
                }
                if without(&mut of.all) {
                    let of = self.groups.take(*group);
                    self.by_fields.remove(&of.fields);
                    let groups = &mut self.by_field[of.fields[0] as usize].groups;
                    groups.retain(|other| other != group);
                }
            }
            Home::Affixes { field, keys } => {
                let affixes = &mut self.by_field[*field as usize].affixes;
                keys.iter().for_each(|key| affixes.remove(key, number));
            }
            Home::Field { field } => {
                let by = &mut self.by_field[*field as usize];
                if let Some(at) = by.waiting.iter().position(|other| other.branch == number) {
                    let gone = by.waiting.swap_remove(at);
                    by.bounded -= usize::from(gone.bounds.is_some());
                }
            }
            Home::Always => drop(without(&mut self.always)),
        }
        for condition in &branch.conditions {
            self.fields.give_back(condition.field);
        }
    }

    /// Where a branch will lie; makes its group when there is none.
    fn home(&mut self, conditions: &[Compiled]) -> Home {
        let mut equal: Vec<(u32, Vec<u64>)> = conditions
            .iter()
            .filter_map(|condition| Some((condition.field, hashes(condition)?)))
            .collect();
        equal.sort_by_key(|(field, hashes)| (hashes.len(), *field));
        if !equal.is_empty() {
            let mut combinations = 1;
            let mut of: Vec<(u32, Vec<u64>)> = Vec::new();
            for (field, hashes) in equal {
                combinations *= hashes.len();
                if of.len() == GROUP_FIELDS || (combinations > COMBINATIONS && !of.is_empty()) {
                    break;
                }
                of.push((field, hashes));
            }
            return self.group(of);
        }
        let affix = |condition: &Compiled| {
            let keys = match condition.absent {
                true => None,
                false => condition
                    .any
                    .iter()
                    .map(Key::of)
                    .collect::<Option<Vec<Key>>>(),
            };
            keys.map(|keys| (condition.field, keys))
        };
        let affixes = conditions.iter().filter_map(affix);
        // The one whose shortest key is longest says most.
        let longest = affixes.max_by_key(|(_, keys)| keys.iter().map(Key::len).min());
        if let Some((field, keys)) = longest {
            return Home::Affixes { field, keys };
        }
        let present = || conditions.iter().filter(|condition| !condition.absent);
        let field = present()
            .find(|condition| bounds(&condition.any).is_some())
            .or_else(|| present().next());
        match field {
            Some(condition) => Home::Field {
                field: condition.field,
            },
            None => Home::Always,
        }
    }

    fn group(&mut self, mut of: Vec<(u32, Vec<u64>)>) -> Home {
        // Too many sets: the largest that there is already, at last one field alone.
        if self.by_fields.len() >= GROUPS {
            let known = |of: &[(u32, Vec<u64>)]| {
                let mut fields: Vec<u32> = of.iter().map(|(field, _)| *field).collect();
                fields.sort_unstable();
                self.by_fields.contains_key(&fields)
            };
            while of.len() > 1 && !known(&of) {
                of.pop();
            }
        }
        of.sort_by_key(|(field, _)| *field);
        let fields: Vec<u32> = of.iter().map(|(field, _)| *field).collect();
        let group = match self.by_fields.get(&fields) {
            Some(group) => *group,
            None => {
                let group = self.groups.put(Group {
                    fields: fields.clone(),
                    buckets: FxHashMap::default(),
                    filter: Filter::default(),
                    all: Vec::new(),
                });
                self.by_field[fields[0] as usize].groups.push(group);
                self.by_fields.insert(fields, group);
                group
            }
        };
        let mut keys = vec![0];
        for (_, hashes) in &of {
            let each = |key: &u64| {
                hashes
                    .iter()
                    .map(|hash| mix(*key, *hash))
                    .collect::<Vec<_>>()
            };
            keys = keys.iter().flat_map(each).collect();
        }
        keys.sort_unstable();
        keys.dedup();
        Home::Group { group, keys }
    }

    /// Whether a set without rules is as empty as a new one.
    #[cfg(test)]
    pub(super) fn holds_nothing(&self) -> bool {
        let unused =
            |by: &ByField| by.groups.is_empty() && by.affixes.is_empty() && by.waiting.is_empty();
        self.fields.is_empty()
            && self.by_fields.is_empty()
            && self.always.is_empty()
            && self.by_field.iter().all(unused)
            && self.bytes == 0
    }
}

/// The hashes of the values that a condition asks its field to equal; none when it asks anything
/// else.
fn hashes(condition: &Compiled) -> Option<Vec<u64>> {
    if condition.absent {
        return None;
    }
    let mut hashes = Vec::new();
    for matcher in &condition.any {
        hashes.push(match matcher {
            Matcher::Text(text) => hash(Value::Text(text)),
            Matcher::Texts(texts) => {
                hashes.extend(texts.iter().map(|text| hash(Value::Text(text))));
                continue;
            }
            Matcher::Word(word) => hash(Value::Word(word)),
            Matcher::Number(number) => mix(2, number.to_bits()),
            Matcher::Spelling(text) => hash(Value::Number(text)),
            Matcher::Network(network) => hash_of_address(network.single()?),
            _ => return None,
        });
    }
    Some(hashes)
}

/// The same for all values that one test of equality holds of: for a number whatever its spelling,
/// for an address whatever its form.
#[inline]
pub(super) fn hash(value: Value<'_>) -> u64 {
    let (kind, bytes) = match value {
        Value::Text(text) => match address(text) {
            Some(address) => return hash_of_address(Network::one(address)),
            None => (1, text),
        },
        Value::Number(text) => match comparable(text) {
            Some(number) => return mix(2, number.to_bits()),
            None => (3, text),
        },
        Value::Word(word) => (4, word),
    };
    let mut hasher = FxHasher::default();
    hasher.write(bytes);
    mix(kind, hasher.finish())
}

fn hash_of_address(network: Network) -> u64 {
    let (high, low) = network.halves();
    mix(mix(5, high), low)
}

#[inline]
fn mix(state: u64, value: u64) -> u64 {
    let product =
        u128::from(state ^ 0x9e37_79b9_7f4a_7c15) * u128::from(value ^ 0xd6e8_feb8_6659_fd93);
    // Never 0, which says that nothing was counted yet.
    (product as u64 ^ (product >> 64) as u64) | 1
}

/// Between which numbers a value must lie for any of these to hold; none when other values may do.
fn bounds(any: &[Matcher]) -> Option<(f64, f64)> {
    let mut bounds = (f64::INFINITY, f64::NEG_INFINITY);
    for matcher in any {
        let (bottom, top) = match matcher {
            Matcher::Number(number) => (*number, *number),
            Matcher::Range(range) => (range.bottom, range.top),
            _ => return None,
        };
        bounds = (bounds.0.min(bottom), bounds.1.max(top));
    }
    Some(bounds)
}

/// Things by numbers that are given again when they are free.
struct Slab<T> {
    things: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab {
            things: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slab<T> {
    fn put(&mut self, thing: T) -> u32 {
        match self.free.pop() {
            Some(at) => {
                self.things[at as usize] = Some(thing);
                at
            }
            None => {
                self.things.push(Some(thing));
                self.things.len() as u32 - 1
            }
        }
    }

    #[inline]
    fn get(&self, at: u32) -> &T {
        self.things[at as usize]
            .as_ref()
            .expect("numbers are dropped with their things")
    }

    fn get_mut(&mut self, at: u32) -> &mut T {
        self.things[at as usize]
            .as_mut()
            .expect("numbers are dropped with their things")
    }

    fn take(&mut self, at: u32) -> T {
        self.free.push(at);
        self.things[at as usize]
            .take()
            .expect("numbers are dropped with their things")
    }

    fn bound(&self) -> usize {
        self.things.len()
    }
}
