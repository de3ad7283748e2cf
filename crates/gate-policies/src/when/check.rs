//! Names, kinds and cost of a condition, checked before it ever runs.
//!
//! The library resolves names and types while it evaluates; an operator wants to know before. The
//! walk below knows every variable and function, infers kinds as far as that is certain, and bounds
//! what an evaluation can cost: macros may not be nested, and nothing of a request is longer than
//! its head.

use super::Known;
use cel::common::ast::{
    CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators,
};
use gate_model::suggest::nearest;

/// Most nodes of an expression; each is evaluated at most once per element of one macro.
const NODES_MAX: usize = 256;

/// Functions that a condition may call.
const FUNCTIONS: [&str; 12] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "string",
    "int",
    "uint",
    "double",
    "bool",
    "bytes",
    "type",
];

/// What is certain about a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Int,
    Text,
    Fields,
    List,
    /// Not known before the evaluation.
    Any,
}

struct Walk<'k> {
    known: Known<'k>,
    nodes: usize,
    macros: usize,
    bound: Vec<(String, Kind)>,
    patterns: Vec<String>,
}

/// Checks an expression, turns its `has()` tests into `in`, which [`super::fields`] answers
/// exactly, and returns the patterns of its calls of `matches`.
pub(super) fn check(expression: &mut IdedExpr, known: Known<'_>) -> Result<Vec<String>, String> {
    let mut walk = Walk {
        known,
        nodes: 0,
        macros: 0,
        bound: Vec::new(),
        patterns: Vec::new(),
    };
    match walk.kind(expression)? {
        Kind::Bool | Kind::Any => Ok(walk.patterns),
        other => Err(format!("the condition is {}, no bool", other.noun())),
    }
}

impl Kind {
    fn noun(self) -> &'static str {
        match self {
            Kind::Bool => "a bool",
            Kind::Int => "an int",
            Kind::Text => "a string",
            Kind::Fields => "a map",
            Kind::List => "a list",
            Kind::Any => "of unknown type",
        }
    }
}

