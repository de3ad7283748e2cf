//! A compiled set of rules.

use crate::actions::{Disruptive, Effect, SetVar};
use crate::decision::{Engine, Place, Severity};
use crate::evaluate::Quick;
use crate::macros::{Template, TxName, TxNames};
use crate::operator::Operator;
use crate::prefilter::{Bits, Index};
use crate::problem::Problem;
use crate::transform::{ChainId, Chains, Transformation};
use crate::variables::{Bag, SCALARS, SETS, Selector, Target, Variable};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most threads that compile patterns at once.
const THREADS_MAX: usize = 4;

/// No number in the prefilter.
pub(crate) const UNFILTERED: u16 = u16::MAX;

/// One rule; the rules of a chain are rules of their own.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: u32,
    pub(crate) phase: u8,
    pub(crate) targets: Vec<Target>,
    pub(crate) operator: Operator,
    pub(crate) negated: bool,
    pub(crate) chain: ChainId,
    /// `multiMatch`: the operator sees the value after every step of these.
    pub(crate) steps: Option<Vec<Transformation>>,
    pub(crate) capture: bool,
    pub(crate) setvars: Vec<SetVar>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) disruptive: Disruptive,
    pub(crate) status: Option<u16>,
    pub(crate) log: bool,
    /// The message as it is written.
    pub(crate) title: Arc<str>,
    pub(crate) message: Template,
    pub(crate) data: Template,
    pub(crate) severity: Option<Severity>,
    pub(crate) tags: Arc<[Box<str>]>,
    pub(crate) place: Place,
    /// The next rule of the chain.
    pub(crate) next: Option<u32>,
    /// The first rule of the chain; the rule itself if it is none's.
    pub(crate) head: u32,
    /// Where the phase goes on if this matches and says `skipAfter`.
    pub(crate) skip_to: Option<u32>,
    /// Number in the prefilter, or [`UNFILTERED`].
    pub(crate) filter: u16,
    /// Paranoia level from its tags; 0 without one.
    pub(crate) level: u8,
    /// The rule as a comparison of one number, where that is all it is.
    pub(crate) quick: Option<Quick>,
}

impl Rule {
    /// Whether it needs what is not there: see [`Statistics::inert`].
    fn is_inert(&self) -> bool {
        let remembered = |target: &Target| match target.variable {
            Variable::Bag(bag) => !target.counted && !matches!(bag, Bag::Tx | Bag::Env),
            _ => false,
        };
        let asks = matches!(self.operator, Operator::Never) && !self.negated;
        asks || !self.targets.is_empty() && self.targets.iter().all(remembered)
    }

    /// Compiles the rule's patterns; says whether all can be run.
    fn fits(&self) -> bool {
        let selectors = self.targets.iter();
        let mut selectors =
            selectors.flat_map(|target| std::iter::once(&target.selector).chain(&target.without));
        let selects = selectors.all(|selector| match selector {
            Selector::Pattern(pattern) => pattern.prepare(),
            _ => true,
        });
        selects
            && match &self.operator {
                Operator::Rx(pattern) => pattern.prepare(),
                _ => true,
            }
    }
}

/// What an unfinished body is done with when it reaches a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLimit {
    /// The exchange is refused.
    Reject,
    /// What came until then is looked at.
    ProcessPartial,
}

/// Limits, from the `Sec...Limit` directives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of a request's body that are looked at (`SecRequestBodyLimit`).
    pub request_body: usize,
    /// Most bytes of a request's body besides files (`SecRequestBodyNoFilesLimit`).
    pub request_body_no_files: usize,
    /// What happens to longer ones.
    pub request_body_action: OnLimit,
    /// Most bytes of a response's body that are looked at (`SecResponseBodyLimit`).
    pub response_body: usize,
    /// What happens to longer ones.
    pub response_body_action: OnLimit,
    /// Deepest nesting of JSON and XML (`SecRequestBodyJsonDepthLimit`).
    pub depth: usize,
    /// Most arguments (`SecArgumentsLimit`).
    pub arguments: usize,
}

/// Settings that directives make.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) engine: Engine,
    pub(crate) request_body: bool,
    pub(crate) response_body: bool,
    /// Media types whose bodies are looked at in responses; all where there is none.
    pub(crate) response_types: Vec<String>,
    pub(crate) argument_separator: u8,
    pub(crate) limits: Limits,
}

/// What the prefilter knows of one kind of variable at one paranoia level.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kind {
    /// Rules that look at it.
    pub(crate) rules: Bits,
    /// Chains through which they look at it, with all that these are built on.
    pub(crate) chains: Vec<ChainId>,
}

/// How many kinds there are.
pub(crate) const KINDS: usize = SCALARS + 2 * SETS;

