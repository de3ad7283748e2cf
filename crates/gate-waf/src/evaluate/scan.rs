//! Asks the prefilter which rules can match each value that arrived.

use crate::collections::{NOWHERE, SlotId};
use crate::prefilter::{has, mask_of};
use crate::ruleset::{Kind, RuleSet, kind};
use crate::transaction::Transaction;
use crate::variables::{SCALARS, Scalar, Set, Variable};
use smallvec::SmallVec;

/// What the prefilter said so far.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// For each slot, the rules that its value can match.
    bits: Vec<u64>,
    done: Vec<bool>,
    /// Rules that some value can match which they look at.
    pub(crate) active: Vec<u64>,
    /// Paranoia level up to which rules were asked for.
    pub(crate) level: u8,
    started: bool,
    /// Whether the level is the rule set's own. Rules set theirs in phase 1, behind rules that have
    /// no level, so that it is asked for when the first rule with a level comes.
    settled: bool,
    /// How many members of each collection were seen.
    seen: Vec<usize>,
}

impl Scan {
    /// Whether a value can match a rule, or nobody knows.
    pub(crate) fn may_match(&self, slot: SlotId, filter: u16, words: usize) -> bool {
        let slot = slot as usize;
        if !self.done.get(slot).is_some_and(|done| *done) {
            return true;
        }
        has(&self.bits[slot * words..(slot + 1) * words], filter)
    }
}

const SETS: [Set; 12] = [
    Set::Args,
    Set::ArgsGet,
    Set::ArgsPost,
    Set::Cookies,
    Set::Files,
    Set::FilesNames,
    Set::FilesTmpContent,
    Set::MultipartPartHeaders,
    Set::MultipartFileName,
    Set::MultipartName,
    Set::RequestHeaders,
    Set::ResponseHeaders,
];

/// Variables that are complete from a phase on, and those that long values are in.
const SCALARS_FROM: [(u8, &[Scalar]); 3] = [
    (
        1,
        &[
            Scalar::AuthType,
            Scalar::PathInfo,
            Scalar::QueryString,
            Scalar::RemoteAddr,
            Scalar::RemoteHost,
            Scalar::RemoteUser,
            Scalar::RequestBasename,
            Scalar::RequestFilename,
            Scalar::RequestLine,
            Scalar::RequestMethod,
            Scalar::RequestProtocol,
            Scalar::RequestUri,
            Scalar::RequestUriRaw,
            Scalar::ServerName,
        ],
    ),
    (2, &[Scalar::RequestBody, Scalar::XmlText]),
    (4, &[Scalar::ResponseBody]),
];

/// The highest paranoia level.
const LEVEL_MAX: u8 = 4;

impl Transaction {
    /// Takes the paranoia level that is set by now, and asks for all values again.
    pub(crate) fn settle_level(&mut self, rules: &RuleSet, phase: u8) {
        if self.scan.settled {
            return;
        }
        let level = rules.level.map(|name| self.written.tx(name));
        let level = level.filter(|level| level.is_set());
        let level = level.map_or(LEVEL_MAX.into(), |level| self.value_number(rules, level));
        self.scan.level = level.clamp(0, LEVEL_MAX.into()) as u8;
        self.scan.settled = true;
        self.scan.done.fill(false);
        self.scan.active.fill(0);
        self.scan.seen.fill(0);
        self.scalars_seen = 0;
        self.scan_values(rules, phase);
    }

    /// Asks for all values that are there in a phase and were not asked for yet.
    pub(crate) fn scan_values(&mut self, rules: &RuleSet, phase: u8) {
        let words = rules.index.words();
        if !self.scan.started {
            self.scan.started = true;
            self.scan.settled = rules.level.is_none();
            self.scan.level = if self.scan.settled { LEVEL_MAX } else { 0 };
            self.scan.active = vec![0; words];
            self.scan.seen = vec![0; SETS.len() + 1];
        }
        let slots = self.store.slots();
        self.scan.done.resize(slots, false);
        self.scan.bits.resize(slots * words, 0);
        let kinds = &rules.kinds[usize::from(self.scan.level)];
        for (from, scalars) in SCALARS_FROM {
            if from <= phase && self.scalars_seen < from {
                for scalar in scalars {
                    let slot = self.store.scalar(*scalar);
                    self.scan_slot(rules, kinds, slot, *scalar as usize);
                }
            }
        }
        self.scalars_seen = self.scalars_seen.max(phase);
        self.scan_odd_scalars(kinds);
        for (at, set) in SETS.into_iter().chain([Set::XmlAttribute]).enumerate() {
            let (values, keys) = (kind(Variable::Values(set)), kind(Variable::Keys(set)));
            let from = self.scan.seen[at];
            let count = self.store.entries(set).len();
            for entry in from..count {
                let entry = self.store.entries(set)[entry];
                self.scan_slot(rules, kinds, entry.value, values);
                self.scan_slot(rules, kinds, entry.key, keys);
            }
            self.scan.seen[at] = count;
        }
    }

    /// Variables that rules seldom look at with an operator that the prefilter decides on.
    fn scan_odd_scalars(&mut self, kinds: &[Kind]) {
        for (at, kind) in kinds.iter().enumerate().take(SCALARS) {
            let is_common = SCALARS_FROM
                .iter()
                .any(|(_, list)| list.iter().any(|scalar| *scalar as usize == at));
            if !is_common && kind.rules.iter().any(|word| *word != 0) {
                for (active, rules) in self.scan.active.iter_mut().zip(&kind.rules) {
                    *active |= rules;
                }
            }
        }
    }

    fn scan_slot(&mut self, rules: &RuleSet, kinds: &[Kind], slot: SlotId, at: usize) {
        let kind = &kinds[at];
        if slot == NOWHERE || kind.rules.iter().all(|word| *word == 0) {
            return;
        }
        let words = rules.index.words();
        let range = slot as usize * words..(slot as usize + 1) * words;
        if !self.scan.done[slot as usize] {
            let mask = self.widest(rules, kind, slot);
            let level = self.scan.level;
            rules
                .index
                .candidates(mask, level, &mut self.scan.bits[range.clone()]);
            self.scan.done[slot as usize] = true;
        }
        let bits = &self.scan.bits[range];
        let looked = self.scan.active.iter_mut().zip(bits).zip(&kind.rules);
        for ((active, bits), rules) in looked {
            *active |= bits & rules;
        }
    }

    /// At least the classes of bytes that occur in a value after any of a kind's chains, or in it.
    fn widest(&mut self, rules: &RuleSet, kind: &Kind, slot: SlotId) -> u64 {
        let chains = rules.chains.all();
        let own = self.store.mask(slot);
        let mut widest = own;
        let mut guesses: SmallVec<[u64; 64]> = SmallVec::new();
        guesses.resize(chains.len(), own);
        for id in &kind.chains {
            let chain = &chains[id.index()];
            let guess = chain.last.classes_after(guesses[chain.before.index()]);
            let mask = guess.unwrap_or_else(|| {
                let span = self.store.transformed(slot, *id, chains);
                mask_of(self.store.at(span))
            });
            guesses[id.index()] = mask;
            widest |= mask;
        }
        widest
    }
}
