//! Makes one rule of its three parts.

use super::settings::{engine, switch};
use crate::actions::{Allow, Change, Disruptive, Effect, Processor, SetVar, VarName};
use crate::decision::{Place, Severity};
use crate::exclusions::{Removal, Which};
use crate::macros::{Template, TxNames};
use crate::operator::Operator;
use crate::ruleset::{Rule, UNFILTERED};
use crate::seclang::{self, RawAction};
use crate::transform::{ChainId, Chains, Transformation};
use crate::variables::{Bag, Target, exclude};
use std::sync::Arc;

/// Most transformations of a rule: each is one more pass over the value, and may double it.
const STEPS_MAX: usize = 64;

/// What is known of a rule before its parts are read.
pub(super) struct Draft<'a> {
    pub(super) line: u32,
    pub(super) phase: u8,
    pub(super) head: u32,
    pub(super) is_head: bool,
    pub(super) file: Arc<str>,
    pub(super) defaults: &'a [RawAction],
}

/// A rule and what ties it to others.
pub(super) struct Made {
    pub(super) rule: Rule,
    pub(super) chained: bool,
    pub(super) skip_after: Option<String>,
}

/// What actions set one by one.
struct Parts {
    steps: Vec<Transformation>,
    multi_match: bool,
    chained: bool,
    skip_after: Option<String>,
    tags: Vec<Box<str>>,
    disruptive: Option<Disruptive>,
    rule: Rule,
}

impl Draft<'_> {
    pub(super) fn make(
        self,
        what: Option<(&str, &str)>,
        actions: &[RawAction],
        read: &dyn Fn(&str) -> Result<Vec<u8>, String>,
        chains: &mut Chains,
        names: &mut TxNames,
    ) -> Result<Made, String> {
        let mut targets = Vec::new();
        let mut operator = Operator::Always;
        let mut negated = false;
        if let Some((variables, text)) = what {
            for raw in seclang::targets(variables)? {
                match raw.excluded {
                    true => drop(exclude(&mut targets, &raw)?),
                    false => targets.push(Target::compile(&raw)?),
                }
            }
            let raw = seclang::operator(text);
            negated = raw.negated;
            let mut template = |text: &str| Template::parse(text, names);
            operator = Operator::compile(&raw, read, &mut template)?;
        }
        let empty = Template::parse("", names)?;
        let mut parts = Parts {
            steps: Vec::new(),
            multi_match: false,
            chained: false,
            skip_after: None,
            tags: Vec::new(),
            disruptive: None,
            rule: self.blank(targets, operator, negated, empty),
        };
        if self.is_head {
            for action in self.defaults.iter().filter(|action| action.name != "t") {
                parts.apply(action, names)?;
            }
            let own = actions
                .iter()
                .any(|action| action.name == "t" && action.argument == "none");
            let steps = self
                .defaults
                .iter()
                .filter(|action| action.name == "t" && !own);
            for action in steps {
                parts.apply(action, names)?;
            }
        }
        // `block` does what the phase's default says.
        let default = parts.disruptive.take();
        for action in actions {
            parts.apply(action, names)?;
        }
        if self.is_head && parts.rule.id == 0 {
            return Err("the rule has no `id`".into());
        }
        parts.finish(default, chains)
    }

    /// A rule of which no action was read yet.
    fn blank(
        &self,
        targets: Vec<Target>,
        operator: Operator,
        negated: bool,
        empty: Template,
    ) -> Rule {
        Rule {
            id: 0,
            phase: self.phase,
            targets,
            operator,
            negated,
            chain: ChainId::NONE,
            steps: None,
            capture: false,
            setvars: Vec::new(),
            effects: Vec::new(),
            disruptive: Disruptive::Pass,
            status: None,
            log: true,
            title: "".into(),
            message: empty.clone(),
            data: empty,
            severity: None,
            tags: Arc::new([]),
            place: Place {
                file: self.file.clone(),
                line: self.line,
            },
            next: None,
            head: self.head,
            skip_to: None,
            filter: UNFILTERED,
            level: 0,
            quick: None,
        }
    }
}