/// The kind of a variable whose values are fixed.
pub(crate) fn kind(variable: Variable) -> usize {
    match variable {
        Variable::Scalar(scalar) => scalar as usize,
        Variable::Values(set) => SCALARS + set as usize,
        Variable::Keys(set) => SCALARS + SETS + set as usize,
        _ => KINDS,
    }
}

/// A compiled set of rules. It does not change, and is shared by all that use it.
#[derive(Debug)]
pub struct RuleSet {
    pub(crate) rules: Vec<Rule>,
    /// First rules of chains by phase; index 0 is unused.
    pub(crate) phases: [Vec<u32>; 6],
    pub(crate) chains: Chains,
    pub(crate) names: TxNames,
    pub(crate) settings: Settings,
    pub(crate) index: Index,
    /// By paranoia level 0 to 4, then by kind.
    pub(crate) kinds: Vec<Vec<Kind>>,
    /// `tx.detection_paranoia_level`, where rules have it.
    pub(crate) level: Option<TxName>,
}

/// How many of what a rule set holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// Rules, those within chains counted too.
    pub rules: usize,
    /// Distinct ids.
    pub ids: usize,
    /// Rules that the prefilter decides on before they run.
    pub filtered: usize,
    /// Distinct chains of transformations.
    pub chains: usize,
    /// Ids whose rules ask a network or a database of places (`@rbl`, `@geoLookup`), or look at nothing but
    /// what earlier requests left (`IP`, `SESSION` and the like). Neither is there, so that they match
    /// nothing, or only what the same request has set.
    pub inert: usize,
}

impl RuleSet {
    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.settings.limits
    }

    /// Whether there are rules about bodies of responses, of whatever media type.
    pub fn looks_at_responses(&self) -> bool {
        self.settings.response_body && !self.phases[4].is_empty()
    }

    /// Whether rules want to see bodies of responses of this media type (without parameters).
    pub fn looks_at_response(&self, media_type: &[u8]) -> bool {
        let types = &self.settings.response_types;
        let media_type = media_type
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default();
        let media_type = media_type.trim_ascii();
        let is = |one: &String| one.as_bytes().eq_ignore_ascii_case(media_type);
        self.settings.response_body && (types.is_empty() || types.iter().any(is))
    }

    /// Ids, tags and messages of all rules, in the order of their files.
    pub fn describe(&self) -> impl Iterator<Item = (u32, &[Box<str>], &Place)> {
        let heads = self
            .rules
            .iter()
            .zip(0..)
            .filter(|(rule, at)| rule.head == *at);
        heads.map(|(rule, _)| (rule.id, &*rule.tags, &rule.place))
    }

    /// Compiles all patterns now, so that no request waits for one.
    ///
    /// # Errors
    /// The rules whose patterns are too large to be run: they could never match.
    pub fn prepare(&self) -> Result<(), Vec<Problem>> {
        // Patterns differ much in what they take, so that each thread fetches the next.
        let next = AtomicUsize::new(0);
        let compile = || {
            let mut unfit = Vec::new();
            while let Some(rule) = self.rules.get(next.fetch_add(1, Ordering::Relaxed)) {
                if !rule.fits() {
                    unfit.push(Problem {
                        file: rule.place.file.to_string(),
                        line: rule.place.line,
                        message: format!("a pattern of rule {} is too large to be run", rule.id),
                    });
                }
            }
            unfit
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut problems = std::thread::scope(|scope| {
            // Where the system gives no thread, this one does all of it.
            let others: Vec<_> = (1..cores.min(THREADS_MAX))
                .filter_map(|_| {
                    std::thread::Builder::new()
                        .spawn_scoped(scope, compile)
                        .ok()
                })
                .collect();
            let mut problems = compile();
            for other in others {
                match other.join() {
                    Ok(more) => problems.extend(more),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            problems
        });
        problems.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
        match problems.is_empty() {
            true => Ok(()),
            false => Err(problems),
        }
    }

    /// The same rules without the prefilter, which must not change what they find: for tests.
    #[doc(hidden)]
    pub fn unfiltered(mut self) -> RuleSet {
        for rule in &mut self.rules {
            rule.filter = UNFILTERED;
        }
        self
    }

    /// How much there is of what.
    pub fn statistics(&self) -> Statistics {
        let mut ids: Vec<u32> = self
            .rules
            .iter()
            .map(|rule| rule.id)
            .filter(|id| *id > 0)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        Statistics {
            rules: self.rules.len(),
            ids: ids.len(),
            filtered: usize::from(self.index.rules()),
            chains: self.chains.all().len() - 1,
            inert: self.inert(),
        }
    }

    fn inert(&self) -> usize {
        let heads = self.rules.iter().filter(|rule| rule.is_inert());
        let mut ids: Vec<u32> = heads
            .map(|rule| self.rules[rule.head as usize].id)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids.len()
    }
}
