//! Where a branch lies in a set, by what it asks: see [`super::rules`].

use super::affix::Key;
use super::filter::Filter;
use super::hash::{bounds, hashes, mix};
use super::parse::Condition;
use super::rules::{Branch, ByField, Compiled, Group, Home, RuleSet, Waiting};
use gate_kit::order::Order;
use rustc_hash::FxHashMap;

/// Most fields by which a group is told.
pub(super) const GROUP_FIELDS: usize = 4;
/// Most combinations of values under which one branch lies in a group of several fields.
const COMBINATIONS: usize = 32;
/// Most sets of fields; a branch beyond goes to a set that there is, or to one field alone.
const GROUPS: usize = 256;

impl RuleSet {
    pub(super) fn put(&mut self, rule: u32, conditions: &[Condition]) -> u32 {
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

    pub(super) fn take(&mut self, number: u32) {
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
        equal.order_by_key(|(field, hashes)| (hashes.len(), *field));
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
        of.order_by_key(|(field, _)| *field);
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
