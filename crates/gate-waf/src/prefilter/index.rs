//! All rules' alternatives, sorted by their rarest class, so that a value asks for few.

use super::Needs;
use super::needs::weight;
use super::rarity;

/// A set of rules, by their number in the index.
pub(crate) type Bits = Vec<u64>;

/// One alternative of one rule.
#[derive(Debug, Clone, Copy)]
struct Alternative {
    mask: u64,
    rule: u16,
    level: u8,
}

/// Gathers rules.
#[derive(Debug, Default)]
pub(crate) struct IndexBuilder {
    alternatives: Vec<Alternative>,
    rules: u16,
}

impl IndexBuilder {
    /// Adds a rule of a paranoia level; says its number.
    pub(crate) fn add(&mut self, needs: &Needs, level: u8) -> u16 {
        let rule = self.rules;
        self.rules += 1;
        let masks = needs.alternatives().iter();
        self.alternatives.extend(masks.map(|mask| Alternative {
            mask: *mask,
            rule,
            level,
        }));
        rule
    }

    pub(crate) fn build(self) -> Index {
        let words = usize::from(self.rules).div_ceil(64);
        let mut always = vec![vec![0; words]; LEVELS];
        let mut buckets: [Vec<Alternative>; 64] = std::array::from_fn(|_| Vec::new());
        for alternative in self.alternatives {
            if alternative.mask == 0 {
                for bits in &mut always[usize::from(alternative.level)..] {
                    set(bits, alternative.rule);
                }
                continue;
            }
            let classes = (0..64).filter(|class| alternative.mask >> class & 1 == 1);
            let rarest = classes.max_by_key(|class| rarity(*class)).unwrap_or(0);
            buckets[rarest as usize].push(alternative);
        }
        for bucket in &mut buckets {
            bucket.sort_by_key(|alternative| {
                (alternative.level, u32::MAX - weight(alternative.mask))
            });
        }
        let used = (0..64).filter(|class| !buckets[*class].is_empty());
        let used = used.fold(0, |used, class| used | 1 << class);
        let ends = buckets.each_ref().map(|bucket| {
            let mut ends = [0; LEVELS];
            for (level, end) in ends.iter_mut().enumerate() {
                *end = bucket.partition_point(|one| usize::from(one.level) <= level) as u16;
            }
            ends
        });
        Index {
            words,
            rules: self.rules,
            always,
            buckets,
            ends,
            used,
        }
    }
}

/// Paranoia levels 0 (rules that have none) to 4.
const LEVELS: usize = 5;

/// The finished index.
#[derive(Debug)]
pub(crate) struct Index {
    words: usize,
    rules: u16,
    always: Vec<Bits>,
    buckets: [Vec<Alternative>; 64],
    ends: [[u16; LEVELS]; 64],
    used: u64,
}

impl Index {
    /// How many words a set of rules takes.
    pub(crate) fn words(&self) -> usize {
        self.words
    }

    /// How many rules there are.
    pub(crate) fn rules(&self) -> u16 {
        self.rules
    }

    /// Writes the rules up to `level` that a value with classes `mask` may match to `bits`, which
    /// has [`Index::words`] words.
    pub(crate) fn candidates(&self, mask: u64, level: u8, bits: &mut [u64]) {
        let level = usize::from(level).min(LEVELS - 1);
        bits.copy_from_slice(&self.always[level]);
        let mut rest = mask & self.used;
        while rest != 0 {
            let class = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            let end = usize::from(self.ends[class][level]);
            for one in &self.buckets[class][..end] {
                if one.mask & !mask == 0 {
                    set(bits, one.rule);
                }
            }
        }
    }
}

fn set(bits: &mut [u64], rule: u16) {
    bits[usize::from(rule >> 6)] |= 1 << (rule & 63);
}

/// Whether a rule is in a set.
pub(crate) fn has(bits: &[u64], rule: u16) -> bool {
    bits[usize::from(rule >> 6)] >> (rule & 63) & 1 == 1
}
