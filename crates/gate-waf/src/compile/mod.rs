//! Makes a rule set of files: directives in their order, then what they change about rules.
//!
//! `rule` makes one rule, `finish` applies changes, numbers rules and builds the prefilter.

mod finish;
mod rule;
mod settings;

use crate::decision::Place;
use crate::macros::TxNames;
use crate::problem::Problem;
use crate::ruleset::{Rule, RuleSet, Settings};
use crate::seclang::{self, Directive, RawAction};
use crate::transform::Chains;
use finish::Change;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Where files that rules name come from: the words of `@pmFromFile`, and `Include`.
pub trait Files {
    /// The contents of `name`, as it is written in the file `from`.
    ///
    /// # Errors
    /// Why it cannot be had.
    fn read(&self, name: &str, from: &str) -> Result<Vec<u8>, String>;

    /// The names of all files that a pattern of `Include` means, in their order.
    ///
    /// # Errors
    /// Why they cannot be had.
    fn list(&self, pattern: &str, from: &str) -> Result<Vec<String>, String> {
        let _ = from;
        Ok(vec![pattern.to_owned()])
    }
}

/// No files at all.
#[derive(Debug, Clone, Copy)]
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, name: &str, _: &str) -> Result<Vec<u8>, String> {
        Err(format!("there is no file `{name}`"))
    }
}

/// Deepest nesting of `Include`.
const INCLUDE_MAX: u8 = 8;
/// Most problems that are told.
const PROBLEMS_MAX: usize = 100;
/// Most rules of a set.
const RULES_MAX: usize = 20_000;

/// Reads rule files, and compiles them.
pub struct Loader<'a> {
    files: &'a dyn Files,
    pub(crate) problems: Vec<Problem>,
    pub(crate) rules: Vec<Rule>,
    /// First rules of chains and markers, in order, by phase.
    steps: Vec<Step>,
    pub(crate) chains: Chains,
    pub(crate) names: TxNames,
    settings: Settings,
    /// `SecDefaultAction` by phase.
    defaults: [Vec<RawAction>; 6],
    changes: Vec<(Change, String, u32)>,
    /// The rule that waits for the next of its chain.
    pending: Option<u32>,
    /// `skipAfter` of rules by their number.
    skips: Vec<(u32, String)>,
    /// Where ids were given.
    ids: FxHashMap<u32, Place>,
    /// The file that is read.
    file: Arc<str>,
}

/// A step of all phases.
enum Step {
    Rule(u32),
    Marker(String),
}

