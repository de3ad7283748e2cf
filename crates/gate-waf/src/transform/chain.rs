//! Chains of transformations, kept once each and built on one another.

use super::Transformation;

/// Most chains of a rule set; OWASP's has fewer than a hundred.
const CHAINS_MAX: usize = 4096;

/// Number of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ChainId(u16);

impl ChainId {
    /// No transformation.
    pub(crate) const NONE: ChainId = ChainId(0);

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A chain: one transformation behind another chain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain {
    /// What comes before.
    pub(crate) before: ChainId,
    /// The last step.
    pub(crate) last: Transformation,
    /// A value with none of these classes of bytes passes unchanged.
    pub(crate) triggers: u64,
    /// Whether an empty value comes out filled.
    pub(crate) fills_empty: bool,
}

/// All chains of a rule set. The first is the empty one and is never looked at.
#[derive(Debug, Clone)]
pub(crate) struct Chains {
    all: Vec<Chain>,
}

impl Default for Chains {
    fn default() -> Self {
        Chains {
            all: vec![Chain {
                before: ChainId::NONE,
                last: Transformation::RemoveNulls,
                triggers: 0,
                fills_empty: false,
            }],
        }
    }
}

impl Chains {
    /// The chain of these steps; made if it is not there yet. None where there are too many of them.
    pub(crate) fn chain(&mut self, steps: &[Transformation]) -> Option<ChainId> {
        let mut steps = steps.iter();
        steps.try_fold(ChainId::NONE, |before, step| self.then(before, *step))
    }

    fn then(&mut self, before: ChainId, last: Transformation) -> Option<ChainId> {
        let known = self.all.iter().skip(1);
        let known = known.zip(1_u16..);
        for (chain, id) in known {
            if chain.before == before && chain.last == last {
                return Some(ChainId(id));
            }
        }
        if self.all.len() >= CHAINS_MAX {
            return None;
        }
        let prior = self.all[before.index()];
        self.all.push(Chain {
            before,
            last,
            triggers: prior.triggers | last.triggers(),
            fills_empty: prior.fills_empty || last.fills_empty(),
        });
        Some(ChainId((self.all.len() - 1) as u16))
    }

    pub(crate) fn all(&self) -> &[Chain] {
        &self.all
    }

    /// The steps of a chain, first to last.
    pub(crate) fn steps(&self, id: ChainId) -> Vec<Transformation> {
        let mut steps = Vec::new();
        let mut at = id;
        while at != ChainId::NONE {
            let chain = &self.all[at.index()];
            steps.push(chain.last);
            at = chain.before;
        }
        steps.reverse();
        steps
    }
}
