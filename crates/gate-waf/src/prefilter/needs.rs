//! What a value must hold for an operator to match: alternatives of sets of byte classes.

use super::{class_bit, rarity};
use regex_syntax::hir::{Class, Hir, HirKind};

/// Most alternatives that are kept; beyond, alike ones are weakened into one.
const ALTERNATIVES_MAX: usize = 24;
/// Most alternatives that a class of bytes is split into; a wider one says nothing.
const SPLIT_MAX: u32 = 5;

/// Sets of classes, of which at least one must occur whole. A set of 0 says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Needs {
    alternatives: Vec<u64>,
}

impl Needs {
    /// Nothing is needed.
    pub(crate) fn nothing() -> Needs {
        Needs {
            alternatives: vec![0],
        }
    }

    /// One of `bytes` is needed.
    pub(crate) fn one_of(bytes: impl IntoIterator<Item = u8>) -> Needs {
        let classes = bytes
            .into_iter()
            .fold(0, |mask, byte| mask | class_bit(byte));
        let mut alternatives: Vec<u64> = Vec::new();
        for class in 0..64 {
            if classes >> class & 1 == 1 {
                alternatives.push(1 << class);
            }
        }
        Needs { alternatives }
    }

    /// All of the bytes of one of `words` are needed.
    pub(crate) fn one_word<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> Needs {
        let masks = words.into_iter().map(super::mask_of);
        let mut alternatives: Vec<u64> = masks.collect();
        settle(&mut alternatives);
        Needs { alternatives }
    }

    /// What a pattern needs.
    pub(crate) fn of(pattern: &Hir) -> Needs {
        let mut alternatives = walk(pattern);
        settle(&mut alternatives);
        Needs { alternatives }
    }

    /// The alternatives; none where nothing can match.
    pub(crate) fn alternatives(&self) -> &[u64] {
        &self.alternatives
    }
}

fn walk(pattern: &Hir) -> Vec<u64> {
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => vec![0],
        HirKind::Literal(literal) => vec![super::mask_of(&literal.0)],
        HirKind::Class(class) => split(class),
        HirKind::Capture(capture) => walk(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min == 0 => vec![0],
        HirKind::Repetition(repetition) => walk(&repetition.sub),
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(walk(part));
                if all.contains(&0) {
                    return vec![0];
                }
                if all.len() > 4 * ALTERNATIVES_MAX {
                    settle(&mut all);
                }
            }
            settle(&mut all);
            all
        }
        HirKind::Concat(parts) => parts.iter().map(walk).fold(vec![0], join),
    }
}

/// Both are needed.
fn join(left: Vec<u64>, right: Vec<u64>) -> Vec<u64> {
    if right == [0] {
        return left;
    }
    let mut both = Vec::with_capacity(left.len() * right.len());
    for one in &left {
        both.extend(right.iter().map(|other| one | other));
    }
    settle(&mut both);
    both
}

/// The classes of a set of bytes as alternatives.
fn split(class: &Class) -> Vec<u64> {
    let mut classes: u64 = 0;
    let mut add = |low: u32, high: u32| {
        for byte in low..=high.min(0xff) {
            classes |= class_bit(byte as u8);
        }
        if high > 0x7f {
            classes |= super::HIGH;
        }
    };
    match class {
        Class::Bytes(bytes) => {
            for range in bytes.iter() {
                add(u32::from(range.start()), u32::from(range.end()));
            }
        }
        Class::Unicode(letters) => {
            for range in letters.iter() {
                add(range.start().into(), range.end().into());
            }
        }
    }
    if classes.count_ones() > SPLIT_MAX {
        return vec![0];
    }
    let is_in = |class: &u32| classes >> class & 1 == 1;
    (0..64).filter(is_in).map(|class| 1 << class).collect()
}

/// Drops what others imply, and weakens until few enough are left.
fn settle(alternatives: &mut Vec<u64>) {
    alternatives.sort_unstable_by_key(|mask| mask.count_ones());
    let mut kept: Vec<u64> = Vec::with_capacity(alternatives.len());
    for mask in alternatives.iter() {
        if !kept.iter().any(|weaker| weaker & mask == *weaker) {
            kept.push(*mask);
        }
    }
    while kept.len() > ALTERNATIVES_MAX {
        weaken(&mut kept);
    }
    *alternatives = kept;
}

/// Makes one of the two alternatives that have most in common.
fn weaken(alternatives: &mut Vec<u64>) {
    let last = alternatives.swap_remove(alternatives.len() - 1);
    let best = alternatives
        .iter()
        .copied()
        .max_by_key(|mask| weight(mask & last));
    let common = best.map_or(0, |best| best & last);
    alternatives.retain(|mask| common & mask != common);
    alternatives.push(common);
    // The next to be weakened is another one.
    alternatives.rotate_right(1);
}

/// How telling a set is.
pub(super) fn weight(mask: u64) -> u32 {
    let classes = (0..64).filter(|class| mask >> class & 1 == 1);
    classes.map(|class| rarity(class) * rarity(class)).sum()
}