impl Parts {
    fn finish(self, default: Option<Disruptive>, chains: &mut Chains) -> Result<Made, String> {
        let mut rule = self.rule;
        rule.disruptive = match self.disruptive {
            None | Some(Disruptive::Block) => default.unwrap_or(Disruptive::Pass),
            Some(disruptive) => disruptive,
        };
        let too_many = || "the rules have too many different chains of transformations".to_owned();
        rule.chain = chains.chain(&self.steps).ok_or_else(too_many)?;
        rule.steps = self.multi_match.then_some(self.steps);
        let level = self
            .tags
            .iter()
            .find_map(|tag| tag.strip_prefix("paranoia-level/"));
        rule.level = level
            .and_then(|level| level.parse().ok())
            .map_or(0, |level: u8| level.min(4));
        rule.tags = self.tags.into();
        Ok(Made {
            rule,
            chained: self.chained,
            skip_after: self.skip_after,
        })
    }

    /// Takes one action.
    fn apply(&mut self, action: &RawAction, names: &mut TxNames) -> Result<(), String> {
        let argument = action.argument.as_str();
        let rule = &mut self.rule;
        match action.name.as_str() {
            "id" => {
                rule.id = argument
                    .parse()
                    .map_err(|_| format!("`{argument}` is no id"))?
            }
            "phase" | "ver" | "rev" | "maturity" | "accuracy" => {}
            // A collection lives as long as its transaction, so that nothing in it expires.
            "auditlog" | "noauditlog" | "initcol" | "expirevar" | "setenv" | "setsid"
            | "setuid" | "setrsc" => {}
            "deprecatevar" | "xmlns" | "append" | "prepend" | "exec" | "pause" => {
                return unsupported(&action.name);
            }
            "t" if argument == "none" => self.steps.clear(),
            "t" if self.steps.len() >= STEPS_MAX => {
                return Err(format!("more than {STEPS_MAX} transformations"));
            }
            "t" => {
                let step = Transformation::by_name(argument);
                let unknown = || format!("`t:{argument}` is no transformation that is supported");
                self.steps.push(step.ok_or_else(unknown)?);
            }
            "multimatch" => self.multi_match = true,
            "capture" => rule.capture = true,
            "chain" => self.chained = true,
            "log" => rule.log = true,
            "nolog" => rule.log = false,
            "msg" => {
                rule.title = argument.into();
                rule.message = Template::parse(argument, names)?;
            }
            "logdata" => rule.data = Template::parse(argument, names)?,
            "tag" => self.tags.push(argument.into()),
            "severity" => {
                let severity = Severity::parse(argument);
                rule.severity =
                    Some(severity.ok_or_else(|| format!("`{argument}` is no severity"))?);
            }
            "status" => {
                let status = argument
                    .parse()
                    .ok()
                    .filter(|status| (100..600).contains(status));
                rule.status = Some(status.ok_or_else(|| format!("`{argument}` is no status"))?);
            }
            "setvar" => rule.setvars.push(set_var(argument, names)?),
            "skipafter" => self.skip_after = Some(argument.to_owned()),
            "skip" => {
                let count = argument
                    .parse()
                    .map_err(|_| format!("`{argument}` is no number"))?;
                rule.effects.push(Effect::Skip(count));
            }
            "ctl" => rule.effects.extend(ctl(argument)?),
            name => self.disruptive = Some(disruptive(name, argument, names)?),
        }
        Ok(())
    }
}

/// What ends a phase or an exchange, by an action's name.
fn disruptive(name: &str, argument: &str, names: &mut TxNames) -> Result<Disruptive, String> {
    Ok(match name {
        "pass" => Disruptive::Pass,
        "block" => Disruptive::Block,
        "deny" => Disruptive::Deny,
        "drop" => Disruptive::Drop,
        "redirect" => Disruptive::Redirect(Template::parse(argument, names)?),
        "allow" => Disruptive::Allow(match argument {
            "" => Allow::All,
            "phase" => Allow::Phase,
            "request" => Allow::Request,
            _ => return Err(format!("`allow:{argument}` is none of phase and request")),
        }),
        name => return Err(format!("`{name}` is no action that is supported")),
    })
}

