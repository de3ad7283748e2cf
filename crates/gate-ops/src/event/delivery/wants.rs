//! Who wants an event.

use crate::event::pattern::{Limits, Matched, Memory, Pattern, RuleId, RuleSet};
use crate::rules::{compile, free};
use cel::common::ast::{EntryExpr, Expr, IdedExpr};
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

/// Most entries of a list or an object that expressions are evaluated over. As macros are not nested, it
/// bounds what an event that somebody makes up can cost: each entry once, at the event's length at most.
const ENTRIES_MAX: usize = 10_000;

/// A program that knows the event alone, and goes over no list for each entry of another.
pub(super) fn of_event(program: Program) -> Result<Program, String> {
    let expression = &program.expression().expr;
    if let Some(name) = free(expression, &mut Vec::new(), &["event"]) {
        return Err(format!(
            "there is no variable `{name}` here; there is `event`"
        ));
    }
    if is_nested(expression, false) {
        return Err("macros such as `exists` cannot be nested".into());
    }
    Ok(program)
}

/// Whether a macro is evaluated for each entry that another goes over.
fn is_nested(expression: &Expr, is_inside: bool) -> bool {
    let nested = |part: &IdedExpr| is_nested(&part.expr, is_inside);
    match expression {
        Expr::Select(select) => nested(&select.operand),
        Expr::Call(call) => call
            .target
            .as_deref()
            .into_iter()
            .chain(&call.args)
            .any(nested),
        Expr::List(list) => list.elements.iter().any(nested),
        Expr::Map(map) => map.entries.iter().any(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => nested(&entry.key) || nested(&entry.value),
            EntryExpr::StructField(field) => nested(&field.value),
        }),
        Expr::Comprehension(all) => {
            let inside = [&all.loop_cond, &all.loop_step, &all.result];
            is_inside
                || nested(&all.iter_range)
                || nested(&all.accu_init)
                || inside.iter().any(|part| is_nested(&part.expr, true))
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => false,
    }
}

/// An event as CEL has it; none when it has a list or an object of too many entries.
pub(super) fn cel_event(event: &Value) -> Option<cel::Value> {
    is_within(event).then(|| cel_value(event))
}

fn is_within(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.len() <= ENTRIES_MAX && list.iter().all(is_within),
        Value::Object(fields) => fields.len() <= ENTRIES_MAX && fields.values().all(is_within),
        _ => true,
    }
}

/// JSON as CEL has it: whole numbers are signed, so that literals such as `20` compare with them.
fn cel_value(value: &Value) -> cel::Value {
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
    /// Filters that take too long to decide want it, and so do expressions over an event with a list of more
    /// than 10,000 entries: it is told rather than lost.
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
            let event = cel_event(value);
            let is_undecided = event.is_none();
            context.add_variable_from_value("event", event.unwrap_or(cel::Value::Null));
            let wanted = |program: &Program| {
                is_undecided || matches!(program.execute(&context), Ok(cel::Value::Bool(true)))
            };
            let programs = self.programs.iter();
            found.extend(programs.filter_map(|(id, program)| wanted(program).then_some(*id)));
        }
        found.sort_unstable();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Result<Filter, String> {
        let filter = SubscriberFilter::Cel(text.to_owned());
        Filter::read(Some(&filter)).map_err(|(_, problem)| problem)
    }

    #[test]
    fn expressions_do_not_go_over_a_list_for_each_entry_of_another() {
        for text in [
            "event.data.a.exists(x, event.data.b.exists(y, x == y))",
            "event.data.a.map(x, event.data.b.filter(y, y > x)).size() > 0",
            "event.data.a.all(x, x in event.data.b.map(y, y + 1))",
        ] {
            let refused = read(text).err().unwrap_or_default();
            assert!(refused.contains("cannot be nested"), "{text}: {refused}");
        }
        for text in [
            "event.data.a.filter(x, x > 1).exists(x, x == 3)",
            "event.data.a.exists(x, x == 3) && event.data.b.exists(y, y == 4)",
        ] {
            assert!(read(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn an_event_with_too_long_a_list_is_told_and_not_gone_over() {
        let mut wants = Wants::new();
        let filter = read("event.data.a.exists(x, x == 3)").expect("a filter");
        wants.add(7, filter).expect("there is room");
        let mut find = |len: usize| {
            let event = json!({ "data": { "a": vec![0; len] } });
            wants.find(event.to_string().as_bytes(), &event)
        };
        assert!(
            find(ENTRIES_MAX).is_empty(),
            "decided: nothing in it is three"
        );
        assert_eq!(find(ENTRIES_MAX + 1), vec![7]);
    }
}
