//! Rules that are left out, whole or for some of what they look at.

use crate::ruleset::{Rule, RuleSet};
use crate::seclang;
use crate::variables::{Selector, Target, Variable};
use std::ops::RangeInclusive;

/// A rule that is not to be applied to a route: how operators write exclusions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exclusion {
    /// The rule with this id.
    Rule(u32),
    /// All rules with this tag.
    Tag(String),
    /// The rule with this id, for one variable such as `ARGS:q` or `REQUEST_COOKIES:/^_ga/`.
    RuleTarget(u32, String),
    /// All rules with this tag, for one variable.
    TagTarget(String, String),
}

/// Which rules are meant.
#[derive(Debug, Clone)]
pub(crate) enum Which {
    Ids(Vec<RangeInclusive<u32>>),
    Tag(Box<str>),
    Message(Box<str>),
}

impl Which {
    /// Reads ids and ranges of ids, `1 2-5`.
    pub(crate) fn ids(text: &str) -> Result<Which, String> {
        let parts = text.split([' ', ',']).filter(|part| !part.is_empty());
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            match (first.parse(), last.parse()) {
                (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
                _ => Err(format!("`{part}` is no id of a rule, and no range of them")),
            }
        };
        Ok(Which::Ids(parts.map(range).collect::<Result<_, _>>()?))
    }

    pub(crate) fn means(&self, rule: &Rule) -> bool {
        match self {
            Which::Ids(ranges) => ranges.iter().any(|range| range.contains(&rule.id)),
            Which::Tag(tag) => rule.tags.iter().any(|one| one.as_ref() == tag.as_ref()),
            Which::Message(message) => rule.message.fixed() == Some(message.as_bytes()),
        }
    }
}

/// A removal before rules are numbered.
#[derive(Debug, Clone)]
pub(crate) struct Removal {
    pub(crate) which: Which,
    /// All of the rule if there is none.
    pub(crate) target: Option<Target>,
    /// The rules, once they are numbered.
    pub(crate) rules: RuleBits,
}

impl Removal {
    pub(crate) fn new(which: Which, target: Option<&str>) -> Result<Removal, String> {
        let target = match target {
            None => None,
            Some(text) => {
                let raw = seclang::target(text.trim_start_matches('!'))?;
                Some(Target::compile(&raw)?)
            }
        };
        Ok(Removal {
            which,
            target,
            rules: RuleBits::default(),
        })
    }

    /// Finds the rules that are meant. A chain goes with its first rule.
    pub(crate) fn resolve(&mut self, rules: &[Rule]) {
        self.rules = RuleBits::of(rules.len());
        for (at, rule) in rules.iter().enumerate() {
            let head = &rules[rule.head as usize];
            if self.which.means(head) {
                self.rules.set(at);
            }
        }
    }
}

/// A set of rules by number.
#[derive(Debug, Clone, Default)]
pub(crate) struct RuleBits {
    words: Box<[u64]>,
}

impl RuleBits {
    pub(crate) fn of(rules: usize) -> RuleBits {
        RuleBits {
            words: vec![0; rules.div_ceil(64)].into(),
        }
    }

    pub(crate) fn set(&mut self, at: usize) {
        self.words[at / 64] |= 1 << (at % 64);
    }

    pub(crate) fn has(&self, at: u32) -> bool {
        let word = self.words.get(at as usize / 64);
        word.is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    pub(crate) fn add(&mut self, other: &RuleBits) {
        if self.words.is_empty() {
            self.words = other.words.clone();
            return;
        }
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }
}

/// The exclusions of a route, found in a rule set.
#[derive(Debug, Clone, Default)]
pub struct Exclusions {
    pub(crate) rules: RuleBits,
    pub(crate) targets: Vec<(RuleBits, Target)>,
}

impl Exclusions {
    /// Finds what is excluded.
    ///
    /// # Errors
    /// The exclusion that cannot act, and why: it names a rule or variable that is not there.
    pub fn compile(rules: &RuleSet, list: &[Exclusion]) -> Result<Exclusions, (usize, String)> {
        let mut found = Exclusions {
            rules: RuleBits::of(rules.rules.len()),
            targets: Vec::new(),
        };
        for (at, exclusion) in list.iter().enumerate() {
            found.add(rules, exclusion).map_err(|reason| (at, reason))?;
        }
        Ok(found)
    }

    fn add(&mut self, rules: &RuleSet, exclusion: &Exclusion) -> Result<(), String> {
        let ids = |id: u32| Which::Ids(vec![id..=id]);
        let tagged = |tag: &str| Which::Tag(tag.into());
        let (which, target) = match exclusion {
            Exclusion::Rule(id) => (ids(*id), None),
            Exclusion::Tag(tag) => (tagged(tag), None),
            Exclusion::RuleTarget(id, target) => (ids(*id), Some(target.as_str())),
            Exclusion::TagTarget(tag, target) => (tagged(tag), Some(target.as_str())),
        };
        let mut removal = Removal::new(which, target)?;
        removal.resolve(&rules.rules);
        if removal.rules.is_empty() {
            return Err("no rule has this id or tag".into());
        }
        match removal.target {
            None => self.rules.add(&removal.rules),
            Some(target) => {
                let looks = rules.rules.iter().zip(0..).any(|(rule, at)| {
                    let same = |one: &Target| related(one.variable, target.variable);
                    removal.rules.has(at) && rule.targets.iter().any(same)
                });
                if !looks {
                    return Err(format!("the rule does not look at `{}`", target.name));
                }
                self.targets.push((removal.rules, target));
            }
        }
        Ok(())
    }
}

/// Whether what is left out of one variable is left out of another.
pub(crate) fn related(looked: Variable, left_out: Variable) -> bool {
    looked == left_out
}

/// Whether a removal of `gone` leaves the member with this key out of `target`.
pub(crate) fn leaves_out(gone: &Target, target: &Target, key: Option<&[u8]>) -> bool {
    if !related(target.variable, gone.variable) {
        return false;
    }
    match (&gone.selector, key) {
        (Selector::All, _) => true,
        (selector, Some(key)) => selector.selects(key),
        (_, None) => false,
    }
}