impl<'a> Loader<'a> {
    /// Begins; `files` gives what rules name.
    pub fn new(files: &'a dyn Files) -> Loader<'a> {
        Loader {
            files,
            problems: Vec::new(),
            rules: Vec::new(),
            steps: Vec::new(),
            chains: Chains::default(),
            names: TxNames::default(),
            settings: settings::defaults(),
            defaults: Default::default(),
            changes: Vec::new(),
            pending: None,
            skips: Vec::new(),
            ids: FxHashMap::default(),
            file: "".into(),
        }
    }

    /// Reads a file. What is wrong with it is told by [`Loader::finish`].
    pub fn add(&mut self, file: &str, text: &str) {
        self.read(file, text, 0);
    }

    /// Compiles what was read.
    ///
    /// # Errors
    /// All that is wrong, with places.
    pub fn finish(mut self) -> Result<RuleSet, Vec<Problem>> {
        if let Some(rule) = self.pending {
            let place = self.rules[rule as usize].place.clone();
            self.problem(
                &place.file,
                place.line,
                "`chain` is not followed by a rule".into(),
            );
        }
        let rules = finish::finish(&mut self);
        match self.problems.is_empty() {
            true => rules,
            false => Err(self.problems),
        }
    }

    fn read(&mut self, file: &str, text: &str, depth: u8) {
        let outer = std::mem::replace(&mut self.file, file.into());
        match seclang::directives(file, text) {
            Ok(directives) => {
                for directive in directives {
                    if let Err(message) = self.directive(&directive, depth) {
                        self.problem(file, directive.line, message);
                    }
                    if self.problems.len() >= PROBLEMS_MAX || self.rules.len() > RULES_MAX {
                        break;
                    }
                }
            }
            Err(problems) => self.problems.extend(problems),
        }
        self.file = outer;
    }

    fn problem(&mut self, file: &str, line: u32, message: String) {
        self.problems.push(Problem {
            file: file.to_owned(),
            line,
            message,
        });
    }

    /// Takes one directive.
    fn directive(&mut self, directive: &Directive, depth: u8) -> Result<(), String> {
        let word = |at: usize| {
            let word = directive.words.get(at).map(String::as_str);
            word.ok_or_else(|| format!("`{}` is short of an argument", directive.name))
        };
        let rest = directive.words.join(" ");
        let name = directive.name.to_ascii_lowercase();
        let is_rule = matches!(name.as_str(), "secrule" | "secaction");
        if self.pending.is_some() && !is_rule {
            self.pending = None;
            return Err("`chain` is not followed by a rule".into());
        }
        let change = match name.as_str() {
            "secrule" => {
                let actions = directive.words.get(2).map_or("", String::as_str);
                return self.rule(directive.line, Some((word(0)?, word(1)?)), actions);
            }
            "secaction" => return self.rule(directive.line, None, word(0)?),
            "secmarker" => {
                self.steps.push(Step::Marker(word(0)?.to_owned()));
                return Ok(());
            }
            "secdefaultaction" => return self.default_actions(word(0)?),
            "include" => return self.include(word(0)?, depth),
            "secruleremovebyid" => Change::remove_ids(&rest)?,
            "secruleremovebytag" => Change::remove_tag(word(0)?),
            "secruleremovebymsg" => Change::remove_message(&rest),
            "secruleupdatetargetbyid" => Change::target_ids(word(0)?, &directive.words[1..])?,
            "secruleupdatetargetbytag" => Change::target_tag(word(0)?, &directive.words[1..])?,
            "secruleupdatetargetbymsg" => Change::target_message(word(0)?, &directive.words[1..])?,
            "secruleupdateactionbyid" => Change::actions(word(0)?, word(1)?)?,
            _ => return settings::directive(&mut self.settings, &name, &directive.words),
        };
        self.changes
            .push((change, self.file.to_string(), directive.line));
        Ok(())
    }

    fn include(&mut self, pattern: &str, depth: u8) -> Result<(), String> {
        if depth >= INCLUDE_MAX {
            return Err(format!("`Include` is nested more than {INCLUDE_MAX} deep"));
        }
        let from = self.file.clone();
        for name in self.files.list(pattern, &from)? {
            let text = self.files.read(&name, &from)?;
            let text = String::from_utf8(text).map_err(|_| format!("`{name}` is no UTF-8"))?;
            self.read(&name, &text, depth + 1);
        }
        Ok(())
    }

    fn default_actions(&mut self, text: &str) -> Result<(), String> {
        let actions = seclang::actions(text)?;
        let phase = actions.iter().find(|action| action.name == "phase");
        let phase = rule::phase(&phase.ok_or("`SecDefaultAction` names no phase")?.argument)?;
        self.defaults[usize::from(phase)] = actions;
        Ok(())
    }

    /// Takes one rule; `what` is its variables and operator, none for `SecAction`.
    fn rule(&mut self, line: u32, what: Option<(&str, &str)>, actions: &str) -> Result<(), String> {
        let parent = self.pending.take();
        let at = self.rules.len() as u32;
        let actions = seclang::actions(actions)?;
        let phase = match parent {
            Some(parent) => self.rules[parent as usize].phase,
            None => rule::phase_of(&actions)?,
        };
        let head = parent.map_or(at, |parent| self.rules[parent as usize].head);
        let file = self.file.clone();
        let files = self.files;
        let read = |name: &str| files.read(name, &file);
        let draft = rule::Draft {
            line,
            phase,
            head,
            is_head: parent.is_none(),
            file: file.clone(),
            defaults: &self.defaults[usize::from(phase)],
        };
        let made = draft.make(what, &actions, &read, &mut self.chains, &mut self.names)?;
        if made.rule.id > 0 && parent.is_none() {
            if let Some(place) = self.ids.get(&made.rule.id) {
                let message = format!(
                    "id {} is taken by {}:{}",
                    made.rule.id, place.file, place.line
                );
                return Err(message);
            }
            self.ids.insert(made.rule.id, made.rule.place.clone());
        }
        if let Some(parent) = parent {
            self.rules[parent as usize].next = Some(at);
        } else {
            self.steps.push(Step::Rule(at));
        }
        self.pending = made.chained.then_some(at);
        self.skips
            .extend(made.skip_after.map(|marker| (at, marker)));
        let mut rule = made.rule;
        if parent.is_some() {
            rule.id = self.rules[head as usize].id;
        }
        self.rules.push(rule);
        Ok(())
    }
}