fn unsupported(action: &str) -> Result<(), String> {
    Err(format!("`{action}` is no action that is supported"))
}

/// The phase that actions name; 2 without one.
pub(super) fn phase_of(actions: &[RawAction]) -> Result<u8, String> {
    let named = actions.iter().rev().find(|action| action.name == "phase");
    named.map_or(Ok(2), |action| phase(&action.argument))
}

/// Reads a phase.
pub(super) fn phase(text: &str) -> Result<u8, String> {
    match text.to_ascii_lowercase().as_str() {
        "request" => Ok(2),
        "response" => Ok(4),
        "logging" => Ok(5),
        number => {
            let number = number.parse().ok().filter(|phase| (1..=5).contains(phase));
            number.ok_or_else(|| format!("`{text}` is no phase"))
        }
    }
}

/// Reads `tx.name=value`, `tx.name=+value`, `!tx.name`.
fn set_var(argument: &str, names: &mut TxNames) -> Result<SetVar, String> {
    let (unset, rest) = match argument.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, argument),
    };
    let (name, value) = match rest.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (rest, None),
    };
    let (bag, name) = name
        .split_once(['.', ':'])
        .ok_or_else(|| format!("`setvar:{argument}` names no collection"))?;
    let bag = Bag::by_name(&bag.trim().to_ascii_uppercase())
        .ok_or_else(|| format!("`{bag}` is no collection that can be written"))?;
    let name = match bag == Bag::Tx && !name.contains("%{") {
        true => VarName::Tx(names.number(name.trim())),
        false => VarName::Made(Template::parse(name.trim(), names)?),
    };
    let change = match (unset, value) {
        (true, _) => Change::Unset,
        (false, None) => Change::Set(Template::parse("1", names)?),
        (false, Some(value)) => match value.as_bytes().first() {
            Some(b'+') => Change::Add(Template::parse(&value[1..], names)?),
            Some(b'-') => Change::Subtract(Template::parse(&value[1..], names)?),
            _ => Change::Set(Template::parse(value, names)?),
        },
    };
    Ok(SetVar { bag, name, change })
}

/// Reads a `ctl`; some mean nothing here.
fn ctl(argument: &str) -> Result<Option<Effect>, String> {
    let (name, value) = argument
        .split_once('=')
        .ok_or_else(|| format!("`ctl:{argument}` sets nothing"))?;
    let split = || {
        value
            .split_once(';')
            .ok_or_else(|| format!("`ctl:{argument}` names no variable"))
    };
    let remove =
        |which: Which, target: Option<&str>| Removal::new(which, target).map(Effect::Remove);
    Ok(Some(match name.trim().to_ascii_lowercase().as_str() {
        "ruleremovebyid" => remove(Which::ids(value)?, None)?,
        "ruleremovebytag" => remove(Which::Tag(value.into()), None)?,
        "ruleremovebymsg" => remove(Which::Message(value.into()), None)?,
        "ruleremovetargetbyid" => remove(Which::ids(split()?.0)?, Some(split()?.1))?,
        "ruleremovetargetbytag" => remove(Which::Tag(split()?.0.into()), Some(split()?.1))?,
        "ruleremovetargetbymsg" => remove(Which::Message(split()?.0.into()), Some(split()?.1))?,
        "ruleengine" => Effect::Engine(engine(value)?),
        "requestbodyaccess" => Effect::RequestBodyAccess(switch(value)?),
        "responsebodyaccess" => Effect::ResponseBodyAccess(switch(value)?),
        "requestbodyprocessor" => {
            let processor = Processor::by_name(value);
            Effect::Processor(processor.ok_or_else(|| format!("`{value}` reads no bodies"))?)
        }
        "forcerequestbodyvariable" => Effect::ForceBody(switch(value)?),
        "auditengine" | "auditlogparts" | "debugloglevel" => {
            return Ok(None);
        }
        _ => return Err(format!("`ctl:{name}` is not supported")),
    }))
}
