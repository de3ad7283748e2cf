//! Whether a branch holds of an event, elements of arrays and all.
//!
//! Values that lie in different elements of one array do not go together: a branch holds when one
//! element can be chosen in each array so that every condition finds its value in what was chosen or
//! outside of arrays. Nearly always nothing lies in arrays, or the choices fall apart by array, which
//! takes time in proportion to the values ([`chosen`]). Where a field is asked to be missing, what
//! counts as missing depends on what the conditions before it chose, in the reference's order of
//! fields; those branches are searched ([`searched`]).

use super::fields::NONE;
use super::read::{Element, Memory};
use super::rules::Compiled;
use rustc_hash::FxHashSet;

/// Most steps for one branch and one event.
pub(super) const STEPS_MAX: u32 = 4_000_000;

/// Whether a branch holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Yes,
    No,
    /// It took more than [`STEPS_MAX`] steps.
    Undecided,
}

impl From<bool> for Verdict {
    fn from(holds: bool) -> Self {
        if holds { Verdict::Yes } else { Verdict::No }
    }
}

#[inline]
pub(super) fn decide(conditions: &[Compiled], memory: &Memory) -> Verdict {
    // Nearly all that is tried fails or holds here.
    let mut in_arrays = false;
    for condition in conditions {
        let mut at = memory.first(condition.field);
        if at == NONE {
            if condition.absent {
                continue;
            }
            return Verdict::No;
        }
        let (mut outside, mut inside, mut all_inside) = (false, false, true);
        while at != NONE {
            let (value, element) = memory.get(at);
            all_inside &= element != 0;
            if (element != 0 || !outside) && condition.any.iter().any(|one| one.holds(value)) {
                outside |= element == 0;
                inside |= element != 0;
                if outside {
                    break;
                }
            }
            at = memory.next(at);
        }
        if !outside {
            if !(inside || condition.absent && all_inside) {
                return Verdict::No;
            }
            in_arrays = true;
        }
    }
    // A missing field that has no value at all, or one outside of arrays, depends on no choice; one
    // with values in arrays does, and then on all choices.
    let depends = |condition: &Compiled| {
        condition.absent && {
            let mut at = memory.first(condition.field);
            let mut inside = at != NONE;
            while at != NONE {
                inside &= memory.get(at).1 != 0;
                at = memory.next(at);
            }
            inside
        }
    };
    if conditions.iter().any(depends) {
        return searched(conditions, memory);
    }
    if !in_arrays {
        return Verdict::Yes;
    }
    chosen(conditions, memory)
}

/// A set of conditions, a bit each.
type Set = u64;

fn chosen(conditions: &[Compiled], memory: &Memory) -> Verdict {
    let (mut need, mut entries): (Set, Vec<(u32, Set)>) = (0, Vec::new());
    for (index, condition) in conditions.iter().enumerate() {
        let from = entries.len();
        let mut outside = false;
        let mut at = memory.first(condition.field);
        outside |= at == NONE && condition.absent;
        while at != NONE && !outside {
            let (value, element) = memory.get(at);
            if condition.any.iter().any(|one| one.holds(value)) {
                outside |= element == 0;
                entries.push((element, 1 << index));
            }
            at = memory.next(at);
        }
        if outside {
            entries.truncate(from);
        } else {
            need |= 1 << index;
        }
    }
    // Elements are numbered as they begin, so all that lies in one is a run of numbers.
    entries.sort_unstable();
    entries.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 |= next.1;
        }
        same
    });
    let mut choice = Choice {
        elements: memory.elements(),
        steps: STEPS_MAX,
    };
    match choice.within(&entries, 0, need) {
        Some(holds) => holds.into(),
        None => Verdict::Undecided,
    }
}

struct Choice<'a> {
    elements: &'a [Element],
    steps: u32,
}