impl Walk<'_> {
    fn kind(&mut self, expression: &mut IdedExpr) -> Result<Kind, String> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(format!("the condition has more than {NODES_MAX} parts"));
        }
        match &mut expression.expr {
            Expr::Literal(literal) => Ok(literal_kind(literal)),
            Expr::Ident(name) => self.named(&[name]),
            Expr::Select(select) if select.test => {
                self.present(select)?;
                let field = std::mem::take(&mut select.field);
                let operand = std::mem::take(&mut *select.operand);
                let field = Expr::Literal(LiteralValue::String(field.into()));
                let field = IdedExpr {
                    id: expression.id,
                    expr: field,
                };
                let func_name = operators::IN.to_owned();
                let args = vec![field, operand];
                expression.expr = Expr::Call(CallExpr {
                    func_name,
                    target: None,
                    args,
                });
                Ok(Kind::Bool)
            }
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::List(list) => {
                list.elements
                    .iter_mut()
                    .try_for_each(|element| self.kind(element).map(drop))?;
                Ok(Kind::List)
            }
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                        self.kind(&mut entry.key)?;
                        self.kind(&mut entry.value)?;
                    }
                }
                Ok(Kind::Fields)
            }
            Expr::Struct(_) | Expr::Unspecified => Err("messages are not supported".into()),
        }
    }

    /// `has(map.name)`.
    fn present(&mut self, select: &mut SelectExpr) -> Result<(), String> {
        if let Some(segments) = segments(&select.operand.expr)
            && let [root] = &segments[..]
            && self.variable(root).is_none()
            && self
                .variables()
                .any(|(name, ..)| name.split_once('.').is_some_and(|parts| parts.0 == *root))
        {
            let full = format!("{root}.{}", select.field);
            self.named(&[root, &select.field])?;
            return Err(format!(
                "`{full}` is always there: `has` is for entries of maps"
            ));
        }
        match self.kind(&mut select.operand)? {
            Kind::Fields | Kind::Any => Ok(()),
            other => Err(format!(
                "`has({})` looks into {}",
                select.field,
                other.noun()
            )),
        }
    }

    fn select(&mut self, select: &mut SelectExpr) -> Result<Kind, String> {
        let whole = Expr::Select(std::mem::take(select));
        let named = segments(&whole).map(|names| self.named(&names));
        let Expr::Select(taken) = whole else {
            unreachable!("built above")
        };
        *select = taken;
        if let Some(kind) = named {
            return kind;
        }
        match self.kind(&mut select.operand)? {
            Kind::Fields | Kind::Any => Ok(Kind::Any),
            other => Err(format!("{} has no `{}`", other.noun(), select.field)),
        }
    }

    /// A dotted name: a variable, perhaps with an entry of it.
    fn named(&self, names: &[&str]) -> Result<Kind, String> {
        if let Some(kind) = self.variable(names[0]) {
            return Ok(if names.len() == 1 { kind } else { Kind::Any });
        }
        for length in [1, 2] {
            let Some(name) = names.get(..length).map(|names| names.join(".")) else {
                continue;
            };
            let Some((_, of, _)) = self.variables().find(|(known, ..)| *known == name) else {
                continue;
            };
            let kind = match *of {
                "map" => Kind::Fields,
                "int" => Kind::Int,
                "bool" => Kind::Bool,
                _ => Kind::Text,
            };
            return match (kind, &names[length..]) {
                (_, []) => Ok(kind),
                (Kind::Fields, [_]) => Ok(Kind::Text),
                (_, [field, ..]) => Err(format!("`{name}` has no `{field}` to look into")),
            };
        }
        Err(unknown(names, self.variables().map(|(name, ..)| *name)))
    }

    fn variables(&self) -> impl Iterator<Item = &(&str, &str, &str)> + Clone {
        self.known.iter().copied().flatten()
    }

    fn variable(&self, name: &str) -> Option<Kind> {
        self.bound
            .iter()
            .rev()
            .find(|(bound, _)| bound == name)
            .map(|(_, kind)| *kind)
    }

    fn call(&mut self, call: &mut CallExpr) -> Result<Kind, String> {
        let mut kinds = Vec::new();
        for part in call.target.as_deref_mut().into_iter().chain(&mut call.args) {
            kinds.push(self.kind(part)?);
        }
        let name = call.func_name.as_str();
        let differ = |a: Kind, b: Kind| a != b && a != Kind::Any && b != Kind::Any;
        match (name, &kinds[..]) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT, kinds) => {
                match kinds.iter().find(|kind| differ(**kind, Kind::Bool)) {
                    Some(kind) => Err(format!("`{}` is given {}", shown(name), kind.noun())),
                    None => Ok(Kind::Bool),
                }
            }
            (operators::CONDITIONAL, [_, yes, no]) => Ok(if yes == no { *yes } else { Kind::Any }),
            (operators::EQUALS | operators::NOT_EQUALS, [a, b]) if differ(*a, *b) => {
                Err(format!("{} never equals {}", a.noun(), b.noun()))
            }
            (operators::IN, [_, of]) if !matches!(of, Kind::Fields | Kind::List | Kind::Any) => {
                Err(format!("`in` looks into {}", of.noun()))
            }
            (
                operators::EQUALS
                | operators::NOT_EQUALS
                | operators::LESS
                | operators::LESS_EQUALS
                | operators::GREATER
                | operators::GREATER_EQUALS
                | operators::IN
                | operators::NOT_STRICTLY_FALSE,
                _,
            ) => Ok(Kind::Bool),
            (operators::INDEX, [Kind::Fields, Kind::Text]) => Ok(Kind::Any),
            (operators::INDEX, [Kind::Fields, key]) if differ(*key, Kind::Text) => {
                Err(format!("a map is asked for {}", key.noun()))
            }
            (operators::INDEX, _) => Ok(Kind::Any),
            (
                operators::ADD
                | operators::SUBSTRACT
                | operators::MULTIPLY
                | operators::DIVIDE
                | operators::MODULO
                | operators::NEGATE,
                [first, ..],
            ) => Ok(*first),
            ("matches", _) => self.pattern(call),
            ("contains" | "startsWith" | "endsWith", _) => Ok(Kind::Bool),
            ("size" | "int", _) => Ok(Kind::Int),
            ("string", _) => Ok(Kind::Text),
            _ if FUNCTIONS.contains(&name) => Ok(Kind::Any),
            _ => Err(match nearest(name, FUNCTIONS) {
                Some(near) => format!("there is no function `{name}`; did you mean `{near}`?"),
                None => format!("there is no function `{}`", shown(name)),
            }),
        }
    }

    /// Patterns are compiled once, so they must be constants.
    fn pattern(&mut self, call: &CallExpr) -> Result<Kind, String> {
        let one = usize::from(call.target.is_none());
        match call.args.get(one).map(|argument| &argument.expr) {
            Some(Expr::Literal(LiteralValue::String(pattern))) if call.args.len() == one + 1 => {
                self.patterns.push(pattern.inner().to_owned());
                Ok(Kind::Bool)
            }
            _ => Err("`matches` takes one pattern, written as a constant".into()),
        }
    }

    fn comprehension(&mut self, all: &mut ComprehensionExpr) -> Result<Kind, String> {
        self.kind(&mut all.iter_range)?;
        if self.macros > 0 {
            return Err("macros such as `exists` cannot be nested".into());
        }
        self.macros += 1;
        let accumulated = self.kind(&mut all.accu_init)?;
        let depth = self.bound.len();
        self.bound.push((all.accu_var.clone(), accumulated));
        self.bound.push((all.iter_var.clone(), Kind::Any));
        if let Some(second) = &all.iter_var2 {
            self.bound.push((second.clone(), Kind::Any));
        }
        self.kind(&mut all.loop_cond)?;
        self.kind(&mut all.loop_step)?;
        let result = self.kind(&mut all.result)?;
        self.bound.truncate(depth);
        self.macros -= 1;
        Ok(result)
    }
}

fn literal_kind(literal: &LiteralValue) -> Kind {
    match literal {
        LiteralValue::Boolean(_) => Kind::Bool,
        LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_) => Kind::Int,
        LiteralValue::String(_) => Kind::Text,
        LiteralValue::Bytes(_) | LiteralValue::Null => Kind::Any,
    }
}

/// The segments of a dotted name, from its root.
fn segments(mut expression: &Expr) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    loop {
        match expression {
            Expr::Ident(name) => {
                names.push(name.as_str());
                names.reverse();
                return Some(names);
            }
            Expr::Select(select) if !select.test => {
                names.push(select.field.as_str());
                expression = &select.operand.expr;
            }
            _ => return None,
        }
    }
}

fn unknown<'k>(names: &[&str], known: impl Iterator<Item = &'k str> + Clone) -> String {
    let asked = names[..names.len().min(2)].join(".");
    let below: Vec<&str> = known
        .clone()
        .filter(|name| name.split('.').next() == Some(names[0]))
        .collect();
    let near = nearest(&asked, known.clone());
    let help = match (near, &below[..]) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, []) => format!("the variables are {}", known.collect::<Vec<_>>().join(", ")),
        (None, below) => format!("there are {}", below.join(", ")),
    };
    format!("there is no variable `{asked}`; {help}")
}

/// An operator as it is written.
fn shown(name: &str) -> &str {
    name.trim_matches(['_', '@'])
}
