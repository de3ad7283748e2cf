//! Applies changes to rules, numbers them, and builds the prefilter.

use super::{Loader, Step};
use crate::actions::Effect;
use crate::evaluate::Quick;
use crate::exclusions::Which;
use crate::operator::Operator;
use crate::prefilter::IndexBuilder;
use crate::problem::Problem;
use crate::ruleset::{KINDS, Kind, Rule, RuleSet, UNFILTERED, kind};
use crate::seclang::{self, RawTarget};
use crate::transform::{ChainId, Chains};
use crate::variables::{Set, Target, Variable, exclude};
use rustc_hash::FxHashMap;

/// What a directive changes about rules.
#[derive(Debug)]
pub(super) enum Change {
    Remove(Which),
    Targets(Which, Vec<RawTarget>),
}

impl Change {
    pub(super) fn remove_ids(text: &str) -> Result<Change, String> {
        Ok(Change::Remove(Which::ids(text)?))
    }

    pub(super) fn remove_tag(tag: &str) -> Change {
        Change::Remove(Which::Tag(tag.into()))
    }

    pub(super) fn remove_message(message: &str) -> Change {
        Change::Remove(Which::Message(message.into()))
    }

    pub(super) fn target_ids(ids: &str, targets: &[String]) -> Result<Change, String> {
        Ok(Change::Targets(Which::ids(ids)?, read_targets(targets)?))
    }

    pub(super) fn target_tag(tag: &str, targets: &[String]) -> Result<Change, String> {
        Ok(Change::Targets(
            Which::Tag(tag.into()),
            read_targets(targets)?,
        ))
    }

    pub(super) fn target_message(message: &str, targets: &[String]) -> Result<Change, String> {
        Ok(Change::Targets(
            Which::Message(message.into()),
            read_targets(targets)?,
        ))
    }

    pub(super) fn actions(id: &str, actions: &str) -> Result<Change, String> {
        let _ = seclang::actions(actions)?;
        Err(format!(
            "`SecRuleUpdateActionById {id}` is not supported; write the rule anew with `SecRuleRemoveById`"
        ))
    }
}

fn read_targets(words: &[String]) -> Result<Vec<RawTarget>, String> {
    let lists = words.iter().map(|word| seclang::targets(word));
    let lists = lists.collect::<Result<Vec<_>, String>>()?;
    match lists.is_empty() {
        true => Err("no variable is named".into()),
        false => Ok(lists.concat()),
    }
}

/// Makes the rule set; problems are left with the loader.
pub(super) fn finish(loader: &mut Loader<'_>) -> Result<RuleSet, Vec<Problem>> {
    let mut gone = vec![false; loader.rules.len()];
    for (change, file, line) in std::mem::take(&mut loader.changes) {
        if let Err(message) = apply(&mut loader.rules, &mut gone, &change) {
            loader.problems.push(Problem {
                file,
                line,
                message,
            });
        }
    }
    let (phases, positions) = phases(loader, &gone);
    skips(loader, &positions);
    resolve(&mut loader.rules);
    let index = filter(&mut loader.rules, &loader.chains);
    let index = index.build();
    let kinds = kinds(&loader.rules, &loader.chains, index.words());
    for rule in &mut loader.rules {
        rule.quick = Quick::of(rule, &loader.names);
    }
    let level = loader.names.known(b"detection_paranoia_level");
    Ok(RuleSet {
        rules: std::mem::take(&mut loader.rules),
        phases,
        chains: std::mem::take(&mut loader.chains),
        names: std::mem::take(&mut loader.names),
        settings: loader.settings.clone(),
        index,
        kinds,
        level,
    })
}

fn apply(rules: &mut [Rule], gone: &mut [bool], change: &Change) -> Result<(), String> {
    let (which, targets) = match change {
        Change::Remove(which) => (which, None),
        Change::Targets(which, targets) => (which, Some(targets)),
    };
    for (at, rule) in rules.iter_mut().enumerate() {
        if rule.head as usize != at || !which.means(rule) {
            continue;
        }
        let Some(targets) = targets else {
            gone[at] = true;
            continue;
        };
        for raw in targets {
            match raw.excluded {
                true => drop(exclude(&mut rule.targets, raw)?),
                false => rule.targets.push(Target::compile(raw)?),
            }
        }
    }
    Ok(())
}

/// Positions of markers by phase and name.
type Markers = FxHashMap<String, [Vec<u32>; 6]>;
/// Positions of first rules in their phase, by number.
type Positions = FxHashMap<u32, u32>;

