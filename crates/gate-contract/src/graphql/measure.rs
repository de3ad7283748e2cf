//! Depth, cost and aliases of a document. Each fragment is measured once, so that the time is linear
//! however often fragments are spread.

use super::parse::{Argument, Document, Field, Selection};
use serde_json::Value;
use std::collections::HashMap;

/// What fields cost.
#[derive(Debug, Clone, Default)]
pub struct Costs {
    /// Cost of a field by its name, where it is not 1.
    pub fields: HashMap<String, u64>,
    /// Arguments that say how long a list may become.
    pub lists: Vec<String>,
}

/// What a document asks for: the most of any of its operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measure {
    /// Fields below one another; the fields of an operation itself have depth 1.
    pub depth: u64,
    /// Sum of what its fields cost; saturates.
    pub cost: u64,
    /// Fields under another name, fragments counted as often as they are spread.
    pub aliases: u64,
    /// Directives in the document.
    pub directives: u64,
    /// Whether it asks for the schema (`__schema`, `__type`).
    pub introspects: bool,
    /// Whether an operation is a subscription.
    pub subscribes: bool,
}

impl Measure {
    fn add(&mut self, other: Measure, times: u64, deeper: u64) {
        self.depth = self.depth.max(other.depth.saturating_add(deeper));
        self.cost = self.cost.saturating_add(other.cost.saturating_mul(times));
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.introspects |= other.introspects;
    }
}

/// Measures a document with the variables that came with it.
///
/// # Errors
/// A fragment that is not there, or that spreads itself.
pub fn measure(
    document: &Document<'_>,
    variables: Option<&Value>,
    costs: &Costs,
) -> Result<Measure, String> {
    let mut most = Measure::default();
    for operation in &document.operations {
        let mut work = Work {
            document,
            defaults: &operation.defaults,
            variables,
            costs,
            fragments: HashMap::new(),
        };
        let one = work.selections(&operation.selections)?;
        most.depth = most.depth.max(one.depth);
        most.cost = most.cost.max(one.cost);
        most.aliases = most.aliases.max(one.aliases);
        most.introspects |= one.introspects;
        most.subscribes |= operation.kind == "subscription";
    }
    most.directives = document.directives as u64;
    Ok(most)
}

struct Work<'d, 't> {
    document: &'d Document<'t>,
    defaults: &'d [(&'t str, i64)],
    variables: Option<&'d Value>,
    costs: &'d Costs,
    /// None while a fragment is being measured.
    fragments: HashMap<&'t str, Option<Measure>>,
}

impl<'t> Work<'_, 't> {
    fn selections(&mut self, selections: &[Selection<'t>]) -> Result<Measure, String> {
        let mut sum = Measure::default();
        for selection in selections {
            match selection {
                Selection::Field(field) => {
                    let own = self.field(field)?;
                    sum.add(own, 1, 0);
                }
                Selection::Inline(inside) => {
                    let own = self.selections(inside)?;
                    sum.add(own, 1, 0);
                }
                Selection::Spread(name) => {
                    let own = self.fragment(name)?;
                    sum.add(own, 1, 0);
                }
            }
        }
        Ok(sum)
    }

    fn field(&mut self, field: &Field<'t>) -> Result<Measure, String> {
        let mut own = Measure {
            depth: 1,
            cost: self.costs.fields.get(field.name).copied().unwrap_or(1),
            aliases: u64::from(field.is_aliased),
            introspects: matches!(field.name, "__schema" | "__type"),
            ..Measure::default()
        };
        let inside = self.selections(&field.selections)?;
        let times = match field.selections.is_empty() {
            true => 1,
            false => self.length(field),
        };
        own.add(inside, times, 1);
        Ok(own)
    }

    /// How long the list of a field may become; 1 where nothing says so.
    fn length(&self, field: &Field<'t>) -> u64 {
        let lists = field
            .arguments
            .iter()
            .filter(|(name, _)| self.costs.lists.iter().any(|list| list == name));
        let number = |argument: &Argument<'t>| match argument {
            Argument::Number(number) => Some(*number),
            Argument::Variable(name) => {
                let given = self.variables.and_then(|all| all.get(name));
                match given {
                    Some(value) => value.as_f64().map(|number| number as i64),
                    None => {
                        let default = self.defaults.iter().find(|(known, _)| known == name);
                        default.map(|(_, number)| *number)
                    }
                }
            }
        };
        let longest = lists.filter_map(|(_, argument)| number(argument)).max();
        u64::try_from(longest.unwrap_or(1)).unwrap_or(1).max(1)
    }

    fn fragment(&mut self, name: &'t str) -> Result<Measure, String> {
        match self.fragments.get(name) {
            Some(Some(known)) => return Ok(*known),
            Some(None) => return Err(format!("has the fragment `{name}` that spreads itself")),
            None => {}
        }
        let found = self
            .document
            .fragments
            .iter()
            .find(|(known, _)| *known == name);
        let (_, selections) =
            found.ok_or_else(|| format!("spreads a fragment `{name}` that is not there"))?;
        self.fragments.insert(name, None);
        // A chain of fragments is as deep as there are fragments: that is bounded by the tokens.
        if self.fragments.values().filter(|one| one.is_none()).count() > super::NESTING_MAX {
            return Err("nests its fragments too deep".to_owned());
        }
        let measure = self.selections(selections)?;
        self.fragments.insert(name, Some(measure));
        Ok(measure)
    }
}