impl Choice<'_> {
    fn step(&mut self, count: usize) -> Option<()> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.steps = self.steps.checked_sub(count)?;
        Some(())
    }

    /// The element right below `above` that an element lies in.
    fn child(&self, mut element: u32, above: u32) -> u32 {
        loop {
            let parent = self.elements[element as usize].parent;
            if parent == above || parent == NONE {
                return element;
            }
            element = parent;
        }
    }

    /// Whether an element, with one choice in each array within it, has all that is needed. None
    /// when it takes too long.
    fn within(&mut self, entries: &[(u32, Set)], element: u32, mut need: Set) -> Option<bool> {
        self.step(entries.len() + 1)?;
        let own = entries.iter().take_while(|(at, _)| *at == element).count();
        for (_, has) in &entries[..own] {
            need &= !has;
        }
        if need == 0 {
            return Some(true);
        }
        // The arrays right within: where each begins and ends, what it has.
        let rest = &entries[own..];
        let mut arrays: Vec<(u32, usize, usize, Set)> = Vec::new();
        for (index, (at, has)) in rest.iter().enumerate() {
            let array = self.elements[self.child(*at, element) as usize].array;
            match arrays.last_mut() {
                Some(last) if last.0 == array => {
                    last.2 = index + 1;
                    last.3 |= has;
                }
                _ => arrays.push((array, index, index + 1, *has)),
            }
        }
        let offered = arrays.iter().fold(0, |all, array| all | array.3);
        if need & !offered != 0 {
            return Some(false);
        }
        let mut needs = vec![0; arrays.len()];
        self.divide(rest, &arrays, element, need, &mut needs)
    }

    /// Gives each needed condition to an array that has it, and asks the arrays. A condition is in
    /// two only where two names in one object are spelled the same with dots.
    fn divide(
        &mut self,
        entries: &[(u32, Set)],
        arrays: &[(u32, usize, usize, Set)],
        element: u32,
        need: Set,
        needs: &mut Vec<Set>,
    ) -> Option<bool> {
        self.step(1)?;
        if need == 0 {
            for (array, &need) in arrays.iter().zip(&*needs) {
                if need != 0 && !self.array(&entries[array.1..array.2], element, need)? {
                    return Some(false);
                }
            }
            return Some(true);
        }
        let bit = need & need.wrapping_neg();
        for (index, array) in arrays.iter().enumerate() {
            if array.3 & bit != 0 {
                needs[index] |= bit;
                let holds = self.divide(entries, arrays, element, need & !bit, needs)?;
                needs[index] &= !bit;
                if holds {
                    return Some(true);
                }
            }
        }
        Some(false)
    }

    /// Whether one element of an array has all that is needed of the array.
    fn array(&mut self, mut entries: &[(u32, Set)], above: u32, need: Set) -> Option<bool> {
        while let Some((first, _)) = entries.first() {
            let element = self.child(*first, above);
            let same = |entry: &&(u32, Set)| self.child(entry.0, above) == element;
            let count = entries.iter().take_while(same).count();
            let (of_element, rest) = entries.split_at(count);
            let has = of_element.iter().fold(0, |all, (_, has)| all | has);
            self.step(count)?;
            if need & !has == 0 && self.within(of_element, element, need)? {
                return Some(true);
            }
            entries = rest;
        }
        Some(false)
    }
}

/// What was chosen: arrays and their elements, by array.
type Choices = Vec<(u32, u32)>;

fn searched(conditions: &[Compiled], memory: &Memory) -> Verdict {
    let mut search = Search {
        conditions,
        memory,
        steps: STEPS_MAX,
        failed: FxHashSet::default(),
    };
    match search.from(0, &Vec::new()) {
        Some(holds) => holds.into(),
        None => Verdict::Undecided,
    }
}

struct Search<'a> {
    conditions: &'a [Compiled],
    memory: &'a Memory,
    steps: u32,
    failed: FxHashSet<(usize, Choices)>,
}

impl Search<'_> {
    fn from(&mut self, index: usize, choices: &Choices) -> Option<bool> {
        let Some(condition) = self.conditions.get(index) else {
            return Some(true);
        };
        let key = (index, choices.clone());
        if self.failed.contains(&key) {
            return Some(false);
        }
        let (mut missing, mut tried) = (true, FxHashSet::default());
        let mut at = self.memory.first(condition.field);
        while at != NONE {
            self.steps = self.steps.checked_sub(1)?;
            let (value, element) = self.memory.get(at);
            if let Some(more) = self.with(choices, element) {
                missing = false;
                if condition.any.iter().any(|one| one.holds(value))
                    && tried.insert(element)
                    && self.from(index + 1, &more)?
                {
                    return Some(true);
                }
            }
            at = self.memory.next(at);
        }
        if missing && condition.absent && self.from(index + 1, choices)? {
            return Some(true);
        }
        self.failed.insert(key);
        Some(false)
    }

    /// The choices with those that an element needs; none where one was made otherwise.
    fn with(&self, choices: &Choices, mut element: u32) -> Option<Choices> {
        let mut more = None;
        while element != 0 {
            let Element { parent, array } = self.memory.elements()[element as usize];
            let known = more.as_ref().unwrap_or(choices);
            match known.binary_search_by_key(&array, |(array, _)| *array) {
                Ok(at) if known[at].1 != element => return None,
                Ok(_) => {}
                Err(at) => more
                    .get_or_insert_with(|| choices.clone())
                    .insert(at, (array, element)),
            }
            element = parent;
        }
        Some(more.unwrap_or_else(|| choices.clone()))
    }
}