/// The phases' rules in order.
fn phases(loader: &mut Loader<'_>, gone: &[bool]) -> ([Vec<u32>; 6], (Markers, Positions)) {
    let mut phases: [Vec<u32>; 6] = Default::default();
    let mut markers = Markers::default();
    let mut positions = Positions::default();
    for step in std::mem::take(&mut loader.steps) {
        match step {
            Step::Rule(rule) if gone[rule as usize] => {}
            Step::Rule(rule) => {
                let phase = &mut phases[usize::from(loader.rules[rule as usize].phase)];
                positions.insert(rule, phase.len() as u32);
                phase.push(rule);
            }
            Step::Marker(name) => {
                let places = markers.entry(name).or_default();
                for (phase, place) in phases.iter().zip(places) {
                    place.push(phase.len() as u32);
                }
            }
        }
    }
    (phases, (markers, positions))
}

/// Finds where `skipAfter` leads: behind the next marker of that name, else out of the phase.
fn skips(loader: &mut Loader<'_>, (markers, positions): &(Markers, Positions)) {
    for (rule, marker) in std::mem::take(&mut loader.skips) {
        let (phase, head) = {
            let rule = &loader.rules[rule as usize];
            (usize::from(rule.phase), rule.head)
        };
        let from = positions.get(&head).copied().unwrap_or(0);
        let places = markers.get(&marker).map(|places| &places[phase]);
        let to = places.and_then(|places| places.iter().find(|place| **place > from));
        loader.rules[rule as usize].skip_to = Some(to.copied().unwrap_or(u32::MAX));
    }
}

/// Numbers the rules that `ctl` removes.
fn resolve(rules: &mut [Rule]) {
    for at in 0..rules.len() {
        let mut effects = std::mem::take(&mut rules[at].effects);
        for effect in &mut effects {
            if let Effect::Remove(removal) = effect {
                removal.resolve(rules);
            }
        }
        rules[at].effects = effects;
    }
}

/// Numbers the rules that the prefilter decides on.
fn filter(rules: &mut [Rule], chains: &Chains) -> IndexBuilder {
    let mut index = IndexBuilder::default();
    for rule in rules {
        let fixed = |target: &Target| target.variable.is_fixed() && !target.counted;
        let decides = !rule.negated && !rule.targets.is_empty() && rule.targets.iter().all(fixed);
        let fills_empty = chains.all()[rule.chain.index()].fills_empty;
        if !decides || fills_empty || matches!(rule.operator, Operator::Always) {
            continue;
        }
        if let Some(needs) = rule.operator.needs() {
            rule.filter = index.add(&needs, rule.level);
        }
    }
    index
}

/// What each kind of variable is looked at by, for each paranoia level.
fn kinds(rules: &[Rule], chains: &Chains, words: usize) -> Vec<Vec<Kind>> {
    let levels = (0..5_u8).map(|level| {
        let mut kinds = vec![Kind::default(); KINDS];
        for kind in &mut kinds {
            kind.rules = vec![0; words];
        }
        for rule in rules {
            if rule.filter == UNFILTERED || rule.level > level {
                continue;
            }
            for target in &rule.targets {
                for variable in alike(target.variable) {
                    add_chains(&mut kinds[kind(variable)].chains, rule.chain, chains);
                }
                let own = &mut kinds[kind(target.variable)];
                own.rules[usize::from(rule.filter / 64)] |= 1 << (rule.filter % 64);
            }
        }
        kinds
    });
    levels.collect()
}

/// Variables that share their values with this one, which therefore pass the same chains.
fn alike(variable: Variable) -> Vec<Variable> {
    const ARGUMENTS: [Set; 3] = [Set::Args, Set::ArgsGet, Set::ArgsPost];
    match variable {
        Variable::Values(set) if ARGUMENTS.contains(&set) => ARGUMENTS.map(Variable::Values).into(),
        Variable::Keys(set) if ARGUMENTS.contains(&set) => ARGUMENTS.map(Variable::Keys).into(),
        other => vec![other],
    }
}

fn add_chains(list: &mut Vec<ChainId>, chain: ChainId, chains: &Chains) {
    let mut at = chain;
    while at != ChainId::NONE && !list.contains(&at) {
        list.push(at);
        at = chains.all()[at.index()].before;
    }
    // A chain comes behind what it is built on.
    list.sort_unstable();
}
