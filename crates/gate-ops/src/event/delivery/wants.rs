//! Who wants an event.

use crate::event::pattern::{Limits, Matched, Memory, Pattern, RuleId, RuleSet};
use crate::rules::{compile, free};
use cel::{Context, Program};
use gate_model::document::{Path, canonical_json};
use gate_model::resources::SubscriberFilter;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// A filter that was read.
pub enum Filter {
    /// Every event.
    All,
    /// What a pattern says.
    Pattern(Box<Pattern>),
    /// What an expression says.
    Cel(Box<Program>),
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// The path to what is wrong in it, and a sentence.
    pub fn read(filter: Option<&SubscriberFilter>) -> Result<Self, (Path, String)> {
        match filter {
            None => Ok(Filter::All),
            Some(SubscriberFilter::Pattern(node)) => {
                let at = Path::root().key("pattern");
                match Pattern::parse(&canonical_json(node)) {
                    Ok(pattern) => Ok(Filter::Pattern(Box::new(pattern))),
                    Err(error) => Err((placed(at, &error.place), error.to_string())),
                }
            }
            Some(SubscriberFilter::Cel(text)) => match compile(text).and_then(of_event) {
                Ok(program) => Ok(Filter::Cel(Box::new(program))),
                Err(problem) => Err((Path::root().key("cel"), problem)),
            },
        }
    }
}

/// A place in a pattern (`detail.state[0].prefix`) below a path.
fn placed(path: Path, place: &str) -> Path {
    let below: Option<Path> = place.parse().ok();
    below.map_or(path.clone(), |below| {
        below.segments().iter().fold(path, |mut path, segment| {
            path.push(segment.clone());
            path
        })
    })
}

/// A program that knows the event alone.
pub(super) fn of_event(program: Program) -> Result<Program, String> {
    match free(&program.expression().expr, &mut Vec::new(), &["event"]) {
        Some(name) => Err(format!(
            "there is no variable `{name}` here; there is `event`"
        )),
        None => Ok(program),
    }
}

/// JSON as CEL has it: whole numbers are signed, so that literals such as `20` compare with them.
pub(super) fn cel_value(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(truth) => cel::Value::Bool(*truth),
        Value::Number(number) => match number.as_i64() {
            Some(number) => cel::Value::Int(number),
            None => cel::Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        Value::Array(list) => cel::Value::List(Arc::new(list.iter().map(cel_value).collect())),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| (name.clone(), cel_value(value)));
            cel::Value::Map(fields.collect::<HashMap<String, cel::Value>>().into())
        }
    }
}

/// Many filters at once, each under a number of the caller's.
#[derive(Default)]
pub struct Wants {
    rules: RuleSet,
    all: Vec<RuleId>,
    programs: Vec<(RuleId, Program)>,
    memory: Memory,
    matched: Matched,
}

impl Wants {
    /// Without filters.
    #[must_use]
    pub fn new() -> Self {
        Wants {
            rules: RuleSet::with_limits(Limits::default()),
            ..Wants::default()
        }
    }

    /// Adds a filter.
    ///
    /// # Errors
    /// A sentence, when there are too many patterns.
    pub fn add(&mut self, id: RuleId, filter: Filter) -> Result<(), String> {
        match filter {
            Filter::All => self.all.push(id),
            Filter::Pattern(pattern) => {
                let added = self.rules.add(id, &pattern);
                added.map_err(|full| full.to_string())?;
            }
            Filter::Cel(program) => self.programs.push((id, *program)),
        }
        Ok(())
    }

    /// Whose filters want an event, in order. `bytes` are the event as JSON, `value` the same, read.
    /// Filters that take too long to decide want it: it is told rather than lost.
    pub fn find(&mut self, bytes: &[u8], value: &Value) -> Vec<RuleId> {
        let mut found = self.all.clone();
        if !self.rules.is_empty()
            && (self.rules)
                .find(bytes, &mut self.memory, &mut self.matched)
                .is_ok()
        {
            found.extend(&self.matched.rules);
            found.extend(&self.matched.undecided);
        }
        if !self.programs.is_empty() {
            let mut context = Context::default();
            context.add_variable_from_value("event", cel_value(value));
            let wanted =
                |program: &Program| matches!(program.execute(&context), Ok(cel::Value::Bool(true)));
            let programs = self.programs.iter();
            found.extend(programs.filter_map(|(id, program)| wanted(program).then_some(*id)));
        }
        found.sort_unstable();
        found
    }
}
